//! svscan: finding services, keeping two supervises for each, the log pipe, the end.

use crate::services::{
    ORIGINALS, STAYS, Services, assert_idle, assert_idle_for, is_gone, parent, process, services,
    services_with_their, signal,
};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};
use tests::{
    LIMIT, Running, as_user, failing, fed, limited, one_of_five, original, ran, root, skip, start,
    until,
};

/// A logger that loses nothing of what it has read when it is asked to end.
const LOGGER: &str = "exec multilog ./main\n";

/// A `supervise` in the PATH that writes down how it was started, and stays.
const FAKE: &str = "echo \"$(date +%s.%N) $# $* $PWD\" >>\"${0%/*}/started\"\nexec sleep 1000\n";

/// Writes the numbers up to `last`, one line in one write, from that in the file `next` on; notes
/// the next one there when it is told to end.
fn counter(last: u32) -> String {
    format!(
        "trap 'stop=1' TERM\nread n <next\nwhile [ $n -le {last} ] && [ ! \"$stop\" ]; do \
         echo $n; n=$((n+1)); [ $((n%100)) -gt 0 ] || sleep 0.01; done\necho $n >next\n\
         [ $n -le {last} ] || exec sleep 1000\n"
    )
}

#[test]
fn a_directory_that_cannot_be_entered_is_fatal() {
    let place = services();
    place.write("file", "");
    for (name, why) in [("gone", "file does not exist"), ("file", "not a directory")] {
        let output = fed(place.command("svscan").arg(name), "");
        let err = format!("svscan: fatal: unable to chdir to {name}: {why}\n");
        assert_eq!(ran(&output), (Some(111), String::new(), err));
    }
}

#[test]
fn supervise_is_found_by_path_and_gets_the_name() {
    let place = services();
    place.script("bin/supervise", FAKE);
    for name in ["a", "b", ".hidden"] {
        place.service(&format!("service/{name}"), STAYS);
    }
    place.service("service/b/log", STAYS).service("service/b/log/log", STAYS);
    place.service("elsewhere", STAYS).link(&["elsewhere"]).write("service/file", "");
    let scan = place.svscan();
    let mut lines = place.wait_lines("bin/started", 4);
    lines.iter_mut().for_each(|line| *line = line.split_once(' ').unwrap().1.into());
    lines.sort();
    let folder = place.join("service").display().to_string();
    let expected = [
        format!("1 a {folder}"),
        format!("1 b {folder}"),
        format!("1 elsewhere {folder}"),
        format!("1 log {folder}/b"),
    ];
    assert_eq!(lines, expected);
    assert_eq!((scan.out(), scan.err()), (String::new(), String::new()));
}

#[test]
fn without_argument_it_is_the_current_directory() {
    let place = services();
    place.service("service/a", STAYS).script("bin/supervise", FAKE);
    let mut command = place.command("svscan");
    let _scan = start(command.current_dir(place.join("service")));
    let line = place.wait_lines("bin/started", 1).remove(0);
    assert!(line.ends_with(&format!(" 1 a {}", place.join("service").display())), "{line}");
}

#[test]
fn a_supervise_that_cannot_be_run_is_complained_about() {
    let place = services();
    place.service("service/a", STAYS).service("service/a/log", STAYS).dir("bin");
    let mut command = place.command("svscan");
    let scan = start(command.arg("service").env("PATH", place.join("bin")));
    scan.wait_err("svscan: warning: unable to start supervise a: file does not exist\n");
    scan.wait_err("svscan: warning: unable to start supervise a/log: file does not exist\n");
}

