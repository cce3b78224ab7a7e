//! rblsmtpd: refuse mail from clients that DNS lists name.

use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tests::{
    Dns, LIMIT, Random, dns, fed, original, program, ran, redirected, root, scratch, skip, start,
    start_on,
};

type Ran = (Option<i32>, String, String);

const USAGE: &str = "rblsmtpd: usage: rblsmtpd [ -b ] [ -R ] [ -t timeout ] [ -r base ] \
                     [ -a base ] smtpd [ arg ... ]\n";
/// What the client's name in a list starts with.
const CLIENT: &str = "4.3.2.1";

/// `rblsmtpd WORDS` for the client 1.2.3.4.
fn rblsmtpd(words: &[&str]) -> Command {
    let mut command = program("rblsmtpd");
    command.env("TCPREMOTEIP", "1.2.3.4").args(words);
    command
}

/// What it does with this input. Process numbers in the log are `N`.
fn run(command: &mut Command, input: impl AsRef<[u8]>) -> Ran {
    let (code, out, err) = ran(&fed(command, input));
    (code, out, numberless(&err))
}

fn numberless(log: &str) -> String {
    let mut after_pid = false;
    let words = log.split_inclusive(' ').map(|word| {
        let number = std::mem::replace(&mut after_pid, word == "pid ");
        if number { "N: " } else { word }
    });
    words.collect()
}

/// `rblsmtpd -t0 WORDS echo ran` with this name server.
fn asked_at(ip: Ipv4Addr, words: &[&str]) -> Ran {
    let words = [&["-t0"], words, &["echo", "ran"]].concat();
    run(rblsmtpd(&words).env("DNSCACHEIP", ip.to_string()), "")
}

fn asked(dns: &Dns, words: &[&str]) -> Ran {
    asked_at(dns.ip, words)
}

fn accepted() -> Ran {
    (Some(0), "ran\n".into(), String::new())
}

/// Accepted, with these lines in the log.
fn logged(texts: &[&str]) -> Ran {
    let line = |text: &&str| format!("rblsmtpd: 1.2.3.4 pid N: {text}\n");
    (Some(0), "ran\n".into(), texts.iter().map(line).collect())
}

fn refused(message: &str) -> Ran {
    (Some(0), format!("{message}\r\n"), format!("rblsmtpd: 1.2.3.4 pid N: {message}\n"))
}

/// A fake name server that knows the client under these names in lists.
fn lists(records: &[(&str, &str, &str)]) -> Option<Dns> {
    let named: Vec<(String, &str, &str)> = records
        .iter()
        .map(|(base, kind, data)| (format!("{CLIENT}.{base}"), *kind, *data))
        .collect();
    let named: Vec<_> = named.iter().map(|(name, kind, data)| (&name[..], *kind, *data)).collect();
    dns(&named)
}

// What a client is told, and who decides that without lists.

#[test]
fn wrong_usage_is_shown() {
    for words in [&[][..], &["-b"], &["-t", "1"]] {
        assert_eq!(run(&mut rblsmtpd(words), ""), (Some(100), String::new(), USAGE.into()));
    }
    for (word, said) in [("-R", "illegal option -- R"), ("-t", "option requires an argument -- t")]
    {
        let said = format!("rblsmtpd: {said}\n{USAGE}");
        assert_eq!(run(&mut rblsmtpd(&[word]), ""), (Some(100), String::new(), said));
    }
}

/// The original reads digits as far as there are any.
#[test]
fn wrong_numbers_and_lists_are_wrong_usage() {
    if original() {
        return;
    }
    for word in ["-t", "-tx", "-t1x", "-t-1", "-t4294967296", "-w", "-wx", "-sx", "-Sx"] {
        let words = if word.len() == 2 { [word, ""] } else { [word, "true"] };
        let words = [&words[..], &["true"]].concat();
        assert_eq!(run(&mut rblsmtpd(&words), ""), (Some(100), String::new(), USAGE.into()));
    }
    for words in [["-r", "a="], ["-r", "a=127.0.0"], ["-r", "a:"], ["-r", ""], ["-a", "a:b"]] {
        let said = format!("rblsmtpd: fatal: unable to parse this list: {}\n", words[1]);
        let o = run(rblsmtpd(&words).arg("true"), "");
        assert_eq!(o, (Some(100), String::new(), said));
    }
}

