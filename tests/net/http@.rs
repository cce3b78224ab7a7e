//! http@: print a page of a web server.

use crate::answering::answering;
use tests::{free_port, program, ran, shown};

/// What is asked for the page of these words, and what is printed of the answer.
#[track_caller]
fn printed(page: &str, answer: &str) -> (String, String) {
    let server = answering(0, "\r\n\r\n", answer).unwrap();
    let (host, port) = (server.host.clone(), server.port.to_string());
    let o = program("http@").args([&host, page, &port]).output().unwrap();
    let (code, out, err) = ran(&o);
    assert_eq!((code, err), (Some(0), String::new()));
    let asked = server.asked().replace(&host, "HOST").replace(&port, "PORT");
    (asked, out)
}

#[test]
fn the_page_is_asked_for_and_its_body_printed() {
    let answer = "HTTP/1.0 200 OK\r\nType: x\r\n\r\n<p>\r\ntext\r\n";
    let asked = "GET /a/b?c=d HTTP/1.0\r\nHost: HOST:PORT\r\n\r\n";
    assert_eq!(printed("a/b?c=d", answer), (asked.into(), "<p>\ntext\n".into()));
}

#[test]
fn empty_lines_are_dropped_and_the_last_line_is_ended() {
    let (asked, out) = printed("", "HTTP/1.0 200 OK\n\n\na\n\n\r\nb");
    assert_eq!(asked, "GET / HTTP/1.0\r\nHost: HOST:PORT\r\n\r\n");
    assert_eq!(out, "a\nb\n");
}

#[test]
fn an_answer_without_a_body_prints_nothing() {
    assert_eq!(printed("x", "HTTP/1.0 204 No\r\n\r\n").1, "");
    assert_eq!(printed("x", "no header at all\r\n").1, "");
    assert_eq!(printed("x", "").1, "");
}

#[test]
fn the_port_is_that_of_the_web() {
    let Some(server) = answering(80, "\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\nweb\r\n") else { return };
    let o = program("http@").arg(&server.host).output().unwrap();
    assert_eq!(shown(&o.stdout), "web\n");
    let host = server.host.clone();
    assert_eq!(server.asked(), format!("GET / HTTP/1.0\r\nHost: {host}:80\r\n\r\n"));
}

#[test]
fn no_server_is_said_by_tcpclient() {
    let port = free_port().to_string();
    let o = program("http@").args(["127.0.0.1", "", &port]).output().unwrap();
    let said =
        format!("tcpclient: unable to connect to 127.0.0.1 port {port}: connection refused\n");
    assert_eq!(ran(&o), (Some(0), String::new(), said));
}