#[test]
fn what_cannot_be_seen_is_complained_about() {
    let place = services();
    place.service("service/a", STAYS).dir("service/b");
    std::os::unix::fs::symlink("nowhere", place.join("service/x")).unwrap();
    std::os::unix::fs::symlink("log", place.join("service/b/log")).unwrap();
    place.script("service/b/run", STAYS);
    let scan = place.svscan();
    scan.wait_err("svscan: warning: unable to stat x: file does not exist\n");
    scan.wait_err("svscan: warning: unable to stat b/log: symbolic link loop\n");
    until(LIMIT, "the other service", || place.ok("service/a"));
    // again, for as long as it is so
    scan.wait_err("file does not exist\nsvscan: warning: unable to stat ");
}

#[test]
fn a_directory_that_cannot_be_read_is_read_again() {
    let place = services();
    place.service("service/a", STAYS);
    let mut command = place.command("svscan");
    let Some(mut command) = failing("getdents64", "EIO", 1, command.arg("service")) else { return };
    let scan = start(command.current_dir(place.path()));
    scan.wait_err("svscan: warning: unable to read directory: input/output error\n");
    until(LIMIT, "supervise", || place.ok("service/a"));
}

#[test]
fn a_new_service_is_found() {
    let place = services();
    place.service("a", STAYS).dir("service");
    let scan = place.svscan();
    // 0.76 looks every five seconds; ours does not look at all, and so is told at once
    if !original() {
        assert_idle_for(scan.pid(), Duration::from_secs(6));
    }
    place.link(&["a"]);
    until(LIMIT, "supervise", || place.ok("service/a"));
    place.wait_stat("service/a", "up (pid N) S seconds");
}

#[test]
fn a_directory_is_a_service_once_it_has_something_to_run() {
    // 0.76 starts a supervise, which complains every second
    if original() {
        return;
    }
    let place = services();
    place.dir("service/a/log").dir("service/b").write("service/b/data", "");
    let scan = place.svscan();
    scan.wait_err("svscan: info: a has no file run yet\n");
    scan.wait_err("svscan: info: b has no file run yet\n");
    place.dir("service/c");
    scan.wait_err("svscan: info: c has no file run yet\n");
    assert_idle(scan.pid());
    let script = place.script("run", STAYS).join("run");
    let run =
        |name: &str| fs::hard_link(&script, place.join(format!("service/{name}/run"))).unwrap();
    run("a/log");
    run("b");
    run("c");
    place.dir("service/c/log");
    run("c/log");
    until(LIMIT, "supervise", || {
        ["b", "c", "c/log"].iter().all(|n| place.ok(&format!("service/{n}")))
    });
    assert!(!place.ok("service/a"));
    run("a");
    until(LIMIT, "supervise", || place.ok("service/a") && place.ok("service/a/log"));
    assert_eq!(scan.err().lines().count(), 3);
}

#[test]
fn a_supervise_that_dies_is_started_again() {
    let place = services();
    let ends = FAKE.replace("exec sleep 1000", "");
    place.service("service/a", STAYS).script("bin/supervise", &ends);
    let begin = base::sys::clock::now().as_secs_f64();
    let _scan = place.svscan();
    let count = if original() { 2 } else { 4 };
    let lines = place.wait_lines("bin/started", count);
    let time = |line: &String| line.split(' ').next().unwrap().parse::<f64>().unwrap();
    let times: Vec<_> = lines[..count].iter().map(time).collect();
    // 0.76 looks every five seconds, we after one; a stamp may be late
    let (least, most) = if original() { (4.5, 6.5) } else { (1.0, 1.8) };
    let quickest = times.windows(2).map(|pair| pair[1] - pair[0]).fold(f64::MAX, f64::min);
    let all = times[count - 1] - begin;
    assert!(all > least * (count - 1) as f64 && quickest < most, "{begin} {times:?}");
}

