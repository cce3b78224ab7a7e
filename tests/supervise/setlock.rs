use std::time::{Duration, Instant};
use tests::{LIMIT, original, program, ran, redirected, scratch, start};

const USAGE: &str = "setlock: usage: setlock [ -nNxX ] file program [ arg ... ]\n";

fn setlock(words: &[&str]) -> (Option<i32>, String, String) {
    ran(&program("setlock").args(words).output().unwrap())
}

/// Runs with the lock file `f` held, exclusively or shared, by somebody else.
fn against_a_lock(kind: &str, words: &[&str]) -> (Option<i32>, String, String) {
    let place = scratch();
    let mut holder = std::process::Command::new("flock");
    let holding =
        start(holder.args([kind, "f", "sh", "-c", "echo held; read x"]).current_dir(place.path()));
    holding.wait_out("held\n");
    ran(&program("setlock").args(words).current_dir(place.path()).output().unwrap())
}

#[test]
fn without_file_and_program_it_shows_its_usage() {
    for words in [&[][..], &["f"], &["-n"], &["-x", "f"]] {
        assert_eq!(setlock(words), (Some(100), String::new(), USAGE.into()));
    }
    let said = format!("setlock: illegal option -- q\n{USAGE}");
    assert_eq!(setlock(&["-q", "f", "true"]), (Some(100), String::new(), said));
}

#[test]
fn the_program_runs_with_the_lock_on_the_lowest_free_descriptor() {
    let place = scratch();
    let script = "readlink /proc/$$/fd/3; flock -n f true || echo locked; exit 9";
    let mut command = program("setlock");
    let o = command.args(["f", "sh", "-c", script]).current_dir(place.path()).output().unwrap();
    let out = format!("{}\nlocked\n", place.join("f").display());
    assert_eq!(ran(&o), (Some(9), out, String::new()));
    assert_eq!(place.mode("f"), 0o600);
}

#[test]
fn a_file_that_exists_keeps_its_contents_and_mode() {
    let place = scratch();
    place.write("f", "contents").chmod("f", 0o640);
    let mut command = program("setlock");
    command.args(["f", "sh", "-c", "echo more >&3"]).current_dir(place.path());
    assert_eq!(ran(&command.output().unwrap()), (Some(0), String::new(), String::new()));
    assert_eq!((place.text("f"), place.mode("f")), ("contentsmore\n".into(), 0o640));
}

#[test]
fn a_free_descriptor_below_three_is_taken_too() {
    let place = scratch();
    let mut command = program("setlock");
    command.args(["f", "sh", "-c", "readlink /proc/$$/fd/0"]).current_dir(place.path());
    let out = format!("{}\n", place.join("f").display());
    let o = redirected("<&-", &command).output().unwrap();
    assert_eq!(ran(&o), (Some(0), out, String::new()));
}

#[test]
fn the_lock_lives_until_its_last_copy_closes() {
    let place = scratch();
    place.fifo("gate");
    let mut command = program("setlock");
    command.args(["f", "sh", "-c", "(read x <gate) & echo left"]).current_dir(place.path());
    let first = start(&mut command);
    first.wait_out("left\n");
    let mut again = program("setlock");
    again.args(["-n", "f", "true"]).current_dir(place.path());
    assert_eq!(ran(&again.output().unwrap()).0, Some(111));
    place.write("gate", "go\n");
    let mut waiting = program("setlock");
    waiting.args(["f", "echo", "mine"]).current_dir(place.path());
    assert_eq!(ran(&waiting.output().unwrap()), (Some(0), "mine\n".into(), String::new()));
}

#[test]
fn without_waiting_a_held_lock_is_a_failure() {
    let said = "setlock: fatal: unable to lock f: temporary failure\n";
    for words in [&["-n", "f", "true"][..], &["-xXNn", "f", "true"]] {
        assert_eq!(against_a_lock("-x", words), (Some(111), String::new(), said.into()));
    }
}

