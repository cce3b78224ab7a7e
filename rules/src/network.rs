//! Networks: `10.1.0.0/17`, `2001:db8::/32`, and the keys that stand for them.

use crate::address::{put_number, set};
use base::number;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Starts the key of an IPv4 network, as ucspi-tcp6 writes it.
const FOUR: u8 = b'_';
/// Starts the key of an IPv6 network.
const SIX: u8 = b'^';

/// A network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// The first address; the bits after the prefix are zero.
    ip: IpAddr,
    /// Bits of the prefix: 0..=32 or 0..=128.
    length: u8,
}

impl Network {
    /// Reads `ADDRESS/LENGTH`. What lies beyond the prefix is ignored. An IPv4-mapped network is
    /// the IPv4 one, because a mapped peer is an IPv4 peer.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let slash = text.iter().position(|byte| *byte == b'/')?;
        let ip: IpAddr = str::from_utf8(&text[..slash]).ok()?.parse().ok()?;
        let length = number::decimal(&text[slash + 1..])?;
        match (ip, ip.to_canonical()) {
            (IpAddr::V6(_), four @ IpAddr::V4(_)) if length >= 96 => Self::new(four, length - 96),
            _ => Self::new(ip, length),
        }
    }

    fn new(ip: IpAddr, length: u64) -> Option<Self> {
        let (ip, most) = match ip {
            IpAddr::V4(ip) => {
                let mask = u32::MAX.checked_shl(32 - length.min(32) as u32).unwrap_or(0);
                (IpAddr::V4(Ipv4Addr::from(u32::from(ip) & mask)), 32)
            }
            IpAddr::V6(ip) => {
                let mask = u128::MAX.checked_shl(128 - length.min(128) as u32).unwrap_or(0);
                (IpAddr::V6(Ipv6Addr::from(u128::from(ip) & mask)), 128)
            }
        };
        (length <= most).then_some(Network { ip, length: length as u8 })
    }

    /// Bits of the prefix.
    pub fn length(&self) -> u8 {
        self.length
    }

    /// Whether it is IPv4.
    pub fn is_four(&self) -> bool {
        self.ip.is_ipv4()
    }

    /// Gives each key that tcprules writes, made in `key`. An IPv6 network has one, of bits. An
    /// IPv4 network has up to 256, prefixes in text and addresses, which older programs obey too.
    pub fn each_key<E>(
        &self,
        key: &mut Vec<u8>,
        mut give: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let IpAddr::V4(ip) = self.ip else {
            set(key, &self.bits());
            return give(key);
        };
        let parts = usize::from(self.length.div_ceil(8).max(1));
        let octets = ip.octets();
        let (fixed, last) = (&octets[..parts - 1], octets[parts - 1]);
        let free = parts * 8 - usize::from(self.length);
        let most = u16::from(last) + (1 << free) - 1;
        (u16::from(last)..=most).try_for_each(|number| {
            key.clear();
            for octet in fixed {
                put_number(key, u64::from(*octet));
                key.push(b'.');
            }
            put_number(key, u64::from(number));
            if parts < 4 {
                key.push(b'.');
            }
            give(key)
        })
    }

    /// The key of bits.
    pub fn bits(&self) -> Vec<u8> {
        let mut key = bits(self.ip);
        key.truncate(1 + usize::from(self.length));
        key
    }

    /// The network whose key of bits this is.
    pub fn from_bits(key: &[u8]) -> Option<Self> {
        let (first, bits) = key.split_first()?;
        let value = bits.iter().fold(0u128, |value, bit| value << 1 | u128::from(*bit != b'0'));
        let ip = match (*first, bits.len()) {
            (FOUR, length @ 0..=32) => {
                Ipv4Addr::from((value as u32).checked_shl(32 - length as u32).unwrap_or(0)).into()
            }
            (SIX, length @ 0..=128) => {
                Ipv6Addr::from(value.checked_shl(128 - length as u32).unwrap_or(0)).into()
            }
            _ => return None,
        };
        let network = Network { ip, length: bits.len() as u8 };
        (network.bits() == key).then_some(network)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        write!(to, "{}/{}", self.ip, self.length)
    }
}

