//! The names of a message's files, relative to the `queue` folder.
//!
//! Message N is named after the inode of its text. `mess`, `info`, `local` and `remote` are split
//! into folders 0..S-1 by N mod S; `pid` and `bounce` are flat. So are `intd` and `todo`, unless the
//! queue was made for a qmail with the big-todo patch: then they are split like the others. A
//! program that does not know has put its envelope beside the folders, and is to be understood.

use base::files;
use std::fs;
use std::io::{self, ErrorKind};
use std::iter;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Seconds after which a file that belongs to no message was left behind: the 24 hours that
/// qmail-queue may take, and 12 more.
pub const OLD: i64 = 129_600;

/// The names of one queue.
#[derive(Clone, Copy, Debug)]
pub struct Paths {
    /// S, the number of folders in `mess`. 23 unless the installation was built otherwise.
    pub split: u64,
    /// Whether `intd` and `todo` are split, too.
    pub splits_todo: bool,
}

impl Paths {
    /// Reads them from the queue that is the current folder.
    pub fn read() -> io::Result<Self> {
        let split = Self::count()?;
        // This name alone says so on every file system; link counts do not.
        match fs::metadata("todo/0") {
            Ok(about) => Ok(Paths { split, splits_todo: about.is_dir() }),
            Err(why) if why.kind() == ErrorKind::NotFound => {
                Ok(Paths { split, splits_todo: false })
            }
            Err(why) => Err(why),
        }
    }

    /// S: the number of folders in `mess`, which are called 0 to S-1.
    fn count() -> io::Result<u64> {
        // A folder's link count is 2 and one for each folder in it, except on file systems that
        // do not count (they say 1 or 2). Something else among them shows by the last name.
        let split = fs::metadata("mess")?.nlink().saturating_sub(2);
        if split > 0 && Path::new("mess").join((split - 1).to_string()).is_dir() {
            return Ok(split);
        }
        let mut split = 0;
        for entry in files::entries("mess")? {
            split += u64::from(number(entry?.file_name().as_bytes()).is_some());
        }
        if split == 0 { Err(ErrorKind::NotFound.into()) } else { Ok(split) }
    }

    /// `FOLDER/N mod S/N`, for mess, info, local and remote.
    pub fn split(&self, folder: &str, message: u64) -> PathBuf {
        format!("{folder}/{}/{message}", message % self.split).into()
    }

    /// `FOLDER/N`, for bounce, and for what lies beside folders.
    pub fn flat(&self, folder: &str, message: u64) -> PathBuf {
        format!("{folder}/{message}").into()
    }

    /// Whether this folder is split.
    pub fn is_split(&self, folder: &str) -> bool {
        match folder {
            "mess" | "info" | "local" | "remote" => true,
            "intd" | "todo" => self.splits_todo,
            _ => false,
        }
    }

    /// The name that an envelope in this folder gets, intd or todo.
    pub fn envelope(&self, folder: &str, message: u64) -> PathBuf {
        if self.splits_todo { self.split(folder, message) } else { self.flat(folder, message) }
    }

    /// All names that an envelope in this folder may have.
    pub fn envelopes(&self, folder: &str, message: u64) -> impl Iterator<Item = PathBuf> {
        // Beside the folders, their names are no messages.
        let beside = self.splits_todo && message >= self.split;
        let beside = beside.then(|| self.flat(folder, message));
        iter::once(self.envelope(folder, message)).chain(beside)
    }

    /// The name that an envelope in `todo` has; if there is none, the one that it would get.
    pub fn todo(&self, message: u64) -> PathBuf {
        let due = self.envelope("todo", message);
        if !self.splits_todo {
            return due;
        }
        self.envelopes("todo", message).find(|name| !is_absent(name)).unwrap_or(due)
    }

    /// The folders in which envelopes of `todo` may be.
    pub fn todo_folders(&self) -> Vec<String> {
        let folders = (0..self.split).filter(|_| self.splits_todo);
        iter::once("todo".into()).chain(folders.map(|number| format!("todo/{number}"))).collect()
    }

    /// `N mod S/N`: how spawners are told of a message.
    pub fn below_mess(&self, message: u64) -> String {
        format!("{}/{message}", message % self.split)
    }
}

/// Whether there is certainly no such file.
pub fn is_absent(file: &Path) -> bool {
    fs::symlink_metadata(file).is_err_and(|why| why.kind() == ErrorKind::NotFound)
}

/// The number that a file's name is; names are decimal digits only.
pub fn number(name: &[u8]) -> Option<u64> {
    base::number::decimal(name)
}
