//! What a disk may hold after a power cut.
//!
//! Each folder and each file keeps a list of changes that no sync has put on disk yet. After a cut,
//! a folder has met some first part of its list; see [`Names`]. A rename from one folder to another
//! is a change of the second alone, so that a file is never without a name. Of a file, pages may be
//! as they were or as they were written, new ones may be zeros, and the length may be anything in
//! between, whatever has become of its names.

use crate::trace::{Act, Contents, Entry, Id, Place, Record, folder};
use std::collections::BTreeMap;
use std::fs::{self, FileTimes, Permissions};
use std::hash::Hash;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tests::Random;

/// What is written at once, or not.
const PAGE: usize = 512;

/// In how many ways the changes of a file reach the disk, or do not: not at all, as zeros, wholly,
/// and some by chance.
const WAYS: usize = 13;

/// What is sure about the names of different folders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// They reach the disk in the order of the calls, as on ext4 and xfs: with a name, all older
    /// ones are there.
    InOrder,
    /// Nothing: a name waits for the sync of its folder, and another folder may be faster, as on
    /// btrfs.
    Apart,
}

/// A change of a folder.
#[derive(Clone, Debug)]
enum Naming {
    Add(String, Entry),
    Remove(String),
    Move(String, String, Id),
}

impl Naming {
    /// The folder whose sync puts it on disk.
    fn folder(&self) -> &str {
        match self {
            Naming::Add(name, _) | Naming::Remove(name) | Naming::Move(_, name, _) => folder(name),
        }
    }

    fn apply(&self, names: &mut BTreeMap<String, Entry>) {
        match self {
            Naming::Add(name, entry) => drop(names.insert(name.clone(), entry.clone())),
            Naming::Remove(name) => drop(names.remove(name)),
            Naming::Move(from, to, file) => {
                names.remove(from);
                names.insert(to.clone(), Entry::File(*file));
            }
        }
    }
}

/// A change of a file.
#[derive(Clone, Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Truncate(usize),
    Mode(u32),
}

impl Change {
    fn apply(&self, contents: &mut Contents) {
        match self {
            Change::Write(at, bytes) => {
                let end = at + bytes.len();
                contents.bytes.resize(contents.bytes.len().max(end), 0);
                contents.bytes[*at..end].copy_from_slice(bytes);
            }
            Change::Truncate(length) => contents.bytes.resize(*length, 0),
            Change::Mode(mode) => contents.mode = *mode,
        }
    }
}

/// A disk: what is certainly on it, and what is on its way, with the numbers of the events.
#[derive(Clone, Default)]
pub struct Disk {
    names: BTreeMap<String, Entry>,
    files: BTreeMap<Id, Contents>,
    /// The youngest naming that is certainly on disk.
    latest: usize,
    namings: BTreeMap<String, Vec<(usize, Naming)>>,
    changes: BTreeMap<Id, Vec<(usize, Change)>>,
}

impl Disk {
    /// A disk with everything that was there before on it.
    pub fn new(record: &Record) -> Self {
        Disk { names: record.names.clone(), files: record.files.clone(), ..Disk::default() }
    }

    /// Goes on by an event.
    pub fn meet(&mut self, number: usize, act: &Act) {
        let mut name = |naming: Naming| {
            self.namings.entry(naming.folder().to_owned()).or_default().push((number, naming));
        };
        let mut change = |file: &Id, change| {
            self.changes.entry(*file).or_default().push((number, change));
        };
        match act {
            Act::Name { name: new, file } => name(Naming::Add(new.clone(), Entry::File(*file))),
            Act::Folder { name: new } => name(Naming::Add(new.clone(), Entry::Folder)),
            Act::Remove { name: old } => name(Naming::Remove(old.clone())),
            Act::Rename { from, to, file } => {
                name(Naming::Move(from.clone(), to.clone(), *file));
            }
            Act::Write { file, at, bytes } => change(file, Change::Write(*at, bytes.clone())),
            Act::Truncate { file, length } => change(file, Change::Truncate(*length)),
            // a new file never is without its mode
            Act::Mode { file, mode } if !self.files.contains_key(file) => {
                self.files.insert(*file, Contents { bytes: Vec::new(), mode: *mode });
            }
            Act::Mode { file, mode } => change(file, Change::Mode(*mode)),
            Act::Sync { place, since } => self.sync(place, *since),
            Act::Say { .. } | Act::Exit { .. } => {}
        }
    }

