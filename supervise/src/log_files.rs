//! The files of a log directory as a reader finds them, while its multilog goes on.

use crate::log_time::{self, Moment};
use base::files;
use base::files::open_read;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Looks that may fail because the log rotates at the same time; then a reader takes what it has.
const TRIES: usize = 100;

/// What is in a log directory at one moment, oldest first: every line that can be seen, once.
pub struct LogFiles {
    /// Files that have their names. They are opened when they are needed.
    pub old: Vec<OldFile>,
    /// What has been finished and has no name yet.
    pub pending: Option<File>,
    /// What is written to. Missing for a moment during a rotation.
    pub current: Option<File>,
}

/// A finished file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OldFile {
    /// No line in it is later.
    pub end: Moment,
    /// Its name.
    pub name: OsString,
}

impl OldFile {
    /// `None` if the name is not that of an old file.
    pub fn of(name: OsString) -> Option<OldFile> {
        log_time::of_name(name.as_bytes()).map(|end| OldFile { end, name })
    }
}

/// Looks until nothing has changed meanwhile.
pub fn look(folder: &Path) -> io::Result<LogFiles> {
    let mut before = (names(folder)?, None);
    for _ in 0..TRIES {
        let current = opened(folder, "current")?;
        let pending = pending(folder)?;
        let after = (names(folder)?, current.as_ref().map(identity).transpose()?);
        if before == after {
            return Ok(LogFiles { old: old(before.0), pending, current });
        }
        before = after;
    }
    let (current, pending) = (opened(folder, "current")?, pending(folder)?);
    Ok(LogFiles { old: old(before.0), pending, current })
}

/// What a processor has made of `previous`, if that is complete, or else `previous`; not if it has
/// its other name already.
fn pending(folder: &Path) -> io::Result<Option<File>> {
    let file = match opened(folder, "processed")? {
        Some(file) if file.metadata()?.mode() & 0o100 != 0 => Some(file),
        _ => opened(folder, "previous")?,
    };
    let Some(file) = file else { return Ok(None) };
    Ok((file.metadata()?.nlink() == 1).then_some(file))
}

fn opened(folder: &Path, name: &str) -> io::Result<Option<File>> {
    match open_read(&folder.join(name)) {
        Ok(file) => Ok(Some(file)),
        Err(why) if why.kind() == ErrorKind::NotFound => Ok(None),
        Err(why) => Err(why),
    }
}

/// Which file it is, whatever its name.
pub fn identity(file: &File) -> io::Result<(u64, u64)> {
    file.metadata().map(|found| (found.dev(), found.ino()))
}

/// All names, sorted.
fn names(folder: &Path) -> io::Result<Vec<OsString>> {
    let names: io::Result<Vec<_>> =
        files::entries(folder)?.map(|entry| Ok(entry?.file_name())).collect();
    let mut names = names?;
    names.sort();
    Ok(names)
}

/// The old files. Of several that end at the same time, one is a copy that is being compressed:
/// the first one is whole.
fn old(names: Vec<OsString>) -> Vec<OldFile> {
    let mut old: Vec<OldFile> = names.into_iter().filter_map(OldFile::of).collect();
    old.dedup_by(|later, earlier| later.end == earlier.end);
    old
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_files_have_a_label_and_are_there_once() {
        let names = [
            "@400000000000000000000001.s",
            "@400000000000000000000001.s.gz",
            "@400000000000000000000002.s.gz",
            "@40000000000000000000000X.s",
            "@4000",
            "current",
        ];
        let found = old(names.map(OsString::from).to_vec());
        let names: Vec<_> = found.iter().map(|old| old.name.to_str().unwrap()).collect();
        let expected = ["@400000000000000000000001.s", "@400000000000000000000002.s.gz"];
        assert_eq!(names, expected);
    }
}
