//! svstat: one line for each state of a service and of its files.

use crate::pretender::{UP, pretend, stamp};
use crate::services::{Services, services};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use tests::{fed, original, ran};

/// A service whose `ok` the test reads as supervise would.
fn supervised(place: &Services, name: &str) -> File {
    place.fifo(format!("{name}/supervise/ok"));
    let ok = place.join(name).join("supervise/ok");
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(ok).unwrap()
}

/// A status file: a stamp in the future, this pid, and what follows it.
fn status(pid: u32, rest: &[u8]) -> Vec<u8> {
    let stamp = [&[0x40, 0, 0, 1, 0, 0, 0, 0][..], &[0; 4]].concat();
    [&stamp[..], &pid.to_le_bytes(), rest].concat()
}

/// What svstat says of a service with this status file.
fn told(place: &Services, bytes: &[u8]) -> String {
    let _ok = supervised(place, "a");
    place.write("a/supervise/status", bytes);
    let output = ran(&fed(place.command("svstat").arg("a"), ""));
    std::fs::remove_file(place.join("a/supervise/ok")).unwrap();
    assert_eq!((output.0, &output.2[..]), (Some(0), ""));
    output.1
}

#[test]
fn every_status_of_0_76_has_its_words() {
    let place = services();
    let cases: [(u32, &[u8], &str, &str); 8] = [
        (7, b"\0u", "up (pid 7) 0 seconds", "up (pid 7) 0 seconds, normally down"),
        (
            7,
            b"\0d",
            "up (pid 7) 0 seconds, want down",
            "up (pid 7) 0 seconds, normally down, want down",
        ),
        (7, b"\0\0", "up (pid 7) 0 seconds", "up (pid 7) 0 seconds, normally down"),
        (
            7,
            b"\x01d",
            "up (pid 7) 0 seconds, paused, want down",
            "up (pid 7) 0 seconds, normally down, paused, want down",
        ),
        (
            4_000_000_000,
            b"\0u",
            "up (pid 4000000000) 0 seconds",
            "up (pid 4000000000) 0 seconds, normally down",
        ),
        (0, b"\0u", "down 0 seconds, normally up, want up", "down 0 seconds, want up"),
        (0, b"\x01d", "down 0 seconds, normally up", "down 0 seconds"),
        (0, b"\0\0", "down 0 seconds, normally up", "down 0 seconds"),
    ];
    for (pid, rest, normally_up, normally_down) in cases {
        let bytes = status(pid, rest);
        assert_eq!(told(&place, &bytes), format!("a: {normally_up}\n"));
        // longer files, of encore, runit and nosh, are read the same way
        let longer = [&bytes[..], &[3, 1], &[0; 67]].concat();
        assert_eq!(told(&place, &longer[..20]), format!("a: {normally_up}\n"));
        assert_eq!(told(&place, &longer), format!("a: {normally_up}\n"));
        place.write("a/down", "");
        assert_eq!(told(&place, &bytes), format!("a: {normally_down}\n"));
        std::fs::remove_file(place.join("a/down")).unwrap();
    }
}

#[test]
fn states_that_0_76_does_not_know_are_named() {
    // 0.76 does not read them
    if original() {
        return;
    }
    let place = services();
    let cases: [(u32, &[u8], &str); 5] = [
        (7, b"\0u\x01\x01", "up (pid 7) 0 seconds, starting"),
        (0, b"\0\0\x02\0", "down 0 seconds, normally up, started"),
        (7, b"\0d\x04\x01", "up (pid 7) 0 seconds, want down, stopping"),
        (0, b"\0d\x05\0", "down 0 seconds, normally up, failed"),
        (0, b"\0d\x63\0", "down 0 seconds, normally up"),
    ];
    for (pid, rest, words) in cases {
        assert_eq!(told(&place, &status(pid, rest)), format!("a: {words}\n"));
    }
}

#[test]
fn seconds_since_the_stamp_are_whole() {
    let place = services();
    let seconds = (1u64 << 62) + 10 + base::sys::clock::seconds() - 100;
    let bytes = [&seconds.to_be_bytes()[..], &[0; 4], &7u32.to_le_bytes(), b"\0u"].concat();
    let line = told(&place, &bytes);
    let passed = line.strip_prefix("a: up (pid 7) ").and_then(|l| l.strip_suffix(" seconds\n"));
    let passed: u64 = passed.unwrap_or_else(|| panic!("{line}")).parse().unwrap();
    assert!((100..120).contains(&passed), "{passed}");
}

#[test]
fn what_is_in_the_way_is_said_in_the_line() {
    let place = services();
    place.write("file", "").dir("new").fifo("ended/supervise/ok").dir("odd/supervise/ok");
    place.dir("loop");
    symlink("down", place.join("loop/down")).unwrap();
    let _ok = ["none", "short", "empty"].map(|name| supervised(&place, name));
    place.write("short/supervise/status", [0; 17]).write("empty/supervise/status", "");
    let names = ["gone", "file", "", "loop", "new", "ended", "odd", "none", "short", "empty"];
    let output = fed(place.command("svstat").args(names), "");
    let said = "gone: unable to chdir: file does not exist\n\
                file: unable to chdir: not a directory\n\
                : unable to chdir: file does not exist\n\
                loop: unable to stat down: symbolic link loop\n\
                new: unable to open supervise/ok: file does not exist\n\
                ended: supervise not running\n\
                odd: unable to open supervise/ok: is a directory\n\
                none: unable to open supervise/status: file does not exist\n\
                short: unable to read supervise/status: bad format\n\
                empty: unable to read supervise/status: bad format\n";
    assert_eq!(ran(&output), (Some(0), said.into(), String::new()));
}

