//! splogger: lines to the system log. Needs to be the log daemon, so root, and nobody else is.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use tests::{fed, program, ran, redirected, root, shown, skip};

/// The log daemon's socket.
const LOG: &str = "/dev/log";

/// Runs splogger; gives the datagrams, without the C library's date and the stamp's digits.
fn logged(arguments: &[&str], input: &[u8]) -> Vec<String> {
    let daemon = UnixDatagram::bind(LOG).unwrap();
    daemon.set_nonblocking(true).unwrap();
    let output = fed(program("splogger").args(arguments), input);
    assert_eq!(ran(&output), (Some(0), String::new(), String::new()));
    let mut messages = Vec::new();
    let mut buffer = [0; 2000];
    while let Ok(length) = daemon.recv(&mut buffer) {
        messages.push(without_times(&shown(&buffer[..length])));
    }
    std::fs::remove_file(LOG).unwrap();
    messages
}

/// `<22>Nov  7 01:02:03 tag: 1000.000001 text` becomes `<22>tag: N text`.
fn without_times(message: &str) -> String {
    let (priority, rest) = message.split_at(message.find('>').unwrap() + 1);
    let rest = &rest["Nov  7 01:02:03 ".len()..];
    let (tag, text) = rest.split_once(": ").unwrap();
    let end = text.find([' ', '+']).unwrap();
    let stamp = text[..end].split_once('.').unwrap();
    assert!(stamp.0.len() == 10 && stamp.1.len() == 6, "{message}");
    format!("{priority}{tag}: N{}", &text[end..])
}

#[test]
fn lines_become_messages() {
    if !root() || Path::new(LOG).exists() {
        return skip("needs root and a machine without a log daemon");
    }
    let input = b"one\nwarning: two\nalert: \xe9\t\n\nunfinished";
    let expected =
        ["<22>splogger: N one", "<20>splogger: N warning: two", "<17>splogger: N alert: ??"];
    assert_eq!(logged(&[], input), expected);
    assert_eq!(logged(&["qmail", "3"], b"x\n"), ["<30>qmail: N x"]);
    let long = logged(&[], &[&[b'a'; 1600][..], b"\nb\n"].concat());
    let piece = "a".repeat(799);
    let first = format!("<22>splogger: N {piece}");
    let pieces = [first, format!("<22>splogger: N+{piece}"), "<22>splogger: N+aa".into()];
    assert_eq!(long[..3], pieces);
    assert_eq!(long[3], "<22>splogger: N b");
}

#[test]
fn without_a_log_daemon_lines_are_messages() {
    if Path::new(LOG).exists() {
        return skip("a log daemon runs");
    }
    let (code, out, err) = ran(&fed(&mut program("splogger"), "x\n".repeat(1000)));
    assert_eq!((code, out, err.lines().count()), (Some(0), String::new(), 1000));
    assert!(err.lines().all(|line| line.starts_with("splogger: 1") && line.ends_with(" x")));
}

#[test]
fn input_that_cannot_be_read_is_a_failure() {
    if tests::original() {
        return; // The originals take it for the end.
    }
    let output = redirected("<&-", &program("splogger")).output().unwrap();
    let said = "splogger: fatal: unable to read input: file descriptor not open\n";
    assert_eq!(ran(&output), (Some(111), String::new(), said.into()));
}
