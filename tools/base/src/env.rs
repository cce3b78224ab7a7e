//! The environment as bytes: values of this process, and the list that a child is given.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// The value of a variable of this process.
pub fn get(name: &str) -> Option<Vec<u8>> {
    std::env::var_os(name).map(OsString::into_vec)
}

/// The environment of a child: that of this process, in its order, with changes.
#[derive(Clone, Debug)]
pub struct Env {
    /// `NAME=VALUE` each; inherited entries may be anything.
    entries: Vec<Vec<u8>>,
}

impl Env {
    /// What this process was started with, entries without `=` and duplicates included.
    pub fn inherited() -> Self {
        Env { entries: crate::sys::start::environment() }
    }

    /// Nothing at all.
    pub fn empty() -> Self {
        Env { entries: Vec::new() }
    }

    /// The value of the first entry of this name.
    pub fn get(&self, name: impl AsRef<OsStr>) -> Option<&[u8]> {
        let name = name.as_ref().as_bytes();
        self.entries.iter().find_map(|entry| entry.strip_prefix(name)?.strip_prefix(b"="))
    }

    /// The names of all entries, those without `=` left out.
    pub fn names(&self) -> impl Iterator<Item = &OsStr> {
        self.entries.iter().filter_map(|entry| {
            let end = entry.iter().position(|byte| *byte == b'=')?;
            Some(OsStr::from_bytes(&entry[..end]))
        })
    }

    /// Sets a variable: replaces its first entry and removes further ones, or appends. A NUL ends
    /// the value, as it would for the child.
    pub fn set(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Self {
        let name = name.as_ref().as_bytes();
        let mut entry = [name, b"=", value.as_ref().as_bytes()].concat();
        entry.truncate(memchr::memchr(0, &entry).unwrap_or(entry.len()));
        match self.entries.iter().position(|old| is_of(old, name)) {
            None => self.entries.push(entry),
            Some(at) => {
                let tail = self.entries.split_off(at + 1);
                self.entries[at] = entry;
                self.entries.extend(tail.into_iter().filter(|old| !is_of(old, name)));
            }
        }
        self
    }

    /// Removes every entry of this name.
    pub fn unset(&mut self, name: impl AsRef<OsStr>) -> &mut Self {
        let name = name.as_ref().as_bytes();
        self.entries.retain(|entry| !is_of(entry, name));
        self
    }

    /// Sets the variable, or removes it if there is no value.
    pub fn put(&mut self, name: impl AsRef<OsStr>, value: Option<impl AsRef<OsStr>>) -> &mut Self {
        match value {
            Some(value) => self.set(name, value),
            None => self.unset(name),
        }
    }

    /// All entries, in order.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &[u8]> {
        self.entries.iter().map(Vec::as_slice)
    }
}

/// Whether `entry` is `NAME=...`.
fn is_of(entry: &[u8], name: &[u8]) -> bool {
    entry.strip_prefix(name).is_some_and(|rest| rest.starts_with(b"="))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_variable_takes_the_place_of_its_first_entry() {
        let list = [b"A=1".to_vec(), b"odd".to_vec(), b"B=2".to_vec(), b"A=3".to_vec()];
        let mut env = Env { entries: list.to_vec() };
        env.set("A", "4").unset("C").set("AB", "x\0y");
        assert_eq!(env.entries, [&b"A=4"[..], b"odd", b"B=2", b"AB=x"]);
        assert_eq!(env.get("AB"), Some(&b"x"[..]));
        assert_eq!(env.names().collect::<Vec<_>>(), ["A", "B", "AB"]);
        env.put("A", None::<&str>);
        assert_eq!(env.get("A"), None);
    }
}
