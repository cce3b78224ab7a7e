//! qmail-pop3d: give out the mail of a Maildir by POP3.
#![cfg_attr(not(test), no_main)]

use base::number;
use base::sys::{clock, fd, ids, signal};
use base::{Args, Code, Die, Result, say};
use mail::conversation::Conversation;
use mail::peer::Peer;
use mail::pop3::command::{self, Heard, LINE, Verb, after_blanks};
use mail::pop3::maildrop::{self, Maildrop, Message};
use mail::pop3::text::Encoder;
use mail::pop3::{CAPABILITIES, LINE_TOO_LONG, OK, no};
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

base::program!("qmail-pop3d", run);

/// A client may take so long for each command, and for each read and write.
const PATIENCE: Duration = Duration::from_secs(1200);

/// Bytes of a message read at once.
const BLOCK: usize = 65536;

/// It runs as root, who has no mail: whoever logs in as root should not learn more.
const ROOT: u8 = 1;

const NO_MAILDIR: &str = "this user has no $HOME/Maildir";
const NO_SCAN: &str = "unable to scan $HOME/Maildir";
const NO_OPEN: &str = "unable to open that message";
const NO_UNLINK: &str = "unable to unlink all deleted messages";
const UNIMPLEMENTED: &str = "unimplemented";

fn run(words: Args) -> Result<Code> {
    if ids::real_uid() == 0 || ids::effective_uid() == 0 {
        say::raw(b"qmail-pop3d invoked as uid 0, terminating\n");
        return Err(Die::silent(ROOT));
    }
    // A message in the place of a closed descriptor would be taken for the client.
    let open = fd::is_open(0) && fd::is_open(1);
    if open && signal::ignore(signal::PIPE).is_ok() {
        let mut client = Conversation::with(Peer::new(fd::STDIN, fd::STDOUT, PATIENCE));
        // However the client goes away, it has gone: only QUIT changes anything.
        let _ = serve(&words, &mut client).and_then(|()| client.flush());
    }
    Ok(Code::DONE)
}

/// Opens the Maildir and does what the client says.
fn serve(words: &Args, client: &mut Conversation) -> io::Result<()> {
    let Some(Ok(())) = words.first().map(std::env::set_current_dir) else {
        return client.say(&no(NO_MAILDIR));
    };
    let now = i64::try_from(clock::seconds()).unwrap_or(i64::MAX);
    maildrop::sweep(now);
    match Maildrop::scan(now) {
        Ok(mail) => Session { mail, client, block: vec![0; BLOCK] }.converse(),
        Err(_) => client.say(&no(NO_SCAN)),
    }
}

/// A client who is known.
struct Session<'a, 'b> {
    mail: Maildrop,
    client: &'a mut Conversation<'b>,
    /// Room to read messages into.
    block: Vec<u8>,
}

impl Session<'_, '_> {
    fn converse(&mut self) -> io::Result<()> {
        self.client.say(OK)?;
        let mut line = Vec::with_capacity(LINE);
        loop {
            match command::read(self.client, &mut line)? {
                Heard::End => return Ok(()),
                Heard::TooLong => self.refuse(LINE_TOO_LONG)?,
                Heard::Line => match command::parse(&line) {
                    (Verb::Quit, _) => return self.quit(),
                    (verb, argument) => self.obey(verb, argument)?,
                },
            }
        }
    }

    fn quit(&mut self) -> io::Result<()> {
        if self.mail.update() { self.client.say(OK) } else { self.refuse(NO_UNLINK) }
    }

    fn refuse(&mut self, why: &str) -> io::Result<()> {
        self.client.say(&no(why))
    }

    /// Does what one command says.
    fn obey(&mut self, verb: Verb, argument: &[u8]) -> io::Result<()> {
        match verb {
            Verb::Stat => {
                let kept = self.mail.all().iter().filter(|message| !message.deleted);
                let bytes: u64 = kept.map(|message| message.size).sum();
                // Deleted ones count too, as the originals have it.
                let count = self.mail.all().len();
                self.client.say(format!("+OK {count} {bytes}\r\n").as_bytes())
            }
            Verb::List => self.list(argument, |message| message.size.to_string().into()),
            Verb::Uidl => self.list(argument, Message::unique),
            // RETR with a number of lines is TOP, and TOP without one is RETR.
            Verb::Retr | Verb::Top => match self.mail.find(argument) {
                Ok(place) => self.send(place, second_number(argument)),
                Err(why) => self.refuse(why),
            },
            Verb::Dele => match self.mail.find(argument) {
                Ok(place) => {
                    self.mail.delete(place);
                    self.client.say(OK)
                }
                Err(why) => self.refuse(why),
            },
            Verb::Rset => {
                self.mail.reset();
                self.client.say(OK)
            }
            Verb::Last => self.client.say(format!("+OK {}\r\n", self.mail.last()).as_bytes()),
            Verb::Noop => self.client.say(OK),
            Verb::Capa => self.client.say(CAPABILITIES),
            _ => self.refuse(UNIMPLEMENTED),
        }
    }

    /// Says something of one message, or of all that are not deleted.
    fn list(&mut self, argument: &[u8], what: fn(&Message) -> Vec<u8>) -> io::Result<()> {
        let line = |place: usize, message: &Message| {
            [(place + 1).to_string().as_bytes(), b" ", &what(message), b"\r\n"].concat()
        };
        if !argument.is_empty() {
            return match self.mail.find(argument) {
                Err(why) => self.refuse(why),
                Ok(place) => {
                    self.client.say(b"+OK ")?;
                    self.client.say(&line(place, &self.mail.all()[place]))
                }
            };
        }
        self.client.say(OK)?;
        for (place, message) in self.mail.all().iter().enumerate() {
            if !message.deleted {
                self.client.say(&line(place, message))?;
            }
        }
        self.client.say(b".\r\n")
    }

    /// Sends a message, or its header and so many lines. A message that cannot be read to its end
    /// ends the session: what was sent must not be taken for all of it.
    fn send(&mut self, place: usize, lines: Option<u64>) -> io::Result<()> {
        let Ok(file) = self.mail.open(place) else {
            return self.refuse(NO_OPEN);
        };
        self.client.say(OK)?;
        let mut encoder = Encoder::new(lines);
        let mut left = self.mail.all()[place].size;
        while !encoder.is_full() {
            // Less than a block is not the end yet: a read may give any part of what there is.
            // What was the size of the file is the end if there was room for more.
            let count = fd::read(file.as_fd(), &mut self.block)?;
            self.client.say_with(|to| encoder.pass(&self.block[..count], to))?;
            left = left.wrapping_sub(count as u64);
            if count == 0 || (left == 0 && count < self.block.len()) {
                break;
            }
        }
        self.client.say_with(|to| encoder.end(to))
    }
}

/// The number that follows the first one and blanks.
fn second_number(argument: &[u8]) -> Option<u64> {
    let digits = argument.iter().take_while(|byte| byte.is_ascii_digit()).count();
    number::leading(after_blanks(&argument[digits..]))
}
