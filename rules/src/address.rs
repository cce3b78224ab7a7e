//! The addresses of rules, from text to the keys that stand for them.

use crate::network::Network;
use std::net::{IpAddr, Ipv6Addr};

/// For whom a rule is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address<'a> {
    /// The text is the key: `1.2.3.4`, `1.2.`, `=host`, `=.suffix`, `info@1.2.3.4`, nothing.
    Literal(&'a [u8]),
    /// One key for each number from `low` to `high`, between the other parts.
    Range {
        /// Up to the number.
        before: &'a [u8],
        /// The first number.
        low: u64,
        /// The last number, 255 at most.
        high: u64,
        /// After the number.
        after: &'a [u8],
    },
    /// One address that may be spelled in several ways, perhaps after `info@`.
    Full {
        /// Empty, or what is before the address, with its `@`.
        info: &'a [u8],
        /// An IPv4 address is one that was written in IPv6.
        ip: IpAddr,
    },
    /// A network. Its records are written after those of all other rules.
    Network(Network),
}

/// Bytes that make more of a text than a literal key. A table, as every byte of every address is
/// looked at.
const SPECIAL: [bool; 256] = {
    let mut special = [false; 256];
    let mut rest: &[u8] = b"=@-:/";
    while let [byte, others @ ..] = rest {
        special[*byte as usize] = true;
        rest = others;
    }
    special
};

impl<'a> Address<'a> {
    /// Reads the part of a line before its instructions. `None` if that makes no sense.
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        if !text.iter().any(|byte| SPECIAL[usize::from(*byte)]) {
            return Some(Address::Literal(text));
        }
        if text.contains(&b'=') || text.contains(&b'@') {
            return named(text);
        }
        if text.contains(&b'/') {
            return Network::parse(text).map(Address::Network);
        }
        if text.contains(&b':') {
            return match ip(text) {
                Some(ip) => Some(Address::Full { info: b"", ip }),
                None => is_text_prefix(text).then_some(Address::Literal(text)),
            };
        }
        range(text)
    }

    /// Gives each key in turn, made in `key` where it has to be made, until one fails.
    pub fn each_key<E>(
        &self,
        key: &mut Vec<u8>,
        mut give: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        match *self {
            Address::Literal(text) => give(text),
            Address::Range { before, low, high, after } => (low..=high).try_for_each(|number| {
                set(key, before);
                put_number(key, number);
                key.extend_from_slice(after);
                give(key)
            }),
            Address::Full { info, ip } => spellings(ip).iter().take(2).try_for_each(|text| {
                set(key, info);
                key.extend_from_slice(text);
                give(key)
            }),
            Address::Network(network) => network.each_key(key, give),
        }
    }
}

/// An address with a host name or ident information: never a range. As in the original these
/// are keys as they stand, but for IPv6 addresses, and what is surely a mistake.
fn named(text: &[u8]) -> Option<Address<'_>> {
    let start = text.iter().rposition(|byte| *byte == b'@').map_or(0, |at| at + 1);
    let (info, rest) = text.split_at(start);
    if let Some(ip @ IpAddr::V6(_)) = parse_ip(rest) {
        return Some(Address::Full { info, ip: unmapped(ip) });
    }
    let odd = text.contains(&b':') || rest.contains(&b'/');
    (!odd).then_some(Address::Literal(text))
}

/// `1.2.LOW-HIGH` or `1.LOW-HIGH.`: the numbers reach to the next dots.
fn range(text: &[u8]) -> Option<Address<'_>> {
    let hyphen = text.iter().position(|byte| *byte == b'-')?;
    let left = text[..hyphen].iter().rposition(|byte| *byte == b'.').map_or(0, |dot| dot + 1);
    let tail = &text[hyphen + 1..];
    let right = tail.iter().position(|byte| *byte == b'.').unwrap_or(tail.len());
    Some(Address::Range {
        before: &text[..left],
        low: number(&text[left..hyphen])?,
        high: number(&tail[..right])?.min(255),
        after: &tail[right..],
    })
}

/// Digits as a number, none as 0, too many as the biggest there is.
fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        Some(number.saturating_mul(10).saturating_add(digit))
    })
}

/// The start of an IPv6 address as text: `2001:db8:`.
fn is_text_prefix(text: &[u8]) -> bool {
    text.ends_with(b":") && text.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b':')
}

/// An address in usual text. IPv4-mapped IPv6 is IPv4.
pub fn ip(text: &[u8]) -> Option<IpAddr> {
    parse_ip(text).map(unmapped)
}

fn parse_ip(text: &[u8]) -> Option<IpAddr> {
    str::from_utf8(text).ok()?.parse().ok()
}

