//! proxyout: tell a server by a PROXY protocol header who is calling.
#![cfg_attr(not(test), no_main)]

use base::env::Env;
use base::number::decimal;
use base::opt::Opts;
use base::sys::{exec, fd};
use base::{Args, Code, Die, Result, Unable};
use net::{address, proxy};
use std::ffi::OsStr;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;

base::program!("proxyout", run);

const USAGE: &str = "proxyout -1 | -2 | -s program";

/// The connection to the server.
const TO_SERVER: BorrowedFd = fd::number(7);
/// Variables of the caller, and of the end that it called, after TCP or PROXY.
const REMOTE: [&str; 2] = ["REMOTEIP", "REMOTEPORT"];
const LOCAL: [&str; 2] = ["LOCALIP", "LOCALPORT"];

fn run(words: Args) -> Result<Code> {
    let mut opts = Opts::new(words, "12s", USAGE);
    let mut action = None;
    while let Some(letter) = opts.next()? {
        action = Some(letter);
    }
    let usage = opts.bad_usage();
    let program = opts.rest();
    let [name, ..] = &program[..] else { return Err(usage) };

    let mut env = Env::inherited();
    match action {
        Some(b's') => save(&mut env),
        Some(b'1') => send(&proxy::one(ends(&env)?))?,
        Some(_) => send(&proxy::two(ends(&env)?))?,
        None => return Err(usage),
    }
    match exec::exec_with(&program, &env).unable(format_args!("run {}", name.display()))? {}
}

/// Copies the caller's variables to where the next tcpclient leaves them alone.
fn save(env: &mut Env) {
    for name in REMOTE.into_iter().chain(LOCAL) {
        let value = env.get(format!("TCP{name}")).map(<[u8]>::to_vec);
        env.put(format!("PROXY{name}"), value.as_deref().map(OsStr::from_bytes));
    }
}

/// Both ends, as they were saved or else as they are. `None`: there is no caller.
fn ends(env: &Env) -> Result<Option<(SocketAddr, SocketAddr)>> {
    let kind = match (env.get("PROXYREMOTEIP"), env.get("TCPREMOTEIP")) {
        (Some(_), _) => "PROXY",
        (None, Some(_)) => "TCP",
        (None, None) => return Ok(None),
    };
    Ok(Some((end(env, kind, REMOTE)?, end(env, kind, LOCAL)?)))
}

fn end(env: &Env, kind: &str, names: [&str; 2]) -> Result<SocketAddr> {
    let [ip, port] = names.map(|name| format!("{kind}{name}"));
    let number = env.get(&port).and_then(decimal).and_then(|port| port.try_into().ok());
    let number = number.ok_or_else(|| Die::perm(format_args!("no port number in ${port}")))?;
    let end = env.get(&ip).and_then(|ip| address::parse(ip, number));
    end.ok_or_else(|| Die::perm(format_args!("no IP address in ${ip}")))
}

fn send(header: &[u8]) -> Result<()> {
    fd::write_all(TO_SERVER, header).unable("write PROXY header")
}
