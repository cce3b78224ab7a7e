//! The power fails at every point of a record, and the disk holds whatever it may hold then.

use crate::disk::{Disk, Names, State};
use crate::trace::{Act, Event, Record};
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Mutex;
use std::thread;
use tests::Random;

/// Recoveries at the same time.
const AT_ONCE: usize = 4;

const SEED: u64 = 1;

/// Checks every state that `record` may leave, at most `most` of each cut: `check` gets it with the
/// events before the cut, whose answers bind. Prints what was done, and complains of all states
/// that are wrong.
#[track_caller]
pub fn replay(
    name: &str,
    record: &Record,
    (model, most): (Names, usize),
    check: impl Fn(&State, &[Event]) -> Result<(), String> + Sync,
) {
    let disks = disks(record);
    let all: f64 = disks.iter().map(|(_, disk)| disk.count(model)).sum();
    let (count, wrong) = complaints(record, (model, most), check);
    println!(
        "{name}, names {model:?}: {} events, {} cuts, {count} different states tried (of about \
         {all:.1e}), seed {SEED}, {} wrong",
        record.events.len(),
        disks.len(),
        wrong.len()
    );
    assert!(wrong.is_empty(), "{name}:\n{}", wrong.join("\n"));
}

/// How many states were tried, and what came out wrong.
pub fn complaints(
    record: &Record,
    (model, most): (Names, usize),
    check: impl Fn(&State, &[Event]) -> Result<(), String> + Sync,
) -> (usize, Vec<String>) {
    let (mut random, mut seen) = (Random::new(SEED), HashSet::new());
    // from the last cut, which binds most
    let states = disks(record).into_iter().rev().flat_map(|(cut, disk)| {
        let mut states = disk.states(model, most, &mut random);
        states.retain(|state| seen.insert(hash(state)));
        states.into_iter().map(move |state| (cut, state))
    });
    let states = Mutex::new(states);
    let next = || states.lock().unwrap().next();
    let look = || {
        let (mut count, mut wrong) = (0, Vec::new());
        while let Some((cut, state)) = next() {
            count += 1;
            if let Err(why) = check(&state, &record.events[..cut]) {
                wrong.push(format!("cut before event {cut}, state {:x}: {why}", hash(&state)));
            }
        }
        (count, wrong)
    };
    let found: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(look)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let count = found.iter().map(|(count, _)| count).sum();
    (count, found.into_iter().flat_map(|(_, wrong)| wrong).collect())
}

/// The disk at each cut, and the number of events before it.
///
/// A cut is looked at just before each sync, and at the end: whatever may be on disk between two
/// syncs may also be there when the second begins, and then more has been promised.
fn disks(record: &Record) -> Vec<(usize, Disk)> {
    let mut disk = Disk::new(record);
    let mut disks = Vec::new();
    for (number, Event { act, .. }) in record.events.iter().enumerate() {
        if matches!(act, Act::Sync { .. }) {
            disks.push((number, disk.clone()));
        }
        disk.meet(number, act);
    }
    disks.push((record.events.len(), disk));
    disks
}

fn hash(state: &State) -> u64 {
    let mut hasher = DefaultHasher::new();
    state.hash(&mut hasher);
    hasher.finish()
}
