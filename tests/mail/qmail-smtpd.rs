//! qmail-smtpd on pipes and sockets, as tcpserver, inetd and a terminal start it. The queue
//! program is a script: what is queued is in `message` and `envelope` of the home.

use crate::installation::{Installation, installation};
use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use tests::{
    LIMIT, Running, Smtp, fed, listener, program, ran, redirected, shown, smtp_on, start_on, until,
};

/// Keeps the message and the envelope.
const KEEP: &str = "cat >message; cat 0<&1 >envelope";

/// Everything about a message but its text.
const ENVELOPE: &str = "MAIL FROM:<joe@b.example>\nRCPT TO:<ann@a.example>\nDATA\n";

/// An installation whose queue program is a script.
fn home(queue: &str) -> Installation {
    let home = installation();
    home.script("qmail-queue", queue);
    home
}

/// What the program answers to this input (LF stands for CR LF, in the answer too), and its exit
/// code. It must say nothing else.
#[track_caller]
fn answers(command: &mut Command, input: &str) -> (String, Option<i32>) {
    let output = fed(command, input.replace('\n', "\r\n"));
    let (code, out, err) = ran(&output);
    assert_eq!(err, "");
    (out.replace("\r\n", "\n"), code)
}

/// The last answer to a message with this text.
#[track_caller]
fn verdict(home: &Installation, text: &str) -> String {
    let replies = answers(&mut home.program("qmail-smtpd"), &format!("{ENVELOPE}{text}.\n")).0;
    replies.lines().last().unwrap().to_owned()
}

/// The answers to MAIL, RCPT and so on, one a line, without greeting.
#[track_caller]
fn replies(command: &mut Command, input: &str) -> Vec<String> {
    let replies = answers(command, input).0;
    replies.lines().skip(1).map(str::to_owned).collect()
}

#[test]
fn the_classic_dialogue() {
    let home = home("exit 0");
    let input = "HELO there\nehlo there\nNOOP\nVRFY x\nRSET\nRCPT TO:<a@b>\nDATA\nMAIL FROM:<>\nDATA\n\
                 RCPT TO:<>\nTURN\n\nQUIT\nNOOP\n";
    let expected = "220 a.example ESMTP\n250 a.example\n250-a.example\n250-PIPELINING\n\
                    250 8BITMIME\n250 ok\n252 send some mail, i'll try my best\n250 flushed\n\
                    503 MAIL first (#5.5.1)\n503 MAIL first (#5.5.1)\n250 ok\n503 RCPT first (#5.5.1)\n\
                    250 ok\n502 unimplemented (#5.5.1)\n502 unimplemented (#5.5.1)\n221 a.example\n";
    let said = answers(&mut home.program("qmail-smtpd"), input);
    assert_eq!(said, (expected.into(), Some(0)));
    let lf_only = ran(&fed(&mut home.program("qmail-smtpd"), "NOOP\nquit\n"));
    let expected = "220 a.example ESMTP\r\n250 ok\r\n221 a.example\r\n";
    assert_eq!(lf_only, (Some(0), expected.into(), String::new()));
}

#[test]
fn an_end_without_quit_is_exit_1() {
    let home = home("exit 0");
    let greeting = String::from("220 a.example ESMTP\n");
    for input in ["", "NOO"] {
        let said = answers(&mut home.program("qmail-smtpd"), input);
        assert_eq!(said, (greeting.clone(), Some(1)));
    }
}

#[test]
fn a_message_reaches_the_queue_program() {
    let home = home(KEEP);
    let mut command = home.program("qmail-smtpd");
    command.env("TCPREMOTEIP", "192.0.2.7").env("TCPREMOTEHOST", "c.example");
    command.env("TCPREMOTEINFO", "joe").env("TCPLOCALHOST", "mx.a.example");
    let input = "EHLO there\nMAIL FROM:<joe@b.example> SIZE=100 BODY=8BITMIME\n\
                 RCPT TO:<ann@a.example>\nRCPT TO:<@x,@y:\"two words\"@a.example>\nDATA\n\
                 Subject: x\n\n..dot\n.removed\n\u{fc}\r\0\n.\nQUIT\n";
    let (said, code) = answers(&mut command, input);
    let accepted = said.lines().nth(8).unwrap().to_owned();
    let words: Vec<&str> = accepted.split(' ').collect();
    let [time, qp] = [words[2], words[4]].map(|number| number.parse::<u64>().unwrap());
    assert_eq!((accepted, code), (format!("250 ok {time} qp {qp}"), Some(0)));
    let text = home.place().text("message");
    let (received, rest) = text.split_once("; ").unwrap();
    let expected =
        "Received: from c.example (HELO there) (joe@192.0.2.7)\n  by mx.a.example with SMTP";
    assert_eq!(received, expected);
    assert!(rest.ends_with(" -0000\nSubject: x\n\n.dot\nremoved\n\u{fc}\r\0\n"), "{rest:?}");
    let envelope = "Fjoe@b.example\0Tann@a.example\0Ttwo words@a.example\0\0";
    assert_eq!(home.place().text("envelope"), envelope);
}

