//! Forwarding tables, cdb files that say what becomes of an address, and mailing lists, files of
//! addresses: their format, which is older than these programs. setforward(1), setmaillist(1).
//!
//! ```text
//! :user@host  :@host  :user@      what to do: items, each with a NUL behind it
//! ?user@host  ?@host  ?user@      the owner's address
//! ```
//! A mailing list is items only.

use base::cdb::Reader;
use std::io;

pub mod list_text;
pub mod table_text;

/// Bytes of the longest address that goes into a table or list, a `&` before it included.
pub const LONGEST: usize = 800;

/// An item of this many bytes is no address when it is read.
const TOO_LONG: usize = 900;

/// What precedes the key of instructions.
pub const INSTRUCTIONS: u8 = b':';

/// What precedes the key of an owner.
pub const OWNER: u8 = b'?';

/// One item of a table or list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// `&ADDRESS`
    Address(&'a [u8]),
    /// `|COMMAND`
    Program(&'a [u8]),
    /// `!COMMAND`, which gets the message behind the three lines of preline.
    PrelineProgram(&'a [u8]),
    /// `/FILE` or `./FILE`, a mailing list.
    List(&'a [u8]),
    /// Nothing that fastforward obeys.
    Other,
}

impl<'a> Item<'a> {
    /// Reads an item, without its NUL.
    pub fn of(text: &'a [u8]) -> Self {
        match text {
            [b'&', address @ ..] if text.len() < TOO_LONG => Item::Address(address),
            [b'|', command @ ..] => Item::Program(command),
            [b'!', command @ ..] => Item::PrelineProgram(command),
            [b'.' | b'/', ..] => Item::List(text),
            _ => Item::Other,
        }
    }
}

/// The items of a record or list, without their NULs. Bytes behind the last NUL are no item: see
/// [`is_whole`].
pub fn items(text: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    let end = memchr::memrchr(0, text).unwrap_or(0);
    text[..end].split(|byte| *byte == 0).filter(move |_| end > 0 || text.starts_with(b"\0"))
}

/// Whether the last item has its NUL.
pub fn is_whole(text: &[u8]) -> bool {
    matches!(text.last(), None | Some(0))
}

/// A key: `kind`, then the target in lower case.
pub fn key(kind: u8, target: &[u8]) -> Vec<u8> {
    let mut key = vec![kind];
    key.extend(target.to_ascii_lowercase());
    key
}

/// What a table has for an address: for itself, else for all of its host, else for its user at
/// any host.
pub fn find(table: &Reader, kind: u8, address: &[u8]) -> io::Result<Option<Vec<u8>>> {
    if let Some(found) = table.find(&key(kind, address))? {
        return Ok(Some(found));
    }
    let Some(at) = memchr::memrchr(b'@', address) else { return Ok(None) };
    if let Some(found) = table.find(&key(kind, &address[at..]))? {
        return Ok(Some(found));
    }
    table.find(&key(kind, &address[..=at]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &[u8]) -> Vec<String> {
        items(text).map(|item| item.escape_ascii().to_string()).collect()
    }

    #[test]
    fn items_end_with_a_nul() {
        assert_eq!(shown(b""), [""; 0]);
        assert_eq!(shown(b"&a"), [""; 0]);
        assert_eq!(shown(b"&a\0"), ["&a"]);
        assert_eq!(shown(b"\0"), [""]);
        assert_eq!(shown(b"&a\0\0|b\0&c"), ["&a", "", "|b"]);
        assert!(is_whole(b"") && is_whole(b"a\0") && !is_whole(b"a"));
    }

    #[test]
    fn the_first_byte_tells_what_an_item_is() {
        let long = [&b"&"[..], &[b'x'; 898]].concat();
        assert_eq!(Item::of(&long), Item::Address(&[b'x'; 898]));
        assert_eq!(Item::of(&[&long[..], b"x"].concat()), Item::Other);
        assert_eq!(Item::of(b"!a b"), Item::PrelineProgram(b"a b"));
        assert_eq!(Item::of(b"./a"), Item::List(b"./a"));
        assert!([&b""[..], b"a@b", b"?a"].iter().all(|item| Item::of(item) == Item::Other));
    }
}
