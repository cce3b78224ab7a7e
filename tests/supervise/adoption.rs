//! A supervise that was killed: the next one goes on with what still runs.
//!
//! 0.76 starts a second copy, so nothing here is for the originals.

use crate::services::{STAYS, Services, assert_idle, is_gone, parent, process, services, signal};
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};
use tests::{LIMIT, Running, bin, original, skip, start, until, without};

/// A run script that tells of its start, and of a second copy of it.
const SINGLE: &str = "exec 9>>../lock\nflock -n 9 || { echo $$ >>../doubles; exit 1; }\n\
                      echo $$ >>../runs\nexec sleep 1000\n";

#[test]
fn a_service_outlives_its_supervise() {
    if original() {
        return;
    }
    let place = services();
    place.service("a", SINGLE);
    let first = place.supervise("a");
    let pid = place.wait_lines("runs", 1)[0].parse().unwrap();
    place.wait_state("a", "pid", &format!("{pid}"));
    place.wait_pid("a", 0);
    assert_eq!([place.state("a", "adopted"), place.state("a", "script")], ["no", "run"]);
    let status = place.read("a/supervise/status");
    let second = place.again("a", first);
    assert_eq!((place.pid("a"), place.stat("a")), (pid, "up (pid N) S seconds".into()));
    assert_eq!(place.read("a/supervise/status"), status);
    assert_eq!(place.state("a", "adopted"), "yes");
    assert_eq!(place.state("a", "supervisor"), second.pid().to_string());
    assert!(parent(pid) != second.pid());
    assert_idle(second.pid());
    // orders reach it
    place.svc(&["-p", "a"]);
    until(LIMIT, "stopped", || process(pid)[0] == "T");
    place.wait_state("a", "paused", "yes");
    let third = place.again("a", second);
    place.wait_stat("a", "up (pid N) S seconds, paused");
    place.svc(&["-c", "a"]);
    until(LIMIT, "going on", || process(pid)[0] == "S");
    // its death is seen, and another one started
    signal(pid, libc::SIGKILL);
    let next = place.wait_pid("a", pid);
    place.wait_lines("runs", 2);
    assert_eq!(parent(next), third.pid());
    assert_eq!([place.state("a", "adopted"), place.state("a", "restarts")], ["no", "1"]);
    assert_eq!(place.state("a", "last_exit") + &place.state("a", "last_signal"), "");
    place.dismiss("a", third);
    assert!(!place.exists("doubles"));
}

#[test]
fn what_was_wanted_of_it_stays_wanted() {
    if original() {
        return;
    }
    let place = services();
    place.service("a", SINGLE).write("a/down", "");
    let first = place.supervise("a");
    place.svc(&["-o", "a"]);
    place.wait_lines("runs", 1);
    place.wait_state("a", "want", "once");
    let second = place.again("a", first);
    assert_eq!(place.stat("a"), "up (pid N) S seconds, normally down");
    assert_eq!(place.state("a", "want"), "once");
    signal(place.pid("a"), libc::SIGTERM);
    place.wait_stat("a", "down S seconds");
    place.dismiss("a", second);
    assert_eq!(place.text("runs").lines().count(), 1);
}

/// Starts the next supervise after one that was killed, which says this of the service. Only when it
/// is told that the service is to be up, that starts for the second time.
#[track_caller]
fn starts_when_told(place: &Services, name: &str, down: &str) {
    let next = place.supervise(name);
    assert_eq!(place.stat(name), down, "{name}");
    place.svc(&["-u", name]);
    let runs = place.wait_lines(&format!("{name}/runs"), 2);
    place.wait_stat(name, "up (pid N) S seconds");
    assert_eq!(runs[1..], [place.pid(name).to_string()]);
    place.dismiss(name, next);
}

/// Tells of its start, and stays.
const TELLS: &str = "echo $$ >>runs\nexec sleep 1000\n";

