//! Who is logged in, and where: the records of utmp.

use std::mem::{offset_of, size_of};

/// The file with the records.
pub const FILE: &str = "/var/run/utmp";

/// Bytes of a name in a record.
const ROOM: usize = 32;

/// The terminals where this user is logged in, as files below `/dev`. Half a record at the end
/// is none.
pub fn terminals<'a>(records: &'a [u8], user: &[u8]) -> Vec<&'a [u8]> {
    let all = records.chunks_exact(size_of::<libc::utmpx>());
    let his = all.filter(|record| is_user(record) && name(record) == user);
    his.map(line).collect()
}

fn is_user(record: &[u8]) -> bool {
    let at = offset_of!(libc::utmpx, ut_type);
    record[at..].starts_with(&libc::USER_PROCESS.to_ne_bytes())
}

fn name(record: &[u8]) -> &[u8] {
    text(&record[offset_of!(libc::utmpx, ut_user)..])
}

fn line(record: &[u8]) -> &[u8] {
    text(&record[offset_of!(libc::utmpx, ut_line)..])
}

/// A name up to its NUL; one that fills its room has none.
fn text(bytes: &[u8]) -> &[u8] {
    let room = &bytes[..ROOM];
    &room[..memchr::memchr(0, room).unwrap_or(ROOM)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::tests::Random;

    /// The record of a user on a terminal.
    fn record(kind: libc::c_short, user: &[u8], terminal: &[u8]) -> Vec<u8> {
        let mut record = vec![0; size_of::<libc::utmpx>()];
        let parts = [
            (offset_of!(libc::utmpx, ut_type), &kind.to_ne_bytes()[..]),
            (offset_of!(libc::utmpx, ut_user), user),
            (offset_of!(libc::utmpx, ut_line), terminal),
        ];
        for (at, part) in parts {
            record[at..at + part.len()].copy_from_slice(part);
        }
        record
    }

    #[test]
    fn a_user_has_the_terminals_of_his_records() {
        let (user, dead) = (libc::USER_PROCESS, libc::DEAD_PROCESS);
        let long = [b'x'; ROOM];
        let records = [
            record(user, b"joe", b"tty1"),
            record(user, b"joey", b"tty2"),
            record(dead, b"joe", b"tty3"),
            record(user, b"joe", b"pts/4"),
            record(user, &long, &long),
        ]
        .concat();
        assert_eq!(terminals(&records, b"joe"), [&b"tty1"[..], b"pts/4"]);
        assert_eq!(terminals(&records, &long), [&long[..]]);
        assert_eq!(terminals(&records[..500], b"joe"), [b"tty1"]);
    }

    #[test]
    fn any_bytes_are_records() {
        let mut random = Random::new(29);
        let good = record(libc::USER_PROCESS, b"joe", b"tty1").repeat(3);
        for _ in 0..10_000 {
            assert!(terminals(&random.damaged(&good), b"joe").len() <= 6);
        }
    }
}
