//! What an X.509 certificate says (RFC 5280), as far as programs are told of it. Nothing here
//! decides whom to trust.

use base::date::Date;
use std::borrow::Cow;

/// The common name in a [`Name`]: 2.5.4.3.
pub const COMMON_NAME: &[u8] = b"\x55\x04\x03";

/// The fields of a certificate.
#[derive(Debug)]
pub struct Certificate<'a> {
    /// 1 to 3.
    pub version: u8,
    /// Big-endian.
    pub serial: &'a [u8],
    /// The algorithm that the issuer signs with, as an object identifier in DER.
    pub signature: &'a [u8],
    /// Who has issued it.
    pub issuer: Name<'a>,
    /// The time from which on it is valid.
    pub start: Time<'a>,
    /// The time until which it is valid.
    pub end: Time<'a>,
    /// Whose it is.
    pub subject: Name<'a>,
    /// The kind of its key, as an object identifier in DER.
    pub key: &'a [u8],
    /// Its mail addresses, besides those in the subject.
    pub mail: Vec<&'a [u8]>,
}

const INTEGER: u8 = 2;
const BITS: u8 = 3;
const OCTETS: u8 = 4;
const OBJECT: u8 = 6;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
/// `[0]` and `[3]`, around other values.
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
/// `[1]`: a mail address in a subjectAltName.
const MAIL: u8 = 0x81;
const UTC_TIME: u8 = 0x17;
/// 2.5.29.17.
const ALTERNATIVE_NAMES: &[u8] = b"\x55\x1d\x11";

impl Certificate<'_> {
    /// Whether it is valid at this Unix time.
    pub fn is_valid_at(&self, seconds: u64) -> bool {
        let Date { year, month, day, hour, minute, second, .. } = Date::utc(seconds as i64);
        let month = month + 1;
        let now = format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}Z");
        let moments = [&self.start, &self.end].map(Time::moment);
        matches!(moments, [Some(from), Some(to)] if (&from[..]..=&to[..]).contains(&now.as_bytes()))
    }
}

/// Reads a certificate in DER. `None` if it is none.
pub fn read(der: &[u8]) -> Option<Certificate<'_>> {
    let mut all = Der(Der(der).take(SEQUENCE)?);
    let mut fields = Der(all.take(SEQUENCE)?);
    let version = match fields.take_if(VERSION) {
        Some(version) => *Der(version).take(INTEGER)?.last()?,
        None => 0,
    };
    let serial = fields.take(INTEGER)?;
    fields.take(SEQUENCE)?;
    let issuer = Name(fields.take(SEQUENCE)?);
    let mut validity = Der(fields.take(SEQUENCE)?);
    let (start, end) = (validity.time()?, validity.time()?);
    let subject = Name(fields.take(SEQUENCE)?);
    let mut key = Der(fields.take(SEQUENCE)?);
    let key = Der(key.take(SEQUENCE)?).take(OBJECT)?;
    let signature = Der(all.take(SEQUENCE)?).take(OBJECT)?;
    all.take(BITS)?;
    let mail = mail(fields).unwrap_or_default();
    let version = version.saturating_add(1);
    Some(Certificate { version, serial, signature, issuer, start, end, subject, key, mail })
}

/// The mail addresses among the alternative names, in what follows the key.
fn mail(mut fields: Der<'_>) -> Option<Vec<&[u8]>> {
    while let Some((tag, value)) = fields.any() {
        if tag != EXTENSIONS {
            continue;
        }
        let mut extensions = Der(Der(value).take(SEQUENCE)?);
        while let Some(extension) = extensions.take(SEQUENCE) {
            let mut extension = Der(extension);
            if extension.take(OBJECT)? != ALTERNATIVE_NAMES {
                continue;
            }
            while extension.0.first().is_some_and(|tag| *tag != OCTETS) {
                extension.any()?;
            }
            let mut names = Der(Der(extension.take(OCTETS)?).take(SEQUENCE)?);
            let names = std::iter::from_fn(|| names.any());
            return Some(names.filter(|(tag, _)| *tag == MAIL).map(|(_, mail)| mail).collect());
        }
    }
    None
}

/// Values in DER, one after the other.
#[derive(Clone, Copy)]
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The next value and its tag.
    fn any(&mut self) -> Option<(u8, &'a [u8])> {
        let (&[tag, length], rest) = self.0.split_first_chunk()?;
        let (length, rest) = match length {
            0..=0x7f => (usize::from(length), rest),
            0x81..=0x84 => {
                let (length, rest) = rest.split_at_checked(usize::from(length - 0x80))?;
                (length.iter().fold(0, |all, byte| all << 8 | usize::from(*byte)), rest)
            }
            _ => return None,
        };
        let (value, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, value))
    }

    /// The next value, which has this tag.
    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (found, value) = self.any()?;
        (found == tag).then_some(value)
    }

    /// The next value if it has this tag.
    fn take_if(&mut self, tag: u8) -> Option<&'a [u8]> {
        if self.0.first() == Some(&tag) { self.take(tag) } else { None }
    }

    fn time(&mut self) -> Option<Time<'a>> {
        let (tag, digits) = self.any()?;
        Some(Time { short: tag == UTC_TIME, digits })
    }
}

