//! kill -9 at any time: every line that was visible survives exactly once.

use super::{everything, lines, log, multilog, old};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Write, pipe};
use std::os::unix::fs::MetadataExt;
use tests::{LIMIT, Random, Scratch, fed, killed_at, original, scratch, start_on, steps, until};

/// The lines that somebody can see in the log `m`, in whatever state it is: each file once.
fn visible(place: &Scratch) -> Vec<String> {
    let names = place.names("m");
    // what a processor writes takes the place of previous when it is complete
    let processed = names.contains(&"processed".into()) && place.mode("m/processed") & 0o100 != 0;
    let latest = if processed { "processed" } else { "previous" };
    let holds_lines =
        |name: &&String| name.starts_with('@') || [latest, "current"].contains(&&name[..]);
    let mut files = BTreeMap::new();
    for name in names.iter().filter(holds_lines) {
        let path = place.join(format!("m/{name}"));
        files.insert(fs::metadata(&path).unwrap().ino(), fs::read_to_string(path).unwrap());
    }
    let lines = files.values().flat_map(|text| text.split_inclusive('\n'));
    lines.map(str::to_owned).collect()
}

/// Kills it at every system call that it makes from taking over the log on, and starts it again.
/// The input makes it rotate more than once.
fn killed_at_every_step(words: &[&str]) {
    let words = [&["s4096", "n1000"], words, &["./m"]].concat();
    let input = lines(9000);
    let Some(steps) = steps(&multilog(&scratch(), &words), &input) else { return };
    let steps: Vec<_> = steps.into_iter().skip_while(|(name, _)| name != "flock").collect();
    assert!(steps.len() > 50, "{steps:?}");
    for step in steps {
        let place = scratch();
        let Some(mut command) = killed_at(&step, &multilog(&place, &words)) else { return };
        fed(&mut command, &input);
        recovered(&place, &words, &format!("{step:?}"));
    }
}

/// Starts it again, and finds what was visible before, each line once.
#[track_caller]
fn recovered(place: &Scratch, words: &[&str], step: &str) {
    let mut seen = visible(place);
    log(place, words, "last\n");
    let mut kept: Vec<_> = everything(place).split_inclusive('\n').map(str::to_owned).collect();
    assert_eq!(kept.pop().as_deref(), Some("last\n"), "{step}");
    seen.sort();
    kept.sort();
    assert_eq!(kept, seen, "{step}");
    let mut others = place.names("m");
    others.retain(|name| !name.starts_with('@'));
    assert_eq!(others, ["current", "lock", "state"], "{step}");
}

#[test]
fn killed_at_every_step_of_a_rotation() {
    killed_at_every_step(&[]);
}

#[test]
fn killed_at_every_step_around_a_processor() {
    killed_at_every_step(&["!cat"]);
}

/// A line that shows whether it is one: the start of a line that a kill cut off and the end of a
/// later one do not make another.
fn line(number: u32) -> String {
    format!("line {number} {:08x}\n", number.wrapping_mul(2_654_435_761))
}

fn is_line(text: &str) -> bool {
    let number = text.split(' ').nth(1).and_then(|word| word.parse().ok());
    number.is_some_and(|number| line(number) == text)
}

#[test]
fn killed_at_random_while_it_logs_a_hundred_thousand_lines() {
    const KILLS: u32 = 30;
    const LINES: u32 = 100_000 / KILLS;
    let place = scratch();
    let words = ["s16384", "n100000", "./m"];
    let (reader, writer) = pipe().unwrap();
    let mut random = Random::new(9);
    let mut seen = BTreeSet::new();
    for kill in 0..KILLS {
        // as svscan does, the test keeps the pipe while multilog comes and goes
        let running = start_on(reader.try_clone().unwrap(), &mut multilog(&place, &words));
        let lines: String = (kill * LINES..(kill + 1) * LINES).map(line).collect();
        let mut feed = writer.try_clone().unwrap();
        let feeder = std::thread::spawn(move || feed.write_all(lines.as_bytes()).unwrap());
        until(LIMIT, "the end of the lines", || feeder.is_finished());
        // the last of them are still in the pipe or on their way
        (0..random.below(50_000)).for_each(|_| std::hint::spin_loop());
        running.signal(libc::SIGKILL);
        running.wait(LIMIT);
        if place.exists("m") {
            // a line whose start was lost in a buffer is visible from its middle on
            seen.extend(visible(&place).into_iter().filter(|line| is_line(line)));
        }
    }
    drop(writer);
    assert_eq!(start_on(reader, &mut multilog(&place, &words)).wait(LIMIT).code(), Some(0));
    assert!(seen.len() > 10_000, "only {} lines", seen.len());
    // file by file: one that a kill has cut off may end in the middle of a line
    let mut counts = BTreeMap::new();
    visible(&place).into_iter().for_each(|line| *counts.entry(line).or_insert(0) += 1);
    let wrong: Vec<_> = seen.iter().filter(|line| counts.get(*line) != Some(&1)).collect();
    assert_eq!(wrong, [""; 0]);
    let twice: Vec<_> =
        counts.iter().filter(|(line, count)| **count > 1 && is_line(line)).collect();
    assert!(twice.is_empty(), "{twice:?}");
    assert!(!old(&place).is_empty());
}

#[test]
fn what_the_processor_has_not_finished_is_kept_as_it_was() {
    // the original does not log while the processor works
    if original() {
        return;
    }
    let place = scratch();
    place.fifo("gate");
    let words = ["s4096", "n100", "!read x <../gate; tr a-z A-Z", "./m"];
    let (reader, mut writer) = pipe().unwrap();
    let running = start_on(reader, &mut multilog(&place, &words));
    writer.write_all(lines(5000).as_bytes()).unwrap();
    until(LIMIT, "the line after the rotation", || {
        place.exists("m/previous") && visible(&place).len() == lines(5000).lines().count()
    });
    running.signal(libc::SIGKILL);
    running.wait(LIMIT);
    log(&place, &["./m"], "");
    assert!(old(&place).iter().all(|name| name.ends_with(".u")));
    assert_eq!(everything(&place), lines(5000));
}
