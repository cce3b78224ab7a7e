//! Netstrings, `5:hello,`: what QMTP and QMQP are made of.
//! <https://cr.yp.to/proto/netstrings.txt>

use base::{Code, Die};
use std::io::{self, BufRead, ErrorKind};

/// No netstring may be longer: as the originals have it.
pub const MOST: u64 = 200_000_000;

/// Why there is no netstring.
#[derive(Debug)]
pub enum Fault {
    /// The input ends.
    End,
    /// This is none.
    Format,
    /// It is longer than [`MOST`].
    TooLong,
    /// The input cannot be read.
    Unreadable(io::Error),
}

/// How the daemons end, without a word: 0 when the client has gone away, 100 when it talks
/// nonsense, 111 when that takes too much room or time.
impl From<Fault> for Die {
    fn from(fault: Fault) -> Die {
        Die::silent(match fault {
            Fault::End => Code::DONE.0,
            Fault::Format => Code::PERM.0,
            Fault::TooLong => Code::TEMP.0,
            Fault::Unreadable(why) if why.kind() == ErrorKind::TimedOut => Code::TEMP.0,
            Fault::Unreadable(_) => Code::DONE.0,
        })
    }
}

/// These bytes as a netstring.
pub fn of(bytes: &[u8]) -> Vec<u8> {
    [format!("{}:", bytes.len()).as_bytes(), bytes, b","].concat()
}

/// Reads netstrings piece by piece, and nothing beyond the byte that is asked for.
pub struct Reader<R> {
    from: R,
    /// Bytes up to the comma of the netstring that the next ones lie in. Outside of one there is
    /// no end.
    left: u64,
}

impl<R: BufRead> Reader<R> {
    /// At the start of a netstring.
    pub fn new(from: R) -> Self {
        Reader { from, left: u64::MAX }
    }

    /// What is read from, say to write an answer to it.
    pub fn source(&mut self) -> &mut R {
        &mut self.from
    }

    /// Reads a length and its colon: decimal digits, no zero before others.
    pub fn length(&mut self) -> Result<u64, Fault> {
        let mut length = None;
        loop {
            let digit = match self.byte()? {
                b':' => return length.ok_or(Fault::Format),
                byte if byte.is_ascii_digit() => u64::from(byte - b'0'),
                _ => return Err(Fault::Format),
            };
            length = match length {
                None => Some(digit),
                Some(0) => return Err(Fault::Format),
                Some(tens) => Some(tens * 10 + digit).filter(|length| *length <= MOST),
            };
            if length.is_none() {
                return Err(Fault::TooLong);
            }
        }
    }

    /// Reads the length of a netstring that consists of others. Until [`Reader::leave`], they
    /// may not go beyond its end.
    pub fn enter(&mut self) -> Result<(), Fault> {
        self.left = self.length()?;
        Ok(())
    }

    /// Whether the netstring that was entered has more in it.
    pub fn more(&self) -> bool {
        self.left > 0
    }

    /// Reads the comma of the netstring that was entered.
    pub fn leave(&mut self) -> Result<(), Fault> {
        if self.more() {
            return Err(Fault::Format);
        }
        self.left = u64::MAX;
        self.comma()
    }

    /// Reads the comma behind a netstring.
    pub fn comma(&mut self) -> Result<(), Fault> {
        if self.byte()? == b',' { Ok(()) } else { Err(Fault::Format) }
    }

    /// Reads one byte.
    pub fn byte(&mut self) -> Result<u8, Fault> {
        let mut byte = 0;
        self.bytes(1, |piece| byte = piece.first().copied().unwrap_or(0))?;
        Ok(byte)
    }

