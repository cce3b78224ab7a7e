//! Why a program stops: an exit code and its last words.

use crate::errno;
use std::fmt::Display;
use std::io;

/// A program's exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code(pub u8);

impl Code {
    /// All is done.
    pub const DONE: Code = Code(0);
    /// It will not work next time either.
    pub const PERM: Code = Code(100);
    /// It may work next time.
    pub const TEMP: Code = Code(111);
}

/// What `run` and everything below it returns.
pub type Result<T> = std::result::Result<T, Die>;

/// Why a program stops. Shown as `PROGRAM: TEXT`; nothing is shown if the text is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Die {
    /// The exit code.
    pub code: u8,
    /// What is said on stderr, without program name and newline. May hold several lines.
    pub text: String,
}

impl Die {
    /// Wrong usage: `usage: LINE`, 100.
    pub fn usage(line: &str) -> Self {
        Die { code: Code::PERM.0, text: format!("usage: {line}") }
    }

    /// A failure that stays: `fatal: WHAT`, 100.
    pub fn perm(what: impl Display) -> Self {
        Die { code: Code::PERM.0, text: format!("fatal: {what}") }
    }

    /// A failure of the system: `fatal: unable to WHAT: REASON`, 111.
    pub fn temp(what: impl Display, why: &io::Error) -> Self {
        Die { code: Code::TEMP.0, text: format!("fatal: unable to {what}: {}", errno::words(why)) }
    }

    /// A failure that may pass, in the program's own words: `fatal: WHAT`, 111.
    pub fn later(what: impl Display) -> Self {
        Die { code: Code::TEMP.0, text: format!("fatal: {what}") }
    }

    /// Ends with this code and without a word.
    pub fn silent(code: u8) -> Self {
        Die { code, text: String::new() }
    }

    /// The same words with another exit code.
    pub fn with_code(self, code: u8) -> Self {
        Die { code, ..self }
    }
}

/// Turns an I/O error into the program's last words.
pub trait Unable<T> {
    /// On failure: `fatal: unable to WHAT: REASON`, 111.
    fn unable(self, what: impl Display) -> Result<T>;
}

impl<T> Unable<T> for io::Result<T> {
    #[inline]
    fn unable(self, what: impl Display) -> Result<T> {
        self.map_err(|why| Die::temp(what, &why))
    }
}
