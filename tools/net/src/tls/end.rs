//! One end of a connection or pipe, read and written without waiting. A descriptor may be shared
//! with programs that expect it to wait, so its flags are left alone.

use base::sys::poll::Wait;
use base::sys::{fd, socket};
use std::io::{self, IoSlice, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// So many bytes a pipe takes without waiting once it takes any (PIPE_BUF).
const PIECE: usize = 4096;
/// Pieces that are not longer together are copied to be written at once.
const TOGETHER: usize = 16384;

/// A descriptor and how to use it without waiting.
#[derive(Debug)]
pub struct End {
    fd: OwnedFd,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// Each call says that it does not wait.
    Socket,
    /// The file is ours alone and does not wait.
    Ours,
    /// Waits, unless it was ready before: one read or one small write at a time.
    Shared,
}

impl End {
    /// Any descriptor, which others may share.
    pub fn new(fd: OwnedFd) -> Self {
        let kind = if socket::is_socket(fd.as_fd()) { Kind::Socket } else { Kind::Shared };
        End { fd, kind }
    }

    /// An end that nobody else holds, as of a pipe that we have made.
    pub fn ours(fd: OwnedFd) -> io::Result<Self> {
        fd::set_nonblocking(fd.as_fd(), true)?;
        Ok(End { fd, kind: Kind::Ours })
    }

    /// Waits for something to read.
    pub fn readable(&self) -> Wait<'_> {
        Wait::read(self.fd.as_fd())
    }

    /// Waits for room to write.
    pub fn writable(&self) -> Wait<'_> {
        Wait::write(self.fd.as_fd())
    }

    /// Waits until nobody is at the other end.
    pub fn gone(&self) -> Wait<'_> {
        Wait::gone(self.fd.as_fd())
    }

    /// Whether it must be ready before each read and each write.
    pub fn waits(&self) -> bool {
        self.kind == Kind::Shared
    }

    /// Tells the other end that nothing more comes.
    pub fn finish(self) {
        if self.kind == Kind::Socket {
            // If it fails, nobody is left to be told.
            let _ = socket::end_output(self.fd.as_fd());
        }
    }

    /// Tells the other end that nobody listens, which a socket does not say by itself while it is
    /// open for the other way. Who waits for room hears it when there is some: what was not read
    /// yet is forgotten, and the other end of a socket pair cannot add to it any more.
    pub fn refuse(self) {
        if self.kind == Kind::Socket && socket::end_input(self.fd.as_fd()).is_ok() {
            let mut room = [0; PIECE];
            while matches!(socket::receive_now(self.fd.as_fd(), &mut room), Ok(1..)) {}
        }
    }
}

impl AsFd for End {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Read for End {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.kind {
            Kind::Socket => socket::receive_now(self.fd.as_fd(), into),
            Kind::Ours | Kind::Shared => fd::read(self.fd.as_fd(), into),
        }
    }
}

impl Write for End {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.kind {
            Kind::Socket => socket::send_now(self.fd.as_fd(), bytes),
            Kind::Ours => fd::write(self.fd.as_fd(), bytes),
            Kind::Shared => fd::write(self.fd.as_fd(), &bytes[..bytes.len().min(PIECE)]),
        }
    }

    /// Several pieces in one write: a handshake is made of small ones.
    fn write_vectored(&mut self, pieces: &[IoSlice]) -> io::Result<usize> {
        if let [piece] = pieces {
            return self.write(piece);
        }
        let mut together = Vec::new();
        for piece in pieces {
            if !together.is_empty() && together.len() + piece.len() > TOGETHER {
                break;
            }
            together.extend_from_slice(piece);
        }
        self.write(&together)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
