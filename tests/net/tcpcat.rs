//! tcpcat: print what a server says.

use crate::answering::answering;
use tests::{fed, free_port, program, ran, shown};

#[test]
fn all_that_the_server_says_is_printed_as_it_is() {
    let Some(server) = answering(0, "", b"a\r\nb\0\xff\n") else { return };
    let o = fed(program("tcpcat").args([&server.host, &server.port.to_string()]), "ignored");
    assert_eq!(ran(&o), (Some(0), "a\r\nb\0\\xff\n".into(), String::new()));
}

#[test]
fn the_port_is_that_of_the_quote_of_the_day() {
    let Some(server) = answering(17, "", "quote\r\n") else { return };
    let o = program("tcpcat").arg(&server.host).output().unwrap();
    assert_eq!(shown(&o.stdout), "quote\r\n");
}

#[test]
fn a_host_that_looks_like_an_option_is_a_host() {
    let o = program("tcpcat").arg("-v.").env("DNSCACHEIP", "127.0.0.1").output().unwrap();
    let (code, out, said) = ran(&o);
    assert_eq!((code, out), (Some(111), String::new()));
    assert!(!said.contains("usage"), "{said}");
}

#[test]
fn no_server_is_a_temporary_failure_of_tcpclient() {
    let port = free_port().to_string();
    let o = program("tcpcat").args(["127.0.0.1", &port]).output().unwrap();
    let said =
        format!("tcpclient: unable to connect to 127.0.0.1 port {port}: connection refused\n");
    assert_eq!(ran(&o), (Some(111), String::new(), said));
}
