//! qmail-qread: list the messages in the queue and their recipients.
#![cfg_attr(not(test), no_main)]

use base::date::Date;
use base::files;
use base::out::Out;
use base::{Args, Code, Die, Result, Unable, errno};
use queue::home;
use queue::paths::{self, Paths};
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

base::program!("qmail-qread", run);

fn run(_: Args) -> Result<Code> {
    let mut out = Out::stdout();
    let listed = list(&mut out);
    let flushed = out.flush().unable("write output");
    listed.and(flushed).map(|()| Code::DONE)
}

/// Complaints go to standard output, where whoever reads the list sees them.
fn list(out: &mut Out) -> Result<()> {
    if let Err(why) = std::env::set_current_dir(home::folder().join("queue")) {
        return fatal(out, "unable to chdir to queue", &why);
    }
    let paths = match Paths::read() {
        Ok(paths) => paths,
        Err(why) => return fatal(out, "unable to read mess", &why),
    };
    for folder in 0..paths.split {
        let files = match files::entries(format!("info/{folder}")) {
            Ok(files) => files,
            Err(why) => return fatal(out, &format!("unable to opendir info/{folder}"), &why),
        };
        for file in files {
            let file = match file {
                Ok(file) => file,
                Err(why) => return fatal(out, &format!("unable to read info/{folder}"), &why),
            };
            if let Some(number) = paths::number(file.file_name().as_bytes()) {
                show(out, paths, number).unable("write output")?;
            }
        }
    }
    Ok(())
}

fn fatal(out: &mut Out, what: &str, why: &io::Error) -> Result<()> {
    out.put(format!("fatal: {what}: {}\n", errno::words(why))).unable("write output")?;
    Err(Die::silent(111))
}

/// One message; trouble with it is a line and no more, and a message that has gone meanwhile is
/// no trouble.
fn show(out: &mut Out, paths: Paths, number: u64) -> io::Result<()> {
    match message(paths, number) {
        Ok(text) => out.put(text),
        Err(why) if why.kind() == ErrorKind::NotFound => Ok(()),
        Err(why) => out.put(format!("warning: trouble with #{number}: {}\n", errno::words(&why))),
    }
}

/// The lines of one message.
fn message(paths: Paths, number: u64) -> io::Result<Vec<u8>> {
    let info = paths.split("info", number);
    let sender = fs::read(&info)?;
    let birth = Date::utc(fs::metadata(&info)?.mtime()).mail().replace("-0000", "GMT");
    let size = fs::metadata(paths.split("mess", number))?.len();
    let sender = sender.strip_prefix(b"F").unwrap_or(&sender);
    let sender = sender.split(|byte| *byte == 0).next().unwrap_or_default();
    let mut text = format!("{birth}  #{number}  {size}  <").into_bytes();
    text.extend(sender.iter().map(visible));
    text.extend(b"> ");
    if paths.flat("bounce", number).exists() {
        text.extend(b" bouncing");
    }
    text.push(b'\n');
    for channel in ["local", "remote"] {
        recipients(&mut text, channel, &paths.split(channel, number))?;
    }
    Ok(text)
}

/// A line for each record of a channel: `T` or `D`, the address, NUL.
fn recipients(text: &mut Vec<u8>, channel: &str, file: &Path) -> io::Result<()> {
    let records = match fs::read(file) {
        Err(why) if why.kind() == ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for record in records.split(|byte| *byte == 0) {
        let Some((letter, address)) = record.split_first() else { continue };
        text.extend(if *letter == b'D' { &b"  done"[..] } else { b"" });
        text.push(b'\t');
        text.extend(channel.as_bytes());
        text.push(b'\t');
        text.extend(address.iter().map(visible));
        text.push(b'\n');
    }
    Ok(())
}

/// Bytes that would do things to a terminal are shown as `_`.
fn visible(byte: &u8) -> u8 {
    if (32..=126).contains(byte) { *byte } else { b'_' }
}
