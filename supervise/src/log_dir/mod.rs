//! Logs that rotate: a folder with a file that is written to and a number of old ones.
//!
//! | file | state |
//! |---|---|
//! | `lock` | locked as long as somebody writes |
//! | `current` | the latest lines |
//! | `@LABEL.s` | old, processed and safe on disk |
//! | `@LABEL.u` | old, perhaps cut off by an outage |
//! | `previous` | old, on its way to a label, perhaps through a processor |
//! | `processed`, `newstate` | what the processor makes of `previous` and `state` |
//!
//! The mode of a file says whether it is complete: the order of the steps below is what a restart
//! relies on, see [`recover`](recover::recover).

mod folder;
mod processor;
mod recover;

use crate::log_script::Settings;
use crate::patience::Patience;
use base::Result;
use base::sys::clock;
use folder::{COMPLETE, Folder, IN_PROGRESS, append_to, set_mode};
use processor::Processor;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Instant;

/// Bytes that wait to be written.
const BUFFER: usize = 65536;

/// Bytes that are worth a write of their own.
const MANY: usize = 16384;

/// How far below its size a file is finished if a line ends there.
const MARGIN: u64 = 2000;

/// A log directory that is not locked yet.
pub struct Found(Folder);

/// A log directory, locked and ready for lines.
pub struct LogDir {
    folder: Folder,
    /// Locked until it is closed.
    _lock: File,
    current: File,
    /// Bytes in current.
    length: u64,
    /// When current got its first byte, if it has any: about, for one that was found.
    begun: Option<Instant>,
    buffer: Vec<u8>,
    processor: Option<Processor>,
}

impl Found {
    /// Opens a folder by its path, or makes it.
    pub fn open(name: PathBuf, settings: Settings, patience: Patience) -> Result<Self> {
        Folder::open(name, settings, patience).map(Found)
    }

    /// Locks it and brings it into order. The current folder of the process changes, here and in
    /// all functions of [`LogDir`].
    pub fn take_over(self) -> Result<LogDir> {
        let folder = self.0;
        let lock = recover::lock(&folder)?;
        let (current, length) = recover::recover(&folder)?;
        let begun = (length > 0).then(|| begin_of(&current));
        let processor = folder.settings.processor.clone().map(Processor::new);
        let buffer = Vec::with_capacity(BUFFER);
        Ok(LogDir { folder, _lock: lock, current, length, begun, buffer, processor })
    }
}

/// When a current that was found was begun: when the file was made, if the file system knows.
fn begin_of(current: &File) -> Instant {
    let made = current.metadata().and_then(|found| found.created());
    let age = made.ok().and_then(|made| made.elapsed().ok()).unwrap_or_default();
    let now = Instant::now();
    now.checked_sub(age).unwrap_or(now)
}

impl LogDir {
    /// Adds the start of a line, whose first `stamp` bytes are a time stamp, and the prefix.
    pub fn begin(&mut self, start: &[u8], stamp: usize) {
        if self.folder.settings.prefix.is_empty() {
            return self.put(start);
        }
        let (stamp, text) = start.split_at(stamp);
        self.put(stamp);
        let prefix = std::mem::take(&mut self.folder.settings.prefix);
        self.put(&prefix);
        self.folder.settings.prefix = prefix;
        self.put(text);
    }

    /// Adds bytes. They are written when many have come, and by `flush`.
    pub fn put(&mut self, bytes: &[u8]) {
        if self.buffer.len() + bytes.len() > BUFFER {
            self.flush();
        }
        if bytes.len() >= MANY {
            self.flush();
            return self.write(bytes);
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Writes what was added.
    pub fn flush(&mut self) {
        let buffer = std::mem::take(&mut self.buffer);
        self.write(&buffer);
        self.buffer = buffer;
        self.buffer.clear();
    }

    fn write(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = &bytes[self.write_start(bytes)..];
        }
    }

    /// Writes as much as belongs into this file, and rotates if that fills it. Gives the number of
    /// bytes. Where the file is almost full, it ends with the last line that fits.
    fn write_start(&mut self, bytes: &[u8]) -> usize {
        let size = self.folder.settings.size;
        if self.length >= size {
            self.rotate();
        }
        let room = usize::try_from(size - self.length).unwrap_or(usize::MAX);
        let mut part = &bytes[..bytes.len().min(room)];
        if self.length + part.len() as u64 >= size - MARGIN
            && let Some(end) = memchr::memrchr(b'\n', part)
        {
            part = &part[..=end];
        }
        let what = format_args!("write to {}/current", self.folder.name.display());
        self.folder.write_all(what, &self.current, part);
        self.begun.get_or_insert_with(Instant::now);
        self.length += part.len() as u64;
        if self.length >= size - MARGIN && part.ends_with(b"\n") {
            self.rotate();
        }
        part.len()
    }

    /// Rotates, unless there is nothing in current.
    pub fn rotate_now(&mut self) {
        self.flush();
        if self.length > 0 {
            self.rotate();
        }
    }

    /// Makes current an old file and begins a new one. `previous` stays until it is linked to its
    /// label or processed.
    fn rotate(&mut self) {
        self.finish_work();
        let now = clock::now();
        let folder = &self.folder;
        let current = folder.path("current");
        folder.enter_at_last();
        folder.insist(format_args!("write {current} to disk"), || self.current.sync_all());
        let rename =
            format_args!("rename current to previous in directory {}", folder.name.display());
        folder.insist(rename, || fs::rename("current", "previous"));
        self.current = folder.insist(format_args!("create {current}"), || append_to("current"));
        self.length = 0;
        self.begun = None;
        let mode = format_args!("set mode of {current}");
        folder.insist(mode, || set_mode(&self.current, IN_PROGRESS));
        folder.insist(format_args!("set mode of {}", folder.path("previous")), || {
            fs::set_permissions("previous", Permissions::from_mode(COMPLETE))
        });
        match &mut self.processor {
            None => folder.finish("previous", &folder.settings.code, now),
            Some(processor) => processor.begin(folder, now),
        }
    }

    /// Waits until `previous` is processed.
    fn finish_work(&mut self) {
        if let Some(processor) = &mut self.processor {
            processor.finish(&self.folder);
        }
    }

    /// When [`LogDir::attend`] has something to do, if that is known.
    pub fn due(&self) -> Option<Instant> {
        match &self.processor {
            Some(processor) if processor.is_busy() => processor.due(),
            _ => self.too_old(),
        }
    }

    /// When current has its age.
    fn too_old(&self) -> Option<Instant> {
        Some(self.begun? + self.folder.settings.age?)
    }

    /// Looks after the processor, and rotates what is too old. Waits for nothing: a processor that
    /// works puts the rotation off.
    pub fn attend(&mut self) {
        if let Some(processor) = &mut self.processor {
            processor.attend(&self.folder);
        }
        let busy = self.processor.as_ref().is_some_and(Processor::is_busy);
        if !busy && self.too_old().is_some_and(|time| time <= Instant::now()) {
            self.rotate();
        }
    }

    /// Writes everything and marks current as complete. Only then: a restart that finds it complete
    /// does not look at `previous`.
    pub fn close(mut self) {
        self.flush();
        self.finish_work();
        let (folder, current) = (&self.folder, self.folder.path("current"));
        folder.insist(format_args!("write {current} to disk"), || self.current.sync_all());
        folder.insist(format_args!("set mode of {current}"), || set_mode(&self.current, COMPLETE));
    }
}
