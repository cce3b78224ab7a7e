//! tcp-env: set the TCP variables from a socket on standard input, for inetd and its likes.
#![cfg_attr(not(test), no_main)]

use base::env::Env;
use base::number::decimal;
use base::opt::Opts;
use base::sys::{exec, fd, signal};
use base::{Args, Code, Die, Result};
use net::connection::Connection;
use net::dns::Resolver;
use net::host::Settings;
use net::{ident, names};
use std::io;
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

base::program!("tcp-env", run);

/// Who says one of these in $PROTO has set the variables already.
const KNOWN: [&[u8]; 3] = [b"TCP", b"TCP6", b"SSL"];
/// What stands for a name that cannot be looked up at the moment.
const SOFT_ERROR: &[u8] = b"softdnserror";
/// So many bytes of ident's answer are taken.
const INFO: usize = 998;

/// All failures are temporary, and none is explained.
fn run(words: Args) -> Result<Code> {
    become_program(words).map_err(|_| Die::silent(111))
}

fn become_program(words: Args) -> io::Result<Code> {
    let (info, program) = read_options(words);
    let mut env = Env::inherited();
    if !env.get("PROTO").is_some_and(|proto| KNOWN.contains(&proto)) {
        signal::ignore(signal::PIPE)?;
        connection(info, &Settings::of(&env))?.set_variables(&mut env);
        signal::default(signal::PIPE)?;
    }
    match exec::exec_with(&program, &env)? {}
}

/// How long the remote host is asked for its user, if at all, and the program. Wrong options are
/// passed over.
fn read_options(words: Args) -> (Option<Duration>, Args) {
    let mut opts = Opts::new(words, "rRt:", "");
    let (mut ask, mut seconds) = (true, 30);
    loop {
        match opts.next() {
            Ok(Some(b'r')) => ask = true,
            Ok(Some(b'R')) => ask = false,
            Ok(Some(_)) => seconds = decimal(opts.argument().as_bytes()).unwrap_or(seconds),
            Ok(None) => break,
            Err(_) => {}
        }
    }
    (ask.then_some(Duration::from_secs(seconds)), opts.rest())
}

/// What can be known of the connection on standard input.
fn connection(info: Option<Duration>, settings: &Settings) -> io::Result<Connection> {
    let mut connection = Connection::of_socket(fd::STDIN)?;
    let (local, remote) = (connection.local, connection.remote);
    let mut resolver = settings.resolver();
    connection.local_host = name(&mut resolver, local.ip());
    connection.remote_host = name(&mut resolver, remote.ip());
    connection.info = info.and_then(|limit| ident::ask(local, remote, limit, INFO).ok());
    Ok(connection)
}

fn name(resolver: &mut Resolver, address: IpAddr) -> Option<Vec<u8>> {
    names::of(resolver, address).unwrap_or_else(|_| Some(SOFT_ERROR.to_vec()))
}
