//! Signals that are held back and read as events: nothing runs when they come, no call is
//! interrupted. What a child inherits are blocked signals: it must unblock them.

use super::check;
use super::fd::read;
use super::signal::{Signal, empty_set, mask};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};

/// Signals that are held back.
pub struct Pending {
    fd: OwnedFd,
}

impl Pending {
    /// Holds these signals back from now on. One that is ignored does not even come.
    pub fn hold(signals: &[Signal]) -> io::Result<Self> {
        let mut held = empty_set();
        for &signal in signals {
            // SAFETY: adds to a set of this frame.
            check(unsafe { libc::sigaddset(&mut held, signal) })?;
        }
        let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
        // SAFETY: the kernel reads the set.
        let fd = check(unsafe { libc::signalfd(-1, &held, flags) })?;
        // SAFETY: fresh from signalfd and owned by nobody else.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        mask(libc::SIG_BLOCK, &held)?;
        Ok(Pending { fd })
    }

    /// Readable when a signal has come.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Takes what has come so far, in the order of their numbers: at most one of each kind is kept,
    /// and of stopping and going on, which take each other back, the last one.
    pub fn take(&self) -> impl Iterator<Item = Signal> + use<> {
        const SIZE: usize = size_of::<libc::signalfd_siginfo>();
        let mut came = [0; 8 * SIZE];
        // One that is not there is no failure.
        let count = read(self.fd.as_fd(), &mut came).unwrap_or(0) / SIZE;
        (0..count).map(move |at| {
            let number = at * SIZE;
            Signal::from_ne_bytes([0, 1, 2, 3].map(|byte| came[number + byte]))
        })
    }
}
