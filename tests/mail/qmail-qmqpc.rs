//! qmail-qmqpc in the place of qmail-queue, and clusters of queue servers for it.

use crate::installation::{Installation, envelope, installation};
use crate::netstrings::{netstring, netstrings};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output};
use std::thread::{self, JoinHandle};
use tests::{
    LIMIT, Running, fed, free_port, listener, program, ran, redirected, root, shown, skip, start,
    tree,
};

const MESSAGE: &str = "Subject: x\n\n\0text";

/// A null client whose servers are these.
fn client(servers: &str) -> Installation {
    let home = installation();
    home.control("qmqpservers", servers);
    home
}

/// Runs it with this message and envelope.
fn send(home: &Installation, message: &str, envelope: impl AsRef<[u8]>) -> Output {
    home.queue_by(&mut home.program("qmail-qmqpc"), message, envelope)
}

/// The exit code; it says nothing.
#[track_caller]
fn code(output: Output) -> i32 {
    let (code, out, err) = ran(&output);
    assert_eq!(out + &err, "");
    code.unwrap()
}

/// Sends the message to two recipients.
#[track_caller]
fn sent(home: &Installation) -> i32 {
    code(send(home, MESSAGE, envelope("joe@b.example", &["ann@a.example", ""])))
}

/// A queue server and its installation.
struct Server {
    home: Installation,
    running: Running,
    address: String,
}

fn server() -> Server {
    let home = installation();
    let mut command = home.program("tcpserver");
    command.args(["-1RHl0", "127.0.0.1", "0"]).arg(home.join("bin/qmail-qmqpd"));
    let running = start(&mut command);
    let address = format!("127.0.0.1:{}", running.wait_out("\n").trim());
    Server { home, running, address }
}

/// A server that reads a message, if it is to, and says something. Gives what it has read.
fn fake(listener: TcpListener, length: usize, answer: &'static str) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let (mut stream, _): (TcpStream, _) = listener.accept().unwrap();
        let mut read = vec![0; length];
        stream.read_exact(&mut read).unwrap();
        let _ = stream.write_all(answer.as_bytes());
        read
    })
}

/// What goes over the wire for [`sent`].
fn package() -> Vec<u8> {
    netstring(netstrings(&[MESSAGE, "joe@b.example", "ann@a.example", ""]))
}

#[test]
fn three_servers_stand_in_for_each_other() {
    if tests::original() {
        return; // Ports are ours.
    }
    let servers = [server(), server(), server()];
    let lines: Vec<&str> = servers.iter().map(|server| &*server.address).collect();
    let home = client(&format!("# cluster\n\nnonsense\n{} \t\n", lines.join("\n")));
    let queued = |at: usize| servers[at].home.numbers("todo").len();
    assert_eq!((sent(&home), queued(0), queued(1), queued(2)), (0, 1, 0, 0));
    for (dead, counts) in [(0, [1, 1, 0]), (1, [1, 1, 1])] {
        servers[dead].running.signal(libc::SIGKILL);
        servers[dead].running.wait(LIMIT);
        assert_eq!((dead, sent(&home)), (dead, 0));
        assert_eq!([queued(0), queued(1), queued(2)], counts);
    }
    servers[2].running.signal(libc::SIGKILL);
    servers[2].running.wait(LIMIT);
    assert_eq!(sent(&home), 73);
    let first = &servers[2].home;
    let number = first.only("todo");
    let message = first.place().text(first.file("mess", number));
    assert!(message.contains(" with QMQP; ") && message.ends_with(MESSAGE), "{message:?}");
    let envelope = first.place().text(first.file("todo", number));
    assert!(envelope.ends_with("\0Fjoe@b.example\0Tann@a.example\0T\0"), "{envelope:?}");
}

#[test]
fn a_server_that_refuses_is_not_helped_by_another() {
    if tests::original() {
        return; // Ports are ours.
    }
    for (answer, expected) in
        [("3:Kok,", 0), ("5:Zlate,", 71), ("4:Dbad,", 31), ("??? .K", 0), ("", 74), ("12:", 74)]
    {
        let other = server();
        let (listener, port) = listener();
        let fake = fake(listener, package().len(), answer);
        let home = client(&format!("127.0.0.1:{port}\n{}\n", other.address));
        assert_eq!((answer, sent(&home)), (answer, expected));
        assert_eq!(shown(&fake.join().unwrap()), shown(&package()));
        assert_eq!(other.home.numbers("todo"), []);
    }
}

#[test]
fn a_connection_that_breaks_before_the_end_is_exit_74() {
    if tests::original() {
        return; // Ports are ours.
    }
    let (listener, port) = listener();
    let fake = fake(listener, 10, "");
    let home = client(&format!("127.0.0.1:{port}\n"));
    let big = "x".repeat(20_000_000);
    assert_eq!(code(send(&home, &big, envelope("", &["a"]))), 74);
    fake.join().unwrap();
}

