//! An SMTP session as the server sees it: a state machine that is fed with bytes and collects
//! replies. What needs the system it asks of its [`Host`].

use super::command::{self, Verb};
use super::replies::*;
use super::text::{Decoder, Ending};
use crate::hops::{self, Hops};
use crate::submission::Refusal;
use base::Code;
use base::sys::wait::Pid;
use memchr::memchr;

/// Bytes of a command line that are kept; longer ones are refused. RFC 5321, 4.5.3.1, asks for
/// 512 and what extensions add.
const LINE: usize = 4096;

/// What the recipients of one message may take up: each its length and [`RECIPIENT_COST`].
/// RFC 5321, 4.5.3.1.8, asks for a hundred; this is room for tens of thousands.
const RECIPIENTS: usize = 2 << 20;
const RECIPIENT_COST: usize = 64;

/// So many bytes of replies are written although the client has sent more commands.
const REPLIES: usize = 4096;

/// What a session needs from the program around it.
pub trait Host {
    /// MAIL: judges the sender.
    fn sender(&mut self, address: Vec<u8>) -> Verdict;
    /// RCPT: judges a recipient of the sender that was taken last.
    fn recipient(&mut self, address: Vec<u8>) -> Verdict;
    /// STARTTLS: gets ready for TLS, or says why that cannot be.
    fn prepare_tls(&mut self) -> Result<(), String>;
    /// DATA: starts the queue program, and gives it the Received line. `helo` is the name that
    /// the client gave itself. False if that fails.
    fn open(&mut self, helo: Option<&[u8]>) -> bool;
    /// Gives the queue program bytes of the message, lines ended by LF.
    fn text(&mut self, bytes: &[u8]);
    /// Ends the message: has it queued, or dropped if it is not `wanted`.
    fn close(&mut self, envelope: &Envelope, wanted: bool) -> Result<Receipt, Refusal>;
}

/// What becomes of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is taken, as this address.
    Take(Vec<u8>),
    /// It is refused with this reply.
    Refuse(&'static str),
    /// The session ends with this reply.
    HangUp(&'static str),
}

/// For whom a message is.
#[derive(Debug, Default)]
pub struct Envelope {
    /// Empty for a bounce.
    pub sender: Vec<u8>,
    /// At least one by the time of [`Host::open`].
    pub recipients: Vec<Vec<u8>>,
    /// What the recipients take up of [`RECIPIENTS`].
    room_taken: usize,
}

/// A message is safely in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The process number of the queue program.
    pub qp: Pid,
    /// When: Unix time.
    pub seconds: u64,
}

/// What a session has to do with TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd)]
pub enum Tls {
    /// Nothing: it cannot be begun, or has been.
    #[default]
    None,
    /// STARTTLS begins it,
    Offered,
    /// which must be before MAIL and RCPT,
    BeforeMail,
    /// or before all but EHLO, NOOP and QUIT.
    First,
}

impl Tls {
    /// Whether a command has to wait for it.
    fn forbids(self, verb: Verb) -> bool {
        match verb {
            Verb::Ehlo | Verb::Noop | Verb::Quit | Verb::Starttls => false,
            Verb::Mail | Verb::Rcpt => self >= Tls::BeforeMail,
            _ => self == Tls::First,
        }
    }
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// All input is used: write the replies, then feed more.
    More,
    /// Write the replies, then feed the rest.
    Flush,
    /// Write the replies, begin TLS, tell so by [`Session::secured`], then feed more.
    Secure,
    /// Write the replies and exit with this code.
    Exit(Code),
}

/// One connection.
pub struct Session {
    name: Vec<u8>,
    /// Bytes that a message may have; 0 is no limit.
    limit: u64,
    tls: Tls,
    replies: Vec<u8>,
    /// The command line so far, and whether it was too long to be kept whole.
    line: Vec<u8>,
    cut: bool,
    helo: Option<Vec<u8>>,
    /// From MAIL to DATA.
    envelope: Option<Envelope>,
    /// From DATA to the end of the text.
    message: Option<Message>,
}

/// A message that is coming in.
struct Message {
    envelope: Envelope,
    decoder: Decoder,
    hops: Hops,
    size: u64,
}

impl Session {
    /// Begins with the greeting. `name` is what this host calls itself, `limit` the bytes that a
    /// message may have (0: any).
    pub fn new(name: Vec<u8>, limit: u64, tls: Tls) -> Self {
        let mut session = Session {
            name,
            limit,
            tls,
            replies: Vec::new(),
            line: Vec::new(),
            cut: false,
            helo: None,
            envelope: None,
            message: None,
        };
        session.say_name(GREETING, GREETING_END);
        session
    }

