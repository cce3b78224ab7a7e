//! DNS lists of addresses (RFC 5782): how they are named, asked and understood.

use crate::{address, dns};
use base::number::digits;
use std::io;
use std::net::{IpAddr, Ipv4Addr};

/// Texts of lists are cut after so many bytes, as rblsmtpd has always done,
const TXT_BYTES: usize = 200;
/// and our own after so many: a reply line has at most 512, RFC 5321 4.5.3.1.5.
const TEXT_BYTES: usize = 500;

/// A list, as its user names it: `base`, `base:text`, `base=codes` or `base=codes:text`.
#[derive(Debug, PartialEq, Eq)]
pub struct List {
    /// The domain of the list.
    pub base: Vec<u8>,
    /// Only answers that match one of these count; all do if there are none.
    codes: Vec<Code>,
    /// What a listed client is told; without it the list's TXT records say it.
    text: Option<Vec<u8>>,
}

/// Nobody can tell whether an address is listed.
#[derive(Debug, PartialEq, Eq)]
pub struct Failed;

impl List {
    /// `None` if the base or the text is empty or the codes cannot be read.
    pub fn parse(word: &[u8]) -> Option<Self> {
        let (place, text) = split(word, b':');
        let (base, codes) = split(place, b'=');
        let codes = codes.map_or(Some(Vec::new()), |codes| {
            codes.split(|byte| *byte == b',').map(Code::parse).collect()
        });
        let list = List { base: base.to_vec(), codes: codes?, text: text.map(<[u8]>::to_vec) };
        (!base.is_empty() && text != Some(b"")).then_some(list)
    }

    /// The name under which the list has an address: its parts in reverse order, the nibbles of
    /// an IPv6 address, and the base.
    pub fn name(&self, ip: &[u8]) -> Vec<u8> {
        let parsed = address::parse(ip, 0).filter(|_| ip.contains(&b':'));
        let reversed = match parsed.map(|at| at.ip()) {
            Some(v6 @ IpAddr::V6(_)) => {
                let nibbles = dns::reverse(v6);
                nibbles.strip_suffix(b"ip6.arpa").unwrap_or(&nibbles).to_vec()
            }
            Some(IpAddr::V4(v4)) => reversed(v4.to_string().as_bytes()),
            None => reversed(ip),
        };
        [&reversed, &self.base[..]].concat()
    }

    /// Whether a listing has a text of its own, so that only the A records need be asked for.
    pub fn has_text(&self) -> bool {
        self.text.is_some()
    }

    /// Whether these A records say that the address is listed. All of them outside 127.0.0.0/8
    /// come from a resolver that lies, and all in 127.255.255.0/24 say that the list does not
    /// want to be asked by us.
    pub fn lists(&self, a: &io::Result<Vec<Ipv4Addr>>) -> Result<bool, Failed> {
        let addresses = a.as_ref().map_err(|_| Failed)?;
        let good = |ip: &Ipv4Addr| ip.is_loopback() && !ip.octets().starts_with(&[127, 255, 255]);
        if !addresses.is_empty() && !addresses.iter().any(good) {
            return Err(Failed);
        }
        let counts = |ip: &Ipv4Addr| self.codes.is_empty() || self.codes.iter().any(|c| c.has(ip));
        Ok(addresses.iter().any(counts))
    }

    /// What a client at this address is told if it is listed. Without codes and a text of ours,
    /// all that lists is text in TXT records; A records can only show that the list fails.
    pub fn listing(
        &self,
        ip: &[u8],
        a: &io::Result<Vec<Ipv4Addr>>,
        txt: io::Result<Vec<Vec<u8>>>,
    ) -> Result<Option<Vec<u8>>, Failed> {
        let by_text = self.codes.is_empty() && self.text.is_none();
        let listed = match self.lists(a) {
            _ if by_text && a.is_err() => true,
            result => result? || by_text,
        };
        let text = match &self.text {
            Some(text) => cut(filled(text, ip), TEXT_BYTES),
            None => cut(txt.map_err(|_| Failed)?.concat(), TXT_BYTES),
        };
        Ok(Some(text).filter(|text| listed && !text.is_empty()))
    }
}

/// Which addresses count: for each of the four parts, which values.
#[derive(Debug, PartialEq, Eq)]
struct Code([Part; 4]);

/// `4`, `4-11`, or `+6`: all values that have the bits 2 and 4.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    Range(u8, u8),
    Bits(u8),
}

