//! Message text on the wire: lines end in CR LF, a leading dot is doubled, `.` CR LF ends it all.

use memchr::{memchr, memchr2};

/// Reads text off the wire: gives lines that end in LF, without doubled dots. Only CR LF is a
/// line end and only CR LF . CR LF the end of the text, so that nobody smuggles a second message
/// past a server that reads it otherwise.
#[derive(Debug, Default)]
pub struct Decoder {
    state: State,
}

/// What came last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// CR LF, which has been given as LF; also the very beginning.
    #[default]
    LineEnd,
    /// CR LF and a dot, which is not given yet.
    Dot,
    /// CR LF, dot, CR; dot and CR are not given yet.
    DotReturn,
    /// A CR elsewhere, not given yet.
    Return,
    /// Anything else.
    Inside,
}

/// How far a block of text went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// To its end; the text goes on.
    Open,
    /// To the end of the text, CR LF . CR LF.
    Complete,
    /// To an LF that follows no CR.
    BareNewline,
}

impl Decoder {
    /// Reads bytes off the wire and gives those of the message, piece by piece. Tells how many
    /// were read, the end of the text included; the rest is no text.
    pub fn decode(&mut self, block: &[u8], mut give: impl FnMut(&[u8])) -> (usize, Ending) {
        let mut at = 0;
        while let Some(&byte) = block.get(at) {
            match (self.state, byte) {
                (State::LineEnd, b'.') => self.state = State::Dot,
                (State::Dot, b'\r') => self.state = State::DotReturn,
                (State::DotReturn, b'\n') => return (at + 1, Ending::Complete),
                (State::Return, b'\n') => {
                    give(b"\n");
                    self.state = State::LineEnd;
                }
                (State::LineEnd | State::Dot | State::Inside, b'\n') => {
                    return (at + 1, Ending::BareNewline);
                }
                // Not the end after all: the byte is looked at again behind what was held back.
                // As in the original, a dot before a bare CR stays.
                (State::DotReturn, _) => {
                    give(b".");
                    self.state = State::Return;
                    continue;
                }
                (State::Return, _) => {
                    give(b"\r");
                    self.state = State::Inside;
                    continue;
                }
                (State::LineEnd | State::Dot | State::Inside, _) => {
                    match self.lines(&block[at..], &mut give) {
                        (count, Ending::Open) => at += count,
                        (count, ending) => return (at + count, ending),
                    }
                    continue;
                }
            }
            at += 1;
        }
        (block.len(), Ending::Open)
    }

    /// Reads ordinary lines, up to the end of the block or to a line that starts with a dot. The
    /// block does not begin with LF. Each line is given together with the LF before it.
    fn lines(&mut self, block: &[u8], give: &mut impl FnMut(&[u8])) -> (usize, Ending) {
        let (mut given, mut at) = (0, 0);
        while let Some(length) = memchr(b'\n', &block[at..]) {
            let newline = at + length;
            let line = &block[given..newline];
            match line.split_last() {
                Some((b'\r', line)) => give(line),
                _ => return (newline + 1, Ending::BareNewline),
            }
            (given, at) = (newline, newline + 1);
            if matches!(block.get(at), None | Some(b'.')) {
                give(b"\n");
                self.state = State::LineEnd;
                return (at, Ending::Open);
            }
        }
        let (rest, state) = match block[given..].split_last() {
            Some((b'\r', rest)) => (rest, State::Return),
            _ => (&block[given..], State::Inside),
        };
        give(rest);
        self.state = state;
        (block.len(), Ending::Open)
    }
}

/// Writes text onto the wire: LF and a lone CR become CR LF (CR LF stays), leading dots are
/// doubled.
#[derive(Debug)]
pub struct Encoder {
    line_start: bool,
    /// The last byte was a CR; its CR LF has been written.
    after_return: bool,
    complete: bool,
}

impl Default for Encoder {
    fn default() -> Self {
        Encoder { line_start: true, after_return: false, complete: true }
    }
}

