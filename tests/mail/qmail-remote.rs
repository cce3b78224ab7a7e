//! qmail-remote against servers that follow a script. A report is shown with `|` for NUL.

use crate::installation::{Installation, installation};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tests::{
    LIMIT, SmtpServer, accepting, dns, fed, free_port, listener, program, ran, redirected, root,
    skip, smtp_server, smtp_server_at, start, until,
};

const GREETING: &str = "220 mx.b.example ESMTP";

/// An installation whose mail all goes to this port of 127.0.0.1.
fn routed(port: u16) -> Installation {
    let home = installation();
    home.control("smtproutes", format!(":127.0.0.1:{port}\n"));
    home
}

/// The report on a message to `b.example` from joe@a.example for these recipients.
#[track_caller]
fn report(home: &Installation, recipients: &[&str], message: &str) -> String {
    let mut command = home.program("qmail-remote");
    reported(command.args(["b.example", "joe@a.example"]).args(recipients), message)
}

/// The output of a command that exits 0 and is silent.
#[track_caller]
fn reported(command: &mut Command, message: &str) -> String {
    let (code, out, err) = ran(&fed(command, message));
    assert_eq!((code, err), (Some(0), String::new()));
    out.replace('\0', "|")
}

/// The report of a message for one recipient to a server that gives these replies instead of
/// accepting: a reply for a command that begins so, or for the message (".").
#[track_caller]
fn answered(greeting: &str, replies: &'static [(&str, &str)]) -> (String, Vec<String>) {
    let server = smtp_server(greeting, move |line| {
        let own = replies.iter().find(|(start, _)| line.starts_with(start));
        own.map_or_else(|| accepting(line), |(_, reply)| (*reply).into())
    });
    let report = report(&routed(server.port()), &["ann@b.example"], "Subject: x\n\ntext\n");
    (report, server.lines())
}

#[test]
fn a_message_is_delivered_byte_by_byte() {
    if tests::original() {
        return; // The originals say HELO.
    }
    let server = smtp_server(GREETING, accepting);
    let home = routed(server.port());
    let mut command = home.program("qmail-remote");
    command.args(["b.example", "joe smith@a.example", "ann@b.example", "no host", "a@b@c.example"]);
    let message = ".\n..\nSubject: \u{fc}\0\n\ncr\rlf\r\nend\n";
    let said = "K127.0.0.1 accepted message.\nRemote host said: 250 ok\n";
    assert_eq!(reported(&mut command, message), format!("r|r|r|{said}|"));
    let lines = [
        "EHLO a.example",
        "MAIL FROM:<\"joe smith\"@a.example>",
        "RCPT TO:<ann@b.example>",
        "RCPT TO:<no host>",
        "RCPT TO:<\"a@b\"@c.example>",
        "DATA",
    ];
    assert_eq!(server.lines()[..6], lines);
    let wire = "..\r\n...\r\nSubject: \u{fc}\0\r\n\r\ncr\r\nlf\r\nend\r\n";
    assert_eq!(server.messages(), [wire.as_bytes()]);
    until(LIMIT, "QUIT", || server.lines().len() == 7);
    assert_eq!(server.lines()[6], "QUIT");
}

#[test]
fn an_empty_message_and_an_empty_sender_are_fine() {
    if tests::original() {
        return; // The originals say HELO.
    }
    let server = smtp_server(GREETING, accepting);
    let home = routed(server.port());
    home.control("helohost", "helo.example\n");
    let mut command = home.program("qmail-remote");
    let report = reported(command.args(["b.example", "", "-x@b.example"]), "");
    assert_eq!(report, "r|K127.0.0.1 accepted message.\nRemote host said: 250 ok\n|");
    assert_eq!(server.lines()[..2], ["EHLO helo.example", "MAIL FROM:<>"]);
    assert_eq!(server.messages(), [b""]);
}

