//! A connection to a stranger: every wait for him has a limit.

use base::sys::{fd, poll};
use std::io::{self, ErrorKind};
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

/// The longest that a connection may last, whatever the peer does: as long as qmail-queue waits
/// for a message.
const LIFETIME: Duration = Duration::from_secs(86400);

/// Bytes given to one write. A descriptor that is ready for writing takes as many without making
/// us wait, be it a pipe or a socket.
const PIECE: usize = 4096;

/// The two directions of a connection.
pub struct Peer<'a> {
    from: BorrowedFd<'a>,
    to: BorrowedFd<'a>,
    limit: Duration,
    end: Instant,
}

impl<'a> Peer<'a> {
    /// Waits at most `limit` for each read and each write.
    pub fn new(from: BorrowedFd<'a>, to: BorrowedFd<'a>, limit: Duration) -> Self {
        Peer { from, to, limit, end: Instant::now() + LIFETIME }
    }

    /// Reads what is there; 0 at the end. Fails with "timed out" if nothing comes in time.
    pub fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        if !poll::readable(self.from, self.patience())? {
            return Err(ErrorKind::TimedOut.into());
        }
        fd::read(self.from, into)
    }

    /// Writes all bytes. Fails with "timed out" if the peer does not take them in time.
    pub fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            if !poll::writable(self.to, self.patience())? {
                return Err(ErrorKind::TimedOut.into());
            }
            let written = fd::write(self.to, &bytes[..bytes.len().min(PIECE)])?;
            bytes = &bytes[written..];
        }
        Ok(())
    }

    fn patience(&self) -> Duration {
        self.limit.min(self.end.saturating_duration_since(Instant::now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn nothing_to_read_and_no_room_to_write_time_out() {
        let (read, write) = fd::pipe().unwrap();
        let peer = Peer::new(read.as_fd(), write.as_fd(), Duration::from_millis(20));
        let timed_out = Some(ErrorKind::TimedOut);
        assert_eq!(peer.read(&mut [0; 9]).err().map(|why| why.kind()), timed_out);
        peer.write(b"hello").unwrap();
        let mut room = [0; 9];
        assert_eq!(peer.read(&mut room).unwrap(), 5);
        assert_eq!(peer.write(&[0; 1 << 20]).err().map(|why| why.kind()), timed_out);
    }
}
