//! Line ends: CR LF on the network, LF here. Streams are changed piece by piece, wherever they
//! are cut.

use base::input::Input;
use base::out::Out;
use memchr::{memchr, memchr_iter};
use std::io;
use std::os::fd::BorrowedFd;

/// Copies a stream to its end. `change` appends what is written for each piece; the empty piece
/// is the end. Before it waits for more, all is written.
pub fn copy(
    from: BorrowedFd,
    to: BorrowedFd,
    mut change: impl FnMut(&[u8], &mut Vec<u8>),
) -> io::Result<()> {
    let (mut input, mut out) = (Input::new(from), Out::new(to));
    let mut changed = Vec::new();
    loop {
        let piece = input.fill_flushing(&mut out)?;
        let count = piece.len();
        change(piece, &mut changed);
        input.consume(count);
        out.put(&changed)?;
        changed.clear();
        if count == 0 {
            return out.flush();
        }
    }
}

/// Appends `piece` to `to` with a CR before every LF, also where there is one.
pub fn add(piece: &[u8], to: &mut Vec<u8>) {
    let mut start = 0;
    for at in memchr_iter(b'\n', piece) {
        to.extend_from_slice(&piece[start..at]);
        to.extend_from_slice(b"\r\n");
        start = at + 1;
    }
    to.extend_from_slice(&piece[start..]);
}

/// Drops one CR before every LF.
#[derive(Default)]
pub struct Delete {
    /// The last piece ended in a CR, which waits for what follows.
    held: bool,
}

impl Delete {
    /// Appends to `to` what the stream gives up to the end of `piece`. The empty piece is the end
    /// of the stream: then nothing waits any more.
    pub fn pass(&mut self, mut piece: &[u8], to: &mut Vec<u8>) {
        if self.held && piece.first() != Some(&b'\n') {
            to.push(b'\r');
        }
        self.held = piece.last() == Some(&b'\r');
        if self.held {
            piece = &piece[..piece.len() - 1];
        }
        while let Some(at) = memchr(b'\n', piece) {
            let line = &piece[..at];
            to.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
            to.push(b'\n');
            piece = &piece[at + 1..];
        }
        to.extend_from_slice(piece);
    }
}

/// Adds a CR before every LF that has none.
#[derive(Default)]
pub struct Fix {
    /// The last piece ended in a CR.
    after_cr: bool,
}

impl Fix {
    /// Appends to `to` what the stream gives for `piece`.
    pub fn pass(&mut self, piece: &[u8], to: &mut Vec<u8>) {
        let mut start = 0;
        for at in memchr_iter(b'\n', piece) {
            let before = at.checked_sub(1).map(|before| piece[before]);
            let has_one = before.map_or(self.after_cr, |byte| byte == b'\r');
            to.extend_from_slice(&piece[start..at]);
            to.extend_from_slice(if has_one { b"\n" } else { b"\r\n" });
            start = at + 1;
        }
        to.extend_from_slice(&piece[start..]);
        if let Some(last) = piece.last() {
            self.after_cr = *last == b'\r';
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"\na\n\nb\r\nc\r\r\nd\re\n\r\n\r\n\xff\0\r\rf\r";

    /// What the text becomes, cut in every two places.
    #[track_caller]
    fn always(change: impl Fn([&[u8]; 3]) -> Vec<u8>, expected: &[u8]) {
        for end in 0..=TEXT.len() {
            for start in 0..=end {
                let pieces = [&TEXT[..start], &TEXT[start..end], &TEXT[end..]];
                assert_eq!(change(pieces), expected, "cut at {start} and {end}");
            }
        }
    }

    #[test]
    fn a_cr_is_added_before_every_lf() {
        let added = b"\r\na\r\n\r\nb\r\r\nc\r\r\r\nd\re\r\n\r\r\n\r\r\n\xff\0\r\rf\r";
        let change = |pieces: [&[u8]; 3]| {
            let mut to = Vec::new();
            pieces.iter().for_each(|piece| add(piece, &mut to));
            to
        };
        always(change, added);
    }

    #[test]
    fn one_cr_is_dropped_before_every_lf() {
        let change = |pieces: [&[u8]; 3]| {
            let (mut delete, mut to) = (Delete::default(), Vec::new());
            let pieces = pieces.into_iter().filter(|piece| !piece.is_empty()).chain([&[][..]]);
            pieces.for_each(|piece| delete.pass(piece, &mut to));
            to
        };
        always(change, b"\na\n\nb\nc\r\nd\re\n\n\n\xff\0\r\rf\r");
    }

    #[test]
    fn a_cr_is_added_where_it_is_missing() {
        let change = |pieces: [&[u8]; 3]| {
            let (mut fix, mut to) = (Fix::default(), Vec::new());
            pieces.iter().for_each(|piece| fix.pass(piece, &mut to));
            to
        };
        always(change, b"\r\na\r\n\r\nb\r\nc\r\r\nd\re\r\n\r\n\r\n\xff\0\r\rf\r");
    }
}
