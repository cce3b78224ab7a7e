//! PROXY protocol headers, versions 1 and 2: by them a proxy tells a server who is calling.
//! <https://www.haproxy.org/download/2.6/doc/proxy-protocol.txt>

use base::number::decimal;
use memchr::memmem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// How version 1 begins.
const ONE: &[u8] = b"PROXY ";
/// How version 2 begins.
const TWO: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The shortest header of version 1 is `PROXY UNKNOWN` CRLF,
const ONE_LEAST: usize = 15;
/// the longest is said to fit in 108 bytes with the NUL of a C string.
const ONE_MOST: usize = 107;
/// Version 2 has so many bytes before its addresses.
const TWO_LEAST: usize = 16;

const NO_SIGNATURE: &str = "no signature";
const LONG_LINE: &str = "line too long";
const BAD_LINE: &str = "bad line";
const BAD_ADDRESS: &str = "bad address";
const BAD_PORT: &str = "bad port";
const BAD_COMMAND: &str = "unknown version or command";
const BAD_FAMILY: &str = "unknown address family or transport";
const SHORT_BLOCK: &str = "address block too short";
const BROKEN_TLV: &str = "broken TLV";

/// Types of TLVs, and of those inside [`SSL`].
const AUTHORITY: u8 = 0x02;
const SSL: u8 = 0x20;
const SSL_VERSION: u8 = 0x21;
const SSL_NAME: u8 = 0x22;
const SSL_CIPHER: u8 = 0x23;

/// Which versions may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Versions {
    /// 1 or 2.
    Both,
    /// 1 alone.
    One,
    /// 2 alone.
    Two,
}

/// What a header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Header {
    /// Nothing about the connection: the proxy speaks for itself, or of no TCP connection.
    Nothing,
    /// Who is calling.
    Caller {
        /// The caller's end.
        remote: SocketAddr,
        /// The end that the caller knows.
        local: SocketAddr,
        /// Further facts, as variables.
        facts: Vec<(&'static str, Vec<u8>)>,
    },
}

/// What to do after some bytes of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The header goes on for at least so many bytes, so that it is safe to read them.
    More(usize),
    /// These bytes were the header.
    Done(Header),
    /// No header begins like this, for this reason.
    Invalid(&'static str),
}

/// Looks at the first bytes of a connection: as many as [`Step::More`] asked for, or fewer.
pub fn read(bytes: &[u8], versions: Versions) -> Step {
    let begins = |signature: &[u8]| bytes.iter().zip(signature).all(|(byte, sign)| byte == sign);
    let step = if versions != Versions::Two && begins(ONE) {
        read_one(bytes)
    } else if versions != Versions::One && begins(TWO) {
        read_two(bytes)
    } else {
        Err(NO_SIGNATURE)
    };
    step.unwrap_or_else(Step::Invalid)
}

fn read_one(bytes: &[u8]) -> Result<Step, &'static str> {
    match memmem::find(bytes, b"\r\n") {
        Some(end) if end + 2 == bytes.len() => read_line(&bytes[..end]).map(Step::Done),
        Some(_) => Err(BAD_LINE),
        None if bytes.len() >= ONE_MOST => Err(LONG_LINE),
        None => Ok(Step::More(least_rest(bytes).min(ONE_MOST - bytes.len()))),
    }
}

/// So many bytes at least are still to come in a line.
fn least_rest(line: &[u8]) -> usize {
    if line.last() == Some(&b'\r') {
        return 1;
    }
    // A blank and one byte for each field that is missing.
    let blanks = line.iter().filter(|byte| **byte == b' ').count();
    let fields = if line.starts_with(b"PROXY TCP") { 5usize.saturating_sub(blanks) } else { 0 };
    (2 * fields + 2).max(ONE_LEAST.saturating_sub(line.len()))
}

/// `PROXY TCP4 SOURCE DESTINATION SOURCEPORT DESTINATIONPORT`.
fn read_line(line: &[u8]) -> Result<Header, &'static str> {
    if line.starts_with(b"PROXY UNKNOWN") {
        return Ok(Header::Nothing);
    }
    let fields: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let [_, protocol, source, destination, source_port, destination_port] = fields[..] else {
        return Err(BAD_LINE);
    };
    let address: fn(&str) -> Option<IpAddr> = match protocol {
        b"TCP4" => |text| Some(text.parse::<Ipv4Addr>().ok()?.into()),
        b"TCP6" => |text| Some(text.parse::<Ipv6Addr>().ok()?.into()),
        _ => return Err(BAD_LINE),
    };
    let end = |ip: &[u8], number: &[u8]| {
        let ip = std::str::from_utf8(ip).ok().and_then(address).ok_or(BAD_ADDRESS)?;
        Ok(SocketAddr::new(ip, port(number).ok_or(BAD_PORT)?))
    };
    let (remote, local) = (end(source, source_port)?, end(destination, destination_port)?);
    Ok(Header::Caller { remote, local, facts: Vec::new() })
}

/// Digits without leading zeros.
fn port(text: &[u8]) -> Option<u16> {
    let port: u16 = decimal(text)?.try_into().ok()?;
    (port.to_string().as_bytes() == text).then_some(port)
}

