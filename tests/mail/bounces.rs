//! Bounces: what a sender is told, byte for byte, and who is told when he cannot be.

use crate::installation::{Installation, installation};
use crate::sending::{LOCAL, REMOTE, sending};
use std::fs;
use tests::{LIMIT, until};

/// What is in the queue besides `number`, once its bounce has been taken over: sender and
/// recipients, and message without its first two lines.
#[track_caller]
fn bounced(home: &Installation, number: u64) -> (String, String) {
    until(LIMIT, "the bounce waits", || {
        home.numbers("info").len() == 1 && home.numbers("todo").is_empty()
    });
    let others: Vec<u64> = home.numbers("mess").into_iter().filter(|n| *n != number).collect();
    assert_eq!(others.len(), 1);
    let info = home.place().text(home.file("info", others[0]));
    let recipients = ["local", "remote"].map(|folder| home.file(folder, others[0]));
    let recipients = recipients.iter().filter(|file| home.place().exists(file));
    let recipients: String = recipients.map(|file| home.place().text(file)).collect();
    let text = home.place().text(home.file("mess", others[0]));
    let (received, rest) = text.split_once('\n').unwrap();
    let (date, rest) = rest.split_once('\n').unwrap();
    assert!(received.starts_with("Received: (qmail ") && date.starts_with("Date: "), "{text}");
    assert!(date.ends_with(" -0000"));
    (info + &recipients, rest.into())
}

/// Has a message bounce, and waits until the bounce waits for its delivery.
#[track_caller]
fn bounce(home: &Installation, sender: &str, recipients: &[(&str, &str)]) -> (String, String) {
    let names: Vec<&str> = recipients.iter().map(|(name, _)| *name).collect();
    home.send("Subject: hello\n\ntext\n", sender, &names);
    let number = home.only("todo");
    let mut sending = sending(home);
    for (_, report) in recipients {
        sending.answer(REMOTE, report);
    }
    sending.log(&format!("bounce msg {number} qp "));
    sending.log(&format!("end msg {number}"));
    bounced(home, number)
}

/// An installation that holds local mail, which bounces are.
fn holding() -> Installation {
    let home = installation();
    home.control("concurrencylocal", "0\n").control("locals", "here.example\n");
    home
}

#[test]
fn a_bounce_is_qsbmf_byte_for_byte() {
    let home = holding();
    home.control("bouncefrom", "the mailer\n").control("bouncehost", "bounce.example\n");
    home.control("virtualdomains", "v.example:\n");
    let recipients = [
        ("a@b.example", "DSorry, no.\n\nReally\n"),
        ("good@b.example", "Kfine\n"),
        ("c d@b.example", "Dgone"),
    ];
    let (envelope, text) = bounce(&home, "me too@here.example", &recipients);
    assert_eq!(envelope, "F\0Tme too@here.example\0");
    let expected = "From: \"the mailer\"@bounce.example\n\
        To: \"me too\"@here.example\n\
        Subject: failure notice\n\
        \n\
        Hi. This is the qmail-send program at bounce.example.\n\
        I'm afraid I wasn't able to deliver your message to the following addresses.\n\
        This is a permanent error; I've given up. Sorry it didn't work out.\n\
        \n\
        <a@b.example>:\n\
        Sorry, no.\n\
        /Really\n\
        \n\
        <c d@b.example>:\n\
        gone\n\
        \n\
        --- Below this line is a copy of the message.\n\
        \n\
        Return-Path: <\"me too\"@here.example>\n";
    let (before, copy) = text.split_once("Received: ").unwrap();
    assert_eq!(before, expected);
    assert!(copy.starts_with("(qmail ") && copy.ends_with("\nSubject: hello\n\ntext\n"), "{copy}");
}

#[test]
fn a_double_bounce_goes_to_the_postmaster() {
    let home = holding();
    home.control("doublebouncehost", "here.example\n");
    let (envelope, text) = bounce(&home, "", &[("a@b", "Dno\n")]);
    assert_eq!(envelope, "F#@[]\0Tpostmaster@here.example\0");
    let expected = "From: MAILER-DAEMON@a.example\n\
        To: postmaster@here.example\n\
        Subject: failure notice\n\
        \n\
        Hi. This is the qmail-send program at a.example.\n\
        I tried to deliver a bounce message to this address, but the bounce bounced!\n\
        \n\
        <a@b>:\n\
        no\n\
        \n\
        --- Below this line is the original bounce.\n\
        \n\
        Return-Path: <>\n";
    assert_eq!(text.split_once("Received: ").unwrap().0, expected);
}