#[test]
fn a_killed_supervise_that_lived_is_started_again_at_once() {
    // 0.76 looks every five seconds
    if original() {
        return;
    }
    one_of_five(|| {
        let place = services();
        place.script("bin/supervise", &format!("echo $$ >\"${{0%/*}}/pid\"\n{FAKE}"));
        place.service("service/a", STAYS);
        let _scan = place.svscan();
        place.wait_lines("bin/started", 1);
        let begin = Instant::now();
        until(LIMIT, "more than a second", || begin.elapsed() > Duration::from_millis(1200));
        let killed = Instant::now();
        signal(place.text("bin/pid").trim().parse().unwrap(), libc::SIGKILL);
        place.wait_lines("bin/started", 2);
        killed.elapsed() < Duration::from_millis(700)
    });
}

#[test]
fn a_removed_service_runs_on_and_is_not_started_again() {
    let place = services();
    place.service("a", STAYS).service("b", STAYS).service("b/log", STAYS).link(&["a", "b"]);
    let scan = place.svscan();
    until(LIMIT, "services", || place.ok("b") && place.ok("b/log") && place.ok("a"));
    let pid = place.wait_pid("a", 0);
    fs::remove_file(place.join("service/a")).unwrap();
    fs::remove_file(place.join("service/b")).unwrap();
    // the classic way to remove a service
    let mut command = place.command("svc");
    let output = fed(command.args(["-dx", ".", "log"]).current_dir(place.join("b")), "");
    assert_eq!(ran(&output), (Some(0), String::new(), String::new()));
    until(LIMIT, "the end", || !place.ok("b") && !place.ok("b/log"));
    until(LIMIT, "no pipe", || pipes(scan.pid()) == if original() { 0 } else { 1 });
    if !original() {
        assert_idle(scan.pid());
    }
    assert_eq!((place.ok("b"), place.ok("b/log"), place.ok("a")), (false, false, true));
    assert_eq!(place.pid("a"), pid);
    // and comes back
    place.link(&["b"]);
    until(LIMIT, "services", || place.ok("b") && place.ok("b/log"));
    place.wait_stat("b", "up (pid N) S seconds");
    assert_eq!(scan.err(), "");
}

/// Pipes of which a process holds both ends.
fn pipes(pid: i32) -> usize {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let links = entries.filter_map(|entry| fs::read_link(entry.path()).ok());
    let mut pipes: Vec<_> = links.filter(|to| to.to_str().unwrap().starts_with("pipe:")).collect();
    pipes.sort();
    pipes.windows(2).filter(|pair| pair[0] == pair[1]).count()
}

#[test]
fn a_renamed_service_is_the_same_and_a_second_name_means_nothing() {
    let place = services();
    place.service("service/a", STAYS);
    let scan = place.svscan();
    let pid = place.wait_pid("service/a", 0);
    fs::rename(place.join("service/a"), place.join("service/b")).unwrap();
    std::os::unix::fs::symlink("b", place.join("service/c")).unwrap();
    if !original() {
        assert_idle(scan.pid());
    }
    place.wait_stat("service/c", "up (pid N) S seconds");
    assert_eq!(place.pid("service/b"), pid);
    // what dies is started under a name that is left
    let supervise = place.supervisor("service/b");
    place.svc(&["-d", "service/b"]);
    place.wait_stat("service/b", "down S seconds, normally up");
    signal(supervise, libc::SIGKILL);
    up_again(&place, "service/b", supervise);
    assert_eq!(scan.err(), "");
}

#[test]
fn a_directory_made_anew_is_another_service() {
    // 0.76 takes it for the old one if the file system gives it the same number
    if original() {
        return;
    }
    let place = services();
    place.service("service/a", "echo >../../runs\nexec sleep 1000\n");
    let _scan = place.svscan();
    place.wait_lines("runs", 1);
    let first = place.wait_pid("service/a", 0);
    fs::remove_dir_all(place.join("service/a")).unwrap();
    place.service("new", STAYS);
    fs::rename(place.join("new"), place.join("service/a")).unwrap();
    let second = place.wait_pid("service/a", first);
    assert!(!is_gone(first) && !is_gone(second));
}

