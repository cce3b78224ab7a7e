//! Becoming another program, with the path search of the originals.

use crate::env::{self, Env};
use std::convert::Infallible;
use std::ffi::{CString, OsString, c_char};
use std::io;
use std::os::unix::ffi::OsStrExt;

/// Becomes the program that the first word names, with all words as its argv and the environment
/// of this process. Returns only if that fails.
pub fn exec(words: &[OsString]) -> io::Result<Infallible> {
    exec_with(words, &Env::inherited())
}

/// As [`exec`], with this environment. The program is looked up in the `PATH` of this process,
/// not in that of `env`.
pub fn exec_with(words: &[OsString], env: &Env) -> io::Result<Infallible> {
    let [name, ..] = words else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    Err(Prepared::new(name.as_bytes(), words, env)?.exec())
}

/// As [`exec_with`], running the file `name` (path search if it holds no slash) under the
/// `argv[0]` that `words` gives.
pub fn exec_as(name: &[u8], words: &[OsString], env: &Env) -> io::Result<Infallible> {
    Err(Prepared::new(name, words, env)?.exec())
}

/// A program ready to run: everything that needs memory is done, so that it may be executed
/// between fork and exec.
pub struct Prepared {
    /// Files to try, in order.
    files: Vec<CString>,
    _words: Vec<CString>,
    _env: Vec<CString>,
    argv: Vec<*const c_char>,
    envp: Vec<*const c_char>,
}

impl Prepared {
    /// Looks at nothing yet: the search happens in [`Prepared::exec`].
    pub fn new(name: &[u8], words: &[OsString], env: &Env) -> io::Result<Self> {
        let words =
            words.iter().map(|word| string(word.as_bytes())).collect::<Result<Vec<_>, _>>()?;
        let env = env.strings();
        let files = candidates(name).iter().map(|file| string(file)).collect::<Result<_, _>>()?;
        let (argv, envp) = (pointers(&words), pointers(&env));
        Ok(Prepared { files, _words: words, _env: env, argv, envp })
    }

    /// Tries the files in order: a missing one is passed over; one without access, without
    /// permission or that is a folder is passed over and remembered; any other error ends the
    /// search. Allocates nothing.
    pub fn exec(&self) -> io::Error {
        let mut remembered = libc::ENOENT;
        for file in &self.files {
            // SAFETY: NUL-ended strings and NULL-ended lists of them, owned by self.
            unsafe { libc::execve(file.as_ptr(), self.argv.as_ptr(), self.envp.as_ptr()) };
            let why = io::Error::last_os_error();
            match why.raw_os_error() {
                Some(libc::ENOENT) => {}
                Some(number @ (libc::EACCES | libc::EPERM | libc::EISDIR)) => remembered = number,
                _ => return why,
            }
        }
        io::Error::from_raw_os_error(remembered)
    }
}

/// The files that `name` may mean: itself if it holds a slash, else one for each element of
/// `PATH`, where an empty element is the current folder.
fn candidates(name: &[u8]) -> Vec<Vec<u8>> {
    if name.contains(&b'/') {
        return vec![name.to_vec()];
    }
    let path = env::get("PATH").unwrap_or_else(|| b"/bin:/usr/bin".to_vec());
    let folders = path.split(|byte| *byte == b':');
    folders
        .map(|folder| if folder.is_empty() { &b"."[..] } else { folder })
        .map(|folder| [folder, b"/", name].concat())
        .collect()
}

fn string(bytes: &[u8]) -> io::Result<CString> {
    CString::new(bytes).map_err(|_| io::ErrorKind::InvalidInput.into())
}

fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([std::ptr::null()]).collect()
}
