//! A service directory as everybody but its own supervise sees it.

use crate::home;
use base::sys::{fd, lock};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A service directory.
pub struct Folder {
    path: PathBuf,
    /// The folder of its supervise.
    home: PathBuf,
}

impl Folder {
    /// Looks that it is there and may be entered; fails as chdir would.
    pub fn enter(path: impl Into<PathBuf>) -> io::Result<Folder> {
        let path = path.into();
        if path.as_os_str().is_empty() {
            return Err(io::Error::from_raw_os_error(libc::ENOENT));
        }
        fs::metadata(path.join("."))?;
        let home = home::of(&path)?;
        Ok(Folder { path, home })
    }

    /// The path of a file that the administrator makes: `down`, `run`.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The path of a file that supervise makes: `status`, `ok`.
    pub fn supervise(&self, name: &str) -> PathBuf {
        self.home.join(name)
    }

    /// Fails with ENXIO if no supervise runs, with ENOENT if none ever did.
    pub fn is_supervised(&self) -> io::Result<()> {
        write_end(&self.supervise("ok")).map(drop)
    }

    /// The open end of `supervise/control`. Fails as [`Folder::is_supervised`]. Nobody reads
    /// orders from what is no FIFO, and whoever owns the directory may have put a link there.
    pub fn control(&self) -> io::Result<Control> {
        let file = write_end(&self.supervise("control"))?;
        match file.metadata()?.file_type().is_fifo() {
            true => Ok(Control(file)),
            false => Err(io::Error::from_raw_os_error(libc::ENXIO)),
        }
    }

    /// Somebody holds `supervise/lock`. If that cannot be seen, nobody does.
    pub fn is_locked(&self) -> bool {
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(libc::O_NONBLOCK);
        let Ok(file) = options.open(self.supervise("lock")) else {
            return false;
        };
        let tried = lock::try_shared(file.as_fd());
        tried.is_err_and(|why| why.raw_os_error() == Some(libc::EAGAIN))
    }
}

/// Where orders are written to a supervise.
pub struct Control(File);

impl Control {
    /// Lets [`Control::order`] wait for room if supervise is behind; else it fails with EAGAIN.
    pub fn patient(self) -> io::Result<Control> {
        fd::set_nonblocking(self.0.as_fd(), false)?;
        Ok(self)
    }

    /// Writes the letters. A caller that ignores SIGPIPE survives a supervise that ends meanwhile.
    pub fn order(mut self, letters: &[u8]) -> io::Result<()> {
        self.0.write_all(letters)
    }
}

fn write_end(fifo: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(fifo)
}

/// Which directory it is, under whatever name. The time of birth tells it from an older one whose
/// inode number it has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    device: u64,
    inode: u64,
    born: Option<SystemTime>,
}

impl Identity {
    /// Of what `stat` said.
    pub fn of(found: &Metadata) -> Identity {
        Identity { device: found.dev(), inode: found.ino(), born: found.created().ok() }
    }

    /// Of what is at `path` now, if anything is.
    pub fn at(path: impl AsRef<Path>) -> Option<Identity> {
        fs::metadata(path).ok().map(|found| Identity::of(&found))
    }
}
