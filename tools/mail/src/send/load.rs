//! The beginning and the end of qmail-send: the queue as the last one left it, and as the next
//! one will find it.

use super::log;
use super::manager::Manager;
use super::rewrite::Side;
use super::schedule::SYSTEM_FAILURE;
use base::sys::clock;
use queue::paths;
use std::fs::{self, File, FileTimes};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

impl Manager {
    /// Loads the messages in one of the folders of `info`. The time of a file of recipients says
    /// when the next try is.
    pub fn load(&mut self, folder: u64) -> io::Result<()> {
        let now = clock::seconds();
        for entry in fs::read_dir(info_folder(folder))? {
            let Some(message) = paths::number(entry?.file_name().as_bytes()) else { continue };
            // As long as there is todo/N, nothing else of the message counts.
            if time(&self.paths.flat("todo", message)).is_ok() {
                continue;
            }
            let mut waits = false;
            for side in Side::BOTH {
                let next = match time(&self.paths.split(side.name(), message)) {
                    Ok(time) => time,
                    Err(why) if why.kind() == ErrorKind::NotFound => continue,
                    Err(_) => now + SYSTEM_FAILURE,
                };
                self.channels[side as usize].schedule.add(next, message);
                waits = true;
            }
            if !waits {
                self.finishing.add(now, message);
            }
        }
        Ok(())
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

/// `info/X`
pub fn info_folder(folder: u64) -> PathBuf {
    format!("info/{folder}").into()
}

/// When a file was changed, in seconds.
fn time(file: &Path) -> io::Result<u64> {
    Ok(fs::symlink_metadata(file)?.mtime().max(0) as u64)
}

fn set_time(file: &Path, seconds: u64) -> io::Result<()> {
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    let time = time.ok_or(ErrorKind::InvalidInput)?;
    File::options().write(true).open(file)?.set_times(FileTimes::new().set_modified(time))
}
