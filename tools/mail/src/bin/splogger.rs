//! splogger: send standard input to the system log, line by line.
#![cfg_attr(not(test), no_main)]

use base::input::Input;
use base::sys::syslog::{Priority, Syslog};
use base::sys::{clock, signal};
use base::{Args, Code, Result, Unable, number, say};
use std::os::unix::ffi::OsStrExt;

base::program!("splogger", run);

/// Bytes of one log message; longer lines continue in further ones.
const PIECE: usize = 799;

/// The facility "mail".
const MAIL: u32 = 2;

fn run(words: Args) -> Result<Code> {
    let tag = words.first().map_or(&b"splogger"[..], |tag| tag.as_bytes());
    let facility = words.get(1).and_then(|word| number::leading(word.as_bytes()));
    let facility = facility.and_then(|number| u32::try_from(number).ok()).unwrap_or(MAIL);
    // A log daemon that goes away must not take this program with it.
    signal::ignore(signal::PIPE).unable("ignore SIGPIPE")?;
    let syslog = Syslog::new(tag, facility);
    let piece = Vec::with_capacity(PIECE);
    let mut lines = Lines { syslog, tag: tag.to_vec(), piece, begun: None };
    let mut input = Input::stdin();
    loop {
        let bytes = input.fill().unable("read input")?;
        if bytes.is_empty() {
            // An unfinished line is dropped, as the original does.
            return Ok(Code::DONE);
        }
        let count = bytes.len();
        bytes.iter().for_each(|byte| lines.add(*byte));
        input.consume(count);
    }
}

/// The line that is being read.
struct Lines {
    syslog: Syslog,
    tag: Vec<u8>,
    piece: Vec<u8>,
    /// Stamp and priority of the line's first piece, once that is logged.
    begun: Option<(String, Priority)>,
}

impl Lines {
    fn add(&mut self, byte: u8) {
        if byte == b'\n' {
            self.log();
            self.begun = None;
            return;
        }
        if self.piece.len() == PIECE {
            self.log();
        }
        self.piece.push(if (32..=126).contains(&byte) { byte } else { b'?' });
    }

    /// Logs what there is of the line: with a stamp and a blank at its start, with the same stamp
    /// and a plus sign further on. An empty line is nothing. What the system log does not take is
    /// said where messages go: somebody may see it there.
    fn log(&mut self) {
        if self.piece.is_empty() {
            return;
        }
        let between = if self.begun.is_some() { b"+" } else { b" " };
        let (stamp, priority) = self.begun.get_or_insert_with(|| (stamp(), priority(&self.piece)));
        let text = [stamp.as_bytes(), between, &self.piece].concat();
        if self.syslog.log(*priority, &text).is_err() {
            say::raw(&[&self.tag, &b": "[..], &text, b"\n"].concat());
        }
        self.piece.clear();
    }
}

/// Seconds since 1970, six digits of microseconds.
fn stamp() -> String {
    let now = clock::now();
    format!("{}.{:06}", now.as_secs(), now.subsec_micros())
}

fn priority(line: &[u8]) -> Priority {
    match line {
        line if line.starts_with(b"warning:") => Priority::Warning,
        line if line.starts_with(b"alert:") => Priority::Alert,
        _ => Priority::Info,
    }
}