#[test]
fn what_was_down_stays_down() {
    if original() {
        return;
    }
    let place = services();
    for (name, signal) in [("a", libc::SIGKILL), ("b", libc::SIGQUIT)] {
        place.service(name, TELLS);
        let first = place.supervise(name);
        place.wait_lines(&format!("{name}/runs"), 1);
        place.svc(&["-d", name]);
        place.wait_stat(name, "down S seconds, normally up");
        place.wait_state(name, "want", "down");
        first.signal(signal);
        first.wait(LIMIT);
        starts_when_told(&place, name, "down S seconds, normally up");
    }
}

#[test]
fn what_has_failed_stays_so() {
    if original() {
        return;
    }
    let place = services();
    place.service("a", "echo $$ >>runs\n[ -e well ] || exit 100\nexec sleep 1000\n");
    let first = place.supervise("a");
    place.wait_state("a", "failed", "yes");
    first.signal(libc::SIGKILL);
    first.wait(LIMIT);
    place.write("a/well", "");
    starts_when_told(&place, "a", "down S seconds, normally up, failed");
}

#[test]
fn what_was_to_run_once_has_run_if_nobody_saw_its_end() {
    if original() {
        return;
    }
    let place = services();
    place.service("a", TELLS).write("a/down", "");
    let first = place.supervise("a");
    place.svc(&["-o", "a"]);
    let pid = place.wait_lines("a/runs", 1)[0].parse().unwrap();
    place.wait_state("a", "want", "once");
    first.signal(libc::SIGKILL);
    first.wait(LIMIT);
    signal(pid, libc::SIGKILL);
    until(LIMIT, "its end", || is_gone(pid));
    let next = place.supervise("a");
    assert_eq!(
        (place.stat("a"), place.state("a", "want")),
        ("down S seconds".into(), "once".into())
    );
    place.svc(&["-u", "a"]);
    let pid = place.wait_lines("a/runs", 2)[1].parse().unwrap();
    place.wait_stat("a", "up (pid N) S seconds, normally down");
    // what was to be up is, although there is a file down
    next.signal(libc::SIGKILL);
    next.wait(LIMIT);
    signal(pid, libc::SIGKILL);
    until(LIMIT, "its end", || is_gone(pid));
    let last = place.supervise("a");
    place.wait_lines("a/runs", 3);
    place.dismiss("a", last);
}

#[test]
fn a_log_script_that_was_down_stays_down() {
    if original() {
        return;
    }
    let place = services();
    place.service("a", STAYS).script("a/log", "echo $$ >>runs\nexec cat >/dev/null\n");
    let first = place.supervise("a");
    place.wait_lines("a/runs", 1);
    place.svc(&["-Ld", "a"]);
    place.wait_state("a", "log_pid", "");
    until(LIMIT, "the wish", || place.read("a/supervise/status")[37] == b'd');
    let second = place.again("a", first);
    place.wait_stat("a", "up (pid N) S seconds\na log: down S seconds");
    place.svc(&["-Lu", "a"]);
    place.wait_lines("a/runs", 2);
    place.dismiss("a", second);
    assert_eq!(place.text("a/runs").lines().count(), 2);
}

#[test]
fn another_life_of_the_system_begins_anew() {
    if original() {
        return;
    }
    let place = services();
    place.service("a", TELLS);
    let mut running = place.supervise("a");
    let mut runs = 1;
    place.wait_lines("a/runs", runs);
    // the system was started again, or its container; or supervise has ended in order
    for key in ["boot", "init", "supervisor"] {
        place.svc(&["-d", "a"]);
        place.wait_state("a", "want", "down");
        place.wait_stat("a", "down S seconds, normally up");
        if key == "supervisor" {
            place.dismiss("a", running);
            assert_eq!(place.state("a", key), "");
        } else {
            running.signal(libc::SIGKILL);
            running.wait(LIMIT);
            let old = format!("\n{key}={}\n", place.state("a", key));
            let text = place.text("a/supervise/state");
            assert!(text.contains(&old), "{text}");
            let other = old.replace(|c: char| c.is_ascii_digit(), "7");
            place.write("a/supervise/state", text.replace(&old, &other));
        }
        running = place.supervise("a");
        runs += 1;
        place.wait_lines("a/runs", runs);
        place.wait_stat("a", "up (pid N) S seconds");
    }
    place.dismiss("a", running);
}

