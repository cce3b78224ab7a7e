//! Passwords of the system's accounts: their hashes by NSS, and hashing by libcrypt, which knows
//! whatever methods the system has. Only for programs that are linked dynamically: see `nss`.

use super::memory::wipe;
use super::nss::{bytes, look_up};
use std::ffi::{CStr, CString, c_char, c_void};
use std::io;
use std::mem::MaybeUninit;

/// Words for `crypt_r` to work in: 256 KiB, twice what any libcrypt asks for.
const WORK: usize = 32768;

/// The method and salt of an account that does not exist: what Debian gives to one that does, so
/// that both take the same time.
const NOBODY: &CStr = c"$y$j9T$qfDS2OpdBWbrNcbEdlvoK0$";

// libcrypt's own function; the crate libc does not have it.
#[link(name = "crypt")]
unsafe extern "C" {
    fn crypt_r(phrase: *const c_char, setting: *const c_char, data: *mut c_void) -> *mut c_char;
}

/// The hash of an account's password: that of the shadow file, else that of the account itself.
/// An error, say that this process may not read it, is not the same as `None`: there is no such
/// account.
pub fn hash_of(name: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let Ok(name) = CString::new(name) else {
        return Ok(None);
    };
    let name = name.as_ptr();
    let mut entry = MaybeUninit::<libc::spwd>::uninit();
    let hidden = look_up(
        |buffer, found: &mut *mut libc::spwd| {
            let (start, size) = (buffer.as_mut_ptr(), buffer.len());
            // SAFETY: a NUL-ended name, room for the entry, a buffer with its size, and a pointer
            // to fill, all of which live until the call returns.
            unsafe { libc::getspnam_r(name, entry.as_mut_ptr(), start, size, found) }
        },
        |found| bytes(found.sp_pwdp),
    )?;
    if hidden.is_some() {
        return Ok(hidden);
    }
    let mut entry = MaybeUninit::<libc::passwd>::uninit();
    look_up(
        |buffer, found: &mut *mut libc::passwd| {
            let (start, size) = (buffer.as_mut_ptr(), buffer.len());
            // SAFETY: as above.
            unsafe { libc::getpwnam_r(name, entry.as_mut_ptr(), start, size, found) }
        },
        |found| bytes(found.pw_passwd),
    )
}

/// Whether a password has this hash. The empty one never has, and neither has any if there is no
/// hash, or one that nothing can have, as that of a locked account. Those take as long as others.
pub fn matches(password: &[u8], hash: Option<&[u8]>) -> bool {
    let Ok(phrase) = CString::new(password) else {
        return false;
    };
    let setting = hash.and_then(|hash| CString::new(hash).ok());
    let made = setting.and_then(|setting| crypt(&phrase, &setting));
    let fine = match (made, hash) {
        (Some(made), Some(hash)) => equal(&made, hash),
        _ => {
            crypt(&phrase, NOBODY);
            false
        }
    };
    wipe(&mut phrase.into_bytes());
    fine && !password.is_empty()
}

/// The hash of a phrase by the method and salt that `setting` begins with. `None` if there is no
/// such method.
fn crypt(phrase: &CStr, setting: &CStr) -> Option<Vec<u8>> {
    let mut work = vec![0u64; WORK];
    let data = work.as_mut_ptr().cast();
    // SAFETY: two NUL-ended strings, and zeroed room, more than the library's structure has.
    let made = unsafe { crypt_r(phrase.as_ptr(), setting.as_ptr(), data) };
    // The result lies in the room, or is NULL.
    let made = bytes(made);
    // What the library worked with is as good as the phrase.
    // SAFETY: the bytes of a vector of numbers.
    wipe(unsafe { std::slice::from_raw_parts_mut(work.as_mut_ptr().cast(), WORK * 8) });
    // A failure is a text that no hash begins with.
    Some(made).filter(|made| !made.is_empty() && !made.starts_with(b"*"))
}

/// Compares in a time that does not depend on where they differ.
fn equal(a: &[u8], b: &[u8]) -> bool {
    let different = a.iter().zip(b).fold(0, |seen, (a, b)| seen | (a ^ b));
    a.len() == b.len() && std::hint::black_box(different) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "secret" by several methods.
    const HASHES: [&str; 5] = [
        "$y$j9T$qfDS2OpdBWbrNcbEdlvoK0$uvj2QtGsBNkPVo/zhWTxvljs5.7CfRqRnSIqmKM7nPC",
        "$6$saltsalt$TVLlQcbpFVof5W3Yz4DTP6gRstiNuHwwTt6GLc1E5n0U0aDehy0S5knV8wiOQSpT0Y77vwPZN.Pq.H91p5hVO1",
        "$5$saltsalt$0IyaXrmV7.sGNS6tirgqHLqX/G.FBvgkYA.lpPdS5sA",
        "$1$saltsalt$9xy1btjgzLYfb7hivXtC//",
        "abNANd1rDfiNc",
    ];

    #[test]
    fn every_method_of_the_system_is_known() {
        for hash in HASHES {
            let tried = |password: &str| matches(password.as_bytes(), Some(hash.as_bytes()));
            assert_eq!((hash, tried("secret"), tried("Secret")), (hash, true, false));
            assert!(!tried("") && !tried("secret\0") && !tried("secret "));
        }
    }

    #[test]
    fn nothing_matches_no_hash_and_the_empty_password_never_does() {
        for hash in ["", "*", "!", "x", "*0", "*1", "!$6$x$y", "$nothing$x"] {
            for password in ["secret", hash] {
                assert!(!matches(password.as_bytes(), Some(hash.as_bytes())), "{hash} {password}");
            }
        }
        assert!(!matches(b"secret", None) && !matches(b"", None));
        let empty = crypt(c"", NOBODY).unwrap();
        assert!(!matches(b"", Some(&empty)));
    }

    #[test]
    fn root_has_a_hash_for_root_only() {
        let hash = hash_of(b"root");
        let root = super::super::ids::effective_uid() == 0;
        assert!(if root { matches!(hash, Ok(Some(_))) } else { !matches!(hash, Ok(None)) });
        assert_eq!(hash_of(b"no such account").ok().flatten(), None);
    }
}
