//! bouncesaying: bounce a message, perhaps.
#![cfg_attr(not(test), no_main)]

use base::{Args, Code, Die, Result, say};
use mail::condition::holds;
use std::os::unix::ffi::OsStrExt;

base::program!("bouncesaying", run);

const USAGE: &str = "bouncesaying error [ program [ arg ... ] ]";

fn run(words: Args) -> Result<Code> {
    let [error, program @ ..] = &words[..] else { return Err(Die::usage(USAGE)) };
    if !program.is_empty() && !holds(program)? {
        return Ok(Code::DONE);
    }
    say::raw(&[error.as_bytes(), b"\n"].concat());
    Ok(Code::PERM)
}
