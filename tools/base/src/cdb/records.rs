//! All records of a database, one after the other.

use super::HEAD;
use super::reader::{Reader, cut_short, numbers};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The key.
    pub key: Vec<u8>,
    /// The data.
    pub data: Vec<u8>,
}

impl Reader {
    /// All records, in the order in which they were added.
    pub fn records(&self) -> Records<'_> {
        let (end, _) = self.table(0);
        Records { reader: self, at: u64::from(HEAD), end: u64::from(end), ahead: Ahead::default() }
    }

    /// Shows all keys, in the same order. Much faster than [`Reader::records`].
    pub fn each_key(&self, mut show: impl FnMut(&[u8])) -> io::Result<()> {
        let mut records = self.records();
        let mut key = Vec::new();
        while records.at < records.end {
            let (key_size, data_size) = records.sizes()?;
            key.resize(key_size as usize, 0);
            records.fill(&mut key)?;
            records.at += u64::from(data_size);
            show(&key);
        }
        Ok(())
    }
}

/// The records of a database, in file order. Ends after the first error.
pub struct Records<'a> {
    reader: &'a Reader,
    at: u64,
    /// Where the first table starts. After an error: 0.
    end: u64,
    ahead: Ahead,
}

impl Records<'_> {
    fn read(&mut self) -> io::Result<Record> {
        let (key_size, data_size) = self.sizes()?;
        let mut record =
            Record { key: vec![0; key_size as usize], data: vec![0; data_size as usize] };
        self.fill(&mut record.key)?;
        self.fill(&mut record.data)?;
        Ok(record)
    }

    /// The sizes of the next key and data, which lie in the file.
    fn sizes(&mut self) -> io::Result<(u32, u32)> {
        let mut pair = [0; 8];
        self.fill(&mut pair)?;
        let (key_size, data_size) = numbers(pair);
        let left = self.reader.size.saturating_sub(self.at);
        if u64::from(key_size) + u64::from(data_size) > left {
            return Err(ErrorKind::InvalidData.into());
        }
        Ok((key_size, data_size))
    }

    /// The next bytes of the file.
    fn fill(&mut self, into: &mut [u8]) -> io::Result<()> {
        match self.reader.kept(self.at, into.len()) {
            Some(bytes) => into.copy_from_slice(bytes),
            None => self.ahead.read(&self.reader.file, self.at, into).map_err(cut_short)?,
        }
        self.at += into.len() as u64;
        Ok(())
    }
}

impl Iterator for Records<'_> {
    type Item = io::Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.end {
            return None;
        }
        let record = self.read();
        if record.is_err() {
            self.end = 0;
        }
        Some(record)
    }
}

/// Bytes read at once where records are read in order.
const AHEAD: usize = 65536;

/// A window on the file.
#[derive(Default)]
struct Ahead {
    buffer: Vec<u8>,
    start: u64,
    held: usize,
}

impl Ahead {
    /// Reads at an offset: from the window if it lies there, else the window moves there.
    fn read(&mut self, file: &File, at: u64, into: &mut [u8]) -> io::Result<()> {
        if into.len() > AHEAD {
            return file.read_exact_at(into, at);
        }
        if self.from(at).len() < into.len() {
            self.move_to(file, at, into.len())?;
        }
        into.copy_from_slice(&self.from(at)[..into.len()]);
        Ok(())
    }

    /// Makes the window start here and hold `wanted` bytes or more.
    fn move_to(&mut self, file: &File, start: u64, wanted: usize) -> io::Result<()> {
        if self.buffer.is_empty() {
            self.buffer = vec![0; AHEAD];
        }
        (self.start, self.held) = (start, 0);
        while self.held < wanted {
            match file.read_at(&mut self.buffer[self.held..], start + self.held as u64) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.held += count,
                Err(why) if why.kind() == ErrorKind::Interrupted => {}
                Err(why) => return Err(why),
            }
        }
        Ok(())
    }

    /// What the window holds from this offset on.
    fn from(&self, at: u64) -> &[u8] {
        let skipped = at.checked_sub(self.start).and_then(|skipped| usize::try_from(skipped).ok());
        skipped.and_then(|skipped| self.buffer.get(skipped..self.held)).unwrap_or_default()
    }
}