#[test]
fn an_adopted_service_is_stopped_like_any_other() {
    if original() {
        return;
    }
    let place = services();
    place.service("a", SINGLE);
    let first = place.supervise("a");
    place.wait_lines("runs", 1);
    let second = place.again("a", first);
    let pid = place.pid("a");
    place.dismiss("a", second);
    until(LIMIT, "the end", || is_gone(pid));
    assert_eq!((place.state("a", "pid"), place.pid("a")), (String::new(), 0));
}

#[test]
fn a_group_is_adopted_as_a_group() {
    if original() {
        return;
    }
    let place = services();
    place.service("a", "sleep 1000 >/dev/null 2>&1 &\necho $! >child\nexec sleep 1000\n");
    let first = place.supervise("a");
    let child = place.wait_lines("a/child", 1)[0].parse().unwrap();
    let second = place.again("a", first);
    let pid = place.pid("a");
    place.svc(&["-d+k", "a"]);
    until(LIMIT, "the end of both", || is_gone(pid) && is_gone(child));
    place.dismiss("a", second);
}

#[test]
fn without_pidfds_it_looks_once_a_second() {
    if original() {
        return;
    }
    let place = services();
    place.service("a", SINGLE);
    let first = place.supervise("a");
    place.wait_lines("runs", 1);
    first.signal(libc::SIGKILL);
    first.wait(LIMIT);
    let Some(mut blind) = without("pidfd_open", "ENOSYS", place.command("supervise").arg("a"))
    else {
        return;
    };
    let second = start(&mut blind);
    place.wait_state("a", "adopted", "yes");
    let pid = place.wait_pid("a", 0);
    place.svc(&["-p", "a"]);
    until(LIMIT, "stopped", || process(pid)[0] == "T");
    place.svc(&["-tc", "a"]);
    let next = place.wait_pid("a", pid);
    assert!(is_gone(pid));
    // signals reach a child as well
    place.svc(&["-t", "a"]);
    place.wait_pid("a", next);
    place.svc(&["-dx", "a"]);
    second.wait(LIMIT);
    assert!(!place.exists("doubles"));
}

#[test]
fn another_process_of_the_same_number_is_not_touched() {
    if original() {
        return;
    }
    let place = services();
    let mut bystander = Command::new("sleep").arg("1000").spawn().unwrap();
    let pid = bystander.id();
    let start = process(pid as i32)[19].clone();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let boot = boot.trim();
    let other = boot.replace(|c: char| c.is_ascii_digit(), "0");
    let cases = [
        format!(
            "pid={pid}\nstart={}\nboot={boot}\nscript=run\n",
            start.parse::<u64>().unwrap() + 1
        ),
        format!("pid={pid}\nstart={start}\nboot={other}\nscript=run\n"),
        format!("pid={pid}\nstart={start}\nscript=run\n"),
        format!("pid={pid}\nstart=\nboot={boot}\nscript=run\n"),
        format!("pid=-1\nstart={start}\nboot={boot}\nscript=run\n"),
    ];
    for (number, case) in cases.iter().enumerate() {
        let name = format!("a{number}");
        place.service(&name, STAYS).write(format!("{name}/supervise/state"), case);
        place.chmod(format!("{name}/supervise"), 0o700);
        let running = place.supervise(&name);
        assert_eq!(parent(place.wait_pid(&name, 0)), running.pid(), "{case}");
        place.dismiss(&name, running);
    }
    assert!(bystander.try_wait().unwrap().is_none());
    bystander.kill().unwrap();
    bystander.wait().unwrap();
}

