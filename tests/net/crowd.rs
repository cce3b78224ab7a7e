//! Many visitors at once: limits, shortage, and what is left behind.

use crate::server::{Server, all, compile, one_visit, plain, ready, rules};
use nix::sys::socket::{setsockopt, sockopt};
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tests::{LIMIT, Scratch, original, program, until};

/// A server whose rules give these limits.
fn limited(options: &[&str], variables: &str) -> (Scratch, Server) {
    let (place, file) = rules(&format!("127.0.9.9:allow,MAXCONNIP=\"9\"\n:allow{variables}\n"));
    let program = ["sh", "-c", "echo in; exec cat"];
    let server = plain(&[options, &["-x", &file]].concat(), &program);
    (place, server)
}

/// Greets and stays, or is refused with these words.
fn greeting(server: &Server, from: &str) -> (Option<TcpStream>, String) {
    let mut visitor = server.visit(from);
    let mut greeting = vec![0; 3];
    match visitor.read_exact(&mut greeting) {
        Ok(()) if greeting == b"in\n" => (Some(visitor), "in".into()),
        Ok(()) => (None, String::from_utf8(greeting).unwrap() + &all(visitor)),
        Err(_) => (None, String::new()),
    }
}

#[test]
fn connections_from_one_place_are_limited() {
    if original() {
        return; // 0.88 has no such limits
    }
    let (_place, server) = limited(&[], ",MAXCONNIP=\"2\",MAXCONNC=\"3\",DIEMSG=\"421 later\"");
    let mut visits = Vec::new();
    let mut refused = 0;
    for from in ["0.1", "0.1", "0.1", "0.2", "0.3", "1.1", "9.9"] {
        visits.push(greeting(&server, &format!("127.0.{from}")));
        if visits.last().unwrap().0.is_none() {
            refused += 1;
            server.log(refused); // until then its child counts
        }
    }
    let said: Vec<&str> = visits.iter().map(|(_, said)| said.as_str()).collect();
    let no = "421 later\r\n";
    assert_eq!(said, ["in", "in", no, "in", no, "in", "in"]);
    let log = server.log(2);
    assert!(log.contains("deny PID 0:127.0.0.1:PORT :127.0.0.1::VISITOR MAXCONNIP:2\n"), "{log}");
    assert!(log.contains("deny PID 0:127.0.0.1:PORT :127.0.0.3::VISITOR MAXCONNC:3\n"), "{log}");
    assert!(log.contains("end PID status 25600\n"), "{log}");
    drop(visits);
    server.log(7);
    assert_eq!(greeting(&server, "127.0.0.1").1, "in");
}

#[test]
fn an_option_limits_all_and_a_rule_overrides_it() {
    if original() {
        return; // 0.88 has no such limits
    }
    let (_place, server) = limited(&["-C1:421 too many"], "");
    let first = greeting(&server, "127.0.0.1");
    let second = greeting(&server, "127.0.0.1");
    assert_eq!((first.1, second.1), ("in".into(), "421 too many\r\n".into()));
    let kept = [greeting(&server, "127.0.9.9"), greeting(&server, "127.0.9.9")];
    assert_eq!(kept.map(|(_, said)| said), ["in", "in"]);
}

#[test]
fn limits_may_come_from_the_environment_and_plain_denials_have_words() {
    if original() {
        return; // 0.88 has no such limits
    }
    let (_place, file) = rules("127.0.0.2:deny\n");
    let mut command = program("tcpserver");
    command.env("MAXCONNIP", "0").env("DIEMSG", "go away");
    command.args(["-1vRHl0", "-x", &file, "127.0.0.1", "0", "true"]);
    let server = ready(&mut command);
    assert_eq!(server.says_to("127.0.0.1"), "go away\r\n");
    assert_eq!(server.says_to("127.0.0.2"), "go away\r\n");
    let log = server.log(2);
    assert!(log.contains("deny PID 0:127.0.0.1:PORT :127.0.0.1::VISITOR MAXCONNIP:0\n"), "{log}");
    assert!(log.contains("deny PID 0:127.0.0.1:PORT :127.0.0.2::VISITOR\n"), "{log}");
}

#[test]
fn rates_and_load_are_limited() {
    if original() {
        return; // 0.88 has no such limits
    }
    let (_place, server) = limited(&[], ",RATEIP=\"2/1000\"");
    let said = [0; 4].map(|_| greeting(&server, "127.0.0.1").1);
    assert_eq!(said, ["in", "in", "", ""]);
    assert_eq!(greeting(&server, "127.0.0.2").1, "in");
    let log = server.log(4);
    assert!(log.contains("deny PID 0:127.0.0.1:PORT :127.0.0.1::VISITOR RATEIP:2/1000\n"), "{log}");
    let (_place, server) = limited(&[], ",MAXLOAD=\"1000000\"");
    assert_eq!(greeting(&server, "127.0.0.1").1, "in");
}

#[test]
fn a_limit_that_is_none_drops_the_connection() {
    if original() {
        return; // 0.88 has no such limits
    }
    let (_place, server) = limited(&[], ",MAXCONNIP=\"many\"");
    assert_eq!(greeting(&server, "127.0.0.1").1, "");
    let line = "warning: dropping connection, bad limit MAXCONNIP=many";
    assert_eq!(server.log(1), one_visit(line, 28416));
}

