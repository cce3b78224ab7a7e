//! Users and groups: who this process is, becoming somebody else, and the system's users as
//! /etc/passwd and /etc/group name them. No NSS, so that static programs can ask: `accounts` asks
//! the other services too, through getent; what asks for each delivery links dynamically and
//! uses `sys::nss`.

use super::check;
use std::io;

/// Where the system's own users are.
const PASSWD: &str = "/etc/passwd";
/// Where the system's own groups are.
const GROUP: &str = "/etc/group";

/// Somebody to become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// User number.
    pub uid: u32,
    /// Group number.
    pub gid: u32,
    /// All groups; for most programs just `gid`.
    pub groups: Vec<u32>,
}

impl User {
    /// With that one group alone.
    pub fn new(uid: u32, gid: u32) -> Self {
        User { uid, gid, groups: vec![gid] }
    }
}

/// An account of /etc/passwd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Login name.
    pub name: Vec<u8>,
    /// User number.
    pub uid: u32,
    /// Group number.
    pub gid: u32,
    /// Home folder.
    pub home: Vec<u8>,
    /// Login shell.
    pub shell: Vec<u8>,
}

/// The real user number of this process.
pub fn real_uid() -> u32 {
    // SAFETY: cannot fail.
    unsafe { libc::getuid() }
}

/// The effective user number of this process.
pub fn effective_uid() -> u32 {
    // SAFETY: cannot fail.
    unsafe { libc::geteuid() }
}

/// The effective group number of this process.
pub fn effective_gid() -> u32 {
    // SAFETY: cannot fail.
    unsafe { libc::getegid() }
}

/// Sets the groups of this process.
pub fn set_groups(groups: &[u32]) -> io::Result<()> {
    // SAFETY: the kernel reads groups.len() numbers.
    check(unsafe { libc::setgroups(groups.len(), groups.as_ptr()) }).map(drop)
}

/// Sets real, effective and saved group.
pub fn set_gid(gid: u32) -> io::Result<()> {
    // SAFETY: no memory is involved.
    check(unsafe { libc::setgid(gid) }).map(drop)
}

/// Sets real, effective and saved user.
pub fn set_uid(uid: u32) -> io::Result<()> {
    // SAFETY: no memory is involved.
    check(unsafe { libc::setuid(uid) }).map(drop)
}

/// Becomes this user for good: groups, gid, uid, in this order, then checks that root is out of
/// reach. Allocates nothing.
pub fn become_user(user: &User) -> io::Result<()> {
    set_groups(&user.groups)?;
    set_gid(user.gid)?;
    become_uid(user.uid)
}

/// Sets real, effective and saved user for good, then checks that root is out of reach.
pub fn become_uid(uid: u32) -> io::Result<()> {
    set_uid(uid)?;
    if uid != 0 && set_uid(0).is_ok() {
        return Err(io::Error::from_raw_os_error(libc::EPERM));
    }
    Ok(())
}

/// The accounts of /etc/passwd, in its order.
pub fn accounts() -> io::Result<Vec<Account>> {
    let text = std::fs::read(PASSWD)?;
    Ok(text.split(|byte| *byte == b'\n').filter_map(parse_account).collect())
}

/// The accounts of these names in /etc/passwd, in the order of `names`. The others are not even
/// taken apart: the file may be long.
pub fn accounts_named<const N: usize>(names: [&[u8]; N]) -> io::Result<[Option<Account>; N]> {
    let text = std::fs::read(PASSWD)?;
    let mut found = [const { None }; N];
    let mut rest = &text[..];
    while !rest.is_empty() {
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let line = &rest[..end];
        let name = &line[..memchr::memchr(b':', line).unwrap_or(0)];
        if let Some(at) = names.iter().position(|wanted| *wanted == name) {
            found[at] = found[at].take().or_else(|| parse_account(line));
        }
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    Ok(found)
}

/// The account of this name in /etc/passwd.
pub fn account(name: &[u8]) -> io::Result<Option<Account>> {
    accounts_named([name]).map(|[account]| account)
}

/// The account of this number in /etc/passwd; the first one if several share it.
pub fn account_of(uid: u32) -> io::Result<Option<Account>> {
    Ok(accounts()?.into_iter().find(|account| account.uid == uid))
}

/// The number of the group of this name in /etc/group.
pub fn group(name: &[u8]) -> io::Result<Option<u32>> {
    let text = std::fs::read(GROUP)?;
    Ok(text.split(|byte| *byte == b'\n').find_map(|line| parse_group(line, name)))
}

/// The groups of an account: `own`, and those of /etc/group that name it as a member.
pub fn groups_of(name: &[u8], own: u32) -> io::Result<Vec<u32>> {
    let text = std::fs::read(GROUP)?;
    let mut groups = vec![own];
    for line in text.split(|byte| *byte == b'\n') {
        let mut fields = line.split(|byte| *byte == b':');
        let (gid, members) = (fields.nth(2), fields.next().unwrap_or_default());
        if members.split(|byte| *byte == b',').any(|member| member == name)
            && let Some(gid) = gid.and_then(number)
            && !groups.contains(&gid)
        {
            groups.push(gid);
        }
    }
    Ok(groups)
}

/// `name:password:gid:members`, if it is the group of this name.
pub(crate) fn parse_group(line: &[u8], name: &[u8]) -> Option<u32> {
    let mut fields = line.split(|byte| *byte == b':');
    (fields.next()? == name).then(|| number(fields.nth(1)?))?
}

/// `name:password:uid:gid:gecos:home:shell`.
pub(crate) fn parse_account(line: &[u8]) -> Option<Account> {
    let mut fields = line.split(|byte| *byte == b':');
    let name = fields.next()?.to_vec();
    let uid = number(fields.nth(1)?)?;
    let gid = number(fields.next()?)?;
    let home = fields.nth(1)?.to_vec();
    let shell = fields.next().unwrap_or_default().to_vec();
    Some(Account { name, uid, gid, home, shell })
}

fn number(field: &[u8]) -> Option<u32> {
    crate::number::decimal(field)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_read_field_by_field() {
        let account = parse_account(b"alias:x:7790:2108:the alias:/var/qmail/alias:/bin/true");
        let expected = Account {
            name: b"alias".to_vec(),
            uid: 7790,
            gid: 2108,
            home: b"/var/qmail/alias".to_vec(),
            shell: b"/bin/true".to_vec(),
        };
        assert_eq!(account, Some(expected));
        assert_eq!(parse_account(b"+::::::"), None);
        assert_eq!(parse_account(b""), None);
    }

    #[test]
    fn root_is_everywhere() {
        assert_eq!(account(b"root").unwrap().map(|root| root.uid), Some(0));
        let [nobody, root] = accounts_named([b"no such account", b"root"]).unwrap();
        assert_eq!((nobody, root), (None, account(b"root").unwrap()));
        assert_eq!(group(b"root").unwrap(), Some(0));
        assert_eq!(group(b"no such group").unwrap(), None);
        assert_eq!(groups_of(b"no such account", 7).unwrap(), [7]);
    }
}
