//! An SMTP client: gives one message to one server and tells what came of it.

use super::reply::{Parser, Reply};
use super::text::Encoder;
use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

/// Bytes of the message that are read at once, and about as many are written.
const BLOCK: usize = 32768;

/// Commands that are sent together if the server takes them so. Their replies have room in the
/// connection's buffers, so that neither side waits for the other for ever.
const GROUP: usize = 100;

/// A message, but for its text.
pub struct Letter<'a> {
    /// What this host calls itself.
    pub helo: &'a [u8],
    /// The envelope sender, quoted.
    pub sender: Vec<u8>,
    /// Envelope recipients, quoted; at least one.
    pub recipients: Vec<Vec<u8>>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The first reply was not 220.
    GreetingFailed(Reply),
    /// Neither EHLO nor HELO was taken.
    NameRejected(Reply),
    /// MAIL was refused.
    SenderRejected(Reply),
    /// No recipient was accepted.
    NoRecipient,
    /// DATA was refused.
    DataFailed(Reply),
    /// The message was refused after it was sent.
    MessageFailed(Reply),
    /// The server has the message.
    Accepted(Reply),
    /// The message does not end in a newline.
    PartialLine,
    /// The message could not be read.
    Unreadable,
    /// The connection broke. If that was `late`, after the end of the message was sent, the
    /// server may have it.
    Died {
        /// See above.
        late: bool,
    },
}

/// One connection.
pub struct Client<S> {
    stream: S,
    patience: Duration,
    /// Read, but not used yet.
    unread: Vec<u8>,
    /// Commands that were sent and have no reply yet.
    unanswered: usize,
    late: bool,
}

impl<S: Read + Write> Client<S> {
    /// Talks over this stream. A reply has to be complete after `patience`.
    pub fn new(stream: S, patience: Duration) -> Self {
        Client { stream, patience, unread: Vec::new(), unanswered: 0, late: false }
    }

    /// Gives the message to the server. `judged` hears the answer to each recipient, in order.
    pub fn deliver(
        mut self,
        letter: &Letter,
        message: &mut impl Read,
        judged: impl FnMut(&Reply),
    ) -> Outcome {
        let Ok(outcome) = self.converse(letter, message, judged) else {
            return Outcome::Died { late: self.late };
        };
        // In the middle of a message, QUIT would be text.
        if !matches!(outcome, Outcome::PartialLine | Outcome::Unreadable) {
            // The answer is not waited for, so nobody need know whether it can come.
            let _ = self.stream.write_all(b"QUIT\r\n");
        }
        outcome
    }

    fn converse(
        &mut self,
        letter: &Letter,
        message: &mut impl Read,
        mut judged: impl FnMut(&Reply),
    ) -> io::Result<Outcome> {
        let greeting = self.reply()?;
        if greeting.code != 220 {
            return Ok(Outcome::GreetingFailed(greeting));
        }
        let hello = self.hello(letter.helo)?;
        if hello.code != 250 {
            return Ok(Outcome::NameRejected(hello));
        }
        let group = if hello.offers("PIPELINING") { GROUP } else { 1 };
        let mut commands = letter.commands();
        let sender = self.ask(&mut commands, group)?;
        if sender.is_refusal() {
            return Ok(Outcome::SenderRejected(sender));
        }
        let mut accepted = false;
        for _ in &letter.recipients {
            let recipient = self.ask(&mut commands, group)?;
            accepted |= !recipient.is_refusal();
            judged(&recipient);
        }
        // If DATA has been sent already and is accepted all the same, the server sees the
        // connection end inside of a message.
        if !accepted {
            return Ok(Outcome::NoRecipient);
        }
        let data = self.ask(&mut commands, group)?;
        if data.is_refusal() {
            return Ok(Outcome::DataFailed(data));
        }
        if let Some(failure) = self.text(message)? {
            return Ok(failure);
        }
        let last = self.reply()?;
        if last.is_refusal() {
            return Ok(Outcome::MessageFailed(last));
        }
        Ok(Outcome::Accepted(last))
    }

    /// EHLO, or HELO for a server that does not know it.
    fn hello(&mut self, name: &[u8]) -> io::Result<Reply> {
        let line = |verb: &[u8]| Some([verb, b" ", name, b"\r\n"].concat()).into_iter();
        let reply = self.ask(&mut line(b"EHLO"), 1)?;
        if !reply.is_permanent() {
            return Ok(reply);
        }
        self.ask(&mut line(b"HELO"), 1)
    }

    /// The reply to the next command. If all that were sent have theirs, the next ones are sent
    /// first, `group` of them in one piece.
    fn ask(
        &mut self,
        commands: &mut impl Iterator<Item = Vec<u8>>,
        group: usize,
    ) -> io::Result<Reply> {
        if self.unanswered == 0 {
            let lines: Vec<Vec<u8>> = commands.take(group).collect();
            self.unanswered = lines.len();
            self.stream.write_all(&lines.concat())?;
        }
        self.unanswered = self.unanswered.saturating_sub(1);
        self.reply()
    }

    fn reply(&mut self) -> io::Result<Reply> {
        let mut parser = Parser::default();
        let mut block = [0; 4096];
        let started = Instant::now();
        loop {
            let (used, reply) = parser.feed(&self.unread);
            self.unread.drain(..used);
            if let Some(reply) = reply {
                return Ok(reply);
            }
            if started.elapsed() > self.patience {
                return Err(ErrorKind::TimedOut.into());
            }
            match self.stream.read(&mut block) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.unread.extend_from_slice(&block[..count]),
                Err(why) if why.kind() == ErrorKind::Interrupted => {}
                Err(why) => return Err(why),
            }
        }
    }

    /// Sends the text and the dot that ends it, the last bytes and the dot in one piece. Gives
    /// an outcome if the text cannot be sent to its end.
    fn text(&mut self, message: &mut impl Read) -> io::Result<Option<Outcome>> {
        let mut encoder = Encoder::default();
        let mut block = vec![0; BLOCK];
        let mut wire = Vec::with_capacity(2 * BLOCK);
        loop {
            match message.read(&mut block) {
                Ok(0) => break,
                Ok(count) => encoder.encode(&block[..count], &mut wire),
                Err(why) if why.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Ok(Some(Outcome::Unreadable)),
            }
            if wire.len() >= BLOCK {
                self.stream.write_all(&wire)?;
                wire.clear();
            }
        }
        if !encoder.is_complete() {
            return Ok(Some(Outcome::PartialLine));
        }
        wire.extend_from_slice(b".\r\n");
        self.late = true;
        self.stream.write_all(&wire)?;
        Ok(None)
    }
}

impl Letter<'_> {
    /// MAIL, a RCPT for each recipient, DATA.
    fn commands(&self) -> impl Iterator<Item = Vec<u8>> {
        let mail = [b"MAIL FROM:<", &self.sender[..], b">\r\n"].concat();
        let rcpt = |recipient: &Vec<u8>| [b"RCPT TO:<", &recipient[..], b">\r\n"].concat();
        let recipients = self.recipients.iter().map(rcpt);
        [mail].into_iter().chain(recipients).chain([b"DATA\r\n".to_vec()])
    }
}

#[cfg(test)]
mod tests;