fn read_two(bytes: &[u8]) -> Result<Step, &'static str> {
    let Some((head, block)) = bytes.split_at_checked(TWO_LEAST) else {
        return Ok(Step::More(TWO_LEAST - bytes.len()));
    };
    let [.., command, protocol, high, low] = *head else { return Err(NO_SIGNATURE) };
    let (family, transport) = (protocol >> 4, protocol & 15);
    match command {
        0x20 => {}
        0x21 if family > 3 || transport > 2 => return Err(BAD_FAMILY),
        0x21 => {}
        _ => return Err(BAD_COMMAND),
    }
    let size = usize::from(u16::from_be_bytes([high, low]));
    if block.len() < size {
        return Ok(Step::More(size - block.len()));
    }
    if command == 0x20 || family == 0 || transport == 0 {
        return Ok(Step::Done(Header::Nothing));
    }
    read_block(block, family, transport).map(Step::Done)
}

/// Addresses, ports, and TLVs.
fn read_block(block: &[u8], family: u8, transport: u8) -> Result<Header, &'static str> {
    let (ends, tlvs) = match family {
        1 => ends::<4>(block),
        2 => ends::<16>(block),
        _ => block.split_at_checked(2 * 108).map(|(_, tlvs)| (None, tlvs)),
    }
    .ok_or(SHORT_BLOCK)?;
    let facts = facts(tlvs).ok_or(BROKEN_TLV)?;
    Ok(match ends {
        Some((remote, local)) if transport == 1 => Header::Caller { remote, local, facts },
        _ => Header::Nothing,
    })
}

type Ends = (SocketAddr, SocketAddr);

/// Source, destination, and their ports; then what follows. `None` if the block is too short.
fn ends<const N: usize>(block: &[u8]) -> Option<(Option<Ends>, &[u8])>
where
    IpAddr: From<[u8; N]>,
{
    let (source, rest) = block.split_first_chunk::<N>()?;
    let (destination, rest) = rest.split_first_chunk::<N>()?;
    let (source_port, rest) = rest.split_first_chunk::<2>()?;
    let (destination_port, rest) = rest.split_first_chunk::<2>()?;
    let remote = SocketAddr::new((*source).into(), u16::from_be_bytes(*source_port));
    let local = SocketAddr::new((*destination).into(), u16::from_be_bytes(*destination_port));
    Some((Some((remote, local)), rest))
}

/// The TLVs that have a variable, those of [`SSL`] included. `None` if one is cut off.
fn facts(tlvs: &[u8]) -> Option<Vec<(&'static str, Vec<u8>)>> {
    let mut facts = Vec::new();
    each_tlv(tlvs, |kind, value| {
        match kind {
            AUTHORITY => facts.push(("SSL_TLS_SNI_SERVERNAME", value.to_vec())),
            SSL => {
                // Flags, and whether the certificate was verified.
                let (_, inner) = value.split_at_checked(5)?;
                each_tlv(inner, |kind, value| {
                    let name = match kind {
                        SSL_VERSION => "SSL_PROTOCOL",
                        SSL_NAME => "SSL_PEER_CERT_CN",
                        SSL_CIPHER => "SSL_CIPHER",
                        _ => return Some(()),
                    };
                    facts.push((name, value.to_vec()));
                    Some(())
                })?;
            }
            _ => {}
        }
        Some(())
    })?;
    Some(facts)
}

/// Calls `take` with the type and the value of each.
fn each_tlv<'a>(
    mut tlvs: &'a [u8],
    mut take: impl FnMut(u8, &'a [u8]) -> Option<()>,
) -> Option<()> {
    while !tlvs.is_empty() {
        let ([kind, high, low], rest) = tlvs.split_first_chunk::<3>()?;
        let (value, rest) = rest.split_at_checked(u16::from_be_bytes([*high, *low]).into())?;
        take(*kind, value)?;
        tlvs = rest;
    }
    Some(())
}

/// A header of version 1 for a caller and the end that it called. `None`: nothing is known.
pub fn one(ends: Option<Ends>) -> Vec<u8> {
    match ends.map(alike) {
        None => b"PROXY UNKNOWN\r\n".to_vec(),
        Some((remote, local)) => {
            let (source, destination) = (remote.ip(), local.ip());
            let protocol = if source.is_ipv4() { "TCP4" } else { "TCP6" };
            let (from, to) = (remote.port(), local.port());
            format!("PROXY {protocol} {source} {destination} {from} {to}\r\n").into_bytes()
        }
    }
}

/// A header of version 2, as [`one`].
pub fn two(ends: Option<Ends>) -> Vec<u8> {
    let (command, protocol, mut block) = match ends.map(|(from, to)| (from.ip(), to.ip())) {
        None => (0x20, 0x00, Vec::new()),
        Some((IpAddr::V4(from), IpAddr::V4(to))) => {
            (0x21, 0x11, [from.octets(), to.octets()].concat())
        }
        Some((from, to)) => (0x21, 0x21, [v6(from).octets(), v6(to).octets()].concat()),
    };
    if let Some((remote, local)) = ends {
        block.extend(remote.port().to_be_bytes());
        block.extend(local.port().to_be_bytes());
    }
    // At most 36.
    [TWO, &[command, protocol, 0, block.len() as u8], &block].concat()
}

/// Both ends in one family.
fn alike((remote, local): Ends) -> Ends {
    if remote.is_ipv4() == local.is_ipv4() {
        return (remote, local);
    }
    let six = |end: SocketAddr| SocketAddr::new(v6(end.ip()).into(), end.port());
    (six(remote), six(local))
}

fn v6(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

#[cfg(test)]
mod tests;
