//! The permissions that new files do not get.

/// Sets the umask of this process, which its children inherit.
pub fn set(mask: u32) {
    // SAFETY: umask has no preconditions.
    unsafe { libc::umask(mask) };
}

/// Does something under this umask.
pub fn during<T>(mask: u32, work: impl FnOnce() -> T) -> T {
    // SAFETY: umask has no preconditions.
    let old = unsafe { libc::umask(mask) };
    let done = work();
    set(old);
    done
}
