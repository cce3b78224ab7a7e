//! multilog, topic by topic.

mod actions;
mod crashes;
mod limits;
mod processors;
mod recovery;
mod rotation;
mod signals;
mod trouble;

use std::process::Command;
use tests::{Scratch, fed, program, ran, scratch, shown, start};

/// multilog in a scratch folder.
fn multilog(place: &Scratch, words: &[&str]) -> Command {
    let mut command = program("multilog");
    command.args(words).current_dir(place.path());
    command
}

/// Feeds it to its end, which must be a quiet one.
#[track_caller]
fn log(place: &Scratch, words: &[&str], input: impl AsRef<[u8]>) {
    let o = fed(&mut multilog(place, words), input);
    assert_eq!(ran(&o), (Some(0), String::new(), String::new()));
}

/// What it does with this input, and what is then in the log `m`.
fn logged(words: &[&str], input: impl AsRef<[u8]>) -> String {
    let place = scratch();
    log(&place, &[words, &["./m"]].concat(), input);
    everything(&place)
}

/// The names of the old files of the log `m`, oldest first; none as long as there is no log.
fn old(place: &Scratch) -> Vec<String> {
    let mut names = if place.exists("m") { place.names("m") } else { Vec::new() };
    names.retain(|name| name.starts_with('@'));
    names
}

/// All lines of the log `m`: those of the old files and those of current, which may be missing for
/// a moment.
fn everything(place: &Scratch) -> String {
    let files = old(place).into_iter().chain(["current".to_owned()]);
    let read = |file| std::fs::read(place.join(format!("m/{file}"))).unwrap_or_default();
    shown(&files.flat_map(read).collect::<Vec<u8>>())
}

/// Lines that are all different, about as many bytes as wanted.
fn lines(bytes: usize) -> String {
    (0..bytes.div_ceil(40)).map(|number| format!("line {number:034}\n")).collect()
}

#[test]
fn without_arguments_it_reads_to_the_end() {
    let place = scratch();
    log(&place, &[], lines(300_000));
    assert_eq!(place.names(""), [""; 0]);
}

#[test]
fn words_without_a_meaning_are_ignored() {
    let place = scratch();
    log(&place, &["x", "", "?", "T", "./m", "t", "w"], "line\n");
    assert_eq!(everything(&place), "line\n");
}

#[test]
fn a_log_that_cannot_be_opened_is_a_temporary_failure() {
    let place = scratch();
    place.write("file", "");
    for (folder, text) in [
        ("./a/b", "unable to open directory ./a/b: file does not exist"),
        ("./file", "unable to open directory ./file: not a directory"),
    ] {
        let o = fed(&mut multilog(&place, &[folder]), "line\n");
        let said = format!("multilog: fatal: {text}\n");
        assert_eq!(ran(&o), (Some(111), String::new(), said));
    }
}

#[test]
fn a_log_has_one_writer() {
    let place = scratch();
    let mut first = start(&mut multilog(&place, &["./m"]));
    first.write("first\n");
    tests::until(tests::LIMIT, "the first line", || place.exists("m/current"));
    let said = "multilog: fatal: unable to lock directory ./m: temporary failure\n";
    let o = fed(&mut multilog(&place, &["./m"]), "second\n");
    assert_eq!(ran(&o), (Some(111), String::new(), said.into()));
    let o = fed(&mut multilog(&place, &["./n", "./n"]), "second\n");
    assert_eq!(ran(&o), (Some(111), String::new(), said.replace("./m", "./n")));
    assert_eq!(first.finish(tests::LIMIT).status.code(), Some(0));
    assert_eq!(everything(&place), "first\n");
}

#[test]
fn a_status_file_that_cannot_be_created_is_a_temporary_failure() {
    let place = scratch();
    let said = "multilog: fatal: unable to create a/b: file does not exist\n";
    let o = fed(&mut multilog(&place, &["./m", "=a/b"]), "line\n");
    assert_eq!(ran(&o), (Some(111), String::new(), said.into()));
    assert!(!place.exists("m"));
}

#[test]
fn fifos_do_not_hold_it_up() {
    let place = scratch();
    place.fifo("f").dir("m").fifo("m/lock");
    for (word, text) in [
        ("=f", "unable to create f: device not configured"),
        ("./m", "unable to lock directory ./m: device not configured"),
    ] {
        let o = fed(&mut multilog(&place, &[word]), "line\n");
        assert_eq!(ran(&o), (Some(111), String::new(), format!("multilog: fatal: {text}\n")));
    }
}

#[test]
fn no_input_is_an_end_and_so_is_unreadable_input() {
    let place = scratch();
    let o = tests::redirected("<&-", &multilog(&place, &["./m"])).output().unwrap();
    assert_eq!(ran(&o), (Some(0), String::new(), String::new()));
    assert_eq!((everything(&place), place.mode("m/current")), (String::new(), 0o744));
}
