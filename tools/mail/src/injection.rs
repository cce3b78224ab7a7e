//! What programs share that take a message from a user, complete its header and send it.

use crate::control::{Control, Names};
use crate::field;
use crate::submission::Submission;
use base::input::{Ending, Input};
use base::opt::Opts;
use base::out::Out;
use base::{Args, Die, Result, Unable, env};
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Bytes of a header; what is longer is no mail.
const HEADER: usize = 64 << 20;

/// The command line.
pub struct Options {
    /// -n: print the message instead of sending it.
    pub print: bool,
    /// -f: the envelope sender.
    pub sender: Option<Vec<u8>>,
    /// Recipients; none with -h.
    pub arguments: Vec<Vec<u8>>,
    /// -h, -H, and -A without arguments: the header's recipients count.
    pub from_header: bool,
    /// Other letters, as they came.
    pub others: Vec<u8>,
}

impl Options {
    /// Reads it. `letters` has at least `aAhHnNf:`.
    pub fn read(words: Args, letters: &'static str, usage: &'static str) -> Result<Self> {
        let (mut print, mut sender, mut from, mut others) = (false, None, b'A', Vec::new());
        let mut opts = Opts::new(words, letters, usage);
        while let Some(letter) = opts.next()? {
            match letter {
                b'n' => print = true,
                b'N' => print = false,
                b'f' => sender = Some(opts.argument().as_bytes().to_vec()),
                b'a' | b'A' | b'h' | b'H' => from = letter,
                other => others.push(other),
            }
        }
        let recipients = opts.rest();
        let from_header = match from {
            b'a' => false,
            b'A' => recipients.is_empty(),
            _ => true,
        };
        let words = recipients.iter().filter(|_| from != b'h');
        let arguments = words.map(|word| word.as_bytes().to_vec()).collect();
        Ok(Options { print, sender, arguments, from_header, others })
    }
}

/// The lists in $QMAILMFTFILE, whose subscribers are not to be copied on replies.
pub fn followup_lists() -> Result<Option<Names>> {
    let Some(file) = env::get("QMAILMFTFILE") else { return Ok(None) };
    Control::names_in(Path::new(OsStr::from_bytes(&file))).map_err(|_| Die::later("read error"))
}

/// The first of these variables that is set.
pub fn first_set(names: &[&str]) -> Option<Vec<u8>> {
    names.iter().find_map(|name| env::get(name))
}

/// Reads a header, field by field, with their newlines. It ends at an empty line, or at a line
/// that is no field: an empty line is put before that one. Returns the start of the body; empty if
/// there is none.
pub fn read_header(
    input: &mut Input,
    mut take: impl FnMut(Vec<u8>) -> Result<()>,
) -> Result<Vec<u8>> {
    let mut current: Vec<u8> = Vec::new();
    let mut room = HEADER;
    loop {
        let mut line = Vec::new();
        let ending = input.line(&mut line, room).map_err(|_| Die::later("read error"))?;
        room -= line.len();
        if ending == Ending::TooLong {
            return Err(Die::perm("header is too long"));
        }
        let end = ending == Ending::End && line.is_empty();
        line.push(b'\n');
        if !end && field::continues(&line) && !current.is_empty() {
            current.extend(line);
            continue;
        }
        if !current.is_empty() {
            take(std::mem::take(&mut current))?;
        }
        if end {
            return Ok(Vec::new());
        }
        if line.starts_with(b"From ") {
            current = [b"MBOX-Line: ", &line[..]].concat();
        } else if field::name(&line).is_some() {
            current = line;
        } else {
            let empty = if line == b"\n" { &b""[..] } else { b"\n" };
            return Ok([empty, &line].concat());
        }
    }
}

/// A message whose header is complete.
pub struct Message<'a, 'b> {
    /// The header.
    pub header: Vec<u8>,
    /// The line that ended the header; empty if there is no body.
    pub start_of_body: Vec<u8>,
    /// Where the rest of the body is.
    pub input: &'a mut Input<'b>,
}

impl Message<'_, '_> {
    /// Gives the message to the queue of this home.
    pub fn send(self, home: &Path, sender: &[u8], recipients: &[Vec<u8>]) -> Result<()> {
        let queue = Submission::open(home);
        let mut queue = queue.map_err(|_| Die::later("unable to run qmail-queue"))?;
        queue.put(&self.header);
        let copied = copy(&self.start_of_body, self.input, |bytes| {
            queue.put(bytes);
            Ok(())
        });
        copied.map_err(|_| Die::later("read error"))?;
        queue.sender(sender);
        for recipient in recipients {
            queue.recipient(recipient);
        }
        match queue.close() {
            Ok(_) => Ok(()),
            Err(refusal) => {
                let text = String::from_utf8_lossy(&refusal.text).into_owned();
                Err(if refusal.permanent { Die::perm(text) } else { Die::later(text) })
            }
        }
    }

    /// Prints it, after what is known of its envelope.
    pub fn print(self, envelope: &[u8]) -> Result<()> {
        let mut out = Out::stdout();
        for part in [envelope, &self.header] {
            out.put(part).unable("write output")?;
        }
        copy(&self.start_of_body, self.input, |bytes| out.put(bytes)).unable("copy the body")?;
        out.flush().unable("write output")
    }
}

/// Copies the body, adding a newline if its last line lacks one.
fn copy(
    start: &[u8],
    input: &mut Input,
    mut to: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    to(start)?;
    let mut last = None;
    loop {
        let bytes = input.fill()?;
        let Some(end) = bytes.last() else { break };
        last = Some(*end);
        to(bytes)?;
        let count = bytes.len();
        input.consume(count);
    }
    if last.is_some_and(|last| last != b'\n') { to(b"\n") } else { Ok(()) }
}
