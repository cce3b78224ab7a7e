//! Files that others read while they are replaced.

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Puts the names in a folder on disk, so that a link or rename in it survives a power cut.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    match File::open(folder)?.sync_all() {
        // Some file systems cannot sync folders, and need not.
        Err(why) if why.raw_os_error() == Some(libc::EINVAL) => Ok(()),
        other => other,
    }
}

/// Moves a finished, synced file to its name and puts the name on disk. A crash leaves the old
/// file or the new one, whole.
pub fn replace(temporary: &Path, name: &Path) -> io::Result<()> {
    fs::rename(temporary, name)?;
    sync_folder(name.parent().unwrap_or(Path::new(".")))
}
