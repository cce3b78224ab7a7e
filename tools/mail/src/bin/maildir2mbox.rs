//! maildir2mbox: move mail from a Maildir to an mbox.
#![cfg_attr(not(test), no_main)]

use base::date::Date;
use base::files;
use base::out::Out;
use base::sys::{fd, lock, umask};
use base::{Args, Code, Die, Result, Unable, env, say};
use mail::mbox::Quoter;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

base::program!("maildir2mbox", run);

/// Bytes copied at once.
const BLOCK: usize = 65536;

fn run(_: Args) -> Result<Code> {
    umask::set(0o077);
    let [mbox, temporary, maildir] = [path("MAIL")?, path("MAILTMP")?, path("MAILDIR")?];
    if messages(&maildir)?.is_empty() {
        return Ok(Code::DONE);
    }
    let mut old = locked(&mbox)?;
    let messages = messages(&maildir)?;
    let shown = mbox.display();
    let new = File::create(&temporary).unable(format_args!("create {}", temporary.display()))?;
    // Locked before it gets the mbox's name, so that whoever opens it then waits for our removals.
    lock::exclusive(new.as_fd()).unable(format_args!("lock {}", temporary.display()))?;
    write_all(&mut old, &shown.to_string(), &new, &temporary, &messages)?;
    files::replace(&temporary, &mbox)
        .unable(format_args!("move {} to {shown}", temporary.display()))?;
    // Only now that all is on disk: a crash before leaves a message twice, never nowhere.
    for (_, message) in &messages {
        if let Err(why) = fs::remove_file(message) {
            say::unable(format_args!("remove {}, which is in {shown}", message.display()), &why);
        }
    }
    Ok(Code::DONE)
}

fn path(name: &str) -> Result<PathBuf> {
    let value = env::get(name).ok_or_else(|| Die::later(format_args!("{name} not set")))?;
    Ok(OsString::from_vec(value).into())
}

/// The mbox, locked by us alone. Whoever had it before may have put another file in its place.
fn locked(mbox: &Path) -> Result<File> {
    let shown = mbox.display();
    loop {
        let mut how = OpenOptions::new();
        let file = how.read(true).append(true).create(true).mode(0o600).open(mbox);
        let file = file.unable(format_args!("open {shown}"))?;
        lock::exclusive(file.as_fd()).unable(format_args!("lock {shown}"))?;
        let about = file.metadata().unable(format_args!("stat {shown}"))?;
        if fs::metadata(mbox).is_ok_and(|now| (now.dev(), now.ino()) == (about.dev(), about.ino()))
        {
            return Ok(file);
        }
    }
}

/// When messages came, and their files, in this order.
fn messages(maildir: &Path) -> Result<Vec<(i64, PathBuf)>> {
    let mut messages = Vec::new();
    for folder in ["new", "cur"] {
        let folder = maildir.join(folder);
        let read = || format!("read {}", folder.display());
        for entry in files::entries(&folder).unable(read())? {
            let entry = entry.unable(read())?;
            if entry.file_name().as_bytes().starts_with(b".") {
                continue;
            }
            match entry.metadata() {
                Ok(about) if about.is_file() => messages.push((about.mtime(), entry.path())),
                Ok(_) => {}
                // Another reader was faster.
                Err(why) if why.kind() == ErrorKind::NotFound => {}
                Err(why) => return Err(Die::temp(read(), &why)),
            }
        }
    }
    messages.sort();
    Ok(messages)
}

/// Writes the old mbox and all messages to the new one, and has it on disk.
fn write_all(
    old: &mut File,
    shown: &str,
    new: &File,
    temporary: &Path,
    messages: &[(i64, PathBuf)],
) -> Result<()> {
    let write = format!("write to {}", temporary.display());
    let mut out = Out::with_size(new.as_fd(), BLOCK);
    let mut block = vec![0; BLOCK];
    loop {
        match fd::read(old.as_fd(), &mut block).unable(format_args!("read {shown}"))? {
            0 => break,
            count => out.put(&block[..count]).unable(&write)?,
        }
    }
    for (time, name) in messages {
        let read = format!("read {}", name.display());
        let mut message = File::open(name).unable(&read)?;
        let mut head = true;
        let mut quoter = Quoter::default();
        let mut quoted = Vec::new();
        loop {
            let count = fill(&mut message, &mut block).unable(&read)?;
            if head {
                out.put(from_line(&block[..count], *time)).unable(&write)?;
                head = false;
            }
            match count {
                0 => quoter.end(&mut quoted),
                _ => quoter.quote(&block[..count], &mut quoted),
            }
            out.put(&quoted).unable(&write)?;
            quoted.clear();
            if count == 0 {
                break;
            }
        }
    }
    out.flush().and_then(|()| new.sync_all()).unable(write)
}

/// As much as fits, so that the first line is in the first block.
fn fill(message: &mut File, block: &mut [u8]) -> io::Result<usize> {
    let mut count = 0;
    while count < block.len() {
        match fd::read(message.as_fd(), &mut block[count..])? {
            0 => break,
            more => count += more,
        }
    }
    Ok(count)
}

/// `From SENDER DATE` and a newline. The sender is in the first line.
fn from_line(start: &[u8], time: i64) -> Vec<u8> {
    let line = start.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let sender = match line.strip_prefix(b"Return-Path: <") {
        None => b"XXX".to_vec(),
        Some([b'>', ..]) => b"MAILER-DAEMON".to_vec(),
        Some(rest) => {
            let sender = rest.iter().take_while(|byte| **byte != b'>');
            sender.map(|byte| if matches!(byte, b' ' | b'\t') { b'-' } else { *byte }).collect()
        }
    };
    [b"From ", &sender[..], b" ", Date::utc(time).mbox().as_bytes(), b"\n"].concat()
}
