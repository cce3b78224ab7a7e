//! predate: put a Date field before a message.
#![cfg_attr(not(test), no_main)]

use base::date::MONTHS;
use base::sys::clock::{self, Local};
use base::sys::spawn::Spawn;
use base::sys::{fd, signal, wait};
use base::{Args, Code, Die, Result, Unable};
use mail::feed::feed;
use std::os::fd::AsFd;

base::program!("predate", run);

const USAGE: &str = "predate child";

fn run(child: Args) -> Result<Code> {
    let [name, ..] = &child[..] else { return Err(Die::usage(USAGE)) };
    signal::ignore(signal::PIPE).unable("ignore SIGPIPE")?;
    signal::default(signal::CHILD).unable("reset SIGCHLD")?;
    let now = i64::try_from(clock::seconds()).unwrap_or(0);
    let date = date(&clock::local(now).unable("find out local time")?);
    let (read, write) = fd::pipe().unable("create pipe")?;
    let child = Spawn::new(&child)
        .fd(0, read.as_fd())
        .last_words(format!("predate: fatal: unable to run {}", name.display()))
        .start()
        .unable("fork")?;
    drop(read);
    feed(date.as_bytes(), child, write).unable("copy input")?;
    let status = wait::child(child).unable("wait for child")?;
    status.code().map(Code).ok_or_else(|| Die::later("child crashed"))
}

/// `Date: 7 Nov 2026 09:05:03 +0100` and a newline.
fn date(local: &Local) -> String {
    let Local { year, day, hour, minute, second, offset, .. } = *local;
    let month = MONTHS[usize::from(local.month - 1) % 12];
    let (sign, minutes) = (if offset < 0 { '-' } else { '+' }, offset.abs() / 60);
    let zone = minutes / 60 * 100 + minutes % 60;
    format!("Date: {day} {month} {year} {hour:02}:{minute:02}:{second:02} {sign}{zone:04}\n")
}
