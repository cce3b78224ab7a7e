//! Every file of a queue's messages, wherever it lies, and where it should: for whoever repairs a
//! queue that was copied or restored, so that files are not named after their inodes any more.

use base::files;
use queue::paths::Paths;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// Folders with a file for each message.
pub const FOLDERS: [&str; 7] = ["mess", "intd", "todo", "info", "local", "remote", "bounce"];

/// What a file's name says. A message that is being renamed from N to I, all of its files, is
/// called `I.from.N` meanwhile, which no other program takes for a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// The message.
    pub number: u64,
    /// What it was called before, while it is being renamed.
    pub from: Option<u64>,
}

impl Name {
    /// Reads a name; `None` if it is no message's.
    pub fn of(name: &str) -> Option<Self> {
        let (number, from) = match name.split_once(".from.") {
            None => (name, None),
            Some((number, from)) => (number, Some(plain(from)?)),
        };
        Some(Name { number: plain(number)?, from })
    }

    /// Its path.
    pub fn path(&self, folder: &str, paths: &Paths) -> PathBuf {
        let Name { number, from } = *self;
        let end = from.map_or(String::new(), |from| format!(".from.{from}"));
        match paths.is_split(folder) {
            true => format!("{folder}/{}/{number}{end}", number % paths.split).into(),
            false => format!("{folder}/{number}{end}").into(),
        }
    }
}

/// A number without leading zeros.
fn plain(name: &str) -> Option<u64> {
    let number = queue::paths::number(name.as_bytes())?;
    (number.to_string() == name).then_some(number)
}

/// A file of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// One of [`FOLDERS`].
    pub folder: &'static str,
    /// Where it lies, from `queue`.
    pub path: PathBuf,
    /// What it is called.
    pub name: Name,
    /// Its inode.
    pub inode: u64,
}

impl Found {
    /// Whether it lies where its name belongs.
    pub fn is_in_place(&self, paths: &Paths) -> bool {
        self.path == self.name.path(self.folder, paths)
    }
}

/// All files of messages, the texts last: what is queued meanwhile shows as a text without
/// company, which is a state of its own, and never as company without a text.
pub fn list() -> io::Result<Vec<Found>> {
    let mut all = Vec::new();
    for folder in FOLDERS.into_iter().rev() {
        list_folder(folder, folder.into(), &mut all)?;
    }
    Ok(all)
}

/// The files in this place of a folder, and in the numbered folders there.
fn list_folder(folder: &'static str, path: PathBuf, all: &mut Vec<Found>) -> io::Result<()> {
    for entry in entries(&path)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str().and_then(Name::of) else { continue };
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            list_folder(folder, entry.path(), all)?;
            continue;
        }
        match entry.metadata() {
            Ok(about) if about.is_file() => {
                let inode = about.ino();
                all.push(Found { folder, path: entry.path(), name, inode });
            }
            Ok(_) => {}
            Err(why) if why.kind() == ErrorKind::NotFound => {}
            Err(why) => return Err(why),
        }
    }
    Ok(())
}

/// A folder's entries; none if it is missing.
fn entries(path: &PathBuf) -> io::Result<impl Iterator<Item = io::Result<fs::DirEntry>> + use<>> {
    match files::entries(path) {
        Ok(entries) => Ok(Some(entries).into_iter().flatten()),
        Err(why) if why.kind() == ErrorKind::NotFound => Ok(None.into_iter().flatten()),
        Err(why) => Err(why),
    }
}

/// The numbered folders in a split one.
fn split_folders(folder: &str) -> io::Result<BTreeSet<u64>> {
    let mut numbers = BTreeSet::new();
    for entry in entries(&folder.into())? {
        let entry = entry?;
        let number = entry.file_name().to_str().and_then(plain);
        numbers.extend(number.filter(|_| entry.file_type().is_ok_and(|kind| kind.is_dir())));
    }
    Ok(numbers)
}

/// How many folders split ones are split into, and which are: copies may have lost empty folders,
/// but hardly the last one of all four that always are, or all of `intd` and `todo`.
pub fn paths() -> io::Result<Paths> {
    let mut split = 0;
    for folder in ["mess", "info", "local", "remote"] {
        let last = split_folders(folder)?.last().map_or(0, |last| last + 1);
        split = split.max(last);
    }
    if split == 0 {
        return Err(ErrorKind::NotFound.into());
    }
    let mut splits_todo = false;
    for folder in ["intd", "todo"] {
        splits_todo |= split_folders(folder)?.first().is_some_and(|first| *first < split);
    }
    Ok(Paths { split, splits_todo })
}

/// One step of a repair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// Where the file is.
    pub from: PathBuf,
    /// Where it is to be.
    pub to: PathBuf,
}

