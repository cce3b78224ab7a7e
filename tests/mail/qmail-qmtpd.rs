//! qmail-qmtpd on pipes, as tcpserver starts it. The queue program is a script: what is queued is
//! in `message` and `envelope` of the home.

use crate::installation::{Installation, installation};
use crate::netstrings::{netstring, netstrings, texts, undated};
use std::io::{Read, Write};
use std::process::Command;
use tests::{LIMIT, Random, connect, fed, ran, redirected, shown, start, until};

/// Keeps the message and the envelope.
const KEEP: &str = "cat >message; cat 0<&1 >envelope";

const NO: &str = "Dsorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)";
const BAD: &str = "Dsorry, I can't handle that recipient (#5.1.3)";
const TOO_BIG: &str = "Dsorry, that message size exceeds my databytes limit (#5.3.4)";

/// An installation whose queue program is a script.
fn home(queue: &str) -> Installation {
    let home = installation();
    home.script("qmail-queue", queue);
    home
}

/// A message as QMTP has it.
fn package(message: &str, sender: &str, recipients: &[&str]) -> Vec<u8> {
    let parts = [message.as_bytes(), sender.as_bytes(), &netstrings(recipients)];
    netstrings(&parts)
}

/// What the program answers to this input, and its exit code. It must say nothing else.
#[track_caller]
fn answers(command: &mut Command, input: impl AsRef<[u8]>) -> (Vec<String>, Option<i32>) {
    let output = fed(command, input);
    assert_eq!(shown(&output.stderr), "");
    (texts(&output.stdout).iter().map(|answer| undated(answer)).collect(), output.status.code())
}

/// The answers to a message for one recipient.
#[track_caller]
fn verdict(home: &Installation, message: &str) -> String {
    let input = package(message, "joe@b.example", &["ann@a.example"]);
    let (answers, code) = answers(&mut home.program("qmail-qmtpd"), input);
    assert_eq!((answers.len(), code), (1, Some(0)));
    answers[0].clone()
}

#[test]
fn a_message_reaches_the_queue_program_and_every_recipient_is_answered() {
    let home = home(KEEP);
    let mut command = home.program("qmail-qmtpd");
    command.env("TCPREMOTEIP", "192.0.2.7").env("TCPREMOTEHOST", "c.example");
    command.env("TCPREMOTEINFO", "joe").env("TCPLOCALHOST", "mx.a.example");
    let text = "\nSubject: x\n\na\r\nb\0\rlast";
    let input = package(text, "joe@b.example", &["ann@a.example", "", "bob@a.example"]);
    let said = answers(&mut command, input);
    assert_eq!(said, (vec!["Kok".to_owned(); 3], Some(0)));
    let message = home.place().text("message");
    let (received, rest) = message.split_once("; ").unwrap();
    let expected = "Received: from c.example (joe@192.0.2.7)\n  by mx.a.example with QMTP";
    assert_eq!(received, expected);
    assert!(rest.ends_with(&format!(" -0000{text}")), "{rest:?}");
    let envelope = "Fjoe@b.example\0Tann@a.example\0T\0Tbob@a.example\0\0";
    assert_eq!(home.place().text("envelope"), envelope);
}

#[test]
fn a_cr_in_front_means_that_lines_end_in_cr_lf() {
    let home = home(KEEP);
    for (sent, kept) in [
        ("\rx\r\ny\r\n", "x\ny\n"),
        ("\rx\r\r\ny\rz\nw\r", "x\r\ny\rz\nw\r"),
        ("\r", ""),
        ("\nx\r\ny", "x\r\ny"),
        ("\n", ""),
    ] {
        assert_eq!(verdict(&home, sent), "Kok");
        let message = home.place().text("message");
        let text = message.split_once(" -0000\n").unwrap().1;
        assert_eq!((sent, text), (sent, kept));
    }
}

#[test]
fn many_messages_go_over_one_connection() {
    let home = installation();
    let three = package("\nx\n", "", &["ann@a.example", "bob@a.example"]).repeat(3);
    let said = answers(&mut home.program("qmail-qmtpd"), three);
    assert_eq!(said, (vec!["Kok".to_owned(); 6], Some(0)));
    assert_eq!(home.numbers("todo").len(), 3);
}

#[test]
fn an_answer_does_not_wait_for_the_next_message() {
    let home = home(KEEP);
    let mut running = start(&mut home.program("qmail-qmtpd"));
    for _ in 0..2 {
        running.write(package("\nx\n", "", &["ann@a.example"]));
    }
    running.wait_out(",");
    until(LIMIT, "both answers", || running.out().matches("Kok").count() == 2);
    assert_eq!(running.finish(LIMIT).status.code(), Some(0));
}

