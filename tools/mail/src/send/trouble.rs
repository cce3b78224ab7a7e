//! What went wrong with a file of the queue, in the words of the log. Nothing is lost: whatever
//! it was, it is tried again.

use super::log;
use std::io;
use std::path::Path;

/// The words of a warning.
#[derive(Debug)]
pub struct Trouble(String);

impl Trouble {
    /// `WHAT FILE!`
    pub fn new(what: &str, file: &Path) -> Self {
        Trouble(format!("{what} {}!", file.display()))
    }

    /// `WORDS`
    pub fn words(words: &str) -> Self {
        Trouble(words.into())
    }

    /// Writes the warning.
    pub fn log(&self) {
        log::warning(&self.0);
    }
}

/// `WHAT FILE; will try again later`, whatever the system's reason.
pub fn later(what: &str, file: &Path) -> impl Fn(io::Error) -> Trouble {
    move |_| Trouble(format!("{what} {}; will try again later", file.display()))
}

/// `WHAT FILE`, whatever the system's reason.
pub fn plain(what: &str, file: &Path) -> impl Fn(io::Error) -> Trouble {
    move |_| Trouble(format!("{what} {}", file.display()))
}
