//! supervise and svscan where the ground moves: folders that vanish, disks that are read-only,
//! signals in storms, no descriptors left.

use crate::services::{STAYS, assert_idle, is_gone, services, signal};
use std::fs;
use std::process::Command;
use tests::{LIMIT, Random, fed, original, ran, root, skip, start, until};

#[test]
fn a_folder_that_is_removed_takes_nothing_down_with_it() {
    // 0.76 knows no signals, and its svc no way without a name
    if original() {
        return;
    }
    let place = services();
    for name in ["a", "b", "c"] {
        place.service(name, STAYS);
    }
    let [a, b, c] = ["a", "b", "c"].map(|name| place.supervise(name));
    let pids = ["a", "b", "c"].map(|name| place.wait_pid(name, 0));
    fs::remove_dir_all(place.join("a")).unwrap();
    fs::rename(place.join("b"), place.join("elsewhere")).unwrap();
    fs::rename(place.join("c"), place.join("old")).unwrap();
    place.service("c", STAYS);
    // the renamed ones go on under their new names
    signal(pids[1], libc::SIGKILL);
    place.wait_pid("elsewhere", pids[1]);
    place.svc(&["-t", "old"]);
    place.wait_pid("old", pids[2]);
    let second = place.supervise("c");
    assert_ne!(place.wait_pid("c", 0), place.pid("old"));
    // the removed one can neither be started nor written down, but ended
    assert!(!is_gone(pids[0]));
    signal(pids[0], libc::SIGKILL);
    a.wait_err("supervise: fatal: unable to start a/run: file does not exist\n");
    for running in [a, b, c, second] {
        running.signal(libc::SIGTERM);
        assert_eq!(running.wait(LIMIT).code(), Some(0));
    }
}

#[test]
fn a_read_only_disk_is_told() {
    if !root() {
        return skip("needs root");
    }
    let place = services();
    place.service("a", STAYS);
    let mut command = Command::new("unshare");
    let text = "mount --bind a a && mount -o remount,ro,bind a a && exec \"$0\" a";
    command.args(["-m", "sh", "-c", text]);
    command.arg(place.command("supervise").get_program()).current_dir(place.path());
    let output = fed(&mut command, "");
    if output.status.code() != Some(111) {
        return skip("needs to mount");
    }
    let (_, out, err) = ran(&output);
    let text = "supervise: fatal: unable to acquire a/supervise/lock: file does not exist\n";
    assert_eq!((out, err), (String::new(), text.into()));
}

#[test]
fn storms_of_signals_do_no_harm() {
    // 0.76 dies of the first
    if original() {
        return;
    }
    let place = services();
    place.service("service/a", STAYS);
    let scan = place.svscan();
    let pid = place.wait_pid("service/a", 0);
    until(LIMIT, "supervise", || !place.state("service/a", "supervisor").is_empty());
    let supervise = place.state("service/a", "supervisor").parse().unwrap();
    let mut random = Random::new(21);
    for _ in 0..5000 {
        signal(supervise, [libc::SIGTSTP, libc::SIGCONT, libc::SIGCHLD][random.below(3)]);
        signal(scan.pid(), [libc::SIGALRM, libc::SIGCHLD, libc::SIGHUP][random.below(3)]);
    }
    for (order, paused) in [(libc::SIGTSTP, "yes"), (libc::SIGCONT, "no")] {
        signal(supervise, order);
        place.wait_state("service/a", "paused", paused);
    }
    assert_eq!(place.pid("service/a"), pid);
    assert_idle(supervise);
    assert_idle(scan.pid());
    scan.signal(libc::SIGTERM);
    assert_eq!(ran(&scan.finish(LIMIT)), (Some(0), String::new(), String::new()));
}

#[test]
fn without_descriptors_supervise_waits_for_better_times() {
    // 0.76 needs fewer
    if original() {
        return;
    }
    let place = services();
    place.service("a", STAYS);
    for limit in 4..16 {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &format!("ulimit -n {limit}; exec \"$0\" a")]);
        shell.arg(place.command("supervise").get_program()).current_dir(place.path());
        let running = start(&mut shell);
        until(LIMIT, "an end, a word or a service", || {
            running.ended().is_some() || !running.err().is_empty() || place.pid("a") != 0
        });
        // what it cannot do without is fatal at the start; the rest it tries again
        running.signal(libc::SIGTERM);
        let code = running.wait(LIMIT).code();
        assert!([Some(0), Some(111)].contains(&code), "{limit}: {code:?} {}", running.err());
        assert!(!running.err().contains("internal"), "{limit}: {}", running.err());
    }
}
