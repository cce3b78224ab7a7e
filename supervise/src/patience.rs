//! Steps that are not given up: a logger that cannot write waits until it can.

use base::errno;
use base::sys::{clock, fd};
use std::fmt::Display;
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

/// The pause after a failure.
pub const PAUSE: Duration = Duration::from_secs(5);

/// How failures are told to somebody: `unable to WHAT, pausing: REASON`.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Shows a warning.
    pub complain: fn(&str),
}

impl Patience {
    /// Does a step; if that fails, complains, pauses and does it again, until it succeeds.
    pub fn insist<T>(&self, what: impl Display, mut step: impl FnMut() -> io::Result<T>) -> T {
        loop {
            match step() {
                Ok(value) => return value,
                Err(why) => self.pause(&what, &why),
            }
        }
    }

    /// Writes all bytes, the rest after a failure included.
    pub fn write_all(&self, what: impl Display, to: impl AsFd, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let count = self.insist(&what, || match fd::write(to.as_fd(), bytes)? {
                0 => Err(io::ErrorKind::WriteZero.into()),
                count => Ok(count),
            });
            bytes = &bytes[count..];
        }
    }

    /// Complains about one failure, and pauses.
    pub fn pause(&self, what: impl Display, why: &io::Error) {
        (self.complain)(&format!("unable to {what}, pausing: {}", errno::words(why)));
        clock::pause(PAUSE);
    }
}
