//! qmail-smtpd: receive mail by SMTP.
#![cfg_attr(not(test), no_main)]

use base::env::Env;
use base::sys::{clock, fd, signal};
use base::{Args, Code, Die, Result, number};
use mail::caller::Caller;
use mail::control::Control;
use mail::peer::Peer;
use mail::received;
use mail::smtp::policy::Policy;
use mail::smtp::replies::{CONTROLS, TIMEOUT};
use mail::smtp::session::{Envelope, Host, Next, Receipt, Session, Tls, Verdict};
use mail::starttls::{self, Provider};
use mail::submission::{Refusal, Submission};
use net::connection;
use queue::home;
use queue::staying::Staying;
use std::io::{self, ErrorKind, Read, Write};
use std::path::PathBuf;
use std::time::Duration;

base::program!("qmail-smtpd", run);

/// How every session ends but one that QUIT ends.
const FAILED: u8 = 1;

/// Seconds that a client may take for each read or write, unless control/timeoutsmtpd says.
const PATIENCE: u64 = 1200;

/// Bytes read at once: by a session of a few commands and short messages, and by one with more.
const SMALL_BLOCK: usize = 8192;
const BLOCK: usize = 65536;

fn run(_: Args) -> Result<Code> {
    // Files opened in the place of a closed descriptor would be taken for the client.
    if !fd::is_open(0) || !fd::is_open(1) {
        return Err(Die::silent(FAILED));
    }
    signal::ignore(signal::PIPE).or(Err(Die::silent(FAILED)))?;
    let done = match Settings::read() {
        Ok(settings) => settings.converse(),
        Err(_) => reply(&mut client(PATIENCE), CONTROLS).and(Ok(Code(FAILED))),
    };
    done.or(Err(Die::silent(FAILED)))
}

/// Who is at the other end, and has so many seconds for each read and write.
fn client(patience: u64) -> Peer<'static> {
    Peer::new(fd::STDIN, fd::STDOUT, Duration::from_secs(patience.max(1)))
}

/// Says one line that is not the session's.
fn reply(client: &mut Peer, line: &str) -> io::Result<()> {
    client.write_all(format!("{line}\r\n").as_bytes())
}

/// What the control files and the environment say.
struct Settings {
    /// What this host calls itself.
    greeting: Vec<u8>,
    /// Bytes that a message may have; 0 is no limit.
    databytes: u64,
    /// Seconds for each read and write.
    timeout: u64,
    tls: Tls,
    host: Daemon,
}

/// What a session needs: rules, names, and the queue program once DATA has come.
struct Daemon {
    home: PathBuf,
    /// The environment of the queue program.
    env: Env,
    caller: Caller,
    policy: Policy,
    /// Where TLS can be had.
    provider: Option<Provider>,
    submission: Option<Submission>,
    /// The queue program of the message before.
    staying: Option<Staying>,
}

impl Settings {
    fn read() -> io::Result<Self> {
        let home = home::folder();
        let control = Control::of(&home);
        let mut env = Env::inherited();
        connection::ask_socket(&mut env, fd::STDIN);
        let databytes = match env.get("DATABYTES") {
            Some(bytes) => number::leading(bytes),
            None => control.number("databytes")?,
        };
        let provider = Provider::of(&mut env, &control)?;
        let tls = provider.as_ref().map_or(Tls::None, |_| starttls::demanded(&env));
        Ok(Settings {
            greeting: control.line_or_me("smtpgreeting")?.ok_or(ErrorKind::NotFound)?,
            databytes: databytes.unwrap_or(0),
            timeout: control.number("timeoutsmtpd")?.unwrap_or(PATIENCE),
            tls,
            host: Daemon {
                policy: Policy::read(&control, env.get("RELAYCLIENT"))?,
                caller: Caller::of(&env),
                home,
                env,
                provider,
                submission: None,
                staying: None,
            },
        })
    }

