//! `supervise/`, the folder in which supervise keeps its files: where it is, and how the supervise
//! that owns it sees it, from inside the service directory.

use crate::replaced::Replaced;
use crate::state::{self, Record};
use crate::status::SIZE;
use base::env;
use base::sys::lock;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Its name in a service directory, unless `$SUPERVISEDIR` says another.
const HOME: &str = "supervise";

/// The folder of the supervise for the service directory at `path`. `$SUPERVISEDIR` may give
/// another name in the service directory, or an absolute path V: then it is `V/a:b` for the
/// directory `/a/b`, under its real path.
pub fn of(path: &Path) -> io::Result<PathBuf> {
    let Some(name) = env::get("SUPERVISEDIR").filter(|name| !name.is_empty()) else {
        return Ok(path.join(HOME));
    };
    let name = PathBuf::from(OsString::from_vec(name));
    if !name.is_absolute() {
        return Ok(path.join(name));
    }
    let path = fs::canonicalize(path)?.into_os_string().into_vec();
    let mut path = path.strip_prefix(b"/").unwrap_or_default().to_vec();
    path.iter_mut().filter(|byte| **byte == b'/').for_each(|byte| *byte = b':');
    Ok(name.join(OsString::from_vec(path)))
}

/// The folder of the supervise that runs in the service directory.
pub struct Home {
    path: PathBuf,
    /// The file `status`.
    pub status: Replaced,
    /// The file `state`.
    pub state: Replaced,
}

impl Home {
    /// That of the current directory.
    pub fn here() -> io::Result<Home> {
        let path = of(Path::new("."))?;
        let (status, state) = (Replaced::new(&path, "status")?, Replaced::new(&path, "state")?);
        Ok(Home { path, status, state })
    }

    /// Makes the folder, mode 700, or the one that a link of its name leads to. A failure shows
    /// when the lock is taken.
    pub fn make(&self) {
        let maker = || {
            let mut maker = DirBuilder::new();
            maker.mode(0o700);
            maker
        };
        if maker().create(&self.path).is_err()
            && let Ok(target) = fs::read_link(&self.path)
        {
            let _ = maker().create(target);
        }
    }

    /// Takes the lock, which is held until the file is dropped. Fails with EAGAIN if another
    /// supervise has it.
    pub fn lock(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.append(true).create(true).mode(0o600).custom_flags(libc::O_NONBLOCK);
        let file = options.open(self.path.join("lock"))?;
        lock::try_exclusive(file.as_fd())?;
        Ok(file)
    }

    /// The read end of a FIFO, which is made, mode 600, if it is not there. Reading never waits.
    pub fn read_end(&self, name: &str) -> io::Result<File> {
        let path = self.path.join(name);
        let made = mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR);
        let file = base::files::open_read(&path)?;
        if !file.metadata()?.file_type().is_fifo() {
            // Something else has the name: reading it would never wait.
            return Err(made.err().map_or(io::ErrorKind::InvalidData.into(), io::Error::from));
        }
        Ok(file)
    }

    /// The write end of a FIFO that this process reads: with it, reading never meets an end.
    pub fn write_end(&self, name: &str) -> io::Result<File> {
        base::files::open_write(&self.path.join(name))
    }

    /// What an earlier supervise has written, if it has.
    pub fn read_state(&self) -> Option<Record> {
        state::read(&self.path.join("state")).ok()
    }

    /// The bytes of `status`; none if there are none.
    pub fn read_status(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(2 * SIZE);
        let file = base::files::open_read(&self.path.join("status"));
        let _ = file.and_then(|file| file.take(2 * SIZE as u64).read_to_end(&mut bytes));
        bytes
    }
}