    fn sync(&mut self, place: &Place, since: usize) {
        match place {
            Place::Folder(folder) => {
                let namings = self.namings.remove(folder).unwrap_or_default();
                let (done, left): (Vec<_>, _) =
                    namings.into_iter().partition(|(number, _)| *number < since);
                done.iter().for_each(|(_, naming)| naming.apply(&mut self.names));
                let youngest = done.last().map_or(0, |(number, _)| *number);
                self.latest = self.latest.max(youngest);
                self.namings.insert(folder.clone(), left);
            }
            Place::File(file) => {
                let changes = self.changes.remove(file).unwrap_or_default();
                let (done, left): (Vec<_>, _) =
                    changes.into_iter().partition(|(number, _)| *number < since);
                let contents = self.files.entry(*file).or_default();
                done.iter().for_each(|(_, change)| change.apply(contents));
                self.changes.insert(*file, left);
            }
        }
    }

    /// All that was written to the file is on disk.
    pub fn has_contents(&self, file: Id) -> bool {
        let mut left = self.changes.get(&file).into_iter().flatten();
        left.all(|(_, change)| matches!(change, Change::Mode(_)))
    }

    /// The names as the programs see them.
    pub fn seen(&self) -> BTreeMap<String, Entry> {
        let mut all: Vec<_> = self.namings.values().flatten().collect();
        all.sort_by_key(|(number, _)| *number);
        let mut names = self.names.clone();
        all.iter().for_each(|(_, naming)| naming.apply(&mut names));
        names
    }

    /// This name leads to this file on disk, whatever else gets there or does not.
    pub fn has_name(&self, name: &str, file: Id) -> bool {
        self.has(name, &Entry::File(file))
    }

    fn has(&self, name: &str, entry: &Entry) -> bool {
        let folder = folder(name);
        let left = self.namings.get(folder).map_or(&[][..], Vec::as_slice);
        self.names.get(name) == Some(entry)
            && (folder.is_empty() || self.has(folder, &Entry::Folder))
            && left.iter().all(|(_, naming)| match naming {
                Naming::Add(new, _) => new != name,
                Naming::Remove(old) => old != name,
                Naming::Move(from, to, _) => from != name && to != name,
            })
    }

    /// In how many ways each list can be cut: the folders, all at once or each, then the files.
    fn ways(&self, model: Names) -> Vec<usize> {
        let folders = match model {
            Names::InOrder => vec![self.cuts().len()],
            Names::Apart => self.namings.values().map(|list| list.len() + 1).collect(),
        };
        let files = self.changes.values().map(|list| if list.is_empty() { 1 } else { WAYS });
        folders.into_iter().chain(files).collect()
    }

    /// The events before which the names may be cut off, if they come in order.
    fn cuts(&self) -> Vec<usize> {
        let numbers = self.namings.values().flatten().map(|(number, _)| *number);
        let mut cuts: Vec<usize> = numbers.filter(|number| *number > self.latest).collect();
        cuts.push(usize::MAX);
        cuts.sort();
        cuts
    }

    /// How many states the disk may be in now; pages that are lost here and there count once.
    pub fn count(&self, model: Names) -> f64 {
        self.ways(model).iter().map(|ways| *ways as f64).product()
    }

    /// What the disk may hold now, `most` times: all in turn if it is not more, else nothing and
    /// everything of what is on its way, and others by chance.
    pub fn states(&self, model: Names, most: usize, random: &mut Random) -> Vec<State> {
        let ways = self.ways(model);
        let choose = |turn: usize, random: &mut Random| match turn {
            turn if self.count(model) <= most as f64 => digits(turn, &ways),
            0 => vec![0; ways.len()],
            1 => ways.iter().map(|ways| ways - 1).collect(),
            _ => ways.iter().map(|ways| random.below(*ways)).collect(),
        };
        let state = |turn| self.state(model, &choose(turn, random), random);
        (0..most).map(state).collect()
    }

