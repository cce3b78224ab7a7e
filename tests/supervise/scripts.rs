//! supervise: the scripts around `run`, failing for good, the log script, `$SUPERVISEDIR`.
//!
//! 0.76 knows none of them, so nothing here is for the originals.

use crate::services::{STAYS, Services, assert_idle, is_gone, process, services, signal};
use std::time::{Duration, Instant};
use tests::{LIMIT, Running, fed, one_of_five, original, ran, start, until};

/// A service whose scripts write down their words and stay or end as `run` says.
fn scripted(place: &Services, name: &str, scripts: &[&str], run: &str) {
    for script in scripts {
        place.script(format!("{name}/{script}"), &format!("echo {script} \"$@\" >>told\n"));
    }
    if !run.is_empty() {
        place.script(format!("{name}/run"), &format!("echo run >>told\n{run}"));
    }
}

#[track_caller]
fn dismissed(place: &Services, name: &str, running: Running) -> String {
    place.svc(&["-dx", name]);
    let (code, out, err) = ran(&running.finish(LIMIT));
    assert_eq!((code, out), (Some(0), String::new()));
    err
}

/// Waits until `supervise/status` ends like this: pid, paused, want, encore's state and runit's.
#[track_caller]
fn wait_status(place: &Services, name: &str, end: &[u8]) {
    let status = || place.read(format!("{name}/supervise/status"));
    until(LIMIT, "the status", || status().ends_with(end));
}

/// `told`, once it has as many lines as expected.
#[track_caller]
fn told(place: &Services, name: &str, expected: &[&str]) {
    let lines = place.wait_lines(&format!("{name}/told"), expected.len());
    assert_eq!(lines, expected);
}

#[test]
fn start_comes_before_the_first_run_and_stop_after_the_last() {
    if original() {
        return;
    }
    let place = services();
    scripted(&place, "a", &["start", "stop"], STAYS);
    let running = place.supervise("a");
    told(&place, "a", &["start", "run"]);
    let pid = place.wait_pid("a", 0);
    place.wait_stat("a", "up (pid N) S seconds");
    place.svc(&["-t", "a"]);
    place.wait_pid("a", pid);
    told(&place, "a", &["start", "run", "run"]);
    place.svc(&["-d", "a"]);
    told(&place, "a", &["start", "run", "run", "stop"]);
    place.wait_stat("a", "down S seconds, normally up");
    place.svc(&["-d", "a"]);
    place.svc(&["-u", "a"]);
    told(&place, "a", &["start", "run", "run", "stop", "start", "run"]);
    assert_eq!(dismissed(&place, "a", running), "");
    told(&place, "a", &["start", "run", "run", "stop", "start", "run", "stop"]);
}

#[test]
fn a_service_that_is_down_is_stopped_once() {
    if original() {
        return;
    }
    let place = services();
    scripted(&place, "a", &["stop"], STAYS);
    place.write("a/down", "");
    let running = place.supervise("a");
    place.svc(&["-d", "a"]);
    told(&place, "a", &["stop"]);
    place.wait_stat("a", "down S seconds");
    place.svc(&["-d", "a"]);
    assert_eq!(dismissed(&place, "a", running), "");
    told(&place, "a", &["stop"]);
}

#[test]
fn without_run_a_started_service_is_up() {
    if original() {
        return;
    }
    let place = services();
    scripted(&place, "a", &["start", "stop"], "");
    let running = place.supervise("a");
    told(&place, "a", &["start"]);
    wait_status(&place, "a", b"\0\0\0\0\0\0\x02\0");
    assert_idle(running.pid());
    // the next supervise knows
    running.signal(libc::SIGKILL);
    running.wait(LIMIT);
    let running = place.supervise("a");
    wait_status(&place, "a", b"\0\0\0\0\0\0\x02\0");
    place.svc(&["-d", "a"]);
    told(&place, "a", &["start", "stop"]);
    place.wait_state("a", "pid", "");
    assert_eq!(dismissed(&place, "a", running), "");
}

