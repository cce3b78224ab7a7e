//! Command lines as a server reads them. RFC 5321, section 4.1, and what clients send instead.

/// What a client wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Says its name.
    Helo,
    /// Says its name and asks for extensions.
    Ehlo,
    /// Begins a message.
    Mail,
    /// Adds a recipient.
    Rcpt,
    /// Sends the text.
    Data,
    /// Forgets the message.
    Rset,
    /// Asks about an address.
    Vrfy,
    /// Asks for help.
    Help,
    /// Does nothing.
    Noop,
    /// Begins TLS.
    Starttls,
    /// Ends.
    Quit,
    /// Anything else.
    Unknown,
}

const VERBS: [(&[u8], Verb); 11] = [
    (b"helo", Verb::Helo),
    (b"ehlo", Verb::Ehlo),
    (b"mail", Verb::Mail),
    (b"rcpt", Verb::Rcpt),
    (b"data", Verb::Data),
    (b"rset", Verb::Rset),
    (b"vrfy", Verb::Vrfy),
    (b"help", Verb::Help),
    (b"noop", Verb::Noop),
    (b"starttls", Verb::Starttls),
    (b"quit", Verb::Quit),
];

/// Addresses are shorter than this. Longer ones would not fit into log lines and headers.
const ADDRESS: usize = 900;

/// Takes a line apart, without its LF or CR LF: the verb, up to the first space and in any case,
/// and its argument without leading spaces. A NUL ends the line: it can be in no address.
pub fn parse(line: &[u8]) -> (Verb, &[u8]) {
    let line = &line[..memchr::memchr(0, line).unwrap_or(line.len())];
    let (word, argument) = line.split_at(memchr::memchr(b' ', line).unwrap_or(line.len()));
    let known = VERBS.iter().find(|(name, _)| name.eq_ignore_ascii_case(word));
    (known.map_or(Verb::Unknown, |(_, verb)| *verb), without_spaces(argument))
}

/// The address in the argument of MAIL or RCPT: between `<` and `>`, else from the first colon to
/// a space, without source route, quotes and backslashes. What follows it is ignored, a missing
/// end too. `None` if it is too long.
pub fn address(argument: &[u8]) -> Option<Vec<u8>> {
    let (text, end) = match memchr::memchr(b'<', argument) {
        Some(at) => (&argument[at + 1..], b'>'),
        None => {
            let colon = memchr::memchr(b':', argument).unwrap_or(argument.len());
            (without_spaces(argument.get(colon + 1..).unwrap_or_default()), b' ')
        }
    };
    let mut address = Vec::new();
    let mut quoted = false;
    let mut bytes = without_route(text).iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'\\' => address.extend(bytes.next()),
            b'"' => quoted = !quoted,
            _ if byte == end && !quoted => break,
            _ => address.push(byte),
        }
    }
    (address.len() < ADDRESS).then_some(address)
}

/// `@a,@b:joe@c` is `joe@c`.
fn without_route(text: &[u8]) -> &[u8] {
    if !text.starts_with(b"@") {
        return text;
    }
    &text[memchr::memchr(b':', text).map_or(text.len(), |colon| colon + 1)..]
}

fn without_spaces(text: &[u8]) -> &[u8] {
    &text[text.iter().take_while(|byte| **byte == b' ').count()..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_are_found_in_any_case() {
        assert_eq!(parse(b"mAiL   FROM:<a b>"), (Verb::Mail, &b"FROM:<a b>"[..]));
        assert_eq!(parse(b"QUIT"), (Verb::Quit, &b""[..]));
        assert_eq!(parse(b"quit\0 x"), (Verb::Quit, &b""[..]));
        for other in [&b""[..], b" QUIT", b"QUIT\t", b"MAIL:<>", b"QUITX", b"\0QUIT"] {
            assert_eq!(parse(other).0, Verb::Unknown, "{other:?}");
        }
    }

    fn shown(argument: &str) -> String {
        let address = address(argument.as_bytes());
        address.map_or("?".into(), |address| String::from_utf8(address).unwrap())
    }

    #[test]
    fn addresses_are_found_where_clients_put_them() {
        for (argument, expected) in [
            ("FROM:<joe@a.example> SIZE=5", "joe@a.example"),
            ("FROM: <joe@a.example>", "joe@a.example"),
            ("FROM:joe@a.example SIZE=5", "joe@a.example"),
            ("FROM:   joe", "joe"),
            ("<joe", "joe"),
            ("joe", ""),
            ("", ""),
            ("FROM:", ""),
            ("FROM:<>", ""),
            ("TO:<@a,@b:joe@c>", "joe@c"),
            ("TO:@a:joe@c x", "joe@c"),
            ("TO:<@joe>", ""),
            ("TO:<\"joe >\"@a>", "joe >@a"),
            ("TO:<joe\\>\\\"\\\\@a>", "joe>\"\\@a"),
            ("TO:<\"a\\\"b\"@c>", "a\"b@c"),
            ("TO:<a\\", "a"),
            ("TO:\"a b\"@c d", "a b@c"),
            ("TO: x:<y>", "y"),
        ] {
            assert_eq!(shown(argument), expected, "{argument}");
        }
    }

    #[test]
    fn addresses_have_less_than_900_bytes() {
        let (longest, longer) = ("x".repeat(899), "x".repeat(900));
        assert_eq!(shown(&format!("TO:<{longest}>")), longest);
        assert_eq!(shown(&format!("TO:<{longer}>")), "?");
    }
}
