//! Stacks for children that share our memory.

use super::check;
use std::ffi::c_void;
use std::io;
use std::ptr::null_mut;

/// Pages of a stack, of which nobody may touch the lowest. A child needs one or two, or three
/// when a signal comes; the others are never there.
const PAGES: usize = 8;

/// A stack.
pub(super) struct Stack {
    low: *mut c_void,
    page: usize,
}

impl Stack {
    /// A new one.
    pub(super) fn new() -> io::Result<Stack> {
        // SAFETY: asks for a number.
        let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping.
        let low = unsafe { libc::mmap(null_mut(), page * PAGES, access, flags, -1, 0) };
        if low == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let stack = Stack { low, page };
        // SAFETY: its lowest page: past its end is a fault, not other memory.
        check(unsafe { libc::mprotect(low, page, libc::PROT_NONE) })?;
        Ok(stack)
    }

    /// Its upper end, where a child begins.
    pub(super) fn top(&self) -> *mut c_void {
        // SAFETY: the end of the mapping.
        unsafe { self.low.byte_add(self.page * PAGES) }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: the mapping of `new`, which nobody uses any more: children that go on beside us
        // have stacks that are not dropped.
        unsafe { libc::munmap(self.low, self.page * PAGES) };
    }
}