    /// What is to be written to the client.
    pub fn replies(&self) -> &[u8] {
        &self.replies
    }

    /// The replies have been written.
    pub fn written(&mut self) {
        self.replies.clear();
    }

    /// TLS has begun: nothing counts of what was said before. RFC 3207, section 4.2.
    pub fn secured(&mut self) {
        self.tls = Tls::None;
        (self.helo, self.envelope) = (None, None);
    }

    /// Takes in what the client has sent. Tells how many bytes are used, and what is next.
    pub fn feed(&mut self, input: &[u8], host: &mut impl Host) -> (usize, Next) {
        let mut used = 0;
        while used < input.len() {
            let rest = &input[used..];
            let (count, next) = match self.message {
                None => self.commands(rest, host),
                Some(_) => self.text(rest, host),
            };
            used += count;
            if next != Next::More {
                return (used, next);
            }
            if self.replies.len() > REPLIES {
                return (used, Next::Flush);
            }
        }
        (used, Next::More)
    }

    /// Reads to the end of a command line.
    fn commands(&mut self, input: &[u8], host: &mut impl Host) -> (usize, Next) {
        let end = memchr(b'\n', input);
        let part = &input[..end.unwrap_or(input.len())];
        let room = LINE - self.line.len();
        self.line.extend_from_slice(&part[..part.len().min(room)]);
        self.cut |= part.len() > room;
        let Some(end) = end else { return (input.len(), Next::More) };
        let mut line = std::mem::take(&mut self.line);
        let next = if std::mem::take(&mut self.cut) {
            self.answer_now(LINE_TOO_LONG)
        } else {
            let last = end + 1 == input.len();
            self.command(line.strip_suffix(b"\r").unwrap_or(&line), last, host)
        };
        line.clear();
        self.line = line;
        (end + 1, next)
    }

    /// Does what a command says, the `last` one that has come. Replies to MAIL, RCPT and RSET may
    /// wait for more commands.
    fn command(&mut self, line: &[u8], last: bool, host: &mut impl Host) -> Next {
        let (verb, argument) = command::parse(line);
        if self.tls.forbids(verb) {
            return self.answer_now(TLS_FIRST);
        }
        match verb {
            Verb::Helo => {
                self.say_name(HELO, "");
                self.hello(argument)
            }
            Verb::Ehlo => {
                self.say_name(EHLO, "");
                self.say_extensions();
                self.hello(argument)
            }
            Verb::Mail => self.mail(argument, host),
            Verb::Rcpt => self.rcpt(argument, host),
            Verb::Data => self.data(host),
            Verb::Rset => {
                self.envelope = None;
                self.answer(FLUSHED)
            }
            Verb::Noop => self.answer_now(OK),
            Verb::Vrfy => self.answer_now(VRFY),
            Verb::Help => self.answer_now(HELP),
            Verb::Starttls if self.tls > Tls::None => self.starttls(argument, last, host),
            Verb::Starttls | Verb::Unknown => self.answer_now(UNIMPLEMENTED),
            Verb::Quit => {
                self.say_name(QUIT, "");
                Next::Exit(Code::DONE)
            }
        }
    }

    fn hello(&mut self, name: &[u8]) -> Next {
        self.envelope = None;
        self.helo = Some(name.to_vec());
        Next::Flush
    }

    fn say_extensions(&mut self) {
        let tls = (self.tls > Tls::None).then_some(STARTTLS);
        let all: Vec<&str> = EXTENSIONS.into_iter().chain(tls).collect();
        for (at, name) in all.iter().enumerate() {
            let before = if at + 1 == all.len() { LAST } else { MORE };
            self.say_all(&[before.as_bytes(), name.as_bytes()]);
        }
    }

    fn starttls(&mut self, argument: &[u8], last: bool, host: &mut impl Host) -> Next {
        if !argument.is_empty() {
            return self.answer_now(TLS_ARGUMENT);
        }
        if !last {
            return self.hang_up(TLS_UNREAD);
        }
        match host.prepare_tls() {
            Ok(()) => {
                self.say(TLS_GO_AHEAD);
                Next::Secure
            }
            Err(why) => self.answer_now(&format!("{TLS_NOT_NOW}{why}{TLS_NOT_NOW_END}")),
        }
    }

