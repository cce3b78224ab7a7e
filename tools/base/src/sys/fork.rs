//! A child that goes on in this program.

use super::check;
use super::signal::{self, Held};
use super::stack::Stack;
use super::start::exit_at_once;
use super::wait::Pid;
use std::ffi::{c_int, c_void};
use std::io;

unsafe extern "C" {
    /// POSIX's fork without handlers. `fork` itself brings all of NSS into static programs, for
    /// a handler of the C library's own: 90 kB that nobody here calls.
    #[link_name = "_Fork"]
    pub(super) fn fork() -> libc::pid_t;
}

/// Runs `work` in a child that shares the memory of this process, which stands still until the
/// child has become another program or ended: nothing is copied, and no page is missing in it.
///
/// One of the two goes on at a time, on a stack of its own, so the child may do what this process
/// may do. But it can be killed at any moment, and what it has begun then stays half done here: it
/// must not allocate. All signals are to be held back, so that no handler runs in it.
pub(super) fn child_in_our_memory<W: FnOnce() -> c_int>(work: W) -> io::Result<Pid> {
    extern "C" fn begin<W: FnOnce() -> c_int>(work: *mut c_void) -> c_int {
        // SAFETY: `work` below, which nobody else touches while its owner stands still.
        match unsafe { (*work.cast::<Option<W>>()).take() } {
            Some(work) => work(),
            None => 111,
        }
    }
    let stack = Stack::new()?;
    let mut work = Some(work);
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: the stack is free, and `begin` gets what it asks for. Both stay until the child has
    // left this memory, which is before clone returns here.
    check(unsafe { libc::clone(begin::<W>, stack.top(), flags, (&raw mut work).cast()) })
}

/// Runs `work` in a child process, which ends with the code that it returns. Signals that this
/// program caught or ignored have their defaults there.
pub fn child(work: impl FnOnce() -> u8) -> io::Result<Pid> {
    let held = Held::all()?;
    // SAFETY: one thread, so that the child's memory is whole and it may do anything.
    match check(unsafe { fork() })? {
        0 => {
            held.release_in_child();
            signal::forget_changes();
            std::mem::forget(held);
            exit_at_once(work());
        }
        pid => Ok(pid),
    }
}
