//! qmail-local: exit 0 means that all of a message is where .qmail says; otherwise it is tried
//! again, and what is there is either nothing or the whole.

use crate::faults::is_harmless;
use crate::installation::{Installation, installation};
use crate::sweep::{Case, sweep};
use crate::tamper::{Strike, held};
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

/// What is in the mailbox before.
const BEFORE: &str = "From a@b.example Thu Jan  1 00:00:00 1970\nSubject: old\n\nOld.\n\n";

fn text() -> String {
    "Subject: sweep\n\n".to_owned() + &"A line of a message.\n".repeat(500)
}

/// A user with a .qmail file, who has an installation of his own to forward to.
struct User {
    home: Installation,
}

impl User {
    fn new(instructions: &str) -> Self {
        let home = installation();
        home.write("message", text()).write("joe/.qmail", instructions).maildir("joe/Maildir");
        home.give("joe");
        User { home }
    }

    fn renew(&self) {
        for folder in ["joe/Maildir/tmp", "joe/Maildir/new", "queue/todo", "queue/pid"] {
            self.empty(folder);
        }
        self.home.write("joe/Mailbox", BEFORE);
        let _ = fs::remove_file(self.home.join("joe/taken"));
    }

    fn empty(&self, folder: &str) {
        for name in self.home.place().names(folder) {
            fs::remove_file(self.home.join(folder).join(name)).unwrap();
        }
    }

    fn command(&self) -> Command {
        let mut local = self.home.program("qmail-local");
        local.args(["--", "joe"]).arg(self.home.join("joe"));
        local.args(["joe", "", "", "a.example", "me@far.example", "./Mailbox"]);
        let mut command = held(&local);
        self.home.as_its_user(&mut command);
        command.stdin(File::open(self.home.join("message")).unwrap());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn read(&self, name: impl AsRef<Path>) -> Option<String> {
        fs::read_to_string(self.home.join(name)).ok()
    }
}

/// The codes that tell qmail-lspawn to try again; 127 is a start that the C library gives up.
fn temporary(code: Option<i32>) -> Result<(), String> {
    match code {
        None | Some(0 | 111 | 127) => Ok(()),
        Some(other) => Err(format!("no temporary failure: {other}")),
    }
}

struct Maildir(User);

impl Case for Maildir {
    fn new() -> Self {
        Maildir(User::new("./Maildir/\n"))
    }

    fn renew(&self) {
        self.0.renew();
    }

    fn command(&self) -> Command {
        self.0.command()
    }

    fn check(&self, code: Option<i32>) -> Result<(), String> {
        let folder = Path::new("joe/Maildir/new");
        let mail = self.0.home.place().names(folder);
        for name in &mail {
            let mail = self.0.read(folder.join(name)).unwrap_or_default();
            let head = "Return-Path: <me@far.example>\nDelivered-To: joe@a.example\n";
            if mail != format!("{head}{}", text()) {
                return Err(format!("a message of {} bytes", mail.len()));
            }
        }
        match mail.len() {
            0 if code == Some(0) => Err("delivered, it says, but nothing is there".into()),
            0 | 1 => temporary(code),
            more => Err(format!("delivered {more} times")),
        }
    }
}

struct Mailbox(User);

impl Case for Mailbox {
    fn new() -> Self {
        Mailbox(User::new("./Mailbox\n"))
    }

    fn renew(&self) {
        self.0.renew();
    }

    fn command(&self) -> Command {
        self.0.command()
    }

    fn check(&self, code: Option<i32>) -> Result<(), String> {
        let mbox = self.0.read("joe/Mailbox").unwrap_or_default();
        let Some(new) = mbox.strip_prefix(BEFORE) else {
            return Err("the old mail is damaged".into());
        };
        let whole = new.starts_with("From me@far.example ")
            && new.ends_with(&format!("\nDelivered-To: joe@a.example\n{}\n", text()));
        match code {
            Some(0) if !whole => Err("delivered, it says, but it is not there".into()),
            Some(111 | 127) if !new.is_empty() => Err("a part of the message is left".into()),
            _ => temporary(code),
        }
    }
}

struct Program(User);

impl Case for Program {
    fn new() -> Self {
        Program(User::new("|cat >taken.new && mv taken.new taken\n"))
    }

    fn renew(&self) {
        self.0.renew();
    }

    fn command(&self) -> Command {
        self.0.command()
    }

    fn check(&self, code: Option<i32>) -> Result<(), String> {
        let taken = self.0.read("joe/taken");
        match (code, taken) {
            (Some(0), None) => Err("delivered, it says, but nothing is there".into()),
            (_, Some(taken)) if taken != text() => Err(format!("{} bytes", taken.len())),
            _ => temporary(code),
        }
    }

    /// The shell and what it runs are not ours.
    fn excused(strike: &Strike, _: &str) -> bool {
        !strike.call.who.is_empty() && is_harmless(strike)
    }
}

/// Two addresses get one message, in a queue of their own.
struct Forward(User);

impl Case for Forward {
    fn new() -> Self {
        Forward(User::new("&ann@b.example\n&bob@c.example\n"))
    }

    fn renew(&self) {
        self.0.renew();
    }

    fn command(&self) -> Command {
        self.0.command()
    }

    fn check(&self, code: Option<i32>) -> Result<(), String> {
        let queued = self.0.home.numbers("todo");
        let envelope = |number| self.0.read(self.0.home.file("todo", number));
        let whole = |number| {
            let envelope = envelope(number).unwrap_or_default();
            envelope.ends_with("Fme@far.example\0Tann@b.example\0Tbob@c.example\0")
        };
        match &queued[..] {
            [] if code == Some(0) => Err("forwarded, it says, but nothing is queued".into()),
            [] => temporary(code),
            [number] if whole(*number) => temporary(code),
            _ => Err(format!("{} messages, or a wrong envelope", queued.len())),
        }
    }
}

#[test]
fn a_maildir_gets_the_whole_message_or_none() {
    sweep::<Maildir>("qmail-local to a Maildir");
}

#[test]
fn an_mbox_is_as_it_was_after_a_failure() {
    sweep::<Mailbox>("qmail-local to an mbox");
}

#[test]
fn a_program_that_cannot_take_a_message_gets_it_again() {
    sweep::<Program>("qmail-local to a program");
}

#[test]
fn forwarding_queues_the_message_or_is_tried_again() {
    sweep::<Forward>("qmail-local to addresses");
}
