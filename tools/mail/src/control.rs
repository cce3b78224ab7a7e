//! The files in `control/`: single lines, numbers, lists and maps. qmail-control(5).

use base::number;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// The control files of one installation.
pub struct Control {
    folder: PathBuf,
}

impl Control {
    /// Those below this home folder.
    pub fn of(home: &Path) -> Self {
        Control { folder: home.join("control") }
    }

    /// A list anywhere, as a set of names. `None` if there is no file.
    pub fn names_in(file: &Path) -> io::Result<Option<Names>> {
        Ok(read(file)?.map(|text| Names::of(&items_of(&text))))
    }

    /// A list anywhere, as a map. `None` if there is no file.
    pub fn map_in(file: &Path) -> io::Result<Option<Map>> {
        Ok(read(file)?.map(|text| Map::of(&items_of(&text))))
    }

    /// The first line, without trailing spaces, tabs and newline. `None` if there is no file.
    pub fn line(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let Some(text) = read(&self.path(name))? else { return Ok(None) };
        let first = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
        Ok(Some(trimmed(first).to_vec()))
    }

    /// As [`Control::line`], falling back to the line of `me`.
    pub fn line_or_me(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match self.line(name)? {
            Some(line) => Ok(Some(line)),
            None => self.line("me"),
        }
    }

    /// The number that the first line starts with; `None` without a file or without a digit.
    pub fn number(&self, name: &str) -> io::Result<Option<u64>> {
        Ok(self.line(name)?.and_then(|line| number::leading(&line)))
    }

    /// The items of a list, in order: one a line, comments (`#`) and empty lines left out.
    /// `None` if there is no file; an empty file is an empty list.
    pub fn items(&self, name: &str) -> io::Result<Option<Vec<Vec<u8>>>> {
        Ok(read(&self.path(name))?.map(|text| items_of(&text)))
    }

    /// The items of a list as a set of names.
    pub fn names(&self, name: &str) -> io::Result<Option<Names>> {
        Ok(self.items(name)?.map(|items| Names::of(&items)))
    }

    /// The `key:value` lines of a list; others are left out.
    pub fn map(&self, name: &str) -> io::Result<Option<Map>> {
        Ok(self.items(name)?.map(|items| Map::of(&items)))
    }

    /// Whether there is such a file, for those that are not read whole.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// A file's bytes; `None` if there is no file.
fn read(file: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(file) {
        Ok(text) => Ok(Some(text)),
        Err(why) if why.kind() == ErrorKind::NotFound => Ok(None),
        Err(why) => Err(why),
    }
}

/// The items in a list's text.
fn items_of(text: &[u8]) -> Vec<Vec<u8>> {
    let lines = text.split(|byte| *byte == b'\n').map(trimmed);
    lines.filter(|line| !matches!(line.first(), None | Some(b'#'))).map(<[u8]>::to_vec).collect()
}

/// Names that are found in any case (ASCII).
#[derive(Clone, Debug, Default)]
pub struct Names(HashSet<Vec<u8>>);

impl Names {
    /// From the items of a list.
    pub fn of(items: &[Vec<u8>]) -> Self {
        Names(items.iter().map(|item| item.to_ascii_lowercase()).collect())
    }

    /// Whether the name is there.
    pub fn has(&self, name: &[u8]) -> bool {
        self.0.contains(&name.to_ascii_lowercase())
    }
}

/// Values by key; keys are found in any case (ASCII), of two equal ones the last counts.
#[derive(Clone, Debug, Default)]
pub struct Map(HashMap<Vec<u8>, Vec<u8>>);

impl Map {
    /// From the items of a list, split at the first colon each.
    pub fn of(items: &[Vec<u8>]) -> Self {
        let pairs = items.iter().filter_map(|item| {
            let colon = memchr::memchr(b':', item)?;
            Some((item[..colon].to_ascii_lowercase(), item[colon + 1..].to_vec()))
        });
        Map(pairs.collect())
    }

    /// The value of a key.
    pub fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.0.get(&key.to_ascii_lowercase()).map(Vec::as_slice)
    }
}

/// A line without the spaces and tabs at its end.
pub(crate) fn trimmed(line: &[u8]) -> &[u8] {
    let end = line.iter().rposition(|byte| !matches!(byte, b' ' | b'\t')).map_or(0, |at| at + 1);
    &line[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_two_equal_keys_counts_and_case_does_not() {
        let items = [&b"A.example:x"[..], b"a.EXAMPLE:y:z", b"nothing"].map(<[u8]>::to_vec);
        let map = Map::of(&items);
        assert_eq!(map.get(b"a.example"), Some(&b"y:z"[..]));
        assert_eq!(map.get(b"nothing"), None);
        assert!(Names::of(&items).has(b"NOTHING"));
    }

    #[test]
    fn only_trailing_blanks_are_cut() {
        assert_eq!(trimmed(b" a b \t "), b" a b");
        assert_eq!(trimmed(b" \t"), b"");
        assert_eq!(trimmed(b"x\r"), b"x\r");
    }
}
