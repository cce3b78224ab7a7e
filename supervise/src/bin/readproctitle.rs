//! readproctitle: show the latest input in ps, inside this program's own last argument.
#![cfg_attr(not(test), no_main)]

use base::sys::{fd, title};
use base::{Args, Code, Die, Result};

base::program!("readproctitle", run);

/// A shorter last argument has no room for anything.
const LEAST: usize = 5;

/// Dots that stay at the left, in front of the input.
const DOTS: usize = 3;

fn run(_: Args) -> Result<Code> {
    let title = title::last_argument();
    title.fill(b'.');
    if title.len() < LEAST {
        return Err(Die::silent(Code::PERM.0));
    }
    let mut bytes = [0; 4096];
    loop {
        match fd::read(fd::STDIN, &mut bytes) {
            Ok(0) => return Ok(Code::DONE),
            Ok(count) => shift_in(&mut title[DOTS..], &bytes[..count]),
            Err(_) => return Err(Die::silent(Code::TEMP.0)),
        }
    }
}

/// Moves `window` to the left and the bytes in from the right. A NUL would end the title, so it
/// is dropped.
fn shift_in(window: &mut [u8], bytes: &[u8]) {
    let bytes: Vec<u8> = bytes.iter().copied().filter(|byte| *byte != 0).collect();
    let latest = &bytes[bytes.len().saturating_sub(window.len())..];
    window.rotate_left(latest.len());
    let kept = window.len() - latest.len();
    window[kept..].copy_from_slice(latest);
}
