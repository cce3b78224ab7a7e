//! Too much of everything, for every program that a stranger can reach: endless lines, commands,
//! recipients, headers and replies; peers that are slow, stop, or reset; no processes and no
//! descriptors to spare. Memory stays below a bound, the end has a known code, nothing hangs.
//!
//! `$FLOOD` is how many megabytes each flood has instead of 4; `make torture` takes 1024.

use crate::installation::{Installation, installation};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::socket::{setsockopt, sockopt};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};
use std::{env, fs, thread};
use tests::{Running, behind, bin, fed, program, ran, redirected, scratch, shown, start_on, until};

/// A flood may take so long, and every other end so long.
const FLOOD: Duration = Duration::from_secs(600);
pub const LIMIT: Duration = Duration::from_secs(60);

/// A flood of commands is one of answers, too, and need not come to its end.
const ENOUGH: Duration = Duration::from_secs(120);

/// Kilobytes of memory that a program may have at most, its own file included: what it is, and
/// the 4 MB that it promises.
pub const MEMORY: u64 = 6_500;

/// A program on a connection, and what is sent to it.
struct Flood {
    program: &'static [&'static str],
    /// Sent once, at the start.
    head: &'static [u8],
    /// Sent again and again.
    piece: Vec<u8>,
    /// Sent at the end, if the program still listens.
    tail: &'static [u8],
    /// How the program ends.
    codes: &'static [i32],
    /// What it says last: its output ends so, or has it in the end.
    last: &'static str,
}

fn flood(
    program: &'static [&'static str],
    head: &'static [u8],
    piece: impl AsRef<[u8]>,
    tail: &'static [u8],
    codes: &'static [i32],
    last: &'static str,
) -> Flood {
    Flood {
        program,
        head,
        piece: piece.as_ref().repeat(65536 / piece.as_ref().len()),
        tail,
        codes,
        last,
    }
}

pub const SMTPD: &[&str] = &["qmail-smtpd"];
const QMTPD: &[&str] = &["qmail-qmtpd"];
const QMQPD: &[&str] = &["qmail-qmqpd"];
const POP3D: &[&str] = &["qmail-pop3d", "Maildir"];
const POPUP: &[&str] = &["qmail-popup", "a.example", "true"];
const REFUSING: &[&str] = &["rblsmtpd", "true"];
pub const LETTER: &[u8] = b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n";

fn floods() -> Vec<Flood> {
    let end = b"\r\nQUIT\r\n";
    vec![
        flood(SMTPD, b"HELO ", "x", end, &[0], "221 a.example\r\n"),
        flood(SMTPD, b"", "NOOP\r\n", b"QUIT\r\n", &[0], "221 a.example\r\n"),
        flood(
            SMTPD,
            b"MAIL FROM:<a@b>\r\n",
            "RCPT TO:<a@b>\r\n",
            b"QUIT\r\n",
            &[0],
            "221 a.example\r\n",
        ),
        flood(SMTPD, LETTER, "x", b"\r\n.\r\nQUIT\r\n", &[0], "221 a.example\r\n"),
        flood(SMTPD, LETTER, "X: y\r\n", b".\r\nQUIT\r\n", &[0], "221 a.example\r\n"),
        flood(SMTPD, LETTER, "Received: x\r\n", b".\r\nQUIT\r\n", &[0], "221 a.example\r\n"),
        flood(SMTPD, LETTER, "X: y\r\n z\r\n", b"\n", &[1], "smtplf.html.\r\n"),
        flood(SMTPD, LETTER, "\0", b"\r\n.\r\nQUIT\r\n", &[0], "221 a.example\r\n"),
        flood(QMTPD, b"200000000:\n", "x", b"", &[0, 100, 111], ""),
        flood(QMTPD, b"1:\n,0:,200000000:", "3:a@b,", b"", &[0, 100, 111], ""),
        flood(QMTPD, b"", "9", b"", &[100, 111], ""),
        flood(QMQPD, b"200000000:100000000:", "x", b"", &[0, 100, 111], ""),
        flood(QMQPD, b"200000000:1:x,0:,", "3:a@b,", b"", &[0, 100, 111], ""),
        flood(POP3D, b"", "x", end, &[0], "+OK \r\n"),
        flood(POP3D, b"", "UIDL\r\n", b"QUIT\r\n", &[0], "+OK \r\n"),
        flood(POPUP, b"USER ", "x", end, &[0, 1], "+OK \r\n"),
        flood(POPUP, b"", "NOOP\r\n", b"QUIT\r\n", &[0, 1], "+OK \r\n"),
        flood(REFUSING, b"", "x", end, &[0], "221 rblsmtpd.local\r\n"),
        flood(REFUSING, b"", "RCPT\r\n", b"QUIT\r\n", &[0], "221 rblsmtpd.local\r\n"),
        flood(&["tlsd", "true"], b"", "x", b"", &[100, 111], ""),
        flood(&["proxyin", "true"], b"PROXY ", "x", b"", &[100, 111], ""),
        flood(
            &["proxyin", "true"],
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff",
            "\0",
            b"",
            &[0, 100, 111],
            "",
        ),
        flood(&["fixcrio", "cat"], b"", "x", b"\n", &[0], "x\r\n"),
        flood(&["fixcrio", "cat"], b"", "\n", b"x", &[0], "\r\nx"),
        flood(&["recordio", "cat"], b"", "x", b"\n", &[0], "x\n"),
        flood(&["delcr"], b"", "\r", b"\n", &[0], "\r\n"),
        flood(&["addcr"], b"", "\n", b"x", &[0], "\r\nx"),
    ]
}