#[test]
fn running_out_of_descriptors_does_not_spin() {
    if original() {
        return; // it spins
    }
    let script = "ulimit -Sn 5; exec \"$0\" \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(tests::bin("tcpserver"));
    command.args(["-1RHl0", "127.0.0.1", "0", "echo", "served"]);
    let server = ready(&mut command);
    let visitor = server.visit("127.0.0.1");
    let said = "tcpserver: warning: unable to accept: process cannot open more files\n";
    assert_eq!(server.running.wait_err("\n"), said);
    let used = || cpu_ticks(server.running.pid());
    let (before, start) = (used(), Instant::now());
    until(LIMIT, "half a second", || start.elapsed() > Duration::from_millis(500));
    let spent = used() - before;
    assert!(spent < 5, "{spent} ticks");
    raise_limit(server.running.pid());
    assert_eq!(all(visitor), "served\n");
    assert_eq!(server.running.err(), said);
}

/// User and system time of a process, in hundredths of a second.
fn cpu_ticks(pid: i32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// Lets a process open more files.
fn raise_limit(pid: i32) {
    let done = Command::new("prlimit").args(["--nofile=64:", "--pid", &pid.to_string()]).status();
    assert!(done.unwrap().success());
}

/// What a server has open, and its children.
fn belongings(pid: i32) -> (usize, String) {
    let open = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    (open, children.unwrap_or_default())
}

/// Serves so many connections, eight at a time.
fn many(count: usize) {
    let (_place, file) = rules(":allow\n");
    let server = plain(&["-q", "-b", "50", "-x", &file], &["true"]);
    server.says();
    let pid = server.running.pid();
    until(LIMIT, "the end of the first child", || belongings(pid).1.is_empty());
    let before = belongings(pid);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..count / 8).for_each(|_| assert_eq!(server.says(), "")));
        }
    });
    until(LIMIT, "the end of all children", || belongings(pid).1.is_empty());
    assert_eq!(belongings(pid), before);
}

#[test]
fn two_thousand_visitors_leave_nothing_behind() {
    many(2_000);
}

#[test]
#[ignore = "torture"]
fn a_hundred_thousand_visitors_leave_nothing_behind() {
    many(100_000);
}

/// Replaces the rules so many times while three crowds come and go.
fn replacing(times: usize) {
    let (place, file) = rules("127.0.0.1:allow\n127.0.0.2:deny\n:allow,V=\"0\"\n");
    let server = plain(&["-c", "200", "-b", "200", "-x", &file], &["echo", "served"]);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for (from, expected) in
            [("127.0.0.1", "served\n"), ("127.0.0.2", ""), ("127.0.0.3", "served\n")]
        {
            let (server, done) = (&server, &done);
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    assert_eq!(server.says_to(from), expected);
                }
            });
        }
        let _end = AtEnd(&done);
        for round in 0..times {
            compile(&place, &format!("127.0.0.1:allow\n127.0.0.2:deny\n:allow,V=\"{round}\"\n"));
        }
    });
    assert!(!server.running.err().contains("warning"), "{}", server.running.err());
}

/// Set when it is dropped, also by a panic.
struct AtEnd<'a>(&'a AtomicBool);

impl Drop for AtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn replacing_rules_under_load_never_gives_a_wrong_decision() {
    replacing(100);
}

#[test]
#[ignore = "torture"]
fn replacing_rules_a_thousand_times_never_gives_a_wrong_decision() {
    replacing(1_000);
}

/// Visitors who are gone before they are served, or before they have heard anything: so many
/// connections end in a reset.
fn aborted(count: usize) {
    let server = plain(&["-q", "-c", "100", "-b", "1000"], &["echo", "served"]);
    server.says();
    let pid = server.running.pid();
    until(LIMIT, "the end of the first child", || belongings(pid).1.is_empty());
    let before = belongings(pid).0;
    let at_once = libc::linger { l_onoff: 1, l_linger: 0 };
    for _ in 0..count {
        let visitor = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        setsockopt(&visitor, sockopt::Linger, &at_once).unwrap();
    }
    assert_eq!(server.says(), "served\n");
    until(LIMIT, "the end of all children", || belongings(pid).1.is_empty());
    assert_eq!(belongings(pid).0, before);
}

#[test]
fn aborted_visits_leave_nothing_behind() {
    aborted(1_000);
}

#[test]
#[ignore = "torture"]
fn ten_thousand_aborted_visits_leave_nothing_behind() {
    aborted(10_000);
}

#[test]
fn silent_and_half_open_visitors_hold_up_nobody() {
    let server = plain(&["-c", "50"], &["sh", "-c", "echo in; exec cat"]);
    let mut silent: Vec<TcpStream> = (0..40).map(|_| server.visit("127.0.0.1")).collect();
    for visitor in &mut silent {
        visitor.read_exact(&mut [0; 3]).unwrap();
    }
    for _ in 0..100 {
        let half_open = server.visit("127.0.0.2");
        half_open.shutdown(Shutdown::Write).unwrap();
        assert_eq!(all(half_open), "in\n");
    }
    let mut last = silent.pop().unwrap();
    last.write_all(b"not so silent").unwrap();
    last.shutdown(Shutdown::Write).unwrap();
    assert_eq!(all(last), "not so silent");
    drop(silent);
    server.log(140);
    assert_eq!(server.log(140).lines().last().unwrap(), "status: 0/50");
}
