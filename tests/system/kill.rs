//! `kill -9` of anything at any time, while mail comes: no accepted message is lost or damaged,
//! every service runs once in the end, nothing is left over, and no line leaves a log.

use crate::services::Services;
use std::collections::HashSet;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};
use tests::{Random, comes_true, fed, until};

/// Clients that send at the same time, by SMTP and by sendmail.
const CLIENTS: [usize; 2] = [4, 2];

/// What runs when there is quiet: three services, each with a log; `count` is a shell.
const PROCESSES: [&str; 16] = [
    "multilog",
    "multilog",
    "multilog",
    "qmail-clean",
    "qmail-lspawn",
    "qmail-rspawn",
    "qmail-send",
    "sh",
    "supervise",
    "supervise",
    "supervise",
    "supervise",
    "supervise",
    "supervise",
    "svscan",
    "tcpserver",
];

/// Kills between two looks at a log.
const LOOK: usize = 10;

/// How long everything may take to come to rest.
const REST: Duration = Duration::from_secs(120);

/// Seconds that a file is old that nobody will need.
const OLD: u64 = 40 * 3600;

#[test]
fn twenty_seconds_of_kills_lose_nothing() {
    storm(1, Duration::from_secs(20), Duration::from_millis(30));
}

#[test]
#[ignore = "torture"]
fn five_minutes_of_kills_lose_nothing() {
    for (seed, pause) in [(2, 5), (3, 30), (4, 100), (5, 300), (6, 1000)] {
        storm(seed, Duration::from_secs(60), Duration::from_millis(pause));
    }
}

/// What the clients have sent.
#[derive(Default)]
struct Sent {
    next: AtomicUsize,
    accepted: Mutex<HashSet<usize>>,
    over: AtomicBool,
}

/// Messages come for a while, and a process is killed about every `pause`. Then there is quiet.
fn storm(seed: u64, length: Duration, pause: Duration) {
    let services = Services::start();
    until(REST, "everything has started", || services.census() == PROCESSES);
    let (sent, mut kills, mut logged) = (Sent::default(), 0, HashSet::new());
    thread::scope(|scope| {
        for _ in 0..CLIENTS[0] {
            scope.spawn(|| {
                let mut session = None;
                client(&sent, |id| smtp(services.port, &mut session, id))
            });
        }
        for _ in 0..CLIENTS[1] {
            scope.spawn(|| client(&sent, |id| sendmail(&services, id)));
        }
        let (mut random, end) = (Random::new(seed), Instant::now() + length);
        while Instant::now() < end {
            thread::park_timeout(pause);
            services.revive();
            let processes = services.processes();
            kills += usize::from(
                !processes.is_empty() && kill(processes[random.below(processes.len())]),
            );
            if kills % LOOK == 0 {
                logged.extend(counted(&services));
            }
        }
        sent.over.store(true, SeqCst);
    });
    let accepted = sent.accepted.into_inner().unwrap();
    println!(
        "seed {seed}: {kills} processes killed in {length:?}, {} of {} messages accepted, {} log \
         lines seen",
        accepted.len(),
        sent.next.into_inner(),
        logged.len()
    );
    assert!(kills > 0 && !accepted.is_empty() && !logged.is_empty());
    recovers(&services, &accepted);
    let mut census = Vec::new();
    // one look decides: in the next, qmail-send may just be taking the place of another
    comes_true(REST, || {
        census = services.census();
        census == PROCESSES
    });
    assert_eq!(census, PROCESSES, "every process runs once again");
    keeps(&counted(&services), &logged);
    services.stop();
}

