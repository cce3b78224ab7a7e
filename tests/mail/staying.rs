//! A qmail-queue that takes all messages of a session, one after the other: queue::staying.

use crate::installation::{Installation, installation};
use crate::netstrings::{netstring, netstrings, texts};
use crate::qmail_smtpd::on_socket;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Command;
use tests::{LIMIT, Running, Smtp, bin, fed, ran, redirected, shown, until};

/// A qmail-smtpd and its client, who has been greeted.
pub struct Session {
    pub client: Smtp,
    _server: Running,
}

impl Session {
    pub fn of(home: &Installation) -> Self {
        home.control("rcpthosts", "a.example\n");
        let (server, client) = on_socket(home);
        let mut session = Session { client, _server: server };
        session.client.expect(220);
        session
    }

    /// What comes of a message with this text: the reply to its end.
    fn send(&mut self, text: &str) -> String {
        self.send_to("you", text)
    }

    /// The same for a message to this user.
    pub fn send_to(&mut self, user: &str, text: &str) -> String {
        let to = format!("RCPT TO:<{user}@a.example>");
        self.client.step("MAIL FROM:<me@b.example>", 250).step(&to, 250);
        self.client.step("DATA", 354).send(format!("{text}\r\n.\r\n"));
        self.client.reply()
    }

    /// The same for a message that is accepted: the process number of its qmail-queue.
    fn accepted(&mut self, text: &str) -> i32 {
        let reply = self.send(text);
        let qp = reply.strip_prefix("250 ").and_then(|reply| reply.trim_end().rsplit(' ').next());
        qp.and_then(|qp| qp.parse().ok()).unwrap_or_else(|| panic!("{reply:?}"))
    }
}

/// The last lines of all texts in the queue, sorted.
fn queued(home: &Installation) -> Vec<String> {
    let text = |number| fs::read(home.join(home.file("mess", number))).unwrap();
    let numbers = home.numbers("todo").into_iter();
    let mut lines: Vec<_> = numbers
        .map(|number| shown(&text(number)).trim_end().lines().last().unwrap().to_owned())
        .collect();
    lines.sort();
    lines
}

/// Whether this process is there and has not ended.
fn lives(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
}

#[track_caller]
pub fn ends(pid: i32) {
    until(LIMIT, "qmail-queue ends", || !lives(pid));
}

#[test]
fn one_takes_all_messages_of_a_session() {
    let home = installation();
    let mut session = Session::of(&home);
    let first = session.accepted("one");
    for text in ["two", "three", "four"] {
        assert_eq!(session.accepted(text), first);
    }
    assert_eq!(queued(&home), ["four", "one", "three", "two"]);
    for number in home.numbers("todo") {
        let envelope = home.place().text(home.file("todo", number));
        assert!(envelope.ends_with(&format!("p{first}\0Fme@b.example\0Tyou@a.example\0")));
    }
    session.client.step("QUIT", 221);
    ends(first);
}

/// Nor does it keep the envelopes of more than eight.
#[test]
fn descriptors_do_not_grow_with_messages() {
    if !tests::root() {
        return tests::skip("needs root");
    }
    let home = installation();
    let mut session = Session::of(&home);
    let first = session.accepted("one");
    let mut after = |messages| {
        (0..messages).for_each(|_| assert_eq!(session.accepted("more"), first));
        fs::read_dir(format!("/proc/{first}/fd")).unwrap().count()
    };
    assert_eq!(after(8), after(5));
}

#[test]
fn one_takes_all_messages_of_a_qmtp_client() {
    let home = installation();
    home.control("rcpthosts", "a.example\n");
    let package = |text: &[u8]| netstrings(&[text, b"me@b.example", &netstring("you@a.example")]);
    let input = [package(b"\none\n"), package(b"\ntwo\n")].concat();
    let answers = texts(&fed(&mut home.program("qmail-qmtpd"), input).stdout);
    let qps: Vec<_> = answers.iter().map(|answer| answer.split(" qp ").nth(1)).collect();
    assert!(qps.len() == 2 && qps[0].is_some() && qps[0] == qps[1], "{answers:?}");
    assert_eq!(queued(&home), ["one", "two"]);
}