#[test]
fn without_lists_the_program_runs() {
    let o = run(&mut rblsmtpd(&["-bBcC", "sh", "-c", "cat; echo $TCPREMOTEIP; exit 7"]), "in\n");
    assert_eq!(o, (Some(7), "in\n1.2.3.4\n".into(), String::new()));
}

#[test]
fn a_program_that_cannot_be_run_is_named() {
    let said = "rblsmtpd: fatal: unable to run /no/such/file: file does not exist\n";
    let o = run(&mut rblsmtpd(&["/no/such/file"]), "");
    assert_eq!(o, (Some(111), String::new(), said.into()));
}

#[test]
fn the_variable_decides_before_the_lists() {
    let Some(dns) = lists(&[("bad", "TXT", "listed"), ("good", "A", "127.0.0.1")]) else { return };
    let with = |value: &str| {
        let words = ["-t0", "-br", "bad", "-a", "good", "echo", "ran"];
        let mut command = rblsmtpd(&words);
        run(command.env("DNSCACHEIP", dns.ip.to_string()).env("RBLSMTPD", value), "")
    };
    assert_eq!(with(""), accepted());
    assert_eq!(with("not now"), refused("451 not now"));
    assert_eq!(with("-never"), refused("553 never"));
    assert_eq!(with("-"), refused("553 "));
    assert_eq!(with("--"), refused("553 -"));
    assert_eq!(with(&"x".repeat(201)), refused(&format!("451 {}", "x".repeat(200))));
    assert_eq!(
        with(&format!("-{}", "x".repeat(201))),
        refused(&format!("553 {}", "x".repeat(200)))
    );
    assert_eq!(with("a\r\nb\té~\x7f"), refused("451 a??b???~?"));
    assert_eq!(dns.asked(), [""; 0]);
}

/// `rblsmtpd true` with the variable "no".
fn refusing(words: &[&str]) -> Command {
    let mut command = rblsmtpd(words);
    command.env("RBLSMTPD", "no").arg("true");
    command
}

const LOG: &str = "rblsmtpd: 1.2.3.4 pid N: 451 no\n";

/// What is said after the greeting to this input: `+` for 250, `-` for the refusal.
fn conversation(input: &[u8]) -> String {
    let (code, out, log) = run(&mut refusing(&[]), input);
    assert_eq!((code, &log[..]), (Some(0), LOG));
    let replies = out.strip_prefix("220 rblsmtpd.local\r\n").unwrap();
    replies.replace("250 rblsmtpd.local\r\n", "+").replace("451 no\r\n", "-")
}

#[test]
fn the_conversation_leads_nowhere() {
    let mail = b"EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nRSET\r\nQUIT\r\nNOOP\r\n";
    assert_eq!(conversation(mail), "++--+221 rblsmtpd.local\r\n");
    assert_eq!(conversation(b"helo\nNoOp  x y\n\n\r\nvrfy\nhelp\nstarttls\n"), "++-----");
    assert_eq!(conversation(b"noop\tx\n noop\nnoop\0\nnoop\r\r\nnoop\r x\nnoop \r\r\n"), "-----+");
    assert_eq!(conversation(b""), "");
    assert_eq!(conversation(b"noop\nquit"), "+");
}

#[test]
fn lines_may_be_long_and_many() {
    assert_eq!(conversation(&[&[b'x'; 3_000_000][..], b"\nnoop\n"].concat()), "-+");
    assert_eq!(conversation(&[b"noop ", &[b'x'; 3_000_000][..], b"\n"].concat()), "+");
    assert_eq!(conversation(&b"noop\r\nrcpt\r\n".repeat(10_000)), "+-".repeat(10_000));
}

#[test]
fn every_line_is_answered_at_once() {
    let mut rblsmtpd = start(&mut refusing(&[]));
    rblsmtpd.wait_out("220 rblsmtpd.local\r\n");
    for (line, reply) in [("no", ""), ("op\r\nrc", "250 rblsmtpd.local\r\n"), ("pt\r", "")] {
        rblsmtpd.write(line);
        rblsmtpd.wait_out(reply);
    }
    rblsmtpd.write("\nquit\r\n");
    rblsmtpd.wait_out("250 rblsmtpd.local\r\n451 no\r\n221 rblsmtpd.local\r\n");
    assert_eq!(rblsmtpd.wait(LIMIT).code(), Some(0));
}

