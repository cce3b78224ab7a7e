//! Servers that hand messages to qmail-queue: a client who is told that his message is accepted
//! has it wholly in the queue, and no fault of ours is answered as if it were his for good.

use crate::installation::{Installation, installation};
use crate::netstrings::{netstring, netstrings};
use crate::sweep::{Case, sampled, sweep};
use crate::tamper::held;
use std::fs::{self, File};
use std::process::{Command, Stdio};

const MESSAGE: &str = "Subject: sweep\n\nText.\n";

/// A way to hand over messages, each from somebody to one recipient.
pub struct Protocol {
    /// The server.
    pub program: &'static str,
    /// How many messages: the second one is for a qmail-queue that has stayed.
    messages: usize,
    /// All that the client says.
    pub said: fn() -> Vec<u8>,
    /// What is in the answer to a message that is accepted.
    accepted: &'static str,
    /// Whether the client is told never to come again.
    refused: fn(&str) -> bool,
}

const SMTP: usize = 0;
const QMTP: usize = 1;
const QMQP: usize = 2;

pub const PROTOCOLS: [Protocol; 3] = [
    Protocol {
        program: "qmail-smtpd",
        messages: 2,
        said: || {
            let text = MESSAGE.replace('\n', "\r\n");
            let mail = "MAIL FROM:<me@b.example>\r\nRCPT TO:<you@a.example>\r\nDATA\r\n";
            format!("EHLO b.example\r\n{mail}{text}.\r\n{mail}{text}.\r\nQUIT\r\n").into()
        },
        accepted: " qp ",
        // once he is told to come later, a client does not go on as this one does
        refused: |answers| {
            let mut answers = answers.lines().take_while(|line| !line.starts_with('4'));
            answers.any(|line| line.starts_with('5'))
        },
    },
    Protocol {
        program: "qmail-qmtpd",
        messages: 2,
        said: || {
            let text = format!("\n{MESSAGE}");
            netstrings(&[text.as_bytes(), b"me@b.example", &netstring("you@a.example")]).repeat(2)
        },
        accepted: ":Kok ",
        refused: |answers| answers.contains(":D"),
    },
    Protocol {
        program: "qmail-qmqpd",
        messages: 1,
        said: || netstring(netstrings(&[MESSAGE, "me@b.example", "you@a.example"])),
        accepted: ":Kok ",
        refused: |answers| answers.contains(":D"),
    },
];

/// A server by the number of its protocol.
struct Server<const PROTOCOL: usize>(Installation);

impl<const PROTOCOL: usize> Case for Server<PROTOCOL> {
    fn new() -> Self {
        let home = installation();
        home.write("said", (PROTOCOLS[PROTOCOL].said)());
        home.control("rcpthosts", "a.example\n");
        Server(home)
    }

    fn renew(&self) {
        for number in self.0.numbers("todo") {
            fs::remove_file(self.0.join(self.0.file("todo", number))).unwrap();
        }
    }

    fn command(&self) -> Command {
        let mut command = held(&self.0.program(PROTOCOLS[PROTOCOL].program));
        self.0.as_its_user(&mut command).stdin(File::open(self.0.join("said")).unwrap());
        command.stdout(File::create(self.0.join("answers")).unwrap()).stderr(Stdio::null());
        command
    }

    fn is_done(&self, _: Option<i32>) -> bool {
        self.accepted() == PROTOCOLS[PROTOCOL].messages
    }

    fn check(&self, _: Option<i32>) -> Result<(), String> {
        let read = |folder, number| fs::read_to_string(self.0.join(self.0.file(folder, number)));
        let queued = self.0.numbers("todo");
        for number in &queued {
            let envelope = "\0Fme@b.example\0Tyou@a.example\0";
            let whole = read("todo", *number).is_ok_and(|text| text.ends_with(envelope))
                && read("mess", *number).is_ok_and(|text| text.ends_with(MESSAGE));
            if !whole {
                return Err("queued, but not wholly".into());
            }
        }
        let answers = self.0.place().text("answers");
        match queued.len() {
            some if some < self.accepted() => {
                Err(format!("{some} are queued, and accepted, it says: {answers}"))
            }
            some if some > PROTOCOLS[PROTOCOL].messages => Err(format!("queued {some} times")),
            _ if (PROTOCOLS[PROTOCOL].refused)(&answers) => {
                Err(format!("refused for good: {answers}"))
            }
            _ => Ok(()),
        }
    }
}

impl<const PROTOCOL: usize> Server<PROTOCOL> {
    /// How many messages are accepted, it says.
    fn accepted(&self) -> usize {
        self.0.place().text("answers").matches(PROTOCOLS[PROTOCOL].accepted).count()
    }
}

#[test]
fn qmail_smtpd_says_250_only_when_it_is_queued() {
    sampled::<Server<SMTP>>("qmail-smtpd", 2);
}

#[test]
fn qmail_qmtpd_says_k_only_when_it_is_queued() {
    sampled::<Server<QMTP>>("qmail-qmtpd", 4);
}

#[test]
fn qmail_qmqpd_says_k_only_when_it_is_queued() {
    sampled::<Server<QMQP>>("qmail-qmqpd", 4);
}

#[test]
#[ignore = "torture"]
fn servers_promise_only_what_is_queued_whatever_fails() {
    sweep::<Server<SMTP>>("qmail-smtpd");
    sweep::<Server<QMTP>>("qmail-qmtpd");
    sweep::<Server<QMQP>>("qmail-qmqpd");
}
