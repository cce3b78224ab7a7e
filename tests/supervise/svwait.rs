//! svwait: every goal, every end of the waiting, and no work meanwhile.

use crate::pretender::{DOWN, FAILED, UP, pretend};
use crate::services::{STAYS, Services, assert_idle, services, signal};
use tests::{LIMIT, Running, fed, original, ran, start};

type Said = (Option<i32>, String, String);

fn said(code: i32, err: &str) -> Said {
    (Some(code), String::new(), err.into())
}

/// svwait, which has begun to wait.
fn waiting(place: &Services, words: &[&str]) -> Running {
    let running = start(place.command("svwait").args(words));
    tests::until(LIMIT, "it waits", || {
        let state = crate::services::process(running.pid());
        state.first().is_some_and(|state| state == "S") && watches(running.pid())
    });
    running
}

/// It has an inotify descriptor with a watch.
fn watches(pid: i32) -> bool {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fdinfo")).into_iter().flatten().flatten();
    let texts = entries.map(|entry| std::fs::read_to_string(entry.path()).unwrap_or_default());
    texts.into_iter().any(|text| text.contains("inotify wd:"))
}

/// The code of svwait that need not wait, or has waited for a millisecond.
fn at_once(place: &Services, words: &[&str]) -> Said {
    ran(&fed(place.command("svwait").args(["-t", "1"]).args(words), ""))
}

#[test]
fn every_goal_is_reached_or_not() {
    if original() {
        return;
    }
    let place = services();
    let service = pretend(&place, "a");
    let finishing: &[u8] = b"\0d\x03\x02";
    // pid, status, state; whether -u -U -d -D are reached
    let cases = [
        (7, UP, "", [true, true, false, false]),
        (7, UP, "script=run\nready=no\n", [true, false, false, false]),
        (7, UP, "script=run\nready=yes\n", [true, true, false, false]),
        (7, b"\0u\x01\x01", "script=start\n", [false, false, false, false]),
        (7, finishing, "script=finish\n", [false, false, true, false]),
        (7, b"\0d\x04\x01", "script=stop\n", [false, false, true, false]),
        (0, b"\0\0\x02\x00", "", [true, true, true, true]),
        (0, DOWN, "", [false, false, true, true]),
        (0, b"\0u\x00\x00", "delay=5\n", [false, false, true, true]),
    ];
    for (pid, status, state, reached) in cases {
        service.says(pid, status, state);
        for (goal, reached) in ["-u", "-U", "-d", "-D"].iter().zip(reached) {
            let code = if reached { 0 } else { 99 };
            assert_eq!(at_once(&place, &[goal, "a"]), said(code, ""), "{status:?} {state} {goal}");
        }
        assert_eq!(at_once(&place, &["-r", "a"]), said(99, ""));
    }
    // others have no state file, and no byte for the state
    service.says(7, b"\0u", "").forget_state();
    assert_eq!(at_once(&place, &["-U", "a"]), said(0, ""));
}

#[test]
fn it_waits_until_the_service_is_up_and_does_nothing_meanwhile() {
    if original() {
        return;
    }
    let place = services();
    let service = pretend(&place, "a");
    let wait = waiting(&place, &["a"]);
    assert_idle(wait.pid());
    service.says(7, UP, "");
    assert_eq!(ran(&wait.finish(LIMIT)), said(0, ""));
}

#[test]
fn readiness_comes_after_the_start() {
    if original() {
        return;
    }
    let place = services();
    let service = pretend(&place, "a");
    let wait = waiting(&place, &["-U", "a"]);
    service.says(7, UP, "script=run\nready=no\n");
    // a status that is newer than the state says nothing of readiness
    service.says(8, UP, "script=run\nready=no\n");
    assert_eq!(wait.ended(), None);
    service.says(8, UP, "script=run\nready=yes\n");
    assert_eq!(ran(&wait.finish(LIMIT)), said(0, ""));
}

#[test]
fn a_restart_is_another_process() {
    if original() {
        return;
    }
    let place = services();
    let service = pretend(&place, "a");
    service.says(7, UP, "script=run\nready=yes\n");
    let (restarted, ready) = (waiting(&place, &["-r", "a"]), waiting(&place, &["-R", "a"]));
    service.says(0, b"\0u\0\0", "delay=1\n");
    service.says(9, UP, "script=run\nready=no\n");
    assert_eq!(ran(&restarted.finish(LIMIT)), said(0, ""));
    assert_eq!(ready.ended(), None);
    service.says(9, UP, "script=run\nready=yes\n");
    assert_eq!(ran(&ready.finish(LIMIT)), said(0, ""));
}

