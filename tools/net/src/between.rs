//! A copier between our caller and a program: what recordio and its likes have in common. The
//! program keeps the process that our caller started; a child of it does the copying.

use base::sys::fd::{self, STDIN, STDOUT};
use base::sys::poll::{Wait, poll};
use base::sys::{exec::exec, fork, signal};
use base::{Args, Code, Result, Unable};
use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// So many bytes a pipe takes without waiting once it takes any (PIPE_BUF). More are written in
/// pieces: while one way waits for its reader, the other must go on.
const WRITE: usize = 4096;

/// What happens to the bytes of one way.
pub trait Change {
    /// Appends to `to` what is passed on for what one read gave.
    fn pass(&mut self, piece: &[u8], to: &mut Vec<u8>);

    /// There is nothing more to read.
    fn end(&mut self) {}
}

/// Becomes the program, with a copier between it and our standard input and output. One read
/// takes at most `size` bytes, which are passed on before the next.
pub fn run(program: &Args, size: usize, input: impl Change, output: impl Change) -> Result<Code> {
    let name = program.first().map(|name| name.as_os_str()).unwrap_or(OsStr::new(""));
    let (program_reads, to_program) = fd::pipe().unable("create pipe")?;
    let (from_program, program_writes) = fd::pipe().unable("create pipe")?;
    let not_ours = [program_reads.as_raw_fd(), program_writes.as_raw_fd()];
    let copier = move || {
        not_ours.into_iter().for_each(fd::close);
        let input = Way::new(STDIN, to_program, size, input);
        let output = Way::new(from_program, STDOUT, size, output);
        copy(input, output).map_or(Code::TEMP.0, |()| Code::DONE.0)
    };
    fork::child(copier).unable("fork")?;
    fd::copy_to(program_reads.as_fd(), 0).unable("move descriptors")?;
    fd::copy_to(program_writes.as_fd(), 1).unable("move descriptors")?;
    match exec(program).unable(format_args!("run {}", name.display()))? {}
}

/// Copies both ways until the program's output ends. A write that fails ends both.
fn copy(
    input: Way<BorrowedFd, OwnedFd, impl Change>,
    mut output: Way<OwnedFd, BorrowedFd, impl Change>,
) -> io::Result<()> {
    signal::ignore(signal::PIPE)?;
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
struct Way<From, To, C> {
    from: From,
    to: To,
    change: C,
    /// What one read may fill.
    room: Vec<u8>,
    /// What is changed and not passed on yet.
    waiting: Vec<u8>,
}

#[derive(PartialEq)]
enum Step {
    Done,
    Ended,
}

impl<From: AsFd, To: AsFd, C: Change> Way<From, To, C> {
    fn new(from: From, to: To, size: usize, change: C) -> Self {
        Way { from, to, change, room: vec![0; size], waiting: Vec::new() }
    }

    /// What the next step needs.
    fn wait(&self) -> Wait<'_> {
        if self.waiting.is_empty() {
            Wait::read(self.from.as_fd())
        } else {
            Wait::write(self.to.as_fd())
        }
    }

    /// Reads and changes a piece, or passes it on.
    fn step(&mut self) -> io::Result<Step> {
        if !self.waiting.is_empty() {
            let piece = &self.waiting[..self.waiting.len().min(WRITE)];
            let written = later(fd::write(self.to.as_fd(), piece))?;
            self.waiting.drain(..written.unwrap_or(0));
            return Ok(Step::Done);
        }
        // Input that cannot be read has ended.
        match later(fd::read(self.from.as_fd(), &mut self.room)).unwrap_or(Some(0)) {
            None => Ok(Step::Done),
            Some(0) => {
                self.change.end();
                Ok(Step::Ended)
            }
            Some(count) => {
                self.change.pass(&self.room[..count], &mut self.waiting);
                Ok(Step::Done)
            }
        }
    }
}

/// `None` where the descriptor does not wait and would have to.
fn later(count: io::Result<usize>) -> io::Result<Option<usize>> {
    match count {
        Err(why) if why.kind() == ErrorKind::WouldBlock => Ok(None),
        other => other.map(Some),
    }
}