#[test]
fn the_whole_conversation_has_one_time_limit() {
    let begin = Instant::now();
    let mut slow = start(&mut refusing(&["-t1"]));
    // A client that goes on talking does not get more time.
    while slow.ended().is_none() && slow.stdin().write_all(b"noop\r\n").is_ok() {
        slow.wait_out("250");
        assert!(begin.elapsed() < LIMIT);
    }
    let o = slow.finish(LIMIT);
    assert_eq!((o.status.code(), numberless(&tests::shown(&o.stderr))), (Some(0), LOG.into()));
    assert!(begin.elapsed() >= Duration::from_millis(900));
}

#[test]
fn a_client_that_never_reads_has_the_same_limit() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let theirs = OwnedFd::from(theirs);
    let mut command = refusing(&["-t1"]);
    command.stdin(theirs.try_clone().unwrap()).stdout(theirs).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    drop(command);
    ours.set_write_timeout(Some(LIMIT)).unwrap();
    // Its answers fill the socket, then our lines do, until it ends and the write fails.
    let mut lines = &ours;
    while lines.write_all(&b"x\n".repeat(1000)).is_ok() {}
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn memory_does_not_grow_with_the_conversation() {
    // The original keeps whole lines.
    if original() {
        return;
    }
    let script = "ulimit -v 40000; exec \"$0\" true";
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", script]).arg(tests::bin("rblsmtpd")).env("RBLSMTPD", "no");
    let (code, out, _) = ran(&fed(&mut shell, [&[b'x'; 60_000_000][..], b"\nnoop\n"].concat()));
    let said = "220 rblsmtpd.local\r\n451 no\r\n250 rblsmtpd.local\r\n";
    assert_eq!((code, out), (Some(0), said.into()));
}

#[test]
fn closed_descriptors_end_the_conversation() {
    let greeting = "220 rblsmtpd.local\r\n".to_owned();
    for (closed, out, log) in
        [("<&-", &greeting[..], LOG), (">&-", "", LOG), ("2>&-", &greeting, "")]
    {
        let o = run(&mut redirected(closed, &refusing(&[])), "");
        assert_eq!(o, (Some(0), out.into(), log.into()), "{closed}");
    }
    let o = run(&mut redirected("<&- >&- 2>&-", &refusing(&[])), "");
    assert_eq!(o, (Some(0), String::new(), String::new()));
}

/// The original does not look.
#[test]
fn output_that_cannot_be_written_is_an_error() {
    if original() {
        return;
    }
    let said = format!("{LOG}rblsmtpd: fatal: unable to write output: out of disk space\n");
    for words in [&["-t0"][..], &[]] {
        let o = run(&mut redirected(">/dev/full", &refusing(words)), "");
        assert_eq!(o, (Some(111), String::new(), said.clone()));
    }
}

#[test]
fn a_client_that_has_gone_ends_it_quietly() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    drop(ours);
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "trap '' PIPE; exec \"$0\" true"]).arg(tests::bin("rblsmtpd"));
    shell.env("RBLSMTPD", "no").env("TCPREMOTEIP", "1.2.3.4").stdout(OwnedFd::from(theirs));
    let (code, out, log) = ran(&shell.stdin(Stdio::null()).output().unwrap());
    assert_eq!((code, out, numberless(&log)), (Some(0), String::new(), LOG.into()));
}

// Classic lists.

#[test]
fn a_text_lists_and_an_address_alone_does_not() {
    let Some(dns) = lists(&[
        ("text", "TXT", "see example.org"),
        ("empty", "TXT", ""),
        ("address", "A", "127.0.0.2"),
        ("two", "TXT", "one,"),
        ("two", "TXT", "two"),
        ("long", "TXT", &"x".repeat(300)),
        ("odd", "TXT", "a\r\nb\t\u{1}"),
    ]) else {
        return;
    };
    assert_eq!(asked(&dns, &["-r", "text"]), refused("451 see example.org"));
    assert_eq!(asked(&dns, &["-r", "empty", "-r", "address", "-r", "none"]), accepted());
    assert_eq!(asked(&dns, &["-r", "two"]), refused("451 one,two"));
    assert_eq!(asked(&dns, &["-r", "long"]), refused(&format!("451 {}", "x".repeat(200))));
    assert_eq!(asked(&dns, &["-r", "odd"]), refused("451 a??b??"));
    assert_eq!(asked(&dns, &["-r", "none", "-rtext", "-r", "odd"]), refused("451 see example.org"));
}

