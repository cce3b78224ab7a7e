//! Which keys may hold the rule for a connection, and in which order.

use crate::address::{self, set};
use crate::network::{Network, bits};
use std::ops::ControlFlow;

/// The other end of a connection, as the environment of a program has it.
#[derive(Clone, Copy, Debug)]
pub struct Peer<'a> {
    /// `TCPREMOTEIP`: IPv4 or IPv6 in any spelling; a zone (`%eth0`) does not count.
    pub ip: &'a [u8],
    /// `TCPREMOTEHOST`, if it is known.
    pub host: Option<&'a [u8]>,
    /// `TCPREMOTEINFO`, if it is known.
    pub info: Option<&'a [u8]>,
}

/// The lengths of the networks that are to be tried, in bits, longest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lengths {
    /// IPv4: 0..=32.
    pub four: Vec<u8>,
    /// IPv6: 0..=128.
    pub six: Vec<u8>,
}

impl Lengths {
    /// Every length there is.
    pub fn all() -> Self {
        Lengths { four: (0..=32).rev().collect(), six: (0..=128).rev().collect() }
    }
}

/// Offers each key that may hold the rule for this peer, best first, until one is taken
/// (`Break`). Rules are not merged: whoever finds the first record has the rule.
pub fn each_key<B>(
    peer: &Peer,
    lengths: &Lengths,
    mut offer: impl FnMut(&[u8]) -> ControlFlow<B>,
) -> ControlFlow<B> {
    let text = peer.ip.split(|byte| *byte == b'%').next().unwrap_or_default();
    let ip = address::ip(text);
    let texts = ip.map_or_else(|| vec![peer.ip.to_vec()], address::spellings);
    let canonical = texts.first().map_or(peer.ip, Vec::as_slice);
    let mut named = peer.host.map(|host| [b"=", host].concat());
    let mut key = Vec::with_capacity(128);

    if let Some(info) = peer.info {
        for who in texts.iter().map(Vec::as_slice).chain(named.as_deref()) {
            set(&mut key, info);
            key.push(b'@');
            key.extend_from_slice(who);
            offer(&key)?;
        }
    }
    for text in &texts {
        offer(text)?;
    }
    if let Some(host) = &named {
        offer(host)?;
    }
    for end in (1..=canonical.len()).rev() {
        if matches!(canonical[end - 1], b'.' | b':') {
            offer(&canonical[..end])?;
        }
    }
    if let Some(ip) = ip {
        let (bits, lengths) = (bits(ip), if ip.is_ipv4() { &lengths.four } else { &lengths.six });
        for length in lengths {
            offer(&bits[..=usize::from(*length)])?;
        }
    }
    if let Some(host) = &mut named {
        for dot in 1..host.len() {
            if host[dot] == b'.' {
                // In place: what is before a dot is in none of the keys that follow.
                host[dot - 1] = b'=';
                offer(&host[dot - 1..])?;
            }
        }
        offer(b"=")?;
    }
    offer(b"")
}

/// A key as people write it: bits as `10.0.0.0/8`, a full IPv6 address in canonical text.
pub fn shown(key: &[u8]) -> Vec<u8> {
    if let Some(network) = Network::from_bits(key) {
        return network.to_string().into_bytes();
    }
    let start = key.iter().rposition(|byte| *byte == b'@').map_or(0, |at| at + 1);
    let (info, rest) = key.split_at(start);
    match address::ip(rest) {
        Some(ip) => [info, ip.to_string().as_bytes()].concat(),
        None => key.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All keys, `|` after each.
    fn all(ip: &str, host: Option<&str>, info: Option<&str>, lengths: &Lengths) -> String {
        let mut seen = String::new();
        let (host, info) = (host.map(str::as_bytes), info.map(str::as_bytes));
        let peer = Peer { ip: ip.as_bytes(), host, info };
        let _ = each_key::<()>(&peer, lengths, |key| {
            seen += &String::from_utf8_lossy(key);
            seen.push('|');
            ControlFlow::Continue(())
        });
        seen
    }

    fn none() -> Lengths {
        Lengths { four: Vec::new(), six: Vec::new() }
    }

    #[test]
    fn the_order_is_that_of_the_original() {
        let order = "me@86.75.30.9|me@=one.two.three|86.75.30.9|=one.two.three|86.75.30.|86.75.|86.|\
                     =.two.three|=.three|=||";
        assert_eq!(all("86.75.30.9", Some("one.two.three"), Some("me"), &none()), order);
        assert_eq!(all("1.2.3.4", None, Some(""), &none()), "@1.2.3.4|1.2.3.4|1.2.3.|1.2.|1.||");
        assert_eq!(all("", Some("a..b."), None, &none()), "|=a..b.|=..b.|=.b.|=.|=||");
        assert_eq!(all("1.2.", Some(".x"), None, &none()), "1.2.|=.x|1.2.|1.|=.x|=||");
    }

    #[test]
    fn ipv6_has_more_spellings_and_its_own_prefixes() {
        let both = "fe80::1|FE80:0000:0000:0000:0000:0000:0000:0001|";
        let expected = format!("{both}=h|fe80::|fe80:|=||");
        assert_eq!(all("FE80:0::01", Some("h"), None, &none()), expected);
        assert_eq!(all("fe80::1%eth0", Some("h"), None, &none()), expected);
        let old = "i@1:0:2:3:4:5:6:7|i@0001:0000:0002:0003:0004:0005:0006:0007|i@1::2:3:4:5:6:7|";
        assert!(all("1:0:2:3:4:5:6:7", None, Some("i"), &none()).starts_with(old));
        let four = all("1.2.3.4", None, None, &Lengths::all());
        assert_eq!(all("::ffff:1.2.3.4", None, None, &Lengths::all()), four);
    }

    #[test]
    fn networks_come_between_prefixes_and_suffixes() {
        let lengths = Lengths { four: vec![9, 8, 0], six: vec![2] };
        assert_eq!(
            all("10.128.3.4", Some("h.x"), None, &lengths),
            "10.128.3.4|=h.x|10.128.3.|10.128.|10.|_0000e0g0i|_0000e0g0|_|=.x|=||"
        );
        assert!(all("2001::", None, None, &lengths).ends_with("|2001:|^00||"));
        assert_eq!(all("1.2.3.4", None, None, &Lengths::all()).matches('_').count(), 33);
        assert_eq!(all("1::2", None, None, &Lengths::all()).matches('^').count(), 129);
        assert_eq!(all("odd", None, None, &Lengths::all()), "odd||");
    }

    #[test]
    fn keys_are_shown_as_they_are_written_in_rules() {
        let seen = |key: &[u8]| String::from_utf8_lossy(&shown(key)).into_owned();
        assert_eq!(seen(b"_0000e0g0"), "10.0.0.0/8");
        assert_eq!(seen(b"a@b@0001:0000:0002:0003:0004:0005:0006:0007"), "a@b@1:0:2:3:4:5:6:7");
        assert_eq!(
            (seen(b"=x"), seen(b"1.2."), seen(b"")),
            ("=x".into(), "1.2.".into(), "".into())
        );
    }
}
