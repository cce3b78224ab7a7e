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
    let messages = all_messages(&queue.join("mess")).unable("read queue/mess")?;
    let waiting = numbers(&queue.join("todo")).unable("read queue/todo")?;
    let mut out = Out::stdout();
    let text = format!(
        "messages in queue: {messages}\nmessages in queue but not yet preprocessed: {waiting}\n"
    );
    out.put(text).and_then(|()| out.flush()).unable("write output")?;
    Ok(Code::DONE)
}

/// Messages in the folders of `mess`.
fn all_messages(mess: &Path) -> io::Result<u64> {
    let mut count = 0;
    for folder in files::entries(mess)? {
        count += numbers(&folder?.path())?;
    }
    Ok(count)
}

/// Files of a folder that are named by a number.
fn numbers(folder: &Path) -> io::Result<u64> {
    let mut count = 0;
    for file in files::entries(folder)? {
        count += u64::from(queue::paths::number(file?.file_name().as_bytes()).is_some());
    }
    Ok(count)
}
