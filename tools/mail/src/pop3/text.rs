//! Messages as RETR and TOP send them: lines end in CR LF, a dot in front of a line is doubled,
//! a line with a dot alone is the end.

use memchr::{memchr, memchr_iter};

/// Turns a message into what is sent, piece by piece.
pub struct Encoder {
    /// Lines of the body that may still be sent. `None`: all.
    left: Option<u64>,
    in_header: bool,
    at_line_start: bool,
    full: bool,
}

impl Encoder {
    /// For a whole message, or for the header and so many lines.
    pub fn new(body: Option<u64>) -> Self {
        Encoder { left: body, in_header: true, at_line_start: true, full: false }
    }

    /// Whether nothing more is to be sent: what follows can be left unread.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// Appends what is sent for the next piece of the message.
    pub fn pass(&mut self, mut piece: &[u8], to: &mut Vec<u8>) {
        if self.left.is_none() {
            return self.pass_all(piece, to);
        }
        while let [first, ..] = piece {
            if self.at_line_start {
                self.begin_line();
                if *first == b'.' && !self.full {
                    to.push(b'.');
                }
            }
            if self.full {
                return;
            }
            let Some(end) = memchr(b'\n', piece) else {
                self.at_line_start = false;
                to.extend_from_slice(piece);
                return;
            };
            self.in_header &= !(self.at_line_start && end == 0);
            self.at_line_start = true;
            to.extend_from_slice(&piece[..end]);
            to.extend_from_slice(b"\r\n");
            piece = &piece[end + 1..];
        }
    }

    /// The same if no lines are to be counted.
    fn pass_all(&mut self, piece: &[u8], to: &mut Vec<u8>) {
        to.reserve(piece.len() + piece.len() / 16);
        let mut start = 0;
        for end in memchr_iter(b'\n', piece) {
            self.put(&piece[start..end], to);
            to.extend_from_slice(b"\r\n");
            self.at_line_start = true;
            start = end + 1;
        }
        self.put(&piece[start..], to);
    }

    /// Appends a part of a line.
    fn put(&mut self, part: &[u8], to: &mut Vec<u8>) {
        let Some(first) = part.first() else { return };
        if self.at_line_start && *first == b'.' {
            to.push(b'.');
        }
        self.at_line_start = false;
        to.extend_from_slice(part);
    }

    /// Counts a line of the body.
    fn begin_line(&mut self) {
        if let Some(left) = self.left.as_mut().filter(|_| !self.in_header) {
            self.full = *left == 0;
            *left = left.saturating_sub(1);
        }
    }

    /// Appends the end. POP cannot tell that the last line has no newline: it gets one.
    pub fn end(&mut self, to: &mut Vec<u8>) {
        if !self.at_line_start {
            to.extend_from_slice(b"\r\n");
        }
        to.extend_from_slice(b".\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::tests::Random;

    /// What is sent for a message that is read in pieces of this size.
    fn sent(message: &[u8], body: Option<u64>, size: usize) -> Vec<u8> {
        let (mut encoder, mut to) = (Encoder::new(body), Vec::new());
        message.chunks(size).for_each(|piece| encoder.pass(piece, &mut to));
        encoder.end(&mut to);
        to
    }

    #[test]
    fn dots_and_newlines_are_changed_and_the_end_is_a_dot() {
        let all = |message: &str| String::from_utf8(sent(message.as_bytes(), None, 2)).unwrap();
        assert_eq!(all(""), ".\r\n");
        assert_eq!(all("a\n\nb"), "a\r\n\r\nb\r\n.\r\n");
        assert_eq!(all(".\n..x\na.b\n."), "..\r\n...x\r\na.b\r\n..\r\n.\r\n");
        assert_eq!(all("a\r\n\n"), "a\r\r\n\r\n.\r\n");
    }

    #[test]
    fn top_is_the_header_the_empty_line_and_some_lines() {
        let message = b"a: b\n\n1\n\n.3\nlast";
        for size in 1..message.len() {
            let top = |body| String::from_utf8(sent(message, Some(body), size)).unwrap();
            assert_eq!(top(0), "a: b\r\n\r\n.\r\n");
            assert_eq!(top(2), "a: b\r\n\r\n1\r\n\r\n.\r\n");
            assert_eq!(top(3), "a: b\r\n\r\n1\r\n\r\n..3\r\n.\r\n");
            assert_eq!(top(9).into_bytes(), sent(message, None, size));
        }
        assert_eq!(sent(b"only: header\n", Some(0), 9), b"only: header\r\n.\r\n");
    }

    #[test]
    fn no_message_ends_before_its_end() {
        let mut random = Random::new(19);
        for _ in 0..10_000 {
            let message = random.damaged(b"a: b\n\n.\n\r\n.\r\n..\n.\n\nlast\n.");
            let body = [None, Some(random.below(9) as u64)][random.below(2)];
            let whole = sent(&message, body, message.len().max(1));
            assert_eq!(whole, sent(&message, body, 1 + random.below(5)));
            let mut lines: Vec<&[u8]> = whole.split(|byte| *byte == b'\n').collect();
            assert_eq!((lines.pop(), lines.pop()), (Some(&b""[..]), Some(&b".\r"[..])));
            assert!(lines.iter().all(|line| *line != b".\r" && line.ends_with(b"\r")));
        }
    }
}
