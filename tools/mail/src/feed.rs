//! Giving a child some lines and then our own standard input.

use base::sys::fd;
use std::io::{self, ErrorKind};
use std::os::fd::BorrowedFd;

/// Bytes copied at once.
const BLOCK: usize = 65536;

/// Writes `head` and what is left of standard input to a pipe. A reader that does not want all of
/// it is not made to: its exit code tells what it thinks of the message. SIGPIPE must be ignored.
pub fn feed(head: &[u8], to: BorrowedFd) -> io::Result<()> {
    let mut block = vec![0; BLOCK];
    let mut next = head;
    loop {
        match fd::write_all(to, next) {
            Err(why) if why.kind() == ErrorKind::BrokenPipe => return Ok(()),
            other => other?,
        }
        match fd::read(fd::STDIN, &mut block)? {
            0 => return Ok(()),
            count => next = &block[..count],
        }
    }
}
