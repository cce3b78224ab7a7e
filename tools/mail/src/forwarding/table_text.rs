//! Forwarding tables as text: `target: item, item;`. setforward(1).

use super::{INSTRUCTIONS, LONGEST, OWNER, is_whole, items, key};
use base::cdb::Record;
use std::fmt;

/// What is wrong with a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A second colon before the semicolon.
    Colon,
    /// A comma or semicolon before the colon.
    Comma,
    /// A NUL outside of comments.
    Nul,
    /// An address of more than [`LONGEST`] bytes.
    Long,
    /// The text ends within an instruction.
    End,
}

impl fmt::Display for Fault {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        to.write_str(match self {
            Fault::Colon => "double colons are not permitted",
            Fault::Comma => "commas are not permitted before colons",
            Fault::Nul => "NUL bytes are not permitted",
            Fault::Long => "addresses over 800 bytes are not permitted",
            Fault::End => "final instruction must end with semicolon",
        })
    }
}

/// A text being read.
#[derive(Default)]
pub struct Parser {
    /// Newlines so far.
    lines: usize,
    inside: Inside,
    /// The target of the instruction, once its colon has come.
    target: Option<Vec<u8>>,
    word: Vec<u8>,
    items: Vec<u8>,
    records: Vec<Record>,
}

/// What the last byte makes of the next one.
#[derive(Clone, Copy, Default, PartialEq)]
enum Inside {
    #[default]
    Plain,
    /// Behind a backslash: the byte stands for itself.
    Escape,
    Comment,
}

impl Parser {
    /// Nothing read yet.
    pub fn new() -> Self {
        Parser::default()
    }

    /// The line of what was read last, from 1.
    pub fn line(&self) -> usize {
        self.lines + 1
    }

    /// Reads on; gives the records that are complete, in their order.
    pub fn read(&mut self, text: &[u8]) -> Result<Vec<Record>, Fault> {
        for &byte in text {
            self.byte(byte)?;
            self.lines += usize::from(byte == b'\n');
        }
        Ok(std::mem::take(&mut self.records))
    }

    /// The text ends here. A lone backslash before its end is nothing.
    pub fn end(&self) -> Result<(), Fault> {
        if self.target.is_none() && self.word.is_empty() { Ok(()) } else { Err(Fault::End) }
    }

    fn byte(&mut self, byte: u8) -> Result<(), Fault> {
        match (self.inside, byte) {
            (Inside::Comment, b'\n') => self.inside = Inside::Plain,
            (Inside::Comment, _) => {}
            (_, 0) => return Err(Fault::Nul),
            (Inside::Escape, _) => {
                self.word.push(byte);
                self.inside = Inside::Plain;
            }
            (_, b'#') => self.inside = Inside::Comment,
            (_, b'\\') => self.inside = Inside::Escape,
            (_, b' ' | b'\t' | b'\n') => {}
            (_, b':') if self.target.is_some() => return Err(Fault::Colon),
            (_, b':') => self.target = Some(std::mem::take(&mut self.word)),
            (_, b',') => self.end_item()?,
            (_, b';') => {
                self.end_item()?;
                self.end_instruction();
            }
            _ => self.word.push(byte),
        }
        Ok(())
    }

    fn end_item(&mut self) -> Result<(), Fault> {
        let target = self.target.as_ref().ok_or(Fault::Comma)?;
        let word = std::mem::take(&mut self.word);
        match &word[..] {
            [] => {}
            [b'?', owner @ ..] => {
                self.records.push(Record { key: key(OWNER, target), data: owner.to_vec() });
            }
            [b'|' | b'!' | b'.' | b'/', ..] => self.items.extend(&word),
            _ if word.len() > LONGEST => return Err(Fault::Long),
            [b'&', ..] => self.items.extend(&word),
            _ => self.items.extend([&b"&"[..], &word].concat()),
        }
        if !is_whole(&self.items) {
            self.items.push(0);
        }
        Ok(())
    }

