//! multilog's patterns: text in which stars stand for runs of other bytes, or those of the shell.

use crate::glob;
use memchr::memmem;

/// Bytes that are looked at one by one.
const NEAR: usize = 16;

/// A pattern of either kind.
#[derive(Debug, PartialEq, Eq)]
pub enum Pattern {
    /// Of multilog's own kind: see [`matches`].
    Simple(Vec<u8>),
    /// As the shell has them for files: see [`glob::matches`].
    Glob(Vec<u8>),
}

impl Pattern {
    /// One of multilog's own kind.
    pub fn simple(text: &[u8]) -> Pattern {
        Pattern::Simple(text.to_vec())
    }

    /// One of the shell's kind.
    pub fn glob(text: &[u8]) -> Pattern {
        Pattern::Glob(text.to_vec())
    }

    /// Whether it matches all of a line.
    pub fn matches(&self, line: &[u8]) -> bool {
        match self {
            Pattern::Simple(text) => matches(text, line),
            Pattern::Glob(text) => glob::matches(text, line),
        }
    }

    /// Whether it could match one of these lines. `false` is certain: bytes that it has in a row
    /// are nowhere. That is known much sooner than whether it matches each.
    pub fn may_match_in(&self, lines: &[u8]) -> bool {
        match self {
            Pattern::Simple(text) => {
                let rows = text.split(|byte| *byte == b'*');
                let longest = rows.max_by_key(|row| row.len()).unwrap_or_default();
                memmem::find(lines, longest).is_some()
            }
            Pattern::Glob(_) => true,
        }
    }
}

/// Whether a simple pattern matches all of a line.
///
/// A star matches up to the first byte that equals the one behind the star, and there is no way
/// back: `a*bc` does not match `abbc`. A star at the end matches the rest. Every other byte matches
/// itself.
pub fn matches(mut pattern: &[u8], mut line: &[u8]) -> bool {
    loop {
        match pattern {
            [] => return line.is_empty(),
            [b'*'] => return true,
            [b'*', next, ..] => match find(*next, line) {
                Some(at) => line = &line[at..],
                None => return false,
            },
            [byte, ..] => match line.split_first() {
                Some((first, rest)) if first == byte => line = rest,
                _ => return false,
            },
        }
        pattern = &pattern[1..];
    }
}

/// As memchr, which takes its time to begin: most of what is searched for is near.
fn find(byte: u8, line: &[u8]) -> Option<usize> {
    let near = line.len().min(NEAR);
    let here = line[..near].iter().position(|found| *found == byte);
    here.or_else(|| memchr::memchr(byte, &line[near..]).map(|at| near + at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::tests::Random;

    #[test]
    fn patterns_match_whole_lines() {
        for (pattern, line, expected) in [
            ("hello", "hello", true),
            ("hello", "hello world", false),
            ("hello", "hell", false),
            ("", "", true),
            ("", "x", false),
            ("*", "", true),
            ("*", "anything", true),
            ("a*", "a", true),
            ("a*", "ba", false),
            ("*a", "ba", true),
            ("*a", "baa", false),
            ("*aa", "baa", true),
            ("a*bc", "abc", true),
            ("a*bc", "axbc", true),
            ("a*bc", "abbc", false),
            ("**", "x*y", true),
            ("**", "xy", false),
            ("**", "", false),
            ("***", "x*y", true),
            ("**a", "*xa", true),
            ("**a", "xa", false),
            ("a?c", "abc", false),
            ("[ab]", "a", false),
            ("\\*", "\\x", true),
            ("named[*]: Cleaned cache *", "named[135]: Cleaned cache of 3121 RRs", true),
            ("* fatal: *", "@4000 fatal: x", true),
            ("* fatal: *", "@4000 not fatal: x", false),
            ("* * * *", "a b c d e", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), line.as_bytes()), expected, "{pattern} {line}");
        }
    }

    #[test]
    fn what_matches_a_line_may_match_in_lines() {
        let mut random = Random::new(51);
        let mut some = |letters: &[u8]| -> Vec<u8> {
            (0..random.below(6)).map(|_| letters[random.below(letters.len())]).collect()
        };
        for _ in 0..10_000 {
            let (text, line) = (some(b"ab**"), some(b"ab*"));
            let lines = [&b"b\n"[..], &line, b"\na\n"].concat();
            let pattern = Pattern::simple(&text);
            assert!(pattern.may_match_in(&lines) || !pattern.matches(&line), "{text:?} {line:?}");
        }
        assert!(!Pattern::simple(b"* fatal: *").may_match_in(b"a warning: b\nfatal\n"));
    }

    #[test]
    fn bytes_are_bytes() {
        assert!(matches(b"*\0\xff*", b"x\r\0\xff\n"));
        assert!(!matches(b"\0", b""));
    }
}
