//! supervise and svscan where the ground moves: folders that vanish, disks that are read-only,
//! signals in storms.

use crate::services::{Disk, STAYS, Services, assert_idle, is_gone, services, signal};
use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::thread;
use std::time::Duration;
use tests::{
    LIMIT, Random, Scratch, as_user, fed, original, program, ran, root, scratch, skip, start, until,
};

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
    // the last word
    signal(supervise, libc::SIGCONT);
    assert_idle(supervise);
    assert_idle(scan.pid());
    place.wait_state("service/a", "paused", "no");
    assert_eq!(place.pid("service/a"), pid);
    place.end(scan);
}

#[test]
fn a_disk_that_turns_read_only_stops_nothing() {
    // 0.76 complains at every change
    if original() || !root() {
        return skip("needs root and our own");
    }
    let place = services();
    let Some(disk) = Disk::mounted(&place.dir("disk").join("disk"), "1m") else {
        return skip("needs to mount");
    };
    place.service("disk/a", STAYS).dir("disk/a/supervise");
    // elsewhere, as a disk with a file that is being written does not turn read-only when asked
    symlink(place.join("lock"), place.join("disk/a/supervise/lock")).unwrap();
    let running = place.supervise("disk/a");
    let pid = place.wait_pid("disk/a", 0);
    disk.remount("ro");
    place.svc(&["-k", "disk/a"]);
    until(LIMIT, "its end", || is_gone(pid));
    let why = "unable to open disk/a/supervise/state.new: read-only file system";
    let told = format!("supervise: warning: {why}\n");
    running.wait_err(&told);
    let here = |pid: &i32| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        name == "sleep\n" && !is_gone(*pid)
    };
    until(LIMIT, "another process", || place.processes().iter().any(here));
    // nobody else has been told of it yet
    assert_eq!(place.pid("disk/a"), pid);
    disk.remount("rw");
    let new = place.wait_pid("disk/a", pid);
    assert!(here(&new));
    place.wait_state("disk/a", "pid", &new.to_string());
    place.svc(&["-dx", "disk/a"]);
    assert_eq!(ran(&running.finish(LIMIT)), (Some(0), String::new(), told));
}

#[test]
fn from_a_read_only_disk_runs_what_is_kept_elsewhere_and_the_rest_once_it_can() {
    if !root() {
        return skip("needs root");
    }
    let place = services();
    let Some(disk) = Disk::mounted(&place.dir("disk").join("disk"), "1m") else {
        return skip("needs to mount");
    };
    place.service("disk/a", STAYS).service("disk/b", STAYS);
    symlink(place.join("kept"), place.join("disk/a/supervise")).unwrap();
    disk.remount("ro");
    let scan = start(place.command("svscan").arg("disk"));
    let pid = place.wait_name("disk/a", "sleep");
    scan.wait_err("supervise: fatal: unable to acquire b/supervise/lock: file does not exist\n");
    signal(pid, libc::SIGKILL);
    place.wait_pid("disk/a", pid);
    disk.remount("rw");
    place.wait_name("disk/b", "sleep");
    if !original() {
        scan.signal(libc::SIGTERM);
        assert_eq!(scan.wait(LIMIT).code(), Some(0));
    }
}

#[test]
fn a_service_of_which_nothing_can_be_written_down_runs_all_the_same() {
    if !root() {
        return skip("needs root");
    }
    let place = services();
    place.service("a", STAYS).write("a/supervise/lock", "");
    place.fifo("a/supervise/control").fifo("a/supervise/ok");
    for name in ["lock", "control", "ok"] {
        place.chmod(format!("a/supervise/{name}"), 0o666);
    }
    let mut command = place.command("supervise");
    let running = start(as_user(65534, 65534, command.arg("a")));
    let file = if original() { "status" } else { "state" };
    let told =
        format!("supervise: warning: unable to open a/supervise/{file}.new: access denied\n");
    running.wait_err(&told);
    let runs = || {
        let name = |pid: &i32| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        place.processes().into_iter().find(|pid| name(pid) == "sleep\n" && !is_gone(*pid))
    };
    until(LIMIT, "the service", || runs().is_some());
    signal(runs().unwrap(), libc::SIGKILL);
    until(LIMIT, "the service again", || runs().is_some());
    place.svc(&["-dx", "a"]);
    let (code, out, err) = ran(&running.finish(LIMIT));
    assert_eq!((code, out), (Some(0), String::new()));
    // told once, where the original tells of every change
    assert!(original() || err == told, "{err}");
}

#[test]
fn a_disk_that_gets_full_stops_no_service_and_loses_no_line() {
    // 0.76 cannot start what it has no room to write about
    if original() || !root() {
        return skip("needs root and our own");
    }
    let place = services();
    let Some(_disk) = Disk::mounted(&place.dir("disk").join("disk"), "1m") else {
        return skip("needs to mount");
    };
    let count = "while :; do n=$((n+1)); echo $n; [ $((n%50)) -gt 0 ] || sleep 0.01; done\n";
    place.service("disk/a", &format!("n=0\n{count}"));
    place.service("disk/a/log", "exec multilog s16777215 ./main\n");
    place.service("disk/b", STAYS);
    place.dir("service");
    symlink(place.join("disk/a"), place.join("service/a")).unwrap();
    let scan = place.svscan();
    let log = "disk/a/log/main/current";
    place.wait_lines(log, 10);
    assert!(fs::write(place.join("disk/filler"), vec![0; 2 << 20]).is_err());
    scan.wait_err(
        "multilog: warning: unable to write to ./main/current, pausing: out of disk space\n",
    );
    let stopped = place.text(log).lines().count();
    // another one starts, though nothing can be written about it
    symlink(place.join("disk/b"), place.join("service/b")).unwrap();
    scan.wait_err("supervise: warning: unable to write b/supervise/state.new: out of disk space\n");
    fs::remove_file(place.join("disk/filler")).unwrap();
    let lines = place.wait_lines(log, stopped + 100);
    let expected: Vec<String> = (1..=lines.len()).map(|number| number.to_string()).collect();
    assert_eq!(lines, expected);
    place.wait_stat("service/b", "up (pid N) S seconds");
    scan.signal(libc::SIGTERM);
    assert_eq!(scan.finish(LIMIT).status.code(), Some(0));
}