#[test]
fn all_are_waited_for_or_one() {
    if original() {
        return;
    }
    let place = services();
    let (a, b) = (pretend(&place, "a"), pretend(&place, "b"));
    let (all, one) = (waiting(&place, &["a", "b"]), waiting(&place, &["-o", "a", "b"]));
    a.says(7, UP, "");
    assert_eq!(ran(&one.finish(LIMIT)), said(0, ""));
    assert_eq!(all.ended(), None);
    b.says(8, UP, "");
    assert_eq!(ran(&all.finish(LIMIT)), said(0, ""));
}

#[test]
fn failed_services_are_counted() {
    if original() {
        return;
    }
    let place = services();
    let (a, b, c) = (pretend(&place, "a"), pretend(&place, "b"), pretend(&place, "c"));
    a.says(0, FAILED, "failed=yes\n");
    b.says(0, FAILED, "failed=yes\n");
    let words = ["a", "b", "c"];
    let wait = waiting(&place, &words);
    assert_eq!(at_once(&place, &["-o", "a", "b", "c"]), said(99, ""));
    c.says(7, UP, "");
    assert_eq!(ran(&wait.finish(LIMIT)), said(2, ""));
    assert_eq!(at_once(&place, &["-o", "a", "b", "c"]), said(0, ""));
    assert_eq!(at_once(&place, &["-o", "a", "b"]), said(2, ""));
    assert_eq!(at_once(&place, &["a"]), said(1, ""));
    assert_eq!(at_once(&place, &["-d", "a", "b"]), said(0, ""));
}

#[test]
fn more_than_98_failed_services_are_98() {
    if original() {
        return;
    }
    let place = services();
    let names: Vec<String> = (0..110).map(|number| number.to_string()).collect();
    let services: Vec<_> = names.iter().map(|name| pretend(&place, name)).collect();
    for service in &services {
        service.says(0, FAILED, "");
    }
    let words: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(at_once(&place, &words), said(98, ""));
}

#[test]
fn what_is_not_supervised_is_not_waited_for() {
    if original() {
        return;
    }
    let place = services();
    place.dir("new").fifo("ended/supervise/ok");
    let usage = "svwait: usage: svwait [ -uUdDrR ] [ -ao ] [ -t milliseconds ] dir ...\n";
    assert_eq!(at_once(&place, &[]), said(100, usage));
    assert_eq!(at_once(&place, &["-t", "soon", "new"]), said(100, usage));
    let err = "svwait: fatal: new: unable to open supervise/ok: file does not exist\n";
    assert_eq!(at_once(&place, &["new"]), said(100, err));
    let err = "svwait: fatal: ended: supervise not running\n";
    assert_eq!(at_once(&place, &["ended"]), said(100, err));
    let err = "svwait: fatal: gone: unable to chdir: file does not exist\n";
    assert_eq!(at_once(&place, &["gone"]), said(111, err));
}

#[test]
fn the_end_of_supervise_ends_the_waiting() {
    if original() {
        return;
    }
    let place = services();
    place.service("a", STAYS).write("a/down", "");
    let supervise = place.supervise("a");
    let wait = waiting(&place, &["a"]);
    assert_idle(wait.pid());
    signal(supervise.pid(), libc::SIGKILL);
    let err = "svwait: fatal: the supervise of a has ended\n";
    assert_eq!(ran(&wait.finish(LIMIT)), said(102, err));
}

#[test]
fn a_service_tells_that_it_is_ready() {
    if original() {
        return;
    }
    let place = services();
    place.fifo("gate");
    place.service("a", "read go <../gate; echo >&3; exec sleep 1000\n");
    place.write("a/notification-fd", "3\n");
    let _supervise = place.supervise("a");
    place.wait_pid("a", 0);
    let up = start(place.command("svwait").arg("a"));
    let ready = waiting(&place, &["-U", "a"]);
    assert_eq!(ran(&up.finish(LIMIT)), said(0, ""));
    assert_eq!(ready.ended(), None);
    place.write("gate", "go\n");
    assert_eq!(ran(&ready.finish(LIMIT)), said(0, ""));
}

#[test]
fn a_service_is_waited_for_through_its_life() {
    if original() {
        return;
    }
    let place = services();
    place.service("a", STAYS).write("a/down", "");
    let _supervise = place.supervise("a");
    let up = waiting(&place, &["-U", "a"]);
    place.svc(&["-u", "a"]);
    assert_eq!(ran(&up.finish(LIMIT)), said(0, ""));
    place.wait_pid("a", 0);
    let restarted = waiting(&place, &["-r", "a"]);
    place.svc(&["-t", "a"]);
    assert_eq!(ran(&restarted.finish(LIMIT)), said(0, ""));
    let down = waiting(&place, &["-D", "a"]);
    place.svc(&["-d", "a"]);
    assert_eq!(ran(&down.finish(LIMIT)), said(0, ""));
}
