//! tcplisten: listen on a port and run a program with the socket.
#![cfg_attr(not(test), no_main)]

use base::env::Env;
use base::number::decimal;
use base::opt::Opts;
use base::sys::{exec, fd};
use base::{Args, Code, Result, Unable};
use net::host::{Family, Reading};
use net::listen;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;

base::program!("tcplisten", run);

const USAGE: &str =
    "tcplisten [ -46 ] [ -b backlog ] [ -I interface ] host port program [ arg ... ]";

/// The first descriptor that such sockets have, by the convention of systemd.
const SOCKET: i32 = 3;

fn run(words: Args) -> Result<Code> {
    let mut opts = Opts::new(words, "46b:I:", USAGE);
    let (mut family, mut backlog, mut interface) = (Family::Both, 20, None);
    while let Some(letter) = opts.next()? {
        match letter {
            b'4' => family = Family::V4,
            b'6' => family = Family::Both,
            b'b' => {
                let number = decimal(opts.argument().as_bytes()).and_then(|b| b.try_into().ok());
                backlog = number.ok_or_else(|| opts.bad_usage())?;
            }
            _ => interface = Some(opts.argument().to_owned()),
        }
    }
    let usage = opts.bad_usage();
    let words = opts.rest();
    let [host, port, program @ ..] = &words[..] else { return Err(usage) };
    let [name, ..] = program else { return Err(usage) };

    let mut env = Env::inherited();
    let reading = Reading { family, interface: interface.as_deref(), env: &env };
    let listener = listen::listen(listen::place(host, port, &reading)?, backlog)?;
    // Whoever accepts decides whether it waits.
    listener.set_nonblocking(false).unable("listen")?;
    fd::copy_to(listener.as_fd(), SOCKET).unable("set up descriptor 3")?;
    env.set("LISTEN_FDS", "1").set("LISTEN_PID", std::process::id().to_string());
    env.unset("LISTEN_FDNAMES");
    match exec::exec_with(program, &env).unable(format_args!("run {}", name.display()))? {}
}