#[test]
fn the_queue_program_starts_in_the_home_with_what_it_needs() {
    let home = home("exec >seen; pwd; echo \"$TCPREMOTEIP $SOME\"; ls /proc/self/fd");
    let mut command = home.program("qmail-smtpd");
    answers(
        command.env("SOME", "thing").env("TCPREMOTEIP", "192.0.2.7"),
        &format!("{ENVELOPE}.\n"),
    );
    let seen = home.place().text("seen");
    let mut lines = seen.lines();
    let head = [lines.next().unwrap(), lines.next().unwrap()];
    assert_eq!(head, [home.home().to_str().unwrap(), "192.0.2.7 thing"]);
    // 3 is the folder that ls reads; the shell, and who runs the tests, may have high ones open.
    assert_eq!(lines.filter(|number| number.len() == 1).collect::<String>(), "0123456");
}

#[test]
fn every_end_of_the_queue_program_has_its_text() {
    let texts = [
        (11, "554 envelope address too long for qq (#5.1.3)"),
        (115, "554 envelope address too long for qq (#5.1.3)"),
        (31, "554 mail server permanently rejected message (#5.3.0)"),
        (12, "554 qq permanent problem (#5.3.0)"),
        (40, "554 qq permanent problem (#5.3.0)"),
        (51, "451 qq out of memory (#4.3.0)"),
        (52, "451 qq timeout (#4.3.0)"),
        (53, "451 qq write error or disk full (#4.3.0)"),
        (54, "451 qq read error (#4.3.0)"),
        (55, "451 qq unable to read configuration (#4.3.0)"),
        (56, "451 qq trouble making network connection (#4.3.0)"),
        (61, "451 qq trouble in home directory (#4.3.0)"),
        (62, "451 qq trouble creating files in queue (#4.3.0)"),
        (66, "451 qq trouble creating files in queue (#4.3.0)"),
        (71, "451 mail server temporarily rejected message (#4.3.0)"),
        (72, "451 connection to mail server timed out (#4.4.1)"),
        (73, "451 connection to mail server rejected (#4.4.1)"),
        (74, "451 communication with mail server failed (#4.4.2)"),
        (81, "451 qq internal bug (#4.3.0)"),
        (91, "451 qq internal bug (#4.3.0)"),
        (82, "451 qq temporary problem (#4.3.0)"),
        (120, "451 unable to exec qq (#4.3.0)"),
        (1, "451 qq temporary problem (#4.3.0)"),
        (100, "451 qq temporary problem (#4.3.0)"),
    ];
    let home = home("cat >/dev/null; cat 0<&1 >/dev/null; exit $(cat code)");
    for (code, text) in texts {
        home.write("code", code.to_string());
        assert_eq!((code, verdict(&home, "x\n").as_str()), (code, text));
    }
}

#[test]
fn a_queue_program_that_crashes_or_is_missing_is_a_temporary_failure() {
    let home = home("kill -9 $$");
    assert_eq!(verdict(&home, ""), "451 qq crashed (#4.3.0)");
    let mut command = home.program("qmail-smtpd");
    command.env("QMAILQUEUE", "bin/nothing");
    let last = replies(&mut command, &format!("{ENVELOPE}.\n")).pop();
    assert_eq!(last, Some("451 unable to exec qq (#4.3.0)".into()));
}

#[test]
fn a_queue_program_that_does_not_read_has_not_queued() {
    let home = home("exit 0");
    assert_eq!(verdict(&home, &"x\n".repeat(100_000)), "451 qq read error (#4.3.0)");
}

