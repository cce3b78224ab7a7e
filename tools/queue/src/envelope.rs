//! Envelopes as qmail-queue reads them: `F`SENDER NUL, then `T`RECIPIENT NUL any number of times,
//! then one more NUL.

/// Bytes of the longest address.
const ADDRESS: usize = 1002;

/// Follows an envelope through the pieces in which it arrives, and keeps nothing of it.
#[derive(Default)]
pub struct Envelope {
    state: State,
}

#[derive(Clone, Copy, Default)]
enum State {
    /// Before the letter of the sender.
    #[default]
    Start,
    /// In an address of which this many bytes have come.
    Address(usize),
    /// Before the letter of a recipient, or the end.
    Next,
    End,
}

/// Why bytes are no envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// Another letter than F first, or T later.
    Letter,
    /// An address of more than 1002 bytes.
    TooLong,
}

impl Envelope {
    /// Takes the next piece; gives how many of its bytes belong in the envelope's file: all, or
    /// those before the last NUL.
    pub fn take(&mut self, piece: &[u8]) -> Result<usize, Wrong> {
        let mut at = 0;
        while let [first, ..] = piece[at..] {
            self.state = match self.state {
                State::Start if first == b'F' => State::Address(0),
                State::Next if first == b'T' => State::Address(0),
                State::Next if first == 0 => State::End,
                State::Start | State::Next => return Err(Wrong::Letter),
                State::Address(so_far) => {
                    let window = &piece[at..piece.len().min(at + ADDRESS - so_far + 1)];
                    let end = window.iter().position(|byte| *byte == 0);
                    let length = end.unwrap_or(window.len());
                    if so_far + length > ADDRESS {
                        return Err(Wrong::TooLong);
                    }
                    at += length;
                    if end.is_none() {
                        self.state = State::Address(so_far + length);
                        continue;
                    }
                    State::Next
                }
                State::End => break,
            };
            if matches!(self.state, State::End) {
                break;
            }
            at += 1;
        }
        Ok(at)
    }

    /// Whether the last NUL has come.
    pub fn is_complete(&self) -> bool {
        matches!(self.state, State::End)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::tests::Random;

    type Taken = Result<(usize, bool), Wrong>;

    /// What an envelope amounts to, taken in pieces of this size: bytes to keep, and whether it
    /// is complete.
    fn taken(bytes: &[u8], size: usize) -> Taken {
        let mut envelope = Envelope::default();
        let mut kept = 0;
        for piece in bytes.chunks(size) {
            kept += envelope.take(piece)?;
        }
        Ok((kept, envelope.is_complete()))
    }

    #[test]
    fn envelopes_are_the_same_however_they_are_cut() {
        let long = |letter: &str, count| format!("{letter}{}\0", "x".repeat(count)).into_bytes();
        let cases: [(Vec<u8>, Taken); 11] = [
            (b"F\0\0".into(), Ok((2, true))),
            (b"Fa@b\0Tc@d\0T\0\0rest".into(), Ok((12, true))),
            (b"Fa@b\0Tc@d\0\0\0\0".into(), Ok((10, true))),
            (b"Fa@b\0Tc@d\0".into(), Ok((10, false))),
            (b"".into(), Ok((0, false))),
            (b"Ta\0\0".into(), Err(Wrong::Letter)),
            (b"\0".into(), Err(Wrong::Letter)),
            (b"Fa\0Fb\0\0".into(), Err(Wrong::Letter)),
            (long("F", 1002), Ok((1004, false))),
            (long("F", 1003), Err(Wrong::TooLong)),
            ([b"F\0".to_vec(), long("T", 1003)].concat(), Err(Wrong::TooLong)),
        ];
        for (bytes, expected) in cases {
            for size in [1, 2, 3, 7, 1002, 1003, 1004, 65536] {
                assert_eq!(taken(&bytes, size), expected, "{size} {bytes:?}");
            }
        }
    }

    #[test]
    fn any_bytes_are_an_envelope_or_not() {
        let good = b"Fsender@a.example\0Tone@b.example\0Ttwo@b.example\0\0";
        let mut random = Random::new(1);
        for _ in 0..10_000 {
            let mut bad = good.to_vec();
            for _ in 0..1 + random.below(3) {
                let at = random.below(bad.len());
                bad[at] = [0, b'T', b'F', b'x'][random.below(4)];
            }
            bad.truncate(1 + random.below(bad.len()));
            let size = 1 + random.below(bad.len());
            assert_eq!(taken(&bad, size), taken(&bad, bad.len()));
        }
    }
}
