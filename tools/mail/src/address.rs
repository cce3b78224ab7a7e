//! Envelope addresses: `local@domain`, and how they are quoted where RFC 821 wants it.

use std::net::IpAddr;

/// Splits at the last `@`; without one the domain is `None`.
pub fn split(address: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memrchr(b'@', address) {
        None => (address, None),
        Some(at) => (&address[..at], Some(&address[at + 1..])),
    }
}

/// The domain itself, then `.b.c` and `.c` of `a.b.c`: how tables of domains are searched.
pub fn suffixes(domain: &[u8]) -> impl Iterator<Item = &[u8]> {
    let dots = memchr::memchr_iter(b'.', domain).filter(|dot| *dot > 0);
    [0].into_iter().chain(dots).map(|at| &domain[at..])
}

/// The address that a domain in brackets is: `[1.2.3.4]`, `[IPv6:2001:db8::1]`, RFC 5321, 4.1.3.
/// The tag of IPv6 may be missing.
pub fn literal(domain: &[u8]) -> Option<IpAddr> {
    let text = domain.strip_prefix(b"[")?.strip_suffix(b"]")?;
    let tagged = text.split_at_checked(5).filter(|(tag, _)| tag.eq_ignore_ascii_case(b"ipv6:"));
    let text = tagged.map_or(text, |(_, rest)| rest);
    if text.iter().any(|byte| b"[]%".contains(byte)) {
        return None;
    }
    net::address::parse(text, 0).map(|address| address.ip())
}

/// The address with its local part quoted if need be: `joe smith@a.example` becomes
/// `"joe smith"@a.example`. An address without `@` is all local part; the empty one stays empty.
pub fn quote(address: &[u8]) -> Vec<u8> {
    match split(address) {
        (b"", None) => Vec::new(),
        (local, None) => quote_local(local),
        (local, Some(domain)) => [&quote_local(local), &b"@"[..], domain].concat(),
    }
}

/// A local part, quoted unless it is an RFC 821 dot-string.
pub fn quote_local(local: &[u8]) -> Vec<u8> {
    if is_dot_string(local) {
        return local.to_vec();
    }
    let mut quoted = vec![b'"'];
    for &byte in local {
        if matches!(byte, b'\r' | b'\n' | b'"' | b'\\') {
            quoted.push(b'\\');
        }
        quoted.push(byte);
    }
    quoted.push(b'"');
    quoted
}

/// Non-empty atoms joined by single dots.
fn is_dot_string(local: &[u8]) -> bool {
    local.split(|byte| *byte == b'.').all(|atom| !atom.is_empty() && atom.iter().all(is_plain))
}

/// What qmail leaves unquoted: visible ASCII but the specials of RFC 821.
fn is_plain(byte: &u8) -> bool {
    byte.is_ascii_graphic() && !b"\"()<>@,;:\\[].".contains(byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_begin_with_a_dot() {
        let shown = |text: &'static str| -> Vec<&str> {
            suffixes(text.as_bytes()).map(|part| std::str::from_utf8(part).unwrap()).collect()
        };
        assert_eq!(shown("a.b.c"), ["a.b.c", ".b.c", ".c"]);
        assert_eq!(shown(".a."), [".a.", "."]);
        assert_eq!(shown(""), [""]);
    }

    #[test]
    fn literals_are_in_brackets() {
        let shown = |text: &str| literal(text.as_bytes()).map_or("-".into(), |ip| ip.to_string());
        assert_eq!(shown("[127.0.0.1]"), "127.0.0.1");
        assert_eq!(shown("[ipv6:2001:DB8::1]"), "2001:db8::1");
        assert_eq!(shown("[::1]"), "::1");
        for wrong in ["127.0.0.1", "[127.0.0.1", "[[127.0.0.1]]", "[a.example]", "[]", "[IPv6:]"] {
            assert_eq!(shown(wrong), "-", "{wrong}");
        }
    }

    #[test]
    fn local_parts_are_quoted_only_if_need_be() {
        let shown = |address: &str| String::from_utf8(quote(address.as_bytes())).unwrap();
        assert_eq!(shown("joe.b+x=y@a.example"), "joe.b+x=y@a.example");
        assert_eq!(shown("joe smith@a.example"), "\"joe smith\"@a.example");
        assert_eq!(shown("a..b@h"), "\"a..b\"@h");
        assert_eq!(shown(".a@h"), "\".a\"@h");
        assert_eq!(shown("@h"), "\"\"@h");
        assert_eq!(shown("a\"\\@b@h"), "\"a\\\"\\\\@b\"@h");
        assert_eq!(shown("no host"), "\"no host\"");
        assert_eq!(shown(""), "");
    }
}