#[test]
fn the_queue_program_may_speak_for_itself() {
    if tests::original() {
        return; // Descriptor 4 and exit 88 are ours.
    }
    let home = home("cat >/dev/null; printf 'Dno, thanks (#5.7.1)' >&6; exit 82");
    assert_eq!(verdict(&home, ""), "554 no, thanks (#5.7.1)");
    home.script("qmail-queue", "cat >/dev/null; printf 'Znot\\r\\nnow\\001' >&6; exit 82");
    assert_eq!(verdict(&home, ""), "451 not  now ");
    // programs made for the patches of others
    home.script("qmail-queue", "cat >/dev/null; printf 'Dvirus' >&$ERROR_FD; exit 88");
    assert_eq!(verdict(&home, ""), "554 virus");
    let mut command = home.program("qmail-smtpd");
    home.script("qmail-queue", "cat >/dev/null; printf \"Dtold $ERROR_FD\" >&4; exit 82");
    let last = replies(command.env("ERROR_FD", "2"), &format!("{ENVELOPE}.\n")).pop();
    assert_eq!(last, Some("554 told 2".into()));
}

#[test]
fn a_queue_program_is_waited_for_and_nobody_else() {
    if tests::original() {
        return; // The originals wait for everybody who holds descriptor 6.
    }
    let queue = "cat >/dev/null; cat 0<&1 >/dev/null; exec 7<hold; cat <&7 >left 2>&1 & ";
    let home = home(&format!("{queue} printf 'Dno' >&6; exit 82"));
    home.place().fifo("hold");
    home.give("hold");
    let hold = File::options().read(true).write(true).open(home.join("hold")).unwrap();
    assert_eq!(verdict(&home, ""), "554 no");
    home.script("qmail-queue", queue);
    assert!(verdict(&home, "").starts_with("250 ok "));
    // whoever says more than counts is not kept from ending
    let long = "cat >/dev/null; printf D >&4; yes - | head -c 300000 >&4; exit 88";
    home.script("qmail-queue", long);
    assert_eq!(verdict(&home, ""), format!("554 {}", "- ".repeat(127)));
    drop(hold);
}

#[test]
fn loops_and_big_messages_are_dropped_by_the_queue_program() {
    if tests::original() {
        return; // The originals count other fields.
    }
    let home = home("cat >/dev/null; cat 0<&1 >envelope; exit 54");
    let hops = "Received: x\nDelivered-To: y\n".repeat(50);
    let looping = "554 too many hops, this message is looping (#5.4.6)";
    assert_eq!(verdict(&home, &hops), looping);
    assert!(!home.place().text("envelope").ends_with("\0\0"));
    let fewer = format!("Received-SPF: x\n{}\nReceived: x\n", &hops[12..]);
    assert_eq!(verdict(&home, &fewer), "451 qq read error (#4.3.0)");

    home.control("databytes", "8 bytes\n");
    let too_big = "552 sorry, that message size exceeds my databytes limit (#5.3.4)";
    assert_eq!(verdict(&home, "..12345\n"), "451 qq read error (#4.3.0)");
    assert_eq!(verdict(&home, "12345678\n"), too_big);
    let mut command = home.program("qmail-smtpd");
    let last = replies(command.env("DATABYTES", "3"), &format!("{ENVELOPE}123\n.\n")).pop();
    assert_eq!(last, Some(too_big.into()));
    let last = replies(command.env("DATABYTES", ""), &format!("{ENVELOPE}{hops}.\n")).pop();
    assert_eq!(last, Some(looping.into()));
}

#[test]
fn a_bare_newline_is_refused_and_nothing_after_it_is_done() {
    let home = home(KEEP);
    let input = "MAIL FROM:<a>\r\nRCPT TO:<b>\r\nDATA\r\nx\n.\r\nMAIL FROM:<c>\r\nRCPT TO:<d>\r\n\
                 DATA\r\n.\r\nQUIT\r\n";
    let said = ran(&fed(&mut home.program("qmail-smtpd"), input));
    let expected = "220 a.example ESMTP\r\n250 ok\r\n250 ok\r\n354 go ahead\r\n\
                    451 See https://cr.yp.to/docs/smtplf.html.\r\n";
    assert_eq!(said, (Some(1), expected.into(), String::new()));
    until(LIMIT, "the envelope", || home.place().exists("envelope"));
    assert_eq!(home.place().text("envelope"), "");
}

