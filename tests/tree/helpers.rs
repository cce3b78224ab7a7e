//! The helpers of all tests.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::time::Duration;
use tests::{
    LIMIT, Random, accepting, as_user, calls, connect, dns, failing, fed, fed_within, killed,
    listener, ran, redirected, root, scratch, shown, skip, smtp, smtp_server, start, until,
};

fn sh(script: &str) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", script]);
    shell
}

fn panics(run: impl FnOnce()) -> String {
    let why = catch_unwind(AssertUnwindSafe(run)).unwrap_err();
    why.downcast_ref::<String>().cloned().unwrap_or_default()
}

#[test]
fn more_input_than_a_pipe_holds_goes_through() {
    let input = Random::new(1).bytes(3_000_000);
    let o = fed(&mut sh("cat; echo done >&2; exit 3"), &input);
    assert!(o.stdout == input);
    assert_eq!((o.status.code(), shown(&o.stderr)), (Some(3), "done\n".into()));
}

#[test]
fn input_that_nobody_reads_is_no_trouble() {
    let o = fed(&mut sh("exit 4"), vec![0; 1_000_000]);
    assert_eq!(ran(&o), (Some(4), String::new(), String::new()));
}

#[test]
fn a_program_that_hangs_fails_with_what_it_printed() {
    let short = Duration::from_millis(300);
    let why = panics(|| drop(fed_within(short, &mut sh("echo so far; exec sleep 100"), "")));
    assert!(why.contains("still runs after 300ms") && why.contains("so far"), "{why}");
}

#[test]
fn bytes_that_are_no_text_are_shown() {
    assert_eq!(shown(b"a\xff\xc3\xa9\n"), "a\\xff\u{e9}\n");
}

#[test]
fn redirections_reach_the_program() {
    let mut o = redirected(">&2", sh("echo $A").env("A", "b"));
    assert_eq!(ran(&o.output().unwrap()), (Some(0), String::new(), "b\n".into()));
}

#[test]
fn the_system_calls_of_a_program_come_in_order() {
    let place = scratch();
    let mut script = sh("mkdir a; rmdir a");
    let Some((o, calls)) = calls("mkdir,rmdir", script.current_dir(place.path()), "") else {
        return;
    };
    let seen = ["mkdir(\"a\", 0777) = 0", "rmdir(\"a\") = 0"].map(str::to_owned).to_vec();
    assert_eq!((ran(&o), calls), ((Some(0), String::new(), String::new()), seen));
}

#[test]
fn a_system_call_fails_at_will() {
    let place = scratch();
    let mut script = sh("mkdir a b c; ls; exit 7");
    let Some(mut full) = failing("mkdir", "ENOSPC", 2, script.current_dir(place.path())) else {
        return;
    };
    let (code, out, err) = ran(&full.output().unwrap());
    assert_eq!((code, out.as_str(), err.lines().count()), (Some(7), "a\nc\n", 1));
}

#[test]
fn a_program_dies_at_a_system_call() {
    let place = scratch();
    let mut script = sh("exec mkdir a b c");
    let Some(mut mkdir) = killed("mkdir", 2, script.current_dir(place.path())) else { return };
    assert_eq!(mkdir.status().unwrap().signal(), Some(libc::SIGKILL));
    assert_eq!(place.names(""), ["a"]);
}

#[test]
fn a_scratch_folder_goes_away() {
    let place = scratch();
    place.write("a/b", "text").dir("c").fifo("d").script("e", "echo \"$1\"").chmod("a/b", 0o600);
    let path = place.path().to_owned();
    assert_eq!(place.names(""), ["a", "c", "d", "e"]);
    assert_eq!(
        (place.text("a/b"), place.mode("a/b"), place.mode("e")),
        ("text".into(), 0o600, 0o755)
    );
    let o = Command::new(place.join("e")).arg("word").output().unwrap();
    assert_eq!(ran(&o), (Some(0), "word\n".into(), String::new()));
    drop(place);
    assert!(!path.exists());
}

#[test]
fn a_running_program_is_heard_and_told() {
    let mut cat = start(&mut sh("echo ready >&2; exec cat"));
    cat.wait_err("ready\n");
    cat.write("one\n");
    assert_eq!(cat.wait_out("one\n"), "one\n");
    assert!(cat.ended().is_none());
    cat.signal(libc::SIGTERM);
    assert_eq!(cat.wait(LIMIT).signal(), Some(libc::SIGTERM));
    cat.signal(libc::SIGTERM);
}

#[test]
fn the_group_of_a_running_program_dies_with_the_test() {
    let shell = start(&mut sh("sleep 100 & echo $!; wait"));
    let child = shell.wait_out("\n");
    let status = format!("/proc/{}/status", child.trim());
    assert!(std::fs::exists(&status).unwrap());
    drop(shell);
    // gone, or a zombie that init has not reaped yet
    until(LIMIT, "end of the child", || {
        std::fs::read_to_string(&status).map_or(true, |text| text.contains("Z (zombie)"))
    });
}

