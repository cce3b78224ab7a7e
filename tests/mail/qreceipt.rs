//! qreceipt: confirm the delivery of a message to whoever asks for it.

use std::process::Command;
use tests::{Random, Scratch, fed, program, ran, scratch};

/// qreceipt for joe@a, with a queue program that keeps what it is given.
fn qreceipt(place: &Scratch, sender: &str) -> Command {
    place.script("bin/qmail-queue", "cat >notice\ntr '\\000' '|' <&1 >envelope\n");
    let mut command = program("qreceipt");
    command.arg("joe@a").env("QMAILHOME", place.path()).env("SENDER", sender);
    command
}

const ASKS: &str =
    "Message-ID: <1@x>\nnotice-requested-upon-delivery-to: Ann <ann@b>,\n joe@a\n\nbody\n";

fn done() -> (Option<i32>, String, String) {
    (Some(0), String::new(), String::new())
}

#[test]
fn a_sender_who_asks_gets_a_notice() {
    let place = scratch();
    assert_eq!(ran(&fed(&mut qreceipt(&place, "me you@far"), ASKS)), done());
    assert_eq!(place.text("envelope"), "F|Tme you@far||");
    let notice = "From: DELIVERY NOTICE SYSTEM <\"me you\"@far>\nTo: <\"me you\"@far>\n\
        Subject: success notice\n\nHi! This is the qreceipt program. Your message was delivered \
        to the\nfollowing address: joe@a. Thanks for asking.\nYour Message-ID: <1@x>\n";
    assert_eq!(place.text("notice"), notice);
}

#[test]
fn others_get_none() {
    let place = scratch();
    for (sender, message) in [
        ("", ASKS),
        ("#@[]", ASKS),
        ("me@far", "Subject: x\n\nNotice-Requested-Upon-Delivery-To: joe@a\n"),
        ("me@far", "Notice-Requested-Upon-Delivery-To: Joe@a, joe@a.b, ann@a\n\n"),
        ("me@far", ""),
        ("me@far", &format!("X: {}\n\n", "x".repeat(300_000))),
    ] {
        assert_eq!(ran(&fed(&mut qreceipt(&place, sender), message)), done());
    }
    assert!(!place.exists("notice"));
    let long = format!("X: {}\n{ASKS}", "x".repeat(300_000));
    assert_eq!(ran(&fed(&mut qreceipt(&place, "me@far"), long)), done());
    assert!(place.exists("notice"));
}

#[test]
fn a_field_that_is_no_list_is_refused() {
    let place = scratch();
    let o = fed(&mut qreceipt(&place, "me@far"), "Notice-Requested-Upon-Delivery-To: joe@a (\n\n");
    let why = "qreceipt: fatal: unable to parse this: Notice-Requested-Upon-Delivery-To: joe@a (\n";
    assert_eq!(ran(&o), (Some(100), String::new(), why.into()));
}

#[test]
fn an_address_and_a_sender_are_needed() {
    let usage =
        (Some(100), String::new(), "qreceipt: usage: qreceipt deliveryaddress\n".to_owned());
    assert_eq!(ran(&program("qreceipt").env("SENDER", "x").output().unwrap()), usage);
    assert_eq!(ran(&program("qreceipt").arg("x").output().unwrap()), usage);
}

#[test]
fn a_refusal_of_the_queue_is_passed_on() {
    let place = scratch();
    let mut command = qreceipt(&place, "me@far");
    for (code, exit, text) in [
        (31, 100, "mail server permanently rejected message (#5.3.0)"),
        (53, 111, "qq write error or disk full (#4.3.0)"),
    ] {
        let script = format!("cat >/dev/null; cat <&1 >/dev/null; exit {code}");
        place.script("bin/qmail-queue", &script);
        let why = format!("qreceipt: fatal: {text}\n");
        assert_eq!(ran(&fed(&mut command, ASKS)), (Some(exit), String::new(), why));
    }
}

#[test]
fn damaged_messages_do_no_more_than_fail() {
    let place = scratch();
    let mut random = Random::new(3);
    let mut command = qreceipt(&place, "me@far");
    for case in 0..100 {
        let (code, _, err) = ran(&fed(&mut command, random.damaged(ASKS.as_bytes())));
        assert!(matches!(code, Some(0 | 100)) && !err.contains("internal"), "{case}: {err}");
    }
}
