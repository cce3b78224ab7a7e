//! svscan, supervise and multilog when there are no descriptors left.

use crate::services::{STAYS, Services, services};
use std::process::Command;
use tests::{LIMIT, fed, limited, original, program, ran, scratch, start, until};

/// Leaves a process that runs so many descriptors.
#[track_caller]
fn leave(pid: i32, descriptors: usize) {
    let mut command = Command::new("prlimit");
    command.args(["--pid", &pid.to_string(), &format!("--nofile={descriptors}:")]);
    assert!(command.status().unwrap().success());
}

/// Starts it with so few descriptors, waits until it has come to something, and ends it. Its code
/// and words.
fn tried(
    place: &Services,
    limit: usize,
    command: &Command,
    service: &str,
) -> (Option<i32>, String) {
    let running = start(&mut limited(&format!("-n {limit}"), command));
    until(LIMIT, "an end, a word or a service", || {
        running.ended().is_some() || !running.err().is_empty() || place.pid(service) != 0
    });
    running.signal(libc::SIGTERM);
    let (code, _, err) = ran(&running.finish(LIMIT));
    (code, err)
}

/// It did what it could, or gave up. One that gives up may meet the signal before its end.
#[track_caller]
fn assert_whole(limit: usize, (code, err): (Option<i32>, String)) {
    let gave_up = err.contains(": fatal: ");
    assert!(
        code == Some(0) || gave_up && [None, Some(111)].contains(&code),
        "{limit} {code:?} {err}"
    );
    assert!(!err.contains("internal"), "{limit}: {err}");
}

#[test]
fn with_too_few_descriptors_nothing_is_done_by_halves() {
    // the originals need fewer
    if original() {
        return;
    }
    for limit in 3..16 {
        let place = services();
        place.service("service/a", STAYS);
        let (mut svscan, mut supervise) = (place.command("svscan"), place.command("supervise"));
        assert_whole(limit, tried(&place, limit, svscan.arg("service"), "service/a"));
        place.service("b", STAYS);
        assert_whole(limit, tried(&place, limit, supervise.arg("b"), "b"));
        let mut multilog = place.command("multilog");
        multilog.args(["s4096", "./m", "=status"]);
        let (code, _, err) = ran(&fed(&mut limited(&format!("-n {limit}"), &multilog), "a\n"));
        assert!(code != Some(0) || place.text("m/current") == "a\n", "{limit}: {err}");
        assert_whole(limit, (code, err));
    }
}

#[test]
fn a_supervise_that_loses_its_descriptors_goes_on_when_it_gets_them_back() {
    // 0.76 has no state
    if original() {
        return;
    }
    let place = services();
    place.service("a", STAYS);
    let running = place.supervise("a");
    place.wait_name("a", "sleep");
    leave(running.pid(), 3);
    place.svc(&["-k", "a"]);
    let why = "process cannot open more files";
    running.wait_err(&format!("supervise: warning: unable to open a/supervise/state.new: {why}\n"));
    leave(running.pid(), 100);
    place.wait_name("a", "sleep");
    until(LIMIT, "its state", || place.state("a", "pid") == place.pid("a").to_string());
    running.signal(libc::SIGTERM);
    assert_eq!(running.wait(LIMIT).code(), Some(0));
}

#[test]
fn an_svscan_that_loses_its_descriptors_goes_on_when_it_gets_them_back() {
    let place = services();
    place.service("service/a", STAYS);
    let scan = place.svscan();
    let pid = place.wait_pid("service/a", 0);
    leave(scan.pid(), 3);
    place.service("b", STAYS).service("b/log", "exec cat >out\n").link(&["b"]);
    scan.wait_err("process cannot open more files\n");
    leave(scan.pid(), 100);
    place.wait_name("service/b", "sleep");
    place.wait_name("service/b/log", "cat");
    assert_eq!(place.pid("service/a"), pid);
    if !original() {
        scan.signal(libc::SIGTERM);
        assert_eq!(scan.wait(LIMIT).code(), Some(0));
    }
}

#[test]
fn a_multilog_that_loses_its_descriptors_goes_on_when_it_gets_them_back() {
    let place = scratch();
    let mut running =
        start(program("multilog").args(["s4096", "n100", "./m"]).current_dir(place.path()));
    until(LIMIT, "the log", || place.exists("m/current"));
    leave(running.pid(), 3);
    let lines: String = (0..1000).map(|number| format!("line {number}\n")).collect();
    running.write(&lines);
    let why = "pausing: process cannot open more files";
    running.wait_err(&format!("multilog: warning: unable to create ./m/current, {why}\n"));
    leave(running.pid(), 100);
    assert_eq!(running.finish(LIMIT).status.code(), Some(0));
    let mut names = place.names("m");
    names.retain(|name| name.starts_with('@') || name == "current");
    names.sort();
    let kept: String = names.iter().map(|name| place.text(format!("m/{name}"))).collect();
    assert!(kept == lines && names.len() > 2, "{names:?}");
}
