//! The control descriptor of UCSPI-TLS (SSLCTLFD), between a program and the process that speaks
//! TLS for it. The program writes a letter to have TLS started: `y`, or `Y` if it wants to know
//! about it; then it gets strings `NAME=VALUE`, each with a NUL at its end, and one more NUL.

use super::end::End;
use super::facts::Facts;
use super::server::Told;
use base::env::Env;
use base::sys::fd;
use base::sys::poll::writable;
use std::ffi::OsStr;
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

/// Variables are not longer altogether.
const LONGEST: usize = 1 << 20;
/// So much is read at once.
const PIECE: usize = 4096;

/// The process that speaks TLS says that it can: a NUL. UCSPI-TLS has no such word; only whoever
/// started this process waits for it.
pub fn say_ready(control: &OwnedFd) -> io::Result<()> {
    fd::write_all(control.as_fd(), b"\0")
}

/// Waits for that word. `false`: there will be none.
pub fn is_ready(control: &OwnedFd) -> io::Result<bool> {
    let mut word = [1];
    Ok(fd::read(control.as_fd(), &mut word)? == 1 && word == [0])
}

/// Waits until the program asks for TLS. `None`: it never will.
pub fn wait(control: &OwnedFd) -> io::Result<Option<Told>> {
    let mut letter = [0];
    Ok(match (fd::read(control.as_fd(), &mut letter)?, &letter) {
        (1, b"y") => Some(Told::Nothing),
        (1, b"Y") => Some(Told::Everything),
        _ => None,
    })
}

/// Tells the program, which need not listen for longer than `limit`.
pub fn tell(control: &OwnedFd, facts: &Facts, limit: Duration) -> io::Result<()> {
    let mut all = Vec::new();
    for (name, value) in facts.iter() {
        write!(all, "{name}={value}\0")?;
    }
    all.push(0);
    let mut to = End::new(control.try_clone()?);
    let deadline = Instant::now() + limit;
    let mut rest = &all[..];
    while !rest.is_empty() {
        if !writable(to.as_fd(), deadline.saturating_duration_since(Instant::now()))? {
            return Err(ErrorKind::TimedOut.into());
        }
        match to.write(rest) {
            Ok(count) => rest = &rest[count..],
            Err(why) if why.kind() == ErrorKind::WouldBlock => {}
            Err(why) => return Err(why),
        }
    }
    Ok(())
}

/// Reads what is told and sets the variables. `false`: there is no TLS.
pub fn listen(control: BorrowedFd, env: &mut Env) -> io::Result<bool> {
    let mut all = Vec::new();
    while !is_whole(&all) {
        let mut piece = [0; PIECE];
        let count = fd::read(control, &mut piece)?;
        if count == 0 || all.len() > LONGEST {
            return Ok(false);
        }
        all.extend_from_slice(&piece[..count]);
    }
    for fact in all.split(|byte| *byte == 0) {
        if let Some(at) = fact.iter().position(|byte| *byte == b'=') {
            env.set(OsStr::from_bytes(&fact[..at]), OsStr::from_bytes(&fact[at + 1..]));
        }
    }
    Ok(true)
}

/// Whether all has been told.
fn is_whole(all: &[u8]) -> bool {
    all == b"\0" || all.ends_with(b"\0\0")
}
