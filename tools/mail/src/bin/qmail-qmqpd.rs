//! qmail-qmqpd: receive mail by QMQP.
#![cfg_attr(not(test), no_main)]

use base::env::Env;
use base::sys::{fd, signal};
use base::{Args, Code, Die, Result};
use mail::conversation::Conversation;
use mail::incoming::{ADDRESS, Incoming};
use mail::netstring::{self, Reader};
use mail::peer::Peer;
use mail::submission::Submission;
use queue::home;
use std::time::Duration;

base::program!("qmail-qmqpd", run);

/// A client has so long for everything.
const PATIENCE: Duration = Duration::from_secs(3600);

/// The answer to an address with a NUL, or one that is too long.
const BAD_ADDRESS: &[u8] = b"Dsorry, I can't accept addresses like that (#5.1.3)";

fn run(_: Args) -> Result<Code> {
    // A pipe in the place of a closed descriptor would be taken for the client.
    if !fd::is_open(0) || !fd::is_open(1) {
        return Err(Die::silent(Code::TEMP.0));
    }
    signal::ignore(signal::PIPE).or(Err(Die::silent(Code::TEMP.0)))?;
    let client = Peer::new(fd::STDIN, fd::STDOUT, PATIENCE).lasting(PATIENCE);
    let mut from = Reader::new(Conversation::with(client));
    let answer = netstring::of(&message(&mut from)?);
    let client = from.source();
    // A client that does not want to know has gone: the message is in the queue.
    let _ = client.say(&answer).and_then(|()| client.flush());
    Ok(Code::DONE)
}

/// Reads one message and queues it. Gives the answer.
fn message(from: &mut Reader<Conversation>) -> Result<Vec<u8>> {
    from.enter()?;
    let length = from.length()?;
    let env = Env::inherited();
    let submission = Submission::open_with(&home::folder(), &env);
    let submission = submission.or(Err(Die::silent(Code::TEMP.0)))?;
    let mut message = Incoming::open(submission, &env, "QMQP");
    from.bytes(length, |piece| message.text(piece))?;
    from.comma()?;
    let sender = address(from)?;
    message.sender(sender.as_deref().unwrap_or_default());
    let mut good = sender.is_some();
    while from.more() {
        match address(from)? {
            Some(recipient) => message.recipient(&recipient),
            None => good = false,
        }
    }
    from.leave()?;
    if !good {
        message.discard();
    }
    let (answer, _) = message.close();
    Ok(if good { answer } else { BAD_ADDRESS.to_vec() })
}

/// Reads an address. `None` if it cannot be accepted.
fn address(from: &mut Reader<Conversation>) -> Result<Option<Vec<u8>>> {
    Ok(from.string(ADDRESS - 1)?.filter(|address| !address.contains(&0)))
}