#[test]
fn every_refusal_has_its_report() {
    if tests::original() {
        return; // The originals say HELO.
    }
    let table: &[(&str, &'static [(&str, &str)], &str)] = &[
        (
            "554-no\n554 service",
            &[],
            "ZConnected to 127.0.0.1 but greeting failed.\nRemote host said: 554-no\n554 service\n|",
        ),
        (
            "250 odd",
            &[],
            "ZConnected to 127.0.0.1 but greeting failed.\nRemote host said: 250 odd\n|",
        ),
        (
            GREETING,
            &[("EHLO", "450 busy")],
            "ZConnected to 127.0.0.1 but my name was rejected.\nRemote host said: 450 busy\n|",
        ),
        (
            GREETING,
            &[("EHLO", "502 what?"), ("HELO", "550 who?")],
            "ZConnected to 127.0.0.1 but my name was rejected.\nRemote host said: 550 who?\n|",
        ),
        (
            GREETING,
            &[("MAIL", "553 no")],
            "DConnected to 127.0.0.1 but sender was rejected.\nRemote host said: 553 no\n|",
        ),
        (
            GREETING,
            &[("MAIL", "451-not\n451 now")],
            "ZConnected to 127.0.0.1 but sender was rejected.\nRemote host said: 451-not\n451 now\n|",
        ),
        (
            GREETING,
            &[("RCPT", "550 nobody")],
            "h127.0.0.1 does not like recipient.\nRemote host said: 550 nobody\n|\
             DGiving up on 127.0.0.1.\n|",
        ),
        (
            GREETING,
            &[("RCPT", "450 later\0")],
            "s127.0.0.1 does not like recipient.\nRemote host said: 450 later?\n|\
             DGiving up on 127.0.0.1.\n|",
        ),
        (
            GREETING,
            &[("DATA", "554 no data")],
            "r|D127.0.0.1 failed on DATA command.\nRemote host said: 554 no data\n|",
        ),
        (
            GREETING,
            &[("DATA", "451 no data")],
            "r|Z127.0.0.1 failed on DATA command.\nRemote host said: 451 no data\n|",
        ),
        (
            GREETING,
            &[(".", "554 spam")],
            "r|D127.0.0.1 failed after I sent the message.\nRemote host said: 554 spam\n|",
        ),
        (
            GREETING,
            &[(".", "452 full")],
            "r|Z127.0.0.1 failed after I sent the message.\nRemote host said: 452 full\n|",
        ),
        (
            GREETING,
            &[("MAIL", "hello?")],
            "ZConnected to 127.0.0.1 but sender was rejected.\nRemote host said: hello?\n|",
        ),
    ];
    for (greeting, replies, expected) in table {
        let (report, _) = answered(greeting, replies);
        assert_eq!(report, *expected, "{greeting} {replies:?}");
    }
}

#[test]
fn a_server_without_ehlo_gets_helo() {
    if tests::original() {
        return; // The originals say HELO.
    }
    let (report, lines) =
        answered(GREETING, &[("EHLO", "502 what?"), ("RCPT", "251 will forward")]);
    assert_eq!(report, "r|K127.0.0.1 accepted message.\nRemote host said: 250 ok\n|");
    assert_eq!(lines[..3], ["EHLO a.example", "HELO a.example", "MAIL FROM:<joe@a.example>"]);
}

#[test]
fn a_connection_that_dies_may_have_delivered() {
    if tests::original() {
        return; // The originals say HELO.
    }
    let died = "ZConnected to 127.0.0.1 but connection died. (#4.4.2)\n|";
    assert_eq!(answered("", &[]).0, died);
    assert_eq!(answered(GREETING, &[("EHLO", "")]).0, died);
    assert_eq!(answered(GREETING, &[("MAIL", "")]).0, died);
    assert_eq!(answered(GREETING, &[("RCPT", "")]).0, died);
    assert_eq!(answered(GREETING, &[("DATA", "")]).0, format!("r|{died}"));
    let late = "ZConnected to 127.0.0.1 but connection died. Possible duplicate! (#4.4.2)\n|";
    assert_eq!(answered(GREETING, &[(".", "")]).0, format!("r|{late}"));
}

/// Accepts, but not everybody.
fn choosy(extensions: &'static str) -> SmtpServer {
    smtp_server(GREETING, move |line| match line {
        _ if line.starts_with("EHLO") => format!("250-mx\n{extensions}"),
        "RCPT TO:<no@b.example>" => "550 no".into(),
        "RCPT TO:<later@b.example>" => "450 later".into(),
        _ => accepting(line),
    })
}

#[test]
fn each_recipient_has_a_report_with_and_without_pipelining() {
    if tests::original() {
        return; // PIPELINING is ours.
    }
    let recipients = ["a@b.example", "no@b.example", "later@b.example", "c@b.example"];
    for extensions in ["250 8BITMIME", "250-PIPELINING\n250 8BITMIME"] {
        let server = choosy(extensions);
        let said = report(&routed(server.port()), &recipients, "text\n");
        let expected = "r|h127.0.0.1 does not like recipient.\nRemote host said: 550 no\n|\
                        s127.0.0.1 does not like recipient.\nRemote host said: 450 later\n|r|\
                        K127.0.0.1 accepted message.\nRemote host said: 250 ok\n|";
        assert_eq!(said, expected);
        assert_eq!(server.messages(), [b"text\r\n"]);
        let none = report(&routed(server.port()), &["no@b.example"], "text\n");
        let expected = "h127.0.0.1 does not like recipient.\nRemote host said: 550 no\n|\
                        DGiving up on 127.0.0.1.\n|";
        assert_eq!((none, server.messages().len()), (expected.into(), 1));
    }
}

#[test]
fn long_answers_are_cut() {
    if tests::original() {
        return; // The originals say HELO.
    }
    let answer: &'static str = Box::leak(format!("550 {}", "x".repeat(9000)).into_boxed_str());
    let (report, _) = answered(GREETING, Box::leak(Box::new([("MAIL", answer)])));
    let start = "DConnected to 127.0.0.1 but sender was rejected.\nRemote host said: ";
    assert_eq!(report, format!("{start}550 {}|", "x".repeat(4996)));
}

#[test]
fn a_message_that_is_not_whole_is_not_sent() {
    if tests::original() {
        return; // The originals say HELO.
    }
    let server = smtp_server(GREETING, accepting);
    let home = routed(server.port());
    let partial = "r|DSMTP cannot transfer messages with partial final lines. (#5.6.2)\n|";
    assert_eq!(report(&home, &["a@b.example"], "text"), partial);
    let mut command = home.program("qmail-remote");
    command.args(["b.example", "joe@a.example", "a@b.example"]);
    let mut folder = redirected("</", &command);
    let unreadable = "r|ZUnable to read message. (#4.3.0)\n|";
    assert_eq!(reported(home.as_its_user(&mut folder), ""), unreadable);
    assert_eq!(server.messages().len(), 0);
}

#[test]
fn a_big_message_takes_no_memory() {
    if tests::original() {
        return; // The originals say HELO.
    }
    let server = smtp_server(GREETING, accepting);
    let home = routed(server.port());
    let message = "0123456789012345678901234567890123456789\n".repeat(1_000_000);
    let mut command = home.program("qmail-remote");
    command.args(["b.example", "joe@a.example", "a@b.example"]);
    let mut shell = redirected("", &command);
    let mut limited = Command::new("/bin/sh");
    limited.env_clear().envs(shell.get_envs().filter_map(|(name, value)| Some((name, value?))));
    limited.args(["-c", "ulimit -v 32000; exec \"$0\" \"$@\""]).arg(command.get_program());
    limited.args(command.get_args());
    home.as_its_user(&mut shell);
    let report = reported(home.as_its_user(&mut limited), &message);
    assert_eq!(report, "r|K127.0.0.1 accepted message.\nRemote host said: 250 ok\n|");
    assert_eq!(server.messages()[0].len(), message.len() + 1_000_000);
}

const NO_CONNECTION: &str = "ZSorry, I wasn't able to establish an SMTP connection. (#4.4.1)\n|";

/// The record of 127.0.0.1 in lock/tcpto: time-outs, and the seconds since the last one.
fn timeouts(home: &Installation) -> (u8, u64) {
    let bytes = home.place().read("queue/lock/tcpto");
    assert_eq!((bytes.len(), &bytes[..4]), (1024, &[127, 0, 0, 1][..]));
    let when = u32::from_le_bytes(bytes[8..12].try_into().unwrap());
    (bytes[4], now() - u64::from(when))
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

/// Writes the first record of lock/tcpto: 127.0.0.1 timed out so often, last so long ago.
fn remember(home: &Installation, count: u8, seconds: u64) {
    let when = ((now() - seconds) as u32).to_le_bytes();
    let record = [&[127, 0, 0, 1, count, 0, 0, 0][..], &when].concat();
    home.write("queue/lock/tcpto", [&record[..], &[0; 1012]].concat());
}

#[test]
fn refused_connections_are_not_remembered() {
    let home = routed(free_port());
    assert_eq!(report(&home, &["a@b.example"], ""), NO_CONNECTION);
    assert_eq!(home.place().read("queue/lock/tcpto"), [0; 1024]);
}

#[test]
fn addresses_that_time_out_are_remembered_and_passed_over() {
    if tests::original() {
        return; // The originals have one table.
    }
    // A full backlog drops further connections without a word.
    let (full, port): (TcpListener, u16) = listener();
    base::sys::socket::listen(full.as_fd(), 0).unwrap();
    let at = full.local_addr().unwrap();
    let second = Duration::from_millis(500);
    let kept: Vec<_> = (0..3).map(|_| TcpStream::connect_timeout(&at, second)).collect();
    let home = routed(port);
    home.control("timeoutconnect", "1\n");
    assert_eq!(report(&home, &["a@b.example"], ""), NO_CONNECTION);
    let (count, age) = timeouts(&home);
    assert!((count, age < 10) == (1, true), "{count} {age}");
    // One that was counted just now is not counted again.
    assert_eq!(report(&home, &["a@b.example"], ""), NO_CONNECTION);
    assert_eq!(timeouts(&home).0, 1);
    remember(&home, 1, 130);
    assert_eq!(report(&home, &["a@b.example"], ""), NO_CONNECTION);
    assert_eq!(timeouts(&home).0, 2);
    drop((full, kept));

    let server = smtp_server(GREETING, accepting);
    let home = routed(server.port());
    let accepted = "r|K127.0.0.1 accepted message.\nRemote host said: 250 ok\n|";
    for (count, seconds, expected) in
        [(2, 3000, NO_CONNECTION), (2, 6000, accepted), (1, 10, accepted), (10, 0, NO_CONNECTION)]
    {
        remember(&home, count, seconds);
        let said = report(&home, &["a@b.example"], "");
        assert_eq!((count, seconds, said.as_str()), (count, seconds, expected));
        let left = if expected == accepted { 0 } else { count };
        assert_eq!(timeouts(&home).0, left);
    }
}

#[test]
fn a_silent_server_times_out() {
    if tests::original() {
        return; // The originals say HELO.
    }
    let (silent, port) = listener();
    let home = routed(port);
    home.control("timeoutremote", "1\n");
    let died = "ZConnected to 127.0.0.1 but connection died. (#4.4.2)\n|";
    assert_eq!(report(&home, &["a@b.example"], ""), died);
    drop(silent);
}

#[test]
fn what_cannot_be_begun_is_reported() {
    if tests::original() {
        return; // The originals take some of these.
    }
    let home = installation();
    let of = |words: &[&str]| reported(home.program("qmail-remote").args(words), "");
    let invoked = "DI (qmail-remote) was invoked improperly. (#5.3.5)\n|";
    assert_eq!([&[][..], &["h"], &["h", "s"]].map(of), [invoked; 3]);
    let nowhere = |home: &str| {
        let mut command = program("qmail-remote");
        reported(command.env("QMAILHOME", home).args(["h", "s", "r"]), "")
    };
    let home_words = "ZUnable to switch to home directory. (#4.3.0)\n|";
    let controls = "ZUnable to read control files. (#4.3.0)\n|";
    assert_eq!(nowhere("/nonexistent"), home_words);
    assert_eq!(nowhere("/"), controls);
    let broken = "DSMTP cannot transfer addresses with line breaks. (#5.1.3)\n|";
    for words in [["h", "s\n@x", "r"], ["h", "s", "r@x\r"], ["h", "s", "r\nRSET"]] {
        assert_eq!(of(&words), broken);
    }
    for name in ["helohost", "smtproutes", "timeoutremote", "timeoutconnect"] {
        let home = installation();
        home.place().dir(format!("control/{name}"));
        assert_eq!((name, report(&home, &["r"], "").as_str()), (name, controls));
    }
    home.control("smtproutes", "b.example:[::1\n");
    assert_eq!(report(&home, &["r"], ""), controls);
}

#[test]
fn closed_descriptors_and_full_ones() {
    if tests::original() {
        return; // Ours is careful with these.
    }
    let home = installation();
    let tried = |redirections: &str| {
        let mut command = home.program("qmail-remote");
        let mut command = redirected(redirections, command.args(["[127.0.0.1]", "s", "r"]));
        let (code, out, err) = ran(&fed(home.as_its_user(&mut command), ""));
        (code, out + &err)
    };
    assert_eq!(tried("<&-"), (Some(0), "ZUnable to read message. (#4.3.0)\n\0".into()));
    assert_eq!(tried(">&-"), (Some(111), String::new()));
    assert_eq!(tried(">/dev/full"), (Some(111), String::new()));
}

#[test]
fn relays_are_addresses_in_brackets_too() {
    if tests::original() {
        return; // IPv6 is ours.
    }
    let server = smtp_server_at("[::1]:0", GREETING, accepting);
    let home = installation();
    let port = server.port();
    home.control("smtproutes", format!("b.example:[::1]:{port}\n:[127.0.0.1]:{port}\n"));
    let accepted = "r|K::1 accepted message.\nRemote host said: 250 ok\n|";
    assert_eq!(report(&home, &["a@b.example"], ""), accepted);
    let mut command = home.program("qmail-remote");
    let said = reported(command.args(["c.example", "s", "r"]), "");
    assert_eq!(said, NO_CONNECTION);
}

#[test]
fn an_address_that_is_this_host_is_a_loop() {
    if tests::original() {
        return; // IPv6 is ours.
    }
    let home = installation();
    let looping = "DSorry. Although I'm listed as a best-preference MX or A for that host,\n\
                   it isn't in my control/locals file, so I don't treat it as local. (#5.4.6)\n|";
    for host in ["[127.0.0.1]", "127.0.0.1", "0.0.0.0", "[IPv6:::1]", "[::ffff:127.0.0.1]"] {
        let mut command = home.program("qmail-remote");
        assert_eq!((host, reported(command.args([host, "s", "r"]), "").as_str()), (host, looping));
    }
}

/// A world of mail exchangers: DNS, and servers on port 25 of other loopback addresses.
struct World {
    dns: tests::Dns,
    home: Installation,
    /// The addresses that were delivered to.
    heard: Arc<Mutex<Vec<String>>>,
}

/// `None` without root, who owns ports 25 and 53.
fn world(records: &[(&str, &str, &str)], servers: &[&str]) -> Option<World> {
    if !root() {
        skip("needs root: mail exchangers have port 25");
        return None;
    }
    let heard = Arc::new(Mutex::new(Vec::new()));
    for ip in servers {
        let (heard, name) = (Arc::clone(&heard), (*ip).to_owned());
        smtp_server_at(&format!("{ip}:25"), GREETING, move |line| {
            if line.starts_with("RCPT") {
                heard.lock().unwrap().push(name.clone());
            }
            accepting(line)
        });
    }
    Some(World { dns: dns(records)?, home: installation(), heard })
}

impl World {
    /// The report on a message to this host.
    #[track_caller]
    fn report(&self, host: &str) -> String {
        let mut command = self.home.program("qmail-remote");
        command.env("DNSCACHEIP", self.dns.ip.to_string());
        reported(command.args([host, "joe@a.example", "ann@b.example"]), "text\n")
    }
}

#[test]
fn mail_goes_to_the_best_exchanger_that_answers() {
    let records = [
        ("b.example", "MX", "20 second.example"),
        ("b.example", "MX", "10 dead.example"),
        ("b.example", "MX", "30 127.77.0.3"),
        ("dead.example", "A", "127.77.0.1"),
        ("second.example", "A", "127.77.0.2"),
        ("literal.example", "MX", "0 127.77.0.3"),
        ("host.example", "A", "127.77.0.2"),
        ("alias.example", "CNAME", "b.example"),
        ("half.example", "MX", "10 broken.example"),
        ("half.example", "MX", "10 nothing.example"),
        ("half.example", "MX", "20 second.example"),
        ("broken.example", "SERVFAIL", ""),
    ];
    let Some(world) = world(&records, &["127.77.0.2", "127.77.0.3"]) else { return };
    let hosts = ["b.example", "B.EXAMPLE", "literal.example", "host.example", "alias.example"];
    let seen = hosts.map(|host| world.report(host));
    let at = |ip: &str| format!("r|K{ip} accepted message.\nRemote host said: 250 ok\n|");
    let [second, third] = ["127.77.0.2", "127.77.0.3"].map(at);
    let second = || second.clone();
    assert_eq!(seen, [second(), second(), third, second(), second()]);
    let direct = ["127.77.0.2", "[127.77.0.2]", "half.example"].map(|host| world.report(host));
    assert_eq!(direct, [second(), second(), second()]);
}

#[test]
fn exchangers_of_one_preference_share_the_mail() {
    let records = [
        ("b.example", "MX", "10 one.example"),
        ("b.example", "MX", "10 two.example"),
        ("one.example", "A", "127.77.1.1"),
        ("two.example", "A", "127.77.1.2"),
    ];
    let Some(world) = world(&records, &["127.77.1.1", "127.77.1.2"]) else { return };
    until(LIMIT, "both have got mail", || {
        world.report("b.example");
        let heard = world.heard.lock().unwrap();
        heard.contains(&"127.77.1.1".into()) && heard.contains(&"127.77.1.2".into())
    });
}

#[test]
fn lookups_that_find_nothing_have_their_reports() {
    if tests::original() {
        return; // RFC 7505 is ours.
    }
    let records = [
        ("soft.example", "SERVFAIL", ""),
        ("null.example", "MX", "0 ."),
        ("bare.example", "MX", "10 nothing.example"),
        ("bare.example", "MX", "20 other.example"),
        ("other.example", "TXT", "no address"),
        ("text.example", "TXT", "no address"),
        ("semi.example", "MX", "10 soft.example"),
        ("semi.example", "MX", "10 nothing.example"),
        ("host.example", "A", "127.77.4.1"),
    ];
    let Some(world) = world(&records, &[]) else { return };
    let soft = "ZSorry, I couldn't find any host by that name. (#4.1.2)\n|";
    let none = |host: &str| format!("DSorry, I couldn't find any host named {host}. (#5.1.2)\n|");
    let bare = "DSorry, I couldn't find a mail exchanger or IP address. (#5.4.4)\n|";
    assert_eq!(world.report("soft.example"), soft);
    assert_eq!(world.report("semi.example"), soft);
    assert_eq!(world.report("nowhere.example"), none("nowhere.example"));
    assert_eq!(world.report("text.example"), none("text.example"));
    assert_eq!(world.report("odd \u{fc}\n.example"), none("odd????.example"));
    let long = "x".repeat(300);
    for host in [&*long, "host..example", ".host.example", "hos\\164.example", ".", ""] {
        assert_eq!(world.report(host), none(host));
    }
    assert_eq!(world.report("host.example."), NO_CONNECTION);
    assert_eq!(world.report("bare.example"), bare);
    assert_eq!(
        world.report("null.example"),
        "DSorry, no mail is taken at null.example. (#5.1.10)\n|"
    );
    world.home.control("smtproutes", "r.example:relay.example\ns.example:soft.example\n");
    assert_eq!(world.report("r.example"), none("relay.example"));
    assert_eq!(world.report("s.example"), soft);
}

#[test]
fn exchangers_that_are_not_better_than_this_host_are_left_out() {
    let records = [
        ("b.example", "MX", "10 best.example"),
        ("b.example", "MX", "20 us.example"),
        ("b.example", "MX", "20 equal.example"),
        ("b.example", "MX", "30 worse.example"),
        ("best.example", "A", "127.77.2.1"),
        ("us.example", "A", "127.0.0.1"),
        ("equal.example", "A", "127.77.2.2"),
        ("worse.example", "A", "127.77.2.2"),
        ("ours.example", "MX", "10 us.example"),
        ("ours.example", "MX", "20 worse.example"),
    ];
    let Some(world) = world(&records, &["127.77.2.2"]) else { return };
    assert_eq!(world.report("b.example"), NO_CONNECTION);
    assert!(world.report("ours.example").starts_with("DSorry. Although I'm listed as a best"));
    world.home.control("smtproutes", "b.example:\nours.example:us.example:1\n");
    assert_eq!(world.report("b.example"), NO_CONNECTION);
    assert_eq!(world.report("ours.example"), NO_CONNECTION);
}

/// A backup host must not bounce because the best exchanger's name server is away for a minute.
#[test]
fn a_better_exchanger_that_cannot_be_looked_up_now_is_waited_for() {
    if tests::original() {
        return; // The originals say that this host is the best.
    }
    let records = [
        ("b.example", "MX", "10 soft.example"),
        ("b.example", "MX", "20 us.example"),
        ("ours.example", "MX", "20 us.example"),
        ("ours.example", "MX", "20 soft.example"),
        ("us.example", "A", "127.0.0.1"),
        ("soft.example", "SERVFAIL", ""),
    ];
    let Some(world) = world(&records, &[]) else { return };
    let soft = "ZSorry, I couldn't find any host by that name. (#4.1.2)\n|";
    assert_eq!(world.report("b.example"), soft);
    assert!(world.report("ours.example").starts_with("DSorry. Although I'm listed as a best"));
}

#[test]
fn ipv6_comes_after_ipv4_of_the_same_preference() {
    if tests::original() {
        return; // IPv6 is ours.
    }
    let records = [
        ("b.example", "MX", "10 both.example"),
        ("both.example", "AAAA", "::1"),
        ("both.example", "A", "127.77.3.1"),
        ("six.example", "AAAA", "::ffff:127.77.3.1"),
    ];
    let Some(world) = world(&records, &["127.77.3.1"]) else { return };
    let mut command = world.home.program("qmail-remote");
    world.home.control("smtproutes", "b.example:both.example:25\n");
    command.env("DNSCACHEIP", world.dns.ip.to_string());
    let accepted = "r|K127.77.3.1 accepted message.\nRemote host said: 250 ok\n|";
    assert_eq!(reported(command.args(["b.example", "s", "r"]), ""), accepted);
    assert_eq!(world.report("six.example"), accepted);
}

#[test]
fn it_ends_at_once_after_the_last_answer() {
    if tests::original() {
        return; // The originals wait for the answer to QUIT.
    }
    // A server that keeps the connection open and does not answer QUIT.
    let (listener, port) = listener();
    let server = std::thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"220 x\r\n250 x\r\n250 x\r\n250 x\r\n354 x\r\n250 x\r\n").unwrap();
        let mut heard = String::new();
        stream.read_to_string(&mut heard).unwrap();
        heard
    });
    let home = routed(port);
    let mut command = home.program("qmail-remote");
    let mut running = start(command.args(["b.example", "s@x", "r@x"]));
    running.write("text\n");
    running.close();
    assert_eq!(running.wait(Duration::from_secs(10)).code(), Some(0));
    let said =
        "EHLO a.example\r\nMAIL FROM:<s@x>\r\nRCPT TO:<r@x>\r\nDATA\r\ntext\r\n.\r\nQUIT\r\n";
    assert_eq!(server.join().unwrap(), said);
}

#[test]
fn qmail_smtpd_gets_what_was_sent() {
    if tests::original() {
        return; // The originals say HELO.
    }
    let home = installation();
    let mut command = home.program("tcpserver");
    command.args(["-1RHl0", "127.0.0.1", "0"]).arg(home.join("bin/qmail-smtpd"));
    let server = start(&mut command);
    let port = server.wait_out("\n");
    home.control("smtproutes", format!(":127.0.0.1:{port}"));
    let text = format!(".\n..\n\n{}\n.\u{fc}\0\n", "x".repeat(100_000)).repeat(10);
    let report = report(&home, &["\"ann lee\"@a.example"], &text);
    assert!(
        report.starts_with("r|K127.0.0.1 accepted message.\nRemote host said: 250 ok 1"),
        "{report}"
    );
    let number = home.numbers("todo")[0];
    let queued = home.place().text(home.file("mess", number));
    assert!(queued.ends_with(&format!(" -0000\n{text}")));
    let envelope = home.place().text(home.file("todo", number));
    assert!(envelope.ends_with("\0Fjoe@a.example\0T\"ann lee\"@a.example\0"), "{envelope}");
}
