//! Waiting for descriptors.

use nix::poll::{PollFd, PollFlags, PollTimeout};
use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// One descriptor that is waited for.
pub struct Wait<'a> {
    /// The descriptor.
    pub fd: BorrowedFd<'a>,
    /// What it is waited for.
    pub until: Until,
    /// Set by [`poll`]: there is something to read or room to write, or an end or an error to
    /// be found by trying.
    pub ready: bool,
}

/// What may happen to a descriptor. Its other end is gone: that ends every wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // The constructors of `Wait` tell.
pub enum Until {
    Readable,
    Writable,
    Gone,
}

impl<'a> Wait<'a> {
    /// Waits for something to read.
    pub fn read(fd: BorrowedFd<'a>) -> Self {
        Wait { fd, until: Until::Readable, ready: false }
    }

    /// Waits for room to write.
    pub fn write(fd: BorrowedFd<'a>) -> Self {
        Wait { fd, until: Until::Writable, ready: false }
    }

    /// Waits until nobody is at the other end.
    pub fn gone(fd: BorrowedFd<'a>) -> Self {
        Wait { fd, until: Until::Gone, ready: false }
    }
}

/// Waits until one of them is ready, the time is over or a signal comes; `None` waits for ever.
/// Gives the number of ready ones: 0 after time or signal.
pub fn poll(waits: &mut [Wait], limit: Option<Duration>) -> io::Result<usize> {
    let timeout = match limit {
        None => PollTimeout::NONE,
        // Rounded up, so that whoever waits for a moment does not wake just before it.
        Some(limit) => {
            let milliseconds = limit.as_nanos().div_ceil(1_000_000).min(i32::MAX as u128);
            PollTimeout::try_from(milliseconds as i32).unwrap_or(PollTimeout::MAX)
        }
    };
    let wanted = |wait: &Wait| match wait.until {
        Until::Readable => PollFlags::POLLIN,
        Until::Writable => PollFlags::POLLOUT,
        Until::Gone => PollFlags::empty(),
    };
    let mut fds: Vec<PollFd> =
        waits.iter().map(|wait| PollFd::new(wait.fd, wanted(wait))).collect();
    let count = match nix::poll::poll(&mut fds, timeout) {
        Ok(count) => usize::try_from(count).unwrap_or(0),
        Err(nix::errno::Errno::EINTR) => 0,
        Err(why) => return Err(why.into()),
    };
    let seen: Vec<bool> = fds.iter().map(|fd| count > 0 && fd.any().unwrap_or(true)).collect();
    for (wait, ready) in waits.iter_mut().zip(seen) {
        wait.ready = ready;
    }
    Ok(count)
}

/// Waits until the descriptor can be read. `false`: the time is over first.
pub fn readable(fd: BorrowedFd, limit: Duration) -> io::Result<bool> {
    until_ready(fd, Until::Readable, limit)
}

/// Waits until the descriptor can be written. `false`: the time is over first.
pub fn writable(fd: BorrowedFd, limit: Duration) -> io::Result<bool> {
    until_ready(fd, Until::Writable, limit)
}

/// As [`poll`] for one descriptor, going on after signals.
fn until_ready(fd: BorrowedFd, until: Until, limit: Duration) -> io::Result<bool> {
    let end = std::time::Instant::now().checked_add(limit);
    loop {
        let left = end.map(|end| end.saturating_duration_since(std::time::Instant::now()));
        if poll(&mut [Wait { fd, until, ready: false }], left)? > 0 {
            return Ok(true);
        }
        if left.is_some_and(|left| left.is_zero()) {
            return Ok(false);
        }
    }
}
