//! argv0: run a program under another name.
#![cfg_attr(not(test), no_main)]

use base::env::Env;
use base::sys::exec::exec_as;
use base::{Args, Code, Die, Result, Unable};
use std::os::unix::ffi::OsStrExt;

base::program!("argv0", run);

const USAGE: &str = "argv0 realname program [ arg ... ]";

fn run(words: Args) -> Result<Code> {
    let [file, name_and_args @ ..] = &words[..] else {
        return Err(Die::usage(USAGE));
    };
    if name_and_args.is_empty() {
        return Err(Die::usage(USAGE));
    }
    let ran = exec_as(file.as_bytes(), name_and_args, &Env::inherited());
    match ran.unable(format_args!("run {}", file.display()))? {}
}