#[test]
fn a_status_that_cannot_be_read_is_no_status() {
    // 0.76 takes the failure for a full buffer
    if original() {
        return;
    }
    let place = services();
    let _ok = supervised(&place, "a");
    place.dir("a/supervise/status");
    let output = fed(place.command("svstat").arg("a"), "");
    let said = "a: unable to read supervise/status: is a directory\n";
    assert_eq!(ran(&output), (Some(0), said.into(), String::new()));
}

#[test]
fn no_directory_is_no_line() {
    let output = fed(&mut services().command("svstat"), "");
    assert_eq!(ran(&output), (Some(0), String::new(), String::new()));
}

#[test]
fn unknown_letters_are_wrong_usage() {
    // 0.76 takes them for a directory
    if original() {
        return;
    }
    let usage = "svstat: illegal option -- x\nsvstat: usage: svstat [ -jlL ] [ dir ... ]\n";
    let output = fed(services().command("svstat").arg("-x"), "");
    assert_eq!(ran(&output), (Some(100), String::new(), usage.into()));
}

#[test]
fn a_full_disk_is_a_failure() {
    // 0.76 does not look
    if original() {
        return;
    }
    let place = services();
    let mut command = place.command("svstat");
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = command.arg("gone").stdout(full).output().unwrap();
    let said = "svstat: fatal: unable to write output: out of disk space\n";
    assert_eq!(ran(&output), (Some(111), String::new(), said.into()));
}

#[test]
fn a_log_script_has_a_line_of_its_own() {
    if original() {
        return;
    }
    let place = services();
    let service = pretend(&place, "a");
    let svstat = |words: &[&str]| ran(&fed(place.command("svstat").args(words), "")).1;
    service.says(7, UP, "");
    assert_eq!(svstat(&["-L", "a"]), "a: no log service\n");
    service.says(7, &[UP, &stamp()[..], &[8, 0, 0, 0], b"\x01d\x03\x01"].concat(), "");
    let main = "a: up (pid 7) 0 seconds\n";
    let log = "a log: up (pid 8) 0 seconds, paused, want down\n";
    assert_eq!(svstat(&["a"]), format!("{main}{log}"));
    assert_eq!(svstat(&["-l", "a"]), main);
    assert_eq!(svstat(&["-L", "a"]), log);
    assert_eq!(svstat(&["-L", "gone"]), "gone: unable to chdir: file does not exist\n");
}

#[test]
fn a_service_that_tells_may_be_ready() {
    if original() {
        return;
    }
    let place = services();
    let service = pretend(&place, "a");
    let svstat = || ran(&fed(place.command("svstat").arg("a"), "")).1;
    service.says(7, UP, "ready=yes\n");
    assert_eq!(svstat(), "a: up (pid 7) 0 seconds, ready\n");
    service.says(7, UP, "ready=no\n");
    assert_eq!(svstat(), "a: up (pid 7) 0 seconds\n");
    // what a supervise of an earlier boot has left, or one that is gone
    place.write("a/supervise/state", "pid=7\nstart=1\nboot=x\nready=yes\n");
    assert_eq!(svstat(), "a: up (pid 7) 0 seconds\n");
}

#[test]
fn json_has_everything() {
    if original() {
        return;
    }
    let place = services();
    let service = pretend(&place, "a");
    let json = |name: &str| {
        let (code, out, err) = ran(&fed(place.command("svstat").args(["-j", name]), ""));
        assert_eq!((code, err), (Some(0), String::new()));
        out
    };
    let since = "@400000010000000000000000";
    service.says(7, UP, "ready=no\nrestarts=3\nlast_exit=1\nadopted=yes\n");
    let expected = format!(
        "{{\"service\":\"a\",\"supervised\":true,\"state\":\"running\",\"up\":true,\"pid\":7,\
         \"seconds\":0,\"since\":\"{since}\",\"want\":\"up\",\"normally\":\"up\",\"paused\":false,\
         \"ready\":false,\"restarts\":3,\"last_exit\":1,\"last_signal\":null,\"adopted\":true}}\n"
    );
    assert_eq!(json("a"), expected);
    service.says(0, b"\0u\0\0", "last_signal=SIGTERM\ndelay=4\n");
    place.write("a/down", "");
    let expected = format!(
        "{{\"service\":\"a\",\"supervised\":true,\"state\":\"backoff\",\"up\":false,\"pid\":null,\
         \"seconds\":0,\"since\":\"{since}\",\"want\":\"up\",\"normally\":\"down\",\
         \"paused\":false,\"ready\":null,\"restarts\":0,\"last_exit\":null,\
         \"last_signal\":\"SIGTERM\",\"adopted\":false}}\n"
    );
    assert_eq!(json("a"), expected);
    let unseen = |name: &str, supervised: bool, error: &str| {
        format!("{{\"service\":\"{name}\",\"supervised\":{supervised},\"error\":\"{error}\"}}\n")
    };
    assert_eq!(json("x"), unseen("x", false, "file does not exist"));
    place.write("a/supervise/status", "");
    assert_eq!(json("a"), unseen("a", true, "bad format"));
    drop(service);
    assert_eq!(json("a"), unseen("a", false, "supervise not running"));
    for (status, word) in [
        (&b"\0u\x01\x01"[..], "starting"),
        (b"\0\0\x02\x00", "started"),
        (b"\0d\x04\x01", "stopping"),
        (b"\0d\x05\x00", "failed"),
        (b"\0d\x00\x00", "stopped"),
    ] {
        std::fs::remove_dir_all(place.join("a/supervise")).unwrap();
        let service = pretend(&place, "a");
        service.says(0, status, "");
        assert!(json("a").contains(&format!("\"state\":\"{word}\"")), "{}", json("a"));
    }
}
