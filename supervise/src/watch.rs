//! Watching folders for changes, by inotify where that works.

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use nix::sys::statfs::{FsType, statfs};
use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

/// File systems on which others can make changes that this kernel does not see: NFS, SMB, CIFS,
/// SMB2, 9P, FUSE, AFS (two), Coda, Ceph.
const REMOTE: [FsType; 10] = [
    FsType(0x6969),
    FsType(0x517b),
    FsType(0xff53_4d42),
    FsType(0xfe53_4d42),
    FsType(0x0102_1997),
    FsType(0x6573_5546),
    FsType(0x5346_414f),
    FsType(0x6b41_4653),
    FsType(0x7375_7245),
    FsType(0x00c3_6400),
];

/// The folders that are watched.
pub struct Watch(Option<Inotify>);

/// A folder that is watched.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Mark(WatchDescriptor);

/// What has happened.
pub enum Change {
    /// Something in or of this folder.
    In(Mark),
    /// More than the kernel could remember.
    Anywhere,
}

impl Watch {
    /// Watches nothing yet. Where there is no inotify, it stays so.
    pub fn new() -> Watch {
        Watch(Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).ok())
    }

    /// Readable after a change.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.0.as_ref().map(|inotify| inotify.as_fd())
    }

    /// Watches the names in a folder. `None`: it cannot be watched, whoever wants to know has to
    /// look.
    pub fn names(&self, folder: &Path) -> Option<Mark> {
        use AddWatchFlags as Flags;
        self.add(folder, Flags::IN_CREATE | Flags::IN_DELETE | Flags::IN_MOVE)
    }

    /// Watches the names in a folder, the contents of its files and their modes.
    pub fn contents(&self, folder: &Path) -> Option<Mark> {
        use AddWatchFlags as Flags;
        let written = Flags::IN_MODIFY | Flags::IN_CLOSE_WRITE | Flags::IN_ATTRIB;
        self.add(folder, Flags::IN_CREATE | Flags::IN_MOVED_TO | written)
    }

    fn add(&self, folder: &Path, changes: AddWatchFlags) -> Option<Mark> {
        let inotify = self.0.as_ref()?;
        if REMOTE.contains(&statfs(folder).ok()?.filesystem_type()) {
            return None;
        }
        // Two may watch one folder, for different changes.
        let add = AddWatchFlags::from_bits_retain(libc::IN_MASK_ADD);
        let flags = changes | add | AddWatchFlags::IN_ONLYDIR;
        inotify.add_watch(folder, flags).ok().map(Mark)
    }

    /// Forgets a folder.
    pub fn forget(&self, mark: Mark) {
        if let Some(inotify) = &self.0 {
            // Fails if the folder is gone, and with it the mark.
            let _ = inotify.rm_watch(mark.0);
        }
    }

    /// The changes since the last call.
    pub fn take(&self) -> Vec<Change> {
        let mut changes = Vec::new();
        while let Some(events) = self.0.as_ref().and_then(|inotify| inotify.read_events().ok()) {
            changes.extend(events.iter().map(|event| {
                if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
                    Change::Anywhere
                } else {
                    Change::In(Mark(event.wd))
                }
            }));
        }
        changes
    }

    /// The names that have come up in folders since the last call; whoever uses this does not use
    /// [`Watch::take`]. Changes of contents are not told. If there were more than the kernel could
    /// remember, some are missing.
    pub fn take_names(&self) -> Vec<(Mark, OsString)> {
        let come = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO;
        let mut names = Vec::new();
        while let Some(events) = self.0.as_ref().and_then(|inotify| inotify.read_events().ok()) {
            let events = events.into_iter().filter(|event| event.mask.intersects(come));
            names.extend(events.filter_map(|event| Some((Mark(event.wd), event.name?))));
        }
        names
    }
}

impl Default for Watch {
    fn default() -> Self {
        Watch::new()
    }
}
