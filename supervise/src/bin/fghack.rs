//! fghack: keep a program in the foreground that puts itself into the background.
#![cfg_attr(not(test), no_main)]

use base::sys::{exec, fd, fork, wait};
use base::{Args, Code, Die, Result, Unable, errno, say};
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, IntoRawFd, OwnedFd};

base::program!("fghack", run);

const USAGE: &str = "fghack child";

/// Copies of the pipe that the child gets besides the first: a daemon that closes what it does
/// not know seldom closes so many.
const COPIES: usize = 30;

fn run(child: Args) -> Result<Code> {
    if child.is_empty() {
        return Err(Die::usage(USAGE));
    }
    let (open, held) = fd::pipe().unable("create pipe")?;
    let pid = fork::child(|| become_child(&child, &held)).unable("fork")?;
    drop(held);
    let mut nothing = [0; 256];
    while fd::read(open.as_fd(), &mut nothing).is_ok_and(|count| count > 0) {}
    let status = wait::child(pid)
        .map_err(|why| Die::later(format_args!("wait failed: {}", errno::words(&why))))?;
    status.code().map(Code).ok_or_else(|| Die::later("child crashed"))
}

/// In the child. A copy that cannot be made is missed by nobody as long as one is left.
fn become_child(child: &[OsString], held: &OwnedFd) -> u8 {
    for _ in 0..COPIES {
        let _ = leak_copy(held);
    }
    let _ = fd::keep_across_exec(held.as_fd());
    let [name, ..] = child else {
        return Code::PERM.0;
    };
    match exec::exec(child).unable(format_args!("run {}", name.display())) {
        Ok(never) => match never {},
        Err(die) => {
            say::line(&die.text);
            die.code
        }
    }
}

/// A copy that stays open in whatever this process becomes.
fn leak_copy(held: &OwnedFd) -> io::Result<()> {
    let copy = held.try_clone()?;
    fd::keep_across_exec(copy.as_fd())?;
    let _ = copy.into_raw_fd();
    Ok(())
}
