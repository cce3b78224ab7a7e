//! Reading a constant database. Every number of the file is checked against its size before it
//! is used; a file that lies gives an error ("protocol error"), never a panic or a big allocation.

use super::{HEAD, hash};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// A database that is open for reading. It reads with pread, so that a file which is cut short
/// meanwhile is an error and not a signal.
pub struct Reader {
    file: File,
    size: u64,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The key.
    pub key: Vec<u8>,
    /// The data.
    pub data: Vec<u8>,
}

impl Reader {
    /// Opens a database by name. A file shorter than the head is a protocol error.
    pub fn open(path: &Path) -> io::Result<Self> {
        Reader::new(File::open(path)?)
    }

    /// Reads from an open file.
    pub fn new(file: File) -> io::Result<Self> {
        let size = file.metadata()?.len();
        if size < u64::from(HEAD) {
            return Err(ErrorKind::InvalidData.into());
        }
        Ok(Reader { file, size })
    }

    /// The data of the first record with this key.
    pub fn find(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let hash = hash(key);
        let (table, slots) = self.pair(u64::from(hash & 255) * 8)?;
        let mut slot = (hash >> 8).checked_rem(slots).unwrap_or(0);
        for _ in 0..slots {
            let (found, position) = self.pair(u64::from(table) + u64::from(slot) * 8)?;
            if position == 0 {
                return Ok(None);
            }
            if found == hash
                && let Some(data) = self.data_if(position, key)?
            {
                return Ok(Some(data));
            }
            slot = if slot + 1 == slots { 0 } else { slot + 1 };
        }
        Ok(None)
    }

    /// All records, in the order in which they were added.
    pub fn records(&self) -> Records<'_> {
        Records { reader: self, at: u64::from(HEAD), failed: false }
    }

    /// The data of the record at this position, if its key is this one.
    fn data_if(&self, position: u32, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let position = u64::from(position);
        let (key_size, data_size) = self.pair(position)?;
        if key_size as usize != key.len() || self.bytes(position + 8, key_size)? != key {
            return Ok(None);
        }
        self.bytes(position + 8 + u64::from(key_size), data_size).map(Some)
    }

    /// Two numbers at this offset.
    fn pair(&self, at: u64) -> io::Result<(u32, u32)> {
        let mut pair = [0; 8];
        self.file.read_exact_at(&mut pair, at).map_err(cut_short)?;
        let [a, b, c, d, e, f, g, h] = pair;
        Ok((u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h])))
    }

    /// Bytes at this offset; they must lie in the file.
    fn bytes(&self, at: u64, count: u32) -> io::Result<Vec<u8>> {
        if at + u64::from(count) > self.size {
            return Err(ErrorKind::InvalidData.into());
        }
        let mut bytes = vec![0; count as usize];
        self.file.read_exact_at(&mut bytes, at).map_err(cut_short)?;
        Ok(bytes)
    }
}

/// A file that ends before what it promises is damaged.
fn cut_short(why: io::Error) -> io::Error {
    if why.kind() == ErrorKind::UnexpectedEof { ErrorKind::InvalidData.into() } else { why }
}

/// The records of a database, in file order. Ends after the first error.
pub struct Records<'a> {
    reader: &'a Reader,
    at: u64,
    failed: bool,
}

impl Records<'_> {
    /// The next record: they end where the first table starts.
    fn read(&mut self) -> io::Result<Option<Record>> {
        let (end, _) = self.reader.pair(0)?;
        if self.at >= u64::from(end) {
            return Ok(None);
        }
        let (key_size, data_size) = self.reader.pair(self.at)?;
        let data_at = self.at + 8 + u64::from(key_size);
        let key = self.reader.bytes(self.at + 8, key_size)?;
        let data = self.reader.bytes(data_at, data_size)?;
        self.at = data_at + u64::from(data_size);
        Ok(Some(Record { key, data }))
    }
}

impl Iterator for Records<'_> {
    type Item = io::Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let record = self.read().transpose()?;
        self.failed = record.is_err();
        Some(record)
    }
}
