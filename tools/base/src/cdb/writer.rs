//! Writing a constant database.

use super::{HEAD, hash};
use crate::out::Out;
use crate::sys::fd::close_written;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// Bytes kept before a write.
const BUFFER: usize = 65536;

/// A database that is being written. Nobody finds anything in it before [`Writer::finish`].
pub struct Writer {
    file: File,
    buffer: Vec<u8>,
    /// Where the next record goes. Positions are 32 bits wide: a bigger file is refused.
    position: u32,
    /// Hash and position of every record.
    records: Vec<(u32, u32)>,
}

impl Writer {
    /// Creates or truncates the file, mode 0644 less the umask.
    pub fn create(path: &Path) -> io::Result<Self> {
        let file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(path)?;
        // Room for the head, which is written last: until then the file is no database.
        let buffer = vec![0; HEAD as usize];
        Ok(Writer { file, buffer, position: HEAD, records: Vec::new() })
    }

    /// Adds a record. The same key may be added again; the first one is found.
    pub fn add(&mut self, key: &[u8], data: &[u8]) -> io::Result<()> {
        let (key_size, data_size) = (size(key.len())?, size(data.len())?);
        let next =
            [8, key_size, data_size].iter().try_fold(self.position, |n, s| n.checked_add(*s));
        let next = next.ok_or(ErrorKind::OutOfMemory)?;
        self.records.push((hash(key), self.position));
        self.position = next;
        self.buffer.reserve(8 + key.len() + data.len());
        self.buffer.extend_from_slice(&pair(key_size, data_size));
        self.buffer.extend_from_slice(key);
        self.buffer.extend_from_slice(data);
        self.write_if_full()
    }

    /// Writes the tables and the head and puts the file on disk.
    pub fn finish(mut self) -> io::Result<()> {
        let head = self.tables()?;
        let buffer = std::mem::take(&mut self.buffer);
        self.write(&buffer)?;
        self.file.write_all_at(&head, 0)?;
        self.file.sync_all()?;
        close_written(self.file)
    }

    /// Writes the 256 tables, gives the head. Records are sorted by table, stable, so that slots
    /// are filled in the order of records.
    fn tables(&mut self) -> io::Result<Vec<u8>> {
        let records = std::mem::take(&mut self.records);
        let mut starts = [0usize; 257];
        for (hash, _) in &records {
            starts[(hash & 255) as usize + 1] += 1;
        }
        for table in 0..256 {
            starts[table + 1] += starts[table];
        }
        let mut sorted = vec![(0, 0); records.len()];
        let mut free = starts;
        for record in records {
            let place = &mut free[(record.0 & 255) as usize];
            sorted[*place] = record;
            *place += 1;
        }
        let mut head = Vec::with_capacity(HEAD as usize);
        let mut slots = Vec::new();
        for bounds in starts.windows(2) {
            let records = &sorted[bounds[0]..bounds[1]];
            let count = size(records.len() * 2)?;
            head.extend_from_slice(&pair(self.position, count));
            fill(&mut slots, records);
            self.buffer.extend(slots.iter().flat_map(|(hash, position)| pair(*hash, *position)));
            self.write_if_full()?;
            let bytes = count.checked_mul(8).and_then(|bytes| self.position.checked_add(bytes));
            self.position = bytes.ok_or(ErrorKind::OutOfMemory)?;
        }
        Ok(head)
    }

    fn write_if_full(&mut self) -> io::Result<()> {
        if self.buffer.len() >= BUFFER {
            let mut buffer = std::mem::take(&mut self.buffer);
            self.write(&buffer)?;
            buffer.clear();
            self.buffer = buffer;
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut out = Out::with_size(self.file.as_fd(), 0);
        out.put(bytes)
    }
}

/// Fills one table: each record goes to the first free slot from (hash / 256) mod slots.
fn fill(slots: &mut Vec<(u32, u32)>, records: &[(u32, u32)]) {
    let count = records.len() * 2;
    slots.clear();
    slots.resize(count, (0, 0));
    for record in records {
        let mut slot = (record.0 >> 8) as usize % count;
        while slots[slot].1 != 0 {
            slot = if slot + 1 == count { 0 } else { slot + 1 };
        }
        slots[slot] = *record;
    }
}

/// Two numbers as the format stores them.
fn pair(first: u32, second: u32) -> [u8; 8] {
    (u64::from(second) << 32 | u64::from(first)).to_le_bytes()
}

/// A length as the format stores it.
fn size(length: usize) -> io::Result<u32> {
    u32::try_from(length).map_err(|_| ErrorKind::OutOfMemory.into())
}
