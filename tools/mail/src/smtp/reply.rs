//! Replies as a client reads them: lines `250-text`, the last one `250 text`. RFC 5321, 4.2.

/// Bytes of a reply that are kept to be shown.
const KEPT: usize = 5000;

/// The code of a reply that has none: it counts as a failure that may pass.
const NO_CODE: u16 = 451;

/// What a server has said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// That of its first line, 200..=599.
    pub code: u16,
    /// All lines with their codes, ended by LF, without CRs, cut to 5000 bytes.
    pub text: Vec<u8>,
}

impl Reply {
    /// It will not be accepted next time either.
    pub fn is_permanent(&self) -> bool {
        self.code >= 500
    }

    /// It is not accepted.
    pub fn is_refusal(&self) -> bool {
        self.code >= 400
    }

    /// Whether an answer to EHLO names this extension, in any case.
    pub fn offers(&self, extension: &str) -> bool {
        let lines = self.text.split(|byte| *byte == b'\n').skip(1);
        let mut words = lines.filter_map(|line| line.get(4..)?.split(|byte| *byte == b' ').next());
        words.any(|word| word.eq_ignore_ascii_case(extension.as_bytes()))
    }
}

/// Gathers the bytes of one reply.
#[derive(Debug, Default)]
pub struct Parser {
    reply: Reply,
    /// The first four bytes of the present line, and how many of them have come.
    start: [u8; 4],
    length: usize,
}

impl Parser {
    /// Takes bytes of a reply. Gives how many were used and, once it is complete, the reply; the
    /// next byte then begins another one.
    pub fn feed(&mut self, bytes: &[u8]) -> (usize, Option<Reply>) {
        for (at, &byte) in bytes.iter().enumerate() {
            if byte != b'\r' && self.reply.text.len() < KEPT {
                self.reply.text.push(byte);
            }
            if byte == b'\n' {
                let last = self.line_ended();
                if last {
                    return (at + 1, Some(std::mem::take(&mut self.reply)));
                }
            } else if let Some(place) = self.start.get_mut(self.length) {
                *place = byte;
                self.length += 1;
            }
        }
        (bytes.len(), None)
    }

    /// Reads the start of a line. Whether it was the last one.
    fn line_ended(&mut self) -> bool {
        let start = &self.start[..std::mem::take(&mut self.length)];
        if self.reply.code == 0 {
            self.reply.code = code(start).unwrap_or(NO_CODE);
        }
        start.get(3) != Some(&b'-')
    }
}

/// The code that a line begins with.
fn code(line: &[u8]) -> Option<u16> {
    let digits = line.get(..3).filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
    let code = digits.iter().fold(0, |n, digit| n * 10 + u16::from(digit - b'0'));
    (200..600).contains(&code).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::tests::Random;

    /// The replies in `wire`, fed in pieces of `size` bytes.
    fn replies(wire: &[u8], size: usize) -> Vec<(u16, String)> {
        let (mut parser, mut replies) = (Parser::default(), Vec::new());
        for mut piece in wire.chunks(size) {
            while !piece.is_empty() {
                let (used, reply) = parser.feed(piece);
                piece = &piece[used..];
                replies.extend(reply.map(|r| (r.code, String::from_utf8_lossy(&r.text).into())));
            }
        }
        replies
    }

    #[test]
    fn replies_have_lines_and_a_code() {
        let wire = b"220-a\r\n999-b\n\r220 c\r\n250\r\n354\n\n5\r\nabc d\r\n600 x\r\n199 x\r\n42";
        let expected = [
            (220, "220-a\n999-b\n220 c\n"),
            (250, "250\n"),
            (354, "354\n"),
            (451, "\n"),
            (451, "5\n"),
            (451, "abc d\n"),
            (451, "600 x\n"),
            (451, "199 x\n"),
        ];
        for size in 1..wire.len() + 1 {
            let expected = expected.map(|(code, text)| (code, text.to_owned()));
            assert_eq!(replies(wire, size), expected, "{size}");
        }
    }

    #[test]
    fn extensions_are_words_of_the_lines_after_the_first() {
        let reply = |text: &str| Reply { code: 250, text: text.into() };
        let offer = "250-pipelining.example SIZE\n250-Pipelining\n250-SIZE 100\n250 8BITMIME\n";
        assert!(reply(offer).offers("PIPELINING") && reply(offer).offers("8BITMIME"));
        assert!(reply(offer).offers("SIZE") && !reply(offer).offers("100"));
        assert!(!reply("250 PIPELINING\n").offers("PIPELINING"));
        assert!(!reply("").offers(""));
    }

    #[test]
    fn endless_and_damaged_replies_take_no_memory() {
        let mut parser = Parser::default();
        for _ in 0..1000 {
            assert_eq!(parser.feed(b"220-on and on\r\n"), (15, None));
            assert!(parser.reply.text.len() <= KEPT);
        }
        let mut random = Random::new(1);
        for _ in 0..10_000 {
            let mut bytes = *b"250-a.example\r\n250-PIPELINING\r\n250 8BITMIME\r\n354 go\r\n";
            for _ in 0..4 {
                bytes[random.below(bytes.len())] = random.next() as u8;
            }
            let size = 1 + random.below(20);
            let some = replies(&bytes, size);
            assert_eq!(some, replies(&bytes, bytes.len()));
            assert!(some.iter().all(|(code, _)| (200..600).contains(code)));
        }
    }
}