#[test]
fn recipients_are_those_of_rcpthosts_and_of_relay_clients() {
    const NO: &str = "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)";
    let home = home(KEEP);
    let input = "MAIL FROM:<x>\nRCPT TO:<ann@A.Example>\nRCPT TO:<ann@x.a.example>\n\
                 RCPT TO:<ann@c.b.example>\nRCPT TO:<ann@more.example>\nRCPT TO:<postmaster>\n";
    let mut command = home.program("qmail-smtpd");
    assert_eq!(replies(&mut command, input), ["250 ok"; 6]);
    home.control("rcpthosts", "# ours\na.example\n.b.example \n");
    let some = ["250 ok", "250 ok", NO, "250 ok", NO, "250 ok"];
    assert_eq!(replies(&mut command, input), some);
    let path = home.join("control/morercpthosts.cdb");
    let mut writer = base::cdb::Writer::create(&path).unwrap();
    writer.add(b"more.example", b"").unwrap();
    writer.finish().unwrap();
    let more = ["250 ok", "250 ok", NO, "250 ok", "250 ok", "250 ok"];
    assert_eq!(replies(&mut command, input), more);
    home.control("rcpthosts", "");
    let only_cdb = ["250 ok", NO, NO, NO, "250 ok", "250 ok"];
    assert_eq!(replies(&mut command, input), only_cdb);

    command.env("RELAYCLIENT", "@relay");
    let said = replies(&mut command, &format!("{input}DATA\n.\n"));
    assert_eq!(said[..6], ["250 ok"; 6]);
    let envelope = "Fx\0Tann@A.Example@relay\0Tann@x.a.example@relay\0Tann@c.b.example@relay\0\
                    Tann@more.example@relay\0Tpostmaster@relay\0\0";
    assert_eq!(home.place().text("envelope"), envelope);
}

#[test]
fn a_damaged_database_ends_the_session() {
    let home = home("exit 0");
    home.control("rcpthosts", "").control("morercpthosts.cdb", "short");
    let said = answers(&mut home.program("qmail-smtpd"), "MAIL FROM:<>\nRCPT TO:<a@b>\nNOOP\n");
    let expected = "220 a.example ESMTP\n250 ok\n421 unable to read controls (#4.3.0)\n";
    assert_eq!(said, (expected.into(), Some(1)));
}

#[test]
fn senders_of_badmailfrom_are_refused_at_each_recipient() {
    const BAD: &str = "553 sorry, your envelope sender is in my badmailfrom list (#5.7.1)";
    let home = home("exit 0");
    home.control("badmailfrom", "joe@b.example\n@c.example\n").control("rcpthosts", "a.example\n");
    let tried = |sender: &str| {
        let input = format!("MAIL FROM:<{sender}>\nRCPT TO:<a@a.example>\nRCPT TO:<a@z>\nDATA\n");
        replies(&mut home.program("qmail-smtpd"), &input)
    };
    let bad = ["250 ok", BAD, BAD, "503 RCPT first (#5.5.1)"];
    for sender in ["joe@b.example", "JOE@B.EXAMPLE", "x@c.example"] {
        assert_eq!(tried(sender), bad, "{sender}");
    }
    for sender in ["ann@b.example", "c.example", "x@d.c.example", ""] {
        assert_eq!(tried(sender)[1], "250 ok", "{sender}");
    }
}

#[test]
fn our_own_address_in_brackets_is_localiphost() {
    if tests::original() {
        return; // IPv6 is ours.
    }
    let home = home(KEEP);
    let input = "MAIL FROM:<a@[127.0.0.1]>\nRCPT TO:<b@[0.0.0.0]>\nRCPT TO:<c@[192.0.2.1]>\n\
                 RCPT TO:<d@[127.0.0.1>\nRCPT TO:<[127.0.0.1]>\nDATA\n.\n";
    let tail = "Tc@[192.0.2.1]\0Td@[127.0.0.1\0T[127.0.0.1]\0\0";
    answers(&mut home.program("qmail-smtpd"), input);
    assert_eq!(home.place().text("envelope"), format!("Fa@a.example\0Tb@a.example\0{tail}"));
    home.control("localiphost", "ip.example\n");
    answers(&mut home.program("qmail-smtpd"), input);
    assert_eq!(home.place().text("envelope"), format!("Fa@ip.example\0Tb@ip.example\0{tail}"));
}

#[test]
fn the_greeting_is_smtpgreeting_or_me() {
    let home = home("exit 0");
    home.control("smtpgreeting", "mail.example NO UCE\t \nsecond line\n");
    let said = answers(&mut home.program("qmail-smtpd"), "HELO x\nQUIT\n");
    let expected =
        "220 mail.example NO UCE ESMTP\n250 mail.example NO UCE\n221 mail.example NO UCE\n";
    assert_eq!(said, (expected.into(), Some(0)));
}

