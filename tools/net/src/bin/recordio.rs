//! recordio: record the input and output of a program.
#![cfg_attr(not(test), no_main)]

use base::{Args, Code, Die, Result, say};
use net::between::{self, Change};
use std::process;

base::program!("recordio", run);

const USAGE: &str = "recordio program [ arg ... ]";

/// Bytes that are read, logged and passed on at once. What is logged of them, even if each is a
/// line, is less than a pipe takes in one piece.
const CHUNK: usize = 256;

fn run(words: Args) -> Result<Code> {
    if words.is_empty() {
        return Err(Die::usage(USAGE));
    }
    // The program's number: it keeps this process.
    let pid = process::id();
    let input = Record { label: format!("{pid} < ") };
    let output = Record { label: format!("{pid} > ") };
    between::run(&words, CHUNK, input, output)
}

/// Logs one way before it is passed on.
struct Record {
    /// What log lines start with.
    label: String,
}

impl Change for Record {
    fn pass(&mut self, chunk: &[u8], to: &mut Vec<u8>) {
        say::raw(&self.logged(chunk));
        to.extend_from_slice(chunk);
    }

    fn end(&mut self) {
        say::raw(format!("{}[EOF]\n", self.label).as_bytes());
    }
}

impl Record {
    /// A chunk as the log has it: a blank after a whole line, a plus after a part of one.
    fn logged(&self, chunk: &[u8]) -> Vec<u8> {
        let mut text = Vec::new();
        for line in chunk.split_inclusive(|byte| *byte == b'\n') {
            text.extend_from_slice(self.label.as_bytes());
            match line.strip_suffix(b"\n") {
                Some(line) => text.extend_from_slice(&[line, b" \n"].concat()),
                None => text.extend_from_slice(&[line, b"+\n"].concat()),
            }
        }
        text
    }
}