impl Encoder {
    /// Appends the wire form of a block to `wire`: at most three times as many bytes.
    pub fn encode(&mut self, mut block: &[u8], wire: &mut Vec<u8>) {
        let Some(last) = block.last() else { return };
        self.complete = *last == b'\n';
        if std::mem::take(&mut self.after_return) {
            block = block.strip_prefix(b"\n").unwrap_or(block);
        }
        while let [first, ..] = block {
            if self.line_start && *first == b'.' {
                wire.push(b'.');
            }
            let end = memchr2(b'\r', b'\n', block);
            wire.extend_from_slice(&block[..end.unwrap_or(block.len())]);
            self.line_start = end.is_some();
            let Some(end) = end else { return };
            wire.extend_from_slice(b"\r\n");
            block = match &block[end..] {
                [b'\r', b'\n', rest @ ..] => rest,
                [b'\r'] => {
                    self.after_return = true;
                    return;
                }
                rest => &rest[1..],
            };
        }
    }

    /// Whether the message ends in a newline, or is empty: only then may it be ended.
    pub fn is_complete(&self) -> bool {
        self.complete
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::tests::Random;

    /// What a decoder gives of `wire`, fed in these pieces; how far it came; how it ended.
    fn decoded<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (String, usize, Ending) {
        let (mut decoder, mut text, mut used) = (Decoder::default(), Vec::new(), 0);
        for piece in pieces {
            let (count, ending) = decoder.decode(piece, |bytes| text.extend_from_slice(bytes));
            used += count;
            if ending != Ending::Open {
                return (String::from_utf8(text).unwrap(), used, ending);
            }
        }
        (String::from_utf8(text).unwrap(), used, Ending::Open)
    }

    /// Checks the text, the rest after it and the ending, for every way of cutting the wire.
    fn check(wire: &str, text: &str, rest: &str, ending: Ending) {
        let bytes = wire.as_bytes();
        let expected = (text.to_owned(), wire.len() - rest.len(), ending);
        for cut in 0..=bytes.len() {
            let (a, b) = bytes.split_at(cut);
            assert_eq!(decoded([a, b].into_iter()), expected, "{wire:?} cut at {cut}");
        }
        assert_eq!(decoded(bytes.chunks(1)), expected, "{wire:?} byte by byte");
    }

    #[test]
    fn lines_and_dots_are_decoded() {
        check(".\r\nQUIT", "", "QUIT", Ending::Complete);
        check("a\r\n\r\nb\r\n.\r\nx", "a\n\nb\n", "x", Ending::Complete);
        check("..\r\n...a\r\n.b\r\n.\r\n", ".\n..a\nb\n", "", Ending::Complete);
        check("a.\r\n.\r\n.\r\n", "a.\n", ".\r\n", Ending::Complete);
        check("open", "open", "", Ending::Open);
    }

    #[test]
    fn a_lone_cr_is_text() {
        check("a\rb\r\r\n.\r\n", "a\rb\r\n", "", Ending::Complete);
        check(".\rx\r\n\r.\r\n.\r\n", ".\rx\n\r.\n", "", Ending::Complete);
        check(".\r\r\n\r.\r\r\n.\r\n", ".\r\n\r.\r\n", "", Ending::Complete);
    }

    #[test]
    fn a_newline_without_cr_ends_everything_wherever_the_text_is_cut() {
        for wire in [
            "\n.\r\n",
            ".\n",
            "..\n",
            "\r\n\n.\r\n",
            "\r\n.\n.\r\n",
            "a\n.\r\n",
            "a\r\nb\n.\n",
            "a\r\n\0\n\r\n.\r\n",
            "\r\r\nx\n",
        ] {
            let end = wire.replace("\r\n", "##").find('\n').unwrap() + 1;
            for cut in 0..=wire.len() {
                let (a, b) = wire.as_bytes().split_at(cut);
                let (_, used, ending) = decoded([a, b].into_iter());
                assert_eq!((used, ending), (end, Ending::BareNewline), "{wire:?} cut at {cut}");
            }
        }
    }

    fn encoded<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (String, bool) {
        let (mut encoder, mut wire) = (Encoder::default(), Vec::new());
        pieces.for_each(|piece| encoder.encode(piece, &mut wire));
        (String::from_utf8(wire).unwrap(), encoder.is_complete())
    }

    #[test]
    fn text_is_encoded_wherever_it_is_cut() {
        for (text, wire) in [
            ("", ""),
            ("\n", "\r\n"),
            ("a\n\nb\n", "a\r\n\r\nb\r\n"),
            (".\n..a\nb.\n", "..\r\n...a\r\nb.\r\n"),
            ("a\r\nb\r\r\nc\rd\n", "a\r\nb\r\n\r\nc\r\nd\r\n"),
            ("a\r.\r\n.\n", "a\r\n..\r\n..\r\n"),
            ("\r\n\n\r\r\n", "\r\n\r\n\r\n\r\n"),
        ] {
            let expected = (wire.to_owned(), true);
            for cut in 0..=text.len() {
                let (a, b) = text.as_bytes().split_at(cut);
                assert_eq!(encoded([a, b].into_iter()), expected, "{text:?} cut at {cut}");
            }
            assert_eq!(encoded(text.as_bytes().chunks(1)), expected, "{text:?} byte by byte");
        }
    }

    #[test]
    fn only_a_final_newline_completes_a_message() {
        for text in ["a", "a\n.", "a\nb\r", "\r"] {
            assert!(!encoded(text.as_bytes().chunks(1)).1, "{text:?}");
        }
    }

    /// The same as [`Decoder`], one byte after the other.
    fn decoded_slowly(wire: &[u8]) -> (Vec<u8>, usize, Ending) {
        let (mut text, mut held): (Vec<u8>, &[u8]) = (Vec::new(), b"\r\n");
        for (at, byte) in wire.iter().enumerate() {
            let known: [&[u8]; 4] = [b"\r", b"\r\n", b"\r\n.", b"\r\n.\r"];
            let longer = [held, &[*byte]].concat();
            match (held, byte) {
                (b"\r\n.\r", b'\n') => return (text, at + 1, Ending::Complete),
                (b"\r", b'\n') => text.push(b'\n'),
                (_, b'\n') => return (text, at + 1, Ending::BareNewline),
                (b"\r\n.\r", _) => text.extend_from_slice(b".\r"),
                (b"\r", _) => text.push(b'\r'),
                _ => {}
            }
            held = match known.iter().find(|known| longer == **known) {
                Some(known) => known,
                None if *byte == b'\r' => known[0],
                None => {
                    text.push(*byte);
                    b""
                }
            };
        }
        (text, wire.len(), Ending::Open)
    }

    #[test]
    fn random_text_is_decoded_as_byte_by_byte() {
        let mut random = Random::new(1);
        for _ in 0..10_000 {
            let parts: [&[u8]; 7] = [b"\r\n", b"\r\n", b".", b"\r", b"x\0\xff", b"\r\n..", b"\n"];
            let count = random.below(30);
            // A bare newline seldom, else few texts would come to their ends.
            let wire: Vec<&[u8]> = (0..count).map(|_| parts[random.below(61) / 10]).collect();
            let wire = wire.concat();
            let (slow, end, ending) = decoded_slowly(&wire);
            let size = 1 + random.below(9);
            let (mut decoder, mut text) = (Decoder::default(), Vec::new());
            let mut seen = (0, Ending::Open);
            for piece in wire.chunks(size) {
                let (used, ending) = decoder.decode(piece, |bytes| text.extend_from_slice(bytes));
                seen = (seen.0 + used, ending);
                if ending != Ending::Open {
                    break;
                }
            }
            assert_eq!(seen, (end, ending), "{wire:?} by {size}");
            // What is given of a text that is refused does not matter.
            assert!(
                ending == Ending::BareNewline || text == slow[..text.len()],
                "{wire:?} by {size}"
            );
            assert!(ending != Ending::Complete || text == slow, "{wire:?} by {size}");

            let mut encoder = Encoder::default();
            let mut again = Vec::new();
            slow.chunks(size).for_each(|piece| encoder.encode(piece, &mut again));
            assert!(again.len() <= 3 * slow.len());
            again.extend_from_slice(b"\r\n.\r\n");
            assert_eq!(decoded_slowly(&again).1, again.len(), "an end inside of {again:?}");
        }
    }
}
