//! The small files of a service directory that say how it is run. Each is read when it counts, in
//! the current directory. A file that says nothing sensible counts as missing.

use crate::state::signal_number;
use base::files::open_read;
use base::number::{decimal, digits};
use base::sys::signal::Signal;
use std::fs;
use std::io::Read;
use std::os::fd::RawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

/// There is a file of this name that may be executed.
pub fn is_script(name: &str) -> bool {
    fs::metadata(name).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// There is something of this name.
pub fn exists(name: &str) -> bool {
    fs::symlink_metadata(name).is_ok()
}

/// `timeout-kill`, `timeout-finish`: milliseconds; 0 is for ever.
pub fn timeout(name: &str) -> Option<Duration> {
    number(name).map(Duration::from_millis)
}

/// `down-signal`: a name, with or without SIG, or a number.
pub fn down_signal() -> Signal {
    word("down-signal").and_then(|word| signal_number(&word)).unwrap_or(libc::SIGTERM)
}

/// `notification-fd`: a number from 3 to 1023.
pub fn notification_fd() -> Option<RawFd> {
    let number = number("notification-fd")?;
    RawFd::try_from(number).ok().filter(|number| (3..1024).contains(number))
}

/// `backoff`: the longest delay, in seconds, at most a day.
pub fn backoff() -> Option<u64> {
    number("backoff").map(|seconds| seconds.clamp(1, 86_400))
}

/// `max-restarts`, `N/SECS`: more than N deaths in this time are too many. N is at most 4096.
pub fn max_restarts() -> Option<(usize, Duration)> {
    let word = word("max-restarts")?;
    let (most, rest) = digits(&word)?;
    let seconds = decimal(rest.strip_prefix(b"/")?)?;
    Some((usize::try_from(most).ok()?.min(4096), Duration::from_secs(seconds)))
}

fn number(name: &str) -> Option<u64> {
    decimal(&word(name)?)
}

/// The first line, without the blanks around it.
fn word(name: &str) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    open_read(Path::new(name)).ok()?.take(64).read_to_end(&mut text).ok()?;
    let line = text.split(|byte| *byte == b'\n').next()?;
    Some(line.trim_ascii().to_vec())
}
