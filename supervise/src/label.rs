//! TAI64N labels at the start of a line, as tai64n and multilog put them there.

use base::tai64;

/// Bytes that decide what a line starts with: `@`, 24 digits and the byte behind them.
pub const DECISIVE: usize = tai64::LABEL + 1;

/// What a line starts with.
#[derive(Debug, PartialEq, Eq)]
pub enum Start<'a> {
    /// A label.
    Label {
        /// The digits of its second, which may be any number.
        second: &'a [u8; 16],
        /// Its nanoseconds, less than 10^9; a label of 16 digits has none.
        nanoseconds: Option<u32>,
        /// What follows the label.
        rest: &'a [u8],
    },
    /// Something else.
    Text,
    /// Too few bytes to tell; never if `line` has [`DECISIVE`] bytes or a newline.
    Unclear,
}

/// Looks at the first bytes of a line. `whole`: nothing follows them.
///
/// A label is `@` and exactly 24 or 16 lower-case hex digits.
pub fn start(line: &[u8], whole: bool) -> Start<'_> {
    let [b'@', digits @ ..] = line else {
        return if line.is_empty() && !whole { Start::Unclear } else { Start::Text };
    };
    let count = digits.iter().take(DECISIVE - 1).take_while(|byte| is_digit(byte)).count();
    if count == digits.len() && count < DECISIVE - 1 && !whole {
        return Start::Unclear;
    }
    let (digits, rest) = digits.split_at(count);
    let Some((second, fraction)) = digits.split_first_chunk::<16>() else {
        return Start::Text;
    };
    match (fraction.len(), nanoseconds(fraction)) {
        (0, _) => Start::Label { second, nanoseconds: None, rest },
        (8, number @ 0..1_000_000_000) => Start::Label { second, nanoseconds: Some(number), rest },
        _ => Start::Text,
    }
}

fn is_digit(byte: &u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

/// The number that at most 8 digits mean.
fn nanoseconds(digits: &[u8]) -> u32 {
    digits.iter().fold(0, |number, digit| {
        let value = if *digit <= b'9' { digit - b'0' } else { digit - b'a' + 10 };
        number << 4 | u32::from(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_have_24_or_16_digits() {
        let second = b"4000000037c219bf";
        let label = |nanoseconds, rest| Start::Label { second, nanoseconds, rest };
        let nanoseconds = Some(787492500);
        assert_eq!(start(b"@4000000037c219bf2ef02e94 x\n", false), label(nanoseconds, b" x\n"));
        assert_eq!(start(b"@4000000037c219bf2ef02e94", true), label(nanoseconds, b""));
        assert_eq!(start(b"@4000000037c219bf2ef02e94A", false), label(nanoseconds, b"A"));
        assert_eq!(start(b"@4000000037c219bf\n", false), label(None, b"\n"));
        assert_eq!(start(b"@4000000037c219bf3b9ac9ff\n", false), label(Some(999_999_999), b"\n"));
    }

    #[test]
    fn everything_else_is_text() {
        for line in [
            &b"x"[..],
            b"@",
            b"@\n",
            b"@zz",
            b"@4000000037C219BF2EF02E94 x\n",
            b"@4000000037c219bf2ef02e944 x\n",
            b"@4000000037c219bf2ef02e9 x\n",
            b"@4000000037c219b\n",
            b"@4000000037c219bf3b9aca00\n",
            b"@4000000037c219bfffffffff\n",
        ] {
            assert_eq!(start(line, true), Start::Text, "{line:?}");
        }
    }

    #[test]
    fn a_short_start_is_unclear_until_the_end() {
        let line = b"@4000000037c219bf2ef02e94 ";
        for count in 0..DECISIVE {
            assert_eq!(start(&line[..count], false), Start::Unclear);
            assert_ne!(start(&line[..count], true), Start::Unclear);
        }
        assert_ne!(start(&line[..DECISIVE], false), Start::Unclear);
    }
}
