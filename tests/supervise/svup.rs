//! svup: an exit code for each state of a service and its log script.

use crate::pretender::{DOWN, FAILED, UP, pretend, stamp};
use crate::services::{STAYS, services};
use tests::{LIMIT, fed, original, ran};

type Said = (Option<i32>, String, String);

fn said(code: i32, err: &str) -> Said {
    (Some(code), String::new(), err.into())
}

#[test]
fn the_code_says_whether_it_is_up() {
    if original() {
        return;
    }
    let place = services();
    let svup = |words: &[&str]| ran(&fed(place.command("svup").args(words), ""));
    let service = pretend(&place, "a");
    let log = |pid: u8, rest: &[u8]| [&stamp()[..], &[pid, 0, 0, 0], rest].concat();
    let both = |service: &[u8], log: Vec<u8>| [service, &log].concat();
    // pid, status, and the codes of svup, svup -l and svup -L
    let cases = [
        (7, UP.to_vec(), [0, 0, 100]),
        (0, DOWN.to_vec(), [100, 100, 100]),
        (0, FAILED.to_vec(), [100, 100, 100]),
        (0, b"\0\0\x02\0".to_vec(), [0, 0, 100]),
        (7, b"\0u\x01\x01".to_vec(), [0, 0, 100]),
        (7, b"\0u".to_vec(), [0, 0, 100]),
        (7, both(UP, log(8, UP)), [0, 0, 0]),
        (7, both(UP, log(0, DOWN)), [100, 0, 100]),
        (0, both(DOWN, log(8, UP)), [100, 100, 0]),
    ];
    for (pid, status, codes) in cases {
        service.says(pid, &status, "");
        for (words, code) in [&["a"][..], &["-l", "a"], &["-L", "a"]].iter().zip(codes) {
            assert_eq!(svup(words), said(code, ""), "{status:?} {words:?}");
        }
    }
    drop(service);
    assert_eq!(svup(&["a"]), said(100, ""));
}

#[test]
fn what_cannot_be_seen_is_a_failure_and_what_never_ran_is_down() {
    if original() {
        return;
    }
    let place = services();
    let svup = |words: &[&str]| ran(&fed(place.command("svup").args(words), ""));
    let usage = "svup: usage: svup [ -lL ] dir\n";
    assert_eq!(svup(&[]), said(100, usage));
    assert_eq!(svup(&["-x", "a"]), said(100, &format!("svup: illegal option -- x\n{usage}")));
    place.dir("new");
    assert_eq!(svup(&["new"]), said(100, ""));
    let err = "svup: fatal: unable to chdir in gone: file does not exist\n";
    assert_eq!(svup(&["gone"]), said(111, err));
    let _service = pretend(&place, "short");
    place.write("short/supervise/status", "short");
    let err = "svup: fatal: unable to read supervise/status: bad format in short\n";
    assert_eq!(svup(&["short"]), said(111, err));
}

#[test]
fn a_service_that_runs_is_up() {
    if original() {
        return;
    }
    let place = services();
    place.service("a", STAYS);
    let supervise = place.supervise("a");
    place.wait_pid("a", 0);
    assert_eq!(ran(&fed(place.command("svup").arg("a"), "")), said(0, ""));
    place.svc(&["-dx", "a"]);
    supervise.wait(LIMIT);
    assert_eq!(ran(&fed(place.command("svup").arg("a"), "")), said(100, ""));
}