#[test]
fn a_start_that_fails_is_the_end() {
    if original() {
        return;
    }
    let place = services();
    place.script("a/start", "echo start >>told\nexit 1\n");
    scripted(&place, "a", &["stop", "finish"], STAYS);
    let running = place.supervise("a");
    place.wait_state("a", "failed", "yes");
    wait_status(&place, "a", b"\0\0\0\0\0d\x05\0");
    place.svc(&["-u", "a"]);
    told(&place, "a", &["start", "start"]);
    place.wait_state("a", "failed", "yes");
    place.script("a/start", "kill -9 $$\n");
    place.svc(&["-u", "a"]);
    place.wait_state("a", "failed", "yes");
    assert_eq!(dismissed(&place, "a", running), "");
    told(&place, "a", &["start", "start", "stop"]);
}

#[test]
fn start_and_stop_show_their_process() {
    if original() {
        return;
    }
    let place = services();
    place.service("a", STAYS).script("a/start", STAYS).script("a/stop", STAYS);
    let running = place.supervise("a");
    let state = |number: u8| {
        until(LIMIT, "state", || place.read("a/supervise/status")[18] == number);
        place.pid("a")
    };
    let start = state(1);
    assert_eq!(place.state("a", "script"), "start");
    // what is to be down does not go on to run
    place.svc(&["-d", "a"]);
    let stop = state(4);
    assert!(is_gone(start) && stop != start);
    place.svc(&["-u", "a"]);
    place.svc(&["-t", "a"]);
    assert!(![start, stop].contains(&state(1)));
    place.svc(&["-dx", "a"]);
    state(4);
    place.svc(&["-k", "a"]);
    assert_eq!(ran(&running.finish(LIMIT)), (Some(0), String::new(), String::new()));
}

#[test]
fn exit_100_is_a_failure_for_good() {
    if original() {
        return;
    }
    let place = services();
    scripted(&place, "a", &[], "exit 100\n");
    scripted(&place, "b", &[], "exit 0\n");
    place.script("b/finish", "exit 125\n");
    let running = ["a", "b"].map(|name| place.supervise(name));
    for name in ["a", "b"] {
        place.wait_state(name, "failed", "yes");
        wait_status(&place, name, b"\0\0\0\0\0d\x05\0");
        place.svc(&["-u", name]);
        told(&place, name, &["run", "run"]);
        place.wait_state(name, "failed", "yes");
    }
    for (name, running) in ["a", "b"].iter().zip(running) {
        assert_idle(running.pid());
        assert_eq!(dismissed(&place, name, running), "");
        assert_eq!(place.state(name, "failed"), "no");
    }
}

#[test]
fn notify_hears_of_every_start_and_death() {
    if original() {
        return;
    }
    let place = services();
    place.service("a", STAYS).script("a/start", "").script("a/stop", "exit 3\n");
    place.script("a/notify", "echo \"$@\" >>told\n");
    let running = place.supervise("a");
    let pid = place.wait_pid("a", 0);
    place.wait_lines("a/told", 3);
    let run = place.wait_pid("a", if place.state("a", "script") == "run" { 0 } else { pid });
    place.svc(&["-d", "a"]);
    let mut lines = place.wait_lines("a/told", 6);
    lines.sort();
    let words = |line: &String| {
        let words: Vec<_> = line.split(' ').collect();
        assert!(words[2].parse::<u32>().is_ok(), "{line}");
        format!("{} {} {}", words[0], words[1], words[3])
    };
    let said: Vec<_> = lines.iter().map(words).collect();
    let expected = [
        "run killed 15",
        "run start 0",
        "start exit 0",
        "start start 0",
        "stop exit 3",
        "stop start 0",
    ];
    assert_eq!(said, expected);
    assert!(lines[0].contains(&run.to_string()), "{lines:?}");
    assert_eq!(dismissed(&place, "a", running), "");
}

