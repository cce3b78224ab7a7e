//! Where the installation is: `/var/qmail`, or what it was built for, or `$QMAILHOME`.

use crate::users::Role;
use base::env;
use base::sys::ids;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// The home that this build is for.
pub const BUILT_IN: &str = match option_env!("QMAILHOME") {
    Some(home) => home,
    None => "/var/qmail",
};

/// The variable that moves the home at run time.
pub const VARIABLE: &str = "QMAILHOME";

/// The home folder, for every program but qmail-queue. The variable counts if it is an absolute
/// path: programs run in several folders, and all have to mean the same one.
pub fn folder() -> PathBuf {
    let named = env::get(VARIABLE).filter(|home| home.starts_with(b"/"));
    named.map_or_else(|| BUILT_IN.into(), |home| OsString::from_vec(home).into())
}

/// Makes the home the current folder, for qmail-queue, whose caller has this role. When it is
/// setuid, a stranger's variable must not lead it into a tree of his own: then the folder has to
/// be root's, writable by nobody else, with a `queue` that belongs to our effective user;
/// otherwise the built-in home counts.
pub fn enter_trusted(caller: Option<Role>) -> io::Result<()> {
    let wanted = folder();
    let setuid = ids::real_uid() != ids::effective_uid();
    if !setuid || ids::real_uid() == 0 || caller.is_some() {
        return std::env::set_current_dir(wanted);
    }
    // Looked at from inside: a path with links in it could lead elsewhere a moment later.
    if wanted != *BUILT_IN && std::env::set_current_dir(wanted).is_ok() && is_safe() {
        return Ok(());
    }
    std::env::set_current_dir(BUILT_IN)
}

/// Whether the current folder is a home that a stranger may name.
fn is_safe() -> bool {
    let (Ok(home), Ok(queue)) = (fs::metadata("."), fs::symlink_metadata("queue")) else {
        return false;
    };
    home.uid() == 0
        && home.mode() & 0o022 == 0
        && queue.is_dir()
        && queue.uid() == ids::effective_uid()
}