    /// Reads so many bytes, of any number, and gives them on in the pieces in which they come.
    pub fn bytes(&mut self, count: u64, mut take: impl FnMut(&[u8])) -> Result<(), Fault> {
        self.left = self.left.checked_sub(count).ok_or(Fault::Format)?;
        let mut missing = count;
        while missing > 0 {
            let piece = self.from.fill_buf().map_err(Fault::Unreadable)?;
            if piece.is_empty() {
                return Err(Fault::End);
            }
            let piece = &piece[..piece.len().min(usize::try_from(missing).unwrap_or(usize::MAX))];
            take(piece);
            let used = piece.len();
            missing -= used as u64;
            self.from.consume(used);
        }
        Ok(())
    }

    /// Reads a whole netstring. Of one with more than `limit` bytes nothing is kept: `None`.
    pub fn string(&mut self, limit: usize) -> Result<Option<Vec<u8>>, Fault> {
        let length = self.length()?;
        let fits = usize::try_from(length).is_ok_and(|length| length <= limit);
        let mut string = Vec::new();
        self.bytes(length, |piece| {
            if fits {
                string.extend_from_slice(piece);
            }
        })?;
        self.comma()?;
        Ok(fits.then_some(string))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::tests::Random;
    use std::io::BufReader;

    /// The strings in a netstring that are not too long, read in pieces of this size.
    fn strings(bytes: &[u8], size: usize) -> Result<Vec<Option<Vec<u8>>>, Fault> {
        let mut reader = Reader::new(BufReader::with_capacity(size, bytes));
        reader.enter()?;
        let mut strings = Vec::new();
        while reader.more() {
            strings.push(reader.string(5)?);
        }
        reader.leave()?;
        Ok(strings)
    }

    /// The same in words.
    fn shown(bytes: &[u8], size: usize) -> String {
        match strings(bytes, size) {
            Err(fault) => format!("{fault:?}"),
            Ok(strings) => {
                let shown = |string: &Option<Vec<u8>>| {
                    string.as_ref().map_or("-".into(), |string| ::tests::shown(string))
                };
                strings.iter().map(shown).collect::<Vec<_>>().join(" ")
            }
        }
    }

    #[test]
    fn strings_in_a_string_are_read_however_they_come() {
        let cases = [
            ("0:,", ""),
            ("17:5:hello,3:a,b,0:,,", "hello a,b "),
            ("9:6:longer,,", "-"),
            ("3:0:,", "End"),
            ("3:0:,0", "Format"),
            ("4:0:,x,", "Format"),
            ("3:9:x,", "Format"),
            ("4:1:x;,", "Format"),
            ("4:1:xx,", "Format"),
            ("", "End"),
            ("7", "End"),
            (":,", "Format"),
            ("00:,", "Format"),
            ("03:0:,,", "Format"),
            ("-1:x,", "Format"),
            (" 3:0:,,", "Format"),
            ("200000000:", "End"),
            ("200000001:", "TooLong"),
            ("99999999999999999999999999999:", "TooLong"),
        ];
        for (bytes, expected) in cases {
            for size in [1, 2, 3, 100] {
                assert_eq!((bytes, &*shown(bytes.as_bytes(), size)), (bytes, expected));
            }
        }
    }

    #[test]
    fn what_is_made_is_read() {
        let inner = [&b"hello"[..], b"", b"1:x,", b"\0\n"].map(of).concat();
        assert_eq!(shown(&of(&inner), 100), "hello  1:x, \0\n");
    }

    #[test]
    fn any_bytes_are_netstrings_or_not_and_nothing_beyond_them_is_read() {
        let good = b"36:5:hello,0:,12:longer than 5,3:a\0b,1:\n,rest";
        let mut random = Random::new(5);
        for _ in 0..10_000 {
            let bad = random.damaged(good);
            assert_eq!(shown(&bad, 1), shown(&bad, 7));
            let mut reader = Reader::new(&bad[..]);
            if let Ok(Some(string)) = reader.string(100) {
                let head = format!("{}:", string.len()).len();
                assert_eq!(reader.source().len(), bad.len() - head - string.len() - 1);
            }
        }
    }
}
