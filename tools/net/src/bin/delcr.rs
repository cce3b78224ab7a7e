//! delcr: remove the CR at the end of every line.
#![cfg_attr(not(test), no_main)]

use base::sys::fd::{STDIN, STDOUT};
use base::{Args, Code, Die, Result};
use net::crlf::{self, Delete};

base::program!("delcr", run);

/// Failures are not explained.
fn run(_: Args) -> Result<Code> {
    let mut delete = Delete::default();
    let copied = crlf::copy(STDIN, STDOUT, |piece, to| delete.pass(piece, to));
    copied.map(|()| Code::DONE).map_err(|_| Die::silent(Code::TEMP.0))
}
