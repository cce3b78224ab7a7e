//! Envelope files that a qmail-queue that stays uses again. For a file system it is much more work
//! to make a file and to delete it than to write a few lines into one.
//!
//! Such a file has another name in `pid`. Once those in `intd` and `todo` are removed, its message
//! is qmail-send's, which believes nothing that it reads of a file without a name. But it may have
//! other contents only when `todo` has been synced after that, as it is for each message: before, a
//! power cut could bring back the name that was removed, and give one message the recipients of
//! another.
//!
//! What a crash leaves in `pid`, qmail-clean removes. The files of texts are not used again: a
//! program of a .qmail file may keep its message open, and would read those of others.

use crate::paths::Paths;
use base::sys::clock;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// How many files are kept. Those of messages that qmail-send has not taken yet are among them.
const MOST: usize = 8;

/// Bytes of the longest envelope whose file is kept.
const SHORT: u64 = 4096;

/// A file for an envelope. Dropped, it has no name in `pid`.
pub struct EnvelopeFile {
    /// Open for writing, at its beginning when it comes from [`EnvelopeFiles::open`].
    pub file: File,
    /// Its name in `pid`, if it is to be used again.
    kept: Option<PathBuf>,
    /// It had no other name when the last sync of `todo` began.
    is_free: bool,
}

impl EnvelopeFile {
    fn create(name: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(name)?;
        Ok(EnvelopeFile { file, kept: None, is_free: false })
    }

    fn names(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.nlink())
    }

    /// Whether it has this name and one more.
    fn is_called(&self, name: &Path) -> io::Result<bool> {
        let (ours, named) = (self.file.metadata()?, fs::symlink_metadata(name)?);
        Ok((ours.dev(), ours.ino(), ours.nlink()) == (named.dev(), named.ino(), 2))
    }

    /// Gives a free file this name. `None`: it was not free after all, as when somebody has cleaned
    /// up in `pid`; that name is still to be had then.
    ///
    /// Where a copy has come in the place of the queue, its name is that of another file, and it
    /// may have two names all the same: one in a backup that is made of links.
    fn used_as(mut self, name: &Path) -> Option<Self> {
        fs::hard_link(self.kept.as_ref()?, name).ok()?;
        if self.is_called(name).is_ok_and(|is_called| is_called) && self.file.rewind().is_ok() {
            self.is_free = false;
            return Some(self);
        }
        let _ = fs::remove_file(name);
        None
    }

    /// Ends it where it was written to last: an older envelope may be longer.
    pub fn end_here(&mut self) -> io::Result<()> {
        if self.kept.is_none() {
            return Ok(());
        }
        let length = self.file.stream_position()?;
        if length > SHORT {
            self.forget();
        }
        if self.file.metadata()?.len() > length { self.file.set_len(length) } else { Ok(()) }
    }

    fn forget(&mut self) {
        if let Some(name) = self.kept.take() {
            let _ = fs::remove_file(name);
        }
    }
}

impl Drop for EnvelopeFile {
    fn drop(&mut self) {
        self.forget();
    }
}

/// Files for the envelopes of one message after the other. The current folder is the queue.
#[derive(Default)]
pub struct EnvelopeFiles {
    /// Whether there are more messages to come.
    stays: bool,
    kept: Vec<EnvelopeFile>,
    /// How many have had a name in `pid`.
    named: u64,
}

impl EnvelopeFiles {
    /// From here on files are used again, in a queue whose `todo` is one folder: of many, each is
    /// synced for messages of its own.
    pub fn stay(&mut self, paths: &Paths) {
        self.stays = !paths.splits_todo;
    }

    /// A file with this name, to be written from its beginning: an older one, or a new one.
    pub fn open(&mut self, name: &Path) -> io::Result<EnvelopeFile> {
        let free = self.kept.iter().position(|file| file.is_free);
        let again = free.and_then(|at| self.kept.swap_remove(at).used_as(name));
        if let Some(file) = again {
            return Ok(file);
        }
        let mut file = EnvelopeFile::create(name)?;
        if self.stays && self.kept.len() < MOST {
            self.named += 1;
            let (pid, time) = (std::process::id(), clock::seconds());
            let kept = PathBuf::from(format!("pid/{pid}.{time}.envelope{}", self.named));
            file.kept = fs::hard_link(name, &kept).ok().map(|()| kept);
        }
        Ok(file)
    }

    /// Finds out which files are free once `todo` is synced, which is to be done next.
    pub fn look(&mut self) {
        for file in &mut self.kept {
            file.is_free = file.names().is_ok_and(|names| names == 1);
        }
    }

    /// Takes back a file whose message is in `todo`.
    pub fn put_back(&mut self, file: EnvelopeFile) {
        if file.kept.is_some() {
            self.kept.push(file);
        }
    }
}
