//! Children that have ended.

use super::{check, retry};
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

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

/// A descriptor that becomes readable when the process ends, whoever's child it is. Fails with
/// ESRCH if there is no such process, with ENOSYS on old kernels.
pub fn end_of(pid: Pid) -> io::Result<OwnedFd> {
    let flags: libc::c_uint = 0;
    // SAFETY: no memory is involved.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, flags) };
    let fd = check(RawFd::try_from(fd).unwrap_or(-1))?;
    // SAFETY: fresh from pidfd_open (which makes it close-on-exec) and owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Makes this process the parent of its orphaned descendants, so that [`any`] gives them too.
pub fn adopt_orphans() -> io::Result<()> {
    // SAFETY: no memory is involved.
    check(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }).map(drop)
}
