//! svscanboot: svscan and readproctitle, joined, detached, and kept alive.
//!
//! The programs that it runs are found in fixed places, so the tests put ours there: in a mount
//! namespace of their own, as root.

use crate::services::{STAYS, Services, is_gone, parent, process, services, signal};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use tests::{LIMIT, Running, bin, fed, original, ran, skip, start, until};

/// What the original starts in, and what ours takes if there is no /service.
const FOLDER: &str = "/etc/service";

/// `svscanboot WORDS` for the services in `service`, if it can be run here.
fn command(place: &Services, words: &[&str]) -> Option<Command> {
    let may = Command::new("unshare").args(["-m", "test", "-d", FOLDER]).output();
    let may = may.is_ok_and(|output| output.status.success());
    if !may || Path::new("/service").exists() {
        skip("needs root, /etc/service, and no /service");
        return None;
    }
    if !original() {
        place.dir("bin");
        for name in ["svscan", "supervise", "readproctitle"] {
            symlink(bin(name), place.join("bin").join(name)).unwrap();
        }
    }
    let mut command = Command::new("unshare");
    let script = "mount --bind service /etc/service && { [ ! -d bin ] || \
                  mount --bind bin /usr/local/bin; } && exec \"$0\" \"$@\"";
    command.args(["-m", "sh", "-c", script]).arg(bin("svscanboot")).args(words);
    command.current_dir(place.path()).env("SVDIR", place.dir("service").join("service"));
    Some(command)
}

/// Children of a process with this name.
fn children(pid: i32, name: &str) -> Vec<i32> {
    let names = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.file_name());
    let pids = names.filter_map(|name| name.to_str()?.parse().ok());
    let named = |pid: &i32| {
        fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim_end() == name)
    };
    pids.filter(|child| parent(*child) == pid).filter(named).collect()
}

/// Waits for a child of this name, another one than `old`.
fn child(pid: i32, name: &str, old: i32) -> i32 {
    until(LIMIT, name, || children(pid, name).iter().any(|child| *child != old));
    children(pid, name)[0]
}

