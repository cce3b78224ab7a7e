//! Deliveries to elsewhere, and the spawners: done is reported only of what is done, each order
//! gets its report, and no fault of ours ends in a bounce.

use crate::installation::{Installation, envelope, installation};
use crate::netstrings::netstring;
use crate::sweep::{Case, sampled, sweep};
use crate::tamper::held;
use std::fs::{self, File};
use std::io::{self, PipeReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use tests::{LIMIT, SmtpServer, accepting, listener, smtp_server};

const MESSAGE: &str = "Subject: sweep\n\nText.\n";

/// An installation with the message as a file, and as number 24 of the queue.
fn home() -> Installation {
    let home = installation();
    home.write("message", MESSAGE).put("mess", 24, MESSAGE);
    home
}

/// The command with the message or whatever else as its input, its output in `said`.
fn within(home: &Installation, program: &Command, input: impl Into<Stdio>) -> Command {
    let mut command = held(program);
    home.as_its_user(&mut command).stdin(input).stderr(Stdio::null());
    command.stdout(File::create(home.join("said")).unwrap());
    command
}

fn message(home: &Installation) -> File {
    File::open(home.join("message")).unwrap()
}

/// An installation that sends all mail to one server.
struct Relay {
    home: Installation,
    server: SmtpServer,
    /// Messages that the server had before this run.
    before: AtomicUsize,
}

impl Relay {
    fn new() -> Self {
        let (home, server) = (home(), smtp_server("220 b.example ESMTP", accepting));
        home.control("smtproutes", format!(":127.0.0.1:{}\n", server.port()));
        Relay { home, server, before: 0.into() }
    }

    fn renew(&self) {
        self.before.store(self.server.messages().len(), SeqCst);
        self.home.write("queue/lock/tcpto", [0; 1024]);
    }

    /// How often the server has taken the message.
    fn taken(&self) -> Result<usize, String> {
        let messages = self.server.messages();
        let wire = MESSAGE.replace('\n', "\r\n");
        match messages[self.before.load(SeqCst)..].iter().all(|text| *text == wire.as_bytes()) {
            true => Ok(messages.len() - self.before.load(SeqCst)),
            false => Err("the server has taken something else".into()),
        }
    }

    fn said(&self) -> String {
        self.home.place().text("said")
    }
}

struct Remote(Relay);

impl Case for Remote {
    fn new() -> Self {
        Remote(Relay::new())
    }

    fn renew(&self) {
        self.0.renew();
    }

    fn command(&self) -> Command {
        let mut remote = self.0.home.program("qmail-remote");
        remote.args(["b.example", "me@a.example", "you@b.example"]);
        within(&self.0.home, &remote, message(&self.0.home))
    }

    fn is_done(&self, code: Option<i32>) -> bool {
        code == Some(0) && self.0.said().contains("\0K")
    }

    fn check(&self, code: Option<i32>) -> Result<(), String> {
        let (said, taken) = (self.0.said(), self.0.taken()?);
        let records: Vec<&str> = said.split('\0').collect();
        let says = |letter| records.iter().any(|record| record.starts_with(letter));
        match code {
            _ if says('K') && taken == 0 => Err("taken, it says, but it is not".into()),
            _ if says('D') || says('h') => Err(format!("a permanent failure: {said}")),
            Some(0) if !says('K') && !says('Z') => Err(format!("no report: {said}")),
            None | Some(0 | 111) => Ok(()),
            Some(other) => Err(format!("no temporary failure: {other}")),
        }
    }
}

/// The pipes between qmail-send and a spawner, which know no full disk.
#[derive(Default)]
struct Wires {
    /// Where the reports of this run come, and those that have come.
    reports: Mutex<(Option<PipeReader>, Vec<u8>)>,
}

impl Wires {
    /// The spawner, with orders for two deliveries of the same message.
    fn command(&self, home: &Installation, spawner: &Command, host: &str) -> Command {
        let (read, write) = io::pipe().unwrap();
        *self.reports.lock().unwrap() = (Some(read), Vec::new());
        let mut command = within(home, spawner, orders(host));
        command.stdout(write);
        command
    }

    /// All reports of a run that is over.
    fn said(&self) -> Vec<u8> {
        let (from, said) = &mut *self.reports.lock().unwrap();
        if let Some(mut from) = from.take() {
            from.read_to_end(said).unwrap();
        }
        said.clone()
    }
}

fn orders(host: &str) -> Stdio {
    let (read, mut write) = io::pipe().unwrap();
    for (number, user) in [(3, "ann"), (5, "bob")] {
        let order = format!("1/24\0me@a.example\0{user}@{host}\0");
        write.write_all(&[&[number], order.as_bytes()].concat()).unwrap();
    }
    read.into()
}

/// The letters of the reports on the two orders.
fn reports(said: &[u8]) -> Result<[Option<u8>; 2], String> {
    let mut letters = [None; 2];
    let mut reports = said.get(1..).unwrap_or_default().split_inclusive(|byte| *byte == 0);
    for report in reports.by_ref().take_while(|report| report.ends_with(b"\0")) {
        let place = [3, 5].iter().position(|number| report[0] == *number);
        let place = place.ok_or(format!("a report on {}", report[0]))?;
        if letters[place].replace(report[1]).is_some() {
            return Err("two reports on one order".into());
        }
    }
    Ok(letters)
}

/// What must hold of reports when so many deliveries have been made.
fn fits(said: &[u8], code: Option<i32>, made: usize) -> Result<(), String> {
    let letters = reports(said)?;
    let count = |letter| letters.iter().flatten().filter(|found| **found == letter).count();
    match code {
        _ if count(b'K') > made => Err(format!("{} done, it says, of {made}", count(b'K'))),
        _ if count(b'D') > 0 => {
            Err(format!("a permanent failure: {}", String::from_utf8_lossy(said)))
        }
        Some(0) if letters.contains(&None) => Err("an order without a report".into()),
        None | Some(0 | 111) => Ok(()),
        Some(other) => Err(format!("no temporary failure: {other}")),
    }
}

fn all_done(said: &[u8]) -> bool {
    reports(said).is_ok_and(|letters| letters == [Some(b'K'); 2])
}

/// qmail-rspawn with two times qmail-remote.
struct RemoteSpawner(Relay, Wires);

impl Case for RemoteSpawner {
    fn new() -> Self {
        RemoteSpawner(Relay::new(), Wires::default())
    }

    fn renew(&self) {
        self.0.renew();
    }

    fn command(&self) -> Command {
        let spawner = self.0.home.program("qmail-rspawn");
        self.1.command(&self.0.home, &spawner, "b.example")
    }

    fn is_done(&self, code: Option<i32>) -> bool {
        code == Some(0) && all_done(&self.1.said())
    }

    fn check(&self, code: Option<i32>) -> Result<(), String> {
        fits(&self.1.said(), code, self.0.taken()?)
    }
}

/// qmail-lspawn with two times qmail-local, to a Maildir.
struct LocalSpawner(Installation, Wires);

impl Case for LocalSpawner {
    fn new() -> Self {
        let home = home();
        home.maildir("alias/Maildir").write("alias/.qmail-default", "./Maildir/\n");
        LocalSpawner(home, Wires::default())
    }

    fn renew(&self) {
        for folder in ["alias/Maildir/tmp", "alias/Maildir/new"] {
            for name in self.0.place().names(folder) {
                fs::remove_file(self.0.join(folder).join(name)).unwrap();
            }
        }
    }

    fn command(&self) -> Command {
        let mut spawner = self.0.program("qmail-lspawn");
        self.1.command(&self.0, spawner.arg("./Mailbox"), "a.example")
    }

    fn is_done(&self, code: Option<i32>) -> bool {
        code == Some(0) && all_done(&self.1.said())
    }

    fn check(&self, code: Option<i32>) -> Result<(), String> {
        let names = self.0.place().names("alias/Maildir/new");
        let text = |name: &String| self.0.place().text(format!("alias/Maildir/new/{name}"));
        if !names.iter().all(|name| text(name).ends_with(MESSAGE)) {
            return Err("a part of a message in the Maildir".into());
        }
        fits(&self.1.said(), code, names.len())
    }
}

/// qmail-qmqpc in the place of qmail-queue, and its server.
struct QueueClient {
    home: Installation,
    taken: Arc<AtomicBool>,
}

/// Takes a package of this length, and says so.
fn serve(mut stream: TcpStream, length: usize, taken: &AtomicBool) -> io::Result<()> {
    stream.set_read_timeout(Some(LIMIT))?;
    let mut package = vec![0; length];
    stream.read_exact(&mut package)?;
    taken.store(true, SeqCst);
    stream.write_all(&netstring("Kok"))
}

impl Case for QueueClient {
    fn new() -> Self {
        let (home, (listener, port)) = (home(), listener());
        home.control("qmqpservers", format!("127.0.0.1:{port}\n"));
        home.write("envelope", envelope("me@a.example", &["you@b.example"]));
        let taken = Arc::new(AtomicBool::new(false));
        let parts = [MESSAGE, "me@a.example", "you@b.example"].map(netstring).concat();
        let (length, flag) = (netstring(parts).len(), Arc::clone(&taken));
        // ends with the test's process
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = serve(stream, length, &flag);
            }
        });
        QueueClient { home, taken }
    }

    fn renew(&self) {
        self.taken.store(false, SeqCst);
    }

    fn command(&self) -> Command {
        let mut command = held(&self.home.program("qmail-qmqpc"));
        self.home.as_its_user(&mut command).stdin(message(&self.home)).stderr(Stdio::null());
        // it reads the envelope from its standard output
        command.stdout(File::open(self.home.join("envelope")).unwrap());
        command
    }

    fn check(&self, code: Option<i32>) -> Result<(), String> {
        match code {
            Some(0) if !self.taken.load(SeqCst) => Err("taken, it says, but it is not".into()),
            // all of qmail-queue's temporary ones
            None | Some(0 | 51..=81 | 111) => Ok(()),
            Some(other) => Err(format!("no temporary failure: {other}")),
        }
    }
}

#[test]
fn qmail_remote_reports_what_the_server_has_taken() {
    sweep::<Remote>("qmail-remote");
}

#[test]
fn qmail_rspawn_reports_on_every_order() {
    sampled::<RemoteSpawner>("qmail-rspawn with qmail-remote", 4);
}

#[test]
fn qmail_lspawn_reports_on_every_order() {
    sampled::<LocalSpawner>("qmail-lspawn with qmail-local", 4);
}

#[test]
fn qmail_qmqpc_is_done_when_the_server_says_so() {
    sweep::<QueueClient>("qmail-qmqpc");
}

#[test]
#[ignore = "torture"]
fn spawners_report_on_every_order_whatever_fails() {
    sweep::<RemoteSpawner>("qmail-rspawn with qmail-remote");
    sweep::<LocalSpawner>("qmail-lspawn with qmail-local");
}
