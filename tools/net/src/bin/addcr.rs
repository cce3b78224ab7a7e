//! addcr: add a CR to every line.
#![cfg_attr(not(test), no_main)]

use base::sys::fd::{STDIN, STDOUT};
use base::{Args, Code, Die, Result};
use net::crlf;

base::program!("addcr", run);

/// Failures are not explained.
fn run(_: Args) -> Result<Code> {
    let copied = crlf::copy(STDIN, STDOUT, crlf::add);
    copied.map(|()| Code::DONE).map_err(|_| Die::silent(Code::TEMP.0))
}
