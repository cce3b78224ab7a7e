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
    pub(super) file: File,
    pub(super) size: u64,
    /// The start of the file: its head, or all of it if that is little.
    kept: Vec<u8>,
}

/// Files up to this size, in bytes, are read whole when they are opened: one system call is less
/// than those of two or three look-ups.
const LITTLE: u64 = 65536;

impl Reader {
    /// Opens a database by name. A file without a whole head is a protocol error.
    pub fn open(path: &Path) -> io::Result<Self> {
        Reader::new(File::open(path)?)
    }

    /// Reads from an open file.
    pub fn new(file: File) -> io::Result<Self> {
        let size = file.metadata()?.len();
        let kept = if size > LITTLE { HEAD } else { HEAD.max(size as u32) };
        let mut kept = vec![0; kept as usize];
        file.read_exact_at(&mut kept, 0).map_err(cut_short)?;
        let reader = Reader { file, size, kept };
        // A file whose writer was stopped has zeros for a head, and must not pass for an empty one.
        let (records_end, _) = reader.table(0);
        if records_end < HEAD { Err(ErrorKind::InvalidData.into()) } else { Ok(reader) }
    }

    /// The data of the first record with this key.
    pub fn find(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let hash = hash(key);
        let (table, slots) = self.table((hash & 255) as usize);
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

    /// The data of the record at this position, if its key is this one.
    fn data_if(&self, position: u32, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let position = u64::from(position);
        let (key_size, data_size) = self.pair(position)?;
        if key_size as usize != key.len() || self.bytes(position + 8, key_size)? != key {
            return Ok(None);
        }
        self.bytes(position + 8 + u64::from(key_size), data_size).map(Some)
    }

    /// Position and slots of a table, 0..=255.
    pub(super) fn table(&self, number: usize) -> (u32, u32) {
        let (pairs, _) = self.kept.as_chunks();
        numbers(pairs[number])
    }

    /// Two numbers at this offset.
    fn pair(&self, at: u64) -> io::Result<(u32, u32)> {
        let mut pair = [0; 8];
        self.read(at, &mut pair)?;
        Ok(numbers(pair))
    }

    /// Bytes at this offset; they must lie in the file.
    fn bytes(&self, at: u64, count: u32) -> io::Result<Vec<u8>> {
        if at + u64::from(count) > self.size {
            return Err(ErrorKind::InvalidData.into());
        }
        let mut bytes = vec![0; count as usize];
        self.read(at, &mut bytes)?;
        Ok(bytes)
    }

    /// Fills `into` from this offset.
    fn read(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        match self.kept(at, into.len()) {
            Some(bytes) => into.copy_from_slice(bytes),
            None => self.file.read_exact_at(into, at).map_err(cut_short)?,
        }
        Ok(())
    }

    /// Bytes at this offset, if they are in memory.
    pub(super) fn kept(&self, at: u64, count: usize) -> Option<&[u8]> {
        let at = usize::try_from(at).ok()?;
        self.kept.get(at..at.checked_add(count)?)
    }
}

/// Two numbers, little-endian.
pub(super) fn numbers(pair: [u8; 8]) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = pair;
    (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]))
}

/// A file that ends before what it promises is damaged.
pub(super) fn cut_short(why: io::Error) -> io::Error {
    if why.kind() == ErrorKind::UnexpectedEof { ErrorKind::InvalidData.into() } else { why }
}
