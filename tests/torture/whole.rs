//! A mail system at work, recorded: messages come by SMTP, sendmail, QMTP and QMQP, and go to a
//! Maildir, to an mbox, and back to their sender.

use crate::installation::{Installation, installation};
use crate::netstrings::{netstring, netstrings};
use crate::trace::{Act, Event, Record, record};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tests::{LIMIT, scratch};

/// Messages that come, each in its own way: what is run with it as input.
pub const MESSAGES: usize = WAYS.len();
const WAYS: [&str; 4] =
    ["qmail-smtpd", "sendmail -f ann@a.example joe@a.example", "qmail-qmtpd", "qmail-qmqpd"];

/// An installation where `box` has an mbox, `joe` and `ann` have a Maildir, and nobody else exists.
fn home() -> Installation {
    let home = installation();
    home.maildir("alias/Maildir").write("alias/Mailbox", BEFORE);
    home.write("alias/.qmail-joe", "./Maildir/\n").write("alias/.qmail-ann", "./Maildir/\n");
    home.write("alias/.qmail-box", "./Mailbox\n");
    for number in 0..MESSAGES {
        home.write(format!("session-{number}"), session(number));
    }
    home.give("alias");
    home
}

/// What is in the mbox before.
pub const BEFORE: &str = "From a@b.example Thu Jan  1 00:00:00 1970\nSubject: old\n\nOld.\n\n";

/// Who gets a message.
pub fn recipients(number: usize) -> &'static [&'static str] {
    match number {
        0 => &["joe", "ann", "box", "nobody"],
        1 => &["joe"],
        2 => &["box"],
        _ => &["nobody", "ann"],
    }
}

/// What is said for this message, in its way.
fn session(number: usize) -> Vec<u8> {
    let text = text(number);
    let to: Vec<_> = recipients(number).iter().map(|to| format!("{to}@a.example")).collect();
    match number {
        0 => {
            let to = to.iter().map(|to| format!("RCPT TO:<{to}>\r\n")).collect::<String>();
            let text = text.replace('\n', "\r\n");
            let mail = format!("MAIL FROM:<ann@a.example>\r\n{to}DATA\r\n{text}.\r\n");
            format!("HELO there\r\n{mail}QUIT\r\n").into()
        }
        // nothing is missing in the header, so nothing comes between
        1 => {
            let (who, date) =
                ("From: ann@a.example\nTo: joe@a.example", "1 Nov 2026 00:00:00 -0000");
            format!("{who}\nDate: {date}\nMessage-ID: <1@a.example>\n{text}").into()
        }
        2 => {
            let text = format!("\n{text}");
            netstrings(&[text.as_bytes(), b"ann@a.example", &netstrings(&to)])
        }
        _ => {
            let parts = [netstrings(&[&text, "ann@a.example"]), netstrings(&to)];
            netstring(parts.concat())
        }
    }
}

/// A message that tells its number.
pub fn text(number: usize) -> String {
    let line = format!("This is a line of message {number}.\n");
    format!("Subject: message {number}\n\n{}end of message {number}\n", line.repeat(30 << number))
}

/// Everything from the first session to an empty queue. `together`: messages come while others are
/// delivered; otherwise all come first.
pub fn recorded(together: bool) -> Record {
    let start = "\"$0\" ./Mailbox & echo $! >$TELL;".to_owned();
    let sessions = WAYS.iter().enumerate().map(|(at, way)| format!("{way} <session-{at};"));
    let sessions = sessions.collect::<String>();
    let [first, second] = if together { [start, sessions] } else { [sessions, start] };
    recorded_script(&home(), &format!("{first} {second}"))
}

/// A shell script in the home, and what goes on after it until the queue is empty. It runs `$0`,
/// which is qmail-start, in the background, and writes its process number to `$TELL`.
pub fn recorded_script(home: &Installation, script: &str) -> Record {
    let outside = scratch();
    outside.chmod("", 0o777);
    let tell = outside.join("pid");
    let start = home.program("qmail-start");
    let mut shell = Command::new("/bin/sh");
    shell.env_clear().args(["-c", &format!("{script} : >$TELL.done; wait")]);
    shell.arg(start.get_program()).current_dir(home.home()).env("TELL", &tell);
    shell.envs(start.get_envs().filter_map(|(name, value)| Some((name, value?))));
    record(
        home.home(),
        &shell,
        |held| {
            home.as_its_user(held).stdin(Stdio::null());
            held.stdout(Stdio::null()).stderr(Stdio::null());
        },
        |_| {
            let over = || outside.exists("pid.done") && home.folders().is_empty();
            let came = soon(over);
            let pid = fs::read_to_string(&tell).unwrap().trim().parse().unwrap();
            kill(Pid::from_raw(pid), Signal::SIGTERM).unwrap();
            assert!(came, "the queue is not empty: {:?}", home.folders());
        },
    )
}

/// Whether this comes true in time, on a machine that does much else.
pub fn soon(mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + LIMIT * 2;
    while !condition() {
        if Instant::now() > deadline {
            return false;
        }
        thread::park_timeout(Duration::from_millis(2));
    }
    true
}

/// How many messages were accepted.
pub fn accepted(events: &[Event]) -> usize {
    events.iter().filter(|event| accepts(event)).count()
}

/// Whether this tells somebody that his message is accepted.
pub fn accepts(Event { who, act }: &Event) -> bool {
    let has = |bytes: &[u8], word: &[u8]| memchr::memmem::find(bytes, word).is_some();
    match (act, &who[..]) {
        (Act::Say { bytes }, "qmail-smtpd") => has(bytes, b" qp "),
        (Act::Say { bytes }, "qmail-qmtpd" | "qmail-qmqpd") => has(bytes, b":Kok "),
        (Act::Exit { code: 0 }, "sendmail" | "qmail-inject") => true,
        _ => false,
    }
}
