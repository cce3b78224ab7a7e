//! Buffered output to a descriptor. Nothing is written at drop: whoever writes, flushes, and
//! hears of the failure.

use crate::sys::fd;
use std::io::{self, Write};
use std::os::fd::BorrowedFd;

/// Bytes kept before they are written, unless another size is asked for.
const SIZE: usize = 8192;

/// A writer with a buffer of its own.
pub struct Out<'a> {
    to: BorrowedFd<'a>,
    buffer: Vec<u8>,
    size: usize,
}

impl<'a> Out<'a> {
    /// Writes to this descriptor, 8 KiB at a time.
    pub fn new(to: BorrowedFd<'a>) -> Self {
        Out::with_size(to, SIZE)
    }

    /// Writes to this descriptor, `size` bytes at a time.
    pub fn with_size(to: BorrowedFd<'a>, size: usize) -> Self {
        Out { to, buffer: Vec::with_capacity(size), size }
    }

    /// Adds bytes; writes when the buffer is full.
    pub fn put(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        let bytes = bytes.as_ref();
        if self.buffer.len() + bytes.len() > self.size {
            self.flush()?;
        }
        if bytes.len() >= self.size {
            return fd::write_all(self.to, bytes);
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// Writes what is buffered. After a failure the buffer is empty: what was lost is lost.
    pub fn flush(&mut self) -> io::Result<()> {
        let done = fd::write_all(self.to, &self.buffer);
        self.buffer.clear();
        done
    }

    /// Bytes that wait in the buffer.
    pub fn pending(&self) -> usize {
        self.buffer.len()
    }
}

impl Out<'static> {
    /// Standard output.
    pub fn stdout() -> Self {
        Out::new(fd::STDOUT)
    }
}

impl Write for Out<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.put(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Out::flush(self)
    }
}
