//! What tests of DNS need.
#![allow(clippy::unwrap_used)] // It is for tests only.

use super::message::{Kind, Query};

/// An answer with a CNAME and one record of each kind that is read, names compressed, to a
/// query number 0x1234.
pub fn sample(kind: Kind) -> (Query, Vec<u8>) {
    let query = Query::new(b"www.Example.org", kind).unwrap();
    let mut packet = query.packet(0x1234, false);
    packet[2..8].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 6]);
    let mut record = |owner: &[u8], kind: u8, data: &[u8]| {
        packet.extend(owner);
        packet.extend([0, kind, 0, 1, 0, 0, 0, 60, 0, data.len() as u8]);
        packet.extend(data);
    };
    record(&[0xc0, 12], 5, b"\x04real\xc0\x10");
    record(b"\x04real\xc0\x10", 1, &[127, 0, 0, 9]);
    record(b"\0", 28, &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    record(&[0xc0, 12], 15, b"\x00\x0a\x04Mail\xc0\x10");
    record(&[0xc0, 12], 12, b"\x03a b\xc0\x10");
    record(&[0xc0, 12], 16, b"\x03one\x00\x04 two");
    (query, packet)
}