#[test]
fn bouncing_holds_for_the_lists_after_it() {
    let Some(dns) = lists(&[("bad", "TXT", "no")]) else { return };
    assert_eq!(asked(&dns, &["-b", "-r", "bad"]), refused("553 no"));
    assert_eq!(asked(&dns, &["-r", "bad", "-b"]), refused("451 no"));
    assert_eq!(asked(&dns, &["-bB", "-r", "bad"]), refused("451 no"));
    assert_eq!(asked(&dns, &["-b", "-r", "none", "-B", "-r", "bad"]), refused("451 no"));
}

#[test]
fn the_first_list_that_knows_the_client_decides() {
    let Some(dns) =
        lists(&[("bad", "TXT", "no"), ("good", "A", "127.0.0.1"), ("good", "TXT", "x")])
    else {
        return;
    };
    assert_eq!(asked(&dns, &["-a", "good", "-r", "bad"]), accepted());
    assert_eq!(asked(&dns, &["-r", "bad", "-a", "good"]), refused("451 no"));
    // A text does not allow.
    assert_eq!(asked(&dns, &["-a", "bad", "-r", "bad"]), refused("451 no"));
}

#[test]
fn a_list_that_fails_is_passed_over_and_nothing_bounces_after_it() {
    let Some(dns) = lists(&[("dead", "SERVFAIL", ""), ("bad", "TXT", "no")]) else { return };
    assert_eq!(asked(&dns, &["-r", "dead"]), accepted());
    assert_eq!(asked(&dns, &["-b", "-r", "dead", "-r", "bad"]), refused("451 no"));
}

#[test]
fn a_list_that_fails_refuses_if_asked() {
    let Some(dns) = lists(&[("dead", "REFUSED", ""), ("bad", "TXT", "no")]) else { return };
    let error = refused("451 temporary RBL lookup error");
    assert_eq!(asked(&dns, &["-bc", "-r", "dead", "-r", "bad"]), error);
    // -c must come before.
    assert_eq!(asked(&dns, &["-r", "dead", "-c", "-r", "none"]), accepted());
}

#[test]
fn an_allowing_list_that_fails_allows_unless_asked_not_to() {
    let Some(dns) = lists(&[("dead", "SERVFAIL", ""), ("bad", "TXT", "no")]) else { return };
    assert_eq!(asked(&dns, &["-a", "dead", "-r", "bad"]), accepted());
    assert_eq!(asked(&dns, &["-cb", "-a", "dead", "-r", "bad"]), refused("451 no"));
}

#[test]
fn long_texts_come_by_tcp() {
    let Some(dns) = lists(&[
        ("cut", "TRUNCATED", ""),
        ("cut", "TXT", "whole"),
        ("long", "TXT", &"y".repeat(3000)),
    ]) else {
        return;
    };
    assert_eq!(asked(&dns, &["-r", "cut"]), refused("451 whole"));
    assert_eq!(asked(&dns, &["-r", "long"]), refused(&format!("451 {}", "y".repeat(200))));
}

#[test]
fn several_in_a_chain_each_have_their_options() {
    let Some(dns) = lists(&[("one", "TXT", "first"), ("two", "TXT", "second")]) else { return };
    let chain = |first: &str, second: &str| {
        asked(&dns, &["-r", first, "rblsmtpd", "-bt0", "-r", second, "-r", "none"])
    };
    assert_eq!(chain("one", "two"), refused("451 first"));
    assert_eq!(chain("none", "two"), refused("553 second"));
    assert_eq!(chain("none", "none"), accepted());
}

#[test]
fn odd_addresses_are_reversed_part_by_part() {
    let Some(dns) = dns(&[("c.b.a.bad", "TXT", "odd"), ("bad", "TXT", "none")]) else { return };
    let server = dns.ip.to_string();
    for (ip, message) in [("a.b.c", "451 odd"), ("", "451 none")] {
        let mut command = rblsmtpd(&["-t0", "-r", "bad", "true"]);
        let (code, out, log) = run(command.env("TCPREMOTEIP", ip).env("DNSCACHEIP", &server), "");
        let said = format!("rblsmtpd: {ip} pid N: {message}\n");
        assert_eq!((code, out, log), (Some(0), format!("{message}\r\n"), said));
    }
    let mut unset = rblsmtpd(&["-t0", "-r", "bad", "true"]);
    let o = run(unset.env_remove("TCPREMOTEIP").env("DNSCACHEIP", &server), "");
    assert_eq!(o.1, "451 none\r\n");
}

