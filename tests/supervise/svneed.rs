//! svneed: the child runs when all that it needs is ready, and not before.

use crate::pretender::{FAILED, UP, pretend};
use crate::services::{STAYS, assert_idle, services};
use tests::{LIMIT, fed, original, ran, start};

type Said = (Option<i32>, String, String);

fn said(code: i32, out: &str, err: &str) -> Said {
    (Some(code), out.into(), err.into())
}

#[test]
fn the_child_runs_when_all_are_ready() {
    if original() {
        return;
    }
    let place = services();
    let (a, b) = (pretend(&place, "a"), pretend(&place, "b"));
    a.says(7, UP, "");
    b.says(8, UP, "script=run\nready=no\n");
    let need = start(place.command("svneed").args(["a", "b", "--", "echo", "-n", "runs"]));
    assert_idle(need.pid());
    b.says(8, UP, "script=run\nready=yes\n");
    assert_eq!(ran(&need.finish(LIMIT)), said(0, "runs", ""));
}

#[test]
fn what_is_not_supervised_yet_is_waited_for() {
    if original() {
        return;
    }
    let place = services();
    place.service("a", STAYS);
    let need = start(place.command("svneed").args(["a", "--", "echo", "runs"]));
    assert_idle(need.pid());
    let _supervise = place.supervise("a");
    assert_eq!(ran(&need.finish(LIMIT)), said(0, "runs\n", ""));
}

#[test]
fn a_service_that_has_failed_may_come_back() {
    if original() {
        return;
    }
    let place = services();
    let service = pretend(&place, "a");
    service.says(0, FAILED, "failed=yes\n");
    let need = start(place.command("svneed").args(["a", "--", "echo", "runs"]));
    assert_idle(need.pid());
    service.says(7, UP, "");
    assert_eq!(ran(&need.finish(LIMIT)), said(0, "runs\n", ""));
}

#[test]
fn time_ends_the_waiting() {
    if original() {
        return;
    }
    let place = services();
    let _service = pretend(&place, "a");
    place.dir("new");
    for name in ["a", "new"] {
        let o = fed(place.command("svneed").args(["-t", "5", name, "--", "echo", "runs"]), "");
        let err = format!("svneed: fatal: {name} is not ready in time\n");
        assert_eq!(ran(&o), said(111, "", &err));
    }
}

#[test]
fn wrong_words_and_missing_things() {
    if original() {
        return;
    }
    let place = services();
    let svneed = |words: &[&str]| ran(&fed(place.command("svneed").args(words), ""));
    let usage = "svneed: usage: svneed [ -t milliseconds ] dir ... -- child\n";
    let wrong: [&[&str]; 6] = [
        &[],
        &["a"],
        &["a", "--"],
        &["--", "--", "true"],
        &["a", "true"],
        &["-tx", "a", "--", "b"],
    ];
    for words in wrong {
        assert_eq!(svneed(words), said(100, "", usage), "{words:?}");
    }
    let err = "svneed: fatal: unable to chdir to gone: file does not exist\n";
    assert_eq!(svneed(&["gone", "--", "true"]), said(111, "", err));
    let service = pretend(&place, "a");
    service.says(7, UP, "");
    let err = "svneed: fatal: unable to run ./none: file does not exist\n";
    assert_eq!(svneed(&["a", "--", "./none"]), said(111, "", err));
    assert_eq!(svneed(&["a", "--", "sh", "-c", "exit 7"]), said(7, "", ""));
}
