//! qmail-start: turn on mail delivery.
//!
//! ```text
//!                 1 2  qmail-lspawn  root
//! qmail-send ---- 3 4  qmail-rspawn  qmailr
//! qmails          5 6  qmail-clean   qmailq
//!                 0    logger        qmaill
//! ```
//! The numbers are qmail-send's descriptors: it writes to the first of a pair and reads the second.
#![cfg_attr(not(test), no_main)]

use base::sys::exec::exec;
use base::sys::ids::{self, User};
use base::sys::spawn::Spawn;
use base::sys::{fd, umask};
use base::{Args, Code, Die, Result, Unable};
use queue::home;
use queue::users::{Role, Users};
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd, RawFd};

base::program!("qmail-start", run);

/// Where mail goes for users who do not say it.
const DEFAULT_DELIVERY: &str = "./Mailbox";

/// What qmail-send uses besides its log, and what the others do not get.
const KEPT_FREE: [RawFd; 5] = [2, 3, 4, 5, 6];

fn run(words: Args) -> Result<Code> {
    let nobody = |name| Die::later(format_args!("unable to find user {name}"));
    let users = Users::of(&home::folder()).map_err(nobody)?;
    if !users.is_alone() && ids::effective_uid() != 0 {
        return Err(Die::later("only root can start the mail of seven users"));
    }
    let members = Members::of(&users)?;
    std::env::set_current_dir("/").unable("switch to /")?;
    umask::set(0o077);
    fd::fill_standard().unable("open /dev/null")?;
    // From here on there is no stderr: failures are silent, as their exit code is all.
    let silent = |_| Die::silent(Code::TEMP.0);
    // The pipes get numbers above these, which are qmail-send's in the end.
    KEPT_FREE.into_iter().try_for_each(|n| fd::copy_to(fd::STDIN, n)).map_err(silent)?;
    let (default, logger) = match &words[..] {
        [] => (DEFAULT_DELIVERY.into(), &[][..]),
        [default, logger @ ..] => (default.clone(), logger),
    };
    start_all(&members, default, logger).map_err(silent)?;
    if let Some(send) = &members.send {
        ids::become_user(send).map_err(silent)?;
    }
    match exec(&["qmail-send".into()]).map_err(silent)? {}
}

/// Whom the children become; nobody else when one ordinary user runs all.
struct Members {
    log: Option<User>,
    local: Option<User>,
    remote: Option<User>,
    clean: Option<User>,
    send: Option<User>,
}

impl Members {
    fn of(users: &Users) -> Result<Self> {
        if users.is_alone() {
            return Ok(Members { log: None, local: None, remote: None, clean: None, send: None });
        }
        let user = |role| Some(users.get(role).clone());
        let mut remote = users.get(Role::Remote).clone();
        let name = Role::Remote.name().as_bytes();
        remote.groups = ids::groups_of(name, remote.gid).unable("read /etc/group")?;
        Ok(Members {
            log: user(Role::Log),
            local: Some(User::new(0, users.get(Role::Queue).gid)),
            remote: Some(remote),
            clean: user(Role::Queue),
            send: user(Role::Send),
        })
    }
}

/// Starts everybody but qmail-send, and gives this process its descriptors.
fn start_all(members: &Members, default: OsString, logger: &[OsString]) -> io::Result<()> {
    if !logger.is_empty() {
        let (read, write) = fd::pipe()?;
        start(&members.log, Spawn::new(logger).fd(0, read.as_fd()))?;
        fd::copy_to(write.as_fd(), 1)?;
    }
    let local = ["qmail-lspawn".into(), default];
    let (to_local, from_local) = start_helper(&members.local, &local)?;
    let (to_remote, from_remote) = start_helper(&members.remote, &["qmail-rspawn".into()])?;
    let (to_clean, from_clean) = start_helper(&members.clean, &["qmail-clean".into()])?;
    fd::copy_to(fd::STDOUT, 0)?;
    let all = [to_local, from_local, to_remote, from_remote, to_clean, from_clean];
    (1..).zip(&all).try_for_each(|(number, end)| fd::copy_to(end.as_fd(), number))
}

/// Starts a program between two pipes; gives our ends, the one to write to first.
fn start_helper(user: &Option<User>, words: &[OsString]) -> io::Result<(OwnedFd, OwnedFd)> {
    let (orders, to) = fd::pipe()?;
    let (from, answers) = fd::pipe()?;
    start(user, Spawn::new(words).fd(0, orders.as_fd()).fd(1, answers.as_fd()))?;
    Ok((to, from))
}

/// Starts a child without descriptors 2 to 6. If it cannot run, qmail-send sees an end of file.
fn start(user: &Option<User>, child: Spawn) -> io::Result<()> {
    let child = KEPT_FREE.into_iter().fold(child, Spawn::close);
    let child = match user {
        Some(user) => child.user(user.clone()),
        None => child,
    };
    child.start().map(drop)
}
