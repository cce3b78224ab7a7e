//! tcplisten: listen on a port and run a program with the socket.

use crate::server::ready;
use std::process::Command;
use tests::{listener, program, ran};

const USAGE: &str = "tcplisten: usage: tcplisten [ -46 ] [ -b backlog ] [ -I interface ] host port \
    program [ arg ... ]\n";

#[test]
fn a_server_takes_the_socket_over() {
    let words = ["127.0.0.1", "0", "tcpserver", "-1RHl0", "fd:3", "0", "echo", "hello"];
    let server = ready(program("tcplisten").args(words));
    assert_eq!([server.says(), server.says()], ["hello\n", "hello\n"]);
}

#[test]
fn the_program_learns_of_the_socket_and_keeps_the_process() {
    let show = "test \"$LISTEN_PID\" = $$ && echo $LISTEN_FDS ${LISTEN_FDNAMES-none}; \
        for n in 0 1 2 3 4 5; do test -S /proc/$$/fd/$n && echo socket $n; done; exit 0";
    let mut command = program("tcplisten");
    command.args(["-b", "5", "::1", "0", "sh", "-c", show]);
    command.env("LISTEN_FDNAMES", "old").env("LISTEN_PID", "1");
    let o = command.output().unwrap();
    assert_eq!(ran(&o), (Some(0), "1 none\nsocket 3\n".into(), String::new()));
}

#[test]
fn the_socket_listens_on_all_addresses_that_are_asked_for() {
    let table = |options: &[&str], host: &str| {
        let show = "for t in tcp tcp6; do sed -n \"s/.*: \\([0-9A-F]*\\):.* 0A .* $(stat -Lc %i \
            /proc/$$/fd/3) .*/$t \\1/p\" /proc/net/$t; done";
        let mut command = program("tcplisten");
        let o = command.args(options).args([host, "0", "sh", "-c", show]).output().unwrap();
        ran(&o).1
    };
    assert_eq!(table(&[], "0"), "tcp 00000000\n");
    assert_eq!(table(&[], "::"), format!("tcp6 {}\n", "0".repeat(32)));
    assert_eq!(table(&["-4"], ":0"), "tcp 00000000\n");
    assert_eq!(table(&["-46"], ":0"), format!("tcp6 {}\n", "0".repeat(32)));
    assert_eq!(table(&["-I", "lo"], "::1"), "tcp6 00000000000000000000000001000000\n");
}

#[test]
fn what_cannot_be_bound_is_temporary_trouble() {
    let (_listener, port) = listener();
    let port = port.to_string();
    let cases = [
        (["127.0.0.1", &port[..]], "unable to bind: address already used"),
        (["203.0.113.1", "0"], "unable to bind: address not available"),
        (["127.0.0.1", "no such"], "unable to figure out port number for no such"),
        (["1.2.3", "0"], "no IP address for 1.2.3"),
    ];
    for (words, why) in cases {
        let o = program("tcplisten").args(words).arg("true").output().unwrap();
        assert_eq!(ran(&o), (Some(111), String::new(), format!("tcplisten: fatal: {why}\n")));
    }
}

#[test]
fn a_program_that_cannot_be_run_is_named() {
    let o = program("tcplisten").args(["127.0.0.1", "0", "/no/such/file"]).output().unwrap();
    let said = "tcplisten: fatal: unable to run /no/such/file: file does not exist\n";
    assert_eq!(ran(&o), (Some(111), String::new(), said.into()));
}

#[test]
fn wrong_usage_is_shown() {
    for words in [&[][..], &["0", "25"], &["-b", "x", "0", "25", "true"], &["-1", "0", "0", "cat"]]
    {
        let mut command: Command = program("tcplisten");
        let (code, out, said) = ran(&command.args(words).output().unwrap());
        assert_eq!((code, out), (Some(100), String::new()));
        assert!(said.ends_with(USAGE), "{said}");
    }
}