/// Every accepted message is delivered, whole, and nothing is left in the queue.
fn recovers(services: &Services, accepted: &HashSet<usize>) {
    services.revive();
    until(REST, "every accepted message is delivered", || {
        services.revive();
        services.tell_send("-a");
        thread::park_timeout(Duration::from_millis(200));
        let found: HashSet<usize> = services.delivered().iter().map(|text| check(text)).collect();
        accepted.is_subset(&found)
    });
    let home = &services.installation;
    let waiting =
        || ["todo", "info", "local", "remote", "bounce"].map(|name| home.numbers(name).len());
    until(REST, "no message waits", || {
        services.tell_send("-a");
        thread::park_timeout(Duration::from_millis(200));
        waiting() == [0; 5]
    });
    // what a killed qmail-queue leaves is removed when it is old
    for folder in ["mess", "intd"] {
        home.numbers(folder).iter().for_each(|number| home.set_age(folder, *number, OLD));
    }
    services.tell_send("-t");
    until(REST, "the queue is empty", || home.folders().is_empty());
}

/// What `count` said, without the last words of killed shells.
fn counted(services: &Services) -> Vec<String> {
    let mut lines = services.log("count");
    lines.retain(|line| line.starts_with(|letter: char| letter.is_ascii_digit()));
    lines
}

/// What was in a log still is, and no line is twice.
fn keeps(log: &[String], seen: &HashSet<String>) {
    let lines: HashSet<&String> = log.iter().collect();
    assert_eq!(log.len(), lines.len(), "a line is twice in the log");
    let lost: Vec<_> = seen.iter().filter(|line| !lines.contains(line)).collect();
    assert!(lost.is_empty(), "lost lines: {lost:?}");
}

/// Sends one message after the other.
fn client(sent: &Sent, mut send: impl FnMut(usize) -> bool) {
    while !sent.over.load(SeqCst) {
        let id = sent.next.fetch_add(1, SeqCst);
        if send(id) {
            sent.accepted.lock().unwrap().insert(id);
        } else {
            thread::park_timeout(Duration::from_millis(20));
        }
    }
}

/// One message by sendmail, which may be killed too.
fn sendmail(services: &Services, id: usize) -> bool {
    let mut sendmail = services.program("sendmail");
    sendmail.args(["-f", "sender@b.example", "anybody@a.example"]);
    fed(&mut sendmail, body(id)).status.success()
}

/// A client's session, in which it sends several messages.
struct Session {
    stream: TcpStream,
    answers: BufReader<TcpStream>,
    messages: usize,
}

impl Session {
    /// How many messages it has at most.
    const MOST: usize = 5;

    fn new(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let answers = BufReader::new(stream.try_clone()?);
        let mut session = Session { stream, answers, messages: 0 };
        session.step(b"", "220")?;
        session.step(b"HELO client\r\n", "250")?;
        Ok(session)
    }

    fn step(&mut self, text: &[u8], code: &str) -> io::Result<()> {
        self.stream.write_all(text)?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        if line.starts_with(code) { Ok(()) } else { Err(io::Error::other(line)) }
    }

    /// `Ok` is a 250 after the final dot.
    fn message(&mut self, id: usize) -> io::Result<()> {
        self.messages += 1;
        self.step(b"MAIL FROM:<sender@b.example>\r\n", "250")?;
        self.step(b"RCPT TO:<anybody@a.example>\r\n", "250")?;
        self.step(b"DATA\r\n", "354")?;
        let body = body(id).replace('\n', "\r\n");
        self.step(format!("{body}.\r\n").as_bytes(), "250")
    }
}

/// One message, in the session that there is, or in a new one. Whether it is accepted.
fn smtp(port: u16, session: &mut Option<Session>, id: usize) -> bool {
    let Some(mut open) = session.take().or_else(|| Session::new(port).ok()) else { return false };
    let sent = open.message(id);
    // A message that is refused for now is no reason to go.
    let goes_on = match &sent {
        Ok(()) => true,
        Err(why) => why.to_string().starts_with('4'),
    };
    if open.messages == Session::MOST {
        let _ = open.step(b"QUIT\r\n", "221");
    } else if goes_on {
        *session = Some(open);
    }
    sent.is_ok()
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
