//! svok: an exit code for each state of supervise/ok.

use crate::services::services;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use tests::{as_user, fed, ran, root, skip};

type Said = (Option<i32>, String, String);

fn said(code: i32, err: &str) -> Said {
    (Some(code), String::new(), err.into())
}

#[test]
fn a_missing_directory_name_is_wrong_usage() {
    let place = services();
    assert_eq!(ran(&fed(&mut place.command("svok"), "")), said(100, "svok: usage: svok dir\n"));
}

#[test]
fn zero_only_while_somebody_reads_ok() {
    let place = services();
    place.fifo("a/supervise/ok").dir("new").write("file", "").dir("odd/supervise/ok");
    let svok = |name: &str| ran(&fed(place.command("svok").arg(name), ""));
    assert_eq!(svok("a"), said(100, ""));
    let mut reader = OpenOptions::new();
    let reader = reader.read(true).custom_flags(libc::O_NONBLOCK);
    let reader = reader.open(place.join("a/supervise/ok")).unwrap();
    assert_eq!(svok("a"), said(0, ""));
    drop(reader);
    assert_eq!(svok("a"), said(100, ""));
    assert_eq!(svok("new"), said(100, ""));
    let cases = [
        ("gone", "svok: fatal: unable to chdir to gone: file does not exist\n"),
        ("file", "svok: fatal: unable to chdir to file: not a directory\n"),
        ("", "svok: fatal: unable to chdir to : file does not exist\n"),
        ("odd", "svok: fatal: unable to open odd/supervise/ok: is a directory\n"),
    ];
    for (name, err) in cases {
        assert_eq!(svok(name), said(111, err));
    }
}

#[test]
fn without_permission_nobody_knows() {
    if !root() {
        return skip("needs root");
    }
    let place = services();
    place.fifo("a/supervise/ok").dir("closed").chmod("closed", 0o700);
    let svok = |name: &str| {
        let mut command = place.command("svok");
        ran(&fed(as_user(65534, 65534, command.arg(name)), ""))
    };
    let err = "svok: fatal: unable to open a/supervise/ok: access denied\n";
    assert_eq!(svok("a"), said(111, err));
    let err = "svok: fatal: unable to chdir to closed: access denied\n";
    assert_eq!(svok("closed"), said(111, err));
}
