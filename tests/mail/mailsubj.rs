//! mailsubj: send a message with this subject to these addresses.

use crate::installation::installation;
use std::fs::File;
use tests::{LIMIT, fed, ran, start_on};

#[test]
fn subject_and_recipients_become_a_header() {
    let home = installation();
    let words = ["a \\t 'b'\nBcc: spy@x.example", "you@b.example", "me@c.example"];
    let o = fed(home.program("mailsubj").args(words).env("USER", "joe"), "body\n");
    assert_eq!(ran(&o), (Some(0), String::new(), String::new()));
    let number = home.only("todo");
    let message = home.place().text(home.file("mess", number));
    assert!(message.contains("\nSubject: a \\t 'b' Bcc: spy@x.example\n"), "{message}");
    assert!(message.contains("\nTo: you@b.example, me@c.example\n"), "{message}");
    assert!(message.ends_with("\n\nbody\n"), "{message}");
    let envelope = home.place().text(home.file("todo", number)).replace('\0', "|");
    assert!(envelope.ends_with("|Tme@c.example|Tyou@b.example|"), "{envelope}");
}

#[test]
fn what_qmail_inject_says_counts() {
    let home = installation();
    home.script("qmail-queue", "cat >/dev/null; cat <&1 >/dev/null; exit 31\n");
    let o = fed(home.program("mailsubj").args(["x", "you@b.example"]), "body\n");
    assert_eq!(o.status.code(), Some(100));
    home.script("qmail-queue", "cat >/dev/null; cat <&1 >/dev/null; exit 53\n");
    let o = fed(home.program("mailsubj").args(["x", "you@b.example"]), "body\n");
    assert_eq!(o.status.code(), Some(111));
}

#[test]
fn a_body_that_cannot_be_read_is_not_sent() {
    if tests::original() {
        return; // The originals send what was read.
    }
    let home = installation();
    let folder = File::open(home.home()).unwrap();
    let mut mailsubj = home.program("mailsubj");
    let o = start_on(folder, mailsubj.args(["x", "you@b.example"])).finish(LIMIT);
    let said = "preline: fatal: unable to copy input: is a directory\n";
    assert_eq!(ran(&o), (Some(111), String::new(), said.into()));
    assert_eq!(home.numbers("todo"), [0; 0]);
}

#[test]
fn without_its_subject_nothing_is_sent() {
    if tests::original() {
        return; // The originals have the subject as it is.
    }
    let home = installation();
    // as if there were no more processes
    home.script("tr", "exit 1\n");
    let mut mailsubj = home.program("mailsubj");
    let o = fed(mailsubj.args(["x", "you@b.example"]), "body\n");
    assert_eq!(ran(&o), (Some(111), String::new(), String::new()));
    assert_eq!(home.numbers("todo"), [0; 0]);
}