#[test]
fn recipients_are_those_of_rcpthosts_and_of_relay_clients() {
    let home = home(KEEP);
    home.control("rcpthosts", "a.example\n");
    let long = format!("{}@a.example", "x".repeat(989));
    let longer = format!("x{long}");
    let all = ["ann@A.example", "x@c.example", "a\0b@a.example", "more@m.example", &long, &longer];
    let input = package("\nx\n", "joe@b.example", &all);
    let mut command = home.program("qmail-qmtpd");
    let expected = ["Kok", NO, BAD, NO, "Kok", BAD];
    assert_eq!(answers(&mut command, &input), (expected.map(str::to_owned).into(), Some(0)));
    let envelope = format!("Fjoe@b.example\0Tann@A.example\0T{long}\0\0");
    assert_eq!(home.place().text("envelope"), envelope);

    home.control("morercpthosts", "M.example\n");
    assert_eq!(ran(&home.program("qmail-newmrh").output().unwrap()).0, Some(0));
    assert_eq!(answers(&mut command, &input).0[3], "Kok");

    command.env("RELAYCLIENT", "@r");
    let expected = ["Kok", "Kok", BAD, "Kok", BAD, BAD];
    assert_eq!(answers(&mut command, &input), (expected.map(str::to_owned).into(), Some(0)));
    let envelope = "Fjoe@b.example\0Tann@A.example@r\0Tx@c.example@r\0Tmore@m.example@r\0\0";
    assert_eq!(home.place().text("envelope"), envelope);

    let nobody = package("\nx\n", "", &["x@c.example"]);
    let refused = answers(&mut home.program("qmail-qmtpd"), nobody);
    assert_eq!(refused, (vec![NO.to_owned()], Some(0)));
    assert!(!home.place().text("envelope").ends_with("\0\0"));
    let none = answers(&mut home.program("qmail-qmtpd"), package("\nx\n", "", &[]));
    assert_eq!(none, (vec![], Some(0)));
}

#[test]
fn bad_senders_big_messages_and_loops_are_dropped() {
    if tests::original() {
        return; // Loops are dropped by ours.
    }
    let home = home("cat >/dev/null; cat 0<&1 >envelope; exit 54");
    for sender in ["a\0b", &"x".repeat(1000)] {
        let input = package("\nx\n", sender, &["ann@a.example"]);
        let said = answers(&mut home.program("qmail-qmtpd"), input);
        assert_eq!(said, (vec!["Dunacceptable sender (#5.1.7)".to_owned()], Some(0)));
        assert!(!home.place().text("envelope").ends_with("\0\0"));
    }
    let hops = "Received: x\nDelivered-To: y\n".repeat(50);
    let looping = "Dtoo many hops, this message is looping (#5.4.6)";
    assert_eq!(verdict(&home, &format!("\n{hops}")), looping);
    assert_eq!(verdict(&home, &format!("\n{}", &hops[12..])), "Zqq read error (#4.3.0)");
    home.control("databytes", "5\n");
    assert_eq!(verdict(&home, "\n12345"), "Zqq read error (#4.3.0)");
    assert_eq!(verdict(&home, "\r123\r\n5"), "Zqq read error (#4.3.0)");
    for big in ["\n123456", "\r12345\r", "\r1234\r\n\r"] {
        assert_eq!(verdict(&home, big), TOO_BIG);
        assert!(!home.place().text("envelope").ends_with("\0\0"));
    }
    let input = package("\n123456", "", &["ann@a.example"]);
    let mut command = home.program("qmail-qmtpd");
    let said = answers(command.env("DATABYTES", "0"), input);
    assert_eq!(said.0, ["Zqq read error (#4.3.0)"]);
}

#[test]
fn the_queue_program_has_its_word() {
    for (queue, answer) in [
        ("exit 31", "Dmail server permanently rejected message (#5.3.0)"),
        ("exit 53", "Zqq write error or disk full (#4.3.0)"),
        ("kill -9 $$", "Zqq crashed (#4.3.0)"),
        ("cat >/dev/null; printf 'Dno\\nthanks' >&4; exit 88", "Dno thanks"),
        ("cat >/dev/null; printf 'Znot now' >&$ERROR_FD; exit 82", "Znot now"),
    ] {
        assert_eq!((queue, &*verdict(&home(queue), "\nx\n")), (queue, answer));
    }
    let home = home(KEEP);
    let mut command = home.program("qmail-qmtpd");
    command.env("QMAILQUEUE", "bin/nothing");
    let said = answers(&mut command, package("\nx\n", "", &["ann@a.example"]));
    assert_eq!(said, (vec!["Zunable to exec qq (#4.3.0)".to_owned()], Some(0)));
}