/// An installation with what the programs want.
pub fn home() -> Installation {
    let home = installation();
    home.control("rcpthosts", "d\nb\n").maildir("Maildir");
    // a message of this second might still be coming in
    home.write("Maildir/new/1.a", "Subject: x\n\ntext\n");
    let file = fs::File::open(home.join("Maildir/new/1.a")).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(100)).unwrap();
    // a queue program that takes it all, so that no test fills the disk
    home.script("qmail-queue", "cat >/dev/null; cat <&1 >/dev/null");
    home.write("pem", net::tls::testing::PEM);
    home
}

/// A program, run as the installation's user in its home.
pub fn command(home: &Installation, words: &[&str]) -> Command {
    let mut command = home.program(words[0]);
    command.args(&words[1..]).current_dir(home.home());
    command.env("TCPREMOTEIP", "192.0.2.7").env("CERTFILE", home.join("pem")).env("PROTO", "TCP");
    if words[0] == "rblsmtpd" {
        command.env("RBLSMTPD", "-no");
    }
    command
}

/// Both ends of a TCP connection.
fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

/// A program on a connection, which is its input and its output.
pub fn connected(home: &Installation, command: &Command) -> (Running, TcpStream) {
    let (client, server) = pair();
    let mut command = redirected(">&0", command);
    let running = start_on(Stdio::from(OwnedFd::from(server)), home.as_its_user(&mut command));
    (running, client)
}

/// Has a connection end by a reset when it is closed.
pub fn reset(connection: &TcpStream) {
    let at_once = libc::linger { l_onoff: 1, l_linger: 0 };
    setsockopt(connection, sockopt::Linger, &at_once).unwrap();
}

/// The most memory that a process has had, in kilobytes. `None` once it has ended.
pub fn memory(pid: i32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    peak.trim().trim_end_matches(" kB").parse().ok()
}

/// Bytes of a flood.
pub fn flood_size() -> usize {
    env::var("FLOOD").ok().map_or(4, |megabytes| megabytes.parse().unwrap()) << 20
}

