//! recordio: record the input and output of a program.
#![cfg_attr(not(test), no_main)]

use base::sys::fd::{self, STDIN, STDOUT};
use base::sys::poll::{Wait, poll};
use base::sys::{exec::exec, fork, signal};
use base::{Args, Code, Die, Result, Unable, say};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::process;

base::program!("recordio", run);

const USAGE: &str = "recordio program [ arg ... ]";

/// Bytes that are read, logged and passed on at once. What is logged of them, even if each is a
/// line, is less than a pipe takes in one piece.
const CHUNK: usize = 256;

/// The program keeps the process that our caller started; a child does the copying.
fn run(words: Args) -> Result<Code> {
    let [name, ..] = &words[..] else {
        return Err(Die::usage(USAGE));
    };
    let (program_reads, to_program) = fd::pipe().unable("create pipe")?;
    let (from_program, program_writes) = fd::pipe().unable("create pipe")?;
    let pid = process::id();
    let not_ours = [program_reads.as_raw_fd(), program_writes.as_raw_fd()];
    let copier = move || {
        not_ours.into_iter().for_each(fd::close);
        let input = Way::new(format!("{pid} < "), STDIN, to_program);
        let output = Way::new(format!("{pid} > "), from_program, STDOUT);
        copy(input, output).map_or(Code::TEMP.0, |()| Code::DONE.0)
    };
    fork::child(copier).unable("fork")?;
    fd::copy_to(program_reads.as_fd(), 0).unable("move descriptors")?;
    fd::copy_to(program_writes.as_fd(), 1).unable("move descriptors")?;
    match exec(&words).unable(format_args!("run {}", name.display()))? {}
}

/// Copies both ways until the program's output ends. A write that fails ends both.
fn copy(input: Way<BorrowedFd, OwnedFd>, mut output: Way<OwnedFd, BorrowedFd>) -> io::Result<()> {
    signal::ignore(libc::SIGPIPE)?;
    let mut input = Some(input);
    loop {
        let mut waits = vec![output.wait()];
        waits.extend(input.as_ref().map(Way::wait));
        poll(&mut waits, None)?;
        let ready = [0, 1].map(|way| waits.get(way).is_some_and(|wait: &Wait| wait.ready));
        if ready[0] && output.step()? == Step::Ended {
            return Ok(());
        }
        // Dropping it closes the program's input.
        input = match input {
            Some(mut way) if ready[1] => (way.step()? == Step::Done).then_some(way),
            same => same,
        };
    }
}

/// One way that bytes go.
struct Way<From, To> {
    /// What log lines start with.
    label: String,
    from: From,
    to: To,
    /// What is logged and not passed on yet.
    chunk: Vec<u8>,
}

#[derive(PartialEq)]
enum Step {
    Done,
    Ended,
}

impl<From: AsFd, To: AsFd> Way<From, To> {
    fn new(label: String, from: From, to: To) -> Self {
        Way { label, from, to, chunk: Vec::with_capacity(CHUNK) }
    }

    /// What the next step needs.
    fn wait(&self) -> Wait<'_> {
        if self.chunk.is_empty() {
            Wait::read(self.from.as_fd())
        } else {
            Wait::write(self.to.as_fd())
        }
    }

    /// Reads and logs a chunk, or passes it on.
    fn step(&mut self) -> io::Result<Step> {
        if !self.chunk.is_empty() {
            let written = later(fd::write(self.to.as_fd(), &self.chunk))?;
            self.chunk.drain(..written.unwrap_or(0));
            return Ok(Step::Done);
        }
        let mut buffer = [0; CHUNK];
        // Input that cannot be read has ended.
        match later(fd::read(self.from.as_fd(), &mut buffer)).unwrap_or(Some(0)) {
            None => Ok(Step::Done),
            Some(0) => {
                say::raw(format!("{}[EOF]\n", self.label).as_bytes());
                Ok(Step::Ended)
            }
            Some(count) => {
                self.chunk.extend_from_slice(&buffer[..count]);
                say::raw(&self.logged());
                Ok(Step::Done)
            }
        }
    }

    /// The chunk as the log has it: a blank after a whole line, a plus after a part of one.
    fn logged(&self) -> Vec<u8> {
        let mut text = Vec::new();
        for line in self.chunk.split_inclusive(|byte| *byte == b'\n') {
            text.extend_from_slice(self.label.as_bytes());
            match line.strip_suffix(b"\n") {
                Some(line) => text.extend_from_slice(&[line, b" \n"].concat()),
                None => text.extend_from_slice(&[line, b"+\n"].concat()),
            }
        }
        text
    }
}

/// `None` where the descriptor does not wait and would have to.
fn later(count: io::Result<usize>) -> io::Result<Option<usize>> {
    match count {
        Err(why) if why.kind() == ErrorKind::WouldBlock => Ok(None),
        other => other.map(Some),
    }
}
