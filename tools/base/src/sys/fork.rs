//! A child that goes on in this program.

use super::check;
use super::signal::{self, Held};
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

/// Bytes of our stack between `work` and the child that does it: more than the rest of that frame
/// and the call of clone need.
const BETWEEN: usize = 4096;

/// Runs `work` in a child that shares the memory of this process, which stands still until the
/// child has become another program or ended: nothing is copied, and no page is missing in it.
///
/// It has the unused part of our stack, as after vfork(2). One of the two goes on at a time, so
/// the child may do what this process may do. But it can be killed at any moment, and what it has
/// begun then stays half done here: it must not allocate. All signals are to be held back, so that
/// no handler runs in it.
pub(super) fn child_in_our_memory<W: FnOnce() -> c_int>(work: W) -> io::Result<Pid> {
    extern "C" fn begin<W: FnOnce() -> c_int>(work: *mut c_void) -> c_int {
        // SAFETY: `work` below, which nobody else touches while its owner stands still.
        match unsafe { (*work.cast::<Option<W>>()).take() } {
            Some(work) => work(),
            None => 111,
        }
    }
    const { assert!(size_of::<W>() < BETWEEN / 8) };
    let mut work = Some(work);
    let work = (&raw mut work).cast::<c_void>();
    // Aligned as the x86-64 and the AArch64 ABI want it.
    let stack = work.wrapping_byte_sub(BETWEEN + work.addr() % 16);
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: below this frame, and that of clone, the stack is nobody's, and what would run over
    // its end is stopped as anything else on it. `begin` gets what it asks for. Both stay until the
    // child has left this memory, which is before clone returns here.
    check(unsafe { libc::clone(begin::<W>, stack, flags, work) })
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
