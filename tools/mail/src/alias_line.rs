//! Lines of Sendmail's files, `/etc/aliases`, `.forward` and `:include:` lists: addresses as in a
//! header field, but loosely. Groups are unknown, colons and semicolons are no more than spaces.
//! Lines are read from right to left, as header fields are.

use crate::token::Token::{self, At, Atom, Colon, Comma, Comment, Dot, Left, Literal, Quoted};
use crate::token::Token::{Right, Semicolon};
use crate::token::{parse, unquoted};

/// What a line names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// An address, or what stands in its place: a command, a file, nothing at all.
    Address(Address),
    /// The file of `:include:FILE`, as it is written.
    Include(Vec<u8>),
}

/// An address without quotes and comments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Its bytes.
    pub text: Vec<u8>,
    /// It has an `@` that is not quoted.
    pub has_host: bool,
}

/// The entries of a line, the last one first. `None` if it cannot be parsed.
pub fn entries(line: &[u8], includes: Includes) -> Option<Vec<Entry>> {
    let mut reader = Reader { rest: parse(line)?, address: Vec::new(), entries: Vec::new() };
    reader.read(includes)?;
    Some(reader.entries)
}

/// Whether `:include:` means anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Includes {
    /// It names a list.
    Known,
    /// It is an address between two colons.
    Unknown,
}

/// A line being read; `address` is backwards.
struct Reader {
    rest: Vec<Token>,
    address: Vec<Token>,
    entries: Vec<Entry>,
}

impl Reader {
    fn read(&mut self, includes: Includes) -> Option<()> {
        // Whether a word may join the address at its right; otherwise a comma is missing.
        let mut joins = true;
        while let Some(token) = self.rest.pop() {
            match token {
                Colon if includes == Includes::Known && self.at_include() => {
                    let file = self.take();
                    self.entries.push(Entry::Include(file.text));
                    joins = true;
                }
                Colon | Semicolon | Comment(_) => {}
                Comma => {
                    self.end_address();
                    joins = true;
                }
                Right => {
                    self.end_address();
                    self.bracketed()?;
                    joins = false;
                }
                Atom(_) | Quoted(_) | Literal(_) => {
                    if !joins {
                        self.end_address();
                    }
                    joins = false;
                    self.address.push(token);
                }
                At | Dot | Left => {
                    joins = true;
                    self.address.push(token);
                }
            }
        }
        self.end_address();
        Some(())
    }

    /// At the second colon of `:include:`: takes the rest of it.
    fn at_include(&mut self) -> bool {
        let [.., Colon, Atom(word)] = &self.rest[..] else { return false };
        let found = word == b"include";
        if found {
            self.rest.truncate(self.rest.len() - 2);
        }
        found
    }

    /// The inside of `<...>`, which is an address even if it is empty, and the words before it.
    fn bracketed(&mut self) -> Option<()> {
        loop {
            match self.rest.pop()? {
                Left => break,
                token => self.address.push(token),
            }
        }
        let address = self.take();
        self.entries.push(Entry::Address(address));
        while self
            .rest
            .pop_if(|token| matches!(token, Comment(_) | Atom(_) | Quoted(_) | At | Dot))
            .is_some()
        {}
        Some(())
    }

    fn end_address(&mut self) {
        if !self.address.is_empty() {
            let address = self.take();
            self.entries.push(Entry::Address(address));
        }
    }

    fn take(&mut self) -> Address {
        self.address.reverse();
        let has_host = self.address.contains(&At);
        let text = unquoted(&self.address);
        self.address.clear();
        Address { text, has_host }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::tests::Random;

    /// The entries, addresses without a host in parentheses, files after a colon.
    fn shown(line: &str) -> Option<Vec<String>> {
        let show = |entry| match entry {
            Entry::Address(Address { text, has_host: true }) => String::from_utf8(text).unwrap(),
            Entry::Address(Address { text, .. }) => format!("({})", text.escape_ascii()),
            Entry::Include(file) => format!(":{}", file.escape_ascii()),
        };
        let entries = entries(line.as_bytes(), Includes::Known)?;
        Some(entries.into_iter().map(show).collect())
    }

    #[test]
    fn entries_come_last_first_and_without_decoration() {
        let cases: [(&str, &[&str]); 9] = [
            ("root: joe@a, b (comment) @c", &["b@c", "joe@a", "(root)"]),
            ("a b@c d", &["(d)", "b@c", "(a)"]),
            ("friends: a, b;", &["(b)", "(a)", "(friends)"]),
            ("a: \"|run me@x\", /file", &["(/file)", "(|run me@x)", "(a)"]),
            ("Joe <@r:joe@a>, <>", &["()", "@r:joe@a"]),
            ("a: :include:/x/y b", &["(b)", ":/x/y", "(a)"]),
            ("a: : include : \"x y\"", &[":x y", "(a)"]),
            ("a:include:/x", &[":/x", "(a)"]),
            ("# no comment", &["(comment)", "(no)", "(#)"]),
        ];
        for (line, expected) in cases {
            assert_eq!(shown(line).unwrap(), expected, "{line}");
        }
        assert!(["a>", "\"", "(", ")", "[1"].iter().all(|line| shown(line).is_none()));
    }

    #[test]
    fn damaged_lines_are_read_or_refused() {
        let line = b"root: \"|cmd a\", Joe (x) <@r:joe@[1.2]>, :include:/a/b, c\\ d@e.f;\n g";
        let mut random = Random::new(1);
        for _ in 0..10_000 {
            let bad = random.damaged(line);
            for includes in [Includes::Known, Includes::Unknown] {
                let found = entries(&bad, includes).unwrap_or_default();
                assert!(found.len() <= bad.len());
            }
        }
    }
}
