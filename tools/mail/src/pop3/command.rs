//! Commands: lines with a verb, blanks, and an argument.

use std::io::{self, BufRead};

/// Bytes of a command line that are kept. RFC 2449, section 4, asks for 255.
pub const LINE: usize = 4096;

/// What a client wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// A user's name.
    User,
    /// A password.
    Pass,
    /// A user's name and a digest of the password with the greeting.
    Apop,
    /// RFC 2449.
    Capa,
    /// How many messages, how many bytes.
    Stat,
    /// Sizes.
    List,
    /// Names that stay the same.
    Uidl,
    /// A message.
    Retr,
    /// The header of a message and some lines.
    Top,
    /// A message is to be deleted.
    Dele,
    /// No message is to be deleted.
    Rset,
    /// The highest message that was deleted. RFC 1725 has it no more.
    Last,
    /// Nothing.
    Noop,
    /// The end.
    Quit,
    /// Anything else.
    Unknown,
}

/// The verbs, in small letters.
const VERBS: [(&[u8], Verb); 14] = [
    (b"user", Verb::User),
    (b"pass", Verb::Pass),
    (b"apop", Verb::Apop),
    (b"capa", Verb::Capa),
    (b"stat", Verb::Stat),
    (b"list", Verb::List),
    (b"uidl", Verb::Uidl),
    (b"retr", Verb::Retr),
    (b"top", Verb::Top),
    (b"dele", Verb::Dele),
    (b"rset", Verb::Rset),
    (b"last", Verb::Last),
    (b"noop", Verb::Noop),
    (b"quit", Verb::Quit),
];

/// How a line came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Whole.
    Line,
    /// Longer than [`LINE`], and not kept whole.
    TooLong,
    /// Not, or not to its end: the client has gone.
    End,
}

/// Reads a line, without its newline, in the place of what is in `line`. Nothing beyond it is
/// used.
pub fn read(from: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Heard> {
    line.clear();
    let mut too_long = false;
    loop {
        let piece = from.fill_buf()?;
        if piece.is_empty() {
            return Ok(Heard::End);
        }
        let end = memchr::memchr(b'\n', piece);
        let part = &piece[..end.unwrap_or(piece.len())];
        let room = LINE - line.len();
        line.extend_from_slice(&part[..part.len().min(room)]);
        too_long |= part.len() > room;
        let used = end.map_or(piece.len(), |end| end + 1);
        from.consume(used);
        if end.is_some() {
            return Ok(if too_long { Heard::TooLong } else { Heard::Line });
        }
    }
}

/// Takes a line apart. One CR at its end is dropped, and what follows a NUL: to the originals the
/// line ends there, and so it does for the programs that get a user's name and password.
pub fn parse(line: &[u8]) -> (Verb, &[u8]) {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let line = &line[..memchr::memchr(0, line).unwrap_or(line.len())];
    let (verb, argument) = line.split_at(memchr::memchr(b' ', line).unwrap_or(line.len()));
    let found = VERBS.iter().find(|(name, _)| name.eq_ignore_ascii_case(verb));
    (found.map_or(Verb::Unknown, |(_, verb)| *verb), after_blanks(argument))
}

/// What follows the spaces at the start.
pub fn after_blanks(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|byte| *byte != b' ').unwrap_or(text.len());
    &text[start..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::tests::Random;
    use std::io::BufReader;

    type Parsed<'a> = (Verb, &'a [u8]);

    #[test]
    fn a_line_is_a_verb_and_an_argument() {
        let cases: [(&[u8], Parsed); 8] = [
            (b"STAT", (Verb::Stat, b"")),
            (b"retr  7 x \r", (Verb::Retr, b"7 x ")),
            (b"PASS a b", (Verb::Pass, b"a b")),
            (b"user joe\0x", (Verb::User, b"joe")),
            (b"quit\r\r", (Verb::Unknown, b"")),
            (b" quit", (Verb::Unknown, b"quit")),
            (b"", (Verb::Unknown, b"")),
            (b"top\t1", (Verb::Unknown, b"")),
        ];
        for (line, expected) in cases {
            assert_eq!(parse(line), expected);
        }
    }

    /// All lines of an input, as they are heard in pieces of this size.
    fn heard(input: &[u8], size: usize) -> Vec<(Heard, Vec<u8>)> {
        let mut from = BufReader::with_capacity(size, input);
        let (mut all, mut line) = (Vec::new(), Vec::new());
        loop {
            let heard = read(&mut from, &mut line).unwrap();
            if heard == Heard::End {
                return all;
            }
            all.push((heard, line.clone()));
        }
    }

    #[test]
    fn long_lines_are_cut_and_the_next_one_is_whole() {
        let exact = "x".repeat(LINE);
        let input = format!("{exact}\n{exact}y\r\nstat\nhalf");
        for size in [1, 7, LINE, 2 * LINE] {
            let seen = heard(input.as_bytes(), size);
            let expected = [
                (Heard::Line, exact.clone().into_bytes()),
                (Heard::TooLong, exact.clone().into_bytes()),
                (Heard::Line, b"stat".to_vec()),
            ];
            assert_eq!(seen, expected);
        }
    }

    #[test]
    fn any_bytes_are_lines_of_commands() {
        let mut random = Random::new(17);
        for _ in 0..10_000 {
            let bad =
                random.damaged(b"USER joe\r\nPASS x\r\nTOP 1 0\r\nDELE 4\r\nUIDL\r\nQUIT\r\n");
            let lines = heard(&bad, 1 + random.below(9));
            assert_eq!(lines, heard(&bad, 4096));
            for (_, line) in lines {
                assert!(!parse(&line).1.contains(&0));
            }
        }
    }
}
