//! qmail-smtpd: receive mail by SMTP.
#![cfg_attr(not(test), no_main)]

use base::env::Env;
use base::sys::{clock, fd, signal};
use base::{Args, Code, Die, Result, number};
use mail::caller::{self, Caller};
use mail::control::Control;
use mail::peer::Peer;
use mail::received;
use mail::smtp::policy::Policy;
use mail::smtp::replies::{CONTROLS, TIMEOUT};
use mail::smtp::session::{Envelope, Host, Next, Receipt, Session, Verdict};
use mail::submission::{Refusal, Submission};
use queue::home;
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
        Err(_) => reply(CONTROLS).and(Ok(Code(FAILED))),
    };
    done.or(Err(Die::silent(FAILED)))
}

/// Says one line to a client with whom there is no session.
fn reply(line: &str) -> io::Result<()> {
    let mut peer = Peer::new(fd::STDIN, fd::STDOUT, Duration::from_secs(PATIENCE));
    peer.write_all(format!("{line}\r\n").as_bytes())
}

/// What the control files and the environment say.
struct Settings {
    /// What this host calls itself.
    greeting: Vec<u8>,
    /// Bytes that a message may have; 0 is no limit.
    databytes: u64,
    timeout: Duration,
    host: Daemon,
}

/// What a session needs: rules, names, and the queue program once DATA has come.
struct Daemon {
    home: PathBuf,
    /// The environment of the queue program.
    env: Env,
    caller: Caller,
    policy: Policy,
    submission: Option<Submission>,
}

impl Settings {
    fn read() -> io::Result<Self> {
        let home = home::folder();
        let control = Control::of(&home);
        let mut env = Env::inherited();
        caller::ask_socket(&mut env, fd::STDIN);
        let databytes = match env.get("DATABYTES") {
            Some(bytes) => number::leading(bytes),
            None => control.number("databytes")?,
        };
        let timeout = control.number("timeoutsmtpd")?.unwrap_or(PATIENCE);
        Ok(Settings {
            greeting: control.line_or_me("smtpgreeting")?.ok_or(ErrorKind::NotFound)?,
            databytes: databytes.unwrap_or(0),
            timeout: Duration::from_secs(timeout.max(1)),
            host: Daemon {
                policy: Policy::read(&control, env.get("RELAYCLIENT"))?,
                caller: Caller::of(&env),
                home,
                env,
                submission: None,
            },
        })
    }

    /// Moves bytes between the client and the session until that is over. Replies are written
    /// before anything is waited for.
    fn converse(mut self) -> io::Result<Code> {
        let mut peer = Peer::new(fd::STDIN, fd::STDOUT, self.timeout);
        let mut session = Session::new(self.greeting, self.databytes);
        let mut block = vec![0; SMALL_BLOCK];
        let mut unread = 0..0;
        loop {
            let (used, next) = session.feed(&block[unread.clone()], &mut self.host);
            unread.start += used;
            peer.write_all(session.replies())?;
            session.written();
            match next {
                Next::Flush => {}
                Next::Exit(code) => return Ok(code),
                Next::More => match peer.read(&mut block) {
                    Ok(0) => return Ok(Code(FAILED)),
                    Ok(count) => {
                        unread = 0..count;
                        if count == SMALL_BLOCK {
                            block.resize(BLOCK, 0);
                        }
                    }
                    Err(why) if why.kind() == ErrorKind::TimedOut => {
                        session.say(TIMEOUT);
                        peer.write_all(session.replies())?;
                        return Ok(Code(FAILED));
                    }
                    Err(why) => return Err(why),
                },
            }
        }
    }
}

impl Host for Daemon {
    fn sender(&mut self, address: Vec<u8>) -> Verdict {
        self.policy.sender(address)
    }

    fn recipient(&mut self, address: Vec<u8>) -> Verdict {
        self.policy.recipient(address)
    }

    fn open(&mut self, helo: Option<&[u8]>) -> bool {
        let Ok(mut submission) = Submission::open_with(&self.home, &self.env) else {
            return false;
        };
        submission.put(&received::line(&self.caller, helo, "SMTP", clock::seconds()));
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
        let qp = submission.close()?;
        Ok(Receipt { qp, seconds: clock::seconds() })
    }
}
