//! A directory that svscan has found and that may become a service.

use crate::folder::Identity;
use crate::service::{Log, Service};
use crate::watch::{Mark, Watch};
use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind::NotFound};
use std::path::Path;
use std::time::{Duration, Instant};

/// How often to look at what cannot be watched.
const LOOK: Duration = Duration::from_secs(5);
/// A directory is complete when nothing in it has changed for this long.
const SETTLED: Duration = Duration::from_millis(25);

/// A directory that may become a service.
pub struct Newcomer {
    /// Its name in the scan directory.
    pub name: OsString,
    /// Which directory it is.
    pub identity: Identity,
    /// The scan directory still has it.
    pub present: bool,
    /// Somebody has been told that it has nothing to run.
    pub told: bool,
    mark: Option<Mark>,
    look: Option<Instant>,
}

impl Newcomer {
    /// One that was there before svscan, and may be judged at once.
    pub fn old(name: OsString, identity: Identity) -> Newcomer {
        let look = Some(Instant::now());
        Newcomer { name, identity, present: true, told: false, mark: None, look }
    }

    /// One that has just appeared, and may not be complete.
    pub fn new(name: OsString, identity: Identity, watch: &Watch) -> Newcomer {
        let mark = watch.contents(Path::new(&name));
        let look = Some(Instant::now() + SETTLED);
        Newcomer { name, identity, present: true, told: false, mark, look }
    }

    /// When to call [`Newcomer::judge`].
    pub fn due(&self) -> Option<Instant> {
        self.look
    }

    /// Something in it has changed, if it has this mark.
    pub fn changed(&mut self, mark: Mark) {
        if self.mark == Some(mark) {
            self.look = Some(Instant::now() + SETTLED);
        }
    }

    /// It is to be judged now.
    pub fn look_now(&mut self) {
        self.look = Some(Instant::now());
    }

    /// The service that it is, if there is something to run. If not, it is watched. Fails if it
    /// cannot be seen whether it has a log.
    pub fn judge(&mut self, watch: &Watch) -> io::Result<Option<Service>> {
        let name = Path::new(&self.name);
        self.look = Some(Instant::now() + LOOK);
        if !has_run(name) {
            // Watched first, then looked at once more: what comes between is not missed.
            self.mark = self.mark.or_else(|| watch.contents(name));
            if !has_run(name) {
                self.look = self.look.filter(|_| self.mark.is_none());
                return Ok(None);
            }
        }
        let mut service = Service::new(&self.name, self.identity);
        let log = name.join("log");
        match fs::metadata(&log) {
            Ok(found) if found.is_dir() => service.log = Some(Log::new(log, Identity::of(&found))),
            Ok(_) => {}
            Err(why) if why.kind() == NotFound => {}
            Err(why) => return Err(why),
        }
        Ok(Some(service))
    }

    /// Ends the watching of it.
    pub fn forget(self, watch: &Watch) {
        if let Some(mark) = self.mark {
            watch.forget(mark);
        }
    }
}

/// There is something that supervise can start.
fn has_run(folder: &Path) -> bool {
    ["run", "start"].iter().any(|name| fs::symlink_metadata(folder.join(name)).is_ok())
}
