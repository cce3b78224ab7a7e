//! svscan as process 1 of a container, and the service that a container is for.
//!
//! 0.76 has no options and no signals, so nothing here is for the originals.

use crate::services::{STAYS, Services, assert_idle, is_gone, services};
use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;
use tests::{LIMIT, Running, fed, original, ran, skip, start, until};

/// svscan with these words, as process 1 of namespaces of its own, and its number outside.
fn first(place: &Services, words: &[&str]) -> Option<(Running, i32)> {
    let namespaces = ["-p", "-f", "-m", "--mount-proc"];
    if !Command::new("unshare").args(namespaces).arg("true").output().ok()?.status.success() {
        skip("needs namespaces");
        return None;
    }
    let svscan = place.command("svscan");
    let mut command = Command::new("unshare");
    command.args(namespaces).arg(svscan.get_program()).args(words).current_dir(place.path());
    command.envs(svscan.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let running = start(&mut command);
    let children = format!("/proc/{}/task/{0}/children", running.pid());
    let child = || fs::read_to_string(&children).ok()?.trim().parse::<i32>().ok();
    until(LIMIT, "process 1", || child().is_some());
    let pid = child()?;
    Some((running, pid))
}

fn send(pid: i32, signal: &str) {
    assert!(Command::new("kill").args([signal, &pid.to_string()]).status().unwrap().success());
}

#[test]
fn wrong_options_are_wrong_usage() {
    if original() {
        return;
    }
    let place = services();
    place.dir("service");
    let usage = "svscan: usage: svscan [ -1 ] [ -x service ] [ dir ]\n";
    let run = |words: &[&str]| ran(&fed(place.command("svscan").args(words), ""));
    let err = format!("svscan: illegal option -- z\n{usage}");
    assert_eq!(run(&["-z"]), (Some(100), String::new(), err));
    let err = "svscan: fatal: unable to chdir to gone: file does not exist\n";
    assert_eq!(run(&["-x", "gone", "service"]), (Some(111), String::new(), err.into()));
}

#[test]
fn everything_ends_with_the_main_service() {
    if original() {
        return;
    }
    for (run, code) in
        [("exit 7\n", 7), ("exit 0\n", 0), ("kill -9 $$\n", 137), ("exit 100\n", 100)]
    {
        let place = services();
        place.service("service/main", &format!("echo run >>runs\nsleep 0.2\necho bye\n{run}"));
        place.service("service/main/log", "exec multilog ./main\n");
        place.service(
            "service/other",
            "trap 'echo ended >>told; exit' TERM\n>up\nsleep 1000 & wait\n",
        );
        let mut command = place.command("svscan");
        let scan = start(command.args(["-x", "main", "service"]));
        assert_eq!(scan.wait(LIMIT).code(), Some(code), "{run}");
        assert_eq!(place.text("service/main/runs"), "run\n");
        assert_eq!(place.text("service/main/log/main/current"), "bye\n");
        if place.exists("service/other/up") {
            assert_eq!(place.text("service/other/told"), "ended\n");
        }
    }
}

#[test]
fn waiting_for_the_main_service_costs_nothing() {
    if original() {
        return;
    }
    // its supervise may have its folder elsewhere, too
    for link in [None, Some("../../elsewhere")] {
        let place = services();
        place.dir("service/main");
        if let Some(target) = link {
            symlink(target, place.join("service/main/supervise")).unwrap();
        }
        let scan = start(place.command("svscan").args(["-x", "main", "service"]));
        scan.wait_err("svscan: info: main has no file run yet\n");
        assert_idle(scan.pid());
        place.service("main", "exit 5\n");
        fs::rename(place.join("main/run"), place.join("service/main/run")).unwrap();
        assert_eq!(scan.wait(LIMIT).code(), Some(5));
        assert_eq!(place.exists("elsewhere/status"), link.is_some());
    }
}

#[test]
fn an_end_of_long_ago_does_not_count() {
    if original() {
        return;
    }
    let place = services();
    place.service("service/main", "[ -e again ] && exec sleep 1000\n>again\nexit 3\n");
    let svscan = || start(place.command("svscan").args(["-x", "main", "service"]));
    assert_eq!(svscan().wait(LIMIT).code(), Some(3));
    let scan = svscan();
    place.wait_pid("service/main", 0);
    place.wait_state("service/main", "want", "once");
    place.svc(&["-t", "service/main"]);
    assert_eq!(scan.wait(LIMIT).code(), Some(128 + 15));
}

#[test]
fn process_one_buries_everybody_and_ends_in_order() {
    if original() {
        return;
    }
    for signal in ["-TERM", "-INT", "-QUIT", "-PWR", "-37"] {
        let place = services();
        place.service("service/a", "trap 'seq 1000; exit' TERM\n>up\nwhile :; do sleep 1000 >/dev/null 2>&1 & wait; done\n");
        place.service("service/a/log", "exec multilog ./main\n");
        // leaves an orphan, which dies
        place.service(
            "service/b",
            "(sh -c 'sleep 0.1; exit 3' >/dev/null 2>&1 &)\n>up\nexec sleep 1000\n",
        );
        let Some((scan, pid)) = first(&place, &["service"]) else { return };
        for name in ["service/a/up", "service/b/up"] {
            until(LIMIT, name, || place.exists(name));
        }
        send(pid, "-USR1");
        send(pid, "-USR2");
        let children = format!("/proc/{pid}/task/{pid}/children");
        until(LIMIT, "no zombie", || {
            let children = fs::read_to_string(&children).unwrap_or_default();
            children.split_whitespace().all(|child| !is_gone(child.parse().unwrap()))
        });
        send(pid, signal);
        assert_eq!(ran(&scan.finish(LIMIT)), (Some(0), String::new(), String::new()), "{signal}");
        assert_eq!(place.text("service/a/log/main/current").lines().count(), 1000);
    }
}

#[test]
fn a_container_ends_with_the_code_of_its_main_service() {
    if original() {
        return;
    }
    let place = services();
    place.service("service/main", "until [ -e ../../go ]; do sleep 0.01; done\nexit 9\n");
    place.service("service/other", STAYS);
    let Some((scan, _)) = first(&place, &["-x", "main", "service"]) else { return };
    place.wait_pid("service/other", 0);
    place.write("go", "");
    assert_eq!(scan.wait(LIMIT).code(), Some(9));
}

#[test]
fn a_stopped_container_ends_with_zero() {
    if original() {
        return;
    }
    let place = services();
    place.service("service/main", STAYS);
    let Some((scan, pid)) = first(&place, &["-x", "main", "service"]) else { return };
    place.wait_pid("service/main", 0);
    send(pid, "-TERM");
    assert_eq!(scan.wait(LIMIT).code(), Some(0));
}
