//! A conversation with a stranger: what is said to him is written before he is waited for.

use crate::peer::Peer;
use base::sys::memory::wipe;
use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::ops::Range;

/// Bytes read at once.
const BLOCK: usize = 16384;

/// Bytes looked at at once, where the rest is for another program.
const GLANCE: usize = 4096;

/// How often so much is ignored at the end.
const MOST_IGNORED: usize = 16;

/// Bytes kept before they are written.
const ANSWERS: usize = 65536;

/// Both directions of a connection, with buffers.
pub struct Conversation<'a> {
    peer: Peer<'a>,
    heard: Vec<u8>,
    unread: Range<usize>,
    /// Of what was heard, so much is read; the rest is only seen. None: all of it is read.
    read: Option<usize>,
    answers: Vec<u8>,
}

impl<'a> Conversation<'a> {
    /// Nothing is said or heard yet.
    pub fn with(peer: Peer<'a>) -> Self {
        Conversation::with_block(peer, BLOCK)
    }

    /// The same, but what follows is for another program: nothing is read before it is needed. A
    /// socket can be looked at; a pipe is read byte by byte.
    pub fn to_hand_over(peer: Peer<'a>) -> Self {
        let (size, read) = if peer.can_peek() { (GLANCE, Some(0)) } else { (1, None) };
        Conversation { read, ..Conversation::with_block(peer, size) }
    }

    fn with_block(peer: Peer<'a>, size: usize) -> Self {
        let heard = vec![0; size];
        Conversation { peer, heard, unread: 0..0, read: None, answers: Vec::new() }
    }

    /// Says all, reads what was used, and forgets what was heard. What was not used is the next
    /// program's.
    pub fn hand_over(&mut self) -> io::Result<()> {
        let done = self.flush();
        wipe(&mut self.heard);
        done
    }

    /// Says all for the last time, to a client who need not have waited for it. A connection that
    /// is closed with input unread may be reset, and the last words are lost then.
    pub fn end(&mut self) -> io::Result<()> {
        self.flush()?;
        let more = |_: &usize| matches!(self.peer.read_now(&mut self.heard), Ok(1..));
        (0..MOST_IGNORED).take_while(more).for_each(drop);
        Ok(())
    }

    /// Says something; it may wait for more to be said.
    pub fn say(&mut self, words: &[u8]) -> io::Result<()> {
        self.say_with(|answers| answers.extend_from_slice(words))
    }

    /// Says what is appended to what was said before.
    pub fn say_with(&mut self, append: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        append(&mut self.answers);
        if self.answers.len() < ANSWERS { Ok(()) } else { self.flush() }
    }

    /// Writes what was said.
    pub fn flush(&mut self) -> io::Result<()> {
        let done = self.peer.write_all(&self.answers);
        self.answers.clear();
        done.and_then(|()| self.read_used())
    }

    /// Reads what was only seen and is used by now.
    fn read_used(&mut self) -> io::Result<()> {
        let Some(read) = &mut self.read else { return Ok(()) };
        while *read < self.unread.start {
            match self.peer.read_now(&mut self.heard[*read..self.unread.start])? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                count => *read += count,
            }
        }
        Ok(())
    }

    /// Hears what comes next, after all that was heard is used.
    fn hear(&mut self) -> io::Result<usize> {
        match &mut self.read {
            None => self.peer.read(&mut self.heard),
            Some(read) => {
                *read = 0;
                self.peer.peek(&mut self.heard)
            }
        }
    }
}

impl BufRead for Conversation<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.unread.is_empty() {
            self.flush()?;
            self.unread = 0..0;
            self.unread.end = self.hear()?;
        }
        Ok(&self.heard[self.unread.clone()])
    }

    fn consume(&mut self, count: usize) {
        self.unread.start = (self.unread.start + count).min(self.unread.end);
    }
}

impl Read for Conversation<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?;
        let count = bytes.len().min(into.len());
        into[..count].copy_from_slice(&bytes[..count]);
        self.consume(count);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::tests::Random;
    use base::sys::{fd, socket};
    use std::fs::File;
    use std::os::fd::{AsFd, OwnedFd};
    use std::thread;
    use std::time::Duration;

    /// Has some lines of an input heard, and gives what is left to the next who reads.
    fn left(lines: usize, input: &[u8], (from, to): (OwnedFd, OwnedFd), pieces: usize) -> Vec<u8> {
        thread::scope(|scope| {
            scope.spawn(move || {
                let mut to = File::from(to);
                input.chunks(pieces).for_each(|piece| to.write_all(piece).unwrap());
            });
            let (_unheard, answers) = fd::pipe().unwrap();
            let peer = Peer::new(from.as_fd(), answers.as_fd(), Duration::from_secs(20));
            let mut client = Conversation::to_hand_over(peer);
            let mut heard = Vec::new();
            for _ in 0..lines {
                client.read_until(b'\n', &mut heard).unwrap();
                client.say(b"ok").unwrap();
            }
            client.hand_over().unwrap();
            assert!(client.heard.iter().all(|byte| *byte == 0));
            assert!(input.starts_with(&heard));
            let mut rest = Vec::new();
            File::from(from).read_to_end(&mut rest).unwrap();
            rest
        })
    }

    #[test]
    fn what_is_not_used_is_left_to_the_next_program() {
        let mut random = Random::new(31);
        for _ in 0..100 {
            let sizes: Vec<usize> = (0..1 + random.below(20)).map(|_| random.below(700)).collect();
            let input: Vec<u8> =
                sizes.iter().flat_map(|size| [vec![b'x'; *size], vec![b'\n']].concat()).collect();
            let (lines, pieces) = (random.below(sizes.len() + 1), 1 + random.below(5000));
            let rest = &input[sizes[..lines].iter().map(|size| size + 1).sum::<usize>()..];
            for ends in [fd::pipe().unwrap(), socket::pair().unwrap()] {
                assert_eq!(left(lines, &input, ends, pieces), rest, "{lines} of {sizes:?}");
            }
        }
    }
}
