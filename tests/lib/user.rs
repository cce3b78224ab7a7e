//! Who runs the tests, and as whom a program is run.

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::thread;

/// The tests run as root.
pub fn root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Lets a command run under these ids, without supplementary groups. Only for root.
pub fn as_user(uid: u32, gid: u32, command: &mut Command) -> &mut Command {
    command.gid(gid).uid(uid)
}

/// Says why a test is skipped: `if !root() { return skip("needs root"); }`.
pub fn skip(reason: &str) {
    eprintln!("skipped: {}: {reason}", thread::current().name().unwrap_or("test"));
}
