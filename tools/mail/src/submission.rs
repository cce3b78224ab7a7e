//! The way into the queue: starting qmail-queue (or what `$QMAILQUEUE` names), giving it a
//! message and an envelope, and saying what came of it. Protocol: qmail-queue(8).
//!
//! The queue program may give its own reason on a descriptor: 6 as notqmail has it, 4 as the
//! patches of others have it, whose programs read in `$ERROR_FD` which one it is.
//!
//! Whoever may have several messages keeps the qmail-queue of one for the next: queue::staying.

use base::env::{self, Env};
use base::sys::fd;
use base::sys::poll::{self, Wait};
use base::sys::signal;
use base::sys::spawn::Spawn;
use base::sys::wait::{self, Pid, Status};
use queue::staying::Staying;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::time::Duration;

/// The queue program where nobody names another.
const QUEUE: &str = "bin/qmail-queue";

/// Bytes collected before a write: what a pipe takes at once.
const BUFFER: usize = 65536;

/// The queue program's reason counts up to here.
const REASON: usize = 255;

/// The variable that tells the queue program where its reason is read.
const ERROR_FD: &str = "ERROR_FD";

/// A message on its way into the queue: first its text by [`Submission::put`], then
/// [`Submission::sender`], then recipients, then [`Submission::close`]. Dropped before that, it
/// is not queued: the queue program sees an envelope without an end.
pub struct Submission {
    pid: Pid,
    message: Option<OwnedFd>,
    envelope: Option<OwnedFd>,
    /// Where it gives its own reason. What has stayed gives none.
    reason: Option<OwnedFd>,
    /// The same program, if it was asked to stay.
    staying: Option<Staying>,
    buffer: Vec<u8>,
    /// A write failed; the queue program will have its own word to say first.
    broken: bool,
    /// The caller does not want it queued any more.
    unwanted: bool,
}

/// Why a message was not queued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// It will not be accepted next time either.
    pub permanent: bool,
    /// The reason without a first letter, say `qq timeout (#4.3.0)`.
    pub text: Vec<u8>,
}

impl Submission {
    /// Starts the queue program in `home`. From here on this process ignores SIGPIPE.
    pub fn open(home: &Path) -> io::Result<Self> {
        Submission::open_with(home, &Env::inherited())
    }

    /// As [`Submission::open`], giving the queue program this environment. Which program that is,
    /// our own environment says.
    pub fn open_with(home: &Path, env: &Env) -> io::Result<Self> {
        Submission::start(Ends::new()?, home, env, |spawn| Ok((spawn.start()?, None)))
    }

    /// As [`Submission::open_with`], for one of several messages: what
    /// [`Submission::close_and_keep`] gave for the one before takes this one too.
    pub fn open_next(home: &Path, env: &Env, before: Option<Staying>) -> io::Result<Self> {
        if program() != QUEUE {
            return Submission::open_with(home, env);
        }
        let (file, ends) = (home.join(QUEUE), Ends::new()?);
        let [text, envelope] = ends.theirs.each_ref().map(OwnedFd::as_fd);
        match before.and_then(|staying| staying.take(&file, text, envelope)) {
            Some(staying) => Ok(Submission::of(staying.pid(), ends.ours, None, Some(staying))),
            None => Submission::start(ends, home, env, |spawn| Staying::start(spawn, &file)),
        }
    }

    fn start(
        ends: Ends,
        home: &Path,
        env: &Env,
        how: impl FnOnce(Spawn) -> io::Result<(Pid, Option<Staying>)>,
    ) -> io::Result<Self> {
        signal::ignore(signal::PIPE)?;
        // As some daemons leave it to their children: whoever ignores it can wait for nobody, and
        // would call a message refused that is queued.
        if signal::is_ignored(signal::CHILD) {
            signal::default(signal::CHILD)?;
        }
        let (reason, reason_write) = fd::pipe()?;
        let words = [program()];
        let mut env = env.clone();
        if env.get(ERROR_FD).is_none() {
            env.set(ERROR_FD, "4");
        }
        let [text, envelope] = &ends.theirs;
        let spawn = Spawn::new(&words)
            .env(&env)
            .fd(0, text.as_fd())
            .fd(1, envelope.as_fd())
            .fd(4, reason_write.as_fd())
            .fd(6, reason_write.as_fd())
            .folder(home)
            .failure_codes(120, 120);
        let (pid, staying) = how(spawn)?;
        Ok(Submission::of(pid, ends.ours, Some(reason), staying))
    }