#[test]
fn a_damaged_state_is_no_obstacle() {
    if original() {
        return;
    }
    let place = services();
    for (number, text) in ["", "pid", "\0\0\0\n\n", &"pid=1\n".repeat(10_000)].iter().enumerate() {
        let name = format!("a{number}");
        place.service(&name, STAYS).write(format!("{name}/supervise/state"), text);
        let running = place.supervise(&name);
        place.wait_stat(&name, "up (pid N) S seconds");
        place.dismiss(&name, running);
    }
    place.service("b", STAYS).fifo("b/supervise/state");
    let running = place.supervise("b");
    place.wait_stat("b", "up (pid N) S seconds");
    place.dismiss("b", running);
}

/// Every kind of system call between the start and the first rest.
const KINDS: [&str; 13] = [
    "openat",
    "flock",
    "mknodat",
    "/^statx?$",
    "read",
    "write",
    "/^rename",
    "close",
    "pipe2",
    "rt_sigprocmask",
    "/^clone",
    "pidfd_open",
    "/^p?poll$",
];

#[test]
fn there_is_no_moment_at_which_a_kill_doubles_the_service() {
    if original() {
        return;
    }
    let place = services();
    let mut kills = 0;
    for (kind, number) in KINDS.iter().enumerate() {
        for count in 1.. {
            let name = format!("a{kind}-{count}");
            place.script(format!("{name}/run"), &SINGLE.replace("../", ""));
            let Some(first) = killed_at(&place, &name, number, count) else { return };
            until(LIMIT, "death or service", || {
                first.ended().is_some() || place.exists(format!("{name}/runs"))
            });
            // a few calls are left when the service runs
            let begin = Instant::now();
            until(LIMIT, "death or rest", || {
                first.ended().is_some() || begin.elapsed() > Duration::from_millis(150)
            });
            let survived = first.ended().is_none();
            one_runs(&place, &name, first);
            if survived {
                break;
            }
            kills += 1;
        }
    }
    assert!(kills > 40, "{kills} kills");
}

/// After the first supervise there is a second one, and one service.
#[track_caller]
fn one_runs(place: &Services, name: &str, first: Running) {
    let runs = format!("{name}/runs");
    if first.ended().is_some() {
        let second = successor(place, name);
        place.wait_stat(name, "up (pid N) S seconds");
        place.wait_lines(&runs, 1);
        let pid = place.pid(name);
        let alive = |line: &String| !is_gone(line.parse().unwrap());
        let alive: Vec<_> = place.wait_lines(&runs, 1).into_iter().filter(alive).collect();
        let doubled = place.exists(format!("{name}/doubles"));
        assert_eq!((alive, doubled), (vec![pid.to_string()], false), "{name}");
        place.dismiss(name, second);
    } else {
        place.svc(&["-dx", name]);
        first.wait(LIMIT);
    }
}

/// The next supervise that gets the lock. For an instant after the fork a child has it, too.
fn successor(place: &Services, name: &str) -> Running {
    loop {
        let next = start(place.command("supervise").arg(name));
        let rules = || place.state(name, "supervisor") == next.pid().to_string();
        until(LIMIT, "lock or end", || rules() || next.ended().is_some());
        if rules() {
            return next;
        }
    }
}

/// A supervise, without its children, that is killed at this system call.
fn killed_at(place: &Services, name: &str, kind: &str, number: usize) -> Option<Running> {
    let mut strace = Command::new("strace");
    if !strace.args(["-qq", "-o", "/dev/null", "true"]).status().is_ok_and(|s| s.success()) {
        skip("needs strace");
        return None;
    }
    let mut strace = Command::new("strace");
    let inject = format!("inject={kind}:signal=KILL:when={number}");
    strace.args(["-qq", "-o", "/dev/null", "-e", &format!("trace={kind}"), "-e", &inject]);
    Some(start(strace.arg(bin("supervise")).arg(name).current_dir(place.path())))
}

