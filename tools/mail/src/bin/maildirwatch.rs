//! maildirwatch: show what is new in a Maildir.
#![cfg_attr(not(test), no_main)]

use base::input::Input;
use base::out::Out;
use base::sys::{clock, fd};
use base::{Args, Code, Die, Result, Unable, env};
use mail::glance::{Glance, harmless};
use mail::pop3::maildrop;
use std::ffi::OsString;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

base::program!("maildirwatch", run);

/// The Maildir is looked at so often.
const PAUSE: Duration = Duration::from_secs(30);

/// Bytes of subject and text that are shown: two lines.
const WORDS: usize = 158;

/// Clears the screen.
const CLEAR: &[u8] = b"\x1b[;H\x1b[;J";

fn run(_: Args) -> Result<Code> {
    let maildir = env::get("MAILDIR").ok_or_else(|| Die::later("MAILDIR not set"))?;
    let maildir = PathBuf::from(OsString::from_vec(maildir));
    std::env::set_current_dir(&maildir).unable(format_args!("chdir to {}", maildir.display()))?;
    let mut out = Out::new(fd::STDOUT);
    loop {
        maildrop::sweep(i64::try_from(clock::seconds()).unwrap_or(i64::MAX));
        show(&mut out)?;
        clock::pause(PAUSE);
    }
}

/// Fills the screen anew, the oldest message first.
fn show(out: &mut Out) -> Result<()> {
    let mut screen = CLEAR.to_vec();
    for (_, path) in messages()? {
        // Another reader may have been faster.
        let Ok(file) = File::open(&path) else { continue };
        let glance = Glance::at(&mut Input::new(file.as_fd()), WORDS);
        screen.extend(entry(&glance.unable(format_args!("read {}", path.display()))?));
    }
    out.put(screen).and_then(|()| out.flush()).unable("write output")
}

/// When new messages came, and their files, in this order.
fn messages() -> Result<Vec<(i64, PathBuf)>> {
    let mut messages = Vec::new();
    for entry in fs::read_dir("new").unable("read new")? {
        let entry = entry.unable("read new")?;
        let hidden = entry.file_name().as_bytes().starts_with(b".");
        if let (false, Ok(about)) = (hidden, entry.metadata())
            && about.is_file()
        {
            messages.push((about.mtime(), entry.path()));
        }
    }
    messages.sort();
    Ok(messages)
}

/// What is shown of a message; the From field is bright.
fn entry(glance: &Glance) -> Vec<u8> {
    let shown = |name: &Option<Vec<u8>>| harmless(name.as_deref().unwrap_or(b"?"), b'?');
    let (sender, recipient) = (shown(&glance.sender), shown(&glance.recipient));
    let mut entry = [b"FROM ", &sender[..], b" TO <", &recipient[..], b">\n"].concat();
    if !glance.from.is_empty() {
        entry.extend([b"\x1b[1m", &harmless(&glance.from, b'/')[..], b"\x1b[0m\n"].concat());
    }
    entry.extend([&harmless(&glance.words, b'/')[..], b"\n\n"].concat());
    entry
}
