//! Addresses that do not answer: `queue/lock/tcpto` for IPv4, `queue/lock/tcpto6` for IPv6. All
//! qmail-remote processes share them, so that not each one waits for the same dead host.
//!
//! A file is a table of records with a place for the address, then 12 bytes:
//!
//! ```text
//! 0      number of recent time-outs, at most 10; 0: the record is free
//! 4..8   time of the last one, Unix seconds, little-endian
//! ```
//!
//! IPv4 addresses take 4 bytes, so that a record has 16, as the originals know it; IPv6 addresses
//! take 20, the last four being zero, so that a record has 32. Without a file, nothing is
//! remembered.

use base::sys::lock;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The two tables.
const NAMES: [&str; 2] = ["tcpto", "tcpto6"];
/// Bytes of a table: 64 records for IPv4, 32 for IPv6.
const SIZE: usize = 1024;

/// A second time-out within so many seconds is the same one.
const SAME: u64 = 120;
/// So many time-outs make an address one to be avoided.
const DEAD: u8 = 2;
/// No more are counted.
const MOST: u8 = 10;

/// What the table knows of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Nothing.
    None,
    /// It is there.
    Known,
    /// It has timed out again and again, and lately: to be passed over.
    Dead,
}

/// Looks an address up. An address is passed over for an hour or so, a time that differs from
/// process to process so that they do not all try again at once.
pub fn look(folder: &Path, ip: IpAddr, now: u64) -> Entry {
    let Some(table) = Table::open(folder, ip) else { return Entry::None };
    let Some(record) = table.records().find(|record| record.address == table.address) else {
        return Entry::None;
    };
    let pause = (60 + u64::from(std::process::id() & 31)) * 64;
    if record.count >= DEAD && now.saturating_sub(record.when) < pause {
        Entry::Dead
    } else {
        Entry::Known
    }
}

/// Counts a time-out.
pub fn timed_out(folder: &Path, ip: IpAddr, now: u64) {
    let Some(table) = Table::open(folder, ip) else { return };
    let known = table.records().find(|record| record.address == table.address);
    let (place, count) = match known {
        Some(record) if record.count > 0 && now < record.when + SAME => return,
        Some(record) => (Some(record.place), record.count.saturating_add(1).min(MOST)),
        None => (table.least_missed(), 1),
    };
    if let Some(place) = place {
        table.write(place, count, now);
    }
}

/// Forgets the time-outs of an address that is [`Entry::Known`].
pub fn answered(folder: &Path, ip: IpAddr) {
    let Some(table) = Table::open(folder, ip) else { return };
    if let Some(record) = table.records().find(|record| record.address == table.address) {
        table.write(record.place, 0, record.when);
    }
}

/// Time-outs of one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeOuts {
    /// The address.
    pub ip: IpAddr,
    /// How many there were lately, at least one.
    pub count: u8,
    /// When the last one was, in Unix seconds.
    pub when: u64,
}

/// All time-outs that are known: those of IPv4 addresses, then those of IPv6, for which there
/// need not be a table.
pub fn all(folder: &Path) -> io::Result<Vec<TimeOuts>> {
    let mut all = Vec::new();
    for any in [IpAddr::from([0; 4]), IpAddr::from([0u16; 8])] {
        let table = match Table::read(folder, any) {
            Err(why) if any.is_ipv6() && why.kind() == io::ErrorKind::NotFound => break,
            table => table?,
        };
        all.extend(table.records().filter(|record| record.count > 0).filter_map(|record| {
            let ip = match any {
                IpAddr::V4(_) => IpAddr::from(<[u8; 4]>::try_from(record.address).ok()?),
                IpAddr::V6(_) => IpAddr::from(*record.address.first_chunk::<16>()?),
            };
            Some(TimeOuts { ip, count: record.count, when: record.when })
        }));
    }
    Ok(all)
}

/// Forgets everything. Files that are not there are not made.
pub fn forget(folder: &Path) -> io::Result<()> {
    NAMES.iter().try_for_each(|name| match open(&folder.join(name)) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(()),
        file => file?.write_all_at(&[0; SIZE], 0),
    })
}

/// Opens a table and waits for its lock, which ends when it is dropped.
fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    lock::exclusive(file.as_fd())?;
    Ok(file)
}

/// The table for the family of one address, locked.
struct Table {
    file: File,
    bytes: Vec<u8>,
    /// As it stands in records.
    address: Vec<u8>,
}

/// One record.
struct Record<'a> {
    /// Its number.
    place: usize,
    address: &'a [u8],
    count: u8,
    when: u64,
}

impl Table {
    fn open(folder: &Path, ip: IpAddr) -> Option<Self> {
        Table::read(folder, ip).ok()
    }