#[test]
fn bounces_that_nobody_wants_are_discarded() {
    if tests::original() {
        return; // Known from a patch.
    }
    for (sender, words) in [("#@[]", "triple"), ("", "double")] {
        let home = holding();
        home.control("doublebounceto", "\n");
        home.send("text\n", sender, &["a@b"]);
        let number = home.only("todo");
        let mut sending = sending(&home);
        sending.answer(REMOTE, "Dno\n");
        sending.log(&format!("{words} bounce: discarding bounce/{number}"));
        home.wait_empty();
    }
}

#[test]
fn the_bounce_of_a_list_goes_to_its_owner() {
    let (envelope, text) = bounce(&holding(), "owner-@here.example-@[]", &[("a@b", "Dno\n")]);
    assert_eq!(envelope, "F\0Towner-@here.example\0");
    assert!(text.contains("\nTo: owner-@here.example\n"), "{text}");
    assert!(text.contains("\nReturn-Path: <owner-@here.example>\n"), "{text}");
}

#[test]
fn the_copy_in_a_bounce_may_be_cut() {
    if tests::original() {
        return; // Known from a patch.
    }
    let home = holding();
    home.control("bouncemaxbytes", "9\n");
    let (_, text) = bounce(&home, "me@here.example", &[("a@b", "Dno\n")]);
    assert!(text.ends_with("\nReceived:\n--- Rest of message truncated.\n"), "{text}");
}

#[test]
fn the_prefix_of_a_virtual_domain_is_not_shown_in_a_bounce() {
    if tests::original() {
        return; // The originals show some of them.
    }
    let home = installation();
    home.control("locals", "here.example\n").control("concurrencyremote", "0\n");
    home.control("virtualdomains", "v.example:vee\nx@w.example:ex\n");
    home.send("text\n", "me@far.example", &["ann@v.example", "x@w.example"]);
    let number = home.only("todo");
    let mut sending = sending(&home);
    assert_eq!(sending.answer(LOCAL, "Dno\n"), "vee-ann@v.example");
    assert_eq!(sending.answer(LOCAL, "Dno\n"), "ex-x@w.example");
    sending.log(&format!("end msg {number}"));
    let text = bounced(&home, number).1;
    assert!(text.contains("\n<ann@v.example>:\nno\n\n<x@w.example>:\nno\n"), "{text}");
}

#[test]
fn a_message_that_is_too_old_is_tried_once_more_and_bounces() {
    let home = holding();
    home.control("queuelifetime", "1000\n");
    home.put("mess", 46, "text\n");
    home.put("info", 46, "Fme@here.example\0");
    home.put("remote", 46, "Ta@b\0");
    home.set_age("info", 46, 1010);
    let mut sending = sending(&home);
    sending.answer(REMOTE, "Znot now\n");
    let words = "I'm not going to try again; this message has been in the queue too long.\n";
    let shown = words.replace(' ', "_").replace('\n', "/");
    assert_eq!(sending.log("delivery 1: "), format!("delivery 1: failure: not_now/{shown}"));
    sending.log("end msg 46");
    assert!(bounced(&home, 46).1.contains(&format!("\n<a@b>:\nnot now\n{words}\n---")));
}

#[test]
fn a_bounce_that_cannot_be_queued_is_queued_later() {
    let home = holding();
    home.script("qmail-queue", "cat >/dev/null; exit 53");
    home.put("mess", 46, "text\n");
    home.put("info", 46, "Fme@here.example\0");
    home.put("bounce", 46, "<a@b>:\nno\n\n");
    let sending = sending(&home);
    sending.log("warning: trouble injecting bounce message, will try later");
    assert_eq!(home.folders(), ["mess", "info", "bounce"]);
    home.link("qmail-queue", "qmail-queue");
    sending.run.signal(libc::SIGALRM);
    sending.log("bounce msg 46 qp ");
    sending.log("end msg 46");
}

#[test]
fn a_failure_that_cannot_be_noted_is_no_failure_yet() {
    if tests::original() {
        return; // The originals wait until it can be.
    }
    let home = holding();
    home.send("text\n", "me@here.example", &["a@b"]);
    let number = home.only("todo");
    let bounces = home.join("queue/bounce");
    fs::rename(&bounces, home.join("away")).unwrap();
    let mut sending = sending(&home);
    sending.answer(REMOTE, "Dno\n");
    sending.log("alert: unable to append to bounce message; HELP! sleeping...");
    assert_eq!(home.place().text(home.file("remote", number)), "Ta@b\0");
    fs::rename(home.join("away"), &bounces).unwrap();
    sending.run.signal(libc::SIGALRM);
    sending.answer(REMOTE, "Dno\n");
    sending.log(&format!("bounce msg {number} qp "));
}
