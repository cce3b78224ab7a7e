//! The log, descriptor 0. The lines are an interface; other programs read them.
//!
//! What happens at once is written at once: lines wait until the main loop has nothing more to do,
//! and before that nobody is told what they say. Troubles do not wait.

use base::sys::fd;
use std::fmt::Display;
use std::sync::{Mutex, PoisonError};

/// Bytes of a write, unless one line is longer: so many come through a pipe in one piece, whoever
/// else writes to it (pipe(7), PIPE_BUF).
const AT_ONCE: usize = 4096;

/// Lines that have not been written, of all threads in their order.
static LINES: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Adds a line.
pub fn line(text: impl Display) {
    add(text, false);
}

/// Writes the lines that wait.
pub fn flush() {
    write(&mut LINES.lock().unwrap_or_else(PoisonError::into_inner));
}

/// `delivery NUMBER: WHAT: REPORT`
pub fn delivery(number: u64, what: &str, report: &[u8]) {
    line(format_args!("delivery {number}: {what}: {}", safe(report)));
}

/// `warning: TEXT`
pub fn warning(text: impl Display) {
    add(format_args!("warning: {text}"), true);
}

/// `alert: TEXT`
pub fn alert(text: impl Display) {
    add(format_args!("alert: {text}"), true);
}

/// Adds a line, and writes it and all before it at once if it is urgent.
fn add(text: impl Display, urgent: bool) {
    let line = format!("{text}\n");
    let mut lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    if lines.len() + line.len() > AT_ONCE {
        write(&mut lines);
    }
    lines.extend_from_slice(line.as_bytes());
    if urgent {
        write(&mut lines);
    }
}

/// Writes lines. If that fails, nobody is left to be told.
fn write(lines: &mut Vec<u8>) {
    let _ = fd::write_all(fd::STDIN, lines);
    lines.clear();
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
