//! unixclient: connect to a Unix socket and run a program with the connection.
#![cfg_attr(not(test), no_main)]

use base::env::Env;
use base::opt::Opts;
use base::sys::{exec, fd, unix};
use base::{Args, Code, Die, Result, Unable, say};
use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd;
use std::path::Path;

base::program!("unixclient", run);

const USAGE: &str = "unixclient [ -qQv ] socket program";

/// Every failure, as in ucspi-unix.
const FAILED: u8 = 1;
/// The program's descriptors: it reads from the first and writes to the second.
const READ: i32 = 6;
const WRITE: i32 = 7;

fn run(words: Args) -> Result<Code> {
    let mut opts = Opts::new(words, "qQv", USAGE).usage_code(FAILED);
    let mut verbosity = b'Q';
    while let Some(letter) = opts.next()? {
        verbosity = letter;
    }
    let usage = opts.bad_usage();
    let words = opts.rest();
    let [path, program @ ..] = &words[..] else { return Err(usage) };
    let [name, ..] = program else { return Err(usage) };
    become_program(Path::new(path), name, program, verbosity == b'v').map_err(|die| {
        let die = die.with_code(FAILED);
        if verbosity == b'q' { Die::silent(die.code) } else { die }
    })
}

fn become_program(path: &Path, name: &OsStr, program: &[OsString], log: bool) -> Result<Code> {
    fd::close(READ);
    fd::close(WRITE);
    fd::fill_standard_until_exec().unable("open /dev/null")?;
    let socket = unix::stream().unable("create socket")?;
    unix::connect(socket.as_fd(), path).unable(format_args!("connect to {}", path.display()))?;
    if log {
        say::line(format_args!("connected to {}", path.display()));
    }
    let mut env = Env::inherited();
    net::unix::set_variables(&mut env, path, unix::peer(socket.as_fd()).unable("get peer")?);
    fd::copy_to(socket.as_fd(), READ).unable("set up descriptor 6")?;
    fd::copy_to(socket.as_fd(), WRITE).unable("set up descriptor 7")?;
    match exec::exec_with(program, &env).unable(format_args!("run {}", name.display()))? {}
}