#[test]
fn servers_are_addresses_with_or_without_a_port() {
    if tests::original() {
        return; // Ports and IPv6 are ours.
    }
    let port = free_port();
    for (line, expected) in [
        (format!("127.0.0.1:{port}"), 73),
        (format!("[::1]:{port}"), 73),
        (format!("::ffff:127.0.0.1\n127.0.0.1:{port}x"), 73),
        (format!("127.0.0.1:{port} first\n[::1]:{port}\t# second"), 73),
        ("localhost".into(), 55),
        ("127.0.0.1:".into(), 55),
        ("127.0.0.1:65536".into(), 55),
        ("# 127.0.0.1".into(), 55),
        (String::new(), 55),
    ] {
        assert_eq!((&line, sent(&client(&format!("{line}\n")))), (&line, expected));
    }
    assert_eq!(sent(&installation()), 55);
    let home = installation();
    home.place().dir("control/qmqpservers");
    assert_eq!(sent(&home), 55);
}

#[test]
fn the_port_is_628_unless_said() {
    if !root() {
        return skip("only root may listen on port 628");
    }
    // an address of loopback that nobody else uses
    let address = format!("127.{}.6.28", 16 + std::process::id() % 200);
    let Ok(listener) = TcpListener::bind((address.as_str(), 628)) else {
        return skip("port 628 is taken");
    };
    let fake = fake(listener, package().len(), "1:K,");
    assert_eq!(sent(&client(&format!("{address}\n"))), 0);
    assert_eq!(fake.join().unwrap(), package());
}

#[test]
fn envelopes_that_are_none_are_exit_91() {
    if tests::original() {
        return; // Ports are ours.
    }
    let home = client("127.0.0.1\n");
    for bad in
        ["", "F", "Fa", "\0", "Ta\0\0", "Fa\0", "Fa\0Tb", "Fa\0Tb\0", "Fa\0Fb\0\0", "Fa\0x\0"]
    {
        assert_eq!((bad, code(send(&home, "x", bad))), (bad, 91));
    }
}

#[test]
fn what_is_wrong_at_home_has_its_code() {
    let home = client("127.0.0.1\n");
    let mut lost = program("qmail-qmqpc");
    lost.env("QMAILHOME", "/nonexistent");
    let lost = fed(&mut redirected("1</dev/null", &lost), "x");
    assert_eq!(code(lost), 61);
    for redirections in ["<&-", ">&-", "</", "1</"] {
        let mut command = redirected(redirections, &home.program("qmail-qmqpc"));
        let code = fed(home.as_its_user(&mut command), "x").status.code();
        assert_eq!((redirections, code), (redirections, Some(54)));
    }
    home.write("file", envelope("", &["a"]));
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "ulimit -v 40000; exec \"$0\" 1<\"$QMAILHOME\"/file"]);
    shell.arg(tests::bin("qmail-qmqpc")).env_clear().env("QMAILHOME", home.home());
    home.as_its_user(&mut shell);
    assert_eq!(code(fed(&mut shell, "x".repeat(100_000_000))), 51);
}

/// The exit code when connecting fails like this.
fn with_failing(call: &str, error: &str) -> Option<i32> {
    let home = client("127.0.0.1\n");
    home.write("file", envelope("", &["a"]));
    let command = tests::failing(call, error, 1, &home.program("qmail-qmqpc"))?;
    let mut command = redirected("1<\"$QMAILHOME\"/file", &command);
    Some(code(fed(home.as_its_user(&mut command), "x")))
}

#[test]
fn a_server_that_does_not_answer_and_a_lack_of_sockets_have_codes() {
    if tests::original() {
        return; // Ports are ours.
    }
    let Some(silent) = with_failing("connect", "ETIMEDOUT") else { return };
    let none = with_failing("socket", "EMFILE");
    let nowhere = with_failing("connect", "EHOSTUNREACH");
    assert_eq!((silent, none, nowhere), (72, Some(56), Some(73)));
}

#[test]
fn every_mail_program_of_a_null_client_uses_it() {
    if tests::original() {
        return; // Ports are ours.
    }
    let server = server();
    let home = client(&format!("{}\n", server.address));
    home.link("qmail-queue", "qmail-qmqpc");
    let mut inject = home.program("qmail-inject");
    let output = fed(inject.args(["-fjoe@b.example", "ann@a.example"]), "Subject: x\n\ntext\n");
    assert_eq!(ran(&output), (Some(0), String::new(), String::new()));
    assert_eq!(server.home.numbers("todo").len(), 1);
    server.running.signal(libc::SIGKILL);
    server.running.wait(LIMIT);
    let mut inject = home.program("qmail-inject");
    let output = fed(inject.arg("ann@a.example"), "text\n");
    let said = "qmail-inject: fatal: connection to mail server rejected (#4.4.1)\n";
    assert_eq!(ran(&output), (Some(111), String::new(), said.into()));
}

#[test]
fn postfix_takes_mail_by_it() {
    if tests::original() {
        return; // Ports are ours.
    }
    let folder = tree().join("target/oracles");
    let sink = folder.join("usr/sbin/qmqp-sink");
    if !sink.exists() {
        return skip("needs Postfix's qmqp-sink in target/oracles");
    }
    let port = free_port();
    let mut command = Command::new(sink);
    command.env_clear().env("LD_LIBRARY_PATH", folder.join("usr/lib/postfix"));
    let running = start(command.args(["-c", &format!("127.0.0.1:{port}"), "10"]));
    drop(tests::connect(port));
    let home = client(&format!("127.0.0.1:{port}\n"));
    for _ in 0..5 {
        assert_eq!(sent(&home), 0);
    }
    assert!(running.ended().is_none(), "{}", running.err());
}
