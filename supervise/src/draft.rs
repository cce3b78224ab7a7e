//! A `supervise/state` without the process that it is about, which puts itself in and writes it on
//! its way to the program. It is a child in our memory: everything that needs memory is done before.

use crate::home::Home;
use crate::running;
use crate::state::{Process, Record};
use base::sys::wait::Pid;
use memchr::memmem;

/// Holds the place: there are no such processes.
const UNKNOWN: Process = Process { pid: Pid::MAX, start: u64::MAX };

/// A state file to come.
pub struct Draft {
    text: Vec<u8>,
    /// Where the digits of the process number end, and those of its start.
    ends: Option<[usize; 2]>,
}

impl Draft {
    /// Says all that the record says, and of one process, the service or its log script, what is
    /// not known yet.
    pub fn new(mut record: Record, log: bool) -> Draft {
        *if log { &mut record.log } else { &mut record.process } = Some(UNKNOWN);
        let text = record.text().into_bytes();
        let end = |key: &str, number: u64| {
            let line = format!("{key}={number}");
            Some(memmem::find(&text, line.as_bytes())? + line.len())
        };
        let ends = end("pid", UNKNOWN.pid as u64).zip(end("start", UNKNOWN.start));
        Draft { ends: ends.map(Into::into), text }
    }

    /// Puts this process in, with leading zeros, and replaces the file. Allocates nothing.
    pub fn write(&mut self, home: &Home) {
        if let (Some([pid, start]), Some(this)) = (self.ends, running::this()) {
            put(&mut self.text[..pid], this.pid.unsigned_abs().into());
            put(&mut self.text[..start], this.start);
            // Supervise tries again, and complains.
            let _ = home.state.put(&self.text);
        }
    }
}

/// Writes a number over the digits that `text` ends with.
fn put(text: &mut [u8], mut number: u64) {
    for digit in text.iter_mut().rev().take_while(|byte| byte.is_ascii_digit()) {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_takes_the_place_of_another() {
        let mut text = *b"pid=2147483647";
        put(&mut text, 4711);
        assert_eq!(&text, b"pid=0000004711");
    }

    #[test]
    fn a_draft_with_its_numbers_is_a_record() {
        let (pid, start) = (70_000, 123_456_789);
        for log in [false, true] {
            let record = Record { restarts: 3, ..Record::default() };
            let mut draft = Draft::new(record.clone(), log);
            let [pid_end, start_end] = draft.ends.unwrap();
            put(&mut draft.text[..pid_end], pid as u64);
            put(&mut draft.text[..start_end], start);
            let process = Some(Process { pid, start });
            let expected = match log {
                false => Record { process, ..record },
                true => Record { log: process, ..record },
            };
            assert_eq!(Record::parse(&draft.text), expected);
        }
    }
}
