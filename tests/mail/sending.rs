//! qmail-send alone, with the test in the place of both spawners, and of qmail-clean if it likes.

use crate::installation::Installation;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use tests::{LIMIT, Running, shown, start, until};

/// A running qmail-send; its log is the standard output of `run`.
pub struct Sending {
    pub run: Running,
    wires: Vec<Wire>,
}

/// The two ends of a connection that are not qmail-send's.
struct Wire {
    from: File,
    to: Option<File>,
    heard: Vec<u8>,
}

/// Which connection.
pub const LOCAL: usize = 0;
pub const REMOTE: usize = 1;
pub const CLEAN: usize = 2;

/// A delivery that qmail-send asks for.
#[derive(Debug, PartialEq, Eq)]
pub struct Order {
    pub number: u8,
    pub message: String,
    pub sender: String,
    pub recipient: String,
}

/// Starts qmail-send with spawners that can do 120 deliveries each, and a real qmail-clean.
#[track_caller]
pub fn sending(home: &Installation) -> Sending {
    let mut sending = connected(home, true);
    sending.say(LOCAL, [120]);
    sending.say(REMOTE, [120]);
    sending.run.wait_out("status: ");
    sending
}

/// As [`sending`], with the test as qmail-clean too.
#[track_caller]
pub fn sending_uncleaned(home: &Installation) -> Sending {
    let mut sending = connected(home, false);
    sending.say(LOCAL, [120]);
    sending.say(REMOTE, [120]);
    sending.run.wait_out("status: ");
    sending
}

/// Starts qmail-send; nobody has said anything to it yet.
#[track_caller]
pub fn connected(home: &Installation, cleaner: bool) -> Sending {
    logging(home, cleaner, "&1")
}

/// As [`connected`], with the log where the shell's `>` leads, from the installation's folder.
#[track_caller]
pub fn logging(home: &Installation, cleaner: bool, log: &str) -> Sending {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let wires = if cleaner { 2 } else { 3 };
    // new ones for each run: those of the one before may still be open
    let folder = format!("wires-{}", RUNS.fetch_add(1, Ordering::Relaxed));
    for name in ["to0", "to1", "to2", "from0", "from1", "from2"] {
        let name = format!("{folder}/{name}");
        home.place().fifo(&name).chmod(&name, 0o666);
    }
    let nonblocking = |file: String, options: &mut OpenOptions| {
        options.custom_flags(libc::O_NONBLOCK).open(home.join(&folder).join(file))
    };
    let from = (0..wires)
        .map(|n| nonblocking(format!("from{n}"), OpenOptions::new().read(true)).unwrap())
        .collect::<Vec<_>>();
    let background = if cleaner { "qmail-clean <from2 >to2 2>/dev/null &" } else { "" };
    let script = format!(
        "cd \"$QMAILHOME\"; exec 0>{log}; cd {folder}; {background} \
         exec qmail-send 1>from0 2<to0 3>from1 4<to1 5>from2 6<to2"
    );
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &script]).env_clear();
    for (name, value) in home.program("qmail-send").get_envs() {
        shell.env(name, value.unwrap());
    }
    let run = start(home.as_its_user(&mut shell));
    let wires = from.into_iter().enumerate().map(|(n, from)| {
        let mut to = None;
        until(LIMIT, "qmail-send listens", || {
            to = nonblocking(format!("to{n}"), OpenOptions::new().write(true)).ok();
            to.is_some()
        });
        Wire { from, to, heard: Vec::new() }
    });
    Sending { wires: wires.collect(), run }
}

impl Sending {
    /// Says something to qmail-send.
    #[track_caller]
    pub fn say(&mut self, wire: usize, bytes: impl AsRef<[u8]>) {
        self.wires[wire].to.as_mut().expect("hung up").write_all(bytes.as_ref()).unwrap();
    }

    /// Reports about a delivery.
    #[track_caller]
    pub fn report(&mut self, side: usize, number: u8, report: &str) {
        self.say(side, [&[number], report.as_bytes(), b"\0"].concat());
    }

    /// Hangs up, as a spawner does that dies.
    pub fn hang_up(&mut self, wire: usize) {
        self.wires[wire].to = None;
    }

    /// The next order.
    #[track_caller]
    pub fn order(&mut self, side: usize) -> Order {
        let number = self.wires[side].bytes(1)[0];
        let [message, sender, recipient] = [(); 3].map(|()| self.wires[side].string());
        Order { number, message, sender, recipient }
    }

    /// The recipients of the next orders, each with the number of its delivery.
    #[track_caller]
    pub fn orders(&mut self, side: usize, count: usize) -> Vec<(u8, String)> {
        let mut order = || self.order(side);
        (0..count).map(|_| order()).map(|order| (order.number, order.recipient)).collect()
    }

    /// The next order, and a report about it.
    #[track_caller]
    pub fn answer(&mut self, side: usize, report: &str) -> String {
        let order = self.order(side);
        self.report(side, order.number, report);
        order.recipient
    }

    /// The next request to qmail-clean.
    #[track_caller]
    pub fn request(&mut self) -> String {
        self.wires[CLEAN].string()
    }

    /// Whether qmail-send has said nothing more on this wire so far.
    pub fn is_silent(&mut self, wire: usize) -> bool {
        self.wires[wire].listen();
        self.wires[wire].heard.is_empty()
    }

    /// Waits for a line of the log that begins like this, and gives it.
    #[track_caller]
    pub fn log(&self, start: &str) -> String {
        let mut found = None;
        until(LIMIT, &format!("{start:?} in the log"), || {
            let log = self.run.out();
            found = log.lines().find(|line| line.starts_with(start)).map(str::to_owned);
            found.is_some() || self.run.ended().is_some()
        });
        found.unwrap_or_else(|| panic!("no {start:?} in the log:\n{}", self.run.out()))
    }

    /// Stops it, which has to work, and gives the log.
    #[track_caller]
    pub fn stop(self) -> String {
        self.run.signal(libc::SIGTERM);
        self.end(0)
    }

    /// Waits until it has ended, with this exit code, and gives the log.
    #[track_caller]
    pub fn end(self, code: i32) -> String {
        let output = self.run.finish(LIMIT);
        let log = shown(&output.stdout);
        assert_eq!(output.status.code(), Some(code), "{log}");
        log
    }
}

impl Wire {
    fn listen(&mut self) {
        let mut bytes = [0; 4096];
        match self.from.read(&mut bytes) {
            Ok(count) => self.heard.extend(&bytes[..count]),
            Err(why) => assert_eq!(why.kind(), ErrorKind::WouldBlock),
        }
    }

    #[track_caller]
    fn bytes(&mut self, count: usize) -> Vec<u8> {
        until(LIMIT, "something from qmail-send", || {
            self.listen();
            self.heard.len() >= count
        });
        self.heard.drain(..count).collect()
    }

    #[track_caller]
    fn string(&mut self) -> String {
        let mut end = None;
        until(LIMIT, "a string from qmail-send", || {
            self.listen();
            end = self.heard.iter().position(|byte| *byte == 0);
            end.is_some()
        });
        let bytes = self.bytes(end.unwrap() + 1);
        shown(&bytes[..bytes.len() - 1])
    }
}
