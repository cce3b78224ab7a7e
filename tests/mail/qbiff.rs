//! qbiff: who is told of a message, and what.

use std::mem::{offset_of, size_of};
use std::process::Command;
use tests::{Scratch, bin, fed, ran, root, scratch, skip};

/// The record of somebody who is logged in on a terminal.
fn record(user: &str, terminal: &str) -> Vec<u8> {
    let mut record = vec![0; size_of::<libc::utmpx>()];
    let parts = [
        (offset_of!(libc::utmpx, ut_type), &libc::USER_PROCESS.to_ne_bytes()[..]),
        (offset_of!(libc::utmpx, ut_user), user.as_bytes()),
        (offset_of!(libc::utmpx, ut_line), terminal.as_bytes()),
    ];
    for (at, part) in parts {
        record[at..at + part.len()].copy_from_slice(part);
    }
    record
}

/// Delivers a message to joe, whose terminals are files in `/dev/shm` of a machine of his own,
/// and prints what was written to them.
fn told(place: &Scratch, message: &str) -> Option<(Option<i32>, String, String)> {
    let records = [
        record("joe", "shm/yes"),
        record("joe", "shm/no"),
        record("ann", "shm/hers"),
        record("joe", "shm/others"),
        record("joe", "/dev/shm/path"),
        record("joe", "shm/../shm/dots"),
        record("joe", ""),
        record("joe", "shm/gone"),
    ];
    place.write("utmp", records.concat());
    let script = "mount -t tmpfs none /run && mount -t tmpfs none /dev/shm && cp utmp /run/utmp &&
        cd /dev/shm && touch yes no hers others path dots && chmod 744 * && chmod 644 no &&
        chown 1 others && \"$0\" || echo code $?; for file in *; do cat $file; done";
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", script]).arg(bin("qbiff")).current_dir(place.path());
    command.envs([("USER", "joe"), ("SENDER", "m\u{e9}@far"), ("LOCAL", "joe-list")]);
    let (code, out, err) = ran(&fed(&mut command, message));
    if err.contains("unshare failed") {
        skip("needs a mount namespace");
        return None;
    }
    Some((code, out, err))
}

#[test]
fn a_terminal_that_is_his_and_open_to_mail_shows_two_lines() {
    if !root() {
        return skip("needs root");
    }
    let place = scratch();
    let Some(seen) = told(&place, "From: x\nSubject: \thello\x1b[J\n\nBody\nmore\n") else {
        return;
    };
    let notice = "\r\n\x07*** TO <joe-list> FROM <m__@far>\r\n    hello/[J//Body/more/\r\n";
    assert_eq!(seen, (Some(0), notice.into(), String::new()));
    let long = format!("Subject: {}\n\nbody\n", "x".repeat(90));
    let (_, out, _) = told(&place, &long).unwrap();
    assert_eq!(out.lines().nth(2).unwrap().trim_end(), format!("    {}", "x".repeat(74)));
}

#[test]
fn nothing_is_wrong_whatever_is_missing() {
    let mut command = tests::program("qbiff");
    assert_eq!(ran(&command.output().unwrap()), (Some(0), String::new(), String::new()));
    command.env("USER", "nobody-at-all").env("SENDER", "").env("LOCAL", "x");
    assert_eq!(ran(&command.output().unwrap()), (Some(0), String::new(), String::new()));
}
