//! Buffered input from a descriptor, for programs that read to the end: it reads ahead, so
//! whoever execs afterwards must not use it.

use crate::out::Out;
use crate::sys::fd;
use std::io;
use std::os::fd::BorrowedFd;

/// Bytes read at once, unless another size is asked for.
const SIZE: usize = 8192;

/// How a line ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By a newline, which is taken from the input and not part of the line.
    Newline,
    /// By the end of the input; the line may be empty.
    End,
    /// It does not end within the limit; the rest of it is still to be read.
    TooLong,
}

/// A reader with a buffer of its own.
pub struct Input<'a> {
    from: BorrowedFd<'a>,
    buffer: Vec<u8>,
    /// Bytes of the buffer that have been used.
    start: usize,
}

impl<'a> Input<'a> {
    /// Reads from this descriptor, 8 KiB at a time.
    pub fn new(from: BorrowedFd<'a>) -> Self {
        Input::with_size(from, SIZE)
    }

    /// Reads from this descriptor, `size` bytes at a time.
    pub fn with_size(from: BorrowedFd<'a>, size: usize) -> Self {
        Input { from, buffer: Vec::with_capacity(size), start: 0 }
    }

    /// Bytes that wait in the buffer.
    pub fn buffered(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// The next bytes: those in the buffer or else those of one read. Empty at the end.
    pub fn fill(&mut self) -> io::Result<&[u8]> {
        if self.start == self.buffer.len() {
            self.start = 0;
            self.buffer.clear();
            fd::append(self.from, &mut self.buffer)?;
        }
        Ok(self.buffered())
    }

    /// As [`Input::fill`], and flushes `out` before it reads: nobody waits for an answer that
    /// lies in a buffer.
    pub fn fill_flushing(&mut self, out: &mut Out) -> io::Result<&[u8]> {
        if self.start == self.buffer.len() {
            out.flush()?;
        }
        self.fill()
    }

    /// Marks `count` bytes of the buffer as used.
    pub fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.buffer.len());
    }

    /// Appends a line to `line`, until that is `limit` bytes long.
    pub fn line(&mut self, line: &mut Vec<u8>, limit: usize) -> io::Result<Ending> {
        loop {
            let room = limit.saturating_sub(line.len());
            let bytes = self.fill()?;
            if bytes.is_empty() {
                return Ok(Ending::End);
            }
            let window = &bytes[..bytes.len().min(room + 1)];
            if let Some(at) = memchr::memchr(b'\n', window) {
                line.extend_from_slice(&window[..at]);
                self.consume(at + 1);
                return Ok(Ending::Newline);
            }
            let taken = window.len().min(room);
            let cut = window.len() > room;
            line.extend_from_slice(&window[..taken]);
            self.consume(taken);
            if cut {
                return Ok(Ending::TooLong);
            }
        }
    }
}

impl Input<'_> {
    /// The next line, without its newline, lent from the buffer, which grows to hold it: for
    /// input whose lines may be of any length. `None` at the end.
    pub fn whole_line(&mut self) -> io::Result<Option<&[u8]>> {
        let mut seen = 0;
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.buffered()[seen..]) {
                let line = self.start..self.start + seen + at;
                self.start = line.end + 1;
                return Ok(Some(&self.buffer[line]));
            }
            seen = self.buffered().len();
            if self.read_behind()? == 0 {
                let line = self.start..self.buffer.len();
                self.start = line.end;
                return Ok((!line.is_empty()).then(|| &self.buffer[line]));
            }
        }
    }

    /// One read that keeps what is buffered. A full buffer doubles.
    fn read_behind(&mut self) -> io::Result<usize> {
        self.buffer.drain(..self.start);
        self.start = 0;
        if self.buffer.len() == self.buffer.capacity() {
            self.buffer.reserve_exact(self.buffer.len() + 1);
        }
        fd::append(self.from, &mut self.buffer)
    }
}

impl Input<'static> {
    /// Standard input.
    pub fn stdin() -> Self {
        Input::new(fd::STDIN)
    }
}

impl io::Read for Input<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill()?;
        let count = bytes.len().min(into.len());
        into[..count].copy_from_slice(&bytes[..count]);
        self.consume(count);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn lines_end_by_newline_limit_or_end() {
        let (read, write) = fd::pipe().unwrap();
        fd::write_all(write.as_fd(), b"one\n\n12345\n123456\nlast").unwrap();
        drop(write);
        let mut input = Input::with_size(read.as_fd(), 4);
        let mut seen = Vec::new();
        for _ in 0..6 {
            let mut line = Vec::new();
            let ending = input.line(&mut line, 5).unwrap();
            seen.push((String::from_utf8(line).unwrap(), ending));
        }
        let expected = [
            ("one", Ending::Newline),
            ("", Ending::Newline),
            ("12345", Ending::Newline),
            ("12345", Ending::TooLong),
            ("6", Ending::Newline),
            ("last", Ending::End),
        ];
        assert_eq!(seen, expected.map(|(line, ending)| (line.to_owned(), ending)));
    }
    #[test]
    fn whole_lines_are_lent_however_long() {
        let (read, write) = fd::pipe().unwrap();
        fd::write_all(write.as_fd(), b"one\n\n123456789\nx\nlast").unwrap();
        drop(write);
        let mut input = Input::with_size(read.as_fd(), 4);
        let mut seen = Vec::new();
        while let Some(line) = input.whole_line().unwrap() {
            seen.push(String::from_utf8(line.to_vec()).unwrap());
        }
        assert_eq!(seen, ["one", "", "123456789", "x", "last"]);
    }
}