// Beyond the original: everything below is new.

#[test]
fn a_text_of_ours_replaces_that_of_the_list() {
    if original() {
        return;
    }
    let Some(dns) = lists(&[("bad", "A", "127.0.0.2"), ("text", "TXT", "x")]) else { return };
    let template = "bad:see http://example.org/?ip=%IP% (100% %IP%)";
    let said = "451 see http://example.org/?ip=1.2.3.4 (100% 1.2.3.4)";
    assert_eq!(asked(&dns, &["-r", template]), refused(said));
    assert_eq!(asked(&dns, &["-r", "text:no"]), accepted());
    let long = format!("bad:{}", "x".repeat(501));
    assert_eq!(asked(&dns, &["-b", "-r", &long]), refused(&format!("553 {}", "x".repeat(500))));
    // Lists with a text are asked for addresses alone.
    assert!(!dns.asked().contains(&format!("TXT {CLIENT}.bad")));
}

#[test]
fn codes_choose_the_answers_that_count() {
    if original() {
        return;
    }
    let Some(dns) = lists(&[
        ("bad", "A", "127.0.0.3"),
        ("bad", "A", "127.0.0.10"),
        ("bad", "TXT", "spam"),
        ("allow", "A", "127.0.5.1"),
    ]) else {
        return;
    };
    let listed = |codes: &str| asked(&dns, &["-r", &format!("bad={codes}")]);
    assert_eq!(listed("127.0.0.3"), refused("451 spam"));
    assert_eq!(listed("127.0.0.2,127.0.0.4-9"), accepted());
    assert_eq!(listed("127.0.0.2,127.0.0.4-10"), refused("451 spam"));
    assert_eq!(listed("127.0.0.10:%IP% is dynamic"), refused("451 1.2.3.4 is dynamic"));
    assert_eq!(listed("127.0.0.+8:bit"), refused("451 bit"));
    assert_eq!(listed("127.0.0.+4:bit"), accepted());
    let allowed = |codes: &str| asked(&dns, &["-a", &format!("allow={codes}"), "-r", "bad"]);
    assert_eq!(allowed("127.0.0-255.1-3"), accepted());
    assert_eq!(allowed("127.0.0-4.1-3"), refused("451 spam"));
}

#[test]
fn a_list_that_will_not_serve_us_lists_nobody() {
    if original() {
        return;
    }
    let Some(dns) = lists(&[
        ("open", "A", "127.255.255.254"),
        ("open", "TXT", "open resolver"),
        ("liar", "A", "192.0.2.1"),
        ("bad", "TXT", "no"),
    ]) else {
        return;
    };
    assert_eq!(asked(&dns, &["-r", "open"]), accepted());
    assert_eq!(asked(&dns, &["-r", "liar:x", "-r", "liar=192.0.2.1:x", "-r", "liar"]), accepted());
    assert_eq!(asked(&dns, &["-b", "-r", "open", "-r", "bad"]), refused("451 no"));
    let error = refused("451 temporary RBL lookup error");
    assert_eq!(asked(&dns, &["-c", "-r", "open"]), error);
    assert_eq!(asked(&dns, &["-c", "-a", "liar", "-r", "bad"]), refused("451 no"));
}

#[test]
fn addresses_of_the_new_kind_are_asked_for_by_nibbles() {
    if original() {
        return;
    }
    let nibbles = format!("1.{}8.b.d.0.1.0.0.2.bad", "0.".repeat(23));
    let mapped = format!("{CLIENT}.bad");
    let Some(dns) = dns(&[(&nibbles, "TXT", "six"), (&mapped, "TXT", "four")]) else { return };
    for (ip, text) in [("2001:db8::1", "six"), ("::ffff:1.2.3.4", "four")] {
        let mut command = rblsmtpd(&["-t0", "-r", "bad", "true"]);
        command.env("TCPREMOTEIP", ip).env("DNSCACHEIP", dns.ip.to_string());
        let log = format!("rblsmtpd: {ip} pid N: 451 {text}\n");
        assert_eq!(run(&mut command, ""), (Some(0), format!("451 {text}\r\n"), log));
    }
}