#[test]
fn a_service_and_its_logger_outlive_svscan_and_both_supervises() {
    if original() {
        return;
    }
    let place = services();
    let count = "n=0\nwhile :; do n=$((n+1)); echo $n; sleep 0.01; done\n";
    place.service("service/a", &format!("echo $$ >>../../runs\n{count}"));
    place.service("service/a/log", "echo $$ >>../../../loggers\nexec multilog s16777215 ./main\n");
    let (mut scan, mut olds) = (place.svscan(), Vec::new());
    let names = ["service/a", "service/a/log"];
    let pids = names.map(|name| place.wait_pid(name, 0));
    place.wait_lines("service/a/log/main/current", 10);
    for _ in 0..3 {
        let supervises = names.map(|name| place.state(name, "supervisor"));
        scan.signal(libc::SIGSTOP);
        supervises.iter().for_each(|pid| signal(pid.parse().unwrap(), libc::SIGKILL));
        scan.signal(libc::SIGKILL);
        scan.wait(LIMIT);
        let new = place.svscan();
        // the old one is dropped only at the end: its group holds the services
        olds.push(std::mem::replace(&mut scan, new));
        until(LIMIT, "new supervises", || {
            (0..2).all(|n| place.state(names[n], "supervisor") != supervises[n])
        });
        assert_eq!(names.map(|name| place.state(name, "adopted")), ["yes", "yes"]);
        assert_eq!(names.map(|name| place.pid(name)), pids);
        let seen = place.text("service/a/log/main/current").lines().count();
        place.wait_lines("service/a/log/main/current", seen + 10);
        let supervises = names.map(|name| place.state(name, "supervisor").parse().unwrap());
        assert!(supervises.iter().all(|pid: &i32| parent(*pid) == scan.pid()));
    }
    // the pipe is the old one: the logger may restart, and nothing is lost
    place.svc(&["-t", "service/a/log"]);
    place.wait_lines("loggers", 2);
    let seen = place.text("service/a/log/main/current").lines().count();
    let lines = place.wait_lines("service/a/log/main/current", seen + 10);
    let expected: Vec<String> = (1..=lines.len()).map(|number| number.to_string()).collect();
    assert_eq!(lines, expected);
    assert_eq!(place.text("runs").lines().count(), 1);
    scan.signal(libc::SIGTERM);
    assert_eq!(scan.finish(LIMIT).status.code(), Some(0));
    assert!(pids.into_iter().all(is_gone));
}

#[test]
fn what_a_service_writes_to_its_helper_is_not_for_the_logger() {
    if original() {
        return;
    }
    let place = services();
    // as qmail-send: its log is descriptor 0, and 1 is a pipe to one of its own
    let run = "mkfifo helper; cat <helper >>../../orders &\ntrap '' PIPE; exec 0>&1 1>helper 2>/dev/null\nn=0\n\
               while :; do n=$((n+1)); echo $n; echo $n >&0; sleep 0.01; done\n";
    place.service("service/a", run);
    place.service("service/a/log", "exec multilog s16777215 ./main\n");
    let mut scan = place.svscan();
    let names = ["service/a", "service/a/log"];
    place.wait_lines("service/a/log/main/current", 10);
    let supervises = names.map(|name| place.state(name, "supervisor").parse().unwrap());
    let killed = [supervises[0], supervises[1], place.pid(names[1])];
    scan.signal(libc::SIGSTOP);
    killed.into_iter().for_each(|pid| signal(pid, libc::SIGKILL));
    scan.signal(libc::SIGKILL);
    scan.wait(LIMIT);
    let seen = place.text("service/a/log/main/current").lines().count();
    // the old one is dropped only at the end: its group holds the service
    let old = std::mem::replace(&mut scan, place.svscan());
    place.wait_lines("service/a/log/main/current", seen + 20);
    let served = place.text("orders").lines().count();
    let orders = place.wait_lines("orders", served + 50);
    let expected: Vec<String> = (1..=orders.len()).map(|number| number.to_string()).collect();
    assert_eq!(orders, expected);
    scan.signal(libc::SIGTERM);
    assert_eq!(scan.finish(LIMIT).status.code(), Some(0));
    drop(old);
}
