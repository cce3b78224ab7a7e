//! Options the classic way: single letters, in clusters, arguments glued or in the next word;
//! the first word that is no option ends them, one that starts with `--` ends them and is
//! dropped whole, as djb's getopt does, `-` is a word.

use crate::{Args, Die, Result};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// Reads options off the front of a program's words.
///
/// ```ignore
/// let mut opts = Opts::new(words, "vc:", USAGE);
/// while let Some(letter) = opts.next()? {
///     match letter {
///         b'v' => verbose = true,
///         b'c' => limit = opts.argument(),
///         _ => {}
///     }
/// }
/// let words = opts.rest();
/// ```
pub struct Opts {
    words: Vec<OsString>,
    /// The word being read, and the byte in it: 0 is the hyphen.
    at: (usize, usize),
    /// A word starting with `--` has been read.
    ended: bool,
    letters: &'static str,
    usage: String,
    usage_code: u8,
    argument: OsString,
}

impl Opts {
    /// `letters` as for getopt: a colon after a letter means that it takes an argument.
    pub fn new(words: Args, letters: &'static str, usage: &str) -> Self {
        Opts {
            words,
            at: (0, 0),
            ended: false,
            letters,
            usage: format!("usage: {usage}"),
            usage_code: 100,
            argument: OsString::new(),
        }
    }

    /// Another exit code for wrong usage than 100.
    pub fn usage_code(mut self, code: u8) -> Self {
        self.usage_code = code;
        self
    }

    /// The whole last line of wrong usage, for programs that do not say `usage: `.
    pub fn usage_line(mut self, line: &str) -> Self {
        self.usage = line.to_owned();
        self
    }

    /// The next option letter; its argument, if it takes one, is in [`Opts::argument`].
    #[allow(clippy::should_implement_trait)] // It fails, and lends its argument between calls.
    pub fn next(&mut self) -> Result<Option<u8>> {
        if self.ended {
            return Ok(None);
        }
        let (index, offset) = self.at;
        let Some(word) = self.words.get(index).map(|word| word.as_bytes()) else {
            return Ok(None);
        };
        if offset == 0 {
            match word {
                [b'-', b'-', ..] => {
                    self.at = (index + 1, 0);
                    self.ended = true;
                    return Ok(None);
                }
                [b'-', _, ..] => {}
                _ => return Ok(None),
            }
        }
        let offset = offset.max(1);
        let letter = word[offset];
        let rest = &word[offset + 1..];
        self.at = if rest.is_empty() { (index + 1, 0) } else { (index, offset + 1) };
        match self.takes_argument(letter) {
            None => Err(self.wrong("illegal option", letter)),
            Some(false) => Ok(Some(letter)),
            Some(true) => {
                if rest.is_empty() {
                    let Some(next) = self.words.get(index + 1) else {
                        return Err(self.wrong("option requires an argument", letter));
                    };
                    self.argument = next.clone();
                    self.at = (index + 2, 0);
                } else {
                    self.argument = OsString::from_vec(rest.to_vec());
                    self.at = (index + 1, 0);
                }
                Ok(Some(letter))
            }
        }
    }

    /// The argument of the letter that came last.
    pub fn argument(&self) -> &OsStr {
        &self.argument
    }

    /// The words after the options.
    pub fn rest(mut self) -> Args {
        self.words.split_off(self.at.0.min(self.words.len()))
    }

    /// The usage line as last words, for wrong combinations and missing words.
    pub fn bad_usage(&self) -> Die {
        Die { code: self.usage_code, text: self.usage.clone() }
    }

    fn takes_argument(&self, letter: u8) -> Option<bool> {
        let letters = self.letters.as_bytes();
        let at = letters.iter().position(|known| *known == letter && letter != b':')?;
        Some(letters.get(at + 1) == Some(&b':'))
    }

    /// `PROGRAM: illegal option -- X` and then the usage line.
    fn wrong(&self, what: &str, letter: u8) -> Die {
        let (program, letter) = (crate::say::program(), char::from(letter));
        let text = format!("{what} -- {letter}\n{program}: {}", self.usage);
        Die { code: self.usage_code, text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Letters with their arguments, then `|`, then the rest; or the last words.
    fn read(words: &[&str], letters: &'static str) -> String {
        let mut opts = Opts::new(words.iter().map(OsString::from).collect(), letters, "x");
        let mut seen = String::new();
        loop {
            match opts.next() {
                Ok(Some(letter)) => {
                    seen.push(char::from(letter));
                    if opts.takes_argument(letter) == Some(true) {
                        seen += &format!("={} ", opts.argument().display());
                    }
                }
                Ok(None) => break,
                Err(die) => return die.text,
            }
        }
        opts.rest().iter().fold(seen + "|", |all, word| format!("{all} {}", word.display()))
    }

    #[test]
    fn letters_cluster_and_arguments_are_glued_or_next() {
        assert_eq!(read(&["-vRc40", "-c", "4", "-c=", "a", "-v"], "vRc:"), "vRc=40 c=4 c== | a -v");
        assert_eq!(read(&["-l", "", "-l", "-v", "x"], "l:v"), "l= l=-v | x");
    }

    #[test]
    fn two_hyphens_end_the_options_and_one_is_a_word() {
        assert_eq!(read(&["-v", "--", "-v"], "v"), "v| -v");
        assert_eq!(read(&["-v", "-", "-v"], "v"), "v| - -v");
        assert_eq!(read(&["--verbose", "-v"], "v"), "| -v");
    }

    #[test]
    fn unknown_letters_and_missing_arguments_are_named() {
        assert!(read(&["-vZ"], "v").starts_with("illegal option -- Z\n"));
        assert!(read(&["-:"], "c:").starts_with("illegal option -- :\n"));
        assert!(read(&["-c"], "c:").starts_with("option requires an argument -- c\n"));
    }
}
