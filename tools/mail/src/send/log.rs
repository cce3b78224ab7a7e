//! The log, descriptor 0: one line, one write. The lines are an interface; other programs read
//! them.

use base::sys::fd;
use std::fmt::Display;
use std::sync::{Mutex, PoisonError};

/// Held by the thread that writes. A pipe without much room takes a part of a long line, and then
/// what another thread has for it.
static WRITING: Mutex<()> = Mutex::new(());

/// Writes a line. If that fails, nobody is left to be told.
pub fn line(text: impl Display) {
    let _writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let _ = fd::write_all(fd::STDIN, format!("{text}\n").as_bytes());
}

/// `delivery NUMBER: WHAT: REPORT`
pub fn delivery(number: u64, what: &str, report: &[u8]) {
    line(format_args!("delivery {number}: {what}: {}", safe(report)));
}

/// `warning: TEXT`
pub fn warning(text: impl Display) {
    line(format_args!("warning: {text}"));
}

/// `alert: TEXT`
pub fn alert(text: impl Display) {
    line(format_args!("alert: {text}"));
}

/// A stranger's words: a newline becomes `/`, anything but visible ASCII, and `%`, becomes `_`.
pub fn safe(words: &[u8]) -> String {
    let shown = words.iter().map(|byte| match byte {
        b'\n' => '/',
        b'%' => '_',
        33..=126 => char::from(*byte),
        _ => '_',
    });
    shown.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_words_are_one_visible_word() {
        assert_eq!(safe(b"a b%c\n\0\x7f\x80~!\r"), "a_b_c/___~!_");
    }
}
