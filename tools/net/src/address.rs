//! Addresses as people write them.

use base::number::decimal;
use base::sys::socket;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// Reads an IPv4 or IPv6 address: four decimal numbers, leading zeros allowed, brackets ignored;
/// or IPv6 text, perhaps in brackets, perhaps with the interface that a link-local address holds
/// on (`fe80::1%eth0`). IPv4 in IPv6 form is the IPv4 address.
pub fn parse(text: &[u8], port: u16) -> Option<SocketAddr> {
    let bare: Vec<u8> = text.iter().copied().filter(|byte| !b"[]".contains(byte)).collect();
    if let Some(v4) = v4(&bare) {
        return Some((v4, port).into());
    }
    let mut parts = bare.splitn(2, |byte| *byte == b'%');
    let ip: Ipv6Addr = std::str::from_utf8(parts.next()?).ok()?.parse().ok()?;
    match ip.to_canonical() {
        IpAddr::V4(v4) => Some((v4, port).into()),
        IpAddr::V6(v6) => {
            let scope = parts.next().map_or(Some(0), interface)?;
            Some(SocketAddrV6::new(v6, port, 0, scope).into())
        }
    }
}

/// Whether a text can only be meant as an address, be it right or wrong: digits, dots and
/// brackets, or with a colon.
pub fn is_literal(text: &[u8]) -> bool {
    text.iter().all(|byte| b"0123456789.[]".contains(byte)) || text.contains(&b':')
}

/// The number of an interface that is given by name or number.
pub fn interface(text: &[u8]) -> Option<u32> {
    socket::interface(text).or_else(|| decimal(text)?.try_into().ok())
}

/// Four decimal numbers up to 255, joined by dots.
pub fn v4(text: &[u8]) -> Option<Ipv4Addr> {
    let mut octets = [0; 4];
    let mut fields = text.split(|byte| *byte == b'.');
    for octet in &mut octets {
        *octet = decimal(fields.next()?)?.try_into().ok()?;
    }
    fields.next().is_none().then_some(octets.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        parse(text.as_bytes(), 25).map_or("-".into(), |address| address.to_string())
    }

    #[test]
    fn ipv4_is_four_decimal_numbers() {
        assert_eq!(shown("127.000.000.001"), "127.0.0.1:25");
        assert_eq!(shown("[127.0.0.1]"), "127.0.0.1:25");
        for wrong in ["127.1", "1.2.3.4.5", "1.2.3.256", "1.2.3.", "1.2.3.x", "", "1.2.3.4%lo"] {
            assert_eq!(shown(wrong), "-", "{wrong}");
        }
    }

    #[test]
    fn ipv6_may_have_brackets_and_an_interface() {
        assert_eq!(shown("[2001:DB8:0:0::1]"), "[2001:db8::1]:25");
        assert_eq!(shown("::ffff:1.2.3.4"), "1.2.3.4:25");
        assert_eq!(shown("fe80::1%7"), "[fe80::1%7]:25");
        assert_eq!(shown("fe80::1%lo"), "[fe80::1%1]:25");
        assert_eq!((shown("fe80::1%no such"), shown(":::")), ("-".into(), "-".into()));
    }
}