#[test]
fn a_run_that_its_user_may_not_read_is_tried_until_it_may() {
    if !root() {
        return skip("needs root");
    }
    let place = services();
    for name in ["a", "b"] {
        place.service(name, "echo up\nexec sleep 1000\n");
        place.chown(name, 65534, 65534);
    }
    // the shell may not read what the kernel may run
    place.chmod("a/run", 0o711);
    let a = start(as_user(65534, 65534, place.command("supervise").arg("a")));
    until(LIMIT, "two tries", || a.err().lines().count() > 1);
    assert_eq!(a.out(), "");
    place.chmod("a/run", 0o755);
    a.wait_out("up\n");
    place.chmod("b", 0o000);
    let mut b = place.command("supervise");
    let text = "supervise: fatal: unable to chdir to b: access denied\n";
    let ran = ran(&fed(as_user(65534, 65534, b.arg("b")), ""));
    assert_eq!(ran, (Some(111), String::new(), text.into()));
}

/// Tells of a second copy of the service with this number, and stays.
fn single(place: &Scratch, number: usize) -> String {
    let place = place.path().display();
    format!(
        "exec 9>>{place}/locks/{number}\nflock -n 9 || {{ echo {number} >>{place}/doubles; exit; }}\n\
         exec sleep 1000\n"
    )
}

#[test]
fn folders_come_go_and_change_names_at_any_moment() {
    moves(80);
}

#[test]
#[ignore = "torture"]
fn folders_come_go_and_change_names_two_thousand_times() {
    moves(2000);
}

/// So many random changes in a scan directory. Then each service that is there runs once, and
/// nothing else does.
fn moves(changes: usize) {
    // 0.76 goes on with what is gone
    if original() {
        return;
    }
    let place = services();
    place.dir("service").dir("gone").dir("locks");
    let scan = place.svscan();
    let mut random = Random::new(31);
    for number in 0..changes {
        let [one, other] = [0, 0].map(|_| place.join(format!("service/{}", random.below(4))));
        // each fails if there is nothing, or something already, of the name
        let _ = match random.below(6) {
            0 => fs::rename(one, other),
            1 => fs::rename(one, place.join(format!("gone/{number}"))),
            2 => {
                // a supervise may be making files there
                let gone = || fs::remove_dir_all(&one).is_ok() || one.symlink_metadata().is_err();
                until(LIMIT, "its end", gone);
                Ok(())
            }
            3 => fs::remove_file(one),
            4 => {
                place.service(&format!("linked/{number}"), &single(&place, number));
                symlink(place.join(format!("linked/{number}")), one)
            }
            _ => {
                place.service(&format!("made/{number}"), &single(&place, number));
                fs::rename(place.join(format!("made/{number}")), one)
            }
        };
        if random.below(8) == 0 {
            scan.signal(libc::SIGHUP);
        }
        thread::park_timeout(Duration::from_millis(random.below(40) as u64));
    }
    scan.signal(libc::SIGHUP);
    let present: Vec<String> =
        place.names("service").iter().map(|name| format!("service/{name}")).collect();
    until(LIMIT * 3, "what is there runs", || {
        present.iter().all(|name| place.pid(name) != 0 && !is_gone(place.pid(name)))
    });
    until(LIMIT * 3, "what is gone does not", || running(&place) == present.len());
    assert!(!place.exists("doubles"), "{}", place.text("doubles"));
    assert!(!scan.err().contains("internal"), "{}", scan.err());
    scan.signal(libc::SIGTERM);
    assert_eq!(scan.wait(LIMIT * 3).code(), Some(0));
    assert_eq!(running(&place), 0);
}

/// Services that run: what has become of their run scripts.
fn running(place: &Services) -> usize {
    let is_service = |pid: &i32| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        name == "sleep\n"
    };
    place.processes().iter().filter(|pid| is_service(pid)).count()
}

#[test]
fn a_storm_of_signals_loses_no_line() {
    let place = scratch();
    let mut multilog = program("multilog");
    multilog.args(["s4096", "n10000", "./m"]).current_dir(place.path());
    let mut running = start(&mut multilog);
    until(LIMIT, "the log", || place.exists("m/current"));
    let mut random = Random::new(41);
    let mut lines = String::new();
    for number in 0..3000 {
        let line = format!("line {number}{}\n", " and more".repeat(random.below(30)));
        running.write(&line);
        lines += &line;
        running.signal([libc::SIGALRM, libc::SIGCHLD, libc::SIGCONT][random.below(3)]);
    }
    assert_eq!(ran(&running.finish(LIMIT)), (Some(0), String::new(), String::new()));
    let old = place.names("m").into_iter().filter(|name| name.starts_with('@'));
    let kept: String =
        old.chain(["current".into()]).map(|name| place.text(format!("m/{name}"))).collect();
    assert!(kept == lines, "{} bytes of {}", kept.len(), lines.len());
}
