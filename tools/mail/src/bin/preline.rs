//! preline: prepend lines to a message.
#![cfg_attr(not(test), no_main)]

use base::opt::Opts;
use base::sys::spawn::Spawn;
use base::sys::{fd, signal, wait};
use base::{Args, Code, Die, Result, Unable, env};
use mail::feed::feed;
use std::os::fd::AsFd;

base::program!("preline", run);

const USAGE: &str = "preline cmd [ arg ... ]";

fn run(words: Args) -> Result<Code> {
    signal::ignore(signal::PIPE).unable("ignore SIGPIPE")?;
    signal::default(signal::CHILD).unable("reset SIGCHLD")?;
    let line = |name| env::get(name).ok_or_else(|| Die::usage(USAGE));
    let [from, path, to] = [line("UFLINE")?, line("RPLINE")?, line("DTLINE")?];
    let (mut with_from, mut with_path, mut with_to) = (true, true, true);
    let mut opts = Opts::new(words, "frdFRD", USAGE);
    while let Some(letter) = opts.next()? {
        let wanted = letter.is_ascii_uppercase();
        match letter.to_ascii_lowercase() {
            b'f' => with_from = wanted,
            b'r' => with_path = wanted,
            _ => with_to = wanted,
        }
    }
    let command = opts.rest();
    let [name, ..] = &command[..] else { return Err(Die::usage(USAGE)) };
    let lines = [(with_from, from), (with_path, path), (with_to, to)];
    let wanted = lines.into_iter().filter(|(wanted, _)| *wanted);
    let head: Vec<u8> = wanted.flat_map(|(_, line)| line).collect();

    let (read, write) = fd::pipe().unable("create pipe")?;
    let child = Spawn::new(&command)
        .fd(0, read.as_fd())
        .last_words(format!("preline: fatal: unable to run {}", name.display()))
        .failure_codes(Code::TEMP.0, Code::PERM.0)
        .start()
        .unable("fork")?;
    drop(read);
    feed(&head, child, write).unable("copy input")?;
    let status = wait::child(child).unable("wait for child")?;
    status.code().map(Code).ok_or_else(|| Die::later("child crashed"))
}