/// A time as certificates have it: `260131235959Z`, or with four digits for the year.
#[derive(Debug)]
pub struct Time<'a> {
    short: bool,
    digits: &'a [u8],
}

impl Time<'_> {
    /// `20260131235959Z`, so that moments can be compared. `None` if it is no time.
    pub fn moment(&self) -> Option<[u8; 15]> {
        let century: &[u8] = match (self.short, self.digits) {
            (false, _) => b"",
            (true, [b'5'..=b'9', ..]) => b"19",
            (true, _) => b"20",
        };
        [century, self.digits].concat().try_into().ok()
    }

    /// `Jan 31 23:59:59 2026 GMT`. `None` if it is no time.
    pub fn shown(&self) -> Option<String> {
        let months: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
        let digits = std::str::from_utf8(self.digits.strip_suffix(b"Z")?).ok()?;
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let (year, rest) = digits.split_at_checked(if self.short { 2 } else { 4 })?;
        let year: u32 = year.parse().ok()?;
        let year = year
            + if !self.short {
                0
            } else if year < 50 {
                2000
            } else {
                1900
            };
        let pair = |at: usize| rest.get(2 * at..2 * at + 2);
        let month: usize = pair(0)?.parse().ok()?;
        let name = months.chunks(3).nth(month.checked_sub(1)?)?;
        let name = std::str::from_utf8(name).ok()?;
        let (day, hour, minute, second) = (pair(1)?, pair(2)?, pair(3)?, pair(4)?);
        let day: u8 = day.parse().ok()?;
        Some(format!("{name} {day:2} {hour}:{minute}:{second} {year} GMT"))
    }
}

/// A distinguished name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Name<'a>(&'a [u8]);

/// The parts of a name that have a short word: the variables end in it.
pub const PARTS: [(&str, &[u8]); 12] = [
    ("C", b"\x55\x04\x06"),
    ("ST", b"\x55\x04\x08"),
    ("L", b"\x55\x04\x07"),
    ("O", b"\x55\x04\x0a"),
    ("OU", b"\x55\x04\x0b"),
    ("CN", b"\x55\x04\x03"),
    ("T", b"\x55\x04\x0c"),
    ("I", b"\x55\x04\x2b"),
    ("G", b"\x55\x04\x2a"),
    ("S", b"\x55\x04\x04"),
    ("D", b"\x55\x04\x0d"),
    ("UID", b"\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x01"),
];
/// That of a mail address in a name.
pub const EMAIL: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x01";

impl<'a> Name<'a> {
    /// Its parts: an object identifier in DER, and text as UTF-8.
    pub fn parts(self) -> impl Iterator<Item = (&'a [u8], Cow<'a, str>)> {
        let mut sets = Der(self.0);
        let mut set = Der(&[]);
        std::iter::from_fn(move || {
            while set.0.is_empty() {
                set = Der(sets.take(SET)?);
            }
            let mut part = Der(set.take(SEQUENCE)?);
            let kind = part.take(OBJECT)?;
            let (tag, value) = part.any()?;
            Some((kind, text(tag, value)))
        })
    }

    /// The first part of this kind.
    pub fn part(self, kind: &[u8]) -> Option<Cow<'a, str>> {
        self.parts().find(|(found, _)| *found == kind).map(|(_, text)| text)
    }

    /// `/C=AQ/O=Example/CN=mail.example`, as OpenSSL prints it on one line. What is not printable
    /// ASCII, and a slash, which would begin another part, is `\xHH`.
    pub fn line(self) -> String {
        let mut line = String::new();
        for (kind, text) in self.parts() {
            let word = PARTS.iter().find(|(_, known)| *known == kind).map(|(word, _)| *word);
            let word = word.or((kind == EMAIL).then_some("emailAddress"));
            line.push('/');
            line += &word.map_or_else(|| dotted(kind), |word| word.to_owned());
            line.push('=');
            for byte in text.bytes() {
                match byte {
                    b'/' | ..b' ' | 127.. => line += &format!("\\x{byte:02X}"),
                    byte => line.push(char::from(byte)),
                }
            }
        }
        line
    }
}

