//! tlsio: speak TLS between a connection and a socket, when a program asks for it.
#![cfg_attr(not(test), no_main)]

use base::env::Env;
use base::opt::Opts;
use base::sys::fd;
use base::{Args, Code, Result, Unable};
use net::tls::pump::Ends;
use net::tls::server::{LETTERS, Options, Server};

base::program!("tlsio", run);

const USAGE: &str = "tlsio [ -sSmzZ ] [ -T handshake ] [ -w idle ]";

/// The socket on which the program reads and writes plain text.
const PLAIN: i32 = 3;
/// The socket on which it asks for TLS.
const CONTROL: i32 = 4;

fn run(words: Args) -> Result<Code> {
    let mut opts = Opts::new(words, LETTERS, USAGE);
    let mut options = Options::default();
    while let Some(letter) = opts.next()? {
        options.set(letter, &opts)?;
    }
    let usage = opts.bad_usage();
    if !opts.rest().is_empty() {
        return Err(usage);
    }
    fd::fill_standard_until_exec().unable("open /dev/null")?;
    let plain = fd::take(PLAIN).unable(format_args!("use descriptor {PLAIN}"))?;
    let control = fd::take(CONTROL).unable(format_args!("use descriptor {CONTROL}"))?;
    let wire = fd::take(0).and_then(|from| Ok(Ends::new(from, fd::take(1)?)));
    let wire = wire.unable("use the connection")?;
    let plain = Ends::socket(plain).unable(format_args!("use descriptor {PLAIN}"))?;
    let server = Server::prepare(&Env::inherited(), options)?;
    server.serve_when_told(wire, plain, &mut Some(control))?;
    Ok(Code::DONE)
}
