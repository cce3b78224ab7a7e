//! Users and groups as the C library knows them: /etc/passwd, LDAP, systemd, whatever nsswitch.conf
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
            // SAFETY: a NUL-ended name, room for the entry, a buffer with its size, and a pointer
            // to fill, all of which live until the call returns.
            unsafe {
                let (start, size) = (buffer.as_mut_ptr(), buffer.len());
                libc::getpwnam_r(name.as_ptr(), entry.as_mut_ptr(), start, size, found)
            }
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

/// The number of the group of this name. Errors as for [`account`].
pub fn group(name: &[u8]) -> io::Result<Option<u32>> {
    let Ok(name) = CString::new(name) else {
        return Ok(None);
    };
    let mut entry = MaybeUninit::<libc::group>::uninit();
    look_up(
        |buffer, found: &mut *mut libc::group| {
            // SAFETY: as in `account`.
            unsafe {
                let (start, size) = (buffer.as_mut_ptr(), buffer.len());
                libc::getgrnam_r(name.as_ptr(), entry.as_mut_ptr(), start, size, found)
            }
        },
        |found| found.gr_gid,
    )
}

/// All groups that an account is a member of, its own first.
pub fn groups(account: &Account) -> io::Result<Vec<u32>> {
    let name = CString::new(&account.name[..])?;
    let mut groups = vec![0; 32];
    loop {
        let mut count = c_int::try_from(groups.len()).unwrap_or(c_int::MAX);
        // SAFETY: a NUL-ended name and room for `count` numbers.
        let found = unsafe {
            libc::getgrouplist(name.as_ptr(), account.gid, groups.as_mut_ptr(), &mut count)
        };
        let count = usize::try_from(count).unwrap_or(0);
        if found != -1 {
            groups.truncate(count);
            return Ok(groups);
        }
        if groups.len() >= MOST {
            return Err(io::Error::from_raw_os_error(libc::ERANGE));
        }
        groups.resize(count.max(groups.len() * 2).min(MOST), 0);
    }
}

/// Calls one of the `_r` functions, with a larger buffer as long as it wants one, and takes over
/// what it found.
fn look_up<E, T>(
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
fn bytes(string: *const c_char) -> Vec<u8> {
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
        assert_eq!(group(b"root").unwrap(), Some(0));
        assert_eq!(groups(&root).unwrap().first(), Some(&0));
        assert_eq!(account(b"no such account").unwrap(), None);
        assert_eq!(account(b"root\0x").unwrap(), None);
        assert_eq!(group(b"no such group").unwrap(), None);
    }
}