#[test]
fn controls_that_cannot_be_read_end_the_session_before_it_begins() {
    const NO: &str = "421 unable to read controls (#4.3.0)\n";
    let controls =
        ["smtpgreeting", "localiphost", "timeoutsmtpd", "rcpthosts", "badmailfrom", "databytes"];
    for name in controls {
        let home = home("exit 0");
        home.place().dir(format!("control/{name}"));
        let said = answers(&mut home.program("qmail-smtpd"), "QUIT\n");
        assert_eq!((name, said), (name, (NO.into(), Some(1))));
    }
    let nowhere = answers(program("qmail-smtpd").env("QMAILHOME", "/nonexistent"), "QUIT\n");
    assert_eq!(nowhere, (NO.into(), Some(1)));
}

#[test]
fn closed_descriptors_and_full_ones_are_exit_1() {
    if tests::original() {
        return; // Ours is careful with these.
    }
    let home = home("exit 0");
    let tried = |redirections: &str| {
        let mut command = redirected(redirections, &home.program("qmail-smtpd"));
        let (code, out, err) = ran(&fed(&mut command, "QUIT\r\n"));
        (code, out + &err)
    };
    assert_eq!(tried("<&-"), (Some(1), String::new()));
    assert_eq!(tried(">&-"), (Some(1), String::new()));
    assert_eq!(tried(">/dev/full"), (Some(1), String::new()));
    let all = "220 a.example ESMTP\r\n221 a.example\r\n";
    assert_eq!(tried("2>&-"), (Some(0), all.into()));
}

#[test]
fn long_lines_and_long_addresses_are_refused() {
    if tests::original() {
        return; // Our limits.
    }
    let home = home(KEEP);
    let (address, long) = ("x".repeat(899), "x".repeat(900));
    let line = "x".repeat(1_000_000);
    let input = format!(
        "MAIL FROM:<{long}>\nMAIL FROM:<{address}>\nRCPT TO:<{long}>\nMAIL {line}\nNOOP {line}\n\
         RCPT TO:<{address}>\nDATA\n{line}\n.\n"
    );
    let said = replies(&mut home.program("qmail-smtpd"), &input);
    let (last, said) = said.split_last().unwrap();
    let expected = [
        "555 syntax error (#5.5.4)",
        "250 ok",
        "555 syntax error (#5.5.4)",
        "500 command line too long (#5.5.2)",
        "500 command line too long (#5.5.2)",
        "250 ok",
        "354 go ahead",
    ];
    assert_eq!(said, expected);
    assert!(last.starts_with("250 ok "));
    assert_eq!(home.place().text("envelope"), format!("F{address}\0T{address}\0\0"));
    assert!(home.place().text("message").ends_with(&format!("\n{line}\n")));
}

/// Both ends of a connection on loopback.
fn pair() -> (TcpStream, TcpStream) {
    let (listener, port): (TcpListener, u16) = listener();
    let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    (client, listener.accept().unwrap().0)
}

/// The program with a socket as descriptors 0 and 1, as inetd starts it, and a client.
pub fn on_socket(home: &Installation) -> (Running, Smtp) {
    let (client, server) = pair();
    let mut command = redirected(">&0", &home.program("qmail-smtpd"));
    let running = start_on(std::os::fd::OwnedFd::from(server), home.as_its_user(&mut command));
    (running, smtp_on(client))
}

#[test]
fn inetd_starts_it_on_a_socket_that_tells_the_addresses() {
    if tests::original() {
        return; // The originals need tcp-env.
    }
    let home = home(&format!("{KEEP}; env | grep ^TCP | sort >seen; echo $PROTO >>seen"));
    let (running, mut client) = on_socket(&home);
    assert_eq!(client.expect(220), "220 a.example ESMTP\n");
    // One command at a time: no answer may wait in a buffer.
    client.step("MAIL FROM:<joe@b.example>", 250).step("RCPT TO:<ann@a.example>", 250);
    client.step("RSET", 250).step("MAIL FROM:<>", 250).step("RCPT TO:<x@a.example>", 250);
    client.step("DATA", 354).send("Subject: x\r\n\r\n").step(".", 250).step("QUIT", 221);
    client.expect_end();
    assert_eq!(running.wait(LIMIT).code(), Some(0));
    let message = home.place().text("message");
    let expected = "Received: from unknown (127.0.0.1)\n  by 127.0.0.1 with SMTP; ";
    assert!(message.starts_with(expected), "{message}");
    let seen = home.place().text("seen");
    let names: Vec<&str> = seen.lines().map(|line| line.split('=').next().unwrap()).collect();
    assert_eq!(names, ["TCPLOCALIP", "TCPLOCALPORT", "TCPREMOTEIP", "TCPREMOTEPORT", "TCP"]);
}

