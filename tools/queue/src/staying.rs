//! A qmail-queue that stays: it waits for the next message of the same caller. To start and to end
//! a program is half of what a short message costs.
//!
//! The caller gives it a socket of packets as descriptor 5. When it has queued a message it does
//! not exit 0, but says so in a packet, which names the file that it was started from; then it
//! takes a packet with two descriptors, the next message and its envelope. All else it says by its
//! exit status, as ever. It ends when the caller does, or has nothing for it for a while.
//!
//! Only the very file that the caller has started is heard. Sites put filters in the place of
//! qmail-queue, which run the real one, and the socket comes to that: a filter must see every
//! message.

use base::sys::poll::{self, Wait};
use base::sys::spawn::Spawn;
use base::sys::wait::{self, Pid};
use base::sys::{fd, socket};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

/// The descriptor of the socket.
const SOCKET: RawFd = 5;

/// How long it waits for the next message.
const STAY: Duration = Duration::from_secs(5);

/// A program by its file: the numbers of the device and of the inode.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Program([u8; 16]);

impl Program {
    fn of(file: &Path) -> io::Result<Self> {
        let found = file.metadata()?;
        let mut numbers = [0; 16];
        numbers[..8].copy_from_slice(&found.dev().to_ne_bytes());
        numbers[8..].copy_from_slice(&found.ino().to_ne_bytes());
        Ok(Program(numbers))
    }
}

/// The caller of a qmail-queue, who may have more messages.
pub struct Caller {
    socket: OwnedFd,
    /// What we are.
    program: Program,
}

impl Caller {
    /// Whoever has given us a socket.
    pub fn that_offers() -> Option<Self> {
        let socket = fd::take(SOCKET).ok()?;
        let program = Program::of(Path::new("/proc/self/exe")).ok()?;
        socket::keeps_packets(socket.as_fd()).then_some(Caller { socket, program })
    }

    /// Says that the message is queued, and waits for the next one: its text and its envelope.
    /// `None`: no more can come.
    pub fn next_after_success(&self) -> io::Result<Option<[OwnedFd; 2]>> {
        if socket::send_now(self.socket.as_fd(), &self.program.0).is_err() {
            return Ok(None);
        }
        if !poll::readable(self.socket.as_fd(), STAY)? {
            // A message that comes now is not sent. One that has come a moment ago is taken.
            socket::end_input(self.socket.as_fd())?;
        }
        let order = socket::receive_with_now(self.socket.as_fd(), &mut [0])?;
        Ok(order.map(|(_, message)| message))
    }
}

/// A qmail-queue that was asked to stay. Dropped, it ends as soon as it has nothing to do.
pub struct Staying {
    pid: Pid,
    end: OwnedFd,
    socket: OwnedFd,
    program: Program,
}

impl Staying {
    /// Starts a program that may be a qmail-queue, and asks it to stay if it is. `None`: there is
    /// no such file, or the kernel cannot tell of its end.
    pub fn start(spawn: Spawn, file: &Path) -> io::Result<(Pid, Option<Self>)> {
        let Ok(program) = Program::of(file) else { return Ok((spawn.start()?, None)) };
        let (socket, theirs) = socket::packet_pair()?;
        let pid = spawn.fd(SOCKET, theirs.as_fd()).start()?;
        let end = wait::end_of(pid).ok();
        Ok((pid, end.map(|end| Staying { pid, end, socket, program })))
    }

    /// The number of its process.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Gives it another message, if it is still what a new one from this file would be. `None`: a
    /// new one is needed.
    pub fn take(self, file: &Path, text: BorrowedFd, envelope: BorrowedFd) -> Option<Self> {
        let is_same = Program::of(file).is_ok_and(|program| program == self.program);
        if is_same && socket::send_with(self.socket.as_fd(), b"+", [text, envelope]).is_ok() {
            return Some(self);
        }
        drop(self.socket);
        // It has ended, or is about to, and then it waits for our end.
        let _ = wait::ended(self.pid);
        None
    }

    /// Waits until it has queued the message, or has ended, or says something on `reason`, as only
    /// other programs do. `None`: it takes no other message, and how it ends says what has become
    /// of this one. If it has stayed for this one, and ends in peace, it has not seen it.
    pub fn has_queued(self, reason: Option<BorrowedFd>) -> Option<Self> {
        let fds = [Some(self.socket.as_fd()), Some(self.end.as_fd()), reason];
        let mut waits: Vec<Wait> = fds.into_iter().flatten().map(Wait::read).collect();
        while waits.iter().all(|wait| !wait.ready) {
            poll::poll(&mut waits, None).ok()?;
        }
        let mut said = [0; 17];
        let count = socket::receive_now(self.socket.as_fd(), &mut said).ok()?;
        (said[..count] == self.program.0).then_some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_comes_as_it_ends_is_taken_or_not_sent() {
        let (ours, theirs) = socket::packet_pair().unwrap();
        let given = || [ours.as_fd(), ours.as_fd()];
        socket::send_with(ours.as_fd(), b"+", given()).unwrap();
        socket::end_input(theirs.as_fd()).unwrap();
        socket::send_with(ours.as_fd(), b"+", given()).unwrap_err();
        assert!(socket::receive_with_now(theirs.as_fd(), &mut [0]).unwrap().is_some());
        assert!(socket::receive_with_now(theirs.as_fd(), &mut [0]).unwrap().is_none());
    }
}