#[test]
fn a_plain_file_log_is_no_logger() {
    // 0.76 starts a supervise for it again and again
    if original() {
        return;
    }
    let place = services();
    place.service("service/a", STAYS).write("service/a/log", "");
    let scan = place.svscan();
    place.wait_stat("service/a", "up (pid N) S seconds");
    assert_idle(scan.pid());
    assert_eq!((pipes(scan.pid()), scan.err()), (1, String::new()));
}

#[test]
fn output_goes_through_the_pipe_to_the_logger() {
    let place = services();
    place.service("service/a", &format!("echo out; echo err >&2\n{STAYS}"));
    place.service("service/a/log", LOGGER);
    let scan = place.svscan();
    assert_eq!(place.wait_lines("service/a/log/main/current", 1), ["out"]);
    assert_eq!((scan.out(), scan.wait_err("err\n")), (String::new(), "err\n".into()));
}

/// The numbers that have arrived in a log, in order of arrival.
fn numbers(place: &Services) -> Vec<u32> {
    let folder = place.join("service/a/log/main");
    let mut names: Vec<_> = place.names("service/a/log/main");
    names.retain(|name| name.starts_with('@') || name == "current");
    let text: String = names.iter().map(|n| fs::read_to_string(folder.join(n)).unwrap()).collect();
    text.lines().map(|line| line.parse().unwrap()).collect()
}

fn last_number(place: &Services) -> u32 {
    let current = fs::read_to_string(place.join("service/a/log/main/current"));
    let current = current.unwrap_or_default();
    let (whole, _) = current.rsplit_once('\n').unwrap_or_default();
    whole.rsplit('\n').next().and_then(|line| line.parse().ok()).unwrap_or(0)
}

/// A service that writes numbers up to `last` into a log; what `trouble` does must not lose one.
fn nothing_is_lost(last: u32, mut trouble: impl FnMut(&Services, &mut Option<Running>)) {
    let place = services();
    place.service("service/a", &counter(last)).write("service/a/next", "1\n");
    place.service("service/a/log", "exec multilog s16777215 ./main\n");
    let mut scan = Some(place.svscan());
    until(LIMIT, "the first numbers", || last_number(&place) > 10);
    trouble(&place, &mut scan);
    until(LIMIT * 2, "the last number", || last_number(&place) == last);
    let numbers = numbers(&place);
    let lost: Vec<_> = (1..=last).filter(|n| numbers.binary_search(n).is_err()).collect();
    assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "lost {lost:?}");
    assert_eq!(numbers.len(), last as usize);
}

#[test]
fn nothing_is_lost_when_service_or_logger_restart() {
    nothing_is_lost(25_000, |place, _| {
        for round in 0..6 {
            let name = ["service/a", "service/a/log"][round % 2];
            let old = place.wait_pid(name, 0);
            place.svc(&["-t", name]);
            place.wait_pid(name, old);
        }
    });
}

#[test]
fn nothing_is_lost_when_supervises_are_killed() {
    nothing_is_lost(25_000, |place, _| {
        for round in 0..4 {
            let name = ["service/a", "service/a/log"][round % 2];
            let supervise = place.supervisor(name);
            // 0.76 would start a second copy, so there the service is down when it dies; ours is
            // down in two rounds, and adopted in the others
            if original() || round < 2 {
                place.svc(&["-d", name]);
                place.wait_stat(name, "down S seconds, normally up");
            }
            signal(supervise, libc::SIGKILL);
            up_again(place, name, supervise);
        }
    });
}

/// Waits until there is another supervise than this, and its service is up. Ours has to be told so
/// if the service was down.
#[track_caller]
fn up_again(place: &Services, name: &str, old: i32) {
    until(LIMIT, "another supervise", || is_gone(old) && place.ok(name));
    if !original() {
        until(LIMIT, "its state", || {
            !["", &old.to_string()].contains(&place.state(name, "supervisor").as_str())
        });
        place.svc(&["-u", name]);
    }
    place.wait_stat(name, "up (pid N) S seconds");
}

