//! Taking over a log directory, in whatever state it was left.

use super::folder::{COMPLETE, Folder, IN_PROGRESS, append_to, set_mode};
use base::sys::{clock, lock};
use base::{Result, Unable};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;

/// The bit of [`COMPLETE`] that [`IN_PROGRESS`] does not have.
const COMPLETE_BIT: u32 = COMPLETE & !IN_PROGRESS & 0o700;

/// The end of the name of a file that may have been cut off by an outage.
const UNSAFE: &str = "u";

/// Takes the lock, which holds as long as the file is open.
pub fn lock(folder: &Folder) -> Result<File> {
    let shown = folder.name.display();
    folder.enter().unable(format_args!("open directory {shown}"))?;
    let file = append_to("lock");
    let file = file.and_then(|file| lock::try_exclusive(file.as_fd()).map(|()| file));
    file.unable(format_args!("lock directory {shown}"))
}

/// Brings the files into order and opens current, whose length comes with it.
///
/// If current is complete, the last multilog ended in peace and nothing else is looked at. If not,
/// there was a crash, perhaps during a rotation. Then a complete `processed` replaces `previous`;
/// otherwise `previous`, if it is there, and current are kept as they are.
pub fn recover(folder: &Folder) -> Result<(File, u64)> {
    folder.enter().unable(format_args!("switch to {}", folder.name.display()))?;
    if is_complete(folder, "current")? {
        let current = append_to("current");
        let current = current.unable(format_args!("append to {}", folder.path("current")))?;
        return in_progress(folder, current);
    }
    // What cannot be removed cannot be replaced either, and that is noticed below.
    let _ = fs::remove_file("state");
    let _ = fs::remove_file("newstate");
    if is_complete(folder, "processed")? {
        let _ = fs::remove_file("previous");
        folder.finish("processed", &folder.settings.code, clock::now());
    } else {
        let _ = fs::remove_file("processed");
        folder.finish("previous", OsStr::new(UNSAFE), clock::now());
    }
    folder.finish("current", OsStr::new(UNSAFE), clock::now());
    File::create("state").unable(format_args!("write to {}", folder.path("state")))?;
    let current = append_to("current");
    in_progress(folder, current.unable(format_args!("write to {}", folder.path("current")))?)
}

fn is_complete(folder: &Folder, file: &str) -> Result<bool> {
    match fs::metadata(file) {
        Ok(found) => Ok(found.permissions().mode() & COMPLETE_BIT != 0),
        Err(why) if why.kind() == ErrorKind::NotFound => Ok(false),
        Err(why) => Err(why).unable(format_args!("stat {}", folder.path(file))),
    }
}

fn in_progress(folder: &Folder, current: File) -> Result<(File, u64)> {
    let path = folder.path("current");
    set_mode(&current, IN_PROGRESS).unable(format_args!("set mode of {path}"))?;
    let length = current.metadata().unable(format_args!("stat {path}"))?.len();
    Ok((current, length))
}