#[test]
fn bad_framing_is_exit_100_and_nothing_is_queued() {
    if tests::original() {
        return; // The originals take some of these.
    }
    let home = installation();
    let good = package("\nx\n", "joe@b.example", &["ann@a.example"]);
    let inner = netstring("ann@a.example");
    let parts = |recipients: &[u8]| [netstrings(&["\nx\n", ""]), recipients.to_vec()].concat();
    for (input, code) in [
        (b"0:,".to_vec(), 100),
        (b"1:x,0:,0:,".to_vec(), 100),
        (b":,".to_vec(), 100),
        (b"x".to_vec(), 100),
        (b"-3:\nx\n,".to_vec(), 100),
        (b"03:\nx\n,".to_vec(), 100),
        (b"3:\nx\n;".to_vec(), 100),
        (b"200000001:".to_vec(), 111),
        (b"3:\nx\n,200000001:".to_vec(), 111),
        (parts(b"3:5:x,,"), 100),
        (parts(b"2:0:,,"), 100),
        (parts(&[b"16:", &inner[..], b","].concat()), 100),
        (parts(&[b"18:", &inner[..], b","].concat()), 100),
        (good[..good.len() - 1].to_vec(), 0),
        (good[..20].to_vec(), 0),
        (good[..1].to_vec(), 0),
        (Vec::new(), 0),
    ] {
        let said = answers(&mut home.program("qmail-qmtpd"), &input);
        assert_eq!((shown(&input), said), (shown(&input), (vec![], Some(code))));
        home.wait_empty();
    }
}

#[test]
fn what_cannot_be_read_or_written_ends_it() {
    let good = package("\nx\n", "", &["ann@a.example"]);
    let home = home(KEEP);
    home.place().dir("control/rcpthosts");
    assert_eq!(answers(&mut home.program("qmail-qmtpd"), &good), (vec![], Some(111)));
    let home = self::home(KEEP);
    home.control("rcpthosts", "").control("morercpthosts.cdb", "short");
    assert_eq!(answers(&mut home.program("qmail-qmtpd"), &good), (vec![], Some(111)));
    let home = self::home(KEEP);
    for (redirections, code) in [("<&-", 111), (">&-", 111), (">/dev/full", 0), ("2>&-", 0)] {
        let mut command = redirected(redirections, &home.program("qmail-qmtpd"));
        let code_of = fed(&mut command, &good).status.code();
        assert_eq!((redirections, code_of), (redirections, Some(code)));
    }
}

#[test]
fn damaged_input_queues_whole_messages_or_nothing() {
    if tests::original() {
        return; // The originals take more.
    }
    let home = installation();
    let good = package("\nSubject: x\n\ntext\n", "joe@b.example", &["ann@a.example", "b@c"]);
    let mut random = Random::new(11);
    // the parser alone is fed 10,000 of them, in mail::netstring
    for case in 0..100 {
        let bad = random.damaged(&good);
        let before = home.numbers("todo").len();
        let (answers, code) = answers(&mut home.program("qmail-qmtpd"), &bad);
        assert!(matches!(code, Some(0 | 100 | 111)), "case {case}: {code:?}");
        let queued = home.numbers("todo").len() - before;
        let accepted = answers.iter().filter(|answer| *answer == "Kok").count();
        assert!((queued == 0) == (accepted == 0), "case {case}: {queued} {answers:?}");
    }
}

#[test]
fn a_client_that_dies_in_mid_message_has_sent_nothing() {
    let home = installation();
    let mut server = home.program("tcpserver");
    server.args(["-1RHl0", "127.0.0.1", "0"]).arg(home.join("bin/qmail-qmtpd"));
    let server = start(&mut server);
    let port = server.wait_out("\n").trim().parse().unwrap();
    let good = package(&format!("\n{}", "x".repeat(100_000)), "", &["ann@a.example"]);
    let mut client = connect(port);
    client.write_all(&good[..good.len() - 1]).unwrap();
    until(LIMIT, "the queue program", || !home.numbers("mess").is_empty());
    drop(client);
    home.wait_empty();
    let mut client = connect(port);
    client.write_all(&good).unwrap();
    let mut answer = [0; 8];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(home.numbers("todo").len(), 1, "{}", shown(&answer));
}

#[test]
fn a_big_message_and_many_recipients_take_little_memory() {
    if tests::original() {
        return; // Our limit.
    }
    let home = home("cat >/dev/null; cat 0<&1 >/dev/null");
    let mut running = start(&mut home.program("qmail-qmtpd"));
    let block = "x".repeat(79) + "\n";
    running.write(format!("{}:\n", 80 * 250_001 + 1));
    for _ in 0..250 {
        running.write(block.repeat(1000));
    }
    running.write(format!("{block},0:,{}:", 5_000_000));
    for _ in 0..1000 {
        running.write("2:ab,".repeat(1000));
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", running.pid())).unwrap();
    let own = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    let kilobytes: u64 = own.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kilobytes < 4096, "{own}");
    running.write(",");
    let output = running.finish(LIMIT);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(texts(&output.stdout).len(), 1_000_000);
}
