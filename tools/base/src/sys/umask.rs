//! The permissions that new files do not get.

/// Sets the umask of this process, which its children inherit.
pub fn set(mask: u32) {
    // SAFETY: umask has no preconditions.
    unsafe { libc::umask(mask) };
}
