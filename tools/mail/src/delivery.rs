//! One delivery as qmail-local is told of it, and what follows from that: the three lines that
//! precede a message, the variables of its programs, the sender of what it forwards.
//! qmail-local(8).

use crate::address;
use base::date::Date;
use base::env::Env;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// A recipient on this machine, and the sender.
#[derive(Clone, Debug, Default)]
pub struct Delivery {
    /// The name of the user whose delivery it is.
    pub user: OsString,
    /// His home folder.
    pub home: OsString,
    /// The recipient's local part.
    pub local: OsString,
    /// Between `.qmail` and the extension: nothing, a hyphen, or a hyphen and a folder.
    pub dash: OsString,
    /// The part of the local part that is the user's to define.
    pub ext: OsString,
    /// The recipient's domain.
    pub host: OsString,
    /// The envelope sender.
    pub sender: OsString,
}

/// Who hears of failures of what is forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The sender.
    Sender,
    /// The address's own `-owner`.
    One,
    /// `-owner` with the failing recipient in the address (VERP).
    EachRecipient,
}

impl Delivery {
    /// The envelope recipient.
    pub fn recipient(&self) -> Vec<u8> {
        [self.local.as_bytes(), b"@", self.host.as_bytes()].concat()
    }

    /// `Delivered-To: RECIPIENT` and a newline.
    pub fn delivered_to(&self) -> Vec<u8> {
        field(b"Delivered-To: ", &self.recipient(), b"\n")
    }

    /// `Return-Path: <SENDER>` and a newline, the sender quoted as in a header.
    pub fn return_path(&self) -> Vec<u8> {
        field(b"Return-Path: <", &address::quote(self.sender.as_bytes()), b">\n")
    }

    /// The line that precedes a message in an mbox, with its newline.
    pub fn from_line(&self, now: Date) -> Vec<u8> {
        let sender = match self.sender.as_bytes() {
            b"" => b"MAILER-DAEMON".to_vec(),
            sender => sender.iter().map(without_blank).collect(),
        };
        [b"From ", &sender[..], b" ", now.mbox().as_bytes(), b"\n"].concat()
    }

    /// Whether failures may go to an owner at all: those of a bounce never do.
    pub fn may_have_owner(&self) -> bool {
        !matches!(self.sender.as_bytes(), b"" | b"#@[]")
    }

    /// The envelope sender of what is forwarded.
    pub fn new_sender(&self, owner: Owner) -> Vec<u8> {
        let (local, host) = (self.local.as_bytes(), self.host.as_bytes());
        match owner {
            Owner::Sender => self.sender.as_bytes().to_vec(),
            Owner::One => [local, b"-owner@", host].concat(),
            Owner::EachRecipient => [local, b"-owner-@", host, b"-@[]"].concat(),
        }
    }

    /// Sets the variables of programs, all but DEFAULT and NEWSENDER.
    pub fn describe_in(&self, env: &mut Env, now: Date) {
        env.set("HOST", &self.host).set("HOME", &self.home).set("USER", &self.user);
        env.set("LOCAL", &self.local).set("SENDER", &self.sender);
        let lines = [
            ("RECIPIENT", self.recipient()),
            ("DTLINE", self.delivered_to()),
            ("RPLINE", self.return_path()),
            ("UFLINE", self.from_line(now)),
        ];
        for (name, line) in &lines {
            env.set(name, OsStr::from_bytes(line));
        }
        let mut ext = self.ext.as_bytes();
        for name in ["EXT", "EXT2", "EXT3", "EXT4"] {
            env.set(name, OsStr::from_bytes(ext));
            ext = memchr::memchr(b'-', ext).map_or(b"", |at| &ext[at + 1..]);
        }
        let mut host = self.host.as_bytes();
        for name in ["HOST2", "HOST3", "HOST4"] {
            host = memchr::memrchr(b'.', host).map_or(host, |at| &host[..at]);
            env.set(name, OsStr::from_bytes(host));
        }
    }
}

/// A header line of a stranger's words: a newline in them would make it two.
fn field(name: &[u8], value: &[u8], end: &[u8]) -> Vec<u8> {
    let value: Vec<u8> = value.iter().map(|b| if *b == b'\n' { b'_' } else { *b }).collect();
    [name, &value, end].concat()
}

/// A byte of a sender between the blanks of a From line.
fn without_blank(byte: &u8) -> u8 {
    if matches!(byte, b' ' | b'\t' | b'\n') { b'-' } else { *byte }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery() -> Delivery {
        Delivery {
            user: "joe".into(),
            home: "/home/joe".into(),
            local: "joe-a-B".into(),
            dash: "-".into(),
            ext: "a-B".into(),
            host: "x.y.example".into(),
            sender: "j k@h".into(),
        }
    }

    #[test]
    fn lines_stay_lines_whatever_the_addresses_are() {
        let odd = Delivery { local: "a\nb".into(), sender: "c\nd \t@h".into(), ..delivery() };
        assert_eq!(odd.recipient(), b"a\nb@x.y.example");
        assert_eq!(odd.delivered_to(), b"Delivered-To: a_b@x.y.example\n");
        assert_eq!(odd.return_path(), b"Return-Path: <\"c\\_d \t\"@h>\n");
        assert_eq!(odd.from_line(Date::utc(0)), b"From c-d--@h Thu Jan 01 00:00:00 1970\n");
        let bounce = Delivery { sender: "".into(), ..delivery() };
        assert_eq!(bounce.return_path(), b"Return-Path: <>\n");
        let line = b"From MAILER-DAEMON Thu Jan 01 00:00:00 1970\n";
        assert_eq!(bounce.from_line(Date::utc(0)), line);
    }

    #[test]
    fn variables_name_the_parts_of_extension_and_host() {
        let mut env = Env::empty();
        delivery().describe_in(&mut env, Date::utc(0));
        let shown = |name: &str| String::from_utf8(env.get(name).unwrap().to_vec()).unwrap();
        let names = ["EXT", "EXT2", "EXT3", "EXT4", "HOST", "HOST2", "HOST3", "HOST4"];
        let expected = ["a-B", "B", "", "", "x.y.example", "x.y", "x", "x"];
        assert_eq!(names.map(shown), expected);
        let lines = ["DTLINE", "RPLINE", "RECIPIENT", "SENDER", "USER", "HOME", "LOCAL"];
        let expected = [
            "Delivered-To: joe-a-B@x.y.example\n",
            "Return-Path: <\"j k\"@h>\n",
            "joe-a-B@x.y.example",
            "j k@h",
            "joe",
            "/home/joe",
            "joe-a-B",
        ];
        assert_eq!(lines.map(shown), expected);
    }

    #[test]
    fn an_owner_gets_the_failures_of_what_is_forwarded() {
        let shown = |owner| String::from_utf8(delivery().new_sender(owner)).unwrap();
        let owners = [Owner::Sender, Owner::One, Owner::EachRecipient];
        let expected = ["j k@h", "joe-a-B-owner@x.y.example", "joe-a-B-owner-@x.y.example-@[]"];
        assert_eq!(owners.map(shown), expected);
        let may = |sender: &str| Delivery { sender: sender.into(), ..delivery() }.may_have_owner();
        assert_eq!(["", "#@[]", "a@b"].map(may), [false, false, true]);
    }
}