    fn of(
        pid: Pid,
        [message, envelope]: [OwnedFd; 2],
        reason: Option<OwnedFd>,
        staying: Option<Staying>,
    ) -> Self {
        Submission {
            pid,
            message: Some(message),
            envelope: Some(envelope),
            reason,
            staying,
            buffer: Vec::with_capacity(BUFFER),
            broken: false,
            unwanted: false,
        }
    }

    /// The process number of the queue program: the "qp" of log lines.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Adds bytes of the message.
    pub fn put(&mut self, bytes: &[u8]) {
        if self.buffer.len() + bytes.len() > BUFFER {
            self.flush();
        }
        if bytes.len() >= BUFFER {
            return self.write(bytes);
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Adds what is left to read of a file or pipe.
    pub fn put_rest_of(&mut self, from: BorrowedFd) -> io::Result<()> {
        let mut block = vec![0; BUFFER];
        loop {
            match fd::read(from, &mut block)? {
                0 => return Ok(()),
                count => self.put(&block[..count]),
            }
        }
    }

    /// Ends the message and gives the envelope sender.
    pub fn sender(&mut self, sender: &[u8]) {
        self.flush();
        self.message = None;
        self.field(b'F', sender);
    }

    /// Adds a recipient.
    pub fn recipient(&mut self, recipient: &[u8]) {
        self.field(b'T', recipient);
    }

    /// Has the message dropped instead of queued; [`Submission::close`] still tells how the
    /// queue program ended.
    pub fn discard(&mut self) {
        self.unwanted = true;
    }

    /// Ends the envelope and waits for the queue program. Gives its process number if the
    /// message is safely queued.
    pub fn close(self) -> Result<Pid, Refusal> {
        self.close_and_keep().map(|(pid, _)| pid)
    }

    /// As [`Submission::close`]; gives also who takes the next message, if he has stayed.
    pub fn close_and_keep(mut self) -> Result<(Pid, Option<Staying>), Refusal> {
        if self.message.is_some() {
            self.flush();
            self.message = None;
        }
        if !self.unwanted && !self.broken {
            self.put(b"\0");
            self.flush();
        }
        self.envelope = None;
        let is_whole = !self.unwanted && !self.broken;
        let reason = self.reason.as_ref().map(OwnedFd::as_fd);
        let queued = self.staying.and_then(|staying| staying.has_queued(reason));
        if is_whole && queued.is_some() {
            return Ok((self.pid, queued));
        }
        drop(queued);
        let had_stayed = self.reason.is_none();
        // Closed before the wait: a program that says more than is read must be able to end.
        let reason = self.reason.map_or_else(Vec::new, |reason| read_reason(reason, self.pid));
        let status =
            wait::child(self.pid).map_err(|_| Refusal::later("qq waitpid surprise (#4.3.0)"))?;
        match outcome(status, &reason) {
            Some(refusal) => Err(refusal),
            None if !is_whole => Err(Refusal::later("qq read error (#4.3.0)")),
            // It has seen other messages end well, and not this one.
            None if had_stayed => Err(Refusal::later("qq crashed (#4.3.0)")),
            None => Ok((self.pid, None)),
        }
    }

    fn field(&mut self, letter: u8, address: &[u8]) {
        self.put(&[letter]);
        self.put(address);
        self.put(b"\0");
    }

    fn flush(&mut self) {
        let mut buffer = std::mem::take(&mut self.buffer);
        self.write(&buffer);
        buffer.clear();
        self.buffer = buffer;
    }

    fn write(&mut self, bytes: &[u8]) {
        let to = self.message.as_ref().or(self.envelope.as_ref());
        if self.broken || bytes.is_empty() {
            return;
        }
        self.broken = to.is_none_or(|to| fd::write_all(to.as_fd(), bytes).is_err());
    }
}

/// The ends of the two pipes of a message: its text, and its envelope.
struct Ends {
    ours: [OwnedFd; 2],
    theirs: [OwnedFd; 2],
}

impl Ends {
    fn new() -> io::Result<Self> {
        let (text, envelope) = (fd::pipe()?, fd::pipe()?);
        Ok(Ends { ours: [text.1, envelope.1], theirs: [text.0, envelope.0] })
    }
}

/// The queue program's own reason, up to its end or a NUL.
fn read_reason(reason: OwnedFd, pid: Pid) -> Vec<u8> {
    let end = wait::end_of(pid).ok();
    let mut text = vec![0; REASON];
    let mut length = 0;
    while length < REASON && may_say_more(reason.as_fd(), end.as_ref()) {
        match fd::read(reason.as_fd(), &mut text[length..]) {
            Ok(0) | Err(_) => break,
            Ok(count) => length += count,
        }
    }
    text.truncate(length);
    text.truncate(memchr::memchr(0, &text).unwrap_or(length));
    text
}

/// Waits until there is something to read, or the queue program has ended and there is nothing.
/// A program that it has left running in the background holds the descriptor too: that one is not
/// waited for.
fn may_say_more(reason: BorrowedFd, end: Option<&OwnedFd>) -> bool {
    // An old kernel cannot tell of the end.
    let Some(end) = end else { return true };
    let mut waits = [Wait::read(reason), Wait::read(end.as_fd())];
    while waits.iter().all(|wait| !wait.ready) {
        if poll::poll(&mut waits, None).is_err() {
            return true;
        }
    }
    // The last words may have come after poll looked for them and before it saw the end.
    waits[0].ready || poll::readable(reason, Duration::ZERO).unwrap_or(true)
}

impl Refusal {
    /// A refusal for now.
    pub fn later(text: &str) -> Self {
        Refusal { permanent: false, text: text.into() }
    }

    fn for_good(text: &str) -> Self {
        Refusal { permanent: true, text: text.into() }
    }
}

/// What is run, relative to the home folder: `$QMAILQUEUE` or [`QUEUE`]. There is no path search.
fn program() -> OsString {
    let name = env::get("QMAILQUEUE").filter(|name| !name.is_empty());
    let name = name.unwrap_or_else(|| QUEUE.into());
    let name = if name.contains(&b'/') { name } else { [&b"./"[..], &name].concat() };
    OsString::from_vec(name)
}

/// What an exit status of the queue program means; `None` is success.
fn outcome(status: Status, reason: &[u8]) -> Option<Refusal> {
    let Some(code) = status.code() else {
        return Some(Refusal::later("qq crashed (#4.3.0)"));
    };
    Some(match code {
        0 => return None,
        11 | 115 => Refusal::for_good("envelope address too long for qq (#5.1.3)"),
        31 => Refusal::for_good("mail server permanently rejected message (#5.3.0)"),
        51 => Refusal::later("qq out of memory (#4.3.0)"),
        52 => Refusal::later("qq timeout (#4.3.0)"),
        53 => Refusal::later("qq write error or disk full (#4.3.0)"),
        54 => Refusal::later("qq read error (#4.3.0)"),
        55 => Refusal::later("qq unable to read configuration (#4.3.0)"),
        56 => Refusal::later("qq trouble making network connection (#4.3.0)"),
        61 => Refusal::later("qq trouble in home directory (#4.3.0)"),
        62..=66 => Refusal::later("qq trouble creating files in queue (#4.3.0)"),
        71 => Refusal::later("mail server temporarily rejected message (#4.3.0)"),
        72 => Refusal::later("connection to mail server timed out (#4.4.1)"),
        73 => Refusal::later("connection to mail server rejected (#4.4.1)"),
        74 => Refusal::later("communication with mail server failed (#4.4.2)"),
        81 | 91 => Refusal::later("qq internal bug (#4.3.0)"),
        82 | 88 if reason.len() > 2 => from_reason(reason),
        120 => Refusal::later("unable to exec qq (#4.3.0)"),
        11..=40 => Refusal::for_good("qq permanent problem (#5.3.0)"),
        _ => Refusal::later("qq temporary problem (#4.3.0)"),
    })
}

/// The queue program's own words: `D` or `Z`, then the text.
fn from_reason(reason: &[u8]) -> Refusal {
    Refusal { permanent: reason[0] == b'D', text: reason[1..].to_vec() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_11_to_40_are_permanent_and_all_others_temporary() {
        for code in 1..=255u8 {
            let refusal = outcome(Status(i32::from(code) << 8), b"").unwrap();
            let permanent = (11..=40).contains(&code) || code == 115;
            assert_eq!((code, refusal.permanent), (code, permanent));
        }
        assert_eq!(outcome(Status(0), b""), None);
        assert_eq!(outcome(Status(9), b""), Some(Refusal::later("qq crashed (#4.3.0)")));
    }

    #[test]
    fn exits_82_and_88_are_what_the_program_says() {
        let own = Some(Refusal { permanent: true, text: b"no (#5.7.1)".to_vec() });
        let none = Some(Refusal::later("qq temporary problem (#4.3.0)"));
        for code in [82 << 8, 88 << 8] {
            assert_eq!(outcome(Status(code), b"Dno (#5.7.1)"), own);
            assert_eq!(outcome(Status(code), b"D"), none);
        }
    }
}
