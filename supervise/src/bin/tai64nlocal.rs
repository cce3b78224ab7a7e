//! tai64nlocal: show the time stamps at the start of lines as local time.
#![cfg_attr(not(test), no_main)]

use base::input::Input;
use base::out::Out;
use base::sys::clock::{self, Local};
use base::sys::fd;
use base::{Args, Code, Die, Result, tai64};
use std::io;
use supervise::label::{self, DECISIVE, Start};
use supervise::pieces::pieces;

base::program!("tai64nlocal", run);

/// Bytes read and written at once.
const SIZE: usize = 65536;

fn run(_: Args) -> Result<Code> {
    show().map_err(|_| Die::silent(Code::TEMP.0))?;
    Ok(Code::DONE)
}

fn show() -> io::Result<()> {
    let mut input = Input::with_size(fd::STDIN, SIZE);
    let mut lines = Lines {
        out: Out::with_size(fd::STDOUT, SIZE),
        at_start: true,
        held: Vec::with_capacity(DECISIVE),
        second: Second { digits: [0; 16], text: None },
    };
    loop {
        let bytes = input.fill_flushing(&mut lines.out)?;
        if bytes.is_empty() {
            return lines.end();
        }
        for piece in pieces(bytes) {
            lines.take(piece)?;
        }
        let count = bytes.len();
        input.consume(count);
    }
}

/// Lines on their way through.
struct Lines {
    out: Out<'static>,
    /// The next byte begins a line, or continues what is held.
    at_start: bool,
    /// The first bytes of a line that do not tell yet whether it has a label.
    held: Vec<u8>,
    second: Second,
}

impl Lines {
    /// Takes the next piece of input, which goes no further than the end of its line.
    fn take(&mut self, piece: &[u8]) -> io::Result<()> {
        if !self.at_start {
            self.out.put(piece)?;
        } else if self.held.is_empty() {
            if !self.begin(piece, false)? {
                self.held.extend_from_slice(piece);
                return Ok(());
            }
        } else {
            let (start, rest) = piece.split_at(piece.len().min(DECISIVE - self.held.len()));
            let mut held = std::mem::take(&mut self.held);
            held.extend_from_slice(start);
            if !self.begin(&held, false)? {
                self.held = held;
                return Ok(());
            }
            self.out.put(rest)?;
        }
        self.at_start = piece.ends_with(b"\n");
        Ok(())
    }

    /// Writes the start of a line, with its label converted. `false`: not clear yet what it is,
    /// and nothing is written.
    fn begin(&mut self, line: &[u8], whole: bool) -> io::Result<bool> {
        match label::start(line, whole) {
            Start::Unclear => return Ok(false),
            Start::Text => self.out.put(line)?,
            Start::Label { second, nanoseconds, rest } => match self.second.show(second) {
                None => self.out.put(line)?,
                Some(text) => {
                    self.out.put(text)?;
                    if let Some(number) = nanoseconds {
                        self.out.put(fraction(number))?;
                    }
                    self.out.put(rest)?;
                }
            },
        }
        Ok(true)
    }

    /// Nothing follows.
    fn end(mut self) -> io::Result<()> {
        let held = std::mem::take(&mut self.held);
        self.begin(&held, true)?;
        self.out.flush()
    }
}

/// The second that was shown last: most lines have the same one as the line before them.
struct Second {
    digits: [u8; 16],
    /// `None`: it is no date.
    text: Option<String>,
}

impl Second {
    /// A label's second as `YYYY-MM-DD HH:MM:SS`, if it is a date.
    fn show(&mut self, digits: &[u8; 16]) -> Option<&str> {
        if self.digits != *digits {
            self.digits = *digits;
            self.text = date(digits);
        }
        self.text.as_deref()
    }
}

fn date(digits: &[u8; 16]) -> Option<String> {
    let seconds = i128::from(tai64::hex(digits)?) - i128::from(tai64::EPOCH);
    let Local { year, month, day, hour, minute, second, .. } =
        clock::local(seconds.try_into().ok()?).ok()?;
    let text = format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}");
    (year >= 0).then_some(text)
}

/// `.NNNNNNNNN`.
fn fraction(mut nanoseconds: u32) -> [u8; 10] {
    let mut text = [b'.'; 10];
    for place in text[1..].iter_mut().rev() {
        *place = b'0' + (nanoseconds % 10) as u8;
        nanoseconds /= 10;
    }
    text
}
