//! newinclude: compile an :include: file into a mailing list.
#![cfg_attr(not(test), no_main)]

use base::files;
use base::input::Input;
use base::out::Out;
use base::sys::{fd, umask};
use base::{Args, Code, Die, Result, Unable};
use mail::aliases;
use mail::control::Control;
use mail::default_hosts::DefaultHosts;
use queue::home;
use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

base::program!("newinclude", run);

const USAGE: &str = "newinclude list";

fn run(words: Args) -> Result<Code> {
    umask::set(0o033);
    let [list, ..] = &words[..] else { return Err(Die::usage(USAGE)) };
    let hosts = DefaultHosts::of_user(&Control::of(&home::folder())).unable("read controls")?;
    let read = format!("read {}", list.display());
    let text = File::open(list).unable(&read)?;
    let (temporary, binary) = (with_end(list, ".tmp"), with_end(list, ".bin"));
    let (from, to) = (temporary.display(), binary.display());
    let file = File::create(&temporary).unable(format_args!("create {from}"))?;
    let write = format!("write to {from}");
    copy(&mut Input::new(text.as_fd()), &read, &mut Out::new(file.as_fd()), &write, &hosts)?;
    file.sync_all().and_then(|()| fd::close_written(file)).unable(write)?;
    files::replace(&temporary, &binary).unable(format_args!("move {from} to {to}"))?;
    Ok(Code::DONE)
}

/// The list's name with something at its end.
fn with_end(list: &OsStr, end: &str) -> PathBuf {
    let mut name = Path::new(list).as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// Makes items of all lines that are no comments.
fn copy(
    input: &mut Input,
    read: &str,
    out: &mut Out,
    write: &str,
    hosts: &DefaultHosts,
) -> Result<()> {
    let mut number = 0;
    while let Some(line) = input.whole_line().unable(read)? {
        number += 1;
        if line.starts_with(b"#") {
            continue;
        }
        let fault = |fault| Die::later(format_args!("line {number}: {fault}"));
        out.put(aliases::items(line, hosts).map_err(fault)?).unable(write)?;
    }
    out.flush().unable(write)
}
