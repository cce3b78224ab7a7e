//! Too much of everything over TLS, for tlsd, and for tlsio as qmail-smtpd starts it: floods, peers
//! that never read, and those who end one direction or break off. The process that speaks TLS stays
//! below a bound, as the others do.

use crate::installation::Installation;
use crate::limits::{LETTER, LIMIT, SMTPD, command, connected, flood_size, home, memory};
use net::tls::testing;
use rustls::{ClientConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::{fs, thread};
use tests::{Running, comes_true, shown};

type Client = StreamOwned<ClientConnection, TcpStream>;

/// A program and its client, who have agreed on TLS. The program's time for that is short when the
/// machine is busy: then they try again.
fn agreed(begin: impl Fn() -> (Running, TcpStream)) -> (Running, Client) {
    for _ in 0..20 {
        let (running, client) = begin();
        client.set_read_timeout(Some(LIMIT)).unwrap();
        let mut client = StreamOwned::new(testing::client(), client);
        if client.conn.complete_io(&mut client.sock).is_ok() {
            return (running, client);
        }
    }
    panic!("no agreement");
}

/// A program behind TLS, and its client.
fn secured(home: &Installation, words: &[&str]) -> (Running, Client) {
    agreed(|| connected(home, &command(home, words)))
}

/// qmail-smtpd with tlsio, after STARTTLS.
fn started(home: &Installation) -> (Running, Client) {
    home.write("control/servercert.pem", testing::PEM);
    agreed(|| {
        let (running, mut client) = connected(home, &command(home, SMTPD));
        client.write_all(b"STARTTLS\r\n").unwrap();
        let mut said = Vec::new();
        while memchr::memmem::find_iter(&said, b"\r\n").count() < 2 {
            let mut byte = [0];
            client.read_exact(&mut byte).unwrap();
            said.extend(byte);
        }
        assert!(said.ends_with(b"220 ready for TLS\r\n"), "{}", shown(&said));
        (running, client)
    })
}

/// The most memory that a process or one of its children has had.
fn peak(pid: i32) -> u64 {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let children = children.unwrap_or_default();
    let all = children.split_whitespace().map(|child| child.parse().unwrap()).chain([pid]);
    all.filter_map(memory).max().unwrap_or_default()
}

/// A process that is this and speaks TLS: rustls and ring are most of it.
const TLS_MEMORY: u64 = 8_000;

#[test]
fn no_flood_over_tls_takes_memory() {
    let home = home();
    let letter = String::from_utf8(LETTER.to_vec()).unwrap();
    for (name, tlsio, head, piece) in [
        ("a body", false, &*letter, "x".repeat(60_000)),
        ("commands", false, "", "NOOP\r\n".repeat(10_000)),
        ("tiny records", false, "HELO ", "x".into()),
        ("tlsio, a body", true, &*letter, "x".repeat(60_000)),
        ("tlsio, tiny records", true, "HELO ", "x".into()),
    ] {
        let (running, mut client) =
            if tlsio { started(&home) } else { secured(&home, &["tlsd", "qmail-smtpd"]) };
        client.write_all(head.as_bytes()).unwrap();
        // a record of one byte takes as long as one of many
        let (mut sent, size) = (0, flood_size() / if piece.len() == 1 { 1000 } else { 1 });
        let mut most = 0;
        thread::scope(|scope| {
            let mut answers = client.sock.try_clone().unwrap();
            let reader = scope.spawn(move || {
                let mut block = vec![0; 65536];
                while let Ok(1..) = answers.read(&mut block) {}
            });
            while sent < size {
                client.write_all(piece.as_bytes()).unwrap();
                sent += piece.len();
                if sent % 1000 < piece.len() {
                    most = peak(running.pid()).max(most);
                }
            }
            let _ = client.write_all(b"\r\n.\r\nQUIT\r\n");
            client.conn.send_close_notify();
            let _ = client.flush();
            let _ = client.sock.shutdown(Shutdown::Write);
            reader.join().unwrap();
        });
        let code = running.wait(LIMIT).code();
        assert!(matches!(code, Some(0 | 1)) && most < TLS_MEMORY, "{name}: {code:?}, {most} kB");
        assert!(most > 0, "{name}");
    }
}

/// Who has said all still hears all: the end may be said by TLS, by TCP, or by both.
#[test]
fn a_client_that_has_said_all_hears_all() {
    let home = home();
    for (by_tls, by_tcp) in [(true, false), (true, true)] {
        let (running, mut client) =
            secured(&home, &["tlsd", "sh", "-c", "cat >/dev/null; yes | head -n 50000"]);
        client.write_all(b"hello").unwrap();
        if by_tls {
            client.conn.send_close_notify();
            client.flush().unwrap();
        }
        if by_tcp {
            client.sock.shutdown(Shutdown::Write).unwrap();
        }
        let mut said = Vec::new();
        client.read_to_end(&mut said).unwrap();
        assert_eq!(said.len(), 100_000, "{by_tls} {by_tcp}");
        drop(client);
        assert_eq!(running.wait(LIMIT).code(), Some(0));
    }
}

/// Half of a record, and then nothing, an end, or a reset: the program finds the end of its input,
/// and nobody is left.
#[test]
fn a_broken_connection_ends_both_processes() {
    let home = home();
    for ending in ["end", "reset", "silence", "no TLS"] {
        let words = ["tlsd", "-w", "10", "sh", "-c", "cat"];
        let (running, mut client) = secured(&home, &words);
        client.write_all(b"hello\n").unwrap();
        let mut heard = [0; 6];
        client.read_exact(&mut heard).unwrap();
        let child = fs::read_to_string(format!("/proc/{0}/task/{0}/children", running.pid()));
        let child: Vec<i32> =
            child.unwrap().split_whitespace().map(|pid| pid.parse().unwrap()).collect();
        let half: &[u8] =
            if ending == "no TLS" { b"QUIT\r\n\r\n" } else { b"\x17\x03\x03\x40\x00xxx" };
        client.sock.write_all(half).unwrap();
        match ending {
            "end" => client.sock.shutdown(Shutdown::Write).unwrap(),
            "reset" => crate::limits::reset(&client.sock),
            _ => {}
        }
        let (_, sock) = client.into_parts();
        let kept = (ending != "reset").then_some(sock);
        let code = running.wait(LIMIT).code();
        assert!(code.is_some(), "{ending}: {code:?}");
        let gone = |pid: &i32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.is_empty() || stat.contains(") Z ")
        };
        assert!(comes_true(LIMIT, || child.iter().all(gone)), "{ending}");
        drop(kept);
    }
}

/// Who sends and never reads, or reads nothing of what is sent.
#[test]
fn a_client_that_never_reads_has_a_limit() {
    let home = home();
    let (running, mut client) = secured(&home, &["tlsd", "-w", "1", "yes"]);
    client.write_all(b"hello").unwrap();
    // `yes` is killed by SIGPIPE, or fails
    assert_ne!(running.wait(LIMIT).code(), Some(0));
    drop(client);
}
