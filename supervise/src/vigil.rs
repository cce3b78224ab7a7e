//! Waiting for services to come to a state: told by the kernel, never by looking again and again.
//!
//! A supervise replaces its status by renaming, and that is what is watched; its end is told by a
//! descriptor of its process.

use crate::folder::{Folder, Identity};
use crate::holder::holder;
use crate::view::{Hidden, View};
use crate::watch::{Mark, Watch};
use base::sys::poll::{Wait, poll};
use base::sys::wait;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Where the kernel cannot tell, on the file systems of other machines, how often to look.
pub const LOOK: Duration = Duration::from_secs(1);

/// Services that are watched.
pub struct Vigil {
    watch: Watch,
    /// The services.
    pub services: Vec<Watched>,
}

/// One of them.
pub struct Watched {
    /// Its directory.
    pub name: OsString,
    marks: Vec<Mark>,
    /// Its supervise's end, once that is known.
    end: Option<OwnedFd>,
}

impl Vigil {
    /// Watches these directories. What happens from now on ends [`Vigil::sleep`].
    pub fn new(names: &[OsString]) -> Vigil {
        let watched = |name: &OsString| Watched { name: name.clone(), marks: vec![], end: None };
        let services = names.iter().map(watched).collect();
        let mut vigil = Vigil { watch: Watch::new(), services };
        vigil.watch_folders();
        vigil
    }

    /// Watches the folders of supervise, and the service directories, where they come up.
    fn watch_folders(&mut self) {
        for service in &mut self.services {
            let home = Folder::enter(&service.name).map(|folder| folder.supervise(""));
            let homes = home.iter().flat_map(|home| [Some(home.as_path()), home.parent()]);
            let places = homes.flatten().chain([Path::new(&service.name)]);
            let places: Vec<PathBuf> = places.map(Path::to_owned).collect();
            service.marks = places.iter().filter_map(|place| self.watch.names(place)).collect();
        }
    }

    /// Notices the end of every supervise from now on. `false` of one: it cannot be told.
    pub fn notice_ends(&mut self) {
        for service in &mut self.services {
            service.end = end(&service.name);
        }
    }

    /// Sleeps until something has changed, or until this time, if any.
    pub fn sleep(&mut self, until: Option<Instant>) -> io::Result<()> {
        let blind = self.services.iter().any(|service| service.marks.is_empty());
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let limit = left.into_iter().chain(blind.then_some(LOOK)).min();
        let ends = self.services.iter().filter_map(|service| service.end.as_ref());
        let fds = self.watch.fd().into_iter().chain(ends.map(|end| end.as_fd()));
        let mut waits: Vec<Wait> = fds.map(Wait::read).collect();
        poll(&mut waits, limit)?;
        self.watch.take();
        self.watch_folders();
        Ok(())
    }
}

impl Watched {
    /// The service as it is now.
    pub fn look(&self) -> Result<View, Hidden> {
        View::of(&self.name)
    }

    /// The supervise that was there at [`Vigil::notice_ends`] has ended.
    pub fn has_ended(&self) -> bool {
        let Some(end) = &self.end else { return false };
        let mut waits = [Wait::read(end.as_fd())];
        poll(&mut waits, Some(Duration::ZERO)).is_ok_and(|count| count > 0)
    }
}

/// A descriptor that tells of the end of the supervise of a service: of the one that holds the
/// lock, or, where that cannot be seen, of the one that its state file names.
fn end(name: &OsString) -> Option<OwnedFd> {
    let folder = Folder::enter(name).ok()?;
    let holder = Identity::at(name).and_then(|identity| holder(&folder, identity));
    holder.map(|holder| holder.end).or_else(|| {
        let supervisor = View::of(name).ok()?.record?.supervisor?;
        wait::end_of(supervisor).ok()
    })
}