#[test]
fn nothing_is_lost_when_svscan_is_killed() {
    nothing_is_lost(25_000, |place, scan| {
        for round in 0..4 {
            let pids = ["service/a", "service/a/log"].map(|name| place.wait_pid(name, 0));
            let old = scan.take().unwrap();
            old.signal(libc::SIGKILL);
            old.wait(LIMIT);
            // both live on, and are not doubled
            let new = place.svscan();
            // `old` is dropped only here: its group holds the supervises
            std::mem::forget(old);
            if !original() {
                new.wait_err("svscan: info: a already supervised\n");
                new.wait_err("svscan: info: a/log already supervised\n");
            }
            assert_eq!(["service/a", "service/a/log"].map(|name| place.pid(name)), pids);
            *scan = Some(new);
            if !original() {
                // the pipe is the same, so either side may restart
                let name = ["service/a", "service/a/log"][round % 2];
                let old = place.wait_pid(name, 0);
                place.svc(&["-t", name]);
                place.wait_pid(name, old);
            }
        }
    });
}

#[test]
fn a_stranger_that_only_its_lock_betrays_is_replaced_too() {
    // 0.76 knows no strangers
    if original() {
        return;
    }
    let place = services();
    place.service("service/a", STAYS);
    let stranger = place.supervise("service/a");
    let first = place.wait_pid("service/a", 0);
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", "mount --bind /dev/null /proc/locks && exec \"$0\" service"]);
    let svscan = place.command("svscan");
    command.arg(svscan.get_program()).current_dir(place.path());
    command.envs(svscan.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let scan = start(&mut command);
    until(LIMIT, "a word", || !scan.err().is_empty() || scan.ended().is_some());
    if scan.ended().is_some() {
        return skip("needs to mount");
    }
    assert_eq!(scan.err(), "svscan: info: a already supervised\n");
    place.svc(&["-dx", "service/a"]);
    stranger.wait(LIMIT);
    let second = place.wait_pid("service/a", first);
    assert_eq!(parent(parent(second)), scan.pid());
    assert_eq!(scan.err(), "svscan: info: a already supervised\n");
}

#[test]
fn a_service_cannot_hold_up_the_others() {
    // 0.76 opens nothing in services
    if original() {
        return;
    }
    let place = services();
    place.fifo("service/a/supervise/lock").fifo("service/a/log/supervise/lock");
    place.service("service/a", STAYS).service("service/a/log", STAYS).service("service/b", STAYS);
    let scan = place.svscan();
    until(LIMIT, "the other service", || place.ok("service/b"));
    scan.signal(libc::SIGTERM);
    assert_eq!(scan.finish(LIMIT).status.code(), Some(0));
}

#[test]
fn a_stranger_is_stopped_with_the_others() {
    // 0.76 stops nothing
    if original() {
        return;
    }
    let place = services();
    place.service("service/a", STAYS);
    let stranger = place.supervise("service/a");
    let pid = place.wait_pid("service/a", 0);
    let scan = place.svscan();
    scan.wait_err("already supervised\n");
    scan.signal(libc::SIGTERM);
    assert_eq!(scan.finish(LIMIT).status.code(), Some(0));
    assert_eq!(stranger.wait(LIMIT).code(), Some(0));
    assert!(is_gone(pid));
}

#[test]
fn what_the_system_has_no_room_for_is_complained_about() {
    let place = services();
    place.service("service/a", STAYS).service("service/a/log", STAYS);
    let limited = |limit: &str| limited(limit, place.command("svscan").arg("service"));
    // room for the directory, and for what svscan has open all the time, but not for two more
    let scan = start(&mut limited(if original() { "-n 5" } else { "-n 7" }));
    let why = "process cannot open more files";
    scan.wait_err(&format!("svscan: warning: unable to create pipe for a: {why}\n"));
    if !root() {
        return skip("needs root");
    }
    place.service("service/b", STAYS).chmod("service", 0o777);
    let scan = start(as_user(65534, 65534, &mut limited("-p 0")));
    for name in ["a", "b"] {
        scan.wait_err(&format!("svscan: warning: unable to fork for {name}: temporary failure\n"));
    }
}

