//! qmail-rspawn: schedule remote deliveries.
#![cfg_attr(not(test), no_main)]

use base::sys::spawn::Spawn;
use base::sys::wait::Status;
use base::{Args, Code, Result, env};
use mail::runner::Runners;
use mail::spawner::{self, Begun, Deliver, Order};
use mail::tcpto;
use queue::home;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

base::program!("qmail-rspawn", run);

fn run(_: Args) -> Result<Code> {
    let home = home::folder();
    // Time-outs of the past do not hold up a new start. Without the table, deliveries go on.
    let _ = tcpto::forget(&home.join("queue/lock"));
    let program = env::get("QMAILREMOTE").filter(|name| !name.is_empty());
    let program = program.unwrap_or_else(|| b"qmail-remote".to_vec());
    spawner::run(&home, Remote { program: OsString::from_vec(program) })
}

struct Remote {
    program: OsString,
}

impl Deliver for Remote {
    /// qmail-send keeps 10,000 bytes of a report; there may be two texts.
    const OUTPUT: usize = 65536;

    fn begin(
        &mut self,
        order: &Order,
        message: BorrowedFd,
        output: BorrowedFd,
        _: &mut Runners,
    ) -> io::Result<Begun> {
        let word = |bytes: &[u8]| OsStr::from_bytes(bytes).to_owned();
        let words = [
            self.program.clone(),
            word(order.domain()),
            word(&order.sender),
            word(&order.recipient),
        ];
        let child = Spawn::new(&words).fd(0, message).fd(1, output).fd(2, output).start()?;
        Ok(Begun::Child(child))
    }

    fn report(&self, status: Status, output: &[u8]) -> Vec<u8> {
        match status.code() {
            None => b"Zqmail-remote crashed.\n".to_vec(),
            Some(0) => combined(output),
            Some(111) => b"ZUnable to run qmail-remote.\n".to_vec(),
            Some(_) => b"DUnable to run qmail-remote.\n".to_vec(),
        }
    }
}

/// The report that qmail-remote's NUL-ended records amount to: what it says of the recipient
/// (`r` accepted, `h` refused for good, `s` refused for now), then of the message (K, Z, D).
fn combined(output: &[u8]) -> Vec<u8> {
    let Some(first) = output.first() else {
        return b"Zqmail-remote produced no output.\n".to_vec();
    };
    let mut records: Vec<&[u8]> = output.split(|byte| *byte == 0).collect();
    // What follows the last NUL is no record, unless it was us who cut it.
    if output.len() <= Remote::OUTPUT {
        records.pop();
    }
    let message = records.iter().find_map(|record| verdict(record)).unwrap_or(Verdict::Never);
    let sent = match first {
        b's' => Verdict::Later,
        b'h' => Verdict::Never,
        _ => message,
    };
    let text = |at: usize| records.get(at).and_then(|record| record.get(1..)).unwrap_or_default();
    // What was said of the message is added unless it is better news than what is sent.
    let adds = message <= sent && records.get(1).is_some_and(|record| verdict(record).is_some());
    [&[sent.letter()][..], text(0), if adds { text(1) } else { b"" }].concat()
}

/// What comes of a delivery, from bad to good.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Never,
    Later,
    Done,
}

impl Verdict {
    fn letter(self) -> u8 {
        match self {
            Verdict::Never => b'D',
            Verdict::Later => b'Z',
            Verdict::Done => b'K',
        }
    }
}

/// What a record says of the message, if it does.
fn verdict(record: &[u8]) -> Option<Verdict> {
    match record.first()? {
        b'K' => Some(Verdict::Done),
        b'Z' => Some(Verdict::Later),
        b'D' => Some(Verdict::Never),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_combine_as_the_table_says() {
        let table: [(&[u8], &str); 17] = [
            (b"r\0Kt\0", "Kt"),
            (b"Zt\0", "Zt"),
            (b"Dt\0", "Dt"),
            (b"ha\0Db\0", "Dab"),
            (b"sa\0Db\0", "Zab"),
            (b"ha\0Kb\0", "Da"),
            (b"sa\0Kb\0", "Za"),
            (b"ha\0Zb\0", "Da"),
            (b"sa\0Zb\0", "Zab"),
            (b"r\0Db\0", "Db"),
            (b"r\0Zb\0", "Zb"),
            // Neither in the table: the first record that speaks of the message counts, but only
            // the text of the one that follows directly is sent; no verdict at all is D.
            (b"r\0x\0Kb\0", "K"),
            (b"r\0", "D"),
            (b"\0\0", "D"),
            (b"Kcut", "D"),
            (b"r\0Kcut", "D"),
            (b"", "Zqmail-remote produced no output.\n"),
        ];
        let shown = |output| String::from_utf8(combined(output)).unwrap();
        assert_eq!(table.map(|(output, _)| shown(output)), table.map(|(_, report)| report));
    }

    #[test]
    fn an_endless_text_is_cut_not_refused() {
        let output = [b"K".repeat(Remote::OUTPUT + 1)].concat();
        assert_eq!(combined(&output), output);
    }
}