#[test]
fn a_silent_failure_is_none() {
    let silent = (Some(0), String::new(), String::new());
    assert_eq!(against_a_lock("-x", &["-nx", "f", "echo"]), silent);
    assert_eq!(setlock(&["-x", "/nonexistent/f", "echo"]), silent);
}

#[test]
fn a_file_that_cannot_be_opened_is_a_failure() {
    let said = "setlock: fatal: unable to open /nonexistent/f: file does not exist\n";
    assert_eq!(setlock(&["/nonexistent/f", "true"]), (Some(111), String::new(), said.into()));
}

#[test]
fn a_fifo_does_not_hold_it_up() {
    let place = scratch();
    place.fifo("f");
    let mut command = program("setlock");
    let o = command.args(["f", "true"]).current_dir(place.path()).output().unwrap();
    let said = "setlock: fatal: unable to open f: device not configured\n";
    assert_eq!(ran(&o), (Some(111), String::new(), said.into()));
}

#[test]
fn a_missing_program_is_a_failure_even_when_silent() {
    let place = scratch();
    let mut command = program("setlock");
    let o = command.args(["-x", "f", "/nonexistent"]).current_dir(place.path()).output().unwrap();
    let said = "setlock: fatal: unable to run /nonexistent: file does not exist\n";
    assert_eq!(ran(&o), (Some(111), String::new(), said.into()));
}

#[test]
fn it_waits_for_the_lock() {
    let place = scratch();
    let mut holder = program("setlock");
    let mut holding =
        start(holder.args(["f", "sh", "-c", "echo held; read x"]).current_dir(place.path()));
    holding.wait_out("held\n");
    let mut waiting = program("setlock");
    let waiting = start(waiting.args(["-nN", "f", "echo", "mine"]).current_dir(place.path()));
    assert_eq!(waiting.ended(), None);
    holding.write("\n");
    assert_eq!(ran(&waiting.finish(LIMIT)), (Some(0), "mine\n".into(), String::new()));
}

#[test]
fn a_limited_wait_ends() {
    // -t is ours
    if original() {
        return;
    }
    let began = Instant::now();
    let said = "setlock: fatal: unable to lock f: temporary failure\n";
    let words = ["-t", "200", "f", "true"];
    assert_eq!(against_a_lock("-x", &words), (Some(111), String::new(), said.into()));
    assert!(began.elapsed() >= Duration::from_millis(200));
    assert_eq!(setlock(&["-t", "5s", "f", "true"]), (Some(100), String::new(), USAGE.into()));
}

#[test]
fn a_limited_wait_takes_the_lock_when_it_comes_free() {
    // -t is ours
    if original() {
        return;
    }
    let place = scratch();
    let mut holder = program("setlock");
    let mut holding =
        start(holder.args(["f", "sh", "-c", "echo held; read x"]).current_dir(place.path()));
    holding.wait_out("held\n");
    let mut waiting = program("setlock");
    waiting.args(["-t", "20000", "f", "echo", "mine"]).current_dir(place.path());
    let waiting = start(&mut waiting);
    assert_eq!(waiting.ended(), None);
    holding.write("\n");
    assert_eq!(ran(&waiting.finish(LIMIT)), (Some(0), "mine\n".into(), String::new()));
}

#[test]
fn shared_locks_exclude_only_the_exclusive_one() {
    // -s is ours
    if original() {
        return;
    }
    let done = (Some(0), "mine\n".into(), String::new());
    let said = "setlock: fatal: unable to lock f: temporary failure\n";
    assert_eq!(against_a_lock("-s", &["-sn", "f", "echo", "mine"]), done);
    assert_eq!(against_a_lock("-s", &["-n", "f", "echo"]), {
        (Some(111), String::new(), said.into())
    });
    assert_eq!(against_a_lock("-x", &["-sn", "f", "echo"]), {
        (Some(111), String::new(), said.into())
    });
}
