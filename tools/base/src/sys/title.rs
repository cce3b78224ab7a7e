//! What other processes see of this one in ps: the memory of its arguments.

use std::ffi::{CStr, c_char};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering::SeqCst};

/// The last argument where the kernel put it; NULL once it is lent.
static LAST: AtomicPtr<c_char> = AtomicPtr::new(null_mut());

/// Notes the last argument at the start.
pub(super) fn note(last: *const c_char) {
    LAST.store(last.cast_mut(), SeqCst);
}

/// The bytes of the last argument, for good: what is written there shows in ps. Empty the second
/// time.
pub fn last_argument() -> &'static mut [u8] {
    let last = LAST.swap(null_mut(), SeqCst);
    if last.is_null() {
        return &mut [];
    }
    // SAFETY: a NUL-ended string of argv, which is writable and lives as long as the process.
    // The swap gives it out once; everybody else has had a copy since the start.
    unsafe { std::slice::from_raw_parts_mut(last.cast(), CStr::from_ptr(last).count_bytes()) }
}
