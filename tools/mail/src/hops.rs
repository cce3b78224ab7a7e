//! Mail loops: how many hosts and users a message has passed.

/// A message that has passed so many is going in circles.
pub const TOO_MANY: usize = 100;

/// Enough of a line to tell whether it counts.
const START: usize = 16;

/// Counts the `Received` and `Delivered-To` fields of a header.
#[derive(Debug, Default)]
pub struct Hops {
    count: usize,
    /// The start of the present line, and how much of it is there.
    line: [u8; START],
    length: usize,
    header_ended: bool,
}

impl Hops {
    /// Looks at the next bytes of a message, lines ended by newlines. The header ends with the
    /// first empty line.
    pub fn look(&mut self, mut text: &[u8]) {
        while !self.header_ended && !text.is_empty() {
            let end = memchr::memchr(b'\n', text);
            let (line, rest) = text.split_at(end.unwrap_or(text.len()));
            let kept = line.len().min(START - self.length);
            self.line[self.length..self.length + kept].copy_from_slice(&line[..kept]);
            self.length += kept;
            text = rest;
            if end.is_some() {
                self.line_ended();
                text = &rest[1..];
            }
        }
    }

    /// Fields seen so far.
    pub fn count(&self) -> usize {
        self.count
    }

    fn line_ended(&mut self) {
        self.header_ended = self.length == 0;
        self.count += usize::from(is_hop(&self.line[..self.length]));
        self.length = 0;
    }
}

/// Whether a field counts, by its name. `Received-SPF` does not.
fn is_hop(start: &[u8]) -> bool {
    let Some(colon) = memchr::memchr(b':', start) else { return false };
    let name = start[..colon].trim_ascii_end();
    name.eq_ignore_ascii_case(b"received") || name.eq_ignore_ascii_case(b"delivered-to")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &[u8] =
        b"RECEIVED: from a\n by b\nReceived-SPF: pass\nReceived\nDelivered-To: c\n\
        delivered: x\ndelivered-to  : d\nReceived :\n received: folded\nDelivered-Today: no\n";

    #[test]
    fn exactly_two_fields_count_until_the_empty_line() {
        let mut hops = Hops::default();
        hops.look(HEADER);
        assert_eq!(hops.count(), 4);
        hops.look(b"\nReceived: in the body\n");
        assert_eq!(hops.count(), 4);
        let mut body_only = Hops::default();
        body_only.look(b"\nReceived: x\n");
        assert_eq!(body_only.count(), 0);
    }

    #[test]
    fn pieces_do_not_matter() {
        for size in 1..HEADER.len() {
            let mut hops = Hops::default();
            HEADER.chunks(size).for_each(|piece| hops.look(piece));
            assert_eq!((size, hops.count()), (size, 4));
        }
    }
}
