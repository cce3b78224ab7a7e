//! A qmail-queue that stays and uses its envelope files again (queue::reuse): whatever fails, and
//! after every power cut, no message has the recipients of another.

use crate::disk::Names::{Apart, InOrder};
use crate::installation::{Installation, installation, installation_in};
use crate::outages::delivers;
use crate::replay::replay;
use crate::sweep::{Case, sampled, sweep};
use crate::tamper::{Progress, held_with};
use crate::trace::{Act, Event, Record};
use crate::whole::{accepted, recorded_script};
use base::sys::poll;
use base::sys::socket;
use std::collections::HashSet;
use std::fs::{self, File};
use std::os::fd::{AsFd, OwnedFd};
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;
use tests::{scratch_in_memory, skip};

/// From the fourth message on, each may have the envelope file of an older one.
const MESSAGES: usize = 5;

/// How long something else may come when all has come that was to come.
const MORE: Duration = Duration::from_millis(100);

/// A message that tells its number.
fn text(number: usize) -> String {
    format!("Subject: message {number}\n\nText.\nend of message {number}\n")
}

/// Who gets it. The envelopes whose files are used again are longer than those that come then.
fn user(number: usize) -> String {
    format!("user{number}{}", if number < 4 { "-has-a-long-name" } else { "" })
}

/// What a qmail-queue has done.
#[derive(Default)]
struct Done {
    /// How many messages are queued, it says.
    said: usize,
    /// What was queued: texts and envelopes.
    queued: Vec<[String; 2]>,
}

/// A session whose messages are taken out of the queue before the next one comes.
struct Session {
    home: Installation,
    /// Our end, and that of qmail-queue.
    sockets: Mutex<Option<[OwnedFd; 2]>>,
    done: Mutex<Done>,
}

impl Session {
    fn open(&self, what: &str, number: usize) -> File {
        File::open(self.home.join(format!("{what}-{number}"))).unwrap()
    }

    /// Waits until it says that a message is queued.
    fn is_queued(&self, ours: &OwnedFd, progress: &Progress) -> bool {
        loop {
            let is_over = progress.is_over();
            if poll::readable(ours.as_fd(), Duration::from_millis(5)).unwrap() {
                return socket::receive_now(ours.as_fd(), &mut [0; 17])
                    .is_ok_and(|count| count == 16);
            }
            if is_over {
                return false;
            }
        }
    }

    /// Takes all messages out of the queue, as qmail-send does.
    fn deliver(&self, done: &mut Done) {
        for number in self.home.numbers("todo") {
            let name = |folder| self.home.join(self.home.file(folder, number));
            let read = |folder| fs::read_to_string(name(folder)).unwrap_or_default();
            done.queued.push(["mess", "todo"].map(read));
        }
        self.empty();
    }

    fn empty(&self) {
        for folder in ["intd", "todo", "mess"] {
            for number in self.home.numbers(folder) {
                fs::remove_file(self.home.join(self.home.file(folder, number))).unwrap();
            }
        }
    }
}

impl Case for Session {
    fn new() -> Self {
        let home = installation();
        for number in 1..=MESSAGES {
            let envelope = format!("Fme@b.example\0T{}@a.example\0\0", user(number));
            home.write(format!("text-{number}"), text(number));
            home.write(format!("envelope-{number}"), envelope);
        }
        Session { home, sockets: Mutex::default(), done: Mutex::default() }
    }

    fn renew(&self) {
        self.empty();
        for name in self.home.place().names("queue/pid") {
            fs::remove_file(self.home.join("queue/pid").join(name)).unwrap();
        }
        let (ours, theirs) = socket::packet_pair().unwrap();
        *self.sockets.lock().unwrap() = Some([ours, theirs]);
        *self.done.lock().unwrap() = Done::default();
    }

    fn command(&self) -> Command {
        let mut command = held_with("5<&2 2>/dev/null", &self.home.program("qmail-queue"));
        self.home.as_its_user(&mut command);
        let sockets = self.sockets.lock().unwrap();
        command.stdin(self.open("text", 1)).stdout(self.open("envelope", 1));
        command.stderr(sockets.as_ref().unwrap()[1].try_clone().unwrap());
        command
    }

    fn accompany(&self, progress: &Progress) {
        let sockets = self.sockets.lock().unwrap();
        let ours = &sockets.as_ref().unwrap()[0];
        let mut done = self.done.lock().unwrap();
        for number in 1..=MESSAGES {
            let (text, envelope) = (self.open("text", number), self.open("envelope", number));
            let order = [text.as_fd(), envelope.as_fd()];
            if number > 1 && socket::send_with(ours.as_fd(), b"+", order).is_err()
                || !self.is_queued(ours, progress)
            {
                break;
            }
            done.said = number;
            self.deliver(&mut done);
        }
        let _ = socket::end_output(ours.as_fd());
    }

