//! Landlock: what of the file system this process and its children may reach from now on.
//! linux/landlock.h; Documentation/userspace-api/landlock.rst.

use super::check;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// A right to do something with a file, or beneath a folder. A set of them is their sum.
pub type Rights = u64;

/// Run a file.
pub const EXECUTE: Rights = 1;
/// Read files.
pub const READ: Rights = 1 << 2;
/// Write to files and cut them.
pub const WRITE: Rights = 1 << 1 | 1 << 14;
/// List folders.
pub const LIST: Rights = 1 << 3;
/// Make, rename, link and remove files, folders, FIFOs, sockets and symbolic links.
pub const CHANGE: Rights = 1 << 4 | 1 << 5 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 12 | 1 << 13;
/// Control devices by ioctl(2).
pub const CONTROL: Rights = 1 << 15;
/// Everything that can be allowed or not: also making devices.
pub const ALL: Rights = (1 << 16) - 1;

/// The rights that have a meaning for what is no folder.
const OF_FILES: Rights = EXECUTE | READ | WRITE | CONTROL;

/// How many rights each version of the interface knows, from the first.
const KNOWN: [u32; 5] = [13, 14, 15, 15, 16];

/// landlock_create_ruleset: say the version.
const VERSION: libc::c_ulong = 1;
/// landlock_add_rule: for what is beneath a file or folder.
const PATH_BENEATH: libc::c_int = 1;

/// struct landlock_path_beneath_attr, which is packed.
#[repr(C, packed)]
struct PathBeneath {
    allowed: u64,
    parent: i32,
}

/// What is allowed, before it is put in force.
pub struct Ruleset {
    fd: OwnedFd,
    /// What is forbidden unless a rule allows it.
    handled: Rights,
}

impl Ruleset {
    /// Forbids these rights, as far as the kernel knows them, to all but what follows. Fails if
    /// the kernel has no Landlock.
    pub fn new(forbidden: Rights) -> io::Result<Self> {
        let none = std::ptr::null::<u64>();
        // SAFETY: asks for the version, which takes no structure.
        let version =
            unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, none, 0_usize, VERSION) };
        let version = usize::try_from(version).map_err(|_| io::Error::last_os_error())?;
        let last = KNOWN.len() - 1;
        let known = version.checked_sub(1).map_or(0, |index| KNOWN[index.min(last)]);
        let handled = forbidden & ((1 << known) - 1);
        // SAFETY: the first field of the structure, and its size: older ones were no longer.
        let fd = unsafe {
            libc::syscall(libc::SYS_landlock_create_ruleset, &handled, size_of::<u64>(), 0)
        };
        let fd = super::fd::take(check(fd.try_into().unwrap_or(-1))?)?;
        Ok(Ruleset { fd, handled })
    }

    /// Allows these rights for this file, or beneath this folder.
    pub fn allow(&self, rights: Rights, place: BorrowedFd, folder: bool) -> io::Result<()> {
        let allowed = rights & self.handled & if folder { ALL } else { OF_FILES };
        if allowed == 0 {
            return Ok(());
        }
        let rule = PathBeneath { allowed, parent: place.as_raw_fd() };
        let fd = self.fd.as_fd().as_raw_fd();
        // SAFETY: a whole structure of the kind named, with a descriptor that is open.
        let done =
            unsafe { libc::syscall(libc::SYS_landlock_add_rule, fd, PATH_BENEATH, &rule, 0) };
        check(done.try_into().unwrap_or(-1)).map(drop)
    }

    /// Puts it in force for this process and all that it becomes and starts, for good.
    pub fn enforce(self) -> io::Result<()> {
        let fd = self.fd.as_raw_fd();
        // SAFETY: no memory is involved.
        let done = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, fd, 0) };
        check(done.try_into().unwrap_or(-1)).map(drop)
    }
}
