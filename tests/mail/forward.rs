//! forward: forward new mail to one or more addresses.

use std::process::Command;
use tests::{Random, Scratch, fed, program, ran, redirected, scratch};

/// forward, with a queue program that keeps what it is given.
fn forward(place: &Scratch, addresses: &[&str]) -> Command {
    place.script("bin/qmail-queue", "cat >message\ntr '\\000' '|' <&1 >envelope\n");
    let mut command = program("forward");
    command.args(addresses).env("QMAILHOME", place.path());
    command.env("NEWSENDER", "me@a").env("DTLINE", "Delivered-To: you@b\n");
    command
}

#[test]
fn the_message_is_queued_behind_the_delivered_to_line() {
    let place = scratch();
    let (code, out, err) = ran(&fed(&mut forward(&place, &["c@d", "e f", "c@d"]), "m"));
    let number = err.strip_prefix("forward: qp ").and_then(|rest| rest.strip_suffix('\n')).unwrap();
    assert_eq!((code, &*out, number.parse::<u32>().is_ok()), (Some(0), "", true));
    assert_eq!(place.text("message"), "Delivered-To: you@b\nm");
    assert_eq!(place.text("envelope"), "Fme@a|Tc@d|Te f|Tc@d||");
}

#[test]
fn a_message_of_any_size_and_bytes_goes_through() {
    let place = scratch();
    let message = Random::new(1).bytes(1_000_000);
    assert_eq!(fed(&mut forward(&place, &["c@d"]), &message).status.code(), Some(0));
    assert!(place.read("message") == [b"Delivered-To: you@b\n", &message[..]].concat());
}

#[test]
fn without_its_variables_nothing_is_forwarded() {
    let place = scratch();
    for name in ["NEWSENDER", "DTLINE"] {
        let o = fed(forward(&place, &["c@d"]).env_remove(name), "m");
        let why = format!("forward: fatal: {name} not set\n");
        assert_eq!(ran(&o), (Some(100), String::new(), why));
    }
    assert!(!place.exists("message"));
}

#[test]
fn a_refusal_of_the_queue_is_passed_on() {
    let place = scratch();
    let mut command = forward(&place, &["c@d"]);
    for (code, exit, text) in [
        (11, 100, "envelope address too long for qq (#5.1.3)"),
        (53, 111, "qq write error or disk full (#4.3.0)"),
        (120, 111, "unable to exec qq (#4.3.0)"),
    ] {
        place
            .script("bin/qmail-queue", &format!("cat >/dev/null; cat <&1 >/dev/null; exit {code}"));
        let why = format!("forward: fatal: {text}\n");
        assert_eq!(ran(&fed(&mut command, "m")), (Some(exit), String::new(), why));
    }
}

#[test]
fn a_message_that_cannot_be_read_is_not_queued() {
    let place = scratch();
    place.dir("folder");
    let command = forward(&place, &["c@d"]);
    let mut command = redirected("<folder", &command);
    let o = command.current_dir(place.path()).output().unwrap();
    let why = "forward: fatal: unable to read message: is a directory\n";
    assert_eq!(ran(&o), (Some(111), String::new(), why.into()));
    // without its last NUL an envelope is none: what the queue program made of it does not matter
    tests::until(tests::LIMIT, "the queue program ends", || place.exists("envelope"));
    assert!(!place.text("envelope").ends_with("||"));
}
