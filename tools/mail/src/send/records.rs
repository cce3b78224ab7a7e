//! Files of the queue that are lists of records: a letter, a text, NUL each. One letter says what
//! the text is, or whether a recipient has been served.

use std::fs::File;
use std::io::{self, ErrorKind, Read};

/// Bytes of the longest record: far more than qmail-queue lets through and a prefix adds.
const LONGEST: usize = 1 << 20;

/// Bytes read at once.
const PIECE: usize = 4096;

/// One record.
#[derive(Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Where in the file its letter is.
    pub at: u64,
    /// What it is. A record of nothing has the letter 0.
    pub letter: u8,
    /// The rest, without the NUL.
    pub text: &'a [u8],
}

/// Reads the records of a file, one after another.
pub struct Records<R = File> {
    file: R,
    buffer: Vec<u8>,
    /// Bytes of the buffer that have been given out.
    used: usize,
    /// Where in the file the buffer begins.
    start: u64,
}

impl<R: Read> Records<R> {
    /// From the beginning of a file that has just been opened.
    pub fn new(file: R) -> Self {
        Records { file, buffer: Vec::new(), used: 0, start: 0 }
    }

    /// The file.
    pub fn file(&self) -> &R {
        &self.file
    }

    /// The next record. A file that ends in the middle of one is damaged.
    #[allow(clippy::should_implement_trait)] // a record borrows from the reader: no iterator can
    pub fn next(&mut self) -> io::Result<Option<Record<'_>>> {
        let mut searched = self.used;
        let end = loop {
            if let Some(end) = memchr::memchr(0, &self.buffer[searched..]) {
                break searched + end;
            }
            self.start += self.used as u64;
            self.buffer.drain(..self.used);
            self.used = 0;
            searched = self.buffer.len();
            if self.buffer.len() > LONGEST {
                return Err(ErrorKind::InvalidData.into());
            }
            self.buffer.resize(searched + PIECE, 0);
            let count = self.file.read(&mut self.buffer[searched..]);
            self.buffer.truncate(searched + *count.as_ref().unwrap_or(&0));
            match count {
                Ok(0) if searched == 0 => return Ok(None),
                Ok(0) => return Err(ErrorKind::InvalidData.into()),
                Err(why) if why.kind() != ErrorKind::Interrupted => return Err(why),
                _ => {}
            }
        };
        let begin = self.used;
        self.used = end + 1;
        let (letter, text) = self.buffer[begin..end].split_first().unwrap_or((&0, &[]));
        Ok(Some(Record { at: self.start + begin as u64, letter: *letter, text }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::tests::Random;

    /// Where each record is, its letter and its text; and what is wrong at the end.
    type All = (Vec<(u64, u8, Vec<u8>)>, Option<ErrorKind>);

    fn all(bytes: &[u8]) -> All {
        let mut records = Records::new(bytes);
        let mut seen = Vec::new();
        loop {
            match records.next() {
                Ok(Some(record)) => seen.push((record.at, record.letter, record.text.to_vec())),
                Ok(None) => return (seen, None),
                Err(why) => return (seen, Some(why.kind())),
            }
        }
    }

    #[test]
    fn records_have_any_length_and_a_file_ends_after_one() {
        let seen = all(b"Ta@b\0D\0\0Tc@d\0");
        let expected = [(0, b'T', "a@b"), (5, b'D', ""), (7, 0, ""), (8, b'T', "c@d")];
        let expected = expected.map(|(at, letter, text)| (at, letter, text.into()));
        assert_eq!(seen, (expected.into(), None));
        assert_eq!(all(b""), (vec![], None));
        assert_eq!(all(b"Ta@b"), (vec![], Some(ErrorKind::InvalidData)));
        assert_eq!(all(&vec![b'T'; LONGEST * 2]), (vec![], Some(ErrorKind::InvalidData)));
        let long: Vec<u8> = (1..300).flat_map(|n| [vec![b'T'; n * 37], vec![0]].concat()).collect();
        let (seen, end) = all(&long);
        assert_eq!((seen.len(), end), (299, None));
        assert!(seen.iter().zip(1..).all(|((_, _, text), n)| text.len() == n * 37 - 1));
    }

    #[test]
    fn any_bytes_are_records_or_damaged() {
        let mut random = Random::new(1);
        for _ in 0..10_000 {
            let bytes: Vec<u8> = (0..random.below(64))
                .map(|_| if random.below(8) == 0 { 0 } else { random.next() as u8 })
                .collect();
            let (seen, end) = all(&bytes);
            assert_eq!(seen.len(), bytes.iter().filter(|byte| **byte == 0).count());
            assert_eq!(end.is_none(), matches!(bytes.last(), None | Some(0)));
        }
    }
}