#[test]
fn finish_hears_how_run_has_died() {
    if original() {
        return;
    }
    let place = services();
    place.service(
        "a",
        "read n <next\necho $((n+1)) >next\ncase $n in 1) exit 7;; esac\nexec sleep 1000\n",
    );
    place.script("a/finish", "echo \"$@\" >>told\n").write("a/next", "1\n");
    let running = place.supervise("a");
    place.wait_lines("a/told", 1);
    assert_eq!(place.state("a", "last_exit"), "7");
    let pid = place.wait_name("a", "sleep");
    signal(pid, libc::SIGUSR1);
    assert_eq!(place.wait_lines("a/told", 2), ["7 0 a", "256 10 a"]);
    place.wait_state("a", "last_signal", "SIGUSR1");
    place.wait_pid("a", pid);
    assert_eq!(dismissed(&place, "a", running), "");
    assert_eq!(place.wait_lines("a/told", 3)[2], "256 15 a");
}

#[test]
fn a_finish_that_does_not_end_is_killed() {
    if original() {
        return;
    }
    let place = services();
    place.service("a", "exit 0\n").script("a/finish", "echo $$ >>told\nexec sleep 1000\n");
    place.write("a/timeout-finish", "100\n");
    let running = place.supervise("a");
    let finish: i32 = place.wait_lines("a/told", 1)[0].parse().unwrap();
    place.wait_lines("a/told", 2);
    assert!(is_gone(finish));
    assert_eq!(dismissed(&place, "a", running), "");
    place.service("b", "exit 0\n").script("b/finish", "echo $$ >>told\nexec sleep 1000\n");
    place.write("b/timeout-finish", "0\n");
    let running = place.supervise("b");
    let finish: i32 = place.wait_lines("b/told", 1)[0].parse().unwrap();
    // for ever; the next supervise waits, too
    running.signal(libc::SIGKILL);
    running.wait(LIMIT);
    let running = place.supervise("b");
    assert_idle(running.pid());
    // the service is down meanwhile
    assert_eq!(place.pid("b"), 0);
    assert_eq!(
        [place.state("b", "script"), place.state("b", "pid")],
        ["finish".into(), finish.to_string()]
    );
    place.svc(&["-dk", "b"]);
    until(LIMIT, "the end", || is_gone(finish));
    assert_eq!(dismissed(&place, "b", running), "");
}

#[test]
fn down_signal_and_timeout_kill() {
    if original() {
        return;
    }
    let place = services();
    let stubborn = "trap 'echo usr1 >>told' USR1\ntrap '' TERM\necho ready >>told\n\
                    while :; do sleep 1000 >/dev/null 2>&1 & wait; done\n";
    place.service("a", stubborn).write("a/down-signal", "USR1\n").write("a/timeout-kill", "300\n");
    let running = place.supervise("a");
    place.wait_lines("a/told", 1);
    let pid = place.wait_pid("a", 0);
    place.svc(&["-r", "a"]);
    assert_ne!(place.wait_pid("a", pid), pid);
    place.wait_state("a", "last_signal", "SIGKILL");
    place.wait_lines("a/told", 3);
    assert_eq!(dismissed(&place, "a", running), "");
    told(&place, "a", &["ready", "usr1", "ready", "usr1"]);
}

#[test]
fn backoff_doubles_the_delay_and_up_resets_it() {
    if original() {
        return;
    }
    one_of_five(|| {
        let place = services();
        scripted(&place, "a", &[], "exit 1\n");
        place.write("a/backoff", "3\n");
        let running = place.supervise("a");
        for delay in ["1", "2", "3"] {
            place.wait_state("a", "delay", delay);
        }
        assert_eq!(place.text("a/told").lines().count(), 3);
        let begin = Instant::now();
        place.svc(&["-u", "a"]);
        told(&place, "a", &["run"; 4]);
        let waited = begin.elapsed();
        place.wait_state("a", "delay", "1");
        assert_eq!(dismissed(&place, "a", running), "");
        waited < Duration::from_secs(2)
    });
}