fn unmapped(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

/// The texts under which one address may be found, most canonical first: RFC 5952; for IPv6 eight
/// full groups in upper case, as tcpserver of ucspi-tcp6 has it; and, where it differs, the text of
/// the IPv6 patch of ucspi-tcp 0.88, which shortens the first zeros, be they one group or more.
pub fn spellings(ip: IpAddr) -> Vec<Vec<u8>> {
    let canonical = ip.to_string().into_bytes();
    let IpAddr::V6(ip) = ip else {
        return vec![canonical];
    };
    let mut texts = vec![canonical];
    for other in [in_full(ip), first_zeros_shortened(ip)] {
        if !texts.contains(&other) {
            texts.push(other);
        }
    }
    texts
}

/// `2001:0DB8:0000:0000:0000:0000:0000:0001`.
fn in_full(ip: Ipv6Addr) -> Vec<u8> {
    ip.segments().map(|group| format!("{group:04X}")).join(":").into_bytes()
}

/// The first group of zeros, and those right after it, as `::`.
fn first_zeros_shortened(ip: Ipv6Addr) -> Vec<u8> {
    let groups = ip.segments();
    let Some(start) = groups.iter().position(|group| *group == 0) else {
        return ip.to_string().into_bytes();
    };
    let zeros = groups[start..].iter().take_while(|group| **group == 0).count();
    let text =
        |groups: &[u16]| groups.iter().map(|g| format!("{g:x}")).collect::<Vec<_>>().join(":");
    format!("{}::{}", text(&groups[..start]), text(&groups[start + zeros..])).into_bytes()
}

/// Makes `key` these bytes.
pub(crate) fn set(key: &mut Vec<u8>, bytes: &[u8]) {
    key.clear();
    key.extend_from_slice(bytes);
}

/// Appends a number in decimal. Formatting by the library is most of the time that a range takes.
pub(crate) fn put_number(key: &mut Vec<u8>, number: u64) {
    if number > 9 {
        put_number(key, number / 10);
    }
    key.push(b'0' + (number % 10) as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The keys of an address, blank-separated, or `bad`.
    fn keys(text: &str) -> String {
        let Some(address) = Address::parse(text.as_bytes()) else {
            return "bad".into();
        };
        let mut all = Vec::new();
        let done: Result<(), ()> = address.each_key(&mut Vec::new(), |key| {
            all.push(String::from_utf8_lossy(key).into_owned());
            Ok(())
        });
        done.unwrap();
        all.join(" ")
    }

    #[test]
    fn most_text_is_its_own_key() {
        for text in ["1.2.3.4", "1.2.", "=a-b.example", "=", "", "a-b@1.2.3.4", "a/b@=c", "1.2 "] {
            assert_eq!(keys(text), text);
        }
    }

    #[test]
    fn ranges_count_and_keep_what_is_around_them() {
        assert_eq!(keys("1.2.3.37-39"), "1.2.3.37 1.2.3.38 1.2.3.39");
        assert_eq!(keys("10.02-3."), "10.2. 10.3.");
        assert_eq!(
            (keys("254-999."), keys("-1"), keys("1-")),
            ("254. 255.".into(), "0 1".into(), "".into())
        );
        assert_eq!(keys("99999999999999999999-3"), "");
        for text in ["host-1.example", "1.2.3.4-6-8", "1.2-3/8", "1-2:", "::1-2", "1.2-x"] {
            assert_eq!(keys(text), "bad", "{text}");
        }
    }

    #[test]
    fn an_ipv6_address_has_two_keys_however_it_is_spelled() {
        let both = "2001:db8::1 2001:0DB8:0000:0000:0000:0000:0000:0001";
        assert_eq!(keys("2001:db8::1"), both);
        assert_eq!(keys("2001:0DB8:0:0::0001"), both);
        assert_eq!(keys("me@::"), "me@:: me@0000:0000:0000:0000:0000:0000:0000:0000");
        assert_eq!(
            (keys("::ffff:1.2.3.4"), keys("a@::FFFF:102:304")),
            ("1.2.3.4".into(), "a@1.2.3.4".into())
        );
        assert_eq!((keys("2001:db8:"), keys("fe80::g:")), ("2001:db8:".into(), "bad".into()));
        for text in ["1:2", "a:b@1.2.3.4", "=a:b", "1.2.3.4:", "x@1.2.3.0/24", "=1.2.3.0/24"] {
            assert_eq!(keys(text), "bad", "{text}");
        }
    }

    #[test]
    fn one_address_has_up_to_three_spellings() {
        let of = |text: &str| {
            let texts = spellings(text.parse().unwrap());
            texts.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect::<Vec<_>>()
        };
        assert_eq!(of("192.0.2.1"), ["192.0.2.1"]);
        assert_eq!(of("::1"), ["::1", "0000:0000:0000:0000:0000:0000:0000:0001"]);
        assert_eq!(of("::1.2.3.4")[0], "::102:304");
        assert_eq!(of("1:0:2:3:4:5:6:7")[0], "1:0:2:3:4:5:6:7");
        assert_eq!(of("1:0:2:3:4:5:6:7")[2], "1::2:3:4:5:6:7");
        assert_eq!(of("0:1:2:3:4:5:6:0")[2], "::1:2:3:4:5:6:0");
        assert_eq!(of("1:0:0:2::")[0], "1:0:0:2::");
        assert_eq!(of("1:0:0:2::")[2], "1::2:0:0:0:0");
        assert_eq!(of("1:2:3:4:5:6:7:8").len(), 2);
    }
}
