//! Accounts of a passwd file as lines of `users/assign`. qmail-pw2u(8).

use crate::control::{Map, Names};
use base::number;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::{ffi::OsStr, fs};

/// The user who has all addresses that nobody else has.
const ALIAS: &[u8] = b"alias";

/// What is asked of the home of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Homes {
    /// One that is missing, or another's, leaves the account out.
    Needed,
    /// One that is missing stops everything; another's leaves the account out.
    Compulsory,
    /// Nothing.
    Ignored,
}

/// Which accounts get mail, and how their addresses look.
pub struct Rules {
    /// About their homes.
    pub homes: Homes,
    /// Also those with capital letters.
    pub capitals: bool,
    /// Goes between a name and an extension. `None`: there are no extensions.
    pub dash: Option<u8>,
    /// Extensions are in a folder `.qmail-` of the home.
    pub slash: bool,
    /// Only these, if there is a list.
    pub include: Option<Names>,
    /// Not these.
    pub exclude: Names,
    /// Names by which an account gets mail instead of its own, divided by colons.
    pub names: Map,
}

/// The lines so far.
#[derive(Debug, Default)]
pub struct Assignments {
    /// Those that are to be written.
    pub text: Vec<u8>,
    /// `user:` and what is assigned to him, a list like those of control files.
    known: Vec<Vec<u8>>,
    /// The user alias is among them.
    pub has_alias: bool,
}

/// The home of an account that cannot be looked at.
#[derive(Debug, PartialEq, Eq)]
pub struct BadHome(pub Vec<u8>);

impl Assignments {
    /// Adds what a line of a passwd file gives, `user:password:uid:gid:gecos:home:shell`. Lines
    /// that have not so many fields give nothing.
    pub fn account(&mut self, line: &[u8], rules: &Rules) -> Result<(), BadHome> {
        let fields: Vec<&[u8]> = line.split(|byte| *byte == b':').collect();
        let [user, _, uid, gid, _, home, _, ..] = fields[..] else { return Ok(()) };
        let uid_number = number::leading(uid).unwrap_or(0);
        let skipped = line.contains(&0)
            || uid_number == 0
            || !rules.capitals && user.iter().any(u8::is_ascii_uppercase)
            || rules.include.as_ref().is_some_and(|include| !include.has(user))
            || rules.exclude.has(user);
        if skipped || !rules.homes.fine(home, uid_number)? {
            return Ok(());
        }
        let whose = [b":", user, b":", uid, b":", gid, b":", home, b":"].concat();
        self.known.push([user, b":", &whose].concat());
        if user == ALIAS {
            self.add(&[b"+", &whose, rules.dashes(), b":\n"]);
            self.has_alias = true;
        }
        let names = rules.names.get(user).unwrap_or(user);
        for name in names.split(|byte| *byte == b':').filter(|name| !name.is_empty()) {
            self.add(&[b"=", name, &whose, b"::\n"]);
            if let Some(dash) = rules.dash {
                self.add(&[b"+", name, &[dash], &whose, rules.dashes(), b":\n"]);
            }
        }
        Ok(())
    }

    /// What is assigned to the users so far, for [`Assignments::subuser`].
    pub fn users(&self) -> Map {
        Map::of(&self.known)
    }

    /// Adds what a line `sub:user:pre:` gives. The name of a user who is not there is an error.
    pub fn subuser(&mut self, line: &[u8], users: &Map, rules: &Rules) -> Result<(), Vec<u8>> {
        let fields: Vec<&[u8]> = line.split(|byte| *byte == b':').collect();
        let [sub, user, rest @ ..] = &fields[..] else { return Ok(()) };
        if rest.is_empty() {
            return Ok(());
        }
        let whose = users.get(user).ok_or(user.to_vec())?;
        if let [before, _, ..] = rest {
            self.add(&[b"=", sub, whose, rules.dashes(), before, b":\n"]);
            if let Some(dash) = rules.dash {
                self.add(&[b"+", sub, &[dash], whose, rules.dashes(), before, b"-:\n"]);
            }
        }
        Ok(())
    }

    fn add(&mut self, parts: &[&[u8]]) {
        parts.iter().for_each(|part| self.text.extend_from_slice(part));
    }
}

impl Rules {
    /// The `dash` field of an assignment, and the colon behind it.
    fn dashes(&self) -> &'static [u8] {
        if self.slash { b"-/:" } else { b"-:" }
    }
}

impl Homes {
    /// Whether the account with this home gets mail.
    fn fine(self, home: &[u8], uid: u64) -> Result<bool, BadHome> {
        if self == Homes::Ignored {
            return Ok(true);
        }
        match fs::metadata(Path::new(OsStr::from_bytes(home))) {
            Ok(about) => Ok(u64::from(about.uid()) == uid),
            Err(why) if self == Homes::Needed && why.kind() == ErrorKind::NotFound => Ok(false),
            Err(_) => Err(BadHome(home.to_vec())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assign;
    use ::tests::{Random, shown};

    fn rules() -> Rules {
        Rules {
            homes: Homes::Ignored,
            capitals: false,
            dash: Some(b'-'),
            slash: false,
            include: None,
            exclude: Names::default(),
            names: Map::default(),
        }
    }

    #[test]
    fn any_lines_give_assignments_or_nothing() {
        let good = b"joe:x:7:8:Joe:/home/joe:/bin/sh";
        let mut random = Random::new(31);
        let mut line = |text: &[u8]| {
            let mut line = random.damaged(text);
            line.retain(|byte| *byte != b'\n');
            line
        };
        for _ in 0..10_000 {
            let mut made = Assignments::default();
            made.account(&line(good), &rules()).unwrap();
            let _ = made.subuser(&line(b"sub:joe:pre:"), &made.users(), &rules());
            for line in made.text.split_inclusive(|byte| *byte == b'\n') {
                let Some((b'\n', line)) = line.split_last() else { panic!("{}", shown(line)) };
                assert!(assign::record(line).is_some() || line.contains(&b'\0'), "{}", shown(line));
            }
        }
    }
}
