//! multilog's patterns: text in which stars stand for runs of other bytes.

/// Whether a pattern matches all of a line.
///
/// A star matches up to the first byte that equals the one behind the star, and there is no way
/// back: `a*bc` does not match `abbc`. A star at the end matches the rest. Every other byte matches
/// itself.
pub fn matches(mut pattern: &[u8], mut line: &[u8]) -> bool {
    loop {
        match pattern {
            [] => return line.is_empty(),
            [b'*'] => return true,
            [b'*', next, ..] => match memchr::memchr(*next, line) {
                Some(at) => line = &line[at..],
                None => return false,
            },
            [byte, ..] => match line.strip_prefix(&[*byte]) {
                Some(rest) => line = rest,
                None => return false,
            },
        }
        pattern = &pattern[1..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn bytes_are_bytes() {
        assert!(matches(b"*\0\xff*", b"x\r\0\xff\n"));
        assert!(!matches(b"\0", b""));
    }
}