fn title(readproctitle: i32) -> String {
    let words = fs::read(format!("/proc/{readproctitle}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&words).into_owned()
}

/// Ends it as an administrator would: everything stops.
fn ended(boot: Running) -> (Option<i32>, String, String) {
    boot.signal(libc::SIGTERM);
    ran(&boot.finish(LIMIT))
}

#[test]
fn messages_of_services_appear_in_ps() {
    let place = services();
    place.service("service/a", &format!("echo hello >&2; echo there\n{STAYS}"));
    let Some(mut command) = command(&place, &[]) else { return };
    let boot = start(&mut command);
    let readproctitle = child(boot.pid(), "readproctitle", 0);
    until(LIMIT, "the message", || title(readproctitle).contains("hello\nthere\n"));
    let title = title(readproctitle);
    assert!(title.starts_with("readproctitle\0service\0errors:\0..."), "{title}");
    assert_eq!(title.len(), "readproctitle service errors: ".len() + 400 + 1);
    child(boot.pid(), "svscan", 0);
    if !original() {
        // the original is a shell: it dies alone
        assert_eq!(ended(boot), (Some(0), String::new(), String::new()));
    }
}

#[test]
fn services_get_a_path_and_nothing_else() {
    let place = services();
    let run = "tr '\\0' '\\n' </proc/$$/environ >environ; ls -l /proc/$$/fd/0 >stdin\n";
    place.service("service/a", &format!("{run}echo >>done\n{STAYS}"));
    let Some(mut command) = command(&place, &[]) else { return };
    let boot = start(command.env("SECRET", "1"));
    place.wait_lines("service/a/done", 1);
    let path = "PATH=/command:/usr/local/bin:/usr/local/sbin:/bin:/sbin:/usr/bin:/usr/sbin:\
                /usr/X11R6/bin\n";
    assert_eq!(place.text("service/a/environ"), path);
    assert!(place.text("service/a/stdin").trim_end().ends_with(" -> /dev/null"));
    drop(boot);
}

#[test]
fn what_an_earlier_svscan_has_left_is_stopped_first() {
    let place = services();
    place.service("service/a", STAYS).service("service/a/log", STAYS);
    let Some(mut command) = command(&place, &[]) else { return };
    let left = [place.supervise("service/a"), place.supervise("service/a/log")];
    let old = ["service/a", "service/a/log"].map(|name| place.wait_pid(name, 0));
    let boot = start(&mut command);
    left.iter().for_each(|supervise| assert_eq!(supervise.wait(LIMIT).code(), Some(0)));
    place.wait_pid("service/a", old[0]);
    place.wait_pid("service/a/log", old[1]);
    drop(boot);
}

#[test]
fn what_is_killed_is_started_again() {
    // the original waits for readproctitle for ever
    if original() {
        return;
    }
    let place = services();
    place.service("service/a", &format!("echo start >&2\n{STAYS}"));
    let Some(mut command) = command(&place, &[]) else { return };
    let boot = start(&mut command);
    let pid = place.wait_pid("service/a", 0);
    let (svscan, readproctitle) =
        (child(boot.pid(), "svscan", 0), child(boot.pid(), "readproctitle", 0));
    signal(svscan, libc::SIGKILL);
    signal(readproctitle, libc::SIGKILL);
    child(boot.pid(), "svscan", svscan);
    let readproctitle = child(boot.pid(), "readproctitle", readproctitle);
    until(LIMIT, "the message", || {
        title(readproctitle).contains("svscan: info: a already supervised\n")
    });
    assert_eq!(place.pid("service/a"), pid);
    place.svc(&["-t", "service/a"]);
    until(LIMIT, "the message", || title(readproctitle).ends_with("start\n\0"));
    assert_eq!(ended(boot), (Some(0), String::new(), String::new()));
}

#[test]
fn an_svscan_that_dies_of_the_signal_to_end_is_not_started_again() {
    // the original hands no signals on
    if original() {
        return;
    }
    let place = services();
    let Some(mut command) = command(&place, &[]) else { return };
    fs::remove_file(place.join("bin/svscan")).unwrap();
    place.script("bin/svscan", "exec sleep 1000\n");
    let boot = start(&mut command);
    child(boot.pid(), "sleep", 0);
    assert_eq!(ended(boot), (Some(0), String::new(), String::new()));
}

#[test]
fn an_svscan_that_cannot_work_is_started_again() {
    // the original waits for readproctitle for ever
    if original() {
        return;
    }
    let place = services();
    let Some(mut command) = command(&place, &[]) else { return };
    fs::remove_file(place.join("bin/svscan")).unwrap();
    let failed = place.join("failed").display().to_string();
    place
        .script("bin/svscan", &format!("[ -e {failed} ] || {{ : >{failed}; exit 111; }}\n{STAYS}"));
    let boot = start(&mut command);
    child(boot.pid(), "sleep", 0);
    assert!(place.exists("failed"));
    assert_eq!(ended(boot), (Some(0), String::new(), String::new()));
}

#[test]
fn it_detaches_and_writes_its_number() {
    // the original has no options
    if original() {
        return;
    }
    let place = services();
    place.service("service/a", STAYS);
    let Some(mut command) = command(&place, &["-d", "-p", "pid"]) else { return };
    let said = |code: i32, err: &str| (Some(code), String::new(), err.to_owned());
    assert_eq!(ran(&fed(&mut command, "")), said(0, ""));
    place.wait_lines("pid", 1);
    let pid: i32 = place.text("pid").trim_end().parse().unwrap();
    let service = place.wait_pid("service/a", 0);
    // in a session that it does not lead, so that it never gets a terminal
    let session = process(pid)[3].clone();
    assert!(![pid, nix::unistd::getpid().as_raw()].map(|pid| pid.to_string()).contains(&session));
    assert_eq!(fs::read_link(format!("/proc/{pid}/cwd")).unwrap(), Path::new("/"));
    for number in 0..3 {
        let file = fs::read_link(format!("/proc/{pid}/fd/{number}")).unwrap();
        assert_eq!(file, Path::new("/dev/null"));
    }
    let err = format!(
        "svscanboot: fatal: unable to lock {}: temporary failure\n",
        place.join("pid").display()
    );
    assert_eq!(ran(&fed(&mut command, "")), said(111, &err));
    signal(pid, libc::SIGTERM);
    until(LIMIT, "the end", || is_gone(pid));
    assert!(is_gone(service));
}

#[test]
fn a_pid_file_is_for_one_that_detaches() {
    if original() {
        return;
    }
    let place = services();
    let usage = "svscanboot: usage: svscanboot [ -d [ -p pidfile ] ]\n";
    let cases = [
        (&["-p", "pid"][..], String::new()),
        (&["-x"], "svscanboot: illegal option -- x\n".into()),
        (&["-d", "-p"], "svscanboot: option requires an argument -- p\n".into()),
    ];
    for (words, first) in cases {
        let output = fed(place.command("svscanboot").args(words), "");
        assert_eq!(ran(&output), (Some(100), String::new(), first + usage));
    }
    let output = fed(place.command("svscanboot").args(["-d", "-p", "no/pid"]), "");
    let file = place.join("no/pid").display().to_string();
    let err = format!("svscanboot: fatal: unable to open {file}: file does not exist\n");
    assert_eq!(ran(&output), (Some(111), String::new(), err));
    let mut command = place.command("svscanboot");
    let output = fed(command.arg("-d").env("SVDIR", place.join("gone")), "");
    let err = format!(
        "svscanboot: fatal: unable to chdir to {}: file does not exist\n",
        place.join("gone").display()
    );
    assert_eq!(ran(&output), (Some(111), String::new(), err));
}
