//! Where the installation is: `/var/qmail`, or what it was built for, or `$QMAILHOME`.

use crate::users::Users;
use base::env;
use base::sys::ids;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The home that this build is for.
pub const BUILT_IN: &str = match option_env!("QMAILHOME") {
    Some(home) => home,
    None => "/var/qmail",
};

/// The variable that moves the home at run time.
pub const VARIABLE: &str = "QMAILHOME";

/// The home folder, for every program but qmail-queue.
pub fn folder() -> PathBuf {
    match env::get(VARIABLE) {
        Some(home) if !home.is_empty() => OsString::from_vec(home).into(),
        _ => BUILT_IN.into(),
    }
}

/// The home folder for qmail-queue. When it is setuid, a stranger's variable must not lead it
/// into a tree of his own: then the folder has to be root's, writable by nobody else, with a
/// `queue` that belongs to our effective user; otherwise the built-in home counts.
pub fn trusted_folder() -> PathBuf {
    let wanted = folder();
    let setuid = ids::real_uid() != ids::effective_uid();
    if !setuid || ids::real_uid() == 0 || caller_is_ours() || is_safe(&wanted) {
        wanted
    } else {
        BUILT_IN.into()
    }
}

/// Whether the real user is one of the seven.
fn caller_is_ours() -> bool {
    Users::of_system().is_some_and(|users| users.role_of(ids::real_uid()).is_some())
}

fn is_safe(home: &Path) -> bool {
    let (Ok(home_is), Ok(queue_is)) =
        (fs::symlink_metadata(home), fs::metadata(home.join("queue")))
    else {
        return false;
    };
    home.is_absolute()
        && home_is.is_dir()
        && home_is.uid() == 0
        && home_is.mode() & 0o022 == 0
        && queue_is.uid() == ids::effective_uid()
}
