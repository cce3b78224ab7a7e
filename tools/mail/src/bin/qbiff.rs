//! qbiff: announce a message on the terminals where its recipient is logged in.
#![cfg_attr(not(test), no_main)]

use base::input::Input;
use base::sys::{fd, ids, utmp};
use base::{Args, Code, Result, env, files};
use mail::glance::{Glance, harmless};
use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

base::program!("qbiff", run);

/// Columns of subject and text, the blanks before them included.
const COLUMNS: usize = 78;

/// `biff y` sets it.
const OWNER_EXECUTE: u32 = 0o100;

fn run(_: Args) -> Result<Code> {
    // A delivery does not fail because nobody can be told of it.
    if let (Some(user), Some(sender), Some(local)) =
        (env::get("USER"), env::get("SENDER"), env::get("LOCAL"))
        && let Ok(records) = std::fs::read(utmp::FILE)
        && let Ok(glance) = Glance::at(&mut Input::new(fd::STDIN), COLUMNS)
    {
        let text = notice(&local, &sender, &glance);
        for terminal in utmp::terminals(&records, &user) {
            tell(terminal, &text);
        }
    }
    Ok(Code::DONE)
}

/// Two lines, with a bell.
fn notice(local: &[u8], sender: &[u8], glance: &Glance) -> Vec<u8> {
    let who = [b"*** TO <", local, b"> FROM <", sender, b">"].concat();
    let mut words = [b"    ", &glance.words[..]].concat();
    words.truncate(COLUMNS);
    [b"\r\n\x07", &harmless(&who, b'_')[..], b"\r\n", &harmless(&words, b'/'), b"\r\n"].concat()
}

/// Writes to a terminal that is his and that he wants to be told on. It may be stopped, or gone:
/// nobody waits for it.
fn tell(terminal: &[u8], text: &[u8]) {
    let strange = terminal.is_empty() || terminal.starts_with(b"/") || terminal.contains(&b'.');
    let path = Path::new("/dev").join(OsStr::from_bytes(terminal));
    if let (false, Ok(file)) = (strange, files::open_append(&path, false))
        && let Ok(about) = file.metadata()
        && about.mode() & OWNER_EXECUTE != 0
        && about.uid() == ids::real_uid()
    {
        let _ = fd::write_all(file.as_fd(), text);
    }
}
