//! tai64n: put a precise time stamp in front of each line.
#![cfg_attr(not(test), no_main)]

use base::input::Input;
use base::out::Out;
use base::sys::{clock, fd};
use base::{Args, Code, Die, Result, tai64};
use std::io;
use supervise::pieces::pieces;

base::program!("tai64n", run);

/// Bytes read and written at once.
const SIZE: usize = 65536;

fn run(_: Args) -> Result<Code> {
    clock::often();
    stamp().map_err(|_| Die::silent(Code::TEMP.0))?;
    Ok(Code::DONE)
}

fn stamp() -> io::Result<()> {
    let mut input = Input::with_size(fd::STDIN, SIZE);
    let mut out = Out::with_size(fd::STDOUT, SIZE);
    let mut at_start = true;
    loop {
        let bytes = input.fill_flushing(&mut out)?;
        if bytes.is_empty() {
            return Ok(());
        }
        for piece in pieces(bytes) {
            if at_start {
                out.put(tai64::label(clock::now()))?;
                out.put(b" ")?;
            }
            out.put(piece)?;
            at_start = piece.ends_with(b"\n");
        }
        let count = bytes.len();
        input.consume(count);
    }
}