    fn end_instruction(&mut self) {
        let data = std::mem::take(&mut self.items);
        if let Some(target) = self.target.take()
            && !data.is_empty()
        {
            self.records.push(Record { key: key(INSTRUCTIONS, &target), data });
        }
    }
}

/// A record as text with its newlines. `None` if it is none of a forwarding table.
pub fn text(record: &Record) -> Option<Vec<u8>> {
    let (kind, target) = record.key.split_first()?;
    let mut text = escaped(target);
    text.push(b':');
    match *kind {
        OWNER => text.extend([b" ?", &escaped(&record.data)[..], b";\n"].concat()),
        INSTRUCTIONS if is_whole(&record.data) => {
            text.push(b'\n');
            for item in items(&record.data) {
                if !matches!(item.first(), Some(b'&' | b'|' | b'!' | b'.' | b'/')) {
                    return None;
                }
                text.extend([b", ", &escaped(item)[..], b"\n"].concat());
            }
            text.extend(b";\n");
        }
        _ => return None,
    }
    Some(text)
}

/// With a backslash before every byte that would mean something, or that is no visible ASCII.
fn escaped(word: &[u8]) -> Vec<u8> {
    let odd = |byte: u8| byte <= 32 || byte >= 128 || b",:;\\#".contains(&byte);
    word.iter().flat_map(|&b| odd(b).then_some(b'\\').into_iter().chain([b])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::tests::Random;

    const TEXT: &[u8] = b"A@h: b@c, ?D, |x\\ y, !z, ./f, /g, &h; # x\n@h:, i\\;\xff,;\n u@ : ;";

    /// All records, or what is wrong and in which line.
    fn read(text: &[u8]) -> Result<Vec<Record>, (Fault, usize)> {
        let mut parser = Parser::new();
        let records = parser.read(text).map_err(|fault| (fault, parser.line()))?;
        parser.end().map_err(|fault| (fault, parser.line()))?;
        Ok(records)
    }

    fn record(key: &[u8], data: &[u8]) -> Record {
        Record { key: key.to_vec(), data: data.to_vec() }
    }

    #[test]
    fn instructions_become_records() {
        let expected = [
            record(b"?a@h", b"D"),
            record(b":a@h", b"&b@c\0|x y\0!z\0./f\0/g\0&h\0"),
            record(b":@h", b"&i;\xff\0"),
        ];
        assert_eq!(read(TEXT).unwrap(), expected);
    }

    #[test]
    fn faults_are_found_in_their_line() {
        assert_eq!(read(b"a:b;\na:b:c;"), Err((Fault::Colon, 2)));
        assert_eq!(read(b"\n\na,b:c;"), Err((Fault::Comma, 3)));
        assert_eq!(read(b";"), Err((Fault::Comma, 1)));
        assert_eq!(read(b"a:\\\0;"), Err((Fault::Nul, 1)));
        assert_eq!(read(b"a:b\n"), Err((Fault::End, 2)));
        let long = [&b"a:&"[..], &[b'x'; 800], b";"].concat();
        assert_eq!(read(&long), Err((Fault::Long, 1)));
        assert_eq!(read(b"# \0 a"), Ok(vec![]));
    }

    #[test]
    fn damaged_texts_are_refused_or_come_back_the_same() {
        let mut random = Random::new(1);
        for _ in 0..10_000 {
            let Ok(records) = read(&random.damaged(TEXT)) else { continue };
            let again: Vec<u8> = records.iter().flat_map(|record| text(record).unwrap()).collect();
            assert_eq!(read(&again), Ok(records));
        }
    }

    #[test]
    fn a_record_that_is_none_has_no_text() {
        let data = b"&b@c\0";
        for (key, data) in [
            (&b"xa"[..], &data[..]),
            (b"", data),
            (b":a", b"&b@c"),
            (b":a", b"b@c\0"),
            (b":a", b"\0"),
        ] {
            assert_eq!(text(&record(key, data)), None);
        }
    }
}
