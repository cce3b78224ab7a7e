//! What qmail-getpw has answered, kept for a moment: to ask it costs more than a delivery.
//!
//! A child of qmail-lspawn asks for its own delivery and sends the answer home in a packet: the
//! number of the state of /etc/passwd that counted, and the time in milliseconds, 8 bytes each;
//! the local part; NUL; the six fields. An answer counts for five seconds, and no longer than
//! /etc/passwd is the same. That an address is nobody's, and so alias's, is always asked again: a
//! new user gets his mail at once.

use crate::assign::Assignment;
use base::sys::socket;
use queue::users::Role;
use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

/// What a qmail-getpw has in it whose answers may be kept.
pub static MARK: &[u8] = b"qmail-getpw: answers that may be kept, form 1";

/// How long an answer counts.
const MOMENT: Duration = Duration::from_secs(5);

/// Bytes of a packet. A longer answer is not kept.
const PACKET: usize = 4096;

/// Answers that are kept at once.
const MOST: usize = 200;

/// Where accounts are, as far as they are in a file.
const ACCOUNTS: &str = "/etc/passwd";

/// The answers.
pub struct Answers {
    ours: OwnedFd,
    /// What children send to.
    theirs: OwnedFd,
    /// With the time at which they were given, from our start.
    known: HashMap<Vec<u8>, (Assignment, Duration)>,
    started: Instant,
    /// What the file of accounts was when we last looked, and how many it has been.
    accounts: Option<Identity>,
    state: u64,
}

/// Device, inode, size and time of the last change: another file has others.
pub type Identity = (u64, u64, u64, (i64, i64));

/// What a file is.
pub fn identity(about: &fs::Metadata) -> Identity {
    (about.dev(), about.ino(), about.size(), (about.ctime(), about.ctime_nsec()))
}

impl Answers {
    /// None yet.
    pub fn new() -> io::Result<Self> {
        let (ours, theirs) = socket::packet_pair()?;
        let (known, started) = (HashMap::new(), Instant::now());
        Ok(Answers { ours, theirs, known, started, accounts: None, state: 0 })
    }

    /// What was answered a moment ago.
    pub fn find(&mut self, local: &[u8]) -> Option<Assignment> {
        let accounts = fs::metadata(ACCOUNTS).ok().as_ref().map(identity);
        if accounts.is_none() || accounts != self.accounts {
            (self.accounts, self.state) = (accounts, self.state + 1);
            self.known.clear();
        }
        self.take_packets();
        let (answer, given) = self.known.get(local)?;
        (self.started.elapsed() < *given + MOMENT).then(|| answer.clone())
    }

    fn take_packets(&mut self) {
        let mut packet = [0; PACKET];
        while let Ok(count @ 1..) = socket::receive_now(self.ours.as_fd(), &mut packet) {
            let Some((state, rest)) = packet[..count].split_first_chunk() else { continue };
            let Some((given, rest)) = rest.split_first_chunk() else { continue };
            let Some(end) = memchr::memchr(0, rest) else { continue };
            let answer = Assignment::parse(&rest[end + 1..]);
            if let Some(answer) = answer.filter(|_| u64::from_ne_bytes(*state) == self.state) {
                let given = Duration::from_millis(u64::from_ne_bytes(*given));
                self.keep(rest[..end].to_vec(), answer, given);
            }
        }
    }

    fn keep(&mut self, local: Vec<u8>, answer: Assignment, given: Duration) {
        let now = self.started.elapsed();
        if self.known.len() >= MOST {
            self.known.retain(|_, (_, given)| now < *given + MOMENT);
        }
        if self.known.len() < MOST && now < given + MOMENT {
            self.known.insert(local, (answer, given));
        }
    }

    /// In a child, which still knows what counted when it was started: sends an answer home.
    pub fn send(&self, local: &[u8], answer: &Assignment) {
        let numbers = [self.state, self.started.elapsed().as_millis() as u64];
        let numbers = numbers.map(u64::to_ne_bytes).concat();
        let packet = [&numbers[..], local, b"\0", &answer.fields()].concat();
        let is_nobodys = answer.user == Role::Alias.name() && answer.ext.as_bytes() == local;
        if !is_nobodys && packet.len() <= PACKET && !local.contains(&0) {
            let _ = socket::send_now(self.theirs.as_fd(), &packet);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(user: &str) -> Assignment {
        Assignment {
            user: user.into(),
            uid: 7,
            gid: 8,
            home: "/home/joe".into(),
            dash: "-".into(),
            ext: "list".into(),
        }
    }

    #[test]
    fn answers_count_until_the_accounts_change() {
        let mut answers = Answers::new().unwrap();
        assert_eq!(answers.find(b"joe-list"), None);
        answers.send(b"joe-list", &of("joe"));
        answers.send(b"list", &of("alias"));
        answers.send(b"alias-list", &of("alias"));
        assert_eq!(answers.find(b"joe-list"), Some(of("joe")));
        assert_eq!(answers.find(b"alias-list"), Some(of("alias")));
        assert_eq!([b"joe", &b"list"[..]].map(|local| answers.find(local)), [None, None]);
        answers.accounts = None;
        answers.send(b"ann", &of("ann"));
        assert_eq!(answers.find(b"joe-list"), None);
        assert_eq!(answers.find(b"ann"), None, "asked before the change");
    }

    #[test]
    fn answers_that_were_not_fetched_for_long_are_old() {
        let mut answers = Answers::new().unwrap();
        let _ = answers.find(b"");
        answers.send(b"joe", &of("joe"));
        answers.started -= MOMENT;
        assert_eq!(answers.find(b"joe"), None);
        answers.send(b"joe", &of("joe"));
        assert_eq!(answers.find(b"joe"), Some(of("joe")));
        answers.started -= MOMENT;
        assert_eq!(answers.find(b"joe"), None);
    }

    #[test]
    fn only_so_many_and_so_long_ones_are_kept() {
        let mut answers = Answers::new().unwrap();
        let _ = answers.find(b"");
        let long = vec![b'x'; PACKET];
        answers.send(&long, &of("joe"));
        for number in 0..2 * MOST {
            answers.send(number.to_string().as_bytes(), &of("joe"));
            let _ = answers.find(b"");
        }
        assert_eq!((answers.find(&long), answers.known.len()), (None, MOST));
    }
}