    /// The disk with this choice for each list.
    fn state(&self, model: Names, choice: &[usize], random: &mut Random) -> State {
        let mut state = State { names: self.names.clone(), files: self.files.clone() };
        let mut choice = choice.iter();
        let mut met: Vec<&(usize, Naming)> = match model {
            Names::InOrder => {
                let end = choice.next().map_or(0, |number| self.cuts()[*number]);
                self.namings.values().flatten().filter(|(number, _)| *number < end).collect()
            }
            Names::Apart => {
                let lists = self.namings.values().zip(choice.by_ref());
                lists.flat_map(|(list, met)| &list[..*met]).collect()
            }
        };
        met.sort_by_key(|(number, _)| *number);
        met.iter().for_each(|(_, naming)| naming.apply(&mut state.names));
        for ((file, list), way) in self.changes.iter().zip(choice) {
            let contents = state.files.entry(*file).or_default();
            let mut new = contents.clone();
            list.iter().for_each(|(_, change)| change.apply(&mut new));
            *contents = torn(contents, new, *way, random);
        }
        state.tidy();
        state
    }
}

/// The last digits of a number, in these bases.
fn digits(mut number: usize, bases: &[usize]) -> Vec<usize> {
    let mut digit = |base: &usize| {
        let digit = number % base;
        number /= base;
        digit
    };
    bases.iter().map(&mut digit).collect()
}

/// A file that changes from old to new, after a cut.
fn torn(old: &Contents, mut new: Contents, way: usize, random: &mut Random) -> Contents {
    match way {
        0 => return old.clone(),
        1 => lose_pages(&old.bytes, &mut new.bytes, || true),
        way if way == WAYS - 1 => return new,
        way if way % 2 == 0 => {
            let lengths = [old.bytes.len(), new.bytes.len()];
            let (shorter, longer) = (lengths[0].min(lengths[1]), lengths[0].max(lengths[1]));
            new.bytes.resize(shorter + random.below(longer - shorter + 1), 0);
        }
        _ => lose_pages(&old.bytes, &mut new.bytes, || random.below(2) == 0),
    }
    if random.below(2) == 0 {
        new.mode = old.mode;
    }
    new
}

/// Some pages hold what they held before: zeros, if they are new.
fn lose_pages(old: &[u8], new: &mut [u8], mut lost: impl FnMut() -> bool) {
    for (number, page) in new.chunks_mut(PAGE).enumerate().filter(|_| lost()) {
        let old = old.get(number * PAGE..).unwrap_or_default();
        let kept = old.len().min(page.len());
        page.fill(0);
        page[..kept].copy_from_slice(&old[..kept]);
    }
}

/// What a disk holds after a cut.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    names: BTreeMap<String, Entry>,
    files: BTreeMap<Id, Contents>,
}

impl State {
    /// Forgets files without a name and names in folders that are not there.
    fn tidy(&mut self) {
        let mut folders = vec![String::new()];
        self.names.retain(|name, entry| {
            let kept = folders.iter().any(|known| known == folder(name));
            if kept && *entry == Entry::Folder {
                folders.push(name.clone());
            }
            kept
        });
        let used: Vec<Id> = self.names.values().filter_map(Entry::file).collect();
        self.files.retain(|file, _| used.contains(file));
    }

    /// Makes it below an empty folder, read last so long ago that nothing is kept for its youth.
    pub fn make(&self, root: &Path) {
        let then = SystemTime::now() - Duration::from_secs(40 * 3600);
        let mut made: BTreeMap<Id, PathBuf> = BTreeMap::new();
        for (name, entry) in &self.names {
            let path = root.join(name);
            match entry {
                Entry::Folder => fs::create_dir(path).unwrap(),
                Entry::Link(to) => symlink(to, path).unwrap(),
                Entry::Fifo => {
                    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::from_bits_truncate(0o666))
                        .unwrap();
                }
                Entry::File(file) => {
                    if let Some(first) = made.get(file) {
                        fs::hard_link(first, path).unwrap();
                        continue;
                    }
                    let contents = &self.files[file];
                    fs::write(&path, &contents.bytes).unwrap();
                    fs::set_permissions(&path, Permissions::from_mode(contents.mode)).unwrap();
                    let made_file = fs::File::open(&path).unwrap();
                    made_file.set_times(FileTimes::new().set_accessed(then)).unwrap();
                    made.insert(*file, path);
                }
            }
        }
    }
}

impl Entry {
    fn file(&self) -> Option<Id> {
        match self {
            Entry::File(file) => Some(*file),
            _ => None,
        }
    }
}