#[test]
fn a_stranger_that_ends_is_replaced() {
    let place = services();
    place.service("service/a", STAYS);
    let stranger = place.supervise("service/a");
    let scan = place.svscan();
    let text = if original() {
        "supervise: fatal: unable to acquire a/supervise/lock: temporary failure\n"
    } else {
        "svscan: info: a already supervised\n"
    };
    scan.wait_err(text);
    if !original() {
        assert_idle(scan.pid());
        assert_eq!(scan.err(), text);
    }
    let first = place.wait_pid("service/a", 0);
    place.svc(&["-dx", "service/a"]);
    stranger.wait(LIMIT);
    let second = place.wait_pid("service/a", first);
    assert_eq!(parent(parent(second)), scan.pid());
}

#[test]
fn term_stops_services_first_and_loggers_when_all_is_written() {
    // 0.76 dies of it, and leaves everything running
    if original() {
        return;
    }
    let place = services();
    let last_words = "trap 'sleep 0.3; seq 1000; exit' TERM\nsleep 1000 >/dev/null 2>&1 & wait\n";
    for name in ["a", "b", "c"] {
        place.service(&format!("service/{name}"), last_words);
        place.service(&format!("service/{name}/log"), LOGGER);
    }
    place.service("service/d", STAYS).service("service/e", STAYS).write("service/e/down", "");
    let scan = place.svscan();
    let names = ["a", "b", "c", "a/log", "b/log", "c/log", "d"].map(|n| format!("service/{n}"));
    let pids: Vec<_> = names.iter().map(|name| place.wait_pid(name, 0)).collect();
    // a service that is paused, and one whose shell has not set its trap yet, end as well
    place.svc(&["-p", "service/d"]);
    for name in ["a", "b", "c"] {
        let wait = format!("/proc/{}/task/{0}/children", place.pid(&format!("service/{name}")));
        until(LIMIT, "sleep", || fs::read_to_string(&wait).is_ok_and(|list| !list.is_empty()));
    }
    place.end(scan);
    assert!(pids.iter().all(|pid| is_gone(*pid)));
    for name in ["a", "b", "c"] {
        assert_eq!(place.text(format!("service/{name}/log/main/current")).lines().count(), 1000);
    }
}

#[test]
fn a_logger_that_does_not_end_is_stopped_after_ten_seconds() {
    // 0.76 stops nothing
    if original() {
        return;
    }
    let place = services();
    place.service("service/a", STAYS).service("service/a/log", STAYS);
    let scan = place.svscan();
    let logger = place.wait_pid("service/a/log", 0);
    place.wait_pid("service/a", 0);
    let begin = Instant::now();
    scan.signal(libc::SIGTERM);
    until(LIMIT, "the end of the service", || !place.ok("service/a"));
    assert!(!is_gone(logger));
    assert_eq!(ran(&scan.finish(LIMIT * 3)), (Some(0), String::new(), String::new()));
    assert!(begin.elapsed() >= Duration::from_secs(10), "{:?}", begin.elapsed());
}

#[test]
fn term_also_stops_supervises_that_take_no_signals() {
    let theirs = Path::new(ORIGINALS).join("supervise");
    if original() || !theirs.exists() {
        return skip("needs the original supervise beside our svscan");
    }
    let place = services_with_their(&["supervise"]);
    place.service("service/a", STAYS).service("service/a/log", LOGGER).service("b", STAYS);
    place.link(&["b"]);
    let scan = place.svscan();
    let pids = ["service/a", "service/a/log", "b"].map(|name| place.wait_pid(name, 0));
    fs::remove_file(place.join("service/b")).unwrap();
    place.end(scan);
    assert!(pids.into_iter().all(is_gone));
}

