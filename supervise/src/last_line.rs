//! The last line of the log of a service.

use crate::log_files::look;
use crate::log_range::Times;
use crate::log_reader::LogReader;
use base::files;
use std::path::{Path, PathBuf};

/// Bytes of a line that are given.
const MOST: usize = 500;

/// The last line that the logger of the service in this directory has written, without newline.
/// `None` if there is none, or it is not to be found.
pub fn last_line(service: &Path) -> Option<Vec<u8>> {
    let folder = log_folder(service)?;
    let files = look(&folder).ok()?;
    let mut reader = LogReader::new(folder, &files, Times::default()).ok()?;
    reader.skip_to_last(1).ok()?;
    let mut last = None;
    while reader.advance().ok()? {
        let line = reader.line();
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        last = Some(line[..line.len().min(MOST)].to_vec());
    }
    last
}

/// Where multilog writes: a folder beside the run script of the log, or beside the service's own,
/// that has a file `current`; `main` before others.
fn log_folder(service: &Path) -> Option<PathBuf> {
    let is_log = |folder: &PathBuf| folder.join("current").is_file();
    [service.join("log"), service.to_owned()].iter().find_map(|place| {
        let main = Some(place.join("main")).filter(is_log);
        let others = || {
            let entries = files::entries(place).ok()?;
            let mut folders: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
            folders.sort();
            folders.into_iter().find(is_log)
        };
        main.or_else(others)
    })
}
