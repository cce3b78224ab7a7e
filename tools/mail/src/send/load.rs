//! The beginning and the end of qmail-send: the queue as the last one left it, and as the next
//! one will find it.

use super::draft::replacement;
use super::log;
use super::manager::Manager;
use super::rewrite::Side;
use super::schedule::SYSTEM_FAILURE;
use base::files;
use base::sys::clock;
use base::sys::poll::{Wait, poll};
use base::sys::signal::Signals;
use queue::paths::{self, is_absent};
use std::collections::HashSet;
use std::fs::{self, File, FileTimes, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// How long a folder that cannot be read is left alone.
const PAUSE: Duration = Duration::from_secs(10);

impl Manager {
    /// Loads all messages that have been taken over before. A folder that cannot be read is tried
    /// again until it can, or until we are told to stop.
    pub fn load(&mut self, signals: &Signals) {
        // First what is new: a message that leaves `todo` meanwhile is doubtful, not forgotten.
        let mut new = Vec::new();
        for folder in self.paths.todo_folders() {
            self.persist(&folder, signals, |_| {
                new.extend(Numbers::of(&folder)?.0);
                Ok(())
            });
        }
        let new = Numbers::sorted(new);
        for folder in 0..self.paths.split {
            let name = format!("info/{folder}");
            self.persist(&name, signals, |manager| manager.load_folder(folder, &new));
        }
    }

    /// Does something about a folder until it works, or until we are told to stop.
    fn persist(
        &mut self,
        folder: &str,
        signals: &Signals,
        mut work: impl FnMut(&mut Self) -> io::Result<()>,
    ) {
        while !self.leaving && work(self).is_err() {
            log::alert(format_args!("unable to opendir {folder}, sleeping..."));
            let _ = poll(&mut [Wait::read(signals.fd())], Some(PAUSE));
            signals.take().for_each(|signal| self.signal_came(signal));
        }
    }

    /// Loads the messages in one folder of `info`. The time of a file of recipients says when the
    /// next try is. Of a message that is still new, only `todo/N` counts.
    fn load_folder(&mut self, folder: u64, new: &Numbers) -> io::Result<()> {
        let now = clock::seconds();
        let texts = Numbers::of(&format!("mess/{folder}")).unwrap_or_default();
        let mut found = Numbers::of(&format!("info/{folder}"))?;
        found.retain(|message| texts.contain(message) || self.can_be_delivered(message));
        let mut tries = Vec::new();
        for side in Side::BOTH {
            for entry in files::entries(format!("{}/{folder}", side.name()))? {
                let entry = entry?;
                let message = paths::number(entry.file_name().as_bytes());
                let message = message.filter(|n| found.contain(*n) && !new.contain(*n));
                let Some(message) = message else { continue };
                let time = entry.metadata().map_or(now + SYSTEM_FAILURE, |about| changed(&about));
                tries.push((side, time, message));
            }
        }
        let waiting = Numbers::sorted(tries.iter().map(|(_, _, message)| *message).collect());
        for (side, time, message) in tries {
            self.channels[side as usize].schedule.add(time, message);
        }
        for message in found.iter() {
            if new.contain(message) {
                self.todo.doubtful.insert(message);
            } else if !waiting.contain(message) {
                self.finishing.add(now, message);
            }
        }
        Ok(())
    }

    /// Whether there is a text. A power cut may leave the rest of a message that has ended; a new
    /// message under its number is not for its recipients.
    fn can_be_delivered(&self, message: u64) -> bool {
        let mess = self.paths.split("mess", message);
        if is_absent(&mess) {
            let mess = mess.display();
            log::warning(format_args!("{mess} is missing; qmail-qcheck -N puts the rest aside"));
            return false;
        }
        true
    }

    /// After a look into `todo`, for messages that were new when we started and had files of ours:
    /// if `todo/N` is gone, a qmail-clean has removed it for a qmail-send that was killed. Then the
    /// files are complete, and nobody else will ever look at them.
    pub(super) fn load_doubtful(&mut self) {
        let doubtful = std::mem::take(&mut self.todo.doubtful);
        let is_gone = |message: &u64| is_absent(&self.paths.todo(*message));
        let (gone, doubtful): (HashSet<u64>, _) = doubtful.into_iter().partition(is_gone);
        self.todo.doubtful = doubtful;
        gone.into_iter().for_each(|message| self.load_message(message));
    }

    fn load_message(&mut self, message: u64) {
        let mut waits = false;
        for side in Side::BOTH {
            let file = self.paths.split(side.name(), message);
            let _ = fs::remove_file(replacement(&file));
            if let Ok(about) = fs::symlink_metadata(file) {
                self.channels[side as usize].schedule.add(changed(&about), message);
                waits = true;
            }
        }
        let _ = fs::remove_file(replacement(&self.paths.split("info", message)));
        if !waits {
            self.finishing.add(clock::seconds(), message);
        }
    }

    /// Notes the next try of every message where [`Manager::load`] will look for it.
    pub(super) fn save_schedules(&self) {
        for channel in &self.channels {
            for (time, message) in channel.schedule.iter() {
                let file = self.paths.split(channel.side.name(), message);
                if set_time(&file, time).is_err() {
                    let file = file.display();
                    log::warning(format_args!(
                        "unable to utime {file}; message will be retried too soon"
                    ));
                }
            }
        }
    }
}

/// The message numbers in a folder: sorted, as a set of 100,000 is slow to make and thrice as large.
#[derive(Default)]
struct Numbers(Vec<u64>);

impl Numbers {
    fn of(folder: &str) -> io::Result<Numbers> {
        let mut found = Vec::new();
        for entry in files::entries(folder)? {
            found.extend(paths::number(entry?.file_name().as_bytes()));
        }
        Ok(Numbers::sorted(found))
    }

    fn sorted(mut numbers: Vec<u64>) -> Numbers {
        numbers.sort_unstable();
        Numbers(numbers)
    }

    fn contain(&self, message: u64) -> bool {
        self.0.binary_search(&message).is_ok()
    }

    fn retain(&mut self, keep: impl Fn(u64) -> bool) {
        self.0.retain(|message| keep(*message));
    }

    fn iter(&self) -> impl Iterator<Item = u64> {
        self.0.iter().copied()
    }
}

/// When a file was changed, in seconds.
fn changed(about: &Metadata) -> u64 {
    about.mtime().max(0) as u64
}

fn set_time(file: &Path, seconds: u64) -> io::Result<()> {
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    let time = time.ok_or(ErrorKind::InvalidInput)?;
    File::options().write(true).open(file)?.set_times(FileTimes::new().set_modified(time))
}
