//! Patterns as the shell has them for file names, and fnmatch(3) without flags, on bytes.
//!
//! `*` stands for any bytes, `?` for one, `[a-z]` for one of these, `[!a-z]` or `[^a-z]` for one
//! of the others, `[[:digit:]]` for one of a class in ASCII; a backslash takes the meaning from
//! the byte behind it. A slash and a dot at the start are bytes like all others.

/// Whether a pattern matches all of a line. Takes at most the product of both lengths in steps.
pub fn matches(pattern: &[u8], line: &[u8]) -> bool {
    let (mut rest, mut left) = (pattern, line);
    // Behind the latest star: the pattern, and the bytes that this star has not taken. An earlier
    // star need never take more: what this one can take includes it.
    let mut star: Option<(&[u8], &[u8])> = None;
    loop {
        if let [b'*', behind @ ..] = rest {
            star = Some((behind, left));
            rest = behind;
            continue;
        }
        let step = match left {
            [] if rest.is_empty() => return true,
            [byte, behind @ ..] => one(rest, *byte).map(|rest| (rest, behind)),
            [] => None,
        };
        if let Some(step) = step {
            (rest, left) = step;
            continue;
        }
        let Some((behind, [_, taken @ ..])) = star else { return false };
        star = Some((behind, taken));
        (rest, left) = (behind, taken);
    }
}

/// What is left of a pattern, which does not begin with a star, if its first element matches the
/// byte.
fn one(pattern: &[u8], byte: u8) -> Option<&[u8]> {
    let (fits, rest) = match pattern {
        [] => return None,
        [b'?', rest @ ..] => (true, rest),
        [b'[', set @ ..] => match in_set(set, byte) {
            Some((fits, rest)) => (fits, rest),
            // Never closed: a bracket like any other byte.
            None => (byte == b'[', set),
        },
        [b'\\', quoted, rest @ ..] => (*quoted == byte, rest),
        // Nothing to quote: fnmatch matches nothing.
        [b'\\'] => return None,
        [first, rest @ ..] => (*first == byte, rest),
    };
    fits.then_some(rest)
}

/// Whether the byte is in the set behind a `[`, and what follows the set. `None`: it has no end.
fn in_set(set: &[u8], byte: u8) -> Option<(bool, &[u8])> {
    let (others, mut rest) = match set {
        [b'!' | b'^', rest @ ..] => (true, rest),
        _ => (false, set),
    };
    let mut found = false;
    let mut first = true;
    loop {
        match rest {
            [b']', rest @ ..] if !first => return Some((found != others, rest)),
            [b'[', b':', class @ ..] if let Some((name, behind)) = named(class) => {
                found |= in_class(name, byte)?;
                rest = behind;
            }
            _ => {
                let (low, behind) = member(rest)?;
                let (high, behind) = match behind {
                    [b'-', end @ ..] if !end.starts_with(b"]") => member(end)?,
                    _ => (low, behind),
                };
                found |= (low..=high).contains(&byte);
                rest = behind;
            }
        }
        first = false;
    }
}

/// One byte of a set, which may be quoted, and what follows.
fn member(set: &[u8]) -> Option<(u8, &[u8])> {
    match set {
        [b'\\', byte, rest @ ..] | [byte, rest @ ..] => Some((*byte, rest)),
        [] => None,
    }
}

/// The name of a class, and what follows its `:]`.
fn named(class: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = class.windows(2).position(|pair| pair == b":]")?;
    Some((&class[..end], &class[end + 2..]))
}

/// `None`: there is no such class.
fn in_class(name: &[u8], byte: u8) -> Option<bool> {
    Some(match name {
        b"alnum" => byte.is_ascii_alphanumeric(),
        b"alpha" => byte.is_ascii_alphabetic(),
        b"blank" => matches!(byte, b' ' | b'\t'),
        b"cntrl" => byte.is_ascii_control(),
        b"digit" => byte.is_ascii_digit(),
        b"graph" => byte.is_ascii_graphic(),
        b"lower" => byte.is_ascii_lowercase(),
        b"print" => byte == b' ' || byte.is_ascii_graphic(),
        b"punct" => byte.is_ascii_punctuation(),
        b"space" => matches!(byte, b' ' | 9..=13),
        b"upper" => byte.is_ascii_uppercase(),
        b"xdigit" => byte.is_ascii_hexdigit(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the C library's fnmatch says to each of these, in the C locale.
    #[test]
    fn it_matches_as_fnmatch() {
        for (pattern, line, expected) in [
            ("", "", true),
            ("", "a", false),
            ("a", "a", true),
            ("*", "", true),
            ("*", "a/.b", true),
            ("a*bc", "abbc", true),
            ("a*bc", "abbcd", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "xxbxxaxx", false),
            ("**a", "bba", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("[abc]x", "bx", true),
            ("[!abc]x", "bx", false),
            ("[^abc]x", "dx", true),
            ("[a-c]", "b", true),
            ("[a-c]", "d", false),
            ("[a-]", "-", true),
            ("[]a]", "]", true),
            ("[!]a]", "]", false),
            ("[!]a]", "b", true),
            ("[[:digit:]]*", "4 lines", true),
            ("[[:digit:][:space:]x]", "x", true),
            ("[[:alpha:]]", "4", false),
            ("[a", "[a", true),
            ("a[", "a[", true),
            ("\\*", "*", true),
            ("\\*", "x", false),
            ("a\\", "a\\", false),
            ("[\\]]", "]", true),
            ("*error*", "an error: x", true),
            ("*[Ee]rror: *", "@4000 Error: x", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), line.as_bytes()), expected, "{pattern} {line}");
        }
        assert!(matches(b"?[\x80-\xff]\n*", b"\0\xc3\nx"));
    }

    #[test]
    fn many_stars_do_not_take_for_ever() {
        // Exponential, it would not end at all.
        assert!(!matches(&b"*a".repeat(200), &[b'a'; 199]));
        assert!(matches(&b"*a".repeat(200), &[b'a'; 1000]));
        assert!(!matches(&[&b"*a".repeat(200)[..], b"b"].concat(), &[b'a'; 1000]));
    }

    #[test]
    fn any_bytes_are_a_pattern() {
        let mut random = ::tests::Random::new(4);
        for _ in 0..10_000 {
            let pattern = random.damaged(b"*[a-z]?\\x[[:digit:]!]*");
            matches(&pattern, &random.damaged(b"some [line] of 4 words\\"));
        }
    }
}
