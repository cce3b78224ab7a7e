//! A process that runs for a service, started by this supervise or adopted from an earlier one.
//!
//! It is held by a pidfd, so that no signal ever reaches another process that has got its number.
//! On a kernel without pidfds a child is safe too, since its number is free only when its death
//! has been waited for; an adopted process is told from others by the time of its start.

use crate::state::Process;
use base::number::decimal;
use base::sys::fd;
use base::sys::poll::{Wait, poll};
use base::sys::signal::{self, Signal};
use base::sys::wait::{self, Pid};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

/// A process that runs.
pub struct Running {
    pid: Pid,
    /// `None` where /proc does not tell: then no later supervise can adopt it.
    process: Option<Process>,
    /// `None` on a kernel without pidfds.
    pidfd: Option<OwnedFd>,
    adopted: bool,
    leader: bool,
}

impl Running {
    /// A child of this process. `leader`: it leads a process group, or is about to.
    pub fn child(pid: Pid, leader: bool) -> Running {
        let process = start_of(pid).map(|start| Process { pid, start });
        Running { pid, process, pidfd: wait::end_of(pid).ok(), adopted: false, leader }
    }

    /// The process that an earlier supervise has written down, if it still runs.
    pub fn adopt(process: Process) -> Option<Running> {
        let pid = process.pid;
        // Held first, then looked at: what is looked at cannot be replaced meanwhile.
        let pidfd = match wait::end_of(pid) {
            Err(why) if why.raw_os_error() == Some(libc::ESRCH) => return None,
            pidfd => pidfd.ok(),
        };
        let found = look(pid).filter(|found| found.start == process.start)?;
        let leader = found.group == pid;
        Some(Running { pid, process: Some(process), pidfd, adopted: true, leader })
    }

    /// Its number.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// How a later supervise will know it.
    pub fn process(&self) -> Option<Process> {
        self.process
    }

    /// It is no child, so that nobody but [`Running::end`] tells of its death.
    pub fn is_adopted(&self) -> bool {
        self.adopted
    }

    /// Readable when an adopted process has ended. `None` for a child, and without pidfds.
    pub fn end(&self) -> Option<BorrowedFd<'_>> {
        self.pidfd.as_ref().filter(|_| self.adopted).map(|pidfd| pidfd.as_fd())
    }

    /// Whether an adopted process has ended.
    pub fn has_ended(&self) -> bool {
        match &self.pidfd {
            Some(pidfd) => {
                let waited = poll(&mut [Wait::read(pidfd.as_fd())], Some(Duration::ZERO));
                waited.is_ok_and(|count| count > 0)
            }
            None => start_of(self.pid) != self.process.map(|process| process.start),
        }
    }

    /// Sends a signal to the process, or (`group`) to the group if it leads one.
    pub fn send(&self, signal: Signal, group: bool) {
        let group = group && self.leader;
        // The group is not there yet just after the start: then the process alone.
        if !group || self.try_send(signal, true).is_err() {
            let _ = self.try_send(signal, false);
        }
    }

    fn try_send(&self, signal: Signal, group: bool) -> std::io::Result<()> {
        if let Some(pidfd) = &self.pidfd {
            match signal::send_through(pidfd.as_fd(), signal, group) {
                // A group: not before Linux 6.9.
                Err(why) if why.raw_os_error() == Some(libc::EINVAL) && group => {}
                done => return done,
            }
        }
        if self.adopted && self.has_ended() {
            return Ok(());
        }
        signal::send(if group { -self.pid } else { self.pid }, signal)
    }
}

/// When the process was started, in clock ticks since the system was. `None` if it has ended,
/// even if nobody has waited for it yet.
pub fn start_of(pid: Pid) -> Option<u64> {
    look(pid).map(|found| found.start)
}

/// This process, which may be a child in another's memory: nothing is allocated.
pub fn this() -> Option<Process> {
    let found = look_at(Path::new("/proc/self/stat"))?;
    Some(Process { pid: std::process::id() as Pid, start: found.start })
}

/// The parent of a process, and [`start_of`] it.
pub fn parent_and_start(pid: Pid) -> Option<(Pid, u64)> {
    look(pid).map(|found| (found.parent, found.start))
}

/// What /proc tells of a process.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    parent: Pid,
    group: Pid,
    start: u64,
}

fn look(pid: Pid) -> Option<Found> {
    look_at(Path::new(&format!("/proc/{pid}/stat")))
}

fn look_at(file: &Path) -> Option<Found> {
    // Field 22 is never as far behind as this.
    let mut text = [0; 1024];
    let file = File::open(file).ok()?;
    let count = fd::read(file.as_fd(), &mut text).ok()?;
    parse(&text[..count])
}

/// Fields 4, 5 and 22 of the text of /proc/PID/stat: `PID (NAME) STATE ...`. The name may hold
/// anything. `None` for a process that has ended.
fn parse(text: &[u8]) -> Option<Found> {
    let name_end = text.iter().rposition(|byte| *byte == b')')?;
    let mut fields = text.get(name_end + 2..)?.split(|byte| *byte == b' ');
    let state = fields.next()?;
    let parent = decimal(fields.next()?)?.try_into().ok()?;
    let group = decimal(fields.next()?)?.try_into().ok()?;
    let start = decimal(fields.nth(16)?)?;
    (!matches!(state, b"Z" | b"X")).then_some(Found { parent, group, start })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::tests::Random;

    const STAT: &str = "71 (a) b (c) S 1 71 70 0 -1 4194560 110 0 0 0 0 0 0 0 20 0 1 0 \
                        98765 2703360 220 18446744073709551615 1 1 0\n";

    #[test]
    fn the_start_is_the_twenty_second_field() {
        assert_eq!(parse(STAT.as_bytes()), Some(Found { parent: 1, group: 71, start: 98765 }));
        assert_eq!(parse(STAT.replace(") S ", ") Z ").as_bytes()), None);
        assert!(start_of(std::process::id() as Pid).is_some());
    }

    #[test]
    fn damaged_text_gives_another_start_or_none() {
        let mut random = Random::new(11);
        for _ in 0..10_000 {
            parse(&random.damaged(STAT.as_bytes()));
        }
    }

    #[test]
    fn only_the_very_process_is_adopted() {
        let pid = std::process::id() as Pid;
        let process = Process { pid, start: start_of(pid).unwrap() };
        assert!(!Running::adopt(process).unwrap().has_ended());
        assert!(Running::adopt(Process { start: process.start + 1, ..process }).is_none());
        assert!(Running::adopt(Process { pid: i32::MAX, ..process }).is_none());
    }
}
