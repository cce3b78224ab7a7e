//! qmail-qmqpd on pipes, as tcpserver starts it. The queue program is a script: what is queued is
//! in `message` and `envelope` of the home.

use crate::installation::{Installation, installation};
use crate::netstrings::{netstring, netstrings, texts, undated};
use std::env;
use std::path::PathBuf;
use std::process::Command;
use tests::{LIMIT, Random, fed, redirected, shown, skip, start, tree};

/// Keeps the message and the envelope.
const KEEP: &str = "cat >message; cat 0<&1 >envelope";

const BAD: &str = "Dsorry, I can't accept addresses like that (#5.1.3)";

fn home(queue: &str) -> Installation {
    let home = installation();
    home.script("qmail-queue", queue);
    home
}

/// A message as QMQP has it: text, sender, recipients.
fn package(parts: &[&str]) -> Vec<u8> {
    netstring(netstrings(parts))
}

/// What the program answers to this input, and its exit code. It must say nothing else.
#[track_caller]
fn answers(command: &mut Command, input: impl AsRef<[u8]>) -> (Vec<String>, Option<i32>) {
    let output = fed(command, input);
    assert_eq!(shown(&output.stderr), "");
    (texts(&output.stdout).iter().map(|answer| undated(answer)).collect(), output.status.code())
}

fn one(answer: &str) -> (Vec<String>, Option<i32>) {
    (vec![answer.into()], Some(0))
}

#[test]
fn a_message_reaches_the_queue_program() {
    let home = home(KEEP);
    // who may use it is not its business
    home.control("rcpthosts", "a.example\n").control("databytes", "1\n");
    let mut command = home.program("qmail-qmqpd");
    command.env("TCPREMOTEIP", "192.0.2.7").env("TCPLOCALIP", "192.0.2.1").env("RELAYCLIENT", "@x");
    let long = "x".repeat(999);
    let input = package(&["Subject: x\n\n\r\n\0last", "joe@b.example", "ann@c.example", "", &long]);
    assert_eq!(answers(&mut command, input), one("Kok"));
    let message = home.place().text("message");
    let (received, rest) = message.split_once("; ").unwrap();
    assert_eq!(received, "Received: from unknown (192.0.2.7)\n  by 192.0.2.1 with QMQP");
    assert!(rest.ends_with(" -0000\nSubject: x\n\n\r\n\0last"), "{rest:?}");
    let envelope = format!("Fjoe@b.example\0Tann@c.example\0T\0T{long}\0\0");
    assert_eq!(home.place().text("envelope"), envelope);
    assert_eq!(answers(&mut command, package(&["", ""])), one("Kok"));
    assert_eq!(home.place().text("envelope"), "F\0\0");
}

#[test]
fn addresses_that_nobody_can_have_refuse_the_message() {
    let home = home("cat >/dev/null; cat 0<&1 >envelope; exit 54");
    let long = "x".repeat(1000);
    for parts in [["x", "a\0b", "c"], ["x", "a", "b\0c"], ["x", &long, "b"], ["x", "a", &long]] {
        assert_eq!(answers(&mut home.program("qmail-qmqpd"), package(&parts)), one(BAD));
        assert!(!home.place().text("envelope").ends_with("\0\0"));
    }
}

#[test]
fn the_queue_program_has_its_word_and_loops_are_dropped() {
    if tests::original() {
        return; // Loops are dropped by ours.
    }
    for (queue, answer) in [
        ("exit 11", "Denvelope address too long for qq (#5.1.3)"),
        ("exit 54", "Zqq read error (#4.3.0)"),
        ("kill -9 $$", "Zqq crashed (#4.3.0)"),
        ("cat >/dev/null; printf 'Dno thanks' >&6; exit 82", "Dno thanks"),
    ] {
        let home = home(queue);
        let said = answers(&mut home.program("qmail-qmqpd"), package(&["x\n", "", "a"]));
        assert_eq!((queue, said), (queue, one(answer)));
    }
    let home = installation();
    let looping = package(&["Received: x\n".repeat(100).as_str(), "", "a"]);
    let said = answers(&mut home.program("qmail-qmqpd"), looping);
    assert_eq!(said, one("Dtoo many hops, this message is looping (#5.4.6)"));
    home.wait_empty();
}

