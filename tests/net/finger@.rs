//! finger@: ask a host about a user.

use crate::answering::answering;
use tests::{behind, fed, original, program, ran};

#[test]
fn the_user_is_asked_for_and_the_answer_printed_safely() {
    let Some(server) = answering(79, "\r\n", b"Login: root\r\n\x07\xe9\r\n") else { return };
    let o = program("finger@").args([&server.host, "root"]).output().unwrap();
    assert_eq!(ran(&o), (Some(0), "Login: root\n^GM-i\n".into(), String::new()));
    assert_eq!(server.asked(), "root\r\n");
}

#[test]
fn without_a_user_the_question_is_empty() {
    let Some(server) = answering(79, "\r\n", "nobody\r\n") else { return };
    let o = program("finger@").arg(&server.host).output().unwrap();
    assert_eq!(ran(&o), (Some(0), "nobody\n".into(), String::new()));
    assert_eq!(server.asked(), "\r\n");
}

#[test]
fn the_user_is_sent_as_it_is_written() {
    // The original leaves it to the shell's echo, which changes some words.
    if original() {
        return;
    }
    let Some(server) = answering(79, "\r\n", "") else { return };
    let o = program("finger@").args([&server.host, "-n a\\tb $HOME"]).output().unwrap();
    assert_eq!(ran(&o), (Some(0), String::new(), String::new()));
    assert_eq!(server.asked(), "-n a\\tb $HOME\r\n");
}

#[test]
fn a_host_that_does_not_answer_is_named_by_tcpclient() {
    let o = program("finger@").arg("127.255.255.253").output().unwrap();
    let said = "tcpclient: unable to connect to 127.255.255.253 port 79: connection refused\n";
    assert_eq!(ran(&o), (Some(0), String::new(), said.into()));
}

#[test]
fn an_endless_line_takes_no_memory() {
    const SIZE: usize = 32 << 20;
    let Some(server) = answering(79, "\r\n", vec![b'x'; SIZE]) else { return };
    let mut limited = program("softlimit");
    limited.args(["-d", "4000000"]);
    let mut finger = behind(limited, program("finger@").args([&server.host, "joe"]));
    let o = fed(&mut finger, "");
    assert_eq!((o.status.code(), o.stdout.len(), &*o.stderr), (Some(0), SIZE, &b""[..]));
}
