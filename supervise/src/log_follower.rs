//! The lines that come into a log directory, across its rotations: each once.
//!
//! What is followed is a file, not a name. When `current` has become another file, the one that is
//! held is read to its end; then come the files that were finished in between; then the new
//! `current`. Which these are is told by the order in which labels come up: every file gets one
//! label, in the order in which the files were written, whatever a processor makes of them.

use crate::log_files::{LogFiles, OldFile, identity, look};
use crate::log_reader::{LogReader, open_old, unpacked};
use crate::log_time::{self, FIRST, Moment};
use base::files::read_at;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::PathBuf;

/// Bytes read at once.
const BLOCK: usize = 65536;

/// Follows one log directory.
pub struct Follower {
    folder: PathBuf,
    /// What was `current`, and how far it has been read.
    held: Option<File>,
    at: u64,
    /// Labels that have come up before or been dealt with.
    known: BTreeSet<Moment>,
    /// Labels that have come up since.
    come: BTreeMap<Moment, OldFile>,
    /// Labels that belong to files which have been read already, and will come up first.
    owed: usize,
    /// The start of a line.
    partial: Vec<u8>,
    /// The last label.
    moment: Moment,
}

/// What happens to the lines: called with each and its time.
pub type Sink<'a> = &'a mut dyn FnMut(&Moment, &[u8]) -> io::Result<()>;

/// A file that rotation has removed before it could be read.
pub struct Lost(pub OsString);

impl Follower {
    /// Goes on where the reading of these files has ended. `partial` is the start of a line, which
    /// has been read.
    pub fn new(
        folder: PathBuf,
        files: &LogFiles,
        reader: &LogReader,
        partial: Vec<u8>,
    ) -> io::Result<Follower> {
        let held = files.current.as_ref().map(File::try_clone).transpose()?;
        let owed = usize::from(files.pending.is_some()) + usize::from(held.is_some());
        let known = files.old.iter().map(|old| old.end).collect();
        let at = if held.is_some() { reader.end() } else { 0 };
        let (come, moment) = (BTreeMap::new(), reader.moment());
        Ok(Follower { folder, held, at, known, come, owed, partial, moment })
    }

    /// A name has come up in the folder.
    pub fn came_up(&mut self, name: OsString) {
        if let Some(old) = OldFile::of(name)
            && !self.known.contains(&old.end)
        {
            self.come.entry(old.end).or_insert(old);
        }
    }

    /// Reads what has come. `names` gives the names that have come up until now: all of them, so
    /// that files which were removed again are counted.
    pub fn read(
        &mut self,
        names: &mut dyn FnMut() -> Vec<OsString>,
        sink: Sink,
    ) -> io::Result<Vec<Lost>> {
        let mut lost = Vec::new();
        loop {
            self.read_held(sink)?;
            let files = look(&self.folder)?;
            let Some(current) = &files.current else { return Ok(lost) };
            let held = self.held.as_ref().map(identity).transpose()?;
            if held == Some(identity(current)?) {
                return Ok(lost);
            }
            // Nothing is written any more to what is held.
            self.read_held(sink)?;
            names().into_iter().for_each(|name| self.came_up(name));
            self.rotated(&files, &mut lost, sink)?;
        }
    }

    /// Reads what lies between the held file and the new `current`, and holds that.
    fn rotated(&mut self, files: &LogFiles, lost: &mut Vec<Lost>, sink: Sink) -> io::Result<()> {
        for old in &files.old {
            self.came_up(old.name.clone());
        }
        // Later ones have come up after the look, which has seen their lines elsewhere.
        let seen = files.old.last().map_or(FIRST, |old| old.end);
        while let Some(entry) = self.come.first_entry().filter(|entry| *entry.key() <= seen) {
            let (end, old) = entry.remove_entry();
            self.known.insert(end);
            if self.owed > 0 {
                self.owed -= 1;
                continue;
            }
            match open_old(&self.folder, &old)? {
                Some(file) => self.read_whole(&file, sink)?,
                None => lost.push(Lost(old.name)),
            }
        }
        // Without a label, the held file is what is pending.
        if let Some(pending) = files.pending.as_ref().filter(|_| self.owed == 0) {
            self.read_whole(&unpacked(pending)?, sink)?;
            self.owed = 1;
        }
        self.known = self.known.split_off(&files.old.first().map_or(FIRST, |old| old.end));
        self.owed += 1;
        self.at = 0;
        self.held = files.current.as_ref().map(File::try_clone).transpose()?;
        Ok(())
    }

    fn read_whole(&mut self, file: &File, sink: Sink) -> io::Result<()> {
        let held = self.held.replace(file.try_clone()?);
        self.at = 0;
        let read = self.read_held(sink);
        self.held = held;
        read
    }

    /// Reads the held file to its present end.
    fn read_held(&mut self, sink: Sink) -> io::Result<()> {
        let Some(file) = self.held.take() else { return Ok(()) };
        // Somebody has emptied it.
        self.at = if file.metadata()?.len() < self.at { 0 } else { self.at };
        let mut block = vec![0; BLOCK];
        let mut read = Ok(());
        while read.is_ok() {
            match read_at(&file, &mut block, self.at) {
                Ok(0) => break,
                Ok(count) => {
                    if self.at == 0 && log_time::of_line(&block[..count]).is_some() {
                        read = self.end_line(sink);
                    }
                    self.at += count as u64;
                    read = read.and_then(|()| self.take(&block[..count], sink));
                }
                Err(why) => read = Err(why),
            }
        }
        self.held = Some(file);
        read
    }

    fn take(&mut self, bytes: &[u8], sink: Sink) -> io::Result<()> {
        for piece in crate::pieces::pieces(bytes) {
            self.partial.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                self.end_line(sink)?;
            }
        }
        Ok(())
    }

    /// Passes on the line, which gets a newline if an outage has cut it off.
    fn end_line(&mut self, sink: Sink) -> io::Result<()> {
        let mut line = std::mem::take(&mut self.partial);
        if line.is_empty() {
            return Ok(());
        }
        if !line.ends_with(b"\n") {
            line.push(b'\n');
        }
        self.moment = log_time::of_line(&line).unwrap_or(self.moment);
        let done = sink(&self.moment, &line);
        line.clear();
        self.partial = line;
        done
    }
}
