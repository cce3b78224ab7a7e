//! A service as svscan keeps it: a supervise, one more for its log, and the pipe between.

use crate::folder::Identity;
use crate::pipe::{Pipe, inode};
use crate::seat::Seat;
use libc::{SIGHUP, SIGTERM};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::PathBuf;
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

    /// Gives the log its pipe: the one that the service writes to already, or that its logger
    /// reads, or a new one. A logger at another pipe is sent off: killed at the wrong moment, an
    /// earlier svscan can have left a service and a logger that do not belong together.
    pub fn join(&mut self) -> io::Result<()> {
        let Some(log) = &mut self.log else {
            return Ok(());
        };
        let written = self.main.file_of_stranger(1);
        // Without log, both are what svscan itself had.
        let written = written.filter(|out| {
            self.main.file_of_stranger(2).is_some_and(|errors| inode(out) != inode(&errors))
        });
        let known = |pipe: &Pipe| !written.as_ref().is_some_and(|entry| pipe.is_not(entry));
        if !log.pipe.as_ref().is_some_and(known) {
            let read = log.seat.file_of_stranger(0);
            let entries = [written, read, log.seat.file_of_process(0)].into_iter().flatten();
            let old = entries.into_iter().find_map(|entry| Pipe::behind(&entry));
            let old = old.or_else(|| self.main.unread_pipe());
            log.pipe = Some(old.map_or_else(Pipe::new, Ok)?);
        }
        log.follow();
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
        let mut looked = false;
        for seat in self.seats_mut().filter(hidden) {
            seat.find_stranger();
            looked = true;
        }
        if looked {
            // Where there is no room for a pipe, the next start tells.
            let _ = self.join();
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
        let Some(log) = &mut self.log else { return };
        if self.leaving && self.main.is_free() && log.pipe.take().is_some() {
            log.send_off();
        }
        if log.patience.take_if(|end| *end <= Instant::now()).is_some() {
            log.seat.order(b"dx", SIGTERM);
        }
    }
}

impl Log {
    /// Sends the supervise of the logger off if it has another pipe.
    fn follow(&mut self) {
        let Some(pipe) = &self.pipe else { return };
        let theirs = self.seat.file_of_stranger(0);
        let astray = theirs.is_some_and(|entry| pipe.is_not(&entry));
        let given = self.seat.given.filter(|_| self.seat.is_child());
        if self.seat.is_free() {
            self.patience = None;
        } else if self.patience.is_none()
            && (astray || given.is_some_and(|it| Some(it) != pipe.identity()))
        {
            self.send_off();
        }
    }

    /// Its supervise is to end when the logger ends, and that by the end of its input.
    fn send_off(&mut self) {
        self.seat.order(b"x", SIGHUP);
        self.patience = Some(Instant::now() + DRAIN);
    }

    /// The log in the directory at `path`, with a pipe to come.
    pub fn new(path: PathBuf, identity: Identity) -> Log {
        Log { seat: Seat::new(path, identity), pipe: None, patience: None }
    }
}
