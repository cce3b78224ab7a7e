//! The folder of a log: its files, and how they get their final names.

use crate::log_script::Settings;
use crate::patience::Patience;
use base::sys::{clock, fd};
use base::tai64::{self, LABEL};
use base::{Result, Unable, errno, files};
use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The mode of a file that is complete and safe on disk.
pub const COMPLETE: u32 = 0o744;
/// The mode of a file that is still written to.
pub const IN_PROGRESS: u32 = 0o644;

/// An open folder. Its files go by their bare names in the current folder of the process: so it
/// may be moved while it is open, and a processor starts inside it.
pub struct Folder {
    /// As on the command line.
    pub name: PathBuf,
    pub settings: Settings,
    pub patience: Patience,
    handle: File,
}

impl Folder {
    /// Opens a folder, or makes it with mode 700.
    pub fn open(name: PathBuf, settings: Settings, patience: Patience) -> Result<Self> {
        // That it cannot be made shows when it is opened. A new one has to outlive a power cut as
        // its files do, if we may read where it is.
        if DirBuilder::new().mode(0o700).create(&name).is_ok() {
            let _ = files::sync_folder(name.parent().unwrap_or(Path::new("/")));
        }
        let handle = File::open(&name).unable(format_args!("open directory {}", name.display()))?;
        Ok(Folder { name, settings, patience, handle })
    }

    /// Makes it the current folder of the process.
    pub fn enter(&self) -> io::Result<()> {
        Ok(nix::unistd::fchdir(&self.handle)?)
    }

    /// As [`Folder::enter`], until it succeeds.
    pub fn enter_at_last(&self) {
        self.insist(format_args!("switch to {}", self.name.display()), || self.enter());
    }

    /// As [`Patience::insist`], but on a full disk old files make room first, if that is wanted.
    pub fn insist<T>(&self, what: impl Display, mut step: impl FnMut() -> io::Result<T>) -> T {
        loop {
            match step() {
                Ok(value) => return value,
                Err(why) if is_full(&why) && self.make_room(&what, &why) => {}
                Err(why) => self.patience.pause(&what, &why),
            }
        }
    }

    /// As [`Patience::write_all`], in the manner of [`Folder::insist`].
    pub fn write_all(&self, what: impl Display, to: &File, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let count = self.insist(&what, || match fd::write(to.as_fd(), bytes)? {
                0 => Err(io::ErrorKind::WriteZero.into()),
                count => Ok(count),
            });
            bytes = &bytes[count..];
        }
    }

    /// Removes the oldest old file, unless no more than the spared ones are left. `false`: nothing
    /// has been removed. The current folder of the process changes.
    fn make_room(&self, what: impl Display, why: &io::Error) -> bool {
        let Some(spared) = self.settings.spared else { return false };
        let old = self.enter().and_then(|()| old_files()).unwrap_or_default();
        let Some(oldest) = old.first().filter(|_| old.len() as u64 > spared) else { return false };
        let (path, why) = (self.path(oldest), errno::words(why));
        (self.patience.complain)(&format!("unable to {what}, removing {path}: {why}"));
        fs::remove_file(oldest).is_ok()
    }

    /// The path of one of its files, for messages.
    pub fn path(&self, file: impl AsRef<OsStr>) -> String {
        format!("{}/{}", self.name.display(), file.as_ref().display())
    }

    /// Gives `file` its final name, which says `time` and ends in `code`, and puts the names on
    /// disk. A file with two names got its final one before a crash. No file is fine.
    pub fn finish(&self, file: &str, code: &OsStr, time: Duration) {
        let found = self.insist(format_args!("stat {}", self.path(file)), || links(file));
        match found {
            0 => return,
            1 => self.link(file, code, time),
            _ => {}
        }
        self.remove(file);
        self.prune();
        let shown = self.name.display();
        self.insist(format_args!("write {shown} to disk"), || self.handle.sync_all());
    }

    fn link(&self, file: &str, code: &OsStr, mut time: Duration) {
        loop {
            let name = [&tai64::label(time)[..], b".", code.as_bytes()].concat();
            let name = OsString::from_vec(name);
            match fs::hard_link(file, &name) {
                Ok(()) => return,
                Err(why) => {
                    self.patience.pause(format_args!("link to {}", self.path(&name)), &why);
                    time = clock::now();
                }
            }
        }
    }

    /// Removes a file that may be gone already.
    pub fn remove(&self, file: impl AsRef<OsStr>) {
        let file = file.as_ref();
        self.insist(format_args!("remove {}", self.path(file)), || match fs::remove_file(file) {
            Err(why) if why.kind() == ErrorKind::NotFound => Ok(()),
            other => other,
        });
    }

    /// Removes the oldest old files, so that one less than the wanted number is left, and no more
    /// bytes than are wanted; the latest one stays in any case.
    fn prune(&self) {
        let old = self.insist(format_args!("read {}", self.name.display()), old_files);
        let wanted = usize::try_from(self.settings.number).unwrap_or(usize::MAX) - 1;
        let surplus = old.len().saturating_sub(wanted).max(self.beyond_total(&old));
        for file in &old[..surplus] {
            self.remove(file);
        }
    }

    /// How many of the oldest files have to go for the sake of the bytes.
    fn beyond_total(&self, old: &[OsString]) -> usize {
        if self.settings.total == u64::MAX {
            return 0;
        }
        let length = |file: &OsString| fs::metadata(file).map_or(0, |found| found.len());
        let mut left = self.settings.total;
        let fits = |file: &&OsString| {
            let rest = left.checked_sub(length(file));
            left = rest.unwrap_or(0);
            rest.is_some()
        };
        let kept = old.iter().rev().take_while(fits).count().max(1);
        old.len().saturating_sub(kept)
    }
}

/// What the removal of files helps against.
fn is_full(why: &io::Error) -> bool {
    matches!(why.raw_os_error(), Some(libc::ENOSPC | libc::EDQUOT))
}

/// How many names a file has.
fn links(file: &str) -> io::Result<u64> {
    match fs::metadata(file) {
        Ok(found) => Ok(found.nlink()),
        Err(why) if why.kind() == ErrorKind::NotFound => Ok(0),
        Err(why) => Err(why),
    }
}

/// The oldest first.
fn old_files() -> io::Result<Vec<OsString>> {
    let names = files::entries(".")?.map(|entry| Ok(entry?.file_name()));
    let is_old = |name: &OsString| name.as_bytes().starts_with(b"@") && name.len() >= LABEL;
    let old: io::Result<Vec<_>> = names.filter(|name| name.as_ref().map_or(true, is_old)).collect();
    let mut old = old?;
    old.sort();
    Ok(old)
}

/// Opens `file` for appending, and creates it with mode 600: for a moment, see [`set_mode`].
pub fn append_to(file: &str) -> io::Result<File> {
    files::open_append(Path::new(file), true)
}

/// Sets the mode that tells what state a file is in.
pub fn set_mode(file: &File, mode: u32) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(mode))
}
