//! Which name servers to ask.

use crate::address;
use std::net::{Ipv4Addr, SocketAddr};

/// No more servers than these are asked.
const MOST: usize = 16;
/// The port of name servers.
const PORT: u16 = 53;

/// Those of `cache` (the value of $DNSCACHEIP), else those of `resolv`, the text of
/// /etc/resolv.conf, else 127.0.0.1.
pub fn choose(cache: Option<&[u8]>, resolv: &[u8]) -> Vec<SocketAddr> {
    let mut servers = cache.map(listed).unwrap_or_default();
    if servers.is_empty() {
        servers = resolv.split(|byte| *byte == b'\n').filter_map(nameserver).collect();
    }
    if servers.is_empty() {
        servers.push((Ipv4Addr::LOCALHOST, PORT).into());
    }
    servers.truncate(MOST);
    servers
}

/// Addresses separated by blanks, commas or, between IPv4 addresses, dots: `127.0.0.1.10.0.0.53`
/// is two. They end at the first that is wrong.
fn listed(list: &[u8]) -> Vec<SocketAddr> {
    let mut servers = Vec::new();
    for word in list.split(|byte| b" \t,".contains(byte)).filter(|word| !word.is_empty()) {
        let fields: Vec<&[u8]> =
            word.split(|byte| *byte == b'.').filter(|f| !f.is_empty()).collect();
        let parts = if word.contains(&b':') {
            vec![word.to_vec()]
        } else {
            fields.chunks(4).map(|four| four.join(&b'.')).collect()
        };
        for part in parts {
            match address::parse(&part, PORT) {
                Some(server) => servers.push(server),
                None => return servers,
            }
        }
    }
    servers
}

/// `nameserver ADDRESS`, whatever follows; other lines give nothing.
fn nameserver(line: &[u8]) -> Option<SocketAddr> {
    let rest = line.strip_prefix(b"nameserver")?;
    rest.first().filter(|byte| b" \t".contains(byte))?;
    let mut words = rest.split(|byte| b" \t\r".contains(byte)).filter(|word| !word.is_empty());
    address::parse(words.next()?, PORT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(cache: Option<&str>, resolv: &str) -> String {
        let servers = choose(cache.map(str::as_bytes), resolv.as_bytes());
        servers.iter().map(|s| s.ip().to_string()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_variable_wins_over_the_file_and_both_over_the_default() {
        assert_eq!(chosen(None, ""), "127.0.0.1");
        assert_eq!(chosen(Some("x"), ""), "127.0.0.1");
        let file = "search a\nnameserver \t10.0.0.1 # one\nnameserverx 9.9.9.9\n\
                    nameserver 10.0.0\nnameserver fe80::1%lo\nnameserver\n";
        assert_eq!(chosen(None, file), "10.0.0.1 fe80::1");
        assert_eq!(chosen(Some(""), file), "10.0.0.1 fe80::1");
        assert_eq!(chosen(Some("127.0.0.2"), file), "127.0.0.2");
    }

    #[test]
    fn the_variable_lists_several() {
        let cache = "127.0.0.1.10.0.0.53,::1 .1.2.3.4. 5.6.7.8.9 1.1.1.1";
        assert_eq!(chosen(Some(cache), ""), "127.0.0.1 10.0.0.53 ::1 1.2.3.4 5.6.7.8");
        assert_eq!(chosen(Some(&"1.1.1.1 ".repeat(20)), "").split(' ').count(), 16);
    }
}