/// A value as text: BMPString, T61String and the like, or UTF-8 and what is part of it.
fn text(tag: u8, value: &[u8]) -> Cow<'_, str> {
    const T61: u8 = 0x14;
    const UNIVERSAL: u8 = 0x1c;
    const BMP: u8 = 0x1e;
    match tag {
        T61 => value.iter().map(|byte| char::from(*byte)).collect(),
        BMP => {
            let units =
                value.chunks(2).map(|pair| pair.iter().fold(0, |all, b| all << 8 | u16::from(*b)));
            char::decode_utf16(units)
                .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
                .collect()
        }
        UNIVERSAL => {
            let units =
                value.chunks(4).map(|unit| unit.iter().fold(0, |all, b| all << 8 | u32::from(*b)));
            units.map(|unit| char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        }
        _ => String::from_utf8_lossy(value),
    }
}

/// What an algorithm is called, if it is one of those in use; else its number.
pub fn algorithm(object: &[u8]) -> String {
    let name = match object {
        b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01" => "rsaEncryption",
        b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05" => "sha1WithRSAEncryption",
        b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a" => "rsassaPss",
        b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b" => "sha256WithRSAEncryption",
        b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c" => "sha384WithRSAEncryption",
        b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d" => "sha512WithRSAEncryption",
        b"\x2a\x86\x48\xce\x3d\x02\x01" => "id-ecPublicKey",
        b"\x2a\x86\x48\xce\x3d\x04\x03\x02" => "ecdsa-with-SHA256",
        b"\x2a\x86\x48\xce\x3d\x04\x03\x03" => "ecdsa-with-SHA384",
        b"\x2a\x86\x48\xce\x3d\x04\x03\x04" => "ecdsa-with-SHA512",
        b"\x2b\x65\x70" => "ED25519",
        other => return dotted(other),
    };
    name.to_owned()
}

/// An object identifier as numbers: `2.5.4.3`.
fn dotted(object: &[u8]) -> String {
    let mut numbers = Vec::new();
    let mut number = 0u64;
    for byte in object.iter().take(64) {
        number = number.wrapping_shl(7) | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            if numbers.is_empty() {
                let first = (number / 40).min(2);
                numbers.extend([first, number - first * 40]);
            } else {
                numbers.push(number);
            }
            number = 0;
        }
    }
    numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::testing;
    use ::tests::Random;

    #[test]
    fn a_certificate_is_read() {
        let pem = testing::pem();
        let read = read(&pem.certificates[0]).unwrap();
        assert_eq!((read.version, read.subject, &read.mail[..]), (3, read.issuer, &[][..]));
        assert_eq!(read.subject.line(), "/CN=mail.example");
        assert_eq!(read.start.shown().as_deref(), Some("Jan  1 00:00:00 2020 GMT"));
        assert_eq!(read.end.shown().as_deref(), Some("Jan  1 00:00:00 2120 GMT"));
        let valid = [1577836799, 1577836800, 4733510400, 4733510401].map(|at| read.is_valid_at(at));
        assert_eq!(valid, [false, true, true, false]);
        let algorithms = [read.key, read.signature].map(algorithm);
        assert_eq!(algorithms, ["id-ecPublicKey", "ecdsa-with-SHA256"]);
    }

    #[test]
    fn short_times_have_their_century() {
        let moment = |digits| Time { short: true, digits }.moment();
        assert_eq!(moment(b"500101000000Z"), Some(*b"19500101000000Z"));
        assert_eq!(moment(b"491231235959Z"), Some(*b"20491231235959Z"));
        assert_eq!(moment(b"4912312359Z"), None);
    }

    #[test]
    fn names_are_shown_without_doubt() {
        // CN=a/b, then O=é as Latin-1 with a mail address in the same set, then 2.5.4.97=x.
        let name = b"\x31\x0c\x30\x0a\x06\x03\x55\x04\x03\x13\x03a/b\
            \x31\x1c\x30\x08\x06\x03\x55\x04\x0a\x14\x01\xe9\
            \x30\x10\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x01\x16\x03a@b\
            \x31\x0a\x30\x08\x06\x03\x55\x04\x61\x0c\x01x";
        let name = Name(name);
        assert_eq!(name.line(), "/CN=a\\x2Fb/O=\\xC3\\xA9/emailAddress=a@b/2.5.4.97=x");
        assert_eq!(name.part(EMAIL).as_deref(), Some("a@b"));
        assert_eq!(text(0x1e, b"\0a\x20\xac"), "a€");
    }

    #[test]
    fn damaged_certificates_are_read_or_refused() {
        let mut random = Random::new(7);
        let pem = testing::pem();
        for _ in 0..10_000 {
            let damaged = random.damaged(&pem.certificates[0]);
            if let Some(read) = read(&damaged) {
                let _ = (read.subject.line(), read.start.shown(), algorithm(read.key));
            }
        }
    }
}
