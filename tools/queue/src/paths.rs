//! The names of a message's files, relative to the `queue` folder.
//!
//! Message N is named after the inode of its text. `mess`, `info`, `local` and `remote` are split
//! into folders 0..S-1 by N mod S; `pid`, `intd`, `todo` and `bounce` are flat.

use base::files;
use std::fs;
use std::io;
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
}

impl Paths {
    /// Reads S from the queue that is the current folder: the number of folders in `mess`, which
    /// are called 0 to S-1.
    pub fn read() -> io::Result<Self> {
        // A folder's link count is 2 and one for each folder in it, except on file systems that
        // do not count (they say 1 or 2). Something else among them shows by the last name.
        let split = fs::metadata("mess")?.nlink().saturating_sub(2);
        if split > 0 && Path::new("mess").join((split - 1).to_string()).is_dir() {
            return Ok(Paths { split });
        }
        let mut split = 0;
        for entry in files::entries("mess")? {
            split += u64::from(number(entry?.file_name().as_bytes()).is_some());
        }
        if split == 0 { Err(io::ErrorKind::NotFound.into()) } else { Ok(Paths { split }) }
    }

    /// `FOLDER/N mod S/N`, for mess, info, local and remote.
    pub fn split(&self, folder: &str, message: u64) -> PathBuf {
        format!("{folder}/{}/{message}", message % self.split).into()
    }

    /// `FOLDER/N`, for intd, todo and bounce.
    pub fn flat(&self, folder: &str, message: u64) -> PathBuf {
        format!("{folder}/{message}").into()
    }

    /// `N mod S/N`: how spawners are told of a message.
    pub fn below_mess(&self, message: u64) -> String {
        format!("{}/{message}", message % self.split)
    }
}

/// The number that a file's name is; names are decimal digits only.
pub fn number(name: &[u8]) -> Option<u64> {
    base::number::decimal(name)
}
