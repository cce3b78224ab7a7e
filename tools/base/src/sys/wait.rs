//! Children that have ended.

use super::retry;
use std::io;

/// A process number.
pub type Pid = libc::pid_t;

/// How a process ended, as wait(2) gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(pub i32);

impl Status {
    /// The exit code, if the process exited.
    pub fn code(self) -> Option<u8> {
        libc::WIFEXITED(self.0).then(|| libc::WEXITSTATUS(self.0) as u8)
    }

    /// The signal, if one killed the process.
    pub fn signal(self) -> Option<i32> {
        libc::WIFSIGNALED(self.0).then(|| libc::WTERMSIG(self.0))
    }
}

/// Waits for this child to end.
pub fn child(pid: Pid) -> io::Result<Status> {
    let mut status = 0;
    // SAFETY: the kernel fills the status.
    retry(|| unsafe { libc::waitpid(pid, &mut status, 0) })?;
    Ok(Status(status))
}

/// A child that has ended already, any one; `None` if there is none at the moment.
pub fn any() -> Option<(Pid, Status)> {
    let mut status = 0;
    // SAFETY: the kernel fills the status.
    let pid = retry(|| unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG) }).ok()?;
    (pid > 0).then_some((pid, Status(status)))
}

/// Whether this child has ended already.
pub fn ended(pid: Pid) -> Option<Status> {
    let mut status = 0;
    // SAFETY: the kernel fills the status.
    let seen = retry(|| unsafe { libc::waitpid(pid, &mut status, libc::WNOHANG) }).ok()?;
    (seen == pid).then_some(Status(status))
}
