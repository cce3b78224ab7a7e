//! A real client: swaks.

use crate::services::Services;
use std::process::Command;
use std::time::Duration;
use tests::{LIMIT, fed_within, ran, skip, until};

#[test]
fn swaks_delivers_a_message() {
    if Command::new("swaks").arg("--version").output().is_err() {
        return skip("needs swaks");
    }
    let services = Services::start();
    let mut swaks = Command::new("swaks");
    swaks.args(["--server", "127.0.0.1", "--port", &services.port.to_string()]);
    swaks.args(["--to", "ann@a.example", "--from", "joe@b.example", "--helo", "client.example"]);
    swaks.args(["--header", "Subject: from swaks", "--body", "one\n.two\n..\nlast"]);
    let (code, out, _) = ran(&fed_within(Duration::from_secs(30), &mut swaks, ""));
    assert!(code == Some(0) && out.contains("<-  250 ok "), "{code:?} {out}");
    until(LIMIT, "the message is delivered", || !services.delivered().is_empty());
    let text = String::from_utf8(services.delivered().remove(0)).unwrap();
    assert!(
        text.starts_with("Return-Path: <joe@b.example>\nDelivered-To: ann@a.example\n"),
        "{text}"
    );
    assert!(text.contains("(HELO client.example) (127.0.0.1)\n  by 0 with SMTP; "), "{text}");
    assert!(text.contains("\none\n.two\n..\nlast\n"), "{text}");
    services.stop();
}
