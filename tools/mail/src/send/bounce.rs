//! What a sender reads when a message could not be delivered: the format QSBMF, which programs
//! recognise.

use super::rewrite::Rules;
use crate::address;

/// The sender of a double bounce: a bounce that cannot be delivered either is thrown away.
pub const DOUBLE: &[u8] = b"#@[]";

/// What control files say about bounces.
#[derive(Clone, Debug, Default)]
pub struct Letterhead {
    /// The user part of the bounce's From.
    pub bouncefrom: Vec<u8>,
    /// The host part of it, and where the bounce says that it comes from.
    pub bouncehost: Vec<u8>,
    /// Who gets double bounces: a whole address. `None`: they are thrown away.
    pub double_to: Option<Vec<u8>>,
}

/// What is to be done about a message that has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was a double bounce: nothing more.
    Triple,
    /// It was a bounce, and nobody wants to hear of it.
    Discard,
    /// A message from this sender to this recipient.
    Bounce {
        /// The envelope sender.
        from: Vec<u8>,
        /// The only recipient.
        to: Vec<u8>,
    },
}

/// Whom a failure concerns: the sender, or the owner of a list that gives each recipient a sender of
/// his own.
pub fn concerned(sender: &[u8]) -> &[u8] {
    sender.strip_suffix(b"-@[]").unwrap_or(sender)
}

/// What becomes of a failed message that concerns this sender.
pub fn fate(sender: &[u8], letterhead: &Letterhead) -> Fate {
    match sender {
        DOUBLE => Fate::Triple,
        b"" => match &letterhead.double_to {
            Some(to) => Fate::Bounce { from: DOUBLE.to_vec(), to: to.clone() },
            None => Fate::Discard,
        },
        _ => Fate::Bounce { from: Vec::new(), to: sender.to_vec() },
    }
}

/// What comes before the failures: header, and the words to a person. `sender` is whom they
/// [concern](concerned).
pub fn head(letterhead: &Letterhead, date: &str, sender: &[u8], to: &[u8]) -> Vec<u8> {
    let Letterhead { bouncefrom, bouncehost, .. } = letterhead;
    let from = address::quote(&[&bouncefrom[..], b"@", bouncehost].concat());
    let words: &[u8] = if sender.is_empty() {
        b"I tried to deliver a bounce message to this address, but the bounce bounced!\n\n"
    } else {
        b"I'm afraid I wasn't able to deliver your message to the following addresses.\n\
          This is a permanent error; I've given up. Sorry it didn't work out.\n\n"
    };
    [
        &b"Date: "[..],
        date.as_bytes(),
        b"\nFrom: ",
        &one_line(&from),
        b"\nTo: ",
        &one_line(&address::quote(to)),
        b"\nSubject: failure notice\n\nHi. This is the qmail-send program at ",
        bouncehost,
        b".\n",
        words,
    ]
    .concat()
}

/// What comes between the failures and the message.
pub fn divider(sender: &[u8]) -> Vec<u8> {
    let what: &[u8] =
        if sender.is_empty() { b"the original bounce" } else { b"a copy of the message" };
    let path = one_line(&address::quote(sender));
    [b"--- Below this line is ", what, b".\n\nReturn-Path: <", &path, b">\n"].concat()
}

/// What stands in `bounce/N` for one recipient: his address, the report, an empty line, and no
/// empty line before that.
pub fn failure(rules: &Rules, recipient: &[u8], report: &[u8]) -> Vec<u8> {
    let recipient = one_line(rules.without_prefix(recipient));
    let mut text = [b"<", &recipient[..], b">:\n", report].concat();
    if !text.ends_with(b"\n") {
        text.push(b'\n');
    }
    // From the end: of three newlines in a row the last two become slashes.
    for at in (1..text.len() - 1).rev() {
        if text[at - 1..=at] == *b"\n\n" {
            text[at] = b'/';
        }
    }
    text.push(b'\n');
    text
}

