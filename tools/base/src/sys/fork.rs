//! A child that goes on in this program.

use super::check;
use super::signal::Held;
use super::start::exit_at_once;
use super::wait::Pid;
use std::io;

unsafe extern "C" {
    /// POSIX's fork without handlers. `fork` itself brings all of NSS into static programs, for
    /// a handler of the C library's own: 90 kB that nobody here calls.
    #[link_name = "_Fork"]
    pub(super) fn fork() -> libc::pid_t;
}

/// Runs `work` in a child process, which ends with the code that it returns. Signals that this
/// program caught or ignored have their defaults there.
pub fn child(work: impl FnOnce() -> u8) -> io::Result<Pid> {
    let held = Held::all()?;
    // SAFETY: one thread, so that the child's memory is whole and it may do anything.
    match check(unsafe { fork() })? {
        0 => {
            held.release_in_child();
            std::mem::forget(held);
            exit_at_once(work());
        }
        pid => Ok(pid),
    }
}