    fn read(folder: &Path, ip: IpAddr) -> io::Result<Self> {
        let [v4, v6] = NAMES;
        let (name, address) = match ip {
            IpAddr::V4(ip) => (v4, ip.octets().to_vec()),
            IpAddr::V6(ip) => (v6, [&ip.octets()[..], &[0; 4]].concat()),
        };
        let file = open(&folder.join(name))?;
        let mut bytes = Vec::with_capacity(SIZE);
        (&file).take(SIZE as u64).read_to_end(&mut bytes)?;
        Ok(Table { file, bytes, address })
    }

    /// All whole records.
    fn records(&self) -> impl Iterator<Item = Record<'_>> {
        let width = self.address.len();
        self.bytes.chunks_exact(width + 12).enumerate().filter_map(move |(place, bytes)| {
            let (address, rest) = bytes.split_at_checked(width)?;
            let when: [u8; 4] = rest.get(4..8)?.try_into().ok()?;
            let when = u64::from(u32::from_le_bytes(when));
            Some(Record { place, address, count: rest[0], when })
        })
    }

    /// The record for a new address: a free one, else the one whose time-outs are fewest and
    /// longest ago.
    fn least_missed(&self) -> Option<usize> {
        let free = self.records().find(|record| record.count == 0);
        let worth = |record: &Record| record.when + 1024 * u64::from(record.count);
        free.or_else(|| self.records().min_by_key(worth)).map(|record| record.place)
    }

    /// Writes the record of our address. What goes wrong is forgotten, not more.
    fn write(&self, place: usize, count: u8, when: u64) {
        let mut record = self.address.clone();
        record.extend([count, 0, 0, 0]);
        record.extend((when as u32).to_le_bytes());
        record.extend([0; 4]);
        let _ = self.file.write_all_at(&record, (place * record.len()) as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::PathBuf;

    /// A folder with both tables, of this many records each; removed by the test.
    fn folder(name: &str, records: usize) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("tcpto-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("tcpto"), vec![0; records * 16]).unwrap();
        fs::write(folder.join("tcpto6"), vec![0; records * 32]).unwrap();
        folder
    }

    #[test]
    fn two_time_outs_make_an_address_dead_for_an_hour_or_so() {
        let folder = folder("dead", 32);
        for ip in ["192.0.2.7", "2001:db8::7"].map(|ip| ip.parse::<IpAddr>().unwrap()) {
            let seen = |now| look(&folder, ip, now);
            assert_eq!(seen(1_000_000), Entry::None);
            timed_out(&folder, ip, 1_000_000);
            timed_out(&folder, ip, 1_000_119);
            assert_eq!(seen(1_000_119), Entry::Known);
            timed_out(&folder, ip, 1_000_120);
            assert_eq!([1_000_120, 1_003_120, 1_003_959].map(seen), [Entry::Dead; 3]);
            assert_eq!(seen(1_006_000), Entry::Known);
            let known = TimeOuts { ip, count: 2, when: 1_000_120 };
            assert!(all(&folder).unwrap().contains(&known));
            answered(&folder, ip);
            assert_eq!(seen(1_000_120), Entry::Known);
            timed_out(&folder, ip, 1_000_121);
            assert_eq!(seen(1_000_121), Entry::Known);
        }
        let bytes = fs::read(folder.join("tcpto")).unwrap();
        let when = 1_000_121u32.to_le_bytes();
        let record = [&[192, 0, 2, 7, 1, 0, 0, 0][..], &when, &[0; 4]].concat();
        assert_eq!(bytes[..16], record);
        forget(&folder).unwrap();
        assert_eq!(fs::read(folder.join("tcpto")).unwrap(), [0; 1024]);
        assert_eq!(fs::read(folder.join("tcpto6")).unwrap(), [0; 1024]);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_full_table_loses_the_record_that_is_missed_least() {
        let folder = folder("full", 3);
        let ip = |last: u8| IpAddr::from([192, 0, 2, last]);
        for (last, now) in [(1, 5000), (1, 5200), (2, 5300), (3, 5400)] {
            timed_out(&folder, ip(last), now);
        }
        // 5200 + 2 * 1024, 5300 + 1024, 5400 + 1024
        timed_out(&folder, ip(4), 5500);
        let seen = [1, 2, 3, 4].map(|last| look(&folder, ip(last), 5600));
        assert_eq!(seen, [Entry::Dead, Entry::None, Entry::Known, Entry::Known]);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn without_a_table_nothing_is_remembered() {
        let ip = IpAddr::from([192, 0, 2, 1]);
        let empty = folder("empty", 0);
        for folder in [Path::new("/nonexistent"), &empty] {
            timed_out(folder, ip, 5000);
            timed_out(folder, ip, 6000);
            assert_eq!(look(folder, ip, 6000), Entry::None);
            answered(folder, ip);
            assert!(all(folder).is_ok_and(|all| all.is_empty()) || !folder.exists());
            forget(Path::new("/nonexistent")).unwrap();
        }
        fs::remove_dir_all(&empty).unwrap();
    }
}
