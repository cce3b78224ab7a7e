//! A service as svscan keeps it: a supervise, one more for its log, and the pipe between.

use crate::folder::Identity;
use crate::seat::Seat;
use base::sys::fd;
use libc::{SIGHUP, SIGTERM};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a logger may take to write what is left in the pipe.
const DRAIN: Duration = Duration::from_secs(10);

/// A service.
pub struct Service {
    /// Which directory it is.
    pub identity: Identity,
    /// The scan directory has a name for it.
    pub present: bool,
    /// It is being stopped for good.
    pub leaving: bool,
    /// The place of its supervise.
    pub main: Seat,
    /// Its log.
    pub log: Option<Log>,
}

/// The log of a service.
pub struct Log {
    /// The place of its supervise.
    pub seat: Seat,
    /// Held open until the service is gone, so that nothing is lost when either side restarts.
    pub pipe: Option<Pipe>,
    /// When a logger that has been told of the end is stopped.
    patience: Option<Instant>,
}

/// Both ends of a pipe.
pub struct Pipe {
    /// For the logger.
    pub read: OwnedFd,
    /// For the service.
    pub write: OwnedFd,
}

impl Service {
    /// A service without log.
    pub fn new(name: &OsStr, identity: Identity) -> Service {
        let main = Seat::new(PathBuf::from(name), identity);
        Service { identity, present: true, leaving: false, main, log: None }
    }

    /// The name by which it was seen last.
    pub fn name(&self) -> &OsStr {
        self.main.path.as_os_str()
    }

    /// It was seen under this name.
    pub fn seen_as(&mut self, name: OsString) {
        self.present = true;
        self.main.path = name.into();
        if let Some(log) = &mut self.log {
            log.seat.path = self.main.path.join("log");
        }
    }

    /// Its places, that of the log last.
    pub fn seats(&self) -> impl Iterator<Item = &Seat> {
        [Some(&self.main), self.log.as_ref().map(|log| &log.seat)].into_iter().flatten()
    }

    /// As [`Service::seats`].
    pub fn seats_mut(&mut self) -> impl Iterator<Item = &mut Seat> {
        [Some(&mut self.main), self.log.as_mut().map(|log| &mut log.seat)].into_iter().flatten()
    }

    /// Gives the log its pipe: the one that somebody else's supervise has, or a new one.
    pub fn join(&mut self) -> io::Result<()> {
        if let Some(log) = &mut self.log
            && log.pipe.is_none()
        {
            let old = Pipe::between(&self.main, &log.seat);
            log.pipe = Some(old.map_or_else(Pipe::new, Ok)?);
        }
        Ok(())
    }

    /// It is not to be started again, and nothing of it runs.
    pub fn is_over(&self) -> bool {
        (self.leaving || !self.present) && self.seats().all(Seat::is_free)
    }

    /// When something is to be done about it.
    pub fn due(&self) -> Option<Instant> {
        let patience = self.log.as_ref().and_then(|log| log.patience);
        let look = self.seats().filter_map(Seat::look);
        look.chain(patience).chain(self.start_due()).min()
    }

    /// When a supervise is to be started.
    pub fn start_due(&self) -> Option<Instant> {
        self.seats().filter_map(Seat::due).min().filter(|_| self.present && !self.leaving)
    }

    /// Looks whether places have become free of which nobody tells.
    pub fn look(&mut self) {
        let hidden = |seat: &&mut Seat| seat.look().is_some_and(|time| time <= Instant::now());
        for seat in self.seats_mut().filter(hidden) {
            seat.find_stranger();
        }
    }

    /// Stops it for good. Goes on in [`Service::see_off`].
    pub fn leave(&mut self) {
        if !self.leaving {
            self.leaving = true;
            self.main.order(b"dx", SIGTERM);
        }
    }

    /// Once the supervise of a leaving service has ended: closes the pipe, so that the logger
    /// meets the end of its input and does not start again; stops it if that takes long.
    pub fn see_off(&mut self) {
        let Some(log) = self.log.as_mut().filter(|_| self.leaving && self.main.is_free()) else {
            return;
        };
        if log.pipe.take().is_some() {
            log.seat.order(b"x", SIGHUP);
            log.patience = Some(Instant::now() + DRAIN);
        }
        if log.patience.is_some_and(|end| end <= Instant::now()) {
            log.patience = None;
            log.seat.order(b"dx", SIGTERM);
        }
    }
}

impl Log {
    /// The log in the directory at `path`, with a pipe to come.
    pub fn new(path: PathBuf, identity: Identity) -> Log {
        Log { seat: Seat::new(path, identity), pipe: None, patience: None }
    }
}

impl Pipe {
    /// A new one.
    fn new() -> io::Result<Pipe> {
        let (read, write) = fd::pipe()?;
        Ok(Pipe { read, write })
    }

    /// The one that joins a running supervise of the service with a running supervise of its
    /// log, or that joined them while both ran.
    fn between(service: &Seat, log: &Seat) -> Option<Pipe> {
        let input = log.file_of_stranger(0).and_then(|file| Pipe::behind(&file));
        input.or_else(|| {
            let output = service.file_of_stranger(1)?;
            let errors = service.file_of_stranger(2)?;
            // Without log, both are what svscan itself had.
            let shared = inode(&output) == inode(&errors) || is_ours(&output);
            Pipe::behind(&output).filter(|_| !shared)
        })
    }

    /// The pipe that an entry of /proc/PID/fd leads to. Opening it never waits, whatever it is.
    fn behind(entry: &Path) -> Option<Pipe> {
        if !fs::metadata(entry).ok()?.file_type().is_fifo() {
            return None;
        }
        let mut options = OpenOptions::new();
        options.custom_flags(libc::O_NONBLOCK);
        let read: OwnedFd = options.read(true).open(entry).ok()?.into();
        let write: OwnedFd = options.read(false).write(true).open(entry).ok()?.into();
        fd::set_nonblocking(read.as_fd(), false).ok()?;
        fd::set_nonblocking(write.as_fd(), false).ok()?;
        Some(Pipe { read, write })
    }
}

/// The same file as our standard output or error.
fn is_ours(file: &Path) -> bool {
    let same = |own: BorrowedFd| {
        let own = own.try_clone_to_owned().ok().and_then(|own| File::from(own).metadata().ok());
        own.map(|own| (own.dev(), own.ino())) == inode(file)
    };
    same(fd::STDOUT.as_fd()) || same(fd::STDERR.as_fd())
}

fn inode(file: &Path) -> Option<(u64, u64)> {
    fs::metadata(file).ok().map(|found| (found.dev(), found.ino()))
}
