//! maildirmake: make a folder for incoming mail.
#![cfg_attr(not(test), no_main)]

use base::files::sync_folder;
use base::sys::umask;
use base::{Args, Code, Die, Result, Unable};
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

base::program!("maildirmake", run);

const USAGE: &str = "maildirmake name";

fn run(words: Args) -> Result<Code> {
    umask::set(0o077);
    let [name] = &words[..] else { return Err(Die::usage(USAGE)) };
    let maildir = Path::new(name);
    make(maildir)?;
    for folder in ["tmp", "new", "cur"] {
        make(&maildir.join(folder))?;
    }
    // Mail that is safe in a file must not be lost with a folder.
    let parent = maildir.parent().unwrap_or(maildir);
    for folder in [maildir, parent] {
        sync_folder(folder).unable(format_args!("sync {}", folder.display()))?;
    }
    Ok(Code::DONE)
}

fn make(folder: &Path) -> Result<()> {
    let made = DirBuilder::new().mode(0o700).create(folder);
    made.unable(format_args!("mkdir {}", folder.display()))
}
