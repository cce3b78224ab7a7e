//! The name of this machine.

/// Bytes of the longest name that Linux allows, and room for the NUL.
const ROOM: usize = 65;

/// The host name as the kernel has it, with or without a domain. Empty if it has none.
pub fn name() -> Vec<u8> {
    let mut name = vec![0u8; ROOM];
    // SAFETY: the C library writes at most name.len() bytes into it.
    if unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len()) } != 0 {
        return Vec::new();
    }
    name.truncate(memchr::memchr(0, &name).unwrap_or(ROOM));
    name
}
