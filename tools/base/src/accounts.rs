//! Accounts and groups for programs that start often and must be small: what /etc/passwd and
//! /etc/group name is read there; getent(1) is asked for what they do not name, so that LDAP and
//! the other services of nsswitch.conf(5) work from static programs too.

use crate::sys::ids::{self, Account, parse_account, parse_group};
use crate::sys::spawn::Spawn;
use crate::sys::{fd, wait};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;

/// Asks the services that /etc/nsswitch.conf names. By its path: PATH may be a stranger's.
const GETENT: &str = "/usr/bin/getent";

/// getent found no such entry (or there is no getent, and so nobody else to ask).
const NOT_FOUND: u8 = 2;

/// More than this is no entry of an account; a group may have thousands of members.
const LONGEST: u64 = 1 << 20;

/// The account of this name.
pub fn account(name: &[u8]) -> io::Result<Option<Account>> {
    match or_no_file(ids::account(name))? {
        // getent takes a number for a number, and its answer bears another name
        None => Ok(asked("passwd", name, parse_account)?.filter(|account| account.name == name)),
        found => Ok(found),
    }
}

/// The number of the group of this name.
pub fn group(name: &[u8]) -> io::Result<Option<u32>> {
    match or_no_file(ids::group(name))? {
        None => asked("group", name, |line| parse_group(line, name)),
        found => Ok(found),
    }
}

/// All groups of an account, its own first. Any service may make it a member of more than
/// /etc/group knows, so getent is asked for each.
pub fn groups(account: &Account) -> io::Result<Vec<u32>> {
    let mut groups = ids::groups_of(&account.name, account.gid)?;
    let more = asked("initgroups", &account.name, |line| Some(member_of(line)))?;
    for gid in more.unwrap_or_default() {
        if !groups.contains(&gid) {
            groups.push(gid);
        }
    }
    Ok(groups)
}

fn or_no_file<T>(found: io::Result<Option<T>>) -> io::Result<Option<T>> {
    match found {
        Err(why) if why.kind() == ErrorKind::NotFound => Ok(None),
        found => found,
    }
}

/// What getent says of a name, if `parse` can read it.
fn asked<T>(
    database: &str,
    name: &[u8],
    parse: impl Fn(&[u8]) -> Option<T>,
) -> io::Result<Option<T>> {
    // no name has these, and getent lists all for none
    if name.is_empty() || name.contains(&b':') {
        return Ok(None);
    }
    let (reader, writer) = fd::pipe()?;
    let words = [GETENT.as_ref(), database.as_ref(), "--".as_ref(), OsStr::from_bytes(name)];
    let words = words.map(OsStr::to_owned);
    let getent = Spawn::new(&words).fd(1, writer.as_fd()).failure_codes(111, NOT_FOUND);
    let pid = getent.start()?;
    drop(writer);
    let mut text = Vec::new();
    File::from(reader).take(LONGEST).read_to_end(&mut text)?;
    match wait::child(pid) {
        Ok(status) if status.code() == Some(NOT_FOUND) => return Ok(None),
        // somebody ignores children for us: what was said must do
        Ok(status) if status.code() == Some(0) => {}
        Err(_) => {}
        Ok(_) => return Err(io::Error::from_raw_os_error(libc::EIO)),
    }
    Ok(text.split(|byte| *byte == b'\n').find_map(parse))
}

/// The numbers behind the name in a line of `getent initgroups`.
fn member_of(line: &[u8]) -> Vec<u32> {
    let words = line.split(|byte| *byte == b' ').skip(1);
    words.filter_map(|word| crate::number::decimal(word)?.try_into().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_known_and_strangers_are_not() {
        let root = account(b"root").unwrap().unwrap();
        assert_eq!((&root.name[..], root.uid, root.gid), (&b"root"[..], 0, 0));
        assert_eq!(group(b"root").unwrap(), Some(0));
        assert_eq!(groups(&root).unwrap().first(), Some(&0));
        assert_eq!(account(b"no such account").unwrap(), None);
        assert_eq!(account(b"").unwrap(), None);
        assert_eq!(group(b"no such group").unwrap(), None);
    }

    #[test]
    fn a_number_is_no_name() {
        assert_eq!(account(b"0").unwrap(), None);
        assert_eq!(group(b"0").unwrap(), None);
    }

    #[test]
    fn getent_says_the_same_as_the_files() {
        assert_eq!(asked("passwd", b"root", parse_account).unwrap(), account(b"root").unwrap());
        assert_eq!(asked("group", b"sys", |line| parse_group(line, b"sys")).unwrap(), Some(3));
        assert_eq!(member_of(b"joe                  1001 27 4"), [1001, 27, 4]);
        assert_eq!(member_of(b""), [0; 0]);
    }
}
