//! mconnect-io: talk to a server by descriptors 6 and 7, line by line.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::Command;
use tests::{LIMIT, Running, bin, listener, original, program, ran, redirected, start};

/// tcpclient running it, and the server's end of the connection.
fn connected(redirections: &str) -> (Running, TcpStream) {
    let (listener, port) = listener();
    let mut client: Command = program("tcpclient");
    client.args(["-RHl0", "--", "127.0.0.1", &port.to_string()]).arg(bin("mconnect-io"));
    let running = start(&mut redirected(redirections, &client));
    let (server, _) = listener.accept().unwrap();
    server.set_read_timeout(Some(LIMIT)).unwrap();
    (running, server)
}

#[track_caller]
fn told(server: &mut TcpStream, expected: &[u8]) {
    let mut bytes = vec![0; expected.len()];
    server.read_exact(&mut bytes).unwrap();
    assert_eq!(bytes, expected);
}

#[test]
fn both_ways_are_passed_on_at_once() {
    let (mut client, mut server) = connected("");
    server.write_all(b"220 hello\r\n").unwrap();
    client.wait_out("220 hello\r\n");
    client.write("HELO\n\r\n");
    told(&mut server, b"HELO\r\n\r\r\n");
    client.write(b"part\0\xff");
    told(&mut server, b"part\0\xff");
    server.write_all(b"part").unwrap();
    client.wait_out("220 hello\r\npart");
}

#[test]
fn it_ends_when_the_server_does() {
    let (client, server) = connected("");
    drop(server);
    assert_eq!(client.wait(LIMIT).code(), Some(0));
    assert_eq!((client.out(), client.err()), (String::new(), String::new()));
}

#[test]
fn the_end_of_the_input_is_not_the_end_of_the_connection() {
    let (mut client, mut server) = connected("");
    client.write("last\n");
    client.close();
    told(&mut server, b"last\r\n");
    server.write_all(b"still here\0\xff").unwrap();
    server.shutdown(Shutdown::Write).unwrap();
    let all = "still here\0\\xff".into();
    assert_eq!(ran(&client.finish(LIMIT)), (Some(0), all, String::new()));
}

#[test]
fn a_server_that_hears_nothing_any_more_does_no_harm() {
    let (mut client, server) = connected("");
    server.shutdown(Shutdown::Read).unwrap();
    client.write("x\n".repeat(10));
    (&server).write_all(b"bye\n").unwrap();
    client.wait_out("bye\n");
    server.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.wait(LIMIT).code(), Some(0));
}

#[test]
fn an_output_that_fails_is_a_temporary_failure() {
    // The original says nothing and exits 0.
    if original() {
        return;
    }
    let said = "mconnect-io: fatal: unable to copy what the server says: ";
    for (redirections, why) in
        [(">/dev/full", "out of disk space"), (">&-", "file descriptor not open")]
    {
        let (client, mut server) = connected(redirections);
        server.write_all(b"x").unwrap();
        assert_eq!(
            ran(&client.finish(LIMIT)),
            (Some(111), String::new(), format!("{said}{why}\n"))
        );
    }
}

#[test]
fn without_a_connection_it_is_a_temporary_failure() {
    // The original says nothing and exits 0.
    if original() {
        return;
    }
    let o = redirected("6<&- 7>&-", &program("mconnect-io")).output().unwrap();
    let why = "unable to copy what the server says: file descriptor not open";
    let said = format!("mconnect-io: fatal: {why}\n");
    assert_eq!(ran(&o), (Some(111), String::new(), said));
}
