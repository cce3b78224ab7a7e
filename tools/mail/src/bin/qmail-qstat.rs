//! qmail-qstat: count the messages in the queue.
#![cfg_attr(not(test), no_main)]

use base::files;
use base::out::Out;
use base::{Args, Code, Result, Unable};
use queue::home;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

base::program!("qmail-qstat", run);

fn run(_: Args) -> Result<Code> {
    let queue = home::folder().join("queue");
    let messages = numbers(&queue.join("mess")).unable("read queue/mess")?;
    let waiting = numbers(&queue.join("todo")).unable("read queue/todo")?;
    let mut out = Out::stdout();
    let text = format!(
        "messages in queue: {messages}\nmessages in queue but not yet preprocessed: {waiting}\n"
    );
    out.put(text).and_then(|()| out.flush()).unable("write output")?;
    Ok(Code::DONE)
}

/// Files that are named by a number, in a folder and those in it.
fn numbers(folder: &Path) -> io::Result<u64> {
    let mut count = 0;
    for file in files::entries(folder)? {
        let file = file?;
        count += match file.file_type()?.is_dir() {
            true => numbers(&file.path())?,
            false => u64::from(queue::paths::number(file.file_name().as_bytes()).is_some()),
        };
    }
    Ok(count)
}
