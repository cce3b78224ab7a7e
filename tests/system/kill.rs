//! `kill -9` of anything at any time loses no accepted message and damages none.

use crate::services::Services;
use std::collections::HashSet;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;
use tests::{Random, until};

/// Messages that are to be accepted while processes die.
const MESSAGES: usize = 1000;

/// Clients that send at the same time.
const CLIENTS: usize = 6;

#[test]
fn killed_processes_lose_no_accepted_message() {
    storm(MESSAGES, Duration::from_millis(30));
}

#[test]
#[ignore = "torture"]
fn ten_thousand_messages_survive_a_storm() {
    storm(10_000, Duration::from_millis(10));
}

/// Sends until `messages` were accepted, while a process is killed about every `pause`.
fn storm(messages: usize, pause: Duration) {
    let mut services = Services::start();
    let accepted = Mutex::new(HashSet::new());
    let next = AtomicUsize::new(0);
    let done = AtomicBool::new(false);
    let port = services.port;
    let mut kills = 0;
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| client(port, messages, &next, &accepted, &done));
        }
        let mut random = Random::new(1);
        while !done.load(SeqCst) {
            thread::park_timeout(pause);
            services.revive();
            let processes = services.processes();
            if !processes.is_empty() {
                kills += usize::from(kill(processes[random.below(processes.len())]));
            }
        }
    });
    services.revive();
    let accepted = accepted.into_inner().unwrap();
    until(Duration::from_secs(120), "every accepted message is delivered", || {
        services.revive();
        services.retry();
        thread::park_timeout(Duration::from_millis(200));
        let found: HashSet<usize> = services.delivered().iter().map(|text| check(text)).collect();
        accepted.is_subset(&found)
    });
    println!("{} messages accepted, {kills} processes killed", accepted.len());
}

/// Sends one message after the other, over a new connection whenever the old one broke.
fn client(
    port: u16,
    messages: usize,
    next: &AtomicUsize,
    accepted: &Mutex<HashSet<usize>>,
    done: &AtomicBool,
) {
    while !done.load(SeqCst) {
        let id = next.fetch_add(1, SeqCst);
        if send(port, id).is_ok() {
            let mut accepted = accepted.lock().unwrap();
            accepted.insert(id);
            done.fetch_or(accepted.len() >= messages, SeqCst);
        } else {
            thread::park_timeout(Duration::from_millis(20));
        }
    }
}

/// One message in a session of its own. `Ok` is a 250 after the final dot.
fn send(port: u16, id: usize) -> io::Result<()> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut answers = BufReader::new(stream.try_clone()?);
    let mut step = |text: &[u8], code: &str| {
        (&stream).write_all(text)?;
        let mut line = String::new();
        answers.read_line(&mut line)?;
        if line.starts_with(code) { Ok(()) } else { Err(io::Error::other(line)) }
    };
    step(b"", "220")?;
    step(b"HELO client\r\n", "250")?;
    step(b"MAIL FROM:<sender@b.example>\r\n", "250")?;
    step(b"RCPT TO:<anybody@a.example>\r\n", "250")?;
    step(b"DATA\r\n", "354")?;
    let body = body(id).replace('\n', "\r\n");
    step(format!("{body}.\r\n").as_bytes(), "250")?;
    let _ = step(b"QUIT\r\n", "221");
    Ok(())
}

/// A message that tells its number, of a length between one line and some 20 kB.
fn body(id: usize) -> String {
    let mut random = Random::new(id as u64 + 1);
    let lines = random.below(400);
    let mut text = format!("Subject: message {id}\n\n");
    for _ in 0..lines {
        text += &format!("{:016x} {:016x} {:016x}\n", random.next(), random.next(), random.next());
    }
    text
}

/// The number of a delivered message, which must be whole.
fn check(text: &[u8]) -> usize {
    let text = std::str::from_utf8(text).unwrap();
    let at = text.find("Subject: message ").expect("a subject");
    let (_, message) = text.split_at(at);
    let id = message["Subject: message ".len()..].split('\n').next().unwrap().parse().unwrap();
    assert!(message == body(id), "message {id} is damaged: {text}");
    id
}

/// Whether there was somebody to kill.
fn kill(pid: i32) -> bool {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL)
        .is_ok()
}
