//! maildir2mbox: move mail from a Maildir to an mbox.

use std::fs::{self, FileTimes};
use std::process::Command;
use std::time::{Duration, SystemTime};
use tests::{Scratch, failing, killed, program, ran, scratch};

fn move_mail(place: &Scratch) -> Command {
    let mut command = program("maildir2mbox");
    command.env("MAIL", "mbox").env("MAILTMP", "mbox.tmp").env("MAILDIR", "Maildir");
    command.current_dir(place.path());
    command
}

/// A Maildir whose messages came at 1, 2 and 3 seconds past midnight.
fn maildir() -> Scratch {
    let place = scratch();
    let messages = [
        ("new/b", 1, "Return-Path: <me x@a>\nSubject: one\n\nFrom here\n>From there\nno end"),
        ("cur/c:2,S", 3, "Return-Path: <>\n\nthree\n"),
        ("new/a", 2, "Subject: two\n"),
        ("new/.hidden", 0, "never\n"),
    ];
    place.dir("Maildir/tmp").write("Maildir/tmp/x", "unfinished");
    for (name, seconds, text) in messages {
        let name = format!("Maildir/{name}");
        place.write(&name, text);
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let file = fs::File::open(place.join(name)).unwrap();
        file.set_times(FileTimes::new().set_modified(time)).unwrap();
    }
    place
}

const MOVED: &str = "From me-x@a Thu Jan 01 00:00:01 1970\nReturn-Path: <me x@a>\nSubject: one\n\n\
    >From here\n>>From there\nno end\n\nFrom XXX Thu Jan 01 00:00:02 1970\nSubject: two\n\n\
    From MAILER-DAEMON Thu Jan 01 00:00:03 1970\nReturn-Path: <>\n\nthree\n\n";

fn done() -> (Option<i32>, String, String) {
    (Some(0), String::new(), String::new())
}

#[test]
fn the_oldest_message_comes_first_behind_the_old_mail() {
    let place = maildir();
    place.write("mbox", "From old\n\nold\n\n").write("mbox.tmp", "garbage");
    assert_eq!(ran(&move_mail(&place).output().unwrap()), done());
    assert_eq!(place.text("mbox"), format!("From old\n\nold\n\n{MOVED}"));
    assert_eq!(
        (place.names("Maildir/new"), place.names("Maildir/cur")),
        (vec![".hidden".into()], vec![])
    );
    assert_eq!(place.names(""), ["Maildir", "mbox"]);
}

#[test]
fn an_mbox_that_is_not_there_is_made() {
    let place = maildir();
    assert_eq!(ran(&move_mail(&place).output().unwrap()), done());
    assert_eq!((place.text("mbox"), place.mode("mbox")), (MOVED.into(), 0o600));
}

#[test]
fn without_new_mail_nothing_changes() {
    let place = scratch();
    place.dir("Maildir/new").dir("Maildir/cur");
    assert_eq!(ran(&move_mail(&place).output().unwrap()), done());
    assert_eq!(place.names(""), ["Maildir"]);
}

#[test]
fn what_is_missing_is_named() {
    let place = scratch();
    let fatal = |why: &str| (Some(111), String::new(), format!("maildir2mbox: fatal: {why}\n"));
    for name in ["MAIL", "MAILTMP", "MAILDIR"] {
        let o = move_mail(&place).env_remove(name).output().unwrap();
        assert_eq!(ran(&o), fatal(&format!("{name} not set")));
    }
    let none = fatal("unable to read Maildir/new: file does not exist");
    assert_eq!(ran(&move_mail(&place).output().unwrap()), none);
}

#[test]
fn one_waits_for_another() {
    let place = maildir();
    let text = "x".repeat(100_000);
    place.write("Maildir/new/long", &text);
    // each would take what it finds in the mbox that it waits for
    place.write("mbox", "From old\n\nold\n\n");
    let mut running: Vec<_> = (0..4).map(|_| move_mail(&place).spawn().unwrap()).collect();
    for child in &mut running {
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
    assert!(place.text("mbox").contains(&text));
    let counts =
        ["From old", "Subject: one", "Subject: two"].map(|t| place.text("mbox").matches(t).count());
    assert_eq!(counts, [1; 3]);
}

#[test]
fn a_failure_or_death_anywhere_loses_nothing() {
    if tests::original() {
        return; // Traced from its first call: that is one of in-home.sh.
    }
    for kind in ["openat", "read", "write", "fsync", "rename", "unlink"] {
        for number in 1..=6 {
            for dies in [false, true] {
                let place = maildir();
                place.write("mbox", "From old\n\nold\n\n");
                let command = move_mail(&place);
                let broken = if dies {
                    killed(kind, number, &command)
                } else {
                    failing(kind, "EIO", number, &command)
                };
                let Some(mut broken) = broken else { return };
                broken.output().unwrap();
                assert!(place.text("mbox").starts_with("From old\n\nold\n\n"));
                assert_eq!(ran(&move_mail(&place).output().unwrap()), done());
                let mbox = place.text("mbox");
                for text in ["no end", "Subject: two", "three"] {
                    assert!(mbox.contains(text), "{kind} {number}: {mbox}");
                }
            }
        }
    }
}