/// A newline in an address would begin another line.
fn one_line(address: &[u8]) -> Vec<u8> {
    address.iter().map(|byte| if *byte == b'\n' { b'_' } else { *byte }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letterhead() -> Letterhead {
        Letterhead {
            bouncefrom: b"MAILER-DAEMON".to_vec(),
            bouncehost: b"a.example".to_vec(),
            double_to: Some(b"postmaster@a.example".to_vec()),
        }
    }

    #[test]
    fn a_bounce_byte_for_byte() {
        let rules = Rules::default();
        let failures = failure(&rules, b"joe@b.example", b"Sorry, no.\n");
        let head = head(&letterhead(), "22 Nov 2026 08:00:00 -0000", b"me too@c", b"me too@c");
        let bounce = [head, failures, divider(b"me too@c")].concat();
        let expected = "Date: 22 Nov 2026 08:00:00 -0000\n\
            From: MAILER-DAEMON@a.example\n\
            To: \"me too\"@c\n\
            Subject: failure notice\n\
            \n\
            Hi. This is the qmail-send program at a.example.\n\
            I'm afraid I wasn't able to deliver your message to the following addresses.\n\
            This is a permanent error; I've given up. Sorry it didn't work out.\n\
            \n\
            <joe@b.example>:\n\
            Sorry, no.\n\
            \n\
            --- Below this line is a copy of the message.\n\
            \n\
            Return-Path: <\"me too\"@c>\n";
        assert_eq!(String::from_utf8(bounce).unwrap(), expected);
    }

    #[test]
    fn a_double_bounce_has_its_own_words() {
        let head = head(&letterhead(), "now", b"", b"postmaster@a.example");
        let expected = "Date: now\nFrom: MAILER-DAEMON@a.example\nTo: postmaster@a.example\n\
            Subject: failure notice\n\nHi. This is the qmail-send program at a.example.\n\
            I tried to deliver a bounce message to this address, but the bounce bounced!\n\n";
        assert_eq!(String::from_utf8(head).unwrap(), expected);
        let expected = "--- Below this line is the original bounce.\n\nReturn-Path: <>\n";
        assert_eq!(String::from_utf8(divider(b"")).unwrap(), expected);
    }

    #[test]
    fn an_empty_line_ends_an_entry_and_nothing_before_it_does() {
        let text = |report: &str| {
            let entry = failure(&Rules::default(), b"a\nb@c", report.as_bytes());
            String::from_utf8(entry).unwrap()
        };
        assert_eq!(text("no\n"), "<a_b@c>:\nno\n\n");
        assert_eq!(text("no"), "<a_b@c>:\nno\n\n");
        assert_eq!(text(""), "<a_b@c>:\n\n");
        assert_eq!(text("\none\n\ntwo\n\n\nthree\n"), "<a_b@c>:\n/one\n/two\n//three\n\n");
    }

    #[test]
    fn bounces_go_to_the_sender_the_owner_or_the_postmaster_and_no_further() {
        let bounce = |from: &[u8], to: &[u8]| Fate::Bounce { from: from.into(), to: to.into() };
        let mut letterhead = letterhead();
        let fate_of = |sender: &[u8], letterhead: &Letterhead| fate(concerned(sender), letterhead);
        assert_eq!(fate_of(b"joe@b", &letterhead), bounce(b"", b"joe@b"));
        assert_eq!(fate_of(b"list-@b-@[]", &letterhead), bounce(b"", b"list-@b"));
        assert_eq!(fate_of(b"", &letterhead), bounce(b"#@[]", b"postmaster@a.example"));
        assert_eq!(fate_of(b"-@[]", &letterhead), bounce(b"#@[]", b"postmaster@a.example"));
        assert_eq!(fate_of(b"#@[]", &letterhead), Fate::Triple);
        letterhead.double_to = None;
        assert_eq!(fate_of(b"", &letterhead), Fate::Discard);
        assert_eq!(fate_of(b"joe@b", &letterhead), bounce(b"", b"joe@b"));
    }
}
