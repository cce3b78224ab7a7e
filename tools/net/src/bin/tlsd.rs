//! tlsd: speak TLS on a connection and run a program for what is said.
#![cfg_attr(not(test), no_main)]

use base::env::Env;
use base::opt::Opts;
use base::sys::{exec, fd};
use base::{Args, Code, Result, Unable};
use net::tls::child;
use net::tls::server::{self, Options};

base::program!("tlsd", run);

const USAGE: &str = "tlsd [ -nsSmzZ ] [ -T handshake ] [ -w idle ] program";

fn run(words: Args) -> Result<Code> {
    let mut opts = Opts::new(words, "nsSmzZT:w:", USAGE);
    let (mut options, mut delayed) = (Options::default(), false);
    while let Some(letter) = opts.next()? {
        match letter {
            b'n' => delayed = true,
            letter => options.set(letter, &opts)?,
        }
    }
    let usage = opts.bad_usage();
    let program = opts.rest();
    let [name, ..] = &program[..] else { return Err(usage) };

    fd::fill_standard_until_exec().unable("open /dev/null")?;
    let mut env = Env::inherited();
    let link = child::start(&env, options, delayed)?;
    server::clean(&mut env);
    if delayed {
        link.promise(&mut env)?
    } else {
        link.become_standard(&mut env)?
    }
    match exec::exec_with(&program, &env).unable(format_args!("run {}", name.display()))? {}
}
