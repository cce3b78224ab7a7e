//! except: turn a program's yes into no, and its no into yes.
#![cfg_attr(not(test), no_main)]

use base::{Args, Code, Die, Result};
use mail::condition::holds;

base::program!("except", run);

const USAGE: &str = "except program [ arg ... ]";

fn run(program: Args) -> Result<Code> {
    if program.is_empty() {
        return Err(Die::usage(USAGE));
    }
    Ok(if holds(&program)? { Code::PERM } else { Code::DONE })
}