    fn is_done(&self, code: Option<i32>) -> bool {
        let said = self.done.lock().unwrap().said;
        code == Some(0) && said == MESSAGES && self.home.place().names("queue/pid").is_empty()
    }

    fn check(&self, code: Option<i32>) -> Result<(), String> {
        let mut done = self.done.lock().unwrap();
        self.deliver(&mut done);
        let mut seen = Vec::new();
        for [mess, todo] in &done.queued {
            let number = (1..=MESSAGES).find(|number| mess.ends_with(&text(*number)));
            let number = number.ok_or_else(|| format!("queued, but not whole: {mess:?}"))?;
            let to = format!("\0Fme@b.example\0T{}@a.example\0", user(number));
            if !(todo.starts_with('u') && todo.ends_with(&to) && todo.matches('\0').count() == 4) {
                return Err(format!("the envelope of message {number}: {todo:?}"));
            }
            if seen.contains(&number) {
                return Err(format!("message {number} is queued twice"));
            }
            seen.push(number);
        }
        if !(1..=done.said).all(|number| seen.contains(&number)) {
            return Err(format!("{} are queued, it says, but only {seen:?} are", done.said));
        }
        match code {
            None | Some(0 | 51..=54 | 61..=66 | 81 | 111 | 127) => Ok(()),
            Some(other) => Err(format!("no temporary failure: {other}")),
        }
    }
}

#[test]
fn an_envelope_file_has_one_message_at_a_time() {
    sampled::<Session>("qmail-queue with five messages", 4);
}

#[test]
#[ignore = "torture"]
fn an_envelope_file_has_one_message_at_a_time_whatever_fails() {
    sweep::<Session>("qmail-queue with five messages");
}

/// An installation where each user has a Maildir, and what a client says for each message. No two
/// messages have the same number: where names are apart, an old envelope could come back, and it
/// would be that of a new text.
fn home() -> Option<Installation> {
    let home = installation_in(scratch_in_memory()?);
    home.control("rcpthosts", "a.example\n");
    for number in 1..=MESSAGES {
        let (user, text) = (user(number), text(number).replace('\n', "\r\n"));
        home.maildir(&format!("alias/Maildir{number}"));
        home.write(format!("alias/.qmail-{user}"), format!("./Maildir{number}/\n"));
        let mail = format!("MAIL FROM:<>\r\nRCPT TO:<{user}@a.example>\r\nDATA\r\n{text}.\r\n");
        home.write(format!("mail-{number}"), mail);
    }
    home.give("alias");
    Some(home)
}

/// A session of qmail-smtpd, recorded, in a mail system at work: each message comes when the one
/// before is delivered and has left the queue.
fn recorded(home: &Installation) -> Record {
    let numbers: String = (1..=MESSAGES).map(|number| format!("{number} ")).collect();
    let script = format!(
        "\"$0\" ./Mailbox & echo $! >$TELL
        (
            echo HELO there
            for n in {numbers}; do
                cat mail-$n
                until [ -e alias/Maildir$n/new/* ]; do sleep .02; done
                while [ -e queue/todo/* ]; do sleep .02; done
            done
        ) | qmail-smtpd;"
    );
    recorded_script(home, &script)
}

/// Each Maildir has its message, if that was accepted, and no other one.
fn has_mail(home: &Installation, accepted: usize) -> Result<(), String> {
    for number in 1..=MESSAGES {
        let folder = format!("alias/Maildir{number}/new");
        let names = home.place().names(&folder);
        for name in &names {
            let mail = home.place().text(format!("{folder}/{name}"));
            if !mail.ends_with(&text(number)) {
                return Err(format!("user {number} has {mail:?}"));
            }
        }
        if number <= accepted && names.is_empty() {
            return Err(format!("message {number} is lost"));
        }
    }
    Ok(())
}

fn power_cuts(most: usize) {
    let Some(home) = home() else { return skip("needs a file system in memory") };
    let record = recorded(&home);
    let file = |event: &Event| match &event.act {
        Act::Name { name, file } if name.starts_with("queue/intd/") => Some(*file),
        _ => None,
    };
    let files: HashSet<_> = record.events.iter().filter_map(file).collect();
    assert!(files.len() < MESSAGES, "no file was used again");
    let name = "a session of several messages";
    replay(name, &record, (InOrder, most), |state, past| {
        delivers(state, |home| has_mail(home, accepted(past)), |home| home.folders().is_empty())
    });
    // where names are apart, something may be left of what has ended: nobody can wait for its end
    replay(name, &record, (Apart, most), |state, past| {
        let has_mail = |home: &_| has_mail(home, accepted(past));
        delivers(state, has_mail, |home| {
            let came = has_mail(home).is_ok();
            thread::sleep(if came { MORE } else { Duration::ZERO });
            came
        })
    });
}

#[test]
fn after_a_power_cut_no_message_has_the_recipients_of_another() {
    power_cuts(2);
}

#[test]
#[ignore = "torture"]
fn after_every_power_cut_no_message_has_the_recipients_of_another() {
    power_cuts(30);
}
