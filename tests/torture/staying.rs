//! A qmail-local that stays, with several orders at once: what it says of each is so, whatever
//! fails, and what it says is on disk.

use crate::installation::{Installation, installation};
use crate::order::{Rule, complaints};
use crate::sweep::{Case, sampled, sweep};
use crate::tamper::held;
use crate::trace::{Act, Event, record};
use base::sys::socket;
use mail::runner;
use std::fs::{self, File};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, Stdio};
use std::sync::Mutex;

/// The extensions of the orders, which have the numbers 1, 2 ... Two are for one Maildir.
const ORDERS: [&str; 4] = ["", "other", "program", ""];

/// Where the mail of each is then.
const PLACES: [&str; 4] = ["joe/Maildir/new", "joe/Other/new", "joe/programs", "joe/Maildir/new"];

fn text() -> String {
    "Subject: sweep\n\n".to_owned() + &"A line of a message.\n".repeat(500)
}

/// The orders that have been given, and what is said of them.
struct Orders {
    ours: OwnedFd,
    theirs: OwnedFd,
}

impl Orders {
    /// For joe, who has all that he needs in this installation.
    fn new(home: &Installation) -> Self {
        let (ours, theirs) = socket::packet_pair().unwrap();
        let null = File::options().write(true).open("/dev/null").unwrap();
        for (number, ext) in (1..).zip(ORDERS) {
            let folder = home.join("joe").display().to_string();
            let dash = if ext.is_empty() { "" } else { "-" };
            let words =
                ["joe", &folder, "joe", dash, ext, "a.example", "me@far.example", "./Mailbox"];
            let packet = runner::packet(number, &words.map(Into::into)).unwrap();
            let message = File::open(home.join("message")).unwrap();
            socket::send_with(ours.as_fd(), &packet, [message.as_fd(), null.as_fd()]).unwrap();
        }
        // no more come
        socket::end_output(ours.as_fd()).unwrap();
        Orders { ours, theirs }
    }

    /// The number of each order that it has answered, and the exit code.
    fn answers(&self) -> Vec<(usize, u8)> {
        let mut packet = [0; 3];
        let mut answers = Vec::new();
        while let Ok(2) = socket::receive_now(self.ours.as_fd(), &mut packet) {
            answers.push((packet[0].into(), packet[1]));
        }
        answers
    }
}

fn joes_home() -> Installation {
    let home = installation();
    home.write("message", text()).write("joe/.qmail", "./Maildir/\n");
    home.write("joe/.qmail-other", "./Other/\n");
    home.write("joe/.qmail-program", "|cat >taken && mv taken programs/$$\n");
    home.maildir("joe/Maildir").maildir("joe/Other");
    fs::create_dir(home.join("joe/programs")).unwrap();
    home.give("joe");
    home
}

/// One who gets all of them at once.
struct Together {
    home: Installation,
    orders: Mutex<Option<Orders>>,
    answers: Mutex<Vec<(usize, u8)>>,
}

impl Case for Together {
    fn new() -> Self {
        Together { home: joes_home(), orders: Mutex::default(), answers: Mutex::default() }
    }

    fn renew(&self) {
        for folder in ["Maildir/tmp", "Maildir/new", "Other/tmp", "Other/new", "programs"] {
            for name in self.home.place().names(format!("joe/{folder}")) {
                fs::remove_file(self.home.join("joe").join(folder).join(name)).unwrap();
            }
        }
        *self.orders.lock().unwrap() = Some(Orders::new(&self.home));
    }

    fn command(&self) -> Command {
        let mut command = held(self.home.program("qmail-local").arg("-w"));
        self.home.as_its_user(&mut command);
        let orders = self.orders.lock().unwrap();
        command.stdin(orders.as_ref().unwrap().theirs.try_clone().unwrap());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn is_done(&self, code: Option<i32>) -> bool {
        let answers = self.answers.lock().unwrap();
        code == Some(0) && (1..=ORDERS.len()).all(|number| answers.contains(&(number, 0)))
    }

    fn check(&self, code: Option<i32>) -> Result<(), String> {
        let answers = self.orders.lock().unwrap().as_ref().unwrap().answers();
        *self.answers.lock().unwrap() = answers.clone();
        for (at, (number, code)) in answers.iter().enumerate() {
            if answers[..at].iter().any(|(other, _)| other == number) {
                return Err(format!("two answers for {number}"));
            }
            if !(1..=ORDERS.len()).contains(number) || !matches!(code, 0 | 111) {
                return Err(format!("{code} for {number}"));
            }
        }
        for place in ["joe/Maildir/new", "joe/Other/new", "joe/programs"] {
            let names = self.home.place().names(place);
            let whole = |name: &String| {
                let mail = self.home.place().text(format!("{place}/{name}"));
                // a program gets the message as it is
                mail.ends_with(&text())
            };
            let orders = PLACES.iter().filter(|other| **other == place).count();
            let said = |wanted: u8| {
                let its =
                    |(number, code): &&(usize, u8)| *code == wanted && PLACES[number - 1] == place;
                answers.iter().filter(its).count()
            };
            if !names.iter().all(whole) {
                return Err(format!("a part of a message in {place}"));
            }
            if names.len() < said(0) {
                return Err(format!("delivered, it says, but not all is in {place}"));
            }
            // what a program has done may stay though its end is not known
            if names.len() > orders - said(111) && place != "joe/programs" {
                return Err(format!("not delivered, it says, but it is in {place}"));
            }
        }
        match code {
            None | Some(0 | 111 | 127) => Ok(()),
            Some(other) => Err(format!("no temporary failure: {other}")),
        }
    }

    /// The shell and what it runs are not ours.
    fn excused(strike: &crate::tamper::Strike, why: &str) -> bool {
        strike.call.who.len() > 1 && why == "that is no failure"
    }
}

#[test]
fn each_of_several_orders_ends_as_it_says() {
    sampled::<Together>("qmail-local with four orders", 8);
}

#[test]
#[ignore = "torture"]
fn each_of_several_orders_ends_as_it_says_whatever_fails() {
    sweep::<Together>("qmail-local with four orders");
}

/// An answer that a message is delivered.
fn says_so(event: &Event) -> bool {
    event.who == "qmail-local" && matches!(&event.act, Act::Say { bytes } if bytes.len() == 2)
}

#[test]
fn several_messages_are_on_disk_before_the_first_is_answered() {
    let home = joes_home();
    home.write("joe/.qmail-program", "./Maildir/\n");
    let orders = Orders::new(&home);
    let record = record(
        home.home(),
        home.program("qmail-local").arg("-w"),
        |held| {
            home.as_its_user(held).stdin(orders.theirs.try_clone().unwrap());
            held.stdout(Stdio::null()).stderr(Stdio::null());
        },
        |_| (),
    );
    let published = |name: &str| name.contains("/new/");
    const RULES: [Rule; 1] =
        [Rule { when: |event, _| says_so(event), durable: |_, name| name.contains("/new/") }];
    assert_eq!(orders.answers(), [(1, 0), (2, 0), (3, 0), (4, 0)]);
    let (tested, wrong) = complaints(&record, published, &RULES);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(tested, 8);
    // four files, and each folder once
    let syncs = record.syncs("qmail-local");
    assert_eq!(syncs.len(), 6);
    for at in syncs {
        let (_, wrong) = complaints(&record.without(at), published, &RULES);
        assert!(!wrong.is_empty(), "nobody waits for {:?}", record.events[at]);
    }
}
