//! mailsubj: send a message with this subject to these addresses.

use crate::installation::installation;
use tests::{fed, ran};

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
