//! Where mail goes without asking DNS for mail exchangers: `control/smtproutes`.

use crate::address;
use crate::control::Map;
use base::number;

/// The port of SMTP.
pub const SMTP_PORT: u16 = 25;

/// A host that takes mail for others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relay {
    /// A name, or an address, perhaps in brackets.
    pub host: Vec<u8>,
    /// Its port.
    pub port: u16,
}

/// The relay for mail to `host`: the first of `host`, its `.suffix`es and the empty name that is
/// in the table counts. `None` if there is no entry, or one without a relay. A relay that makes
/// no sense is an error.
pub fn find(routes: &Map, host: &[u8]) -> Result<Option<Relay>, BadRelay> {
    let mut names = address::suffixes(host).chain([&b""[..]]);
    match names.find_map(|name| routes.get(name)) {
        None | Some(b"") => Ok(None),
        Some(relay) => parse(relay).map(Some).ok_or(BadRelay),
    }
}

/// A relay that cannot be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadRelay;

/// `host`, `host:port`, `[address]`, `[address]:port`. The port is cut off at the first colon
/// that is not in brackets.
fn parse(relay: &[u8]) -> Option<Relay> {
    let bracket = if relay.starts_with(b"[") { memchr::memchr(b']', relay)? } else { 0 };
    let colon = memchr::memchr(b':', &relay[bracket..]).map(|at| bracket + at);
    let (host, port) = relay.split_at(colon.unwrap_or(relay.len()));
    let port = match port {
        [] | [b':'] => SMTP_PORT,
        [_, digits @ ..] => number::leading(digits)?.try_into().ok()?,
    };
    Some(Relay { host: host.to_vec(), port })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(host: &str) -> String {
        let lines = [
            "b.example:relay",
            ".B.Example:suffix:2525 x",
            "direct.b.example:",
            "v4:[192.0.2.1]:26",
            "v6:[::1]",
            "v6port:[ipv6:::1]:27",
            "wrong:[::1",
            "big:relay:65536",
            "word:relay:smtp",
            ":",
        ];
        let map = Map::of(&lines.map(|line| line.as_bytes().to_vec()));
        match find(&map, host.as_bytes()) {
            Ok(None) => "-".into(),
            Ok(Some(Relay { host, port })) => {
                format!("{} {port}", String::from_utf8(host).unwrap())
            }
            Err(BadRelay) => "?".into(),
        }
    }

    #[test]
    fn the_longest_name_counts() {
        assert_eq!(shown("B.EXAMPLE"), "relay 25");
        assert_eq!(shown("a.b.example"), "suffix 2525");
        assert_eq!(shown("x.y.b.example"), "suffix 2525");
        assert_eq!(shown("direct.b.example"), "-");
        assert_eq!(shown("c.example"), "-");
        let all = Map::of(&[b":smart.example".to_vec()]);
        let smart = Relay { host: b"smart.example".to_vec(), port: 25 };
        assert_eq!(find(&all, b"c.example"), Ok(Some(smart.clone())));
        assert_eq!(find(&all, b""), Ok(Some(smart)));
        assert_eq!(find(&Map::default(), b"c.example"), Ok(None));
    }

    #[test]
    fn addresses_with_colons_are_in_brackets() {
        assert_eq!(shown("v4"), "[192.0.2.1] 26");
        assert_eq!(shown("v6"), "[::1] 25");
        assert_eq!(shown("v6port"), "[ipv6:::1] 27");
        assert_eq!(["wrong", "big", "word"].map(shown), ["?"; 3]);
    }
}
