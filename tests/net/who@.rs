//! who@: ask a host who is logged in.

use crate::answering::answering;
use tests::{program, ran};

#[test]
fn the_answer_is_printed_safely() {
    let Some(server) = answering(11, "", b"root\ttty\r\n\x1b[2J\x7f\xe9\r\r\n") else { return };
    let o = program("who@").arg(&server.host).output().unwrap();
    assert_eq!(ran(&o), (Some(0), "root\ttty\n^[[2J^?M-i^M\n".into(), String::new()));
    assert_eq!(server.asked(), "");
}

#[test]
fn a_host_that_does_not_answer_is_named_by_tcpclient() {
    let o = program("who@").arg("127.255.255.253").output().unwrap();
    let said = "tcpclient: unable to connect to 127.255.255.253 port 11: connection refused\n";
    assert_eq!(ran(&o), (Some(0), String::new(), said.into()));
}
