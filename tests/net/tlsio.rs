//! tlsio: speak TLS between a connection and a socket, when a program asks for it.

use crate::certificates::{Authority, ECDSA, authority};
use crate::server::{Server, all, ready};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::Command;
use tests::{Random, connect, fed, program, ran, redirected};

const USAGE: &str = "tlsio: usage: tlsio [ -sSmzZ ] [ -T handshake ] [ -w idle ]\n";

/// Says what it hears. After STARTTLS it does so over tlsio, with $LETTER and $OPTIONS.
const PROGRAM: &str = "
import os, socket, subprocess, sys
def line():
    text = b''
    while not text.endswith(b'\\n'): text += os.read(0, 1)
    return text
word = line()
plain, theirs = socket.socketpair()
control, other = socket.socketpair()
if os.fork() == 0:
    os.dup2(theirs.fileno(), 3), os.dup2(other.fileno(), 4)
    os.execvp('tlsio', ['tlsio'] + os.environ.get('OPTIONS', '').split())
theirs.close(), other.close()
if control.recv(1) != b'\\0':
    os.write(1, b'454 no TLS\\n')
    while text := os.read(0, 100): os.write(1, text)
    sys.exit(0)
os.write(1, b'220 go\\n')
letter = os.environ['LETTER'].encode()
if letter == b'-':
    control.close()
    os.write(1, line())
    sys.exit(0)
control.sendall(letter)
facts = b''
while letter == b'Y' and not facts.endswith(b'\\0\\0'):
    piece = control.recv(100)
    if not piece: sys.exit('no TLS')
    facts += piece
plain.sendall(facts.replace(b'\\0', b';'))
while text := plain.recv(65536): plain.sendall(text)
plain.shutdown(socket.SHUT_WR)
plain.close()
";

/// That program under tcpserver, with the certificate `mail.pem`.
#[track_caller]
fn served(authority: &Authority, env: &[(&str, &str)]) -> Server {
    let mut server = program("tcpserver");
    authority.on("mail", &mut server).current_dir(authority.place.path());
    server.args(["-1vRHl0", "127.0.0.1", "0", "python3", "-c", PROGRAM]);
    ready(server.envs(env.iter().copied()))
}

fn mail() -> Authority {
    let authority = authority();
    authority.issue("mail", ECDSA, "mail.example");
    authority
}

/// Says STARTTLS, and gives the connection after this answer.
fn started(port: u16, expected: &str) -> TcpStream {
    let mut stream = connect(port);
    stream.write_all(b"STARTTLS\n").unwrap();
    let mut answer = vec![0; expected.len()];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(String::from_utf8(answer).unwrap(), expected);
    stream
}

#[test]
fn a_connection_goes_over_to_tls() {
    let authority = mail();
    for (letter, facts) in [
        ("y", ""),
        (
            "Y",
            "SSL_PROTOCOL=TLSv1.3;SSL_CIPHER=TLS_AES_256_GCM_SHA384;\
             SSL_TLS_SNI_SERVERNAME=mail.example;;",
        ),
    ] {
        let server = served(&authority, &[("LETTER", letter)]);
        let mut stream = authority.client(started(server.port, "220 go\n"));
        stream.write_all(b"hello\n").unwrap();
        stream.conn.send_close_notify();
        stream.flush().unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, format!("{facts}hello\n"));
        assert!(!server.log(1).contains("tlsio"));
    }
}

#[test]
fn much_goes_both_ways_at_once() {
    let authority = mail();
    let server = served(&authority, &[("LETTER", "y")]);
    let mut stream = authority.client(started(server.port, "220 go\n"));
    let bytes = Random::new(1).bytes(10 << 20);
    let mut came = Vec::new();
    for piece in bytes.chunks(60_000) {
        stream.write_all(piece).unwrap();
        let mut back = vec![0; piece.len()];
        stream.read_exact(&mut back).unwrap();
        came.extend_from_slice(&back);
    }
    assert!(came == bytes);
    stream.conn.send_close_notify();
    stream.flush().unwrap();
    stream.sock.shutdown(Shutdown::Write).unwrap();
    assert_eq!(stream.read_to_end(&mut came).unwrap(), 0);
}

