//! qmail-popup: read a POP3 user name and password, and run a program that checks them.
#![cfg_attr(not(test), no_main)]

use base::sys::memory::wipe;
use base::sys::spawn::Spawn;
use base::sys::wait;
use base::sys::{clock, fd, signal};
use base::{Args, Code, Die, Result};
use mail::conversation::Conversation;
use mail::peer::Peer;
use mail::pop3::command::{self, Heard, LINE, Verb};
use mail::pop3::{CAPABILITIES, LINE_TOO_LONG, OK, no};
use memchr::memchr;
use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

base::program!("qmail-popup", run);

/// How every session ends.
const OVER: u8 = 1;

/// How a child ends that cannot become the program for now, as qmail-queue's callers have it.
const NOT_RUN: u8 = 120;

/// A client may take so long for each command, and so long until it is known.
const PATIENCE: Duration = Duration::from_secs(1200);
const LIFETIME: Duration = Duration::from_secs(3600);

/// The number under which the program reads who wants to log in.
const DESCRIPTOR: i32 = 3;

const USAGE: &str = "usage: popup hostname subprogram";
const NO_PIPE: &str = "unable to open pipe";
const NO_WRITE: &str = "unable to write pipe";
const NO_FORK: &str = "unable to fork";
const CRASHED: &str = "aack, child crashed";
const REFUSED: &str = "authorization failed";
const SYNTAX: &str = "syntax error";
const WANT_USER: &str = "USER first";
const UNAUTHORIZED: &str = "authorization first";

fn run(words: Args) -> Result<Code> {
    // A pipe in the place of a closed descriptor would be taken for the client.
    let open = fd::is_open(0) && fd::is_open(1);
    if open && signal::ignore(signal::PIPE).is_ok() {
        let peer = Peer::new(fd::STDIN, fd::STDOUT, PATIENCE).lasting(LIFETIME);
        let mut client = Conversation::to_hand_over(peer);
        let _ = serve(&words, &mut client).and_then(|()| client.flush());
    }
    Err(Die::silent(OVER))
}

/// Greets, and listens until somebody logs in, or goes.
fn serve(words: &Args, client: &mut Conversation) -> io::Result<()> {
    let [host, child @ ..] = &words[..] else {
        return client.say(&no(USAGE));
    };
    if child.is_empty() {
        return client.say(&no(USAGE));
    }
    let unique = format!("<{}.{}@", std::process::id(), clock::seconds());
    let unique = [unique.as_bytes(), host.as_bytes(), b">"].concat();
    client.say(&[b"+OK ", &unique[..], b"\r\n"].concat())?;
    // Big enough from the start: a password must not stay behind where the line was before.
    let mut line = Vec::with_capacity(LINE);
    let mut user: Option<Vec<u8>> = None;
    loop {
        match command::read(client, &mut line)? {
            Heard::End => return Ok(()),
            Heard::TooLong => {
                client.say(&no(LINE_TOO_LONG))?;
                continue;
            }
            Heard::Line => {}
        }
        let (verb, argument) = command::parse(&line);
        match verb {
            Verb::Quit => return client.say(OK).and_then(|()| client.end()),
            Verb::Noop => client.say(OK)?,
            Verb::Capa => client.say(CAPABILITIES)?,
            Verb::User if argument.is_empty() => client.say(&no(SYNTAX))?,
            Verb::User => {
                user = Some(argument.to_vec());
                client.say(OK)?;
            }
            Verb::Pass | Verb::Apop => match credentials(verb, argument, user.as_deref()) {
                Ok([user, secret]) => {
                    let mut words = [user, b"\0", secret, b"\0", &unique, b"\0"].concat();
                    wipe(&mut line);
                    client.hand_over()?;
                    let refused = |why: &str| client.say(&no(why)).and_then(|()| client.end());
                    return log_in(child, &mut words).or_else(refused);
                }
                Err(why) => client.say(&no(why))?,
            },
            _ => client.say(&no(UNAUTHORIZED))?,
        }
    }
}

/// Who wants to log in with what secret, or what is wrong.
fn credentials<'a>(
    verb: Verb,
    argument: &'a [u8],
    user: Option<&'a [u8]>,
) -> std::result::Result<[&'a [u8]; 2], &'static str> {
    match (verb, user) {
        (Verb::Apop, _) => {
            let (user, digest) = argument.split_at(memchr(b' ', argument).ok_or(SYNTAX)?);
            Ok([user, &digest[1..]])
        }
        (_, None) => Err(WANT_USER),
        (_, Some(_)) if argument.is_empty() => Err(SYNTAX),
        (_, Some(user)) => Ok([user, argument]),
    }
}

/// Gives the words, which are wiped, to the program that checks them and then serves the client,
/// and waits for its end.
fn log_in(child: &[OsString], words: &mut [u8]) -> std::result::Result<(), &'static str> {
    let (read, write) = fd::pipe().or(Err(NO_PIPE))?;
    signal::default(signal::CHILD).or(Err(NO_FORK))?;
    let spawn = Spawn::new(child).fd(DESCRIPTOR, read.as_fd()).failure_codes(NOT_RUN, OVER);
    let pid = spawn.start().or(Err(NO_FORK))?;
    drop(read);
    let written = fd::write_all(write.as_fd(), words);
    wipe(words);
    drop(write);
    // A program that has ended without reading has said enough by its exit code.
    if written.is_err_and(|why| why.kind() != io::ErrorKind::BrokenPipe) {
        return Err(NO_WRITE);
    }
    match wait::child(pid).map(|status| status.code()) {
        Ok(None) => Err(CRASHED),
        Ok(Some(0)) | Err(_) => Ok(()),
        Ok(Some(NOT_RUN)) => Err(NO_FORK),
        Ok(Some(_)) => Err(REFUSED),
    }
}