#[test]
fn quit_leaves_everything_running() {
    // 0.76 dies of it, with the same effect
    let place = services();
    place.service("service/a", STAYS);
    let scan = place.svscan();
    let pid = place.wait_pid("service/a", 0);
    scan.signal(libc::SIGQUIT);
    let status = scan.wait(LIMIT);
    assert_eq!(status.code(), if original() { None } else { Some(0) });
    assert!(place.ok("service/a") && !is_gone(pid));
}

#[test]
fn hang_up_stops_what_has_no_name_any_more() {
    // 0.76 dies of it
    if original() {
        return;
    }
    let place = services();
    place.service("a", STAYS).service("a/log", LOGGER).service("b", STAYS).link(&["a", "b"]);
    let scan = place.svscan();
    let pid = place.wait_pid("b", 0);
    until(LIMIT, "services", || place.ok("a") && place.ok("a/log"));
    fs::remove_file(place.join("service/a")).unwrap();
    scan.signal(libc::SIGHUP);
    until(LIMIT, "the end", || !place.ok("a") && !place.ok("a/log"));
    assert_eq!((place.pid("b"), pipes(scan.pid())), (pid, 1));
    place.link(&["a"]);
    until(LIMIT, "services", || place.ok("a") && place.ok("a/log"));
}

#[test]
fn three_hundred_services_at_rest_cost_nothing() {
    // 0.76 reads the directory every five seconds
    if original() {
        return;
    }
    let place = services();
    let (run, log) = (place.join("run"), place.join("log"));
    place.script("run", STAYS).script("log", "exec cat >/dev/null\n");
    for number in 0..300 {
        place.dir(format!("service/{number}"));
        fs::hard_link(&run, place.join(format!("service/{number}/run"))).unwrap();
        if number < 60 {
            place.dir(format!("service/{number}/log"));
            fs::hard_link(&log, place.join(format!("service/{number}/log/run"))).unwrap();
        }
    }
    // fewer descriptors than pipes need, before svscan raises the limit
    let scan = start(&mut limited("-Sn 100", place.command("svscan").arg("service")));
    until(LIMIT * 2, "all services", || (0..300).all(|n| place.pid(&format!("service/{n}")) != 0));
    assert_idle(scan.pid());
    let limits = |pid: i32| {
        let text = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
        let line = text.lines().find(|line| line.starts_with("Max open files")).unwrap().to_owned();
        line.split_whitespace().nth(3).unwrap().to_owned()
    };
    assert_eq!(limits(place.pid("service/7")), "100");
    assert_ne!(limits(scan.pid()), "100");
    place.end(scan);
}

#[test]
fn where_changes_cannot_be_watched_it_looks_again() {
    // 0.76 always does so
    if original() {
        return;
    }
    let place = services();
    place.service("a", STAYS).service("service/first", STAYS);
    let mut command = place.command("svscan");
    command.arg("service");
    let Some(mut blind) = failing("inotify_init1", "EMFILE", 1, &command) else {
        return;
    };
    let _scan = start(blind.current_dir(place.path()));
    until(LIMIT, "a first look", || place.ok("service/first"));
    place.link(&["a"]);
    until(LIMIT, "a second look", || place.ok("service/a"));
}

#[test]
fn orphans_come_to_svscan() {
    // 0.76 leaves them to process 1
    if original() {
        return;
    }
    let place = services();
    place.service("service/a", STAYS);
    let scan = place.svscan();
    let pid = place.wait_pid("service/a", 0);
    signal(place.supervisor("service/a"), libc::SIGKILL);
    until(LIMIT, "another parent", || parent(pid) == scan.pid());
    signal(pid, libc::SIGKILL);
    until(LIMIT, "burial", || process(pid).is_empty());
}