#[test]
fn weights_of_listings_add_up() {
    if original() {
        return;
    }
    let Some(dns) = lists(&[("a", "TXT", "one"), ("b", "TXT", "two"), ("c", "TXT", "three")])
    else {
        return;
    };
    assert_eq!(asked(&dns, &["-s2", "-r", "a"]), accepted());
    assert_eq!(asked(&dns, &["-s2", "-r", "a", "-r", "none", "-r", "b"]), refused("451 two"));
    let weighed = |least| {
        asked(&dns, &["-s", least, "-S2", "-r", "a", "-S3", "-r", "b", "-S", "4", "-r", "c"])
    };
    assert_eq!(weighed("5"), refused("451 two"));
    assert_eq!(weighed("6"), refused("451 three"));
    assert_eq!(weighed("10"), accepted());
    assert_eq!(asked(&dns, &["-S0", "-r", "a", "-S4294967295", "-r", "b"]), refused("451 two"));
}

#[test]
fn a_listing_may_be_told_and_not_refused() {
    if original() {
        return;
    }
    let Some(dns) = lists(&[("bad", "TXT", "so\tbad")]) else { return };
    let show = ["sh", "-c", "echo $RBLSMTPD"];
    let with = |words: &[&str]| {
        let mut command = rblsmtpd(&[words, &show].concat());
        command.env("DNSCACHEIP", dns.ip.to_string());
        command
    };
    let told = "[RBL info] so?bad\n";
    let log = format!("rblsmtpd: 1.2.3.4 pid N: {told}");
    assert_eq!(run(&mut with(&["-i", "-r", "bad"]), ""), (Some(0), told.into(), log));
    let nothing = (Some(0), "\n".into(), String::new());
    assert_eq!(run(&mut with(&["-i", "-r", "none"]), ""), nothing);
    let o = run(with(&["-it0", "-r", "bad"]).env("RBLSMTPD", "-no"), "");
    assert_eq!(o, refused("553 no"));
}

#[test]
fn the_greeting_may_be_delayed() {
    if original() {
        return;
    }
    let Some(dns) = lists(&[("bad", "TXT", "no"), ("slow", "SILENT", "")]) else { return };
    let begin = Instant::now();
    let waited = || begin.elapsed() >= Duration::from_secs(1);
    assert_eq!(asked(&dns, &["-r", "bad", "-w", "9"]), refused("451 no"));
    let words = ["-t0", "-W", "-w0", "echo", "ran"];
    assert_eq!(run(rblsmtpd(&words).env("GREETDELAY", "x"), ""), logged(&["greetdelay: 0"]));
    assert!(!waited());
    assert_eq!(asked(&dns, &["-r", "none", "-w1"]), logged(&["greetdelay: 1"]));
    assert!(waited());
    let o = run(rblsmtpd(&words).env("GREETDELAY", "1"), "");
    assert_eq!(o, logged(&["greetdelay: 1", "greetdelay: 0"]));
    // Answers that come meanwhile are there after it, though the time for them is over.
    let mut command = rblsmtpd(&["-t0", "-w2", "-r", "bad", "true"]);
    let o = run(command.env("RBLTIMEOUT", "1").env("DNSCACHEIP", dns.ip.to_string()), "");
    assert_eq!(o.1, "451 no\r\n");
}

#[test]
fn all_lookups_together_may_have_a_limit() {
    if original() {
        return;
    }
    let Some(dns) = lists(&[
        ("slow", "SILENT", ""),
        ("slower", "SILENT", ""),
        ("bad", "TXT", "no"),
        ("good", "A", "127.0.0.1"),
    ]) else {
        return;
    };
    let within = |limit: &str, words: &[&str]| {
        let mut command = rblsmtpd(&[&["-ct0"], words, &["echo", "ran"]].concat());
        run(command.env("RBLTIMEOUT", limit).env("DNSCACHEIP", dns.ip.to_string()), "")
    };
    let slow = logged(&["timeout while waiting for : slow"]);
    assert_eq!(within("1", &["-r", "none", "-r", "slow", "-r", "slower", "-r", "bad"]), slow);
    assert_eq!(within("1", &["-a", "slow"]), slow);
    assert_eq!(within("0", &["-r", "slow", "-r", "bad"]), slow);
    // A decision does not wait for the lists after it.
    assert_eq!(within("60", &["-r", "bad", "-r", "slow"]), refused("451 no"));
    assert_eq!(within("", &["-a", "good", "-r", "slow"]), accepted());
}

