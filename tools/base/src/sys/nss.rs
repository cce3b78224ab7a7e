//! Accounts as the C library knows them: /etc/passwd, LDAP, systemd, whatever nsswitch.conf
//! names. Only for programs that are linked dynamically: a static program may die in here.

use super::ids::Account;
use std::ffi::{CStr, CString, c_char, c_int};
use std::io;
use std::mem::MaybeUninit;

/// Bytes of the first attempt at an entry; the C library asks for more if it needs more.
const FIRST: usize = 1024;
/// Bytes that no entry needs: one that seems to is an error.
const MOST: usize = 1 << 20;

/// The account of this name. An error, say a directory server that does not answer, is not the
/// same as `None`: there is no such account.
pub fn account(name: &[u8]) -> io::Result<Option<Account>> {
    let Ok(name) = CString::new(name) else {
        return Ok(None);
    };
    let mut entry = MaybeUninit::<libc::passwd>::uninit();
    look_up(
        |buffer, found: &mut *mut libc::passwd| {
            let (start, size) = (buffer.as_mut_ptr(), buffer.len());
            // SAFETY: a NUL-ended name, room for the entry, a buffer with its size, and a pointer
            // to fill, all of which live until the call returns.
            unsafe { libc::getpwnam_r(name.as_ptr(), entry.as_mut_ptr(), start, size, found) }
        },
        |found| Account {
            name: bytes(found.pw_name),
            uid: found.pw_uid,
            gid: found.pw_gid,
            home: bytes(found.pw_dir),
            shell: bytes(found.pw_shell),
        },
    )
}

/// Calls one of the `_r` functions, with a larger buffer as long as it wants one, and takes over
/// what it found.
pub(super) fn look_up<E, T>(
    mut call: impl FnMut(&mut [c_char], &mut *mut E) -> c_int,
    take: impl FnOnce(&E) -> T,
) -> io::Result<Option<T>> {
    let mut buffer: Vec<c_char> = vec![0; FIRST];
    loop {
        let mut found = std::ptr::null_mut();
        match call(&mut buffer, &mut found) {
            // SAFETY: NULL or the entry that the call filled; its strings lie in `buffer`.
            0 => return Ok(unsafe { found.as_ref() }.map(take)),
            libc::EINTR => {}
            libc::ERANGE if buffer.len() < MOST => buffer.resize(buffer.len() * 2, 0),
            // Not an answer but two ways of saying no: the database is not there, or not running.
            libc::ENOENT | libc::ESRCH => return Ok(None),
            number => return Err(io::Error::from_raw_os_error(number)),
        }
    }
}

/// A string of an entry; NULL is empty.
pub(super) fn bytes(string: *const c_char) -> Vec<u8> {
    if string.is_null() {
        return Vec::new();
    }
    // SAFETY: the C library ends the strings of its entries, which lie in a buffer still alive.
    unsafe { CStr::from_ptr(string) }.to_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_known_and_strangers_are_not() {
        let root = account(b"root").unwrap().unwrap();
        assert_eq!((&root.name[..], root.uid, root.gid), (&b"root"[..], 0, 0));
        assert_eq!(account(b"no such account").unwrap(), None);
        assert_eq!(account(b"root\0x").unwrap(), None);
    }
}
