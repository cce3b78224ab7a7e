//! mconnect: talk to a server, line by line.

use crate::answering::answering;
use tests::{LIMIT, behind, fed, free_port, program, ran, start};

#[test]
fn lines_go_to_the_server_and_its_answers_come_back() {
    let Some(server) = answering(0, "QUIT\r\n", "220 a\r\n221 b\r\n") else { return };
    let port = server.port.to_string();
    let mut mconnect = start(program("mconnect").args([&server.host, &port]));
    mconnect.write("HELO\nQUIT\n");
    assert_eq!(server.asked(), "HELO\r\nQUIT\r\n");
    let done = (Some(0), "220 a\r\n221 b\r\n".into(), String::new());
    assert_eq!(ran(&mconnect.finish(LIMIT)), done);
}

#[test]
fn the_port_is_that_of_smtp() {
    let Some(server) = answering(25, "", "220\r\n") else { return };
    let o = fed(program("mconnect").arg(&server.host), "");
    assert_eq!(ran(&o), (Some(0), "220\r\n".into(), String::new()));
}

#[test]
fn no_server_is_a_temporary_failure_of_tcpclient() {
    let port = free_port().to_string();
    let o = program("mconnect").args(["127.0.0.1", &port]).output().unwrap();
    let said =
        format!("tcpclient: unable to connect to 127.0.0.1 port {port}: connection refused\n");
    assert_eq!(ran(&o), (Some(111), String::new(), said));
}

#[test]
fn an_endless_answer_takes_no_memory() {
    const SIZE: usize = 32 << 20;
    for piece in ["x", "\r\n"] {
        let answer = piece.repeat(SIZE / piece.len());
        let Some(server) = answering(0, "", answer) else { return };
        let mut limited = program("softlimit");
        limited.args(["-d", "4000000"]);
        let mut mconnect = program("mconnect");
        mconnect.args([&server.host, &server.port.to_string()]);
        let o = fed(&mut behind(limited, &mconnect), "");
        assert_eq!((o.status.code(), o.stdout.len(), &*o.stderr), (Some(0), SIZE, &b""[..]));
    }
}
