//! Giving a child some lines and then our own standard input.

use base::sys::wait::Pid;
use base::sys::{fd, signal};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Bytes copied at once.
const BLOCK: usize = 65536;

/// Gives a child `head` and what is left of standard input by a pipe, and closes that. A child that
/// does not want all of it is not made to: its exit code tells what it thinks of the message. If the
/// input cannot be read, the child is killed first: a part must not end as the whole does. SIGPIPE
/// must be ignored.
pub fn feed(head: &[u8], child: Pid, to: OwnedFd) -> io::Result<()> {
    let copied = copy(head, to.as_fd());
    if copied.is_err() {
        // If it has ended, it is a zombie that nobody has waited for yet.
        let _ = signal::send(child, signal::KILL);
    }
    copied
}

fn copy(head: &[u8], to: BorrowedFd) -> io::Result<()> {
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
