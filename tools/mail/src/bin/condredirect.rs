//! condredirect: forward a message to another address, perhaps.
#![cfg_attr(not(test), no_main)]

use base::sys::fd;
use base::{Args, Code, Die, Result, Unable, env, say};
use mail::condition::holds;
use mail::submission::Submission;
use queue::home;
use std::os::unix::ffi::OsStrExt;

base::program!("condredirect", run);

const USAGE: &str = "condredirect newaddress program [ arg ... ]";

/// The exit code that ends a .qmail file.
const REDIRECTED: Code = Code(99);

fn run(words: Args) -> Result<Code> {
    let [address, program @ ..] = &words[..] else { return Err(Die::usage(USAGE)) };
    if program.is_empty() {
        return Err(Die::usage(USAGE));
    }
    let sender = variable("SENDER")?;
    let delivered_to = variable("DTLINE")?;
    if !holds(program)? {
        return Ok(Code::DONE);
    }
    fd::rewind(fd::STDIN).unable("rewind")?;
    let mut queue = Submission::open(&home::folder()).unable("fork")?;
    queue.put(&delivered_to);
    queue.put_rest_of(fd::STDIN).unable("read message")?;
    queue.sender(&sender);
    queue.recipient(address.as_bytes());
    match queue.close() {
        Ok(number) => {
            say::line(format_args!("qp {number}"));
            Ok(REDIRECTED)
        }
        Err(refusal) => {
            say::raw(&[b"condredirect: fatal: ", &refusal.text[..], b"\n"].concat());
            Err(Die::silent(if refusal.permanent { Code::PERM.0 } else { Code::TEMP.0 }))
        }
    }
}

fn variable(name: &str) -> Result<Vec<u8>> {
    env::get(name).ok_or_else(|| Die::perm(format_args!("{name} not set")))
}
