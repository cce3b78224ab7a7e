//! forward: forward new mail to one or more addresses.
#![cfg_attr(not(test), no_main)]

use base::sys::fd;
use base::{Args, Code, Die, Result, Unable, env, say};
use mail::submission::Submission;
use queue::home;
use std::os::unix::ffi::OsStrExt;

base::program!("forward", run);

fn run(addresses: Args) -> Result<Code> {
    let sender = variable("NEWSENDER")?;
    let delivered_to = variable("DTLINE")?;
    let mut queue = Submission::open(&home::folder()).unable("fork")?;
    queue.put(&delivered_to);
    queue.put_rest_of(fd::STDIN).unable("read message")?;
    queue.sender(&sender);
    for address in &addresses {
        queue.recipient(address.as_bytes());
    }
    match queue.close() {
        Ok(number) => say::line(format_args!("qp {number}")),
        Err(refusal) => {
            say::raw(&[b"forward: fatal: ", &refusal.text[..], b"\n"].concat());
            return Err(Die::silent(if refusal.permanent { Code::PERM.0 } else { Code::TEMP.0 }));
        }
    }
    Ok(Code::DONE)
}

fn variable(name: &str) -> Result<Vec<u8>> {
    env::get(name).ok_or_else(|| Die::perm(format_args!("{name} not set")))
}
