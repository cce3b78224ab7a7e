//! What interrupted programs left in `mess`: texts that are no message's and that nobody has read
//! for 36 hours.

use super::clean::Request;
use super::manager::Manager;
use base::files;
use queue::paths::{self, OLD, Paths, is_absent};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;

/// Seconds between two sweeps.
const INTERVAL: u64 = 76_431;

/// Entries that are looked at before something else gets its turn.
const SLICE: usize = 128;

/// How far a sweep is.
#[derive(Default)]
pub struct Sweep {
    /// When the next one begins; at once, to begin with.
    next: u64,
    /// The folder of `mess` that is looked at next.
    folder: u64,
    entries: Option<fs::ReadDir>,
}

impl Sweep {
    /// When there is work.
    pub fn next_time(&self) -> u64 {
        self.next
    }

    /// The next name in `mess`; `None` at the end of the sweep. A folder that cannot be read is
    /// left to the next one.
    fn entry(&mut self, paths: &Paths) -> Option<fs::DirEntry> {
        loop {
            if let Some(Ok(entry)) = self.entries.as_mut().and_then(Iterator::next) {
                return Some(entry);
            }
            if self.folder == paths.split {
                self.entries = None;
                self.folder = 0;
                return None;
            }
            self.entries = files::entries(format!("mess/{}", self.folder)).ok();
            self.folder += 1;
        }
    }
}

impl Manager {
    /// Looks at some more of `mess`, if it is time.
    pub(super) fn sweep(&mut self, now: u64) {
        if self.sweep.next > now {
            return;
        }
        for _ in 0..SLICE {
            let Some(entry) = self.sweep.entry(&self.paths) else {
                self.sweep.next = now + INTERVAL;
                return;
            };
            let Some(message) = paths::number(entry.file_name().as_bytes()) else { continue };
            let request = Request::Message(message);
            // Asked twice, qmail-clean could meet a new message under the same number.
            if !self.ending.contains(&message)
                && !self.first_tries.has(message)
                && self.is_left_over(message, now)
                && !self.cleaner.waits_for(request)
            {
                self.cleaner.ask(request);
            }
        }
    }

    fn is_left_over(&self, message: u64, now: u64) -> bool {
        let old = |about: fs::Metadata| about.atime() < now as i64 - OLD;
        fs::metadata(self.paths.split("mess", message)).is_ok_and(old)
            && is_absent(&self.paths.split("info", message))
            && is_absent(&self.paths.todo(message))
    }
}