impl Code {
    fn parse(text: &[u8]) -> Option<Self> {
        let parts: Option<Vec<Part>> = text.split(|byte| *byte == b'.').map(Part::parse).collect();
        Some(Code(parts?.try_into().ok()?))
    }

    fn has(&self, ip: &Ipv4Addr) -> bool {
        self.0.iter().zip(ip.octets()).all(|(part, octet)| match part {
            Part::Range(low, high) => (*low..=*high).contains(&octet),
            Part::Bits(bits) => octet & bits == *bits,
        })
    }
}

impl Part {
    fn parse(text: &[u8]) -> Option<Self> {
        let octet = |text| digits(text).and_then(|(n, rest)| Some((u8::try_from(n).ok()?, rest)));
        if let Some(bits) = text.strip_prefix(b"+") {
            return octet(bits).filter(|(_, rest)| rest.is_empty()).map(|(n, _)| Part::Bits(n));
        }
        match octet(text)? {
            (low, b"") => Some(Part::Range(low, low)),
            (low, rest) => {
                let (high, rest) = octet(rest.strip_prefix(b"-")?)?;
                (rest.is_empty() && low <= high).then_some(Part::Range(low, high))
            }
        }
    }
}

/// What stands before and, if it occurs, after the first such byte.
fn split(text: &[u8], at: u8) -> (&[u8], Option<&[u8]>) {
    let mut parts = text.splitn(2, |byte| *byte == at);
    (parts.next().unwrap_or_default(), parts.next())
}

/// The parts between dots in reverse order, each followed by a dot.
fn reversed(ip: &[u8]) -> Vec<u8> {
    ip.rsplit(|byte| *byte == b'.').flat_map(|part| [part, b"."].concat()).collect()
}

/// A text with every `%IP%` replaced.
fn filled(text: &[u8], ip: &[u8]) -> Vec<u8> {
    let mut filled = Vec::new();
    let mut rest = text;
    while let Some(at) = memchr::memmem::find(rest, b"%IP%") {
        filled.extend_from_slice(&rest[..at]);
        filled.extend_from_slice(ip);
        rest = &rest[at + b"%IP%".len()..];
    }
    filled.extend_from_slice(rest);
    filled
}

