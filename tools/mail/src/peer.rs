//! A connection to a stranger: every wait for him has a limit.

use base::sys::{fd, poll, socket};
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

/// The longest that a connection may last, whatever the peer does: as long as qmail-queue waits
/// for a message.
const LIFETIME: Duration = Duration::from_secs(86400);

/// Bytes given to one write, if a write may wait. A descriptor that is ready for writing takes
/// as many at once, be it a pipe or a socket.
const PIECE: usize = 4096;

/// What a write does if there is no room.
#[derive(Clone, Copy, PartialEq)]
enum Full {
    /// It does not wait.
    Fails,
    /// It can be asked not to wait.
    FailsIfAsked,
    /// It waits: it may not be given more than fits.
    Waits,
}

/// The two directions of a connection. A read or a write that has to wait longer than the limit
/// fails with "timed out".
pub struct Peer<'a> {
    from: BorrowedFd<'a>,
    to: BorrowedFd<'a>,
    full: Full,
    limit: Duration,
    end: Instant,
}

impl<'a> Peer<'a> {
    /// Descriptors that others may share.
    pub fn new(from: BorrowedFd<'a>, to: BorrowedFd<'a>, limit: Duration) -> Self {
        Peer { from, to, full: Full::FailsIfAsked, limit, end: Instant::now() + LIFETIME }
    }

    /// A socket of our own.
    pub fn of_socket(socket: &'a TcpStream, limit: Duration) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Peer { full: Full::Fails, ..Peer::new(socket.as_fd(), socket.as_fd(), limit) })
    }

    /// The same for a connection that may last so long at most, instead of a day.
    pub fn lasting(self, lifetime: Duration) -> Self {
        Peer { end: Instant::now() + lifetime, ..self }
    }

    /// Waits until something can be read.
    pub fn wait_to_read(&self) -> io::Result<()> {
        self.wait(poll::readable, self.from)
    }

    /// Whether what comes can be looked at before it is read.
    pub fn can_peek(&self) -> bool {
        socket::is_stream(self.from)
    }

    /// Waits for something, and gives what is there without reading it.
    pub fn peek(&self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            self.wait_to_read()?;
            let done = socket::peek_now(self.from, into);
            if !not_yet(&done) {
                return done;
            }
        }
    }

    /// Reads what is there. Without anything it does not wait, but fails.
    pub fn read_now(&self, into: &mut [u8]) -> io::Result<usize> {
        socket::receive_now(self.from, into)
    }

    /// Waits until reading or writing is possible.
    fn wait(
        &self,
        ready: fn(BorrowedFd, Duration) -> io::Result<bool>,
        fd: BorrowedFd,
    ) -> io::Result<()> {
        let limit = self.limit.min(self.end.saturating_duration_since(Instant::now()));
        if ready(fd, limit)? { Ok(()) } else { Err(ErrorKind::TimedOut.into()) }
    }
}

/// A descriptor that does not wait may seem ready and not be so.
fn not_yet<T>(done: &io::Result<T>) -> bool {
    matches!(done, Err(why) if why.kind() == ErrorKind::WouldBlock)
}

impl Read for Peer<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            self.wait_to_read()?;
            let done = fd::read(self.from, into);
            if !not_yet(&done) {
                return done;
            }
        }
    }
}

impl Write for Peer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            let done = match self.full {
                Full::Fails => fd::write(self.to, bytes),
                Full::FailsIfAsked => fd::write_now(self.to, bytes),
                Full::Waits => {
                    self.wait(poll::writable, self.to)?;
                    fd::write(self.to, &bytes[..bytes.len().min(PIECE)])
                }
            };
            match done {
                Err(why) if why.kind() == ErrorKind::Unsupported => self.full = Full::Waits,
                Err(why) if why.kind() == ErrorKind::WouldBlock => {
                    self.wait(poll::writable, self.to)?;
                }
                done => return done,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn nothing_to_read_and_no_room_to_write_time_out() {
        let (read, write) = fd::pipe().unwrap();
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(server.local_addr().unwrap()).unwrap();
        let limit = Duration::from_millis(20);
        let pipes = Peer::new(read.as_fd(), write.as_fd(), limit);
        // As where descriptors cannot be asked not to wait.
        let (read, write) = fd::pipe().unwrap();
        let waiting = Peer { full: Full::Waits, ..Peer::new(read.as_fd(), write.as_fd(), limit) };
        for mut peer in [pipes, waiting, Peer::of_socket(&socket, limit).unwrap()] {
            assert_eq!(peer.read(&mut [0; 9]).unwrap_err().kind(), ErrorKind::TimedOut);
            peer.write_all(b"hello").unwrap();
            let why = peer.write_all(&vec![0; 100 << 20]).unwrap_err();
            assert_eq!(why.kind(), ErrorKind::TimedOut);
        }
    }
}
