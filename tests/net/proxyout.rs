//! proxyout: tell a server by a PROXY protocol header who is calling.

use crate::server::plain;
use std::io::{Read, Write};
use std::process::Command;
use tests::{connect, fed, program, ran, redirected, shown};

const USAGE: &str = "proxyout: usage: proxyout -1 | -2 | -s program\n";

/// proxyout whose descriptor 7 is its standard output.
fn proxyout(options: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = program("proxyout");
    command.args(options).args(["echo", "program"]).envs(variables.iter().copied());
    redirected("7>&1", &command)
}

const TCP: [(&str, &str); 4] = [
    ("TCPREMOTEIP", "1.2.3.4"),
    ("TCPREMOTEPORT", "1024"),
    ("TCPLOCALIP", "5.6.7.8"),
    ("TCPLOCALPORT", "25"),
];
const PROXY: [(&str, &str); 4] = [
    ("PROXYREMOTEIP", "2001:db8::1"),
    ("PROXYREMOTEPORT", "1025"),
    ("PROXYLOCALIP", "::2"),
    ("PROXYLOCALPORT", "26"),
];

#[track_caller]
fn sends(option: &str, variables: &[(&str, &str)], header: &[u8]) {
    let o = proxyout(&[option], variables).output().unwrap();
    assert_eq!((o.status.code(), shown(&o.stderr)), (Some(0), String::new()));
    assert_eq!(shown(&o.stdout), shown(&[header, b"program\n"].concat()));
}

#[test]
fn the_caller_is_named_before_the_program_runs() {
    sends("-1", &TCP, b"PROXY TCP4 1.2.3.4 5.6.7.8 1024 25\r\n");
    let two = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x01\x02\x03\x04\x05\x06\x07\x08\x04\0\0\x19";
    sends("-2", &TCP, two);
}

#[test]
fn saved_variables_win() {
    let both = [TCP, PROXY].concat();
    sends("-1", &both, b"PROXY TCP6 2001:db8::1 ::2 1025 26\r\n");
    let block = b"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02\x04\x01\0\x1a";
    sends("-2", &both, &[&b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24"[..], block].concat());
}

#[test]
fn ends_of_different_families_are_both_ipv6() {
    let mixed = [&TCP[..2], &[("TCPLOCALIP", "::2"), ("TCPLOCALPORT", "25")]].concat();
    sends("-1", &mixed, b"PROXY TCP6 ::ffff:1.2.3.4 ::2 1024 25\r\n");
}

#[test]
fn without_a_caller_nothing_is_known() {
    sends("-1", &[("TCPLOCALIP", "1.2.3.4")], b"PROXY UNKNOWN\r\n");
    sends("-2", &[], b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0");
    sends("-12", &[], b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0");
}

#[test]
fn variables_are_saved_for_later() {
    let mut command = program("proxyout");
    command.args(["-s", "sh", "-c", "env | grep ^PROXY | sort"]).envs(TCP);
    command.env_remove("TCPLOCALPORT").env("PROXYLOCALPORT", "old");
    let o = command.output().unwrap();
    let saved = "PROXYLOCALIP=5.6.7.8\nPROXYREMOTEIP=1.2.3.4\nPROXYREMOTEPORT=1024\n";
    assert_eq!(ran(&o), (Some(0), saved.into(), String::new()));
}

#[test]
fn variables_that_make_no_sense_are_fatal() {
    let cases = [
        (("TCPREMOTEIP", "host"), "no IP address in $TCPREMOTEIP"),
        (("TCPLOCALIP", ""), "no IP address in $TCPLOCALIP"),
        (("TCPREMOTEPORT", "65536"), "no port number in $TCPREMOTEPORT"),
        (("PROXYREMOTEIP", "1.2.3.4"), "no port number in $PROXYREMOTEPORT"),
    ];
    for (wrong, why) in cases {
        let o = proxyout(&["-1"], &[&TCP[..], &[wrong]].concat()).output().unwrap();
        let said = format!("proxyout: fatal: {why}\n");
        assert_eq!(ran(&o), (Some(100), String::new(), said));
    }
}

#[test]
fn a_connection_that_cannot_be_written_is_temporary_trouble() {
    for (redirection, why) in
        [("7>&-", "file descriptor not open"), ("7>/dev/full", "out of disk space")]
    {
        let o = redirected(redirection, program("proxyout").args(["-1", "true"])).output().unwrap();
        let said = format!("proxyout: fatal: unable to write PROXY header: {why}\n");
        assert_eq!(ran(&o), (Some(111), String::new(), said));
    }
}

#[test]
fn wrong_usage_is_shown() {
    for words in [&[][..], &["true"], &["-1"], &["-3", "true"]] {
        let (code, out, said) = ran(&program("proxyout").args(words).output().unwrap());
        assert_eq!((code, out), (Some(100), String::new()));
        assert!(said.ends_with(USAGE), "{said}");
    }
}

#[test]
fn a_program_that_cannot_be_run_is_named() {
    let o = fed(program("proxyout").args(["-s", "/no/such/file"]), "");
    let said = "proxyout: fatal: unable to run /no/such/file: file does not exist\n";
    assert_eq!(ran(&o), (Some(111), String::new(), said.into()));
}

/// Two servers: the first passes on to the second, which sees who called the first.
#[test]
fn a_relay_tells_the_server_behind_it_who_is_calling() {
    let behind = plain(&[], &["proxyin", "sh", "-c", "echo $TCPREMOTEIP $TCPREMOTEPORT; cat"]);
    let port = behind.port.to_string();
    // The shell gives a background command an empty input unless it is told otherwise.
    let pass = "exec 3<&0; cat <&3 >&7 & exec cat <&6";
    let client = ["tcpclient", "-RHl0", "127.0.0.1", &port];
    for option in ["-1", "-2"] {
        let words = [&["proxyout", "-s"], &client[..], &["proxyout", option, "sh", "-c", pass]];
        let relay = plain(&[], &words.concat());
        let mut visitor = connect(relay.port);
        visitor.write_all(b"x\n").unwrap();
        let own = visitor.local_addr().unwrap().port();
        let expected = format!("127.0.0.1 {own}\nx\n");
        let mut said = vec![0; expected.len()];
        visitor.read_exact(&mut said).unwrap();
        assert_eq!(shown(&said), expected);
    }
}
