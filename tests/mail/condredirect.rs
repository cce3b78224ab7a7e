//! condredirect: forward a message to another address, perhaps.

use std::process::Command;
use tests::{Scratch, fed, program, ran, redirected, scratch};

/// condredirect, with a queue program that keeps what it is given.
fn condredirect(place: &Scratch, words: &[&str]) -> Command {
    place.script("bin/qmail-queue", "cat >queued\ntr '\\000' '|' <&1 >envelope\n");
    place.write("message", "one\ntwo");
    let mut command = program("condredirect");
    command.args(words).env("QMAILHOME", place.path()).current_dir(place.path());
    command.env("SENDER", "me@a").env("DTLINE", "Delivered-To: you@b\n");
    redirected("<message", &command)
}

fn said(code: i32, err: &str) -> (Option<i32>, String, String) {
    (Some(code), String::new(), err.into())
}

#[test]
fn yes_forwards_the_whole_message_and_ends_the_file() {
    let place = scratch();
    let words = ["c@d", "sh", "-c", "read a; echo $a >read"];
    let (code, _, err) = ran(&condredirect(&place, &words).output().unwrap());
    assert!(err.starts_with("condredirect: qp "), "{err}");
    assert_eq!((code, place.text("read")), (Some(99), "one\n".into()));
    assert_eq!(place.text("queued"), "Delivered-To: you@b\none\ntwo");
    assert_eq!(place.text("envelope"), "Fme@a|Tc@d||");
}

#[test]
fn no_leaves_the_message_alone() {
    let place = scratch();
    for command in ["exit 1", "exit 100", "exit 99"] {
        let o = condredirect(&place, &["c@d", "sh", "-c", command]).output().unwrap();
        assert_eq!(ran(&o), said(0, ""));
    }
    assert_eq!(ran(&condredirect(&place, &["c@d", "/nonexistent"]).output().unwrap()), said(0, ""));
    assert!(!place.exists("queued"));
}

#[test]
fn not_now_defers() {
    let place = scratch();
    let run = |command| ran(&condredirect(&place, &["c@d", "sh", "-c", command]).output().unwrap());
    assert_eq!(run("exit 111"), said(111, "condredirect: fatal: temporary child error\n"));
    assert_eq!(run("kill -9 $$"), said(111, "condredirect: fatal: child crashed\n"));
    let command = condredirect(&place, &["c@d", "true"]);
    let rewind = "condredirect: fatal: unable to rewind: unseekable descriptor\n";
    let mut piped = Command::new("sh");
    piped
        .args(["-c", "echo m | condredirect c@d true"])
        .envs(command.get_envs().filter_map(|(k, v)| Some((k, v?))));
    assert_eq!(ran(&fed(&mut piped, "")), said(111, rewind));
    assert!(!place.exists("queued"));
}

#[test]
fn an_address_a_program_and_two_variables_are_needed() {
    let usage = "condredirect: usage: condredirect newaddress program [ arg ... ]\n";
    for words in [&[][..], &["c@d"]] {
        assert_eq!(ran(&program("condredirect").args(words).output().unwrap()), said(100, usage));
    }
    for name in ["SENDER", "DTLINE"] {
        let mut command = program("condredirect");
        command.args(["c@d", "true"]).env("SENDER", "").env("DTLINE", "").env_remove(name);
        let why = format!("condredirect: fatal: {name} not set\n");
        assert_eq!(ran(&command.output().unwrap()), said(100, &why));
    }
}

#[test]
fn a_refusal_of_the_queue_is_passed_on() {
    let place = scratch();
    let mut command = condredirect(&place, &["c@d", "true"]);
    for (code, exit, text) in [
        (31, 100, "mail server permanently rejected message (#5.3.0)"),
        (53, 111, "qq write error or disk full (#4.3.0)"),
    ] {
        let script = format!("cat >/dev/null; cat <&1 >/dev/null; exit {code}");
        place.script("bin/qmail-queue", &script);
        let why = format!("condredirect: fatal: {text}\n");
        assert_eq!(ran(&command.output().unwrap()), said(exit, &why));
    }
}
