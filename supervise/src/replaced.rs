//! A file of which readers see the old or the new contents, whole.

use nix::fcntl::{AT_FDCWD, OFlag, RenameFlags, open, renameat2};
use nix::sys::stat::Mode;
use std::cell::Cell;
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The file.
pub struct Replaced {
    name: &'static str,
    path: CString,
    /// Where the new contents are written.
    new: CString,
    /// This process has made it.
    made: Cell<bool>,
}

impl Replaced {
    /// The file of this name in a folder.
    pub fn new(folder: &Path, name: &'static str) -> io::Result<Replaced> {
        let path = folder.join(name).into_os_string();
        let string = |bytes: Vec<u8>| CString::new(bytes).map_err(io::Error::from);
        let new = string([path.as_bytes(), b".new"].concat())?;
        let path = string(path.as_bytes().to_vec())?;
        Ok(Replaced { name, path, new, made: Cell::new(false) })
    }

    /// Replaces it. Nothing is synced: after a crash of the system no service runs. Nothing is
    /// allocated.
    ///
    /// After the first time, two files change places, so that the one which is written has its room
    /// on the disk already: a full disk is no obstacle, and the journal of the file system not waited
    /// for, as it is by ext4 when a new file takes the name of an old one.
    pub fn put(&self, bytes: &[u8]) -> Result<(), Failure> {
        let failed = |step| move |why| Failure { step, file: self.name, why };
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let opened = open(&*self.new, flags, Mode::from_bits_truncate(0o666));
        let mut opened = opened.map(File::from).map_err(|why| failed(Step::Open)(why.into()))?;
        opened.write_all(bytes).map_err(failed(Step::Write))?;
        opened.set_len(bytes.len() as u64).map_err(failed(Step::Write))?;
        let rename = |flags| renameat2(AT_FDCWD, &*self.new, AT_FDCWD, &*self.path, flags);
        if self.made.get() && rename(RenameFlags::RENAME_EXCHANGE).is_ok() {
            return Ok(());
        }
        // The first time, or on a file system that cannot do it.
        let renamed = nix::fcntl::renameat(AT_FDCWD, &*self.new, AT_FDCWD, &*self.path);
        renamed.map_err(|why| failed(Step::Rename)(why.into()))?;
        self.made.set(true);
        Ok(())
    }
}

/// Why a file could not be replaced.
pub struct Failure {
    /// What failed.
    pub step: Step,
    /// The file's name.
    pub file: &'static str,
    /// The reason.
    pub why: io::Error,
}

/// A step of replacing a file.
pub enum Step {
    /// Opening `NAME.new`.
    Open,
    /// Writing it.
    Write,
    /// Renaming it to `NAME`.
    Rename,
}
