//! Locks on whole files: flock(2), as the originals take them.

use super::{check, retry};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

pub use super::fd::keep_across_exec;

/// Waits for the exclusive lock.
pub fn exclusive(fd: BorrowedFd) -> io::Result<()> {
    // SAFETY: flock takes an open descriptor and no memory.
    retry(|| unsafe { libc::flock(fd.as_raw_fd(), libc::LOCK_EX) }).map(drop)
}

/// As [`exclusive`], but a signal ends the waiting with EINTR.
pub fn exclusive_until_signal(fd: BorrowedFd) -> io::Result<()> {
    // SAFETY: as above.
    check(unsafe { libc::flock(fd.as_raw_fd(), libc::LOCK_EX) }).map(drop)
}

/// Takes the exclusive lock or fails with EAGAIN ("temporary failure") if somebody has it.
pub fn try_exclusive(fd: BorrowedFd) -> io::Result<()> {
    // SAFETY: as above.
    retry(|| unsafe { libc::flock(fd.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) }).map(drop)
}

/// Waits for a shared lock.
pub fn shared(fd: BorrowedFd) -> io::Result<()> {
    // SAFETY: as above.
    retry(|| unsafe { libc::flock(fd.as_raw_fd(), libc::LOCK_SH) }).map(drop)
}

/// Takes a shared lock or fails with EAGAIN if somebody has the exclusive one.
pub fn try_shared(fd: BorrowedFd) -> io::Result<()> {
    // SAFETY: as above.
    retry(|| unsafe { libc::flock(fd.as_raw_fd(), libc::LOCK_SH | libc::LOCK_NB) }).map(drop)
}
