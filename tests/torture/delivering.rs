//! qmail-local: exit 0 means that all of a message is where .qmail says; otherwise it is tried
//! again, and what is there is either nothing or the whole.

use crate::accounts::with_accounts;
use crate::faults::is_harmless;
use crate::installation::{Installation, installation};
use crate::sweep::{Case, sampled, sweep};
use crate::tamper::{Fault, Strike, held};
use nix::errno::Errno;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use tests::{Scratch, program, root, scratch};

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

/// qmail-getpw is asked whose an address is: one of joe's, or one of alias's, as nobody has it.
struct Owner<const JOES: bool>(Scratch);

const JOE: u32 = 7101;
const ALIAS: u32 = 7790;

impl<const JOES: bool> Case for Owner<JOES> {
    fn new() -> Self {
        let place = scratch();
        place.dir("joe").chown("joe", JOE, JOE).dir("alias").chown("alias", ALIAS, ALIAS);
        Owner(place)
    }

    fn renew(&self) {}

    fn command(&self) -> Command {
        let [joe, alias] = ["joe", "alias"].map(|name| self.0.join(name).display().to_string());
        let accounts = format!("joe:x:{JOE}:{JOE}::{joe}:\nalias:x:{ALIAS}:{ALIAS}::{alias}:\n");
        let mut getpw = program("qmail-getpw");
        getpw.arg(if JOES { "joe-list" } else { "list" });
        let mut command = with_accounts(&self.0, &accounts, &held(&getpw)).expect("root");
        command.stdout(File::create(self.0.join("said")).unwrap()).stderr(Stdio::null());
        command
    }

    /// The C library cannot read /etc/passwd if a signal comes; then it is tried again.
    fn excused(strike: &Strike, why: &str) -> bool {
        why == "that is no failure" && strike.fault == Fault::Error(Errno::EINTR)
    }

    fn check(&self, code: Option<i32>) -> Result<(), String> {
        let (name, number) = if JOES { ("joe", JOE) } else { ("alias", ALIAS) };
        let home = self.0.join(name).display().to_string();
        let right = format!("{name}\0{number}\0{number}\0{home}\0-\0list\0");
        match code {
            Some(0) if self.0.read("said") != right.as_bytes() => {
                Err(format!("another one's, it says: {}", self.0.text("said")))
            }
            // the trouble that qmail-lspawn waits for to end, and a start that the C library gives up
            None | Some(0 | 111 | 115 | 118 | 127) => Ok(()),
            Some(other) => Err(format!("no temporary failure: {other}")),
        }
    }
}

#[test]
fn qmail_getpw_gives_nobodys_mail_to_another() {
    if root() {
        sampled::<Owner<true>>("qmail-getpw", 2);
        sampled::<Owner<false>>("qmail-getpw, of alias", 2);
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

#[test]
#[ignore = "torture"]
fn qmail_getpw_gives_nobodys_mail_to_another_whatever_fails() {
    if root() {
        sweep::<Owner<true>>("qmail-getpw");
        sweep::<Owner<false>>("qmail-getpw, of alias");
    }
}
