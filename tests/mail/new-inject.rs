//! new-inject: headers put in order, and their envelopes.

use crate::installation::{Installation, installation};
use std::process::Command;
use tests::{Random, fed, ran, shown};

/// An installation whose queue program writes down what it gets.
fn recording() -> Installation {
    let installation = installation();
    installation.control("defaultdomain", "dd.test\n").control("defaulthost", "dh.test\n");
    installation.control("plusdomain", "plus.test\n").control("idhost", "id.test\n");
    installation.script("qmail-queue", "cat >message || exit 53\ncat <&1 >envelope\n");
    installation
}

fn inject(installation: &Installation, arguments: &[&str]) -> Command {
    let mut command = installation.program("new-inject");
    command.args(arguments).env("USER", "me");
    command
}

/// What -n prints, without the fields that tell the time of now.
#[track_caller]
fn printed(
    installation: &Installation,
    input: &str,
    arguments: &[&str],
    variables: &[(&str, &str)],
) -> String {
    let mut command = inject(installation, &[&["-n"], arguments].concat());
    command.envs(variables.iter().copied());
    let output = fed(&mut command, input);
    assert_eq!((output.status.code(), shown(&output.stderr)), (Some(0), String::new()));
    timeless(&shown(&output.stdout))
}

fn timeless(text: &str) -> String {
    let of_now = |line: &str| {
        line.starts_with("Message-ID: <2")
            || line.starts_with("Date: ") && line.ends_with("-0000\n")
    };
    text.split_inclusive('\n').filter(|line| !of_now(line)).collect()
}

#[test]
fn a_header_is_put_in_order() {
    let input = "Subject: hi\nTO: fred; joe smith@a.b\nReceived: by x\nDate: 14 nov 99 22:13 EST\n\
        To: x@mac+\nReply-To: \"J. S.\" <@a,@b:js@host.>\nBcc: secret\nReturn-Path: <p@q.r>\n\
        Content-Length: 9\nCc: friends: a@b.c, d;\n\nbody";
    let expected = "Envelope-Sender: p@q.r\nEnvelope-Recipients:\n  fred@dh.test,\n  joe@dh.test,\n  \
        smith@a.b,\n  x@mac.plus.test,\n  a@b.c,\n  d@dh.test,\n  secret@dh.test,\n\
        Received: by x\nDate: 14 Nov 1999 22:13:00 -0500\nFrom: me@dh.test\n\
        Reply-To: \"J. S.\" <js@host.dd.test>\n\
        To: fred@dh.test, joe@dh.test, smith@a.b, x@mac.plus.test\n\
        Cc: a@b.c, d@dh.test\nSubject: hi\n\nbody\n";
    assert_eq!(printed(&recording(), input, &[], &[]), expected);
}

#[test]
fn what_is_sent_is_what_is_printed_without_the_envelope() {
    let installation = recording();
    let input = "To: t\nEnvelope-Recipients: a@b.c, x\nEnvelope-Sender: <>\nSubject: s\nno field\n";
    let output = fed(&mut inject(&installation, &[]), input);
    assert_eq!(ran(&output), (Some(0), String::new(), String::new()));
    let message = timeless(&installation.place().text("message"));
    assert_eq!(message, "From: me@dh.test\nTo: t@dh.test\nSubject: s\n\nno field\n");
    let envelope = installation.place().text("envelope").replace('\0', "/");
    assert_eq!(envelope, "F/Ta@b.c/Tx@dh.test//");
}

#[test]
fn letters_choose_recipients_and_senders() {
    let installation = recording();
    let envelope = |arguments: &[&str], variables: &[(&str, &str)]| {
        let text = printed(&installation, "To: t\nReturn-Path: <p@q>\n", arguments, variables);
        let (envelope, _) = text.split_once("From: ").unwrap();
        envelope
            .replace("Envelope-Sender: ", "")
            .replace("\nEnvelope-Recipients:\n", "")
            .replace(",\n", "")
            .replace(".dh.test", "")
    };
    assert_eq!(envelope(&["x"], &[]), "p@q.dd.test  x@dh.test");
    assert_eq!(envelope(&["-H", "x"], &[]), "p@q.dd.test  x@dh.test  t@dh.test");
    assert_eq!(envelope(&["-h", "x"], &[]), "p@q.dd.test  t@dh.test");
    assert_eq!(envelope(&["-a"], &[]), "p@q.dd.test");
    assert_eq!(envelope(&["-f", "s", "-R", "x"], &[]), "s@dh.test  x@dh.test");
    assert_eq!(envelope(&["-S", "x"], &[]), "me@dh.test  x@dh.test");
    assert_eq!(envelope(&["-SR", "x"], &[]), "\"me-@dh.test-\"@[]  x@dh.test");
    let letters = [("QMAILINJECT", "sr"), ("QMAILSUSER", "u"), ("QMAILSHOST", "h")];
    assert_eq!(envelope(&["x"], &letters), "\"u-@h.dd.test-\"@[]  x@dh.test");
    let one = envelope(&["-SM", "x"], &[]);
    assert!(one.starts_with("me-1") || one.starts_with("me-2"), "{one}");
}

