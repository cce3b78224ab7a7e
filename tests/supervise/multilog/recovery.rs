//! What a start makes of the files that it finds, state by state.

use super::{lines, log, old};
use std::fs;
use tests::{Scratch, scratch};

const COMPLETE: u32 = 0o744;
const IN_PROGRESS: u32 = 0o644;

/// A log with these files, of these modes and contents.
fn left(files: &[(&str, u32, &str)]) -> Scratch {
    let place = scratch();
    place.dir("m").chmod("m", 0o700).write("m/lock", "");
    for (name, mode, contents) in files {
        place.write(format!("m/{name}"), contents).chmod(format!("m/{name}"), *mode);
    }
    place
}

/// Starts it without input, and gives names, modes and contents of what is there then. A label is
/// shown as `@`.
fn restarted(place: &Scratch) -> Vec<(String, u32, String)> {
    log(place, &["./m"], "");
    let shown = |name: String| {
        let path = format!("m/{name}");
        let name = name
            .get(25..)
            .filter(|_| name.starts_with('@'))
            .map_or(name.clone(), |end| format!("@{end}"));
        (name, place.mode(&path), place.text(&path))
    };
    place.names("m").into_iter().map(shown).collect()
}

/// As `restarted` shows the files, between those that are always there.
fn files(old: &[(&str, u32, &str)], current: &str) -> Vec<(String, u32, String)> {
    let always = [("current", COMPLETE, current), ("lock", 0o644, ""), ("state", 0o644, "")];
    old.iter()
        .chain(&always)
        .map(|(name, mode, text)| (name.to_string(), *mode, text.to_string()))
        .collect()
}

#[test]
fn a_complete_current_is_gone_on_with() {
    let place = left(&[("current", COMPLETE, "one\n"), ("state", 0o644, "")]);
    assert_eq!(restarted(&place), files(&[], "one\n"));
}

#[test]
fn nothing_else_is_looked_at_then() {
    let place = left(&[
        ("current", COMPLETE, "one\n"),
        ("state", 0o644, "kept"),
        ("newstate", 0o644, "kept"),
        ("previous", COMPLETE, "kept"),
        ("processed", IN_PROGRESS, "kept"),
    ]);
    let kept: Vec<_> =
        restarted(&place).into_iter().filter(|(_, _, text)| text == "kept").collect();
    assert_eq!(kept.len(), 4);
    assert_eq!(place.text("m/current"), "one\n");
}

#[test]
fn a_current_in_progress_may_be_cut_off() {
    let place = left(&[("current", IN_PROGRESS, "one\ntw"), ("state", 0o644, "x")]);
    assert_eq!(restarted(&place), files(&[("@.u", IN_PROGRESS, "one\ntw")], ""));
}

#[test]
fn an_empty_current_in_progress_leaves_an_empty_file() {
    let place = left(&[("current", IN_PROGRESS, "")]);
    assert_eq!(restarted(&place), files(&[("@.u", IN_PROGRESS, "")], ""));
}

#[test]
fn no_current_is_the_middle_of_a_rotation() {
    let place = left(&[("previous", IN_PROGRESS, "one\n"), ("state", 0o644, "x")]);
    assert_eq!(restarted(&place), files(&[("@.u", IN_PROGRESS, "one\n")], ""));
}

#[test]
fn previous_is_older_than_current() {
    let place = left(&[("previous", COMPLETE, "one\n"), ("current", IN_PROGRESS, "two\n")]);
    let old = [("@.u", COMPLETE, "one\n"), ("@.u", IN_PROGRESS, "two\n")];
    assert_eq!(restarted(&place), files(&old, ""));
}

#[test]
fn a_current_that_never_got_its_mode_is_kept_too() {
    let place = left(&[("previous", IN_PROGRESS, "one\n"), ("current", 0o600, "")]);
    let old = [("@.u", IN_PROGRESS, "one\n"), ("@.u", 0o600, "")];
    assert_eq!(restarted(&place), files(&old, ""));
}

#[test]
fn a_previous_that_has_its_label_is_not_doubled() {
    let place = left(&[("previous", COMPLETE, "one\n"), ("current", IN_PROGRESS, "two\n")]);
    let label = "m/@400000000000000000000001.s";
    fs::hard_link(place.join("m/previous"), place.join(label)).unwrap();
    let old = [("@.s", COMPLETE, "one\n"), ("@.u", IN_PROGRESS, "two\n")];
    assert_eq!(restarted(&place), files(&old, ""));
}

#[test]
fn what_a_processor_has_not_finished_is_dropped() {
    let place = left(&[
        ("previous", COMPLETE, "one\n"),
        ("processed", IN_PROGRESS, "ONE"),
        ("state", 0o644, "old"),
        ("newstate", 0o644, "ne"),
        ("current", IN_PROGRESS, "two\n"),
    ]);
    let old = [("@.u", COMPLETE, "one\n"), ("@.u", IN_PROGRESS, "two\n")];
    assert_eq!(restarted(&place), files(&old, ""));
}

#[test]
fn what_a_processor_has_finished_replaces_previous() {
    for previous in [true, false] {
        let place = left(&[
            ("processed", COMPLETE, "ONE\n"),
            ("state", 0o644, "old"),
            ("current", IN_PROGRESS, "two\n"),
        ]);
        if previous {
            place.write("m/previous", "one\n").chmod("m/previous", COMPLETE);
            place.write("m/newstate", "new");
        }
        let old = [("@.s", COMPLETE, "ONE\n"), ("@.u", IN_PROGRESS, "two\n")];
        assert_eq!(restarted(&place), files(&old, ""));
    }
}

#[test]
fn processed_that_has_its_label_is_not_doubled() {
    let place = left(&[("processed", COMPLETE, "ONE\n"), ("current", IN_PROGRESS, "two\n")]);
    let label = "m/@400000000000000000000001.s";
    fs::hard_link(place.join("m/processed"), place.join(label)).unwrap();
    let old = [("@.s", COMPLETE, "ONE\n"), ("@.u", IN_PROGRESS, "two\n")];
    assert_eq!(restarted(&place), files(&old, ""));
}

#[test]
fn files_that_are_kept_count() {
    let place = left(&[("previous", COMPLETE, "one\n"), ("current", IN_PROGRESS, "two\n")]);
    for number in 0..5 {
        place.write(format!("m/@40000000000000000000000{number}.s"), "");
    }
    log(&place, &["n3", "./m"], "");
    let texts: Vec<_> = old(&place).iter().map(|name| place.text(format!("m/{name}"))).collect();
    assert_eq!(texts, ["one\n", "two\n"]);
}

#[test]
fn a_log_that_is_full_already_rotates_first() {
    let place = left(&[("current", COMPLETE, &lines(5000))]);
    log(&place, &["s4096", "./m"], "the end\n");
    assert_eq!((old(&place).len(), place.text("m/current")), (1, "the end\n".into()));
}
