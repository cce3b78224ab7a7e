//! TERM and ALRM.

use super::{everything, lines, log, multilog, old};
use std::io::{PipeWriter, Read, Write, pipe};
use std::os::unix::process::ExitStatusExt;
use tests::{LIMIT, Running, Scratch, scratch, start, start_on, until};

/// Waits until the log `m` holds this text.
#[track_caller]
fn await_log(place: &Scratch, text: &str) {
    until(LIMIT, text, || place.exists("m/current") && everything(place) == text);
}

/// multilog at the end of a pipe whose reading end the test has too.
fn on_a_pipe(place: &Scratch, words: &[&str]) -> (Running, PipeWriter, std::io::PipeReader) {
    let (reader, writer) = pipe().unwrap();
    let running = start_on(reader.try_clone().unwrap(), &mut multilog(place, words));
    (running, writer, reader)
}

/// What is left in the pipe.
fn left(writer: PipeWriter, mut reader: impl Read) -> String {
    drop(writer);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    text
}

/// How often a process has gone to sleep.
fn sleeps_of(running: &Running) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", running.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    line.unwrap().trim().parse().unwrap()
}

#[test]
fn term_between_lines_ends_it_at_once() {
    let place = scratch();
    let (running, mut writer, reader) = on_a_pipe(&place, &["./m"]);
    writer.write_all(b"one\n").unwrap();
    await_log(&place, "one\n");
    running.signal(libc::SIGTERM);
    assert_eq!(running.wait(LIMIT).code(), Some(0));
    writer.write_all(b"two\n").unwrap();
    assert_eq!((everything(&place), place.mode("m/current")), ("one\n".into(), 0o744));
    assert_eq!(left(writer, reader), "two\n");
}

#[test]
fn term_inside_a_line_ends_it_with_the_line() {
    for long in [10, 3000] {
        let place = scratch();
        let (running, mut writer, reader) = on_a_pipe(&place, &["./m"]);
        let half = "x".repeat(long);
        write!(writer, "one\n{half}").unwrap();
        await_log(&place, &if long < 1000 { "one\n".into() } else { format!("one\n{half}") });
        let sleeps = sleeps_of(&running);
        running.signal(libc::SIGTERM);
        until(LIMIT, "notice of the signal", || sleeps_of(&running) > sleeps);
        // what comes after the newline is not touched
        write!(writer, "{half}\nthree\nfour\n").unwrap();
        assert_eq!(running.wait(LIMIT).code(), Some(0));
        let expected = (format!("one\n{half}{half}\n"), 0o744);
        assert_eq!((everything(&place), place.mode("m/current")), expected);
        assert_eq!(left(writer, reader), "three\nfour\n");
    }
}

#[test]
fn the_next_one_goes_on_where_term_has_left_off() {
    let place = scratch();
    let (reader, mut writer) = pipe().unwrap();
    let input = lines(2_000_000);
    let feeder = std::thread::spawn({
        let input = input.clone();
        move || writer.write_all(input.as_bytes())
    });
    let words = ["s100000", "n1000", "./m"];
    for round in 1..10 {
        let command = &mut multilog(&place, &words);
        let running = start_on(reader.try_clone().unwrap(), command);
        let enough = round * input.len() / 20;
        until(LIMIT, "some lines", || {
            running.ended().is_some()
                || (place.exists("m/current") && everything(&place).len() > enough)
        });
        running.signal(libc::SIGTERM);
        assert_eq!(running.wait(LIMIT).code(), Some(0));
    }
    let last = start_on(reader, &mut multilog(&place, &words));
    feeder.join().unwrap().unwrap();
    assert_eq!(last.wait(LIMIT).code(), Some(0));
    assert!(everything(&place) == input);
}

#[test]
fn alarm_rotates_what_is_not_empty() {
    let place = scratch();
    let mut running = start(&mut multilog(&place, &["-two", "./m", "-*", "./n"]));
    running.write("one\n");
    await_log(&place, "one\n");
    running.signal(libc::SIGALRM);
    until(LIMIT, "an old file", || old(&place).len() == 1);
    await_log(&place, "one\n");
    running.write("two\nthree\n");
    await_log(&place, "one\nthree\n");
    assert_eq!(place.text("m/current"), "three\n");
    running.signal(libc::SIGALRM);
    until(LIMIT, "another old file", || old(&place).len() == 2);
    assert_eq!(running.finish(LIMIT).status.code(), Some(0));
    assert_eq!((everything(&place), place.names("n").len()), ("one\nthree\n".into(), 3));
    assert_eq!((old(&place).len(), place.text("m/current")), (2, String::new()));
}

#[test]
fn signals_that_our_parent_blocked_or_ignored_work() {
    let place = scratch();
    let script = "trap '' TERM; exec \"$@\"";
    let mut shell = std::process::Command::new("/bin/sh");
    let multilog = multilog(&place, &["./m"]);
    shell.args(["-c", script, "sh"]).arg(multilog.get_program()).args(multilog.get_args());
    let mut running = start(shell.current_dir(place.path()));
    running.write("one\n");
    await_log(&place, "one\n");
    running.signal(libc::SIGTERM);
    assert_eq!(running.wait(LIMIT).code(), Some(0));
}

#[test]
fn other_signals_have_their_default() {
    let place = scratch();
    let mut running = start(&mut multilog(&place, &["./m"]));
    running.write("one\n");
    await_log(&place, "one\n");
    running.signal(libc::SIGHUP);
    assert_eq!(running.wait(LIMIT).signal(), Some(libc::SIGHUP));
    log(&place, &["./m"], "two\n");
    assert_eq!(everything(&place), "one\ntwo\n");
}
