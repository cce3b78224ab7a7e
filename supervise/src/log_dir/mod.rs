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
        let processor = folder.settings.processor.clone().map(Processor::new);
        let buffer = Vec::with_capacity(BUFFER);
        Ok(LogDir { folder, _lock: lock, current, length, buffer, processor })
    }
}

impl LogDir {
    /// Adds bytes. They are written when many have come, and by `flush`.
    pub fn put(&mut self, bytes: &[u8]) {
        if self.buffer.len() + bytes.len() > BUFFER {
            self.flush();
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Writes what was added.
    pub fn flush(&mut self) {
        let buffer = std::mem::take(&mut self.buffer);
        let mut rest = &buffer[..];
        while !rest.is_empty() {
            rest = &rest[self.write_start(rest)..];
        }
        self.buffer = buffer;
        self.buffer.clear();
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
        self.folder.patience.write_all(what, &self.current, part);
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
        self.processor.as_ref()?.due()
    }

    /// Looks after the processor. Does not wait for it.
    pub fn attend(&mut self) {
        if let Some(processor) = &mut self.processor {
            processor.attend(&self.folder);
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
