//! pgrphack: run a program in a process group of its own.
#![cfg_attr(not(test), no_main)]

use base::sys::exec::exec;
use base::{Args, Code, Die, Result, Unable};

base::program!("pgrphack", run);

const USAGE: &str = "pgrphack child";

fn run(child: Args) -> Result<Code> {
    let [name, ..] = &child[..] else {
        return Err(Die::usage(USAGE));
    };
    // Fails only for the leader of a group, who has one already.
    let _ = nix::unistd::setsid();
    match exec(&child).unable(format_args!("run {}", name.display()))? {}
}
