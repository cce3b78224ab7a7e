//! unixcat: print what a server on a Unix socket says.

use std::io::Write;
use std::os::unix::net::UnixListener;
use std::thread;
use tests::{LIMIT, original, program, ran, redirected, scratch, start};

#[test]
fn all_that_the_server_says_is_printed_at_once_as_it_is() {
    let place = scratch();
    let listener = UnixListener::bind(place.join("socket")).unwrap();
    let unixcat = start(program("unixcat").arg("socket").current_dir(place.path()));
    let (mut stream, _) = listener.accept().unwrap();
    stream.write_all(b"one").unwrap();
    unixcat.wait_out("one");
    stream.write_all(b"\0\xff\r\n").unwrap();
    drop(stream);
    assert_eq!(ran(&unixcat.finish(LIMIT)), (Some(0), "one\0\\xff\r\n".into(), String::new()));
}

#[test]
fn failures_exit_1() {
    // The original is a script that leaves it to cat and the C library's words.
    if original() {
        return;
    }
    let place = scratch();
    let mut missing = program("unixcat");
    let o = missing.arg("missing").current_dir(place.path()).output().unwrap();
    let said = "unixcat: fatal: unable to connect to missing: file does not exist\n";
    assert_eq!(ran(&o), (Some(1), String::new(), said.into()));

    let listener = UnixListener::bind(place.join("socket")).unwrap();
    let server = thread::spawn(move || {
        for _ in 0..2 {
            listener.accept().unwrap().0.write_all(b"x").unwrap();
        }
    });
    let mut command = program("unixcat");
    command.arg("socket").current_dir(place.path());
    let o = redirected(">/dev/full", &command).output().unwrap();
    let said = "unixcat: fatal: unable to write output: out of disk space\n";
    assert_eq!(ran(&o), (Some(1), String::new(), said.into()));
    // What is closed is not taken for the connection.
    let o = redirected("<&- >&-", &command).output().unwrap();
    assert_eq!(ran(&o), (Some(0), String::new(), String::new()));
    server.join().unwrap();
}

#[test]
fn wrong_usage_exits_1() {
    // The original takes no socket for an empty name.
    if original() {
        return;
    }
    let o = program("unixcat").output().unwrap();
    assert_eq!(ran(&o), (Some(1), String::new(), "unixcat: usage: unixcat socket\n".into()));
}