/// A site's filter becomes the real program, or runs it, or replaces it, and hands on all that it
/// was given.
#[test]
fn a_filter_in_its_place_sees_every_message() {
    for run in ["exec", "env", ""] {
        let home = installation();
        let real = bin("qmail-queue");
        home.script("qmail-queue", &format!("echo x >>seen; {run} {}", real.display()));
        let mut session = Session::of(&home);
        let all = ["one", "three", "two"];
        for text in all {
            session.accepted(text);
        }
        assert_eq!(
            (queued(&home), home.place().text("seen")),
            (all.map(Into::into).into(), "x\n".repeat(3))
        );
    }
}

#[test]
fn what_comes_into_its_place_takes_the_next_message() {
    let home = installation();
    let mut session = Session::of(&home);
    let first = session.accepted("one");
    home.script("qmail-queue", "cat >/dev/null; exit 31");
    assert_eq!(session.send("two"), "554 mail server permanently rejected message (#5.3.0)\n");
    ends(first);
    fs::remove_file(home.join("bin/qmail-queue")).unwrap();
    assert_eq!(session.send("three"), "451 unable to exec qq (#4.3.0)\n");
    home.link("qmail-queue", "qmail-queue");
    assert_ne!(session.accepted("four"), first);
    assert_eq!(queued(&home), ["four", "one"]);
}

#[test]
fn one_that_is_killed_is_replaced() {
    let home = installation();
    let mut session = Session::of(&home);
    for signal in [Signal::SIGKILL, Signal::SIGTERM] {
        let first = session.accepted("one");
        kill(Pid::from_raw(first), signal).unwrap();
        ends(first);
        assert_ne!(session.accepted("two"), first);
    }
    assert_eq!(queued(&home), ["one", "one", "two", "two"]);
}

#[test]
fn one_that_fails_refuses_that_message_only() {
    let home = installation();
    let mut session = Session::of(&home);
    let first = session.accepted("one");
    let [folder, away] = ["queue/intd", "queue/away"].map(|name| home.join(name));
    fs::rename(&folder, &away).unwrap();
    assert_eq!(session.send("two"), "451 qq trouble creating files in queue (#4.3.0)\n");
    fs::rename(&away, &folder).unwrap();
    assert_ne!(session.accepted("three"), first);
    assert_eq!(queued(&home), ["one", "three"]);
}

/// The folder, too, is looked for each time.
#[test]
fn one_puts_each_message_into_the_queue_that_is_there() {
    let home = installation();
    let mut session = Session::of(&home);
    let first = session.accepted("one");
    let [queue, old, new] = ["queue", "old", "new"].map(|name| home.join(name));
    let other = installation();
    fs::rename(&queue, &old).unwrap();
    let copied = Command::new("cp").arg("-a").args([&other.join("queue"), &new]).status().unwrap();
    assert!(copied.success());
    fs::rename(&new, &queue).unwrap();
    assert_eq!(session.accepted("two"), first);
    assert_eq!(queued(&home), ["two"]);
}

#[test]
fn one_without_work_ends_by_itself() {
    let home = installation();
    let mut session = Session::of(&home);
    let first = session.accepted("one");
    ends(first);
    assert_ne!(session.accepted("two"), first);
    assert_eq!(queued(&home), ["one", "two"]);
}

#[test]
fn one_without_a_socket_of_packets_ends_when_the_message_is_queued() {
    let home = installation();
    home.write("message", "\none\n").write("envelope", "Fme@b.example\0Tyou@a.example\0\0");
    let (ours, _theirs) = UnixStream::pair().unwrap();
    for descriptor in ["5<&-", "5</dev/null", "5<&0"] {
        let redirections = format!("{descriptor} <message 1<envelope");
        let command = home.program("qmail-queue");
        let mut command = redirected(&redirections, &command);
        command.current_dir(home.home()).stdin(OwnedFd::from(ours.try_clone().unwrap()));
        let done = home.as_its_user(&mut command).output().unwrap();
        assert_eq!(ran(&done), (Some(0), String::new(), String::new()), "{descriptor}");
    }
    assert_eq!(queued(&home), ["one"; 3]);
}
