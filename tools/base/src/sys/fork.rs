//! A child that goes on in this program.

use super::check;
use super::signal::Held;
use super::start::exit_at_once;
use super::wait::Pid;
use std::io;

/// Runs `work` in a child process, which ends with the code that it returns. Signals that this
/// program caught or ignored have their defaults there.
pub fn child(work: impl FnOnce() -> u8) -> io::Result<Pid> {
    let held = Held::all()?;
    // SAFETY: one thread, so that the child's memory is whole and it may do anything.
    match check(unsafe { libc::fork() })? {
        0 => {
            held.release_in_child();
            std::mem::forget(held);
            exit_at_once(work());
        }
        pid => Ok(pid),
    }
}