/// All bits of an address as a key: the key of each of its networks is the first byte and as many
/// of the following as that has bits. A zero is `0`; a one is, in IPv4, the letter of its place,
/// in IPv6, the byte 0x60 plus the number of ones before it.
pub fn bits(ip: IpAddr) -> Vec<u8> {
    /// One for each bit of an IPv4 address.
    const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz123456";
    match ip {
        IpAddr::V4(ip) => {
            let ip = u32::from(ip);
            let bit = |at: usize| if ip << at >> 31 == 1 { LETTERS[at] } else { b'0' };
            [FOUR].into_iter().chain((0..32).map(bit)).collect()
        }
        IpAddr::V6(ip) => {
            let ip = u128::from(ip);
            let mut one = 0x60..;
            let bit = |at: u32| if ip << at >> 127 == 1 { one.next().unwrap_or(0) } else { b'0' };
            [SIX].into_iter().chain((0..128).map(bit)).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Vec<String> {
        let mut all = Vec::new();
        let network = Network::parse(text.as_bytes()).unwrap();
        let done: Result<(), ()> = network.each_key(&mut Vec::new(), |key| {
            all.push(String::from_utf8_lossy(key).into_owned());
            Ok(())
        });
        done.unwrap();
        all
    }

    #[test]
    fn an_ipv4_network_has_classic_keys() {
        assert_eq!(keys("10.77.1.1/8"), ["10."]);
        assert_eq!(
            keys("10.1.20.0/20").join(" "),
            (16..32).map(|n| format!("10.1.{n}.")).collect::<Vec<_>>().join(" ")
        );
        assert_eq!(
            keys("192.0.2.255/30"),
            ["192.0.2.252", "192.0.2.253", "192.0.2.254", "192.0.2.255"]
        );
        assert_eq!(
            (keys("1.2.3.4/32"), keys("1.2.3.4/24")),
            (vec!["1.2.3.4".into()], vec!["1.2.3.".into()])
        );
        let all = keys("1.2.3.4/0");
        assert_eq!((all.len(), &all[0][..], &all[255][..]), (256, "0.", "255."));
        assert_eq!(keys("128.0.0.0/1").len(), 128);
        assert_eq!(keys("::ffff:10.0.0.0/104"), ["10."]);
    }

    #[test]
    fn an_ipv6_network_has_one_key_of_bits() {
        assert_eq!(keys("2001:db8:ffff::/32"), ["^00`000000000000a0000bc0de0fgh000"]);
        assert_eq!((keys("1::/0"), keys("8000::/1")), (vec!["^".into()], vec!["^`".into()]));
        let last = Network::parse(b"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128").unwrap();
        assert_eq!((last.bits().len(), last.bits()[128]), (129, 0xdf));
    }

    #[test]
    fn bits_become_text_again() {
        let shown = |key: &[u8]| Network::from_bits(key).map(|network| network.to_string());
        assert_eq!(shown(b"_0000e0g0").as_deref(), Some("10.0.0.0/8"));
        assert_eq!(shown(b"_").as_deref(), Some("0.0.0.0/0"));
        assert_eq!(shown(b"^00`000000000000a0000bc0de0fgh000").as_deref(), Some("2001:db8::/32"));
        for key in
            [&b"_b"[..], b"^a", b"", b"x", b"_000000000000000000000000000000000", b"_0000e0g1"]
        {
            assert_eq!(shown(key), None);
        }
        for text in ["255.255.255.255/32", "0.0.0.0/0", "172.16.0.0/12", "::/0", "fe80::/10"] {
            let network = Network::parse(text.as_bytes()).unwrap();
            assert_eq!(Network::from_bits(&network.bits()), Some(network));
            assert_eq!(network.to_string(), text);
        }
    }

    #[test]
    fn odd_networks_are_none() {
        let odd = [
            "10/8",
            "10.0.0.0/33",
            "10.0.0.0/",
            "/8",
            "10.0.0.0/-1",
            "010.0.0.0/8",
            "::/129",
            "1.2.3.4/8/8",
            "1.2.3.256/8",
            "::ffff:1.2.3.4/129",
            "10.0.0.0/8 ",
        ];
        assert!(odd.iter().all(|text| Network::parse(text.as_bytes()).is_none()));
    }
}
