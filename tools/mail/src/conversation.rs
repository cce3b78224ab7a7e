//! A conversation with a stranger: what is said to him is written before he is waited for.

use crate::peer::Peer;
use std::io::{self, BufRead, Read, Write};
use std::ops::Range;

/// Bytes read at once.
const BLOCK: usize = 16384;

/// Bytes kept before they are written.
const ANSWERS: usize = 65536;

/// Both directions of a connection, with buffers.
pub struct Conversation<'a> {
    peer: Peer<'a>,
    heard: Vec<u8>,
    unread: Range<usize>,
    answers: Vec<u8>,
}

impl<'a> Conversation<'a> {
    /// Nothing is said or heard yet.
    pub fn with(peer: Peer<'a>) -> Self {
        Conversation::with_block(peer, BLOCK)
    }

    /// The same, but nothing is read before it is needed: what follows is for another program.
    pub fn byte_by_byte(peer: Peer<'a>) -> Self {
        Conversation::with_block(peer, 1)
    }

    fn with_block(peer: Peer<'a>, size: usize) -> Self {
        Conversation { peer, heard: vec![0; size], unread: 0..0, answers: Vec::new() }
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
        done
    }
}

impl BufRead for Conversation<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.unread.is_empty() {
            self.flush()?;
            self.unread = 0..self.peer.read(&mut self.heard)?;
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