// Name servers that are not as they should be.

/// A name server that answers each packet by UDP with what `answer` makes of it.
struct Strange {
    ip: Ipv4Addr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

fn strange(mut answer: impl FnMut(&[u8]) -> Vec<Vec<u8>> + Send + 'static) -> Option<Strange> {
    if !root() {
        skip("needs root: a name server has port 53");
        return None;
    }
    let (ip, socket) = loop {
        let ip = loopback();
        if let Ok(socket) = UdpSocket::bind((ip, 53)) {
            break (ip, socket);
        }
    };
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let thread = thread::spawn(move || {
        let mut room = [0; 2048];
        while let Ok((count, client)) = socket.recv_from(&mut room) {
            if stopped.load(Ordering::Relaxed) {
                return;
            }
            for packet in answer(&room[..count]) {
                let _ = socket.send_to(&packet, client);
            }
        }
    });
    Some(Strange { ip, stop, thread: Some(thread) })
}

impl Drop for Strange {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = UdpSocket::bind("127.0.0.1:0").and_then(|s| s.send_to(b"", (self.ip, 53)));
        self.thread.take().map(JoinHandle::join);
    }
}

/// Some address of this machine.
fn loopback() -> Ipv4Addr {
    let mut random = Random::new(RandomState::new().hash_one(0));
    let [b, c, d] = [random.below(250), random.below(250), random.below(250)].map(|n| n as u8);
    Ipv4Addr::new(127, b + 1, c, d + 1)
}

/// Where the question's name ends in a query.
fn name_end(query: &[u8]) -> usize {
    12 + query[12..].iter().position(|byte| *byte == 0).unwrap() + 1
}

fn asks_for(query: &[u8], word: &str) -> bool {
    query.windows(word.len()).any(|part| part == word.as_bytes())
}

/// The answer to a query with this code and, to a question for text, one string of it; to one
/// for addresses, 127.0.0.2.
fn answer(query: &[u8], code: u8, text: &str) -> Vec<u8> {
    let end = name_end(query);
    let kind = query[end + 1];
    let data = match kind {
        1 => vec![127, 0, 0, 2],
        _ => [&[text.len() as u8], text.as_bytes()].concat(),
    };
    let head = [query[0], query[1], 0x81, 0x80 | code, 0, 1, 0, u8::from(code == 0), 0, 0, 0, 0];
    let mut packet = [&head[..], &query[12..end + 4]].concat();
    if code == 0 {
        packet.extend([0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 60, 0, data.len() as u8]);
        packet.extend(data);
    }
    packet
}

#[test]
fn lists_are_asked_at_once_and_heard_in_order() {
    if original() {
        return;
    }
    // The first list says nothing before the second has been asked, which has its answer long
    // before the first is asked again.
    let mut second = false;
    let server = strange(move |query| {
        second |= asks_for(query, "second");
        match asks_for(query, "first") {
            true if !second => Vec::new(),
            true => vec![answer(query, 0, "first")],
            false => vec![answer(query, 0, "second")],
        }
    });
    let Some(server) = server else { return };
    let words = ["-r", "first", "-r", "second"];
    assert_eq!(asked_at(server.ip, &words), refused("451 first"));
}

#[test]
fn a_question_that_is_lost_is_asked_again() {
    let mut asked = Vec::new();
    let server = strange(move |query| {
        let question = query[12..name_end(query) + 4].to_vec();
        let again = asked.contains(&question);
        asked.push(question);
        if again { vec![answer(query, 0, "late")] } else { Vec::new() }
    });
    let Some(server) = server else { return };
    assert_eq!(asked_at(server.ip, &["-r", "bad"]), refused("451 late"));
}

#[test]
fn what_does_not_answer_the_question_is_passed_over() {
    let server = strange(|query| {
        let right = answer(query, 0, "true");
        let forged = |at: usize| {
            let mut packet = answer(query, 0, "false");
            packet[at] ^= 1;
            packet
        };
        let end = name_end(query);
        vec![forged(0), forged(1), forged(13), forged(end + 1), forged(end + 3), right]
    });
    let Some(server) = server else { return };
    assert_eq!(asked_at(server.ip, &["-r", "bad"]), refused("451 true"));
}

