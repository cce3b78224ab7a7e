//! `supervise/` as the supervise that owns it sees it, from inside the service directory.

use base::sys::lock;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt};
use std::path::Path;

/// The folder.
pub const HOME: &str = "supervise";

/// Makes the folder, mode 700, or the one that a link of its name leads to. A failure shows when
/// the lock is taken.
pub fn make() {
    let maker = || {
        let mut maker = DirBuilder::new();
        maker.mode(0o700);
        maker
    };
    if maker().create(HOME).is_err()
        && let Ok(target) = fs::read_link(HOME)
    {
        let _ = maker().create(target);
    }
}

/// Takes the lock, which is held until the file is dropped. Fails with EAGAIN if another
/// supervise has it.
pub fn lock() -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o600).custom_flags(libc::O_NONBLOCK);
    let file = options.open(Path::new(HOME).join("lock"))?;
    lock::try_exclusive(file.as_fd())?;
    Ok(file)
}

/// The read end of a FIFO, which is made, mode 600, if it is not there. Reading never waits.
pub fn read_end(name: &str) -> io::Result<File> {
    let path = Path::new(HOME).join(name);
    let made = mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR);
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if !file.metadata()?.file_type().is_fifo() {
        // Something else has the name: reading it would never wait.
        return Err(made.err().map_or(io::ErrorKind::InvalidData.into(), io::Error::from));
    }
    Ok(file)
}

/// The write end of a FIFO that this process reads: with it, reading never meets an end.
pub fn write_end(name: &str) -> io::Result<File> {
    let path = Path::new(HOME).join(name);
    OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(path)
}

/// Which step of [`write_status`] failed.
pub enum Failure {
    /// Opening `status.new`.
    Open,
    /// Writing it.
    Write,
    /// Renaming it to `status`.
    Rename,
}

/// Replaces `status`; readers see the old one or the new one, whole. Nothing is synced: after a
/// crash of the system no service runs.
pub fn write_status(bytes: &[u8]) -> Result<(), (Failure, io::Error)> {
    let new = Path::new(HOME).join("status.new");
    let mut file = File::create(&new).map_err(|why| (Failure::Open, why))?;
    file.write_all(bytes).map_err(|why| (Failure::Write, why))?;
    fs::rename(&new, Path::new(HOME).join("status")).map_err(|why| (Failure::Rename, why))
}