#[test]
fn too_many_deaths_are_a_failure() {
    if original() {
        return;
    }
    let place = services();
    scripted(&place, "a", &[], "exit 1\n");
    place.write("a/max-restarts", "1/60\n");
    let running = place.supervise("a");
    place.wait_state("a", "failed", "yes");
    told(&place, "a", &["run"; 2]);
    place.svc(&["-u", "a"]);
    told(&place, "a", &["run"; 4]);
    place.wait_state("a", "failed", "yes");
    assert_eq!(dismissed(&place, "a", running), "");
}

#[test]
fn a_log_script_gets_what_run_writes_and_outlives_it() {
    if original() {
        return;
    }
    let place = services();
    place.service(
        "a",
        "trap 'sleep 0.2; seq 3; exit' TERM\necho up\nwhile :; do sleep 1000 >/dev/null 2>&1 & wait; done\n",
    );
    place.script("a/log", "echo $$ >>logs\nexec cat >>out\n");
    let running = place.supervise("a");
    assert_eq!(place.wait_lines("a/out", 1), ["up"]);
    let pid = place.wait_pid("a", 0);
    let status = place.read("a/supervise/status");
    let log = i32::from_le_bytes(status[32..36].try_into().unwrap());
    assert_eq!((status.len(), place.wait_lines("a/logs", 1)[0].parse()), (40, Ok(log)));
    assert_eq!(place.state("a", "log_pid"), log.to_string());
    // orders for the log
    place.svc(&["-Lt", "a"]);
    let next: i32 = place.wait_lines("a/logs", 2)[1].parse().unwrap();
    place.svc(&["-Lp", "a"]);
    until(LIMIT, "stopped", || process(next)[0] == "T");
    place.svc(&["-Lcl", "a"]);
    until(LIMIT, "going on", || process(next)[0] == "S");
    assert_eq!(place.pid("a"), pid);
    // both are adopted, and so is their pipe
    running.signal(libc::SIGKILL);
    running.wait(LIMIT);
    let running = place.supervise("a");
    assert_eq!((place.pid("a"), place.state("a", "log_pid")), (pid, next.to_string()));
    place.svc(&["-t", "a"]);
    place.wait_pid("a", pid);
    place.wait_lines("a/out", 5);
    assert_eq!(dismissed(&place, "a", running), "");
    assert_eq!(place.text("a/out"), "up\n1\n2\n3\nup\n1\n2\n3\n");
}

#[test]
fn a_log_script_that_fails_is_not_started_again() {
    if original() {
        return;
    }
    let place = services();
    place.service("a", STAYS).script("a/log", "echo >>logs\nexit 100\n");
    let running = place.supervise("a");
    wait_status(&place, "a", b"\0\0\0\0\0d\x05\0");
    place.wait_state("a", "script", "run");
    place.svc(&["-Lu", "a"]);
    place.wait_lines("a/logs", 2);
    assert_eq!(dismissed(&place, "a", running), "");
}

#[test]
fn supervisedir_moves_the_folder() {
    if original() {
        return;
    }
    let place = services();
    place.service("a", STAYS).dir("run");
    let named = format!("run/{}", place.join("a").display().to_string()[1..].replace('/', ":"));
    let absolute = place.join("run").display().to_string();
    for (value, folder) in [(".sv", "a/.sv"), (absolute.as_str(), named.as_str())] {
        let command = |name: &str| {
            let mut command = place.command(name);
            command.env("SUPERVISEDIR", value);
            command
        };
        let running = start(command("supervise").arg("a"));
        until(LIMIT, "supervise", || place.exists(format!("{folder}/ok")));
        let run = |name: &str, words: &[&str]| ran(&fed(command(name).args(words), ""));
        until(LIMIT, "the service", || run("svstat", &["a"]).1.starts_with("a: up "));
        assert_eq!(run("svok", &["a"]).0, Some(0));
        assert_eq!(run("svc", &["-dx", "a"]), (Some(0), String::new(), String::new()));
        assert_eq!(ran(&running.finish(LIMIT)), (Some(0), String::new(), String::new()));
        let mut names = place.names(folder);
        names.retain(|name| !name.ends_with(".new"));
        assert_eq!(names, ["control", "lock", "ok", "state", "status"]);
    }
    assert!(!place.exists("a/supervise"));
}