#[test]
fn damaged_answers_do_no_harm() {
    if original() {
        return;
    }
    let mut random = Random::new(16);
    let server = strange(move |query| {
        let text = shorter(&random.bytes(60));
        let good = answer(query, 0, &text);
        vec![random.damaged(&good), random.damaged(&good), answer(query, 2, "")]
    });
    let Some(server) = server else { return };
    let bases: Vec<String> = (0..20).map(|n| format!("list{n}")).collect();
    let words: Vec<&str> = bases.iter().flat_map(|base| ["-r", base]).collect();
    for _ in 0..25 {
        let words = [&["-t0", "-s", "99"][..], &words, &["echo", "ran"]].concat();
        let mut command = rblsmtpd(&words);
        command.env("DNSCACHEIP", server.ip.to_string()).env("RBLTIMEOUT", "5");
        assert_eq!(run(&mut command, ""), accepted());
        let listed = asked_at(server.ip, &["-r", "one", "-r", "two", "-c", "-r", "three"]);
        if listed == accepted() {
            continue; // The damage was that there is no such name.
        }
        let line = listed.1.strip_prefix("451 ").and_then(|text| text.strip_suffix("\r\n"));
        let printable = line.map(|text| text.bytes().all(|byte| (32..127).contains(&byte)));
        assert_eq!((listed.0, printable), (Some(0), Some(true)), "{}", listed.1);
    }
}

/// Bytes as characters below 128.
fn shorter(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(byte & 127)).collect()
}

// A real server of lists.

#[test]
fn rbldnsd_is_understood() {
    if !root() {
        return skip("needs root: a name server has port 53");
    }
    let place = scratch();
    place
        .write("four", ":2:Listed, see http://example.org/?$\n192.0.2.0/24\n192.0.2.7 :4:four $\n");
    place.write("six", ":3:six $\n2001:db8::/32\n");
    place.write("refusing", ":127.255.255.254:open resolver\n0.0.0.0/0\n");
    place.write("good", "192.0.2.7\n");
    let ip = loopback();
    let mut rbldnsd = Command::new("rbldnsd");
    rbldnsd.args(["-n", "-u", "nobody", "-b", &format!("{ip}/53")]).current_dir(place.path());
    rbldnsd.args(["bl.example:ip4set:four", "bl.example:ip6trie:six"]);
    rbldnsd.args(["no.example:ip4set:refusing", "ok.example:ip4set:good"]);
    if Command::new("rbldnsd").arg("-h").output().is_err() {
        return skip("rbldnsd is not installed");
    }
    let running = start_on(Stdio::null(), &mut rbldnsd);
    running.wait_out("started");
    let of = |ip_: &str, words: &[&str]| {
        let mut command = rblsmtpd(&[&["-t0"], words, &["echo", "ran"]].concat());
        command.env("TCPREMOTEIP", ip_).env("DNSCACHEIP", ip.to_string());
        run(&mut command, "").1
    };
    assert_eq!(
        of("192.0.2.1", &["-r", "bl.example"]),
        "451 Listed, see http://example.org/?192.0.2.1\r\n"
    );
    assert_eq!(of("192.0.2.7", &["-br", "bl.example"]), "553 four 192.0.2.7\r\n");
    assert_eq!(of("192.0.2.7", &["-a", "ok.example", "-r", "bl.example"]), "ran\n");
    assert_eq!(of("198.51.100.1", &["-r", "bl.example"]), "ran\n");
    if original() {
        return;
    }
    assert_eq!(of("2001:db8::7", &["-r", "bl.example"]), "451 six 2001:db8::7\r\n");
    assert_eq!(of("2001:db9::7", &["-r", "bl.example"]), "ran\n");
    assert_eq!(of("192.0.2.7", &["-r", "bl.example=127.0.0.4:no %IP%"]), "451 no 192.0.2.7\r\n");
    assert_eq!(of("192.0.2.1", &["-r", "bl.example=127.0.0.4"]), "ran\n");
    assert_eq!(of("192.0.2.1", &["-r", "no.example"]), "ran\n");
}
