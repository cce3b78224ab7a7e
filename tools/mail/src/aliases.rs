//! What the lines of `/etc/aliases` and of `:include:` lists come to in fastforward's formats.
//! newaliases(1), newinclude(1).

use crate::alias_line::{Address, Entry, Includes, entries};
use crate::default_hosts::DefaultHosts;
use crate::forwarding::{INSTRUCTIONS, LONGEST, OWNER, key};
use base::cdb::Record;
use std::fmt;

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is no line of addresses: the line.
    Unparsable(Vec<u8>),
    /// It asks for what fastforward does not do: `file` or `program`, and which.
    Delivery(&'static str, Vec<u8>),
    /// There is nothing between brackets or behind `:include:`.
    Empty(&'static str),
    /// A NUL or newline would end an item: the byte's name, and where it is.
    Byte(&'static str, &'static str),
    /// An address is longer than fits.
    Long,
}

const ADDRESSES: &str = "recipient addresses";
const FILES: &str = ":include: filenames";
const PROGRAMS: &str = "program names";

impl fmt::Display for Fault {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Fault::Unparsable(line) => {
                let line = String::from_utf8_lossy(line.trim_ascii_end()).replace('\n', " ");
                write!(to, "unable to parse this line: {line}")
            }
            Fault::Delivery(kind, what) => {
                write!(to, "{kind} delivery {} not supported", String::from_utf8_lossy(what))
            }
            Fault::Empty(what) => write!(to, "empty {what} not permitted"),
            Fault::Byte(byte, place) => write!(to, "{byte} not permitted in {place}"),
            Fault::Long => write!(to, "addresses over {LONGEST} bytes are not permitted"),
        }
    }
}

/// The records of a line of `/etc/aliases` with its continuation lines: its instructions, and
/// before them an owner's address if it defines one. No records if the line is blank.
pub fn records(line: &[u8], hosts: &DefaultHosts) -> Result<Vec<Record>, Fault> {
    let unparsable = || Fault::Unparsable(line.to_vec());
    let entries = entries(line, Includes::Known).ok_or_else(unparsable)?;
    if entries.is_empty() {
        return Ok(Vec::new());
    }
    let mut items = Vec::new();
    // The leftmost address is the target: each is one until another comes.
    let mut target: Option<Address> = None;
    for entry in entries {
        match entry {
            Entry::Include(file) => add(&mut items, &[&list_name(&file)?, b".bin"]),
            Entry::Address(address) => {
                if let Some(command) = command(&address) {
                    without_nul(command, PROGRAMS)?;
                    add(&mut items, &[b"!", command]);
                } else {
                    check(&address)?;
                    if let Some(recipient) = target.replace(address) {
                        add(&mut items, &[b"&", &hosts.complete(&recipient)]);
                    }
                }
            }
        }
    }
    let target = target.filter(|_| !items.is_empty()).ok_or_else(unparsable)?;
    let name = |text: &[u8]| [text, if target.has_host { b"" } else { b"@" }].concat();
    let instructions = Record { key: key(INSTRUCTIONS, &name(&target.text)), data: items };
    let list = target.text.strip_prefix(b"owner-");
    let owner = |list| Record { key: key(OWNER, &name(list)), data: hosts.complete(&target) };
    Ok(list.map(owner).into_iter().chain([instructions]).collect())
}

/// The items of a line of an `:include:` list.
pub fn items(line: &[u8], hosts: &DefaultHosts) -> Result<Vec<u8>, Fault> {
    let unparsable = || Fault::Unparsable(line.to_vec());
    let mut items = Vec::new();
    for entry in entries(line, Includes::Known).ok_or_else(unparsable)? {
        match entry {
            Entry::Include(file) if file.contains(&b'\n') => {
                return Err(Fault::Byte("newlines", FILES));
            }
            // Not `.bin`: newinclude never added it, and fastforward now finds it without.
            Entry::Include(file) => add(&mut items, &[&list_name(&file)?]),
            Entry::Address(address) => {
                if let Some(command) = command(&address) {
                    return Err(Fault::Delivery("program", [b"|", command].concat()));
                }
                if address.text.is_empty() {
                    continue;
                }
                if address.text.contains(&b'\n') {
                    return Err(Fault::Byte("newlines", ADDRESSES));
                }
                check(&address)?;
                add(&mut items, &[b"&", &hosts.complete(&address)]);
            }
        }
    }
    Ok(items)
}

