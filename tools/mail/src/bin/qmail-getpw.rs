//! qmail-getpw: give addresses to users.
#![cfg_attr(not(test), no_main)]

use base::errno::is_temporary;
use base::sys::ids::{self, Account};
use base::sys::{fd, nss};
use base::{Args, Code, Die, Result, Unable};
use mail::answers;
use mail::assign::{self, Assignment};
use queue::users::Role;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;

base::program!("qmail-getpw", run);

/// There was no word.
const USAGE: u8 = 100;
/// A home cannot be looked at just now.
const HOME: u8 = 115;
/// There is no user alias.
const NO_ALIAS: u8 = 116;
/// Users cannot be looked up just now.
const LOOK_UP: u8 = 118;

fn run(words: Args) -> Result<Code> {
    std::hint::black_box(answers::MARK);
    let [local, ..] = &words[..] else { return Err(Die::silent(USAGE)) };
    let found = find(local.as_bytes())?;
    fd::write_all(fd::STDOUT, &found.fields()).unable("write output")?;
    Ok(Code::DONE)
}

/// Whose this local part is. What is nobody's is alias's.
fn find(local: &[u8]) -> Result<Assignment> {
    for (name, ext) in assign::accounts(local) {
        if let Some(account) = account(&name)?
            && gets_mail(&account)?
        {
            return Ok(Assignment::of(account, ext));
        }
    }
    let alias = account(Role::Alias.name().as_bytes())?.ok_or(Die::silent(NO_ALIAS))?;
    Ok(Assignment::of(alias, Some(local)))
}

/// The account of this name. A database that cannot be opened is passed over by NSS, which then
/// says that there is no such account: a name that the file has after all is trouble.
fn account(name: &[u8]) -> Result<Option<Account>> {
    let trouble = |_| Die::silent(LOOK_UP);
    match nss::account(name).map_err(trouble)? {
        None if ids::account(name).map_err(trouble)?.is_some() => Err(Die::silent(LOOK_UP)),
        found => Ok(found),
    }
}

/// Only an account that owns its home does, and never root.
fn gets_mail(account: &Account) -> Result<bool> {
    if account.uid == 0 {
        return Ok(false);
    }
    match fs::metadata(OsStr::from_bytes(&account.home)) {
        Ok(home) => Ok(home.uid() == account.uid),
        Err(why) if is_temporary(&why) => Err(Die::silent(HOME)),
        Err(_) => Ok(false),
    }
}
