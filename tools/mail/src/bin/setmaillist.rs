//! setmaillist: compile a mailing list.
#![cfg_attr(not(test), no_main)]

use base::files;
use base::input::Input;
use base::out::Out;
use base::sys::{fd, umask};
use base::{Args, Code, Die, Result, Unable};
use mail::forwarding::list_text;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;

base::program!("setmaillist", run);

const USAGE: &str = "setmaillist list.bin list.tmp";

fn run(words: Args) -> Result<Code> {
    umask::set(0o033);
    let [list, temporary, ..] = &words[..] else { return Err(Die::usage(USAGE)) };
    let (list, temporary) = (Path::new(list), Path::new(temporary));
    let file = File::create(temporary).unable(format_args!("create {}", temporary.display()))?;
    let written = format!("write to {}", temporary.display());
    copy(&mut Input::stdin(), &mut Out::new(file.as_fd()), &written)?;
    file.sync_all().and_then(|()| fd::close_written(file)).unable(written)?;
    let (from, to) = (temporary.display(), list.display());
    files::replace(temporary, list).unable(format_args!("move {from} to {to}"))?;
    Ok(Code::DONE)
}

/// Makes items of all lines.
fn copy(input: &mut Input, out: &mut Out, written: &str) -> Result<()> {
    let mut number = 0;
    while let Some(line) = input.whole_line().unable("read input")? {
        number += 1;
        let fault = |fault| Die::later(format_args!("line {number}: {fault}"));
        out.put(list_text::item(line).map_err(fault)?).unable(written)?;
    }
    out.flush().unable(written)
}
