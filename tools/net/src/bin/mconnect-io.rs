//! mconnect-io: talk to a server by descriptors 6 and 7, line by line.
#![cfg_attr(not(test), no_main)]

use base::sys::fd::{self, STDIN, STDOUT};
use base::sys::{fork, signal, wait};
use base::{Args, Code, Result, Unable};
use net::crlf;
use std::io;
use std::os::fd::BorrowedFd;

base::program!("mconnect-io", run);

/// Where the server is heard.
const FROM_SERVER: BorrowedFd = fd::number(6);
/// Where it is told.
const TO_SERVER: BorrowedFd = fd::number(7);

/// Ends when the server does. Until then a child passes our input on.
fn run(_: Args) -> Result<Code> {
    signal::ignore(signal::PIPE).unable("ignore SIGPIPE")?;
    let child = fork::child(|| tell().map_or(Code::TEMP.0, |()| Code::DONE.0)).unable("fork")?;
    let heard = crlf::copy(FROM_SERVER, STDOUT, |piece, to| to.extend_from_slice(piece));
    // It may have ended already.
    let _ = signal::send(child, signal::TERM);
    let _ = wait::child(child);
    heard.map(|()| Code::DONE).unable("copy what the server says")
}

/// Standard input for the server, with a CR before each LF.
fn tell() -> io::Result<()> {
    signal::ignore(signal::PIPE)?;
    crlf::copy(STDIN, TO_SERVER, crlf::add)
}
