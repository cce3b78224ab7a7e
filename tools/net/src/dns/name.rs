//! Domain names: dotted text, the wire, and the names under which addresses are looked up.

use domain::base::{Name, ParsedName};
use std::io::Write;
use std::net::IpAddr;

/// The longest label, RFC 1035 2.3.4.
const LABEL: usize = 63;
/// The longest name on the wire, its final zero included, RFC 1035 2.3.4.
const WIRE: usize = 255;

/// The wire form of a dotted name. Empty labels do not count, so a final dot does not matter;
/// `\` takes the next byte as it is, or as up to three octal digits. `None` if a label or the
/// whole is too long.
pub fn to_wire(text: &[u8]) -> Option<Vec<u8>> {
    let mut wire = Vec::with_capacity(text.len() + 2);
    let mut label = Vec::new();
    let mut rest = text;
    loop {
        let next = rest.split_first();
        if matches!(next, None | Some((b'.', _))) && !label.is_empty() {
            if label.len() > LABEL || wire.len() + label.len() + 2 > WIRE {
                return None;
            }
            wire.push(label.len() as u8);
            wire.append(&mut label);
        }
        rest = match next {
            None => break,
            Some((b'.', after)) => after,
            Some((b'\\', after)) => unescaped(after, &mut label),
            Some((byte, after)) => {
                label.push(*byte);
                after
            }
        };
    }
    wire.push(0);
    Some(wire)
}

/// Reads what follows a backslash; gives the rest.
fn unescaped<'a>(text: &'a [u8], label: &mut Vec<u8>) -> &'a [u8] {
    let digits = text.iter().take(3).take_while(|c| matches!(c, b'0'..=b'7')).count();
    let (octal, rest) = text.split_at(digits);
    match (octal, rest) {
        ([], []) => rest,
        ([], [byte, after @ ..]) => {
            label.push(*byte);
            after
        }
        _ => {
            label.push(octal.iter().fold(0u8, |n, c| n.wrapping_mul(8).wrapping_add(c - b'0')));
            rest
        }
    }
}

/// A name as text: lower case, labels joined by dots, `\ooo` for a byte that is not a letter, a
/// digit, `-` or `_`, no final dot. The root is empty.
pub fn text(name: &ParsedName<&[u8]>) -> Vec<u8> {
    let mut text = Vec::new();
    for label in name.iter().map(|label| label.as_slice()).filter(|label| !label.is_empty()) {
        if !text.is_empty() {
            text.push(b'.');
        }
        for byte in label.to_ascii_lowercase() {
            match byte {
                b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => text.push(byte),
                // Writing to a Vec cannot fail.
                _ => drop(write!(text, "\\{byte:03o}")),
            }
        }
    }
    text
}

/// Whether a name of an answer is the one that was asked for; case does not matter.
pub fn same(name: &ParsedName<&[u8]>, wire: &[u8]) -> bool {
    Name::from_octets(wire).is_ok_and(|asked| *name == asked)
}

/// The name whose PTR record names an address: `4.3.2.1.in-addr.arpa`, nibbles for IPv6.
pub fn reverse(address: IpAddr) -> Vec<u8> {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa").into_bytes()
        }
        IpAddr::V6(v6) => {
            let nibbles = v6.octets().into_iter().rev().flat_map(|byte| [byte & 15, byte >> 4]);
            let digits: String = nibbles.map(|nibble| format!("{nibble:x}.")).collect();
            (digits + "ip6.arpa").into_bytes()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_make_labels_and_backslashes_take_bytes_as_they_are() {
        let wire = |text: &str| to_wire(text.as_bytes());
        assert_eq!(wire("a.bc"), Some(b"\x01a\x02bc\0".to_vec()));
        assert_eq!(wire("..a..bc.."), wire("a.bc"));
        assert_eq!(wire(""), Some(vec![0]));
        // One label of eight bytes: `a . b \ A A 2 NUL`.
        assert_eq!(wire(r"a\.b\\\101\1012\0.\"), Some(b"\x08a.b\\AA2\0\0".to_vec()));
    }

    #[test]
    fn long_labels_and_names_are_refused() {
        assert!(to_wire("a".repeat(63).as_bytes()).is_some());
        assert!(to_wire("a".repeat(64).as_bytes()).is_none());
        assert!(to_wire("a.".repeat(127).as_bytes()).is_some());
        assert!(to_wire("a.".repeat(128).as_bytes()).is_none());
    }

    #[test]
    fn reverse_names_have_octets_or_nibbles() {
        let of = |ip: &str| String::from_utf8(reverse(ip.parse().unwrap())).unwrap();
        assert_eq!(of("1.2.3.4"), "4.3.2.1.in-addr.arpa");
        assert_eq!(of("::ffff:1.2.3.4"), "4.3.2.1.in-addr.arpa");
        assert_eq!(of("2001:db8::1f"), format!("f.1.{}8.b.d.0.1.0.0.2.ip6.arpa", "0.".repeat(22)));
    }
}
