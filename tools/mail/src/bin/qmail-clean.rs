//! qmail-clean: clean up the queue directory.
//!
//! Commands, each ended by NUL, come on descriptor 0 from qmail-send; each gets one byte on
//! descriptor 1.
#![cfg_attr(not(test), no_main)]

use base::files;
use base::input::Input;
use base::sys::{clock, fd, signal};
use base::{Args, Code, Die, Result, Unable, number};
use queue::home;
use queue::paths::{OLD, Paths};
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

base::program!("qmail-clean", run);

/// Bytes of the longest command.
const LONGEST: usize = 99;

/// Commands after which `pid` is looked through again.
const ROUND: u32 = 30;

fn run(_: Args) -> Result<Code> {
    fd::fill_standard().unable("open /dev/null")?;
    signal::ignore(signal::PIPE).unable("ignore SIGPIPE")?;
    let queue = home::folder().join("queue");
    std::env::set_current_dir(queue).unable("switch to queue directory")?;
    let mut clean = Clean {
        paths: Paths::read().unable("read mess")?,
        command: Vec::with_capacity(LONGEST + 1),
        left: ROUND,
    };
    clean_pid();
    let mut input = Input::stdin();
    while let Ok(bytes @ [_, ..]) = input.fill() {
        let (answers, count) = (clean.take(bytes), bytes.len());
        fd::write_all(fd::STDOUT, &answers).map_err(|_| Die::silent(Code::PERM.0))?;
        input.consume(count);
    }
    Ok(Code::DONE)
}

struct Clean {
    paths: Paths,
    /// The command that is being read, cut one byte after the longest.
    command: Vec<u8>,
    /// Commands until `pid` is looked through again.
    left: u32,
}

impl Clean {
    /// Carries out the commands that end in these bytes; gives their answers.
    fn take(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut answers = Vec::new();
        for &byte in bytes {
            if byte == 0 {
                answers.push(self.carry_out());
                self.command.clear();
            } else if self.command.len() <= LONGEST {
                self.command.push(byte);
            }
        }
        answers
    }

    fn carry_out(&mut self) -> u8 {
        self.left -= 1;
        if self.left == 0 {
            self.left = ROUND;
            clean_pid();
        }
        let done = match self.command.split_at_checked(5) {
            _ if self.command.len() > LONGEST => None,
            Some((b"foop/", words)) => self.message(words).map(|message| self.foop(message)),
            Some((b"todo/", words)) => self.message(words).map(|message| self.todo(message)),
            _ => None,
        };
        match done {
            Some(Ok(())) => b'+',
            Some(Err(_)) => b'!',
            None => b'x',
        }
    }

    /// The message that a command is about: `N`. Where `todo` is split, the original qmail-send says
    /// `K/N`, as it calls the envelope.
    fn message(&self, words: &[u8]) -> Option<u64> {
        let Some(slash) = words.iter().position(|byte| *byte == b'/') else {
            return number::decimal(words);
        };
        let message = number::decimal(&words[slash + 1..])?;
        let is_split = self.paths.splits_todo && self.paths.below_mess(message).as_bytes() == words;
        is_split.then_some(message)
    }

    /// The end of a message, or what an interrupted qmail-queue left. The text goes last: as long
    /// as it is there, its number is taken.
    fn foop(&self, message: u64) -> io::Result<()> {
        self.remove_envelopes("intd", message)?;
        remove(&self.paths.split("mess", message))
    }

    /// The envelope, once qmail-send has it in its own files. `todo` goes last: as long as it is
    /// there, a new qmail-send begins again.
    fn todo(&self, message: u64) -> io::Result<()> {
        self.remove_envelopes("intd", message)?;
        self.remove_envelopes("todo", message)
    }

    fn remove_envelopes(&self, folder: &str, message: u64) -> io::Result<()> {
        self.paths.envelopes(folder, message).try_for_each(|name| remove(&name))
    }
}

/// Removes a file that need not be there.
fn remove(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(why) if why.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Removes what qmail-queue left in `pid` long ago. What fails is tried again next time.
fn clean_pid() {
    let now = clock::seconds() as i64;
    let entries = files::entries("pid").into_iter().flatten().flatten();
    for entry in entries {
        let old = entry.metadata().is_ok_and(|about| about.atime() < now - OLD);
        if old {
            let _ = fs::remove_file(entry.path());
        }
    }
}
