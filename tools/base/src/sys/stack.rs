//! Stacks for children that share our memory.

use std::ffi::c_void;
use std::ptr::null_mut;

/// Pages of a stack, of which nobody may touch the lowest. A child needs one or two, or three
/// when a signal comes; the others are never there.
const PAGES: usize = 8;

/// The upper end of a new stack, which stays for ever.
pub(super) fn new() -> Option<*mut c_void> {
    // SAFETY: a new mapping. Past its end is a fault, not other memory.
    unsafe {
        let page = usize::try_from(libc::sysconf(libc::_SC_PAGESIZE)).ok()?;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let low = libc::mmap(null_mut(), page * PAGES, access, flags, -1, 0);
        if low == libc::MAP_FAILED || libc::mprotect(low, page, libc::PROT_NONE) != 0 {
            return None;
        }
        Some(low.byte_add(page * PAGES))
    }
}