    /// Moves bytes between the client and the session until that is over. Replies are written
    /// before anything is waited for.
    fn converse(mut self) -> io::Result<Code> {
        if self.host.is_smtps() {
            self.host.prepare_tls().or(Err(ErrorKind::NotConnected))?;
            self.host.begin_tls()?;
            self.tls = Tls::None;
        }
        let mut client = client(self.timeout);
        let mut session = Session::new(self.greeting, self.databytes, self.tls);
        let mut block = Vec::new();
        let mut unread = 0..0;
        loop {
            let (used, next) = session.feed(&block[unread.clone()], &mut self.host);
            unread.start += used;
            client.write_all(session.replies())?;
            session.written();
            match next {
                Next::Flush => {}
                Next::Exit(code) => return Ok(code),
                Next::More => unread = 0..receive(&mut client, &mut block)?,
                Next::Secure => {
                    self.host.begin_tls()?;
                    session.secured();
                    // Nothing that came in the clear is left.
                    unread = 0..0;
                }
            }
        }
    }
}

/// Reads what the client has sent. An error if nothing comes any more; a client that is too slow
/// is told so.
fn receive(client: &mut Peer, block: &mut Vec<u8>) -> io::Result<usize> {
    // Many clients say nothing for long: only what they say costs memory.
    let waited = if block.is_empty() { client.wait_to_read() } else { Ok(()) };
    let read = waited.and_then(|()| {
        block.resize(block.len().max(SMALL_BLOCK), 0);
        client.read(block)
    });
    match read {
        Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
        Ok(count) => {
            if count == SMALL_BLOCK {
                block.resize(BLOCK, 0);
            }
            Ok(count)
        }
        Err(why) => {
            if why.kind() == ErrorKind::TimedOut {
                reply(client, TIMEOUT)?;
            }
            Err(why)
        }
    }
}

impl Daemon {
    /// Whether the client begins with TLS, and nobody has done that for us: $SMTPS.
    fn is_smtps(&self) -> bool {
        let wanted = self.env.get("SMTPS").is_some_and(|value| !value.is_empty());
        wanted && self.env.get("SSL_PROTOCOL").is_none()
    }

    /// Standard input and output are what is said over TLS then.
    fn begin_tls(&mut self) -> io::Result<()> {
        let provider = self.provider.take().ok_or(ErrorKind::NotFound)?;
        provider.begin(&mut self.env)
    }
}

impl Host for Daemon {
    fn prepare_tls(&mut self) -> std::result::Result<(), String> {
        let provider =
            self.provider.as_mut().map_or(Err(ErrorKind::NotFound.into()), Provider::prepare);
        provider.or(Err("not available".into()))
    }

    fn sender(&mut self, address: Vec<u8>) -> Verdict {
        self.policy.sender(address)
    }

    fn recipient(&mut self, address: Vec<u8>) -> Verdict {
        self.policy.recipient(address)
    }

    fn open(&mut self, helo: Option<&[u8]>) -> bool {
        let Ok(mut submission) = Submission::open_next(&self.home, &self.env, self.staying.take())
        else {
            return false;
        };
        submission.put(&received::line(
            &self.caller,
            helo,
            &starttls::protocol(&self.env),
            clock::seconds(),
        ));
        self.submission = Some(submission);
        true
    }

    fn text(&mut self, bytes: &[u8]) {
        if let Some(submission) = &mut self.submission {
            submission.put(bytes);
        }
    }

    fn close(
        &mut self,
        envelope: &Envelope,
        wanted: bool,
    ) -> std::result::Result<Receipt, Refusal> {
        let Some(mut submission) = self.submission.take() else {
            return Err(Refusal::later("qq internal bug (#4.3.0)"));
        };
        if !wanted {
            submission.discard();
        }
        submission.sender(&envelope.sender);
        envelope.recipients.iter().for_each(|recipient| submission.recipient(recipient));
        let (qp, staying) = submission.close_and_keep()?;
        self.staying = staying;
        Ok(Receipt { qp, seconds: clock::seconds() })
    }
}