#[test]
fn bad_framing_is_exit_100_and_nothing_is_queued() {
    if tests::original() {
        return; // The originals take some of these.
    }
    let home = installation();
    let good = package(&["text\n", "joe@b.example", "ann@a.example"]);
    let text = shown(&good);
    for (input, code) in [
        ("0:,".into(), 100),
        ("3:0:,,".into(), 100),
        (":,".into(), 100),
        ("x".into(), 100),
        ("9:3:abc,1:x,,".into(), 100),
        ("10:3:abc;1:x,,".into(), 100),
        ("10:9:abc,1:x,,".into(), 100),
        ("10:3:abc,1:x,;".into(), 100),
        ("200000001:".into(), 111),
        ("100:200000001:".into(), 111),
        (text[..text.len() - 1].to_owned(), 0),
        (text[..12].to_owned(), 0),
        (String::new(), 0),
    ] {
        let said = answers(&mut home.program("qmail-qmqpd"), &input);
        assert_eq!((&input, said), (&input, (vec![], Some(code))));
        home.wait_empty();
    }
}

#[test]
fn closed_descriptors_end_it_and_a_client_that_does_not_listen_has_queued() {
    let home = installation();
    let good = package(&["x\n", "", "a"]);
    for (redirections, code, queued) in
        [("<&-", 111, 0), (">&-", 111, 0), (">/dev/full", 0, 1), ("2>&-", 0, 2)]
    {
        let mut command = redirected(redirections, &home.program("qmail-qmqpd"));
        let code_of = fed(home.as_its_user(&mut command), &good).status.code();
        let seen = (code_of, home.numbers("todo").len());
        assert_eq!((redirections, seen), (redirections, (Some(code), queued)));
    }
}

#[test]
fn damaged_input_queues_a_whole_message_or_nothing() {
    if tests::original() {
        return; // The originals take more.
    }
    let home = installation();
    let good = package(&["Subject: x\n\ntext\n", "joe@b.example", "ann@a.example", "b@c"]);
    let mut random = Random::new(13);
    for case in 0..100 {
        let bad = random.damaged(&good);
        let before = home.numbers("todo").len();
        let (answers, code) = answers(&mut home.program("qmail-qmqpd"), &bad);
        assert!(matches!(code, Some(0 | 100 | 111)), "case {case}: {code:?}");
        let queued = home.numbers("todo").len() - before;
        let accepted = answers.iter().filter(|answer| *answer == "Kok").count();
        assert_eq!(queued, accepted, "case {case}: {answers:?}");
    }
}

/// Postfix's generator of QMQP messages, taken out of its package by `.ci/run`.
fn qmqp_source() -> Option<Command> {
    let folder = tree().join("target/oracles");
    let file = folder.join("usr/sbin/qmqp-source");
    if !file.exists() {
        skip("needs Postfix's qmqp-source in target/oracles");
        return None;
    }
    let mut command = Command::new(file);
    command.env_clear().env("PATH", env::var_os("PATH").unwrap_or_default());
    let libraries: PathBuf = folder.join("usr/lib/postfix");
    command.env("LD_LIBRARY_PATH", libraries);
    Some(command)
}

#[test]
fn postfix_sends_mail_by_it() {
    let Some(mut source) = qmqp_source() else { return };
    let home = installation();
    let mut server = home.program("tcpserver");
    server.args(["-1RHl0", "127.0.0.1", "0"]).arg(home.join("bin/qmail-qmqpd"));
    let server = start(&mut server);
    let port = server.wait_out("\n").trim().to_owned();
    source.args(["-c", "-m", "20", "-s", "4", "-l", "5000", "-f", "joe@b.example"]);
    source.args(["-t", "ann@a.example", &format!("127.0.0.1:{port}")]);
    let output = start(&mut source).finish(LIMIT);
    assert_eq!((output.status.code(), shown(&output.stderr)), (Some(0), String::new()));
    let queued = home.numbers("todo");
    assert_eq!(queued.len(), 20);
    let envelope = home.place().text(home.file("todo", queued[0]));
    assert!(envelope.ends_with("\0Fjoe@b.example\0Tann@a.example\0"), "{envelope:?}");
}
