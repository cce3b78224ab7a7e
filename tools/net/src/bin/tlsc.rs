//! tlsc: speak TLS on descriptors 6 and 7 for a program.
#![cfg_attr(not(test), no_main)]

use base::env::Env;
use base::number::decimal;
use base::opt::Opts;
use base::sys::{exec, fd, fork, signal};
use base::{Args, Code, Result, Unable, say};
use net::call;
use net::tls::client::{self, Demands, failure};
use net::tls::pump::{Broken, Ends, handshake, pump};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

base::program!("tlsc", run);

const USAGE: &str = "tlsc [ -NX ] [ -a cafile ] [ -A cadir ] [ -k servername ] [ -T handshake ] \
    [ -w idle ] program";

/// Becomes the program, whose process number is that of this process. A child of it moves the
/// bytes.
fn run(words: Args) -> Result<Code> {
    let mut opts = Opts::new(words, "NXa:A:k:T:w:", USAGE);
    let mut demands = Demands::default();
    let mut server = None;
    let [mut patience, mut idle] = [26, 3600].map(Duration::from_secs);
    while let Some(letter) = opts.next()? {
        let seconds = || {
            let seconds = decimal(opts.argument().as_bytes()).ok_or_else(|| opts.bad_usage())?;
            Ok(Duration::from_secs(seconds))
        };
        match letter {
            b'k' => server = Some(opts.argument().as_bytes().to_vec()),
            b'T' => patience = seconds()?,
            b'w' => idle = seconds()?,
            letter => demands.set(letter, &opts)?,
        }
    }
    let usage = opts.bad_usage();
    let program = opts.rest();
    let [name, ..] = &program[..] else { return Err(usage) };
    let mut env = Env::inherited();
    start(&demands, server.as_deref(), [patience, idle], &mut env)?;
    match exec::exec_with(&program, &env).unable(format_args!("run {}", name.display()))? {}
}

/// Goes through the handshake and leaves the rest to a child. 6 and 7 are pipes to it then.
fn start(
    demands: &Demands,
    server: Option<&[u8]>,
    [patience, idle]: [Duration; 2],
    env: &mut Env,
) -> Result<()> {
    signal::ignore(signal::PIPE).unable("ignore SIGPIPE")?;
    fd::fill_standard_until_exec().unable("open /dev/null")?;
    let from_server = fd::take(6).unable("use descriptor 6")?;
    let to_server = fd::take(7).unable("use descriptor 7")?;
    let mut wire = Ends::new(from_server, to_server);
    let mut tls = demands.connection(server)?;
    let shaken = handshake(&mut tls, &mut wire, patience);
    shaken.map_err(|why| failure(&why, server.unwrap_or_default()))?;
    client::set_variables(&tls, false, env);
    let (program_reads, to_program) = fd::pipe().unable("create pipe")?;
    let (from_program, program_writes) = fd::pipe().unable("create pipe")?;
    let plain = Ends::pipes(from_program, to_program).unable("create pipe")?;
    let not_ours = [0, 1, program_reads.as_raw_fd(), program_writes.as_raw_fd()];
    let mover = move || {
        not_ours.into_iter().for_each(fd::close);
        let moved = signal::ignore(signal::PIPE).map_err(Broken::Io);
        match moved.and_then(|()| pump(tls, wire, plain, idle)) {
            Ok(()) => Code::DONE.0,
            Err(why) => {
                say::warning(format_args!("unable to speak TLS: {why}"));
                Code::TEMP.0
            }
        }
    };
    fork::child(mover).unable("fork")?;
    call::hand_over(program_reads.as_fd(), program_writes.as_fd())
}
