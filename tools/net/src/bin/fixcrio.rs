//! fixcrio: add missing CRs to the lines of a program's input and output.
#![cfg_attr(not(test), no_main)]

use base::{Args, Code, Die, Result};
use net::between::{self, Change};
use net::crlf::Fix;

base::program!("fixcrio", run);

const USAGE: &str = "fixcrio program [ arg ... ]";

/// Bytes that are read and passed on at once.
const CHUNK: usize = 4096;

fn run(words: Args) -> Result<Code> {
    if words.is_empty() {
        return Err(Die::usage(USAGE));
    }
    between::run(&words, CHUNK, Fixed(Fix::default()), Fixed(Fix::default()))
}

/// One way.
struct Fixed(Fix);

impl Change for Fixed {
    fn pass(&mut self, piece: &[u8], to: &mut Vec<u8>) {
        self.0.pass(piece, to);
    }
}
