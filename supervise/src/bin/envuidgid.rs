//! envuidgid: run a program with an account's numbers in its environment.
#![cfg_attr(not(test), no_main)]

use base::accounts;
use base::env::Env;
use base::sys::exec::exec_with;
use base::{Args, Code, Die, Result, Unable};
use std::os::unix::ffi::OsStrExt;

base::program!("envuidgid", run);

const USAGE: &str = "envuidgid account child";

fn run(words: Args) -> Result<Code> {
    let [account, child @ ..] = &words[..] else {
        return Err(Die::usage(USAGE));
    };
    let [name, ..] = child else {
        return Err(Die::usage(USAGE));
    };
    let shown = account.display();
    let found =
        accounts::account(account.as_bytes()).unable(format_args!("look up account {shown}"))?;
    let found = found.ok_or_else(|| Die::later(format_args!("unknown account {shown}")))?;
    let mut env = Env::inherited();
    env.set("GID", found.gid.to_string()).set("UID", found.uid.to_string());
    match exec_with(child, &env).unable(format_args!("run {}", name.display()))? {}
}
