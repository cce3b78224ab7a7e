//! Messages on stderr: one line, one write.

use crate::errno;
use crate::sys::{fd, start};
use std::fmt::Display;
use std::io;

/// The running program's name, as messages show it.
pub fn program() -> &'static str {
    start::program()
}

/// `PROGRAM: TEXT`.
pub fn line(text: impl Display) {
    raw(format!("{}: {text}\n", program()).as_bytes());
}

/// `PROGRAM: warning: TEXT`.
pub fn warning(text: impl Display) {
    line(format_args!("warning: {text}"));
}

/// `PROGRAM: warning: unable to WHAT: REASON`.
pub fn unable(what: impl Display, why: &io::Error) {
    warning(format_args!("unable to {what}: {}", errno::words(why)));
}

/// Bytes as they are, in one write if the system takes them in one. A failure to complain has
/// nobody left to be told, so it is ignored.
pub fn raw(bytes: &[u8]) {
    let _ = fd::write_all(fd::STDERR, bytes);
}
