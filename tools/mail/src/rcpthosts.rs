//! The domains that a network daemon takes mail for: `control/rcpthosts` and
//! `control/morercpthosts.cdb`.

use crate::address;
use crate::control::{Control, Names};
use base::cdb::Reader;
use std::fs::File;
use std::io::{self, ErrorKind};

/// The domains of an installation. Without the file `rcpthosts`, all are welcome.
#[derive(Debug)]
pub struct RcptHosts {
    names: Option<Names>,
    more: Option<File>,
}

impl RcptHosts {
    /// Reads the list and opens the database, which counts only beside the list.
    pub fn read(control: &Control) -> io::Result<Self> {
        let names = control.names("rcpthosts")?;
        let more = match File::open(control.path("morercpthosts.cdb")) {
            _ if names.is_none() => None,
            Err(why) if why.kind() == ErrorKind::NotFound => None,
            file => Some(file?),
        };
        Ok(RcptHosts { names, more })
    }

    /// Whether mail for this address is taken: it has no domain, or its domain or a `.suffix` of
    /// it is listed. Fails if the database cannot be read.
    pub fn allow(&self, recipient: &[u8]) -> io::Result<bool> {
        let (Some(names), Some(domain)) = (&self.names, address::split(recipient).1) else {
            return Ok(true);
        };
        let domain = domain.to_ascii_lowercase();
        if address::suffixes(&domain).any(|suffix| names.has(suffix)) {
            return Ok(true);
        }
        let Some(more) = &self.more else { return Ok(false) };
        let more = Reader::new(more.try_clone()?)?;
        for suffix in address::suffixes(&domain) {
            if more.find(suffix)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The key of the database that a line of `morercpthosts` stands for: without blanks at its end,
/// in lower case. Empty lines and comments have none.
pub fn key(line: &[u8]) -> Option<Vec<u8>> {
    let end = line.iter().rposition(|byte| !b" \t\n".contains(byte))?;
    let key = line[..=end].to_ascii_lowercase();
    (key[0] != b'#').then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(list: Option<&[&str]>, recipient: &str) -> bool {
        let list = list.map(|list| list.iter().map(|name| name.as_bytes().to_vec()).collect());
        let names = list.map(|list: Vec<Vec<u8>>| Names::of(&list));
        RcptHosts { names, more: None }.allow(recipient.as_bytes()).unwrap()
    }

    #[test]
    fn domains_and_their_suffixes_are_listed() {
        let list = ["b.example", ".c.example", "CR.example\r"];
        let yes =
            ["x@b.example", "x@B.EXAMPLE", "x@a.c.example", "a@z@b.example", "postmaster", ""];
        let no = ["x@c.example", "x@a.b.example", "x@", "x@cr.example", "b.example@"];
        assert_eq!(yes.map(|recipient| allowed(Some(&list), recipient)), [true; 6]);
        assert_eq!(no.map(|recipient| allowed(Some(&list), recipient)), [false; 5]);
    }

    #[test]
    fn lines_are_keys_in_lower_case() {
        let lines = ["B.Example \t", ".x", " lead", "#no", "", " \t ", "CR\r"];
        let keys = lines.map(|line| key(line.as_bytes()).map(|key| ::tests::shown(&key)));
        let [some @ .., last] = keys;
        let expected = [Some("b.example"), Some(".x"), Some(" lead"), None, None, None];
        assert_eq!(some, expected.map(|key| key.map(str::to_owned)));
        assert_eq!(last, Some("cr\r".into()));
    }

    #[test]
    fn no_file_allows_all_and_an_empty_one_nothing() {
        assert!(allowed(None, "x@b.example"));
        assert!(!allowed(Some(&[]), "x@b.example"));
        assert!(allowed(Some(&[]), "postmaster"));
    }
}