    fn mail(&mut self, argument: &[u8], host: &mut impl Host) -> Next {
        let Some(address) = command::address(argument) else {
            return self.answer(SYNTAX);
        };
        match host.sender(address) {
            Verdict::Take(sender) => {
                self.envelope = Some(Envelope { sender, ..Envelope::default() });
                self.answer(OK)
            }
            Verdict::Refuse(reply) => self.answer(reply),
            Verdict::HangUp(reply) => self.hang_up(reply),
        }
    }

    fn rcpt(&mut self, argument: &[u8], host: &mut impl Host) -> Next {
        let Some(envelope) = &mut self.envelope else {
            return self.answer(WANT_MAIL);
        };
        let Some(address) = command::address(argument) else {
            return self.answer(SYNTAX);
        };
        if envelope.room_taken + address.len() + RECIPIENT_COST > RECIPIENTS {
            return self.answer(TOO_MANY_RECIPIENTS);
        }
        match host.recipient(address) {
            Verdict::Take(recipient) => {
                envelope.room_taken += recipient.len() + RECIPIENT_COST;
                envelope.recipients.push(recipient);
                self.answer(OK)
            }
            Verdict::Refuse(reply) => self.answer(reply),
            Verdict::HangUp(reply) => self.hang_up(reply),
        }
    }

    fn data(&mut self, host: &mut impl Host) -> Next {
        let Some(envelope) = self.envelope.take() else {
            return self.answer_now(WANT_MAIL);
        };
        if envelope.recipients.is_empty() {
            self.envelope = Some(envelope);
            return self.answer_now(WANT_RCPT);
        }
        if !host.open(self.helo.as_deref()) {
            return self.answer_now(NO_QUEUE);
        }
        let (decoder, hops) = (Decoder::default(), Hops::default());
        self.message = Some(Message { envelope, decoder, hops, size: 0 });
        self.answer(GO_AHEAD)
    }

    /// Reads message text; of one that is too big, the queue program gets no more.
    fn text(&mut self, input: &[u8], host: &mut impl Host) -> (usize, Next) {
        let Some(Message { decoder, hops, size, .. }) = &mut self.message else {
            return (0, Next::More);
        };
        let limit = if self.limit == 0 { u64::MAX } else { self.limit };
        let (used, ending) = decoder.decode(input, |bytes| {
            hops.look(bytes);
            *size = size.saturating_add(bytes.len() as u64);
            if *size <= limit {
                host.text(bytes);
            }
        });
        let next = match ending {
            Ending::Open => Next::More,
            Ending::Complete => self.text_ended(limit, host),
            Ending::BareNewline => self.hang_up(BARE_NEWLINE),
        };
        (used, next)
    }

    fn text_ended(&mut self, limit: u64, host: &mut impl Host) -> Next {
        let Some(message) = self.message.take() else { return Next::More };
        let looping = message.hops.count() >= hops::TOO_MANY;
        let too_big = message.size > limit;
        match host.close(&message.envelope, !looping && !too_big) {
            Ok(Receipt { qp, seconds }) => {
                self.say(&format!("{ACCEPTED}{seconds}{ACCEPTED_QP}{qp}"));
            }
            Err(_) if looping => self.say(TOO_MANY_HOPS),
            Err(_) if too_big => self.say(TOO_BIG),
            Err(Refusal { permanent, text }) => {
                let code = if permanent { REFUSED } else { DEFERRED };
                // One line, whatever the queue program says.
                let text: Vec<u8> = text.iter().map(|byte| (*byte).max(b' ')).collect();
                self.say_all(&[code.as_bytes(), &text]);
            }
        }
        Next::Flush
    }

    fn answer(&mut self, reply: &str) -> Next {
        self.say(reply);
        Next::More
    }

    fn answer_now(&mut self, reply: &str) -> Next {
        self.say(reply);
        Next::Flush
    }

    fn hang_up(&mut self, reply: &str) -> Next {
        self.say(reply);
        Next::Exit(Code(1))
    }

    fn say(&mut self, reply: &str) {
        self.say_all(&[reply.as_bytes()]);
    }

    fn say_name(&mut self, before: &str, after: &str) {
        let name = std::mem::take(&mut self.name);
        self.say_all(&[before.as_bytes(), &name, after.as_bytes()]);
        self.name = name;
    }

    fn say_all(&mut self, parts: &[&[u8]]) {
        parts.iter().for_each(|part| self.replies.extend_from_slice(part));
        self.replies.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests;
