//! The start of a program: C's `main` hands over here.

use super::title;
use crate::{Args, Code, Result, say};
use std::ffi::{CStr, OsString, c_char, c_int};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::OnceLock;

static PROGRAM: OnceLock<&str> = OnceLock::new();
static NAMED: OnceLock<OsString> = OnceLock::new();

/// Runs a program: see [`crate::program!`].
///
/// # Safety
/// `argc` and `argv` are what the C library gave to `main`, and this is called once, by `main`.
pub unsafe fn start(
    name: &'static str,
    argc: c_int,
    argv: *const *const c_char,
    run: fn(Args) -> Result<Code>,
    panic_code: u8,
) -> c_int {
    let _ = PROGRAM.set(name);
    std::panic::set_hook(Box::new(move |panic| {
        let place = panic.location();
        let file = place.map_or("unknown place", |place| place.file());
        let line = place.map_or(0, |place| place.line());
        say::line(format_args!("fatal: internal error: {file}:{line}"));
        exit_at_once(panic_code);
    }));
    let count = usize::try_from(argc).unwrap_or(0);
    let mut words = (0..count).map(|at| {
        // SAFETY: argv holds argc pointers to strings that live as long as the process.
        let word = unsafe { CStr::from_ptr(*argv.add(at)) };
        OsString::from_vec(word.to_bytes().to_vec())
    });
    let _ = NAMED.set(words.next().unwrap_or_default());
    let words: Args = words.collect();
    if count > 1 {
        // SAFETY: argv holds argc pointers.
        title::note(unsafe { *argv.add(count - 1) });
    }
    let code = match run(words) {
        Ok(code) => code.0,
        Err(die) => {
            if !die.text.is_empty() {
                say::line(die.text);
            }
            die.code
        }
    };
    c_int::from(code)
}

/// The running program's name. Empty in unit tests.
pub fn program() -> &'static str {
    PROGRAM.get().copied().unwrap_or_default()
}

/// The last component of `argv[0]`, for the few programs with several names.
pub fn called() -> &'static [u8] {
    let name = NAMED.get().map(|name| name.as_bytes()).unwrap_or_default();
    name.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
}

/// Ends the process now: nothing is flushed, nothing is called.
pub fn exit_at_once(code: u8) -> ! {
    // SAFETY: _exit has no preconditions and does not return.
    unsafe { libc::_exit(c_int::from(code)) }
}

/// The process's environment as execve takes it.
pub(crate) fn environ() -> *const *const c_char {
    unsafe extern "C" {
        static environ: *const *const c_char;
    }
    // SAFETY: nobody changes it: programs have one thread and setting variables is banned.
    unsafe { environ }
}

/// The process's environment as it was given, each entry whole.
pub(crate) fn environment() -> Vec<Vec<u8>> {
    let mut entries = Vec::new();
    let mut at = environ();
    // SAFETY: a NULL-ended list of strings (or NULL), which nobody changes.
    unsafe {
        while !at.is_null() && !(*at).is_null() {
            entries.push(CStr::from_ptr(*at).to_bytes().to_vec());
            at = at.add(1);
        }
    }
    entries
}
