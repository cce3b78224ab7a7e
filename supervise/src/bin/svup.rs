//! svup: check whether a service is up.
#![cfg_attr(not(test), no_main)]

use base::opt::Opts;
use base::{Args, Code, Die, Result};
use supervise::view::{Hidden, View, is_up};

base::program!("svup", run);

const USAGE: &str = "svup [ -lL ] dir";

fn run(words: Args) -> Result<Code> {
    let mut opts = Opts::new(words, "lL", USAGE);
    let (mut main, mut log) = (true, true);
    while let Some(letter) = opts.next()? {
        (main, log) = (letter == b'l', letter == b'L');
    }
    let usage = opts.bad_usage();
    let [name, ..] = &opts.rest()[..] else {
        return Err(usage);
    };
    let view = match View::of(name) {
        Ok(view) => view,
        Err(hidden) if hidden.is_unsupervised() => return Ok(Code::PERM),
        Err(Hidden::Unable(what, why)) => {
            return Err(Die::temp(format_args!("{what} in {}", name.display()), &why));
        }
        Err(hidden) => {
            let text = hidden.text();
            return Err(Die::later(format_args!("{text} in {}", name.display())));
        }
    };
    let of_log = view.log.as_ref().map(is_up);
    // As encore: a pid is enough, whatever it is the pid of.
    let of_main = view.status.pid != 0 || is_up(&view.status);
    let up = match (main, log) {
        (true, true) => of_main && of_log.unwrap_or(true),
        (_, false) => of_main,
        (false, true) => of_log.unwrap_or(false),
    };
    Ok(if up { Code::DONE } else { Code::PERM })
}
