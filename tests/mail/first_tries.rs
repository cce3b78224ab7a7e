//! qmail-send: a message with one recipient is tried before it has files. It gets some if that does
//! not work, or takes long.

use crate::installation::installation;
use crate::sending::{CLEAN, LOCAL, REMOTE, sending, sending_uncleaned};
use std::time::{Duration, Instant};
use tests::{LIMIT, until};

#[test]
fn a_message_that_is_served_at_once_never_has_files() {
    if tests::original() {
        return; // Theirs have files first.
    }
    let home = installation();
    let mut sending = sending_uncleaned(&home);
    // until the machine is quick enough for once
    let number = loop {
        let begun = Instant::now();
        home.send("text\n", "me@b.example", &["you@a.example"]);
        let number = home.only("todo");
        let order = sending.order(LOCAL);
        assert_eq!((&order.sender[..], &order.recipient[..]), ("me@b.example", "you@a.example"));
        let folders = home.folders();
        sending.report(LOCAL, order.number, "Kdid 1+0+0\n");
        assert_eq!(sending.request(), format!("todo/{number}"));
        let quick = begun.elapsed() < Duration::from_secs(1);
        std::fs::remove_file(home.join(home.file("intd", number))).unwrap();
        std::fs::remove_file(home.join(home.file("todo", number))).unwrap();
        sending.say(CLEAN, "+");
        assert_eq!(sending.request(), format!("foop/{number}"));
        if quick {
            assert_eq!(folders, ["mess", "intd", "todo"]);
            break number;
        }
        std::fs::remove_file(home.join(home.file("mess", number))).unwrap();
        sending.say(CLEAN, "+");
    };
    sending.run.wait_out(&format!("end msg {number}\n"));
}

#[test]
fn a_message_whose_first_try_fails_has_files_when_that_is_said() {
    let home = installation();
    home.send("text\n", "", &["a@b"]);
    let number = home.only("todo");
    let mut first = sending(&home);
    assert_eq!(first.answer(REMOTE, "Znot now\n"), "a@b");
    first.run.wait_out("delivery 1: deferral: not_now/\n");
    assert_eq!(home.folders(), ["mess", "info", "remote"]);
    assert_eq!(home.place().text(home.file("remote", number)), "Ta@b\0");
    first.stop();
    let mut second = sending(&home);
    second.run.signal(libc::SIGALRM);
    assert_eq!(second.answer(REMOTE, "Kdone\n"), "a@b");
    home.wait_empty();
}

#[test]
fn a_message_that_takes_long_gets_files_meanwhile() {
    let home = installation();
    home.send("text\n", "me@b", &["you@a.example"]);
    let number = home.only("todo");
    let mut sending = sending(&home);
    let order = sending.order(LOCAL);
    until(LIMIT, "it has files", || home.folders() == ["mess", "info", "local"]);
    assert_eq!(home.place().text(home.file("info", number)), "Fme@b\0");
    assert_eq!(home.place().text(home.file("local", number)), "Tyou@a.example\0");
    sending.report(LOCAL, order.number, "Kdid 1+0+0\n");
    home.wait_empty();
    let log = sending.stop();
    assert_eq!(log.matches("starting delivery").count(), 1, "{log}");
    assert!(log.contains("delivery 1: success: did_1+0+0/\n"), "{log}");
}

#[test]
fn a_message_that_is_served_and_cannot_be_removed_is_not_served_again() {
    if tests::original() {
        return; // Theirs ask before they deliver.
    }
    let home = installation();
    home.send("text\n", "", &["a@b"]);
    let number = home.only("todo");
    let mut sending = sending_uncleaned(&home);
    assert_eq!(sending.answer(REMOTE, "K"), "a@b");
    assert_eq!(sending.request(), format!("todo/{number}"));
    sending.say(CLEAN, "!");
    sending.log(&format!("warning: qmail-clean unable to clean up todo/{number}"));
    // the next message has both seen
    home.send("text\n", "", &["c@d"]);
    assert_eq!(sending.answer(REMOTE, "K"), "c@d");
    assert!(sending.request().starts_with("todo/"));
    assert!(sending.is_silent(REMOTE));
}