/// Adds an item with its NUL.
fn add(items: &mut Vec<u8>, parts: &[&[u8]]) {
    items.extend(parts.concat());
    items.push(0);
}

/// The command of `"|command"`.
fn command(address: &Address) -> Option<&[u8]> {
    address.text.strip_prefix(b"|").filter(|_| !address.has_host)
}

/// Refuses what is no address to forward to.
fn check(address: &Address) -> Result<(), Fault> {
    if address.text.is_empty() {
        return Err(Fault::Empty(ADDRESSES));
    }
    without_nul(&address.text, ADDRESSES)?;
    if address.text.starts_with(b"/") && !address.has_host {
        return Err(Fault::Delivery("file", address.text.clone()));
    }
    if address.text.len() > LONGEST { Err(Fault::Long) } else { Ok(()) }
}

/// A file's name as an item: one that could be taken for an address gets `./` in front.
fn list_name(file: &[u8]) -> Result<Vec<u8>, Fault> {
    without_nul(file, FILES)?;
    match file.first() {
        None => Err(Fault::Empty(FILES)),
        Some(b'.' | b'/') => Ok(file.to_vec()),
        Some(_) => Ok([b"./", file].concat()),
    }
}

fn without_nul(text: &[u8], place: &'static str) -> Result<(), Fault> {
    if text.contains(&0) { Err(Fault::Byte("NUL", place)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::Control;
    use ::tests::Random;
    use std::path::Path;

    fn hosts() -> DefaultHosts {
        // No such folder: all three are `me`.
        DefaultHosts::of(&Control::of(Path::new("/nonexistent"))).unwrap()
    }

    #[test]
    fn an_owner_is_defined_beside_its_own_alias() {
        let records = records(b"owner-list@h: joe@a.example\n", &hosts()).unwrap();
        let shown: Vec<_> = records
            .iter()
            .map(|record| [&record.key[..], b" ", &record.data].concat().escape_ascii().to_string())
            .collect();
        assert_eq!(shown, ["?list@h owner-list@h.me", ":owner-list@h &joe@a.example\\x00"]);
    }

    #[test]
    fn the_leftmost_address_is_the_target() {
        let data = |line: &[u8]| records(line, &hosts()).map(|records| records[0].data.clone());
        let expected = b"!d\0./c.bin\0&a@h.me\0";
        assert_eq!(data(b"x: a@h, :include:c, \"|d\"").unwrap(), expected);
        assert_eq!(data(b"\"|d\" x :include:/c").unwrap(), b"/c.bin\0!d\0");
        for line in [&b"a"[..], b"a:", b"\"|a\"", b"a: (b"] {
            assert_eq!(data(line), Err(Fault::Unparsable(line.to_vec())));
        }
        assert_eq!(records(b" (nothing)\n", &hosts()), Ok(vec![]));
    }

    #[test]
    fn damaged_lines_make_items_that_can_be_read_or_none() {
        let mut random = Random::new(2);
        let line = b"owner-a@b: joe, \"|c d\" :include:e/f, g@h (x) <i@j>";
        for _ in 0..10_000 {
            let bad = random.damaged(line);
            let items = items(&bad, &hosts()).unwrap_or_default();
            let records = records(&bad, &hosts()).unwrap_or_default();
            let lists = records.iter().filter(|record| record.key.starts_with(b":"));
            for list in lists.map(|record| &record.data).chain([&items]) {
                let starts = list.split_inclusive(|byte| *byte == 0).map(|item| item[0]);
                assert!(list.last().is_none_or(|last| *last == 0));
                assert!(starts.into_iter().all(|start| b"&!/.".contains(&start)), "{list:?}");
            }
        }
    }
}
