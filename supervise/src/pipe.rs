//! The pipe between a service and its log.

use base::sys::fd;
use base::sys::poll::{Wait, poll};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

/// Both ends of a pipe.
pub struct Pipe {
    /// For the logger.
    pub read: OwnedFd,
    /// For the service.
    pub write: OwnedFd,
}

impl Pipe {
    /// A new one.
    pub fn new() -> io::Result<Pipe> {
        let (read, write) = fd::pipe()?;
        Ok(Pipe { read, write })
    }

    /// The pipe that an entry of /proc/PID/fd leads to, unless that is a standard output of this
    /// process. Opening it never waits, whatever it is.
    pub fn behind(entry: &Path) -> Option<Pipe> {
        if !fs::metadata(entry).ok()?.file_type().is_fifo() || is_ours(entry) {
            return None;
        }
        let mut options = OpenOptions::new();
        options.custom_flags(libc::O_NONBLOCK);
        let read: OwnedFd = options.read(true).open(entry).ok()?.into();
        let write: OwnedFd = options.read(false).write(true).open(entry).ok()?.into();
        fd::set_nonblocking(read.as_fd(), false).ok()?;
        fd::set_nonblocking(write.as_fd(), false).ok()?;
        Some(Pipe { read, write })
    }

    /// The same if it can be written to and nobody reads it: that is where a service writes whose
    /// logger has been killed. Pipes between the service and its own helpers are read.
    pub fn unread(entry: &Path) -> Option<Pipe> {
        if !fs::metadata(entry).ok()?.file_type().is_fifo() {
            return None;
        }
        let write =
            OpenOptions::new().custom_flags(libc::O_NONBLOCK).write(true).open(entry).ok()?;
        let unread = poll(&mut [Wait::gone(write.as_fd())], Some(Duration::ZERO)).ok()? == 1;
        if unread { Pipe::behind(entry) } else { None }
    }

    /// Which one it is.
    pub fn identity(&self) -> Option<(u64, u64)> {
        own(self.read.as_fd())
    }

    /// An entry of /proc/PID/fd leads to another pipe than this.
    pub fn is_not(&self, entry: &Path) -> bool {
        let pipe = fs::metadata(entry).is_ok_and(|found| found.file_type().is_fifo());
        pipe && !is_ours(entry) && self.identity() != inode(entry)
    }
}

/// The same file as our standard output or error.
fn is_ours(file: &Path) -> bool {
    [fd::STDOUT, fd::STDERR].into_iter().any(|standard| own(standard) == inode(file))
}

fn own(descriptor: BorrowedFd) -> Option<(u64, u64)> {
    let found = File::from(descriptor.try_clone_to_owned().ok()?).metadata().ok()?;
    Some((found.dev(), found.ino()))
}

/// Which file it is.
pub fn inode(file: &Path) -> Option<(u64, u64)> {
    fs::metadata(file).ok().map(|found| (found.dev(), found.ino()))
}
