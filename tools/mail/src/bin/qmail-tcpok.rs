//! qmail-tcpok: forget which addresses do not answer.
#![cfg_attr(not(test), no_main)]

use base::{Args, Code, Result, Unable};
use mail::tcpto;
use queue::home;

base::program!("qmail-tcpok", run);

fn run(_: Args) -> Result<Code> {
    let folder = home::folder().join("queue/lock");
    let table = folder.join("tcpto");
    table.metadata().unable(format_args!("write {}", table.display()))?;
    tcpto::forget(&folder).unable(format_args!("clear {}", table.display()))?;
    Ok(Code::DONE)
}
