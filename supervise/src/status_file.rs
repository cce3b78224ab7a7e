//! A file that holds the latest line and nothing else.

use crate::patience::Patience;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Bytes that a line has in the file, newline and padding included.
const LENGTH: usize = 1001;

/// A status file, open.
pub struct StatusFile {
    name: PathBuf,
    file: File,
    patience: Patience,
    /// The line and its padding.
    line: [u8; LENGTH],
    /// The file holds an older line.
    changed: bool,
}

impl StatusFile {
    /// Opens a status file, or creates it with mode 600. What it holds stays.
    pub fn open(name: &Path, patience: Patience) -> io::Result<Self> {
        let mut how = OpenOptions::new();
        how.write(true).create(true).truncate(false).mode(0o600);
        // A FIFO must not hold us up.
        let file = how.custom_flags(libc::O_NONBLOCK).open(name)?;
        let name = name.to_owned();
        Ok(StatusFile { name, file, patience, line: [b'\n'; LENGTH], changed: false })
    }

    /// Takes the place of the line before. Of a longer line, 1000 bytes count.
    pub fn put(&mut self, line: &[u8]) {
        let length = line.len().min(LENGTH - 1);
        self.line[..length].copy_from_slice(&line[..length]);
        self.line[length..].fill(b'\n');
        self.changed = true;
    }

    /// Writes the latest line, if it is not written yet.
    pub fn flush(&mut self) {
        if !self.changed {
            return;
        }
        let shown = self.name.display();
        let mut file = &self.file;
        self.patience.insist(format_args!("move to beginning of {shown}"), || file.rewind());
        self.patience.write_all(format_args!("write {shown}"), &self.file, &self.line);
        self.changed = false;
    }
}
