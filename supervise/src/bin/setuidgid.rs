//! setuidgid: run a program as another user.
#![cfg_attr(not(test), no_main)]

use base::accounts;
use base::opt::Opts;
use base::sys::exec::exec;
use base::sys::ids::{self, User};
use base::{Args, Code, Die, Result, Unable, number};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

base::program!("setuidgid", run);

const USAGE: &str = "setuidgid account child";

fn run(words: Args) -> Result<Code> {
    let mut opts = Opts::new(words, "s", USAGE);
    let mut all_groups = false;
    while opts.next()?.is_some() {
        all_groups = true;
    }
    let bad_usage = opts.bad_usage();
    let words = opts.rest();
    let [account, child @ ..] = &words[..] else {
        return Err(bad_usage);
    };
    let [name, ..] = child else {
        return Err(bad_usage);
    };
    let user = match account.as_bytes() {
        [b':', ids @ ..] => numbered(ids).ok_or_else(|| unknown("account", account.as_bytes()))?,
        word => named(word, all_groups)?,
    };
    ids::set_groups(&user.groups).and_then(|()| ids::set_gid(user.gid)).unable("setgid")?;
    ids::become_uid(user.uid).unable("setuid")?;
    match exec(child).unable(format_args!("run {}", name.display()))? {}
}

/// `uid:gid[:gid...]`, the form for users that no name service knows.
fn numbered(word: &[u8]) -> Option<User> {
    let id = |text: &[u8]| u32::try_from(number::decimal(text)?).ok();
    let ids = word.split(|byte| *byte == b':').map(id).collect::<Option<Vec<u32>>>()?;
    match &ids[..] {
        [uid, groups @ ..] => {
            Some(User { uid: *uid, gid: *groups.first()?, groups: groups.to_vec() })
        }
        [] => None,
    }
}

/// `account`, with its own group or all of its groups, or `account:group[:group...]`.
fn named(word: &[u8], all_groups: bool) -> Result<User> {
    let mut parts = word.split(|byte| *byte == b':');
    let name = parts.next().unwrap_or_default();
    let shown = OsStr::from_bytes(name).display();
    let account = accounts::account(name).unable(format_args!("look up account {shown}"))?;
    let account = account.ok_or_else(|| unknown("account", name))?;
    let mut groups = parts.map(group).collect::<Result<Vec<u32>>>()?;
    if groups.is_empty() && all_groups {
        groups = accounts::groups(&account).unable(format_args!("list groups of {shown}"))?;
    } else if groups.is_empty() {
        groups.push(account.gid);
    }
    let gid = groups.first().copied().unwrap_or(account.gid);
    Ok(User { uid: account.uid, gid, groups })
}

fn group(name: &[u8]) -> Result<u32> {
    let shown = OsStr::from_bytes(name).display();
    let gid = accounts::group(name).unable(format_args!("look up group {shown}"))?;
    gid.ok_or_else(|| unknown("group", name))
}

fn unknown(what: &str, name: &[u8]) -> Die {
    Die::later(format_args!("unknown {what} {}", OsStr::from_bytes(name).display()))
}