/// The first half: every message that is named wrongly, or lies in a wrong folder, gets its
/// passing name. Its text goes first, so that what is done already shows after an interruption.
pub fn part(all: &[Found], paths: &Paths) -> Vec<Move> {
    let texts: Vec<&Found> = all.iter().filter(|file| file.folder == "mess").collect();
    let mut count = BTreeMap::new();
    for text in &texts {
        *count.entry(text.name.from.unwrap_or(text.name.number)).or_insert(0) += 1;
    }
    let mut moves = Vec::new();
    // New names by old ones.
    let mut renamed = BTreeMap::new();
    let mut good = BTreeSet::new();
    for text in texts {
        let Name { number, from } = text.name;
        let old = from.unwrap_or(number);
        if from.is_none() && number == text.inode && text.is_in_place(paths) {
            good.insert(number);
        } else if count[&old] == 1 || from.is_some() {
            let name = Name { number: text.inode, from: Some(old) };
            moves.extend(step(text, name, paths));
            renamed.insert(old, name);
        }
    }
    for file in all.iter().filter(|file| file.folder != "mess") {
        let Name { number, from } = file.name;
        let name = match from {
            Some(from) => renamed.get(&from).copied(),
            None if good.contains(&number) => Some(file.name),
            None => renamed.get(&number).copied(),
        };
        moves.extend(name.and_then(|name| step(file, name, paths)));
    }
    moves
}

/// The second half: passing names become final ones, texts first.
pub fn settle(all: &[Found], paths: &Paths) -> Vec<Move> {
    let texts = all.iter().filter(|file| file.folder == "mess");
    let others = all.iter().filter(|file| file.folder != "mess");
    let passing = texts.chain(others).filter(|file| file.name.from.is_some());
    let last = |file: &Found| step(file, Name { from: None, ..file.name }, paths);
    passing.filter_map(last).collect()
}

fn step(file: &Found, name: Name, paths: &Paths) -> Option<Move> {
    let to = name.path(file.folder, paths);
    (to != file.path).then(|| Move { from: file.path.clone(), to })
}

/// Files that no program will ever look at, or whose message no program can deliver: company
/// without a text, and a text with recipients but without a sender.
pub fn stray(all: &[Found]) -> Vec<&Found> {
    let of = |folder: &str| -> BTreeSet<u64> {
        let files = all.iter().filter(|file| file.folder == folder);
        files.map(|file| file.name.number).collect()
    };
    let [texts, todo, info, local, remote] = ["mess", "todo", "info", "local", "remote"].map(of);
    let headless = |number: &u64| {
        let has = |set: &BTreeSet<u64>| set.contains(number);
        (has(&local) || has(&remote)) && !has(&todo) && !has(&info)
    };
    let is_stray = |file: &&Found| {
        let number = file.name.number;
        !texts.contains(&number) || headless(&number)
    };
    all.iter().filter(is_stray).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATHS: Paths = Paths { split: 23, splits_todo: false };

    fn file(folder: &'static str, name: &str, inode: u64) -> Found {
        let name = Name::of(name).unwrap();
        Found { folder, path: name.path(folder, &PATHS), name, inode }
    }

    fn shown(moves: Vec<Move>) -> Vec<String> {
        moves.iter().map(|m| format!("{} {}", m.from.display(), m.to.display())).collect()
    }

    #[test]
    fn names_are_numbers_or_pairs() {
        assert_eq!(Name::of("12"), Some(Name { number: 12, from: None }));
        assert_eq!(Name::of("12.from.7"), Some(Name { number: 12, from: Some(7) }));
        for bad in ["", "012", "12.from.", ".from.7", "12.from.7.from.1", "x", "1 "] {
            assert_eq!(Name::of(bad), None, "{bad}");
        }
    }

    #[test]
    fn messages_that_have_swapped_their_inodes_swap_their_names() {
        let all = [
            file("info", "5", 1),
            file("info", "7", 2),
            file("todo", "9", 3),
            file("mess", "5", 7),
            file("mess", "7", 5),
            file("mess", "9", 9),
        ];
        assert_eq!(
            shown(part(&all, &PATHS)),
            [
                "mess/5/5 mess/7/7.from.5",
                "mess/7/7 mess/5/5.from.7",
                "info/5/5 info/7/7.from.5",
                "info/7/7 info/5/5.from.7"
            ]
        );
        let passing = [file("info", "7.from.5", 1), file("mess", "7.from.5", 7)];
        let last = ["mess/7/7.from.5 mess/7/7", "info/7/7.from.5 info/7/7"];
        assert_eq!(shown(settle(&passing, &PATHS)), last);
    }

    #[test]
    fn after_an_interruption_nothing_is_taken_from_those_who_are_done() {
        // 5 became 7 and is half settled; 7 became 5 and is settled.
        let all = [
            file("info", "7.from.5", 1),
            file("info", "5", 2),
            file("mess", "7", 7),
            file("mess", "5", 5),
        ];
        assert_eq!(shown(part(&all, &PATHS)), [""; 0]);
        assert_eq!(shown(settle(&all, &PATHS)), ["info/7/7.from.5 info/7/7"]);
        // 5 is becoming 7, but its company does not know yet.
        let all = [file("info", "5", 1), file("mess", "7.from.5", 7)];
        assert_eq!(shown(part(&all, &PATHS)), ["info/5/5 info/7/7.from.5"]);
    }

    #[test]
    fn what_nobody_can_deliver_is_stray() {
        let all = [
            file("todo", "1", 0),
            file("intd", "2", 0),
            file("local", "3", 0),
            file("info", "4", 0),
            file("local", "4", 0),
            file("mess", "2", 0),
            file("mess", "3", 0),
            file("mess", "4", 0),
            file("mess", "5", 0),
        ];
        let strays: Vec<_> = stray(&all).iter().map(|f| (f.folder, f.name.number)).collect();
        assert_eq!(strays, [("todo", 1), ("local", 3), ("mess", 3)]);
    }
}
