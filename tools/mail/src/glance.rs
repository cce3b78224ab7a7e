//! A message at a glance: whose it is, and its first words. For programs that announce mail.

use crate::field;
use base::input::{Ending, Input};
use std::io;

/// Bytes of a line that are looked at.
const LINE: usize = 1000;

/// What can be seen at once.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Glance {
    /// The value of Return-Path, with its angle brackets.
    pub sender: Option<Vec<u8>>,
    /// The value of Delivered-To.
    pub recipient: Option<Vec<u8>>,
    /// The whole From field.
    pub from: Vec<u8>,
    /// The subject and the body with their newlines, so far as they were wanted.
    pub words: Vec<u8>,
}

impl Glance {
    /// Looks at a message until it has so many words. Of a field that is there twice, the last one
    /// counts; subjects add up.
    pub fn at(message: &mut Input, words: usize) -> io::Result<Self> {
        let mut glance = Glance::default();
        let mut field: Vec<u8> = Vec::new();
        let mut line = Vec::new();
        while read(message, &mut line)? {
            if field::continues(&line) && !field.is_empty() {
                field.extend(&line);
                continue;
            }
            glance.note(&field);
            if field::name(&line).is_none() && !line.starts_with(b"From ") {
                glance.body(message, line, words)?;
                field = Vec::new();
                break;
            }
            field.clone_from(&line);
        }
        glance.note(&field);
        glance.words.truncate(words);
        Ok(glance)
    }

    /// Takes a field with its newlines.
    fn note(&mut self, field: &[u8]) {
        let text = field.strip_suffix(b"\n").unwrap_or(field);
        if field::is(field, "Subject") {
            self.words.extend(value(field));
        } else if field::is(field, "Delivered-To") {
            self.recipient = Some(value(text).to_vec());
        } else if field::is(field, "Return-Path") {
            self.sender = Some(value(text).to_vec());
        } else if field::is(field, "From") {
            self.from = text.to_vec();
        }
    }

    /// Takes the body, which begins with an empty line even if the message has none.
    fn body(&mut self, message: &mut Input, mut line: Vec<u8>, words: usize) -> io::Result<()> {
        if line != b"\n" {
            self.words.push(b'\n');
        }
        while self.words.len() < words {
            self.words.append(&mut line);
            if !read(message, &mut line)? {
                break;
            }
        }
        Ok(())
    }
}

/// What stands behind the colon and blanks.
fn value(field: &[u8]) -> &[u8] {
    let after = memchr::memchr(b':', field).map_or(field.len(), |colon| colon + 1);
    let blanks = field[after..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    &field[after + blanks..]
}

/// The next line with a newline; of a long one, the start. False at the end.
fn read(message: &mut Input, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let mut ending = message.line(line, LINE)?;
    if ending == Ending::End && line.is_empty() {
        return Ok(false);
    }
    let mut rest = Vec::new();
    while ending == Ending::TooLong {
        rest.clear();
        ending = message.line(&mut rest, LINE)?;
    }
    line.push(b'\n');
    Ok(true)
}

/// Text that does no harm to a terminal: every byte that is not a visible one becomes this one.
pub fn harmless(text: &[u8], instead: u8) -> Vec<u8> {
    text.iter().map(|byte| if matches!(byte, 32..=126) { *byte } else { instead }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::tests::Random;
    use base::sys::fd;
    use std::os::fd::AsFd;

    fn glance(message: &[u8], words: usize) -> Glance {
        let (read, write) = fd::pipe().unwrap();
        fd::write_all(write.as_fd(), message).unwrap();
        drop(write);
        Glance::at(&mut Input::new(read.as_fd()), words).unwrap()
    }

    #[test]
    fn the_header_says_who_and_the_words_are_subject_and_body() {
        let message = b"Return-Path: <a@b>\nDelivered-To: me@here\nSubject: one\n two\nfrom : x\n\nbody\nmore";
        let seen = glance(message, 99);
        let expected = Glance {
            sender: Some(b"<a@b>".to_vec()),
            recipient: Some(b"me@here".to_vec()),
            from: b"from : x".to_vec(),
            words: b"one\n two\n\nbody\nmore\n".to_vec(),
        };
        assert_eq!(seen, expected);
        assert_eq!(glance(message, 5).words, b"one\n ");
        assert_eq!(glance(b"Subject: x\nno field", 99).words, b"x\n\nno field\n");
        assert_eq!(glance(b"", 9), Glance::default());
        assert_eq!(harmless(b"a\x1b[\xff", b'/'), b"a/[/");
    }

    #[test]
    fn any_bytes_are_a_message() {
        let mut random = Random::new(23);
        for _ in 0..10_000 {
            let bad = random.damaged(b"Subject: x\nReturn-Path: <>\nFrom: a\n b\n\nbody\n");
            let limit = random.below(40);
            assert!(glance(&bad, limit).words.len() <= limit);
        }
    }
}
