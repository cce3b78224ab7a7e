//! tcpclient: connect to a host and run a program with the connection.
#![cfg_attr(not(test), no_main)]

use base::env::Env;
use base::opt::Opts;
use base::sys::exec;
use base::{Args, Code, Die, Result, Unable};
use net::call::{self, Call};
use std::ffi::OsString;
use std::os::fd::AsFd;

base::program!("tcpclient", run);

const USAGE: &str = "tcpclient [ -46hHrRdDqQv ] [ -i localip ] [ -p localport ] \
    [ -T timeoutconn ] [ -l localname ] [ -t timeoutinfo ] [ -I interface ] host port program";

fn run(words: Args) -> Result<Code> {
    let mut opts = Opts::new(words, "46dDvqQhHrRi:p:t:T:l:I:", USAGE);
    let mut call = Call::default();
    while let Some(letter) = opts.next()? {
        call.set(letter, &opts)?;
    }
    let usage = opts.bad_usage();
    become_program(&call, &opts.rest(), usage).map_err(|die| call.last_words(die))
}

fn become_program(call: &Call, words: &[OsString], usage: Die) -> Result<Code> {
    let [host, port, program @ ..] = words else { return Err(usage) };
    let [name, ..] = program else { return Err(usage) };
    call::prepare()?;
    let mut env = Env::inherited();
    let (stream, connection) = call.make(host, port, &env)?;
    connection.set_variables(&mut env);
    call::hand_over(stream.as_fd(), stream.as_fd())?;
    match exec::exec_with(program, &env).unable(format_args!("run {}", name.display()))? {}
}
