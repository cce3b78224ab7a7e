//! Becoming another program, with the path search of the originals.

use super::start;
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

/// A program with its words and environment, ready to run: everything that needs memory is done,
/// so that it may be executed between fork and exec.
pub struct Prepared {
    program: Program,
    /// `None`: that of this process, as it is, without a copy.
    environment: Option<Environment>,
}

impl Prepared {
    /// Looks at nothing yet: the search happens in [`Prepared::exec`].
    pub fn new(name: &[u8], words: &[OsString], env: &Env) -> io::Result<Self> {
        let environment = Some(Environment::of(env));
        Ok(Prepared { program: Program::new(name, words)?, environment })
    }

    /// As [`Prepared::new`], with the environment of this process.
    pub fn inheriting(name: &[u8], words: &[OsString]) -> io::Result<Self> {
        Ok(Prepared { program: Program::new(name, words)?, environment: None })
    }

    /// Becomes the program, or says why not. Allocates nothing.
    pub fn exec(&self) -> io::Error {
        let envp = self.environment.as_ref().map_or_else(start::environ, Environment::envp);
        io::Error::from_raw_os_error(self.program.search(|file| {
            // SAFETY: NUL-ended strings and NULL-ended lists of them, owned by self or, the
            // environment, by the process.
            unsafe { libc::execve(file, self.program.argv(), envp) };
            io::Error::last_os_error().raw_os_error().unwrap_or(0)
        }))
    }
}

/// A program and its words.
pub(super) struct Program {
    /// Files to try, in order.
    files: Vec<CString>,
    _words: Vec<CString>,
    argv: Vec<*const c_char>,
}

impl Program {
    pub(super) fn new(name: &[u8], words: &[OsString]) -> io::Result<Self> {
        let words =
            words.iter().map(|word| string(word.as_bytes())).collect::<Result<Vec<_>, _>>()?;
        let files = candidates(name).iter().map(|file| string(file)).collect::<Result<_, _>>()?;
        let argv = words.iter().map(|word| word.as_ptr()).chain([std::ptr::null()]).collect();
        Ok(Program { files, _words: words, argv })
    }

    /// A NULL-ended list of NUL-ended strings, valid as long as self.
    pub(super) fn argv(&self) -> *const *const c_char {
        self.argv.as_ptr()
    }

    /// Has the files tried in order by a function that comes back only with an error number: a
    /// missing one is passed over; one without access, without permission or that is a folder is
    /// passed over and remembered; any other error ends the search. Allocates nothing.
    pub(super) fn search(&self, attempt: impl Fn(*const c_char) -> i32) -> i32 {
        let mut remembered = libc::ENOENT;
        for file in &self.files {
            match attempt(file.as_ptr()) {
                libc::ENOENT => {}
                number @ (libc::EACCES | libc::EPERM | libc::EISDIR) => remembered = number,
                number => return number,
            }
        }
        remembered
    }
}

/// An environment as the kernel takes it.
pub struct Environment {
    _text: Vec<u8>,
    envp: Vec<*const c_char>,
}

impl Environment {
    /// Entries with a NUL are left out.
    pub fn of(env: &Env) -> Self {
        let entries = || env.entries().filter(|entry| memchr::memchr(0, entry).is_none());
        let mut text = Vec::with_capacity(entries().map(|entry| entry.len() + 1).sum());
        let mut starts = Vec::with_capacity(entries().count());
        for entry in entries() {
            starts.push(text.len());
            text.extend_from_slice(entry);
            text.push(0);
        }
        let starts = starts.into_iter().map(|start| text[start..].as_ptr().cast());
        let envp = starts.chain([std::ptr::null()]).collect();
        Environment { _text: text, envp }
    }

    /// A NULL-ended list of NUL-ended strings, valid as long as self.
    pub(super) fn envp(&self) -> *const *const c_char {
        self.envp.as_ptr()
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