#[test]
fn a_slow_client_is_told_so() {
    let home = home(KEEP);
    home.control("timeoutsmtpd", "1\n");
    let (running, mut client) = on_socket(&home);
    client.expect(220);
    client.step("MAIL FROM:<a>", 250).step("RCPT TO:<b>", 250).step("DATA", 354).send("half");
    assert_eq!(client.expect(451), "451 timeout (#4.4.2)\n");
    client.expect_end();
    assert_eq!(running.wait(LIMIT).code(), Some(1));
    until(LIMIT, "the envelope", || home.place().exists("envelope"));
    assert_eq!(home.place().text("envelope"), "");
}

#[test]
fn a_client_that_resets_in_mid_message_has_sent_nothing() {
    let home = home(KEEP);
    let (mut client, server) = pair();
    let mut command = redirected(">&0", &home.program("qmail-smtpd"));
    let running = start_on(std::os::fd::OwnedFd::from(server), home.as_its_user(&mut command));
    let mut greeting = [0; 4];
    client.read_exact(&mut greeting).unwrap();
    client.write_all(b"MAIL FROM:<a>\r\nRCPT TO:<b>\r\nDATA\r\nhalf a message\r\n").unwrap();
    until(LIMIT, "the queue program", || home.place().exists("message"));
    // Closed with replies unread: the system sends a reset.
    drop(client);
    let output = running.finish(LIMIT);
    assert_eq!((output.status.code(), shown(&output.stderr)), (Some(1), String::new()));
    until(LIMIT, "the envelope", || home.place().exists("envelope"));
    assert_eq!(home.place().text("envelope"), "");
}

#[test]
fn a_big_message_takes_no_memory() {
    if tests::original() {
        return; // Our limit.
    }
    let home = home("cat >/dev/null; cat 0<&1 >/dev/null");
    let (running, mut client) = on_socket(&home);
    client.expect(220);
    client.step("MAIL FROM:<a>", 250).step("RCPT TO:<b>", 250).step("DATA", 354);
    let block = "x".repeat(78) + "\r\n";
    let block = block.repeat(1000);
    for _ in 0..250 {
        client.send(&block);
    }
    client.step(".", 250);
    let status = std::fs::read_to_string(format!("/proc/{}/status", running.pid())).unwrap();
    let own = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    let kilobytes: u64 = own.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kilobytes < 1024, "{own}");
}

/// A tcpserver that runs the program, and its port.
fn under_tcpserver(home: &Installation) -> (Running, u16) {
    let mut command = home.program("tcpserver");
    command.args(["-1RHl0", "127.0.0.1", "0"]).arg(home.join("bin/qmail-smtpd"));
    let server = tests::start(&mut command);
    let port = server.wait_out("\n").trim().parse().unwrap();
    (server, port)
}

#[test]
fn many_clients_at_once_are_served_under_tcpserver() {
    let home = installation();
    let (server, port) = under_tcpserver(&home);
    let message = "MAIL FROM:<joe@b.example>\r\nRCPT TO:<ann@a.example>\r\nDATA\r\ntext\r\n.\r\n";
    let clients: Vec<_> = (0..20)
        .map(|_| {
            let mut client = tests::connect(port);
            client.write_all(format!("{}QUIT\r\n", message.repeat(3)).as_bytes()).unwrap();
            client
        })
        .collect();
    for mut client in clients {
        let mut replies = String::new();
        client.read_to_string(&mut replies).unwrap();
        assert_eq!(replies.matches("\r\n250 ok 1").count(), 3, "{replies}");
        assert!(replies.ends_with("\r\n221 a.example\r\n"), "{replies}");
    }
    assert_eq!(home.numbers("todo").len(), 60);
    let message = home.place().text(home.file("mess", home.numbers("todo")[0]));
    assert!(
        message.contains("\nReceived: from unknown (127.0.0.1)\n  by 0 with SMTP; "),
        "{message}"
    );
    drop(server);
}
