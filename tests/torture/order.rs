//! Reads a record and looks whether everything was on disk in time: first the data, then the name,
//! then the folder, then the answer.

use crate::disk::Disk;
use crate::trace::{Act, Entry, Event, Id, Record};

/// When an event comes, what is on disk.
pub struct Rule {
    /// The event: an answer, or a step that cannot be taken back. It gets the event and the name
    /// that it is about, if any.
    pub when: fn(&Event, &str) -> bool,
    /// The names that lead to whole files on disk by then: the name of the event, and another.
    pub durable: fn(&str, &str) -> bool,
}

/// What is wrong in a record, and how often a rule was put to the test. Files must be whole on disk
/// before they get one of the names for which `published` holds.
pub fn complaints(
    record: &Record,
    published: fn(&str) -> bool,
    rules: &[Rule],
) -> (usize, Vec<String>) {
    let mut disk = Disk::new(record);
    let (mut tested, mut complaints) = (0, Vec::new());
    for (number, Event { who, act }) in record.events.iter().enumerate() {
        let event = &record.events[number];
        if let Some((name, file)) = naming(act)
            && published(name)
        {
            tested += 1;
            if !disk.has_contents(file) {
                complaints.push(format!("{who} names {name} before its data is on disk"));
            }
        }
        let about = about(&disk, act);
        for rule in rules.iter().filter(|rule| (rule.when)(event, &about)) {
            tested += 1;
            let found = late(&disk, |name| (rule.durable)(&about, name));
            complaints
                .extend(found.iter().map(|what| format!("{who}, {}: {what}", shown(act, &about))));
        }
        disk.meet(number, act);
    }
    (tested, complaints)
}

/// The name that a file gets.
fn naming(act: &Act) -> Option<(&str, Id)> {
    match act {
        Act::Name { name, file } | Act::Rename { to: name, file, .. } => Some((name, *file)),
        _ => None,
    }
}

/// The name that an act is about.
pub fn about(disk: &Disk, act: &Act) -> String {
    match act {
        Act::Name { name, .. } | Act::Remove { name } | Act::Rename { to: name, .. } => {
            name.clone()
        }
        Act::Write { file, .. } => {
            let names = disk.seen();
            let mut names = names.iter().filter(|(_, entry)| **entry == Entry::File(*file));
            names.next().map(|(name, _)| name.clone()).unwrap_or_default()
        }
        _ => String::new(),
    }
}

/// What is not on disk though it should be.
fn late(disk: &Disk, durable: impl Fn(&str) -> bool) -> Vec<String> {
    let late = |(name, entry): (String, Entry)| {
        let Entry::File(file) = entry else { return None };
        match (disk.has_contents(file), disk.has_name(&name, file)) {
            (false, _) => Some(format!("the data of {name} is not on disk")),
            (_, false) => Some(format!("the name {name} is not on disk")),
            _ => None,
        }
    };
    disk.seen().into_iter().filter(|(name, _)| durable(name)).filter_map(late).collect()
}

fn shown(act: &Act, about: &str) -> String {
    match act {
        Act::Exit { code } => format!("exit {code}"),
        Act::Say { bytes } => format!("{:?}", tests::shown(bytes)),
        Act::Remove { .. } => format!("removing {about}"),
        _ => format!("writing {about}"),
    }
}

#[cfg(test)]
mod tests_of_the_checker {
    use super::*;
    use crate::trace::{Contents, Place};

    const RULES: [Rule; 1] = [Rule {
        when: |event, _| matches!(event.act, Act::Exit { code: 0 }),
        durable: |_, name| name.starts_with("new/"),
    }];

    /// A file written, synced, linked; the folder synced; the answer.
    fn good() -> Vec<Act> {
        let text = b"text".to_vec();
        let sync = |place, since| Act::Sync { place, since };
        vec![
            Act::Name { name: "tmp/1".into(), file: 0 },
            Act::Write { file: 0, at: 0, bytes: text },
            sync(Place::File(0), 2),
            Act::Name { name: "new/1".into(), file: 0 },
            sync(Place::Folder("new".into()), 4),
            Act::Exit { code: 0 },
        ]
    }

    fn found(acts: Vec<Act>) -> Vec<String> {
        let event = |act| Event { who: "sh".into(), act };
        let names = ["new", "tmp"].map(|name| (name.to_owned(), Entry::Folder));
        let files = [(0, Contents::default())].into();
        let events = acts.into_iter().map(event).collect();
        let record = Record { names: names.into(), files, events };
        complaints(&record, |name| name.starts_with("new/"), &RULES).1
    }

    #[test]
    fn the_right_order_is_right() {
        assert_eq!(found(good()), [""; 0]);
    }

    #[test]
    fn a_file_that_is_never_synced_is_found() {
        let mut acts = good();
        acts.remove(2);
        let early = "sh names new/1 before its data is on disk";
        assert_eq!(found(acts), [early, "sh, exit 0: the data of new/1 is not on disk"]);
    }

    #[test]
    fn a_file_that_is_synced_after_it_has_its_name_is_found() {
        let mut acts = good();
        acts.swap(2, 3);
        assert_eq!(found(acts), ["sh names new/1 before its data is on disk"]);
    }

    #[test]
    fn a_folder_that_is_not_synced_is_found() {
        let mut acts = good();
        acts.remove(4);
        assert_eq!(found(acts), ["sh, exit 0: the name new/1 is not on disk"]);
    }

    #[test]
    fn a_sync_that_begins_before_the_write_ends_does_not_count() {
        let mut acts = good();
        acts[2] = Act::Sync { place: Place::File(0), since: 1 };
        assert_eq!(found(acts).len(), 2);
    }

    #[test]
    fn an_answer_before_the_last_sync_is_found() {
        let mut acts = good();
        acts.swap(4, 5);
        assert_eq!(found(acts), ["sh, exit 0: the name new/1 is not on disk"]);
    }
}