#[test]
fn without_a_certificate_the_program_goes_on_in_clear_text() {
    let authority = mail();
    let server = served(&authority, &[("LETTER", "Y"), ("KEYFILE", "no")]);
    let mut stream = started(server.port, "454 no TLS\n");
    stream.write_all(b"hello\n").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(all(stream), "hello\n");
    server.running.wait_err("tlsio: fatal: unable to read no: file does not exist\n");
}

#[test]
fn a_program_may_change_its_mind() {
    let authority = mail();
    let server = served(&authority, &[("LETTER", "-")]);
    let mut stream = started(server.port, "220 go\n");
    stream.write_all(b"hello\n").unwrap();
    assert_eq!(all(stream), "hello\n");
    assert!(!server.log(1).contains("tlsio"));
}

#[test]
fn what_is_not_tls_is_the_end() {
    let authority = mail();
    for (letter, says) in [("y", ""), ("Y", "no TLS\n")] {
        let server = served(&authority, &[("LETTER", letter), ("OPTIONS", "-T 5")]);
        let mut stream = started(server.port, "220 go\n");
        stream.write_all(b"EHLO mail.example\r\n").unwrap();
        assert_eq!(stream.read_to_end(&mut Vec::new()).unwrap(), 7);
        let why = "tlsio: warning: dropping connection, unable to accept TLS: \
            received corrupt message of type InvalidContentType\n";
        server.running.wait_err(why);
        server.running.wait_err(says);
    }
}

#[test]
fn openssl_starts_tls() {
    let authority = mail();
    // s_client wants to see an SMTP server before that.
    let smtp = "
import os, sys
os.write(1, b'220 a\\r\\n'); os.read(0, 1000)
os.write(1, b'250-a\\r\\n250 STARTTLS\\r\\n'); os.execvp('python3', ['python3', '-c', sys.argv[1]])
";
    let mut server = program("tcpserver");
    authority.on("mail", &mut server).env("LETTER", "y");
    let program = PROGRAM.replace("b'220 go\\n'", "b'220 go\\r\\n'");
    server.args(["-1vRHl0", "127.0.0.1", "0", "python3", "-c", smtp, &program]);
    let server = ready(&mut server);
    let to = format!("127.0.0.1:{}", server.port);
    let mut client = Command::new("openssl");
    client.args(["s_client", "-starttls", "smtp", "-connect", &to, "-CAfile", "ca.pem"]);
    client.args(["-verify_return_error"]).current_dir(authority.place.path());
    let (code, out, err) = ran(&fed(&mut client, "hello\n"));
    assert!(code == Some(0) && out.contains("Verify return code: 0 (ok)"), "{out}{err}");
}

#[test]
fn descriptors_must_be_there() {
    for (redirections, why) in [
        ("3<&- 4<&-", "use descriptor 3: file descriptor not open"),
        ("3<>/dev/null 4<&-", "use descriptor 4: file descriptor not open"),
    ] {
        let o = fed(&mut redirected(redirections, &program("tlsio")), "");
        let said = format!("tlsio: fatal: unable to {why}\n");
        assert_eq!(ran(&o), (Some(111), String::new(), said));
    }
    let o = fed(program("tlsio").arg("x"), "");
    assert_eq!(ran(&o), (Some(100), String::new(), USAGE.into()));
    let authority = mail();
    let mut tlsio = program("tlsio");
    let o = fed(&mut redirected("3<>/dev/null 4<>/dev/null", authority.on("mail", &mut tlsio)), "");
    assert_eq!(ran(&o), (Some(0), String::new(), String::new()));
}
