//! qmail-qmtpd: receive mail by QMTP.
#![cfg_attr(not(test), no_main)]

use base::env::Env;
use base::sys::{fd, signal};
use base::{Args, Code, Die, Result, number};
use mail::control::Control;
use mail::conversation::Conversation;
use mail::incoming::{ADDRESS, Incoming};
use mail::netstring::{self, Fault, Reader};
use mail::peer::Peer;
use mail::rcpthosts::RcptHosts;
use mail::submission::Submission;
use net::crlf::Delete;
use queue::home;
use queue::staying::Staying;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

base::program!("qmail-qmtpd", run);

/// A client has so long for all of its messages.
const PATIENCE: Duration = Duration::from_secs(3600);

/// Recipients that are taken for one message. Each is answered, and until then its verdict is
/// kept.
const RECIPIENTS: usize = 1 << 20;

const BAD_SENDER: &str = "Dunacceptable sender (#5.1.7)";
const TOO_BIG: &str = "Dsorry, that message size exceeds my databytes limit (#5.3.4)";
const NO_GATEWAY: &str = "Dsorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)";
const BAD_RECIPIENT: &str = "Dsorry, I can't handle that recipient (#5.1.3)";
const TOO_MANY_RECIPIENTS: &str = "Zsorry, too many recipients (#4.5.3)";

fn run(_: Args) -> Result<Code> {
    // A file in the place of a closed descriptor would be taken for the client.
    if !fd::is_open(0) || !fd::is_open(1) {
        return Err(Die::silent(Code::TEMP.0));
    }
    signal::ignore(signal::PIPE).or(unable())?;
    let mut daemon = Daemon::read().or(unable())?;
    let client = Peer::new(fd::STDIN, fd::STDOUT, PATIENCE).lasting(PATIENCE);
    let mut from = Reader::new(Conversation::with(client));
    loop {
        daemon.message(&mut from)?;
    }
}

/// The end that the originals have for everything that is not the client's fault.
fn unable<T>() -> Result<T> {
    Err(Die::silent(Code::TEMP.0))
}

/// What control files and the environment say.
struct Daemon {
    home: PathBuf,
    env: Env,
    hosts: RcptHosts,
    /// Bytes that a message may have; 0 is no limit.
    databytes: u64,
    /// The queue program of the message before.
    staying: Option<Staying>,
}

/// What becomes of a recipient.
#[derive(Clone, Copy)]
enum Verdict {
    /// That of the message.
    Taken,
    /// Its domain is none of ours.
    Stranger,
    /// It has a NUL, or too many bytes.
    Bad,
}

impl Daemon {
    fn read() -> io::Result<Self> {
        let home = home::folder();
        let control = Control::of(&home);
        let env = Env::inherited();
        let databytes = match env.get("DATABYTES") {
            Some(bytes) => number::leading(bytes),
            None => control.number("databytes")?,
        };
        let databytes = databytes.unwrap_or(0);
        Ok(Daemon { hosts: RcptHosts::read(&control)?, home, env, databytes, staying: None })
    }

    /// Reads a message and queues it. The answers to its recipients are written before more is
    /// waited for.
    fn message(&mut self, from: &mut Reader<Conversation>) -> Result<()> {
        let length = from.length()?;
        if length == 0 {
            return Err(Fault::Format.into());
        }
        let ends_in_cr = match from.byte()? {
            b'\n' => false,
            b'\r' => true,
            _ => return Err(Fault::Format.into()),
        };
        let submission = Submission::open_next(&self.home, &self.env, self.staying.take());
        let mut message = Incoming::open(submission.or(unable())?, &self.env, "QMTP");
        let too_big = self.text(from, length - 1, ends_in_cr, &mut message)?;
        let sender = from.string(ADDRESS - 1)?.filter(|sender| !sender.contains(&0));
        message.sender(sender.as_deref().unwrap_or_default());
        let (verdicts, surplus) = self.recipients(from, &mut message)?;
        let wanted = verdicts.iter().any(|verdict| matches!(verdict, Verdict::Taken));
        if !wanted || too_big || sender.is_none() {
            message.discard();
        }
        let (answer, staying) = message.close();
        self.staying = staying;
        let answer = match (too_big, &sender) {
            (true, _) => TOO_BIG.as_bytes(),
            (_, None) => BAD_SENDER.as_bytes(),
            (_, Some(_)) => &answer,
        };
        say(from.source(), answer, &verdicts, surplus).map_err(|why| Fault::Unreadable(why).into())
    }

    /// Reads the text of a message. Whether it is too big: then the queue program gets no more.
    fn text(
        &self,
        from: &mut Reader<Conversation>,
        length: u64,
        ends_in_cr: bool,
        message: &mut Incoming,
    ) -> Result<bool> {
        let limit = if self.databytes == 0 { u64::MAX } else { self.databytes };
        let mut size = 0;
        let mut give = |bytes: &[u8]| {
            size += bytes.len() as u64;
            if size <= limit {
                message.text(bytes);
            }
        };
        let mut newlines = Delete::default();
        let mut changed = Vec::new();
        from.bytes(length, |piece| {
            if ends_in_cr {
                newlines.pass(piece, &mut changed);
                give(&changed);
                changed.clear();
            } else {
                give(piece);
            }
        })?;
        newlines.pass(b"", &mut changed);
        give(&changed);
        from.comma()?;
        Ok(size > limit)
    }

    /// Reads the recipients, and adds those that are taken. Gives what becomes of each, and how
    /// many more there are than may be.
    fn recipients(
        &self,
        from: &mut Reader<Conversation>,
        message: &mut Incoming,
    ) -> Result<(Vec<Verdict>, u64)> {
        let relay = self.env.get("RELAYCLIENT");
        let room = (ADDRESS - 1).saturating_sub(relay.map_or(0, <[u8]>::len));
        let (mut verdicts, mut surplus) = (Vec::new(), 0);
        from.enter()?;
        while from.more() {
            let recipient = from.string(room)?;
            if verdicts.len() == RECIPIENTS {
                surplus += 1;
                continue;
            }
            verdicts.push(match recipient {
                None => Verdict::Bad,
                Some(address) if relay.is_none() && !self.hosts.allow(&address).or(unable())? => {
                    Verdict::Stranger
                }
                Some(address) if address.contains(&0) => Verdict::Bad,
                Some(mut address) => {
                    address.extend_from_slice(relay.unwrap_or_default());
                    message.recipient(&address);
                    Verdict::Taken
                }
            });
        }
        from.leave()?;
        Ok((verdicts, surplus))
    }
}

/// Says an answer for every recipient.
fn say(
    client: &mut Conversation,
    answer: &[u8],
    verdicts: &[Verdict],
    surplus: u64,
) -> io::Result<()> {
    let answer = netstring::of(answer);
    let [stranger, bad, too_many] = [NO_GATEWAY, BAD_RECIPIENT, TOO_MANY_RECIPIENTS]
        .map(|refusal| netstring::of(refusal.as_bytes()));
    for verdict in verdicts {
        client.say(match verdict {
            Verdict::Taken => &answer,
            Verdict::Stranger => &stranger,
            Verdict::Bad => &bad,
        })?;
    }
    (0..surplus).try_for_each(|_| client.say(&too_many))
}