fn cut(mut text: Vec<u8>, most: usize) -> Vec<u8> {
    text.truncate(most);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::tests::Random;

    fn list(word: &str) -> List {
        List::parse(word.as_bytes()).unwrap()
    }

    fn a(addresses: &str) -> io::Result<Vec<Ipv4Addr>> {
        match addresses {
            "fails" => Err(io::ErrorKind::TimedOut.into()),
            _ => Ok(addresses.split_whitespace().map(|ip| ip.parse().unwrap()).collect()),
        }
    }

    /// What the list makes of these A records and this text.
    fn listing(word: &str, addresses: &str, txt: &str) -> String {
        let texts = match txt {
            "fails" => Err(io::ErrorKind::TimedOut.into()),
            _ => Ok(txt.split('|').map(|text| text.as_bytes().to_vec()).collect()),
        };
        match list(word).listing(b"1.2.3.4", &a(addresses), texts) {
            Ok(text) => text.map_or("-".into(), |text| String::from_utf8(text).unwrap()),
            Err(Failed) => "failed".into(),
        }
    }

    #[test]
    fn lists_have_a_base_perhaps_codes_and_perhaps_a_text() {
        assert_eq!(list("a.b"), List { base: b"a.b".to_vec(), codes: vec![], text: None });
        let full = list("a.b=127.0.0-3.+6,127.0.0.2-9:x: y=z");
        assert_eq!(full.text, Some(b"x: y=z".to_vec()));
        assert_eq!((full.base.as_slice(), full.codes.len()), (&b"a.b"[..], 2));
        assert_eq!(list("a:b=c"), List { text: Some(b"b=c".to_vec()), ..list("a") });
        let wrong = ["", "=127.0.0.1", ":x", "a:", "a=", "a=1.2.3", "a=1.2.3.4.5", "a=1.2.3.256"];
        let wrong = wrong.iter().chain(&["a=1.2.3.4,", "a=1.2.3.9-4", "a=1.2.3.-", "a=1.2.3.+"]);
        for word in wrong.chain(&["a=1.2.3.4-", "a=1.2.3.+x", "a=x", "a=1.2.3.1-2-3"]) {
            assert_eq!(List::parse(word.as_bytes()), None, "{word}");
        }
    }

    #[test]
    fn names_are_reversed_parts_or_nibbles() {
        let name = |ip: &str| String::from_utf8(list("b.x").name(ip.as_bytes())).unwrap();
        assert_eq!(name("1.2.3.4"), "4.3.2.1.b.x");
        assert_eq!(
            (name(""), name("a.b"), name("1.2")),
            (".b.x".into(), "b.a.b.x".into(), "2.1.b.x".into())
        );
        assert_eq!(name("::ffff:1.2.3.4"), "4.3.2.1.b.x");
        let nibbles = format!("f.1.{}8.b.d.0.1.0.0.2.b.x", "0.".repeat(22));
        assert_eq!(name("2001:db8::1f"), nibbles);
        assert_eq!(name("2001:DB8::1f%lo"), nibbles);
    }

    #[test]
    fn a_plain_list_lists_by_text_alone() {
        assert_eq!(listing("b", "", "go away"), "go away");
        assert_eq!(listing("b", "127.0.0.2", "go| away"), "go away");
        assert_eq!(listing("b", "127.0.0.2", ""), "-");
        assert_eq!(listing("b", "fails", "go away"), "go away");
        assert_eq!(
            (listing("b", "fails", ""), listing("b", "", "fails")),
            ("-".into(), "failed".into())
        );
        assert_eq!(listing("b", "127.0.0.2", &"x".repeat(300)).len(), 200);
    }

    #[test]
    fn refusing_lists_and_lying_resolvers_are_failures() {
        for odd in ["127.255.255.254", "127.255.255.0", "10.0.0.1", "10.0.0.1 127.255.255.1"] {
            for word in ["b", "b:x", "b=127.255.255.254", "b=10.0.0.1:x"] {
                assert_eq!(listing(word, odd, "go away"), "failed", "{word} {odd}");
                assert_eq!(listing(word, odd, ""), "failed", "{word} {odd}");
            }
        }
        assert_eq!(listing("b:x", "10.0.0.1 127.0.0.1", ""), "x");
        assert_eq!(
            (list("b").lists(&a("")), list("b").lists(&a("fails"))),
            (Ok(false), Err(Failed))
        );
    }

    #[test]
    fn a_text_of_ours_stands_for_the_lists() {
        assert_eq!(
            listing("b:no %IP% %IP% %ip %IP", "127.0.0.2", "x"),
            "no 1.2.3.4 1.2.3.4 %ip %IP"
        );
        assert_eq!(
            (listing("b:no", "", "x"), listing("b:no", "fails", "x")),
            ("-".into(), "failed".into())
        );
        assert_eq!(listing(&format!("b:{}", "y".repeat(600)), "127.0.0.2", "").len(), 500);
    }

    #[test]
    fn only_answers_that_match_a_code_count() {
        let codes = "b=127.0.0.2,127.0.0.4-11,127.0-1.0.+6:no";
        for (ip, counts) in [(2, true), (3, false), (4, true), (11, true), (12, false), (14, true)]
        {
            let said = listing(codes, &format!("127.0.0.{ip}"), "");
            assert_eq!(said == "no", counts, "{ip}");
        }
        assert_eq!(listing(codes, "127.1.0.22", ""), "no");
        assert_eq!(listing(codes, "127.2.0.22 127.0.0.3", ""), "-");
        assert_eq!(listing("b=127.0.0.2", "127.0.0.3 127.0.0.2", "why"), "why");
        assert_eq!(listing("b=127.0.0.2", "127.0.0.3", "why"), "-");
        assert_eq!(
            (listing("b=127.0.0.2", "", "why"), listing("b=127.0.0.2", "127.0.0.2", "")),
            ("-".into(), "-".into())
        );
    }

    #[test]
    fn any_word_is_read_or_refused() {
        let mut random = Random::new(1);
        let letters = b"127.0.0.2-9+=:,x%IP%\xff\0";
        for _ in 0..10_000 {
            let count = random.below(24);
            let word: Vec<u8> = (0..count).map(|_| letters[random.below(letters.len())]).collect();
            if let Some(list) = List::parse(&word) {
                let text = list.listing(&word, &a("127.0.0.2"), Ok(vec![word.clone()]));
                assert!(text.iter().flatten().all(|text| text.len() <= TEXT_BYTES));
                assert!(list.name(&word).ends_with(&list.base));
            }
        }
    }
}
