//! checkpassword: check a password, and run a program as the user whose it is.
#![cfg_attr(not(test), no_main)]

use base::accounts;
use base::env::Env;
use base::errno::is_temporary;
use base::sys::exec::exec_with;
use base::sys::ids::{self, Account, User};
use base::sys::memory::wipe;
use base::sys::{fd, nss, password};
use base::{Args, Code, Die, Result, Unable};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

base::program!("checkpassword", run);

/// The password is not that of the user, or there is no such user.
const REFUSED: u8 = 1;
/// It was used wrongly.
const MISUSED: u8 = 2;

/// The descriptor on which the name and the password come.
const DESCRIPTOR: i32 = 3;

/// Bytes that may come there.
const MOST: usize = 512;

fn run(child: Args) -> Result<Code> {
    if child.is_empty() {
        return Err(Die::usage("checkpassword program").with_code(MISUSED));
    }
    let mut given = [0; MOST + 1];
    let checked = check(&mut given);
    wipe(&mut given);
    let account = checked?;
    let home = OsString::from_vec(account.home.clone());
    become_user(&account)?;
    std::env::set_current_dir(&home).unable("change to the user's home")?;
    let mut env = Env::inherited();
    env.set("USER", OsStr::from_bytes(&account.name)).set("HOME", &home);
    env.set("SHELL", OsStr::from_bytes(&account.shell));
    let name = child[0].display().to_string();
    match exec_with(&child, &env).unable(format_args!("run {name}"))? {}
}

/// Reads a name and a password, and finds the account that they open.
fn check(given: &mut [u8]) -> Result<Account> {
    let from = fd::take(DESCRIPTOR).unable("read descriptor 3")?;
    let count = read_all(from.as_fd(), given).unable("read descriptor 3")?;
    drop(from);
    if count > MOST {
        return Err(Die::silent(REFUSED));
    }
    let mut words = given[..count].split_inclusive(|byte| *byte == 0);
    let mut word = || words.next()?.strip_suffix(b"\0");
    let (Some(name), Some(secret)) = (word(), word()) else {
        return Err(Die::silent(MISUSED));
    };
    let account = nss::account(name).unable("read the accounts")?;
    let hash = password::hash_of(name).unable("read the passwords")?;
    // First the work, which takes the same time for a name that nobody has.
    match (password::matches(secret, hash.as_deref()), account) {
        (true, Some(account)) => Ok(account),
        _ => Err(Die::silent(REFUSED)),
    }
}

/// Reads to the end, or until there is no room.
fn read_all(from: BorrowedFd, into: &mut [u8]) -> io::Result<usize> {
    let mut count = 0;
    while count < into.len() {
        match fd::read(from, &mut into[count..])? {
            0 => break,
            more => count += more,
        }
    }
    Ok(count)
}

fn become_user(account: &Account) -> Result<()> {
    let groups = accounts::groups(account).unable("read the groups")?;
    let became = ids::become_user(&User { uid: account.uid, gid: account.gid, groups });
    became.or_else(|why| match is_temporary(&why) {
        true => Err(why).unable("become the user"),
        false => Err(Die::silent(REFUSED)),
    })
}