#[test]
fn what_never_comes_fails_when_the_output_ends() {
    let why = panics(|| drop(start(&mut sh("echo other")).wait_out("this")));
    assert!(why.contains("no \"this\"") && why.contains("other"), "{why}");
}

#[test]
fn a_condition_that_never_holds_is_named() {
    let why = panics(|| until(Duration::from_millis(20), "pigs fly", || false));
    assert_eq!(why, "after 20ms still not: pigs fly");
}

#[test]
fn root_can_run_a_program_as_somebody() {
    if !root() {
        return skip("needs root");
    }
    let o = as_user(1234, 2345, &mut sh("id -u; id -G")).output().unwrap();
    assert_eq!(ran(&o), (Some(0), "1234\n2345\n".into(), String::new()));
}

#[test]
fn the_fake_smtp_server_remembers() {
    let server = smtp_server("220-fake\n220 server", accepting);
    let mut client = smtp(server.port());
    assert_eq!(client.expect(220), "220-fake\n220 server\n");
    client.step("EHLO me", 250).step("DATA", 354);
    client.send("one\r\n..\n.\r\n\r\n.\r\n").expect(250);
    client.step("QUIT", 221).expect_end();
    assert_eq!(server.lines(), ["EHLO me", "DATA", "QUIT"]);
    assert_eq!(server.messages(), [b"one\r\n..\n.\r\n\r\n"]);
}

#[test]
fn a_connection_reaches_a_listener() {
    let (listener, port) = listener();
    let mut client = connect(port);
    listener.accept().unwrap().0.write_all(b"hello").unwrap();
    let mut text = String::new();
    client.read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello");
}

/// A query for one name and type, RD set, number 0x1234.
fn query(name: &str, kind: u8) -> Vec<u8> {
    let mut packet = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        packet.push(label.len() as u8);
        packet.extend(label.as_bytes());
    }
    packet.extend([0, 0, kind, 0, 1]);
    packet
}

fn ask(ip: Ipv4Addr, name: &str, kind: u8) -> Vec<u8> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    socket.send_to(&query(name, kind), (ip, 53)).unwrap();
    let mut packet = [0; 4096];
    let length = socket.recv(&mut packet).unwrap();
    packet[..length].to_vec()
}

fn ask_tcp(ip: Ipv4Addr, name: &str, kind: u8) -> Vec<u8> {
    let mut stream = TcpStream::connect((ip, 53)).unwrap();
    let query = query(name, kind);
    stream.write_all(&[&[0, query.len() as u8][..], &query].concat()).unwrap();
    let mut packet = Vec::new();
    stream.read_to_end(&mut packet).unwrap();
    packet.split_off(2)
}

#[test]
fn the_fake_dns_server_answers() {
    let long = "x".repeat(600);
    let records = [
        ("a.example", "A", "192.0.2.7"),
        ("alias.example", "CNAME", "A.example"),
        ("192.0.2.7", "PTR", "a.example"),
        ("bad.example", "SERVFAIL", ""),
        ("long.example", "TXT", &long),
    ];
    let Some(dns) = dns(&records) else { return };
    let a = ask(dns.ip, "A.Example", 1);
    assert_eq!(
        (&a[..8], &a[a.len() - 6..]),
        (&[0x12, 0x34, 0x81, 0x80, 0, 1, 0, 1][..], &[0, 4, 192, 0, 2, 7][..])
    );
    let codes = [("alias.example", 1), ("a.example", 15), ("no.example", 1), ("bad.example", 1)];
    let seen = codes.map(|(name, kind)| ask(dns.ip, name, kind)).map(|a| (a[3] & 15, a[7]));
    assert_eq!(seen, [(0, 2), (0, 0), (3, 0), (2, 0)]);
    let pointer = ask(dns.ip, "7.2.0.192.in-addr.arpa", 12);
    assert!(pointer.ends_with(b"\x01a\x07example\0"));
    let cut = ask(dns.ip, "long.example", 16);
    let whole = ask_tcp(dns.ip, "long.example", 16);
    assert_eq!((cut[2] & 2, cut[7], whole[2] & 2, whole[7]), (2, 0, 0, 1));
    assert!(whole.len() > 600);
    assert_eq!(dns.asked()[..2], ["A a.example", "A alias.example"]);
}

#[test]
fn random_numbers_repeat() {
    let first = |seed| (Random::new(seed).next(), Random::new(seed).bytes(3));
    assert_eq!(first(7), first(7));
    assert!(first(0) != first(1) && first(2) != first(3));
    let mut random = Random::new(3);
    assert!((0..1000).all(|_| random.below(3) < 3));
    assert!(["a", "b"].contains(&random.pick(&["a", "b"])));
}
