//! Who owns the other end of a connection: the ident protocol, RFC 1413, as far as it can be
//! believed.

use crate::connect::{bound, connect_on};
use base::sys::{fd, poll};
use std::io::{self, ErrorKind, Write};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// The port of ident servers.
const PORT: u16 = 113;

/// Longer limits are this one, so that it ends within the clock's range.
const LONGEST: Duration = Duration::from_secs(1 << 31);

/// What the remote host says of the connection between these ends: empty for an error or
/// nonsense, at most `most` bytes, cut at a NUL. Fails if it says nothing whole within `limit`.
pub fn ask(
    local: SocketAddr,
    remote: SocketAddr,
    limit: Duration,
    most: usize,
) -> io::Result<Vec<u8>> {
    let end = Instant::now() + limit.min(LONGEST);
    let left = || end.saturating_duration_since(Instant::now());
    let (mut server, mut from) = (remote, local);
    server.set_port(PORT);
    from.set_port(0);
    let mut stream = connect_on(bound(server, Some(from))?, server, left())?;
    stream.write_all(format!("{} , {}\r\n", remote.port(), local.port()).as_bytes())?;
    let mut answer = Answer::new(most);
    let mut byte = [0];
    loop {
        if !poll::readable(stream.as_fd(), left())? {
            return Err(ErrorKind::TimedOut.into());
        }
        if fd::read(stream.as_fd(), &mut byte)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        if answer.add(byte[0]) {
            return Ok(answer.text().to_vec());
        }
    }
}

/// `PORT , PORT : USERID : SYSTEM : ANSWER` as it comes in.
pub struct Answer {
    colons: u8,
    text: Vec<u8>,
    most: usize,
}

impl Answer {
    /// Nothing has come yet. Of the answer, `most` bytes are kept.
    pub fn new(most: usize) -> Self {
        Answer { colons: 0, text: Vec::new(), most }
    }

    /// Takes a byte; says whether that was the last one.
    pub fn add(&mut self, byte: u8) -> bool {
        match byte {
            b' ' | b'\t' | b'\r' => {}
            b'\n' => return true,
            _ if self.colons == 3 => self.text.push(byte),
            b':' => self.colons += 1,
            _ => {}
        }
        self.text.len() >= self.most
    }

    /// What has come of the answer, cut at a NUL.
    pub fn text(&self) -> &[u8] {
        self.text.split(|byte| *byte == 0).next().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(line: &[u8]) -> Option<Vec<u8>> {
        let mut answer = Answer::new(8);
        let ended = line.iter().any(|byte| answer.add(*byte));
        ended.then_some(answer.text)
    }

    #[test]
    fn the_answer_is_behind_the_third_colon_without_blanks() {
        assert_eq!(answer(b"1 , 2 : USERID : UNIX : a b:c\r\n").unwrap(), b"ab:c");
        assert_eq!(answer(b"1,2:ERROR:NO-USER\r\n").unwrap(), b"");
        assert_eq!(answer(b"nonsense\n").unwrap(), b"");
        assert_eq!(answer(b":::0123456789").unwrap(), b"01234567");
        assert_eq!(answer(b":::0123"), None);
    }
}