/// A story that each mixture of programs must tell alike.
fn story(theirs: &[&'static str]) -> Vec<String> {
    let place = services_with_their(theirs);
    let run = "trap 'echo hup' HUP\ntrap 'echo term; exit' TERM\necho start\n\
               while :; do sleep 1000 >/dev/null 2>&1 & wait; done\n";
    place.service("a", run).service("a/log", LOGGER).service("b", STAYS).write("b/down", "");
    place.link(&["a", "b"]);
    let scan = place.svscan();
    let mut said = Vec::new();
    let mut wait = |name: &str, expected: &str| {
        place.wait_stat(name, expected);
        said.push(format!("{name}: {expected}"));
    };
    until(LIMIT, "all", || ["a", "a/log", "b"].iter().all(|name| place.ok(name)));
    wait("a", "up (pid N) S seconds");
    wait("a/log", "up (pid N) S seconds");
    wait("b", "down S seconds");
    place.wait_lines("a/log/main/current", 1);
    place.svc(&["-h", "a"]);
    place.wait_lines("a/log/main/current", 2);
    place.svc(&["-p", "a"]);
    wait("a", "up (pid N) S seconds, paused");
    place.svc(&["-c", "a"]);
    wait("a", "up (pid N) S seconds");
    let old = place.pid("a");
    place.svc(&["-t", "a"]);
    place.wait_pid("a", old);
    place.wait_lines("a/log/main/current", 4);
    place.svc(&["-d", "a"]);
    wait("a", "down S seconds, normally up");
    place.svc(&["-o", "b"]);
    wait("b", "up (pid N) S seconds, normally down");
    place.svc(&["-k", "b"]);
    wait("b", "down S seconds");
    // the scan directory is read again when a supervise has gone: at once, or within 5 seconds
    let supervise = parent(place.pid("a/log"));
    place.svc(&["-dx", "a/log"]);
    until(LIMIT, "another supervise", || {
        !place.ok("a/log") || parent(place.pid("a/log")) != supervise
    });
    until(LIMIT, "another supervise", || place.ok("a/log"));
    place.svc(&["-u", "a"]);
    place.wait_lines("a/log/main/current", 6);
    for name in ["a", "b"] {
        fs::remove_file(place.join("service").join(name)).unwrap();
    }
    place.svc(&["-dx", "a", "b"]);
    place.wait_lines("a/log/main/current", 7);
    place.svc(&["-dx", "a/log"]);
    until(LIMIT, "the end", || !["a", "b", "a/log"].iter().any(|name| place.ok(name)));
    said.push(place.text("a/log/main/current"));
    said.push(scan.err());
    said
}

#[test]
fn each_program_can_be_swapped_alone() {
    let all = ["svscan", "supervise", "svc", "svok", "svstat"];
    if original() || !all.iter().all(|name| Path::new(ORIGINALS).join(name).exists()) {
        return skip("needs the originals beside ours");
    }
    let single = all.iter().map(|one| vec![*one]);
    let others = all.iter().map(|one| all.into_iter().filter(|name| name != one).collect());
    let mixtures: Vec<_> = single.chain(others).chain([vec![], all.to_vec()]).collect();
    let stories: Vec<_> = thread::scope(|scope| {
        let told = mixtures.iter().map(|mixture| scope.spawn(move || story(mixture)));
        let told: Vec<_> = told.collect();
        told.into_iter().map(|story| story.join().unwrap()).collect()
    });
    let (original, mixed) = stories.split_last().unwrap();
    let log = "start\nhup\nterm\nstart\nterm\nstart\nterm\n";
    assert_eq!(original[original.len() - 2..], [log, ""]);
    for (story, theirs) in mixed.iter().zip(&mixtures) {
        assert_eq!(story, original, "theirs: {theirs:?}");
    }
}