#[test]
fn fields_are_made_anew_on_demand() {
    let installation = recording();
    let input = "From: x@y.z\nMessage-ID: <old>\nTo: t@u.v\n";
    let rest = |arguments: &[&str], variables: &[(&str, &str)]| {
        let text = printed(&installation, input, arguments, variables);
        text.split_once(",\n").unwrap().1.to_owned()
    };
    assert_eq!(rest(&[], &[]), "Message-ID: <old>\nFrom: x@y.z\nTo: t@u.v\n");
    let named = [("QMAILNAME", "M. \"E\""), ("QMAILHOST", "h")];
    let from = "From: \"M. \\\"E\\\"\" <me@h.dd.test>\nTo: t@u.v\n";
    assert_eq!(rest(&["-FI"], &named), from);
    let letters = [("QMAILINJECT", "fi"), named[0], named[1]];
    assert_eq!(rest(&[], &letters), from);
}

#[test]
fn hosts_are_rewritten_as_a_file_says() {
    let installation = recording();
    let to = |variables: &[(&str, &str)]| {
        let text = printed(&installation, "To: a@old.test, b@x.local, c, d@[]\n", &[], variables);
        text.split_once("\nTo: ").unwrap().1.to_owned()
    };
    let plain = "a@old.test, b@x.local, c@dh.test, \"d\"@[]\n".replace("\"d\"", "d");
    assert_eq!(to(&[]), plain);
    installation.control("rewrite", "=old.test:new.test\n-.local:all.test\n=:none.test\n# x\n");
    assert_eq!(to(&[]), "a@new.test, b@all.test, c@none.test, d@[]\n");
    installation.write("mine", "=:mine.test\n");
    let mine = installation.join("mine");
    assert_eq!(
        to(&[("QMAILREWRITEFILE", mine.to_str().unwrap())]),
        "a@old.test, b@x.local, c@mine.test, d@[]\n"
    );
}

#[test]
fn lists_get_a_mail_followup_to() {
    let installation = recording();
    installation.write("lists", "LIST@x.test\n");
    let lists = installation.join("lists");
    let variables = [("QMAILMFTFILE", lists.to_str().unwrap())];
    let text = printed(&installation, "To: list@x.test\nCc: a@b.c\n", &[], &variables);
    assert!(text.contains("\nMail-Followup-To: list@x.test, a@b.c\nTo: "), "{text}");
    let given =
        printed(&installation, "To: list@x.test\nMail-Followup-To: n@o.p\n", &[], &variables);
    assert!(given.contains("\nMail-Followup-To: n@o.p\nTo: "), "{given}");
}

#[test]
fn trouble_is_named() {
    let installation = recording();
    let usage = "new-inject: illegal option -- x\n\
        new-inject: usage: new-inject [ -nNaAhHFIMRS ] [ -f sender ] [ recip ... ]\n";
    let o = inject(&installation, &["-x"]).output().unwrap();
    assert_eq!(ran(&o), (Some(100), String::new(), usage.into()));
    let mut command = inject(&installation, &["x"]);
    let said = "new-inject: fatal: unable to read $QMAILREWRITEFILE: file does not exist\n";
    let o = command.env("QMAILREWRITEFILE", "/nonexistent").output().unwrap();
    assert_eq!(ran(&o), (Some(111), String::new(), said.into()));
    installation.script("qmail-queue", "exit 31\n");
    let (code, _, err) = ran(&fed(&mut inject(&installation, &["x"]), "\nbody\n"));
    assert!(code == Some(100) && err.starts_with("new-inject: fatal: "), "{err}");
}

#[test]
fn any_message_is_sent_to_those_who_were_named() {
    let installation = recording();
    let mut random = Random::new(43);
    for _ in 0..25 {
        let bad =
            random.damaged(b"From: a (b)\nTo: \"c\" <d>, e;\nDate: 1 Jan 26 0:00 UT\n\nbody\n");
        let (code, _, err) = ran(&fed(&mut inject(&installation, &["x"]), bad));
        assert_eq!((code, &*err), (Some(0), ""));
        let envelope = installation.place().text("envelope").replace('\0', "/");
        assert!(envelope.ends_with("/Tx@dh.test//"), "{envelope}");
    }
}
