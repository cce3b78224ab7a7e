//! A file of compiled rules that may be replaced at any time.

use rules::{Decision, Peer, Rules};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// The rules as they were when last looked at. Whoever keeps this looks again, by
/// [`RulesFile::refresh`], for every connection.
pub struct RulesFile {
    path: PathBuf,
    /// Without a file everybody may come in.
    may_be_missing: bool,
    /// `None`: there is no file, and that is allowed.
    rules: io::Result<Option<Rules>>,
    /// What occurs in the open file is known.
    learned: bool,
}

impl RulesFile {
    /// Looks at nothing yet.
    pub fn new(path: &Path, may_be_missing: bool) -> Self {
        RulesFile { path: path.to_owned(), may_be_missing, rules: Ok(None), learned: false }
    }

    /// Its name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the file, unless the open one is still the one of that name and unchanged. A
    /// failure is kept for [`RulesFile::lookup`] to tell. A file that stays is worth being read
    /// once for what occurs in it.
    pub fn refresh(&mut self) {
        if let Ok(Some(rules)) = &mut self.rules
            && rules.is_current(&self.path)
        {
            if !self.learned {
                rules.learn();
                self.learned = true;
            }
            return;
        }
        self.learned = false;
        self.rules = match Rules::open(&self.path) {
            Ok(rules) => Ok(Some(rules)),
            Err(why) if why.kind() == ErrorKind::NotFound && self.may_be_missing => Ok(None),
            Err(why) => Err(why),
        };
    }

    /// What the rules say about this peer: `None` if no rule is for it.
    pub fn lookup(&self, peer: &Peer) -> io::Result<Option<Decision>> {
        match &self.rules {
            Ok(Some(rules)) => rules::lookup(rules, peer),
            Ok(None) => Ok(None),
            Err(why) => Err(why
                .raw_os_error()
                .map_or_else(|| why.kind().into(), io::Error::from_raw_os_error)),
        }
    }
}
