//! Folders that are held open: names are looked up in this folder and in no other, whatever
//! happens to its path meanwhile, and links are not followed out of it.

use super::{check, retry};
use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// An open folder. Names given to its functions are single names, without a slash.
pub struct Folder(File);

impl Folder {
    /// Opens a folder by its path, following links.
    pub fn open(path: &Path) -> io::Result<Self> {
        open_at(libc::AT_FDCWD, path.as_os_str(), libc::O_DIRECTORY, 0).map(Folder::of)
    }

    /// Opens a folder in this one. A link fails (ENOTDIR or ELOOP).
    pub fn folder(&self, name: impl AsRef<OsStr>) -> io::Result<Self> {
        let how = libc::O_DIRECTORY | libc::O_NOFOLLOW;
        open_at(self.0.as_raw_fd(), name.as_ref(), how, 0).map(Folder::of)
    }

    fn of(fd: OwnedFd) -> Self {
        Folder(fd.into())
    }

    /// What it is, under whatever path: its device, and its number there.
    pub fn identity(&self) -> io::Result<(u64, u64)> {
        let about = self.0.metadata()?;
        Ok((about.dev(), about.ino()))
    }

    /// Opens a file for reading. A link fails (ELOOP).
    pub fn file(&self, name: impl AsRef<OsStr>) -> io::Result<File> {
        let how = libc::O_RDONLY | libc::O_NOFOLLOW;
        open_at(self.0.as_raw_fd(), name.as_ref(), how, 0).map(File::from)
    }

    /// Creates a file for writing. Whatever has the name already, a dangling link too, makes it
    /// fail (EEXIST).
    pub fn create(&self, name: impl AsRef<OsStr>, mode: u32) -> io::Result<File> {
        let how = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW;
        open_at(self.0.as_raw_fd(), name.as_ref(), how, mode).map(File::from)
    }

    /// Gives a file of this folder a second name in another one. Never replaces anything.
    pub fn link(
        &self,
        name: impl AsRef<OsStr>,
        to: &Folder,
        new: impl AsRef<OsStr>,
    ) -> io::Result<()> {
        let (name, new) = (string(name.as_ref())?, string(new.as_ref())?);
        let (from, to) = (self.0.as_raw_fd(), to.0.as_raw_fd());
        // SAFETY: NUL-ended strings that live until the call returns.
        check(unsafe { libc::linkat(from, name.as_ptr(), to, new.as_ptr(), 0) }).map(drop)
    }

    /// Removes a name that is no folder's.
    pub fn unlink(&self, name: impl AsRef<OsStr>) -> io::Result<()> {
        let name = string(name.as_ref())?;
        // SAFETY: a NUL-ended string that lives until the call returns.
        check(unsafe { libc::unlinkat(self.0.as_raw_fd(), name.as_ptr(), 0) }).map(drop)
    }

    /// Puts the names in it on disk.
    pub fn sync(&self) -> io::Result<()> {
        // SAFETY: no memory is involved.
        match retry(|| unsafe { libc::fsync(self.0.as_raw_fd()) }) {
            // Some file systems cannot sync folders, and need not.
            Err(why) if why.raw_os_error() == Some(libc::EINVAL) => Ok(()),
            other => other.map(drop),
        }
    }
}

/// Makes a folder the root of all paths of this process, for good, and its current folder. Only
/// for root.
pub fn become_root(path: &Path) -> io::Result<()> {
    let path = string(path.as_os_str())?;
    // SAFETY: NUL-ended strings that live until the calls return.
    unsafe {
        check(libc::chroot(path.as_ptr()))?;
        check(libc::chdir(c"/".as_ptr())).map(drop)
    }
}

fn open_at(folder: RawFd, name: &OsStr, how: libc::c_int, mode: u32) -> io::Result<OwnedFd> {
    let name = string(name)?;
    let how = how | libc::O_CLOEXEC;
    // SAFETY: a NUL-ended string that lives until the call returns.
    let fd = retry(|| unsafe { libc::openat(folder, name.as_ptr(), how, mode) })?;
    // SAFETY: fresh from openat and owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn string(name: &OsStr) -> io::Result<CString> {
    CString::new(name.as_bytes()).map_err(|_| io::ErrorKind::InvalidInput.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_are_not_followed_and_nothing_is_replaced() {
        let path = std::env::temp_dir().join(format!("folder-{}", std::process::id()));
        fs::create_dir_all(path.join("real")).unwrap();
        symlink("real", path.join("link")).unwrap();
        symlink("nowhere", path.join("real/dangling")).unwrap();
        let folder = Folder::open(&path).unwrap();
        assert!(folder.folder("link").is_err());
        let real = folder.folder("real").unwrap();
        assert!(real.create("dangling", 0o600).is_err());
        drop(real.create("a", 0o600).unwrap());
        real.link("a", &folder, "b").unwrap();
        assert!(real.link("a", &folder, "b").is_err());
        real.unlink("a").unwrap();
        real.sync().unwrap();
        assert!(path.join("b").exists() && !path.join("real/a").exists());
        fs::remove_dir_all(&path).unwrap();
    }
}
