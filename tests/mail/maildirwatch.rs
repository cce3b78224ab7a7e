//! maildirwatch: what is shown of new mail.

use std::fs::{File, FileTimes};
use std::time::{Duration, SystemTime};
use tests::{LIMIT, Scratch, program, ran, redirected, scratch, start, until};

/// A Maildir with three new messages and an old one.
fn maildir() -> Scratch {
    let place = scratch();
    let first = "Return-Path: <a@b>\nDelivered-To: joe@here\nFrom: A. B. <a\x1b@b>\n\
        Subject: one\n\nHello\nthere\n";
    let messages = [
        ("new/2", 2, first),
        ("new/1", 3, "no header\n"),
        ("new/.3", 1, "x"),
        ("cur/4:2,", 1, "y"),
    ];
    for (name, seconds, text) in messages {
        let name = format!("Maildir/{name}");
        place.write(&name, text);
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        File::open(place.join(name))
            .unwrap()
            .set_times(FileTimes::new().set_modified(time))
            .unwrap();
    }
    place.write("Maildir/tmp/dead", "");
    let old = FileTimes::new().set_accessed(SystemTime::now() - Duration::from_secs(200_000));
    File::open(place.join("Maildir/tmp/dead")).unwrap().set_times(old).unwrap();
    place
}

#[test]
fn new_messages_are_shown_in_their_order() {
    let place = maildir();
    let watch = start(program("maildirwatch").env("MAILDIR", place.join("Maildir")));
    let screen = "\x1b[;H\x1b[;JFROM <a@b> TO <joe@here>\n\x1b[1mFrom: A. B. <a/@b>\x1b[0m\n\
        one//Hello/there/\n\nFROM ? TO <?>\n/no header/\n\n";
    assert_eq!(watch.wait_out("no header/\n\n"), screen);
    until(LIMIT, "tmp is swept", || place.names("Maildir/tmp").is_empty());
    assert!(watch.ended().is_none());
}

#[test]
fn trouble_ends_it() {
    let refused = |why: &str| (Some(111), String::new(), format!("maildirwatch: fatal: {why}\n"));
    let mut watch = program("maildirwatch");
    assert_eq!(ran(&watch.output().unwrap()), refused("MAILDIR not set"));
    if tests::original() {
        return; // It has other words, and goes on after an error of output.
    }
    watch.env("MAILDIR", "/nonexistent");
    let gone = "unable to chdir to /nonexistent: file does not exist";
    assert_eq!(ran(&watch.output().unwrap()), refused(gone));
    let place = scratch();
    watch.env("MAILDIR", place.path());
    assert_eq!(ran(&watch.output().unwrap()), refused("unable to read new: file does not exist"));
    let place = maildir();
    watch.env("MAILDIR", place.join("Maildir"));
    let full = redirected(">/dev/full", &watch).output().unwrap();
    assert_eq!(ran(&full), refused("unable to write output: out of disk space"));
}
