//! Files that others have open too: FIFOs that must not hold us up, and files that are replaced
//! while others read them.

use std::fs::{self, File, OpenOptions, ReadDir};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// Opens a file for reading. A FIFO opens at once, with a writer or without, and reading it never
/// waits.
pub fn open_read(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)
}

/// One read from this place on, tried again after a signal. 0 is the end.
pub fn read_at(file: &File, into: &mut [u8], place: u64) -> io::Result<usize> {
    loop {
        match file.read_at(into, place) {
            Err(why) if why.kind() == ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// Opens a file for writing that is there already. A FIFO that nobody reads fails (ENXIO), and
/// writing one never waits.
pub fn open_write(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(path)
}

/// Opens a file for appending; `create` makes it, mode 0600 less the umask, if it is not there. A
/// FIFO that nobody reads fails (ENXIO).
pub fn open_append(path: &Path, create: bool) -> io::Result<File> {
    let mut how = OpenOptions::new();
    how.append(true).create(create).mode(0o600).custom_flags(libc::O_NONBLOCK).open(path)
}

/// The entries of a folder. Unlike `fs::read_dir`, a signal that comes meanwhile is no failure.
pub fn entries(folder: impl AsRef<Path>) -> io::Result<ReadDir> {
    loop {
        match fs::read_dir(&folder) {
            Err(why) if why.kind() == ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

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