#[test]
fn no_flood_takes_memory() {
    let home = home();
    let floods = floods();
    let wrong: Vec<String> = thread::scope(|scope| {
        let tries = floods.chunks(floods.len().div_ceil(4)).map(|part| {
            scope.spawn(|| part.iter().filter_map(|flood| flooded(&home, flood).err()).collect())
        });
        let tries: Vec<_> = tries.collect();
        tries.into_iter().flat_map(|part| -> Vec<String> { part.join().unwrap() }).collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Floods a program. What is wrong with the end, if anything.
fn flooded(home: &Installation, flood: &Flood) -> Result<(), String> {
    let (running, mut client) = connected(home, &command(home, flood.program));
    let mut answers = client.try_clone().unwrap();
    let reader = thread::spawn(move || {
        let (mut last, mut block) = (Vec::new(), vec![0; 65536]);
        // a program that has gone with input unread ends this with a reset
        while let Ok(count @ 1..) = answers.read(&mut block) {
            last.extend_from_slice(&block[..count]);
            last.drain(..last.len().saturating_sub(1000));
        }
        last
    });
    let (mut sent, mut peak) = (0, 0);
    let mut open = client.write_all(flood.head).is_ok();
    let end = Instant::now() + ENOUGH;
    while open && sent < flood_size() && Instant::now() < end {
        open = client.write_all(&flood.piece).is_ok();
        sent += flood.piece.len();
        peak = memory(running.pid()).unwrap_or(peak).max(peak);
    }
    let _ = client.write_all(flood.tail);
    peak = memory(running.pid()).unwrap_or(peak).max(peak);
    let _ = client.shutdown(Shutdown::Write);
    let code = running.wait(FLOOD).code();
    let last = shown(&reader.join().unwrap());
    let known = code.is_some_and(|code| flood.codes.contains(&code));
    // a connection that was reset may have lost the last words
    if known && peak < MEMORY && (last.ends_with(flood.last) || !open) {
        return Ok(());
    }
    let (name, head, piece) = (flood.program[0], shown(flood.head), shown(&flood.piece[..9]));
    Err(format!("{name} {head:?} {piece:?}...: {code:?}, {peak} kB, {last:?}"))
}

/// Replies of a server that never end, to qmail-remote.
#[test]
fn no_reply_takes_memory() {
    let home = home();
    let hello: &[u8] = b"220 a\r\n250 b\r\n250 ok\r\n250 ok\r\n354 go\r\n";
    let endless: [(&[u8], &str); 6] = [
        (b"220 ", "x"),
        (b"", "220-x\r\n"),
        (b"220 a\r\n", "250-x\r\n"),
        (b"220 a\r\n250 b\r\n", "\0"),
        (hello, "250-x\r\n"),
        (hello, "\n"),
    ];
    for (head, piece) in endless {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        home.control("smtproutes", format!(":127.0.0.1:{port}\n"));
        let mut command = home.program("qmail-remote");
        command.args(["b.example", "me@a.example", "you@b.example"]);
        let running = start_on(Stdio::null(), &mut command);
        let mut server = listener.accept().unwrap().0;
        let (mut sent, mut peak) = (0, 0);
        let mut open = server.write_all(head).is_ok();
        let block = piece.repeat(65536 / piece.len());
        while open && sent < flood_size() {
            open = server.write_all(block.as_bytes()).is_ok();
            sent += block.len();
            peak = memory(running.pid()).unwrap_or(peak).max(peak);
        }
        drop(server);
        let report = ran(&running.finish(LIMIT));
        let last = report.1.split('\0').rev().nth(1).unwrap_or_default().to_owned();
        let fine = report.0 == Some(0) && last.starts_with(['Z', 'D']) && report.1.len() < 12_000;
        assert!(fine && peak < MEMORY, "{head:?} {piece:?}: {peak} kB, {report:?}");
    }
}

/// What strangers talk to, a conversation that works, and the end of what is said to it.
fn conversations() -> [(&'static [&'static str], &'static [u8], i32, &'static str); 9] {
    [
        (SMTPD, b"HELO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nx\r\n.\r\n", 1, "qp "),
        (QMTPD, b"2:\nx,0:,6:3:c@d,,", 0, "Kok "),
        (QMQPD, b"14:2:x\n,0:,3:c@d,,", 0, "Kok "),
        (POP3D, b"RETR 1\r\n", 0, "text\r\n.\r\n"),
        (POPUP, b"USER a\r\n", 1, "+OK \r\n"),
        (REFUSING, b"HELO a\r\nRCPT TO:<a>\r\n", 0, "553 no\r\n"),
        (&["proxyin", "cat"], b"PROXY UNKNOWN\r\nx\r\n", 0, "x\r\n"),
        (&["fixcrio", "cat"], b"x\n", 0, "x\r\n"),
        (&["recordio", "cat"], b"x\n", 0, "x\n"),
    ]
}

#[test]
fn a_peer_that_only_listens_hears_all_answers() {
    let home = home();
    for (words, input, code, last) in conversations() {
        let (running, mut client) = connected(&home, &command(&home, words));
        client.write_all(input).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut said = Vec::new();
        client.set_read_timeout(Some(LIMIT)).unwrap();
        client.read_to_end(&mut said).unwrap();
        let said = shown(&said);
        assert!(said.contains(last), "{words:?}: {said:?}");
        let ended = running.wait(LIMIT).code();
        assert_eq!(ended, Some(code), "{words:?}: {said:?}");
    }
}

#[test]
fn a_peer_that_says_a_byte_at_a_time_is_understood() {
    let home = home();
    for (words, input, code, last) in conversations() {
        let (running, mut client) = connected(&home, &command(&home, words));
        client.set_nodelay(true).unwrap();
        for byte in input {
            client.write_all(&[*byte]).unwrap();
        }
        client.shutdown(Shutdown::Write).unwrap();
        client.set_read_timeout(Some(LIMIT)).unwrap();
        let mut said = Vec::new();
        client.read_to_end(&mut said).unwrap();
        let (said, ended) = (shown(&said), running.wait(LIMIT).code());
        assert!(said.contains(last) && ended == Some(code), "{words:?}: {ended:?} {said:?}");
    }
}

#[test]
fn a_peer_that_resets_at_any_byte_ends_it_and_queues_nothing() {
    let home = home();
    home.script("qmail-queue", "cat >/dev/null; cat <&1 >coming.$$; mv coming.$$ come.$$");
    let names = |start: &str| -> Vec<String> {
        home.place().names(".").into_iter().filter(|name| name.starts_with(start)).collect()
    };
    let mut all = Vec::new();
    for (words, input, ..) in conversations() {
        // up to the last byte: without it nothing is whole
        for cut in (0..input.len()).step_by(input.len().div_ceil(12)) {
            let (running, mut client) = connected(&home, &command(&home, words));
            client.write_all(&input[..cut]).unwrap();
            reset(&client);
            drop(client);
            let code = running.wait(LIMIT).code();
            assert!(matches!(code, Some(0 | 1 | 100 | 111)), "{words:?} {cut}: {code:?}");
            // its queue program is not to be killed
            all.push(running);
        }
    }
    until(LIMIT, "the queue programs have ended", || names("coming").is_empty());
    let complete = |name: &String| home.place().read(name).ends_with(b"\0\0");
    assert!(!names("come").iter().any(complete));
    assert!(!names("come").is_empty());
}

/// Who says nothing for longer than a program waits: what is set, what is said before, the end.
#[test]
fn a_silent_peer_has_a_limit() {
    let home = home();
    home.control("timeoutsmtpd", "1\n").control("timeoutremote", "1\n");
    let tls = &["tlsd", "-T", "1", "true"];
    let silent: [(&[&str], &[u8], i32, &str); 6] = [
        (SMTPD, b"", 1, "451 timeout (#4.4.2)\r\n"),
        (SMTPD, b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nx", 1, "451 timeout (#4.4.2)\r\n"),
        (&["rblsmtpd", "-t", "1", "true"], b"HELO a\r\nx", 0, ""),
        (tls, b"", 111, ""),
        (tls, b"\x16\x03\x01", 111, ""),
        (&["proxyin", "-t", "1", "true"], b"PROXY", 111, ""),
    ];
    for (words, input, code, last) in silent {
        let (running, mut client) = connected(&home, &command(&home, words));
        client.write_all(input).unwrap();
        let ended = running.wait(LIMIT).code();
        let mut said = Vec::new();
        let _ = client.read_to_end(&mut said);
        let said = shown(&said);
        assert!(ended == Some(code) && said.ends_with(last), "{words:?}: {ended:?} {said:?}");
    }
}

/// A peer who sends, and never reads the answers.
#[test]
fn a_peer_that_never_reads_has_a_limit() {
    let home = home();
    home.control("timeoutsmtpd", "1\n");
    for (words, piece, codes) in [
        (SMTPD, &b"HELP\r\n"[..], &[1][..]),
        (&["rblsmtpd", "-t", "1", "true"], b"RCPT\r\n", &[0, 111]),
    ] {
        let (running, client) = connected(&home, &command(&home, words));
        let mut sender = client.try_clone().unwrap();
        // ends with the connection, as the program does
        let sending = thread::spawn(move || {
            let block = piece.repeat(10_000);
            while sender.write_all(&block).is_ok() {}
        });
        let code = running.wait(LIMIT).code();
        assert!(code.is_some_and(|code| codes.contains(&code)), "{words:?}: {code:?}");
        drop(running);
        client.shutdown(Shutdown::Both).unwrap_or(());
        sending.join().unwrap();
    }
}

/// What strangers talk to, or what talks to them, tells in its page what it does.
#[test]
fn each_page_tells_its_limits() {
    let here = floods().iter().map(|flood| flood.program[0]).collect::<Vec<_>>();
    let there = conversations().map(|(words, ..)| words[0]);
    let others =
        ["finger@", "http@", "https@", "mconnect-io", "qmail-remote", "tcpserver", "tlsio"];
    let behind = ["qmail-queue", "qmail-send", "qmail-lspawn", "qmail-local", "qmail-rspawn"];
    let given = crate::big_mail::PROGRAMS.map(|(words, _)| words[0]);
    let composing = ["qmail-inject", "new-inject"];
    let others = others.into_iter().chain(behind).chain(given).chain(composing);
    for name in here.into_iter().chain(there).chain(others) {
        if ["addcr", "delcr"].contains(&name) {
            continue; // filters, which are behind one of the others
        }
        let read = |number| fs::read_to_string(tests::tree().join(format!("man/{name}.{number}")));
        let page = [1, 8].into_iter().find_map(|number| read(number).ok()).unwrap();
        let description = tests::section(&page, "DESCRIPTION").unwrap();
        assert!(description.contains("\n.Ss Limits\n"), "{name}");
    }
}

/// The same command under limits that softlimit sets.
pub fn limited(limit: &[&str], command: &Command) -> Command {
    let mut front = program("softlimit");
    front.args(limit);
    behind(front, command)
}

/// Without any process to spare: whatever has to start one says so and fails for now.
#[test]
fn a_full_process_table_is_a_temporary_failure() {
    if !tests::root() {
        return tests::skip("needs root: a user's processes are counted together");
    }
    let home = home();
    let rows: [(&[&str], &[u8], &[i32], &str); 8] = [
        (SMTPD, b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nQUIT\r\n", &[0], "451 qqt failure"),
        (QMTPD, b"2:\nx,0:,6:3:c@d,,", &[0, 111], ""),
        (QMQPD, b"14:2:x\n,0:,3:c@d,,", &[0, 111], ""),
        (POPUP, b"USER a\r\nPASS b\r\n", &[0, 1], "-ERR unable to fork"),
        (&["recordio", "true"], b"", &[111], ""),
        (&["fixcrio", "true"], b"", &[111], ""),
        (&["tlsd", "true"], b"\x16\x03\x01", &[100, 111], ""),
        (&["qmail-inject", "x@b.example"], b"Subject: x\n\n", &[111], ""),
    ];
    for (words, input, codes, text) in rows {
        let mut command = limited(&["-p", "0"], &command(&home, words));
        let (code, out, err) = ran(&fed(home.as_its_user(&mut command), input));
        let known = code.is_some_and(|code| codes.contains(&code));
        assert!(known && out.contains(text), "{words:?}: {code:?} {out:?} {err}");
        assert!(!out.contains("Kok ") && !out.contains(" qp "), "{words:?}: {out:?}");
    }
}

/// With few descriptors, down to none: a conversation works wholly, or fails for now.
#[test]
fn a_full_descriptor_table_is_a_temporary_failure() {
    let home = home();
    for (words, input, _, last) in conversations() {
        for most in [3, 4, 5, 6, 7, 8, 9, 10, 12, 30] {
            let mut command = limited(&["-o", &most.to_string()], &command(&home, words));
            let (code, out, err) = ran(&fed(home.as_its_user(&mut command), input));
            // softlimit itself, or the loader of a shared program, may be the first to fail
            let known = matches!(code, Some(0 | 1 | 111 | 126 | 127));
            let done = out.contains(last);
            assert!(known && !err.contains("internal"), "{words:?} {most}: {code:?} {out:?} {err}");
            assert!(done || most < 30, "{words:?} {most}: {code:?} {out:?} {err}");
        }
    }
}

/// tcpserver as a user who may have few processes: it says so, waits, and goes on.
#[test]
fn a_full_process_table_is_waited_for() {
    if !tests::root() {
        return tests::skip("needs root: a user's processes are counted together");
    }
    let mut server = program("tcpserver");
    server.args(["-1vRHl0", "127.0.0.1", "0", "cat"]);
    let mut server = limited(&["-p", "6"], &server);
    // whom nobody else runs as
    let user = 100_000 + std::process::id();
    let server = tests::start(tests::as_user(user, user, &mut server));
    let port: u16 = server.wait_out("\n").trim().parse().unwrap();
    let served = || {
        let mut visitor = tests::connect(port);
        let mut answer = [0; 6];
        let heard = visitor.write_all(b"hello\n").and_then(|()| visitor.read_exact(&mut answer));
        heard.is_ok().then_some(visitor)
    };
    let mut held = Vec::new();
    until(LIMIT, "there is no room for a process", || {
        held.extend(served());
        server.err().contains("unable to fork")
    });
    server.wait_err("tcpserver: warning: dropping connection, unable to fork: temporary failure\n");
    assert!((1..6).contains(&held.len()), "{}", held.len());
    drop(held);
    until(LIMIT, "there is room again", || served().is_some());
    assert!(server.ended().is_none());
}

/// tcpserver with 10,000 children at once, each of them busy.
#[test]
#[ignore = "10,000 processes: make torture"]
fn ten_thousand_connections_are_served_at_once() {
    const COUNT: usize = 10_000;
    let enough = 2 * COUNT as u64;
    setrlimit(Resource::RLIMIT_NOFILE, enough, enough).unwrap();
    let mut server = program("tcpserver");
    server.args(["-1vRHl0", "-c", &COUNT.to_string(), "-b", "1000", "127.0.0.1", "0", "delcr"]);
    let server = tests::start(&mut server);
    let port: u16 = server.wait_out("\n").trim().parse().unwrap();
    let mut held: Vec<_> = (0..COUNT).map(|_| tests::connect(port)).collect();
    let full = format!("status: {COUNT}/{COUNT}\n");
    until(FLOOD, "all are connected", || server.err().contains(&full));
    // one more waits until another has gone
    let mut last = tests::connect(port);
    held.pop();
    for visitor in held.iter_mut().chain([&mut last]) {
        visitor.set_read_timeout(Some(FLOOD)).unwrap();
        visitor.write_all(b"hello\r\n").unwrap();
        visitor.shutdown(Shutdown::Write).unwrap();
    }
    for mut visitor in held.into_iter().chain([last]) {
        let mut answer = String::new();
        visitor.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "hello\n");
    }
    until(FLOOD, "all have gone", || server.err().ends_with(&format!("status: 0/{COUNT}\n")));
    let peak = memory(server.pid()).unwrap();
    assert!(peak < MEMORY, "{peak} kB");
}

/// tcpserver under connections that come and stay: a constant for each child, and none for those
/// that wait.
#[test]
fn many_connections_take_little_memory() {
    let place = scratch();
    let mut server = Command::new(bin("tcpserver"));
    server.args(["-1RHl0", "-c", "50", "-b", "500", "127.0.0.1", "0", "cat"]);
    server.current_dir(place.path());
    let server = tests::start(&mut server);
    let port: u16 = server.wait_out("\n").trim().parse().unwrap();
    let count: usize = env::var("FLOOD").map_or(120, |_| 10_000);
    let mut held = Vec::new();
    for _ in 0..count {
        held.extend(TcpStream::connect(("127.0.0.1", port)).ok());
        if held.len() > 400 {
            // the oldest goes: its child ends, and one that waits is served
            held.remove(0);
        }
    }
    drop(held);
    let mut last = tests::connect(port);
    last.write_all(b"still here\n").unwrap();
    last.shutdown(Shutdown::Write).unwrap();
    let mut said = String::new();
    last.read_to_string(&mut said).unwrap();
    assert_eq!(said, "still here\n");
    until(LIMIT, "the peak is known", || memory(server.pid()).is_some());
    let peak = memory(server.pid()).unwrap();
    assert!(peak < MEMORY, "{peak} kB");
}
