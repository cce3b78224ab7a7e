//! proxyin: read a PROXY protocol header and run a program for the caller that it names.
#![cfg_attr(not(test), no_main)]

use base::env::Env;
use base::number::decimal;
use base::opt::Opts;
use base::sys::fd::{self, STDIN};
use base::sys::{exec, poll};
use base::{Args, Code, Die, Result, Unable};
use net::connection::Connection;
use net::proxy::{self, Header, Step, Versions};
use rules::{Peer, Rules};
use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

base::program!("proxyin", run);

const USAGE: &str = "proxyin [ -12 ] [ -t seconds ] [ -x trusted.cdb ] program";

/// So many bytes at most are read at once.
const PIECE: usize = 4096;

fn run(words: Args) -> Result<Code> {
    let mut opts = Opts::new(words, "12t:x:", USAGE);
    let (mut versions, mut seconds, mut trusted) = (Versions::Both, 10, None);
    while let Some(letter) = opts.next()? {
        match letter {
            b'1' => versions = Versions::One,
            b'2' => versions = Versions::Two,
            b't' => {
                seconds = decimal(opts.argument().as_bytes()).ok_or_else(|| opts.bad_usage())?;
            }
            _ => trusted = Some(PathBuf::from(opts.argument())),
        }
    }
    let usage = opts.bad_usage();
    let program = opts.rest();
    let [name, ..] = &program[..] else { return Err(usage) };

    let mut env = Env::inherited();
    let expected = trusted.map_or(Ok(true), |file| trusts(&file, &env))?;
    if expected
        && let header @ Header::Caller { .. } = read_header(versions, Duration::from_secs(seconds))?
    {
        introduce(header, &mut env);
    }
    match exec::exec_with(&program, &env).unable(format_args!("run {}", name.display()))? {}
}

/// Whether a rule allows the other end to speak for others.
fn trusts(file: &Path, env: &Env) -> Result<bool> {
    let read = format!("read {}", file.display());
    let rules = Rules::open(file).unable(&read)?;
    let Some(ip) = env.get("TCPREMOTEIP") else { return Ok(false) };
    let rule = rules::lookup(&rules, &Peer { ip, host: None, info: None }).unable(&read)?;
    Ok(rule.is_some_and(|rule| !rule.denied))
}

/// Reads a header from standard input, and not one byte more: they are the program's.
fn read_header(versions: Versions, limit: Duration) -> Result<Header> {
    let end = Instant::now().checked_add(limit);
    let mut bytes = Vec::new();
    loop {
        match proxy::read(&bytes, versions) {
            Step::Done(header) => return Ok(header),
            Step::Invalid(why) => {
                return Err(Die::perm(format_args!("invalid PROXY header: {why}")));
            }
            Step::More(count) => {
                read_more(&mut bytes, count.min(PIECE), end).unable("read PROXY header")?;
            }
        }
    }
}

/// Appends what one read gives, at most `count` bytes.
fn read_more(bytes: &mut Vec<u8>, count: usize, end: Option<Instant>) -> io::Result<()> {
    let left = end.map_or(Duration::MAX, |end| end.saturating_duration_since(Instant::now()));
    if !poll::readable(STDIN, left)? {
        return Err(ErrorKind::TimedOut.into());
    }
    let mut piece = [0; PIECE];
    match fd::read(STDIN, &mut piece[..count]) {
        Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
        Ok(count) => {
            bytes.extend_from_slice(&piece[..count]);
            Ok(())
        }
        // Somebody else has read it.
        Err(why) if why.kind() == ErrorKind::WouldBlock => Ok(()),
        Err(why) => Err(why),
    }
}

/// Sets the variables as if the caller had come without a proxy, and keeps the proxy's address.
fn introduce(header: Header, env: &mut Env) {
    let Header::Caller { remote, local, facts } = header else { return };
    let get = |name: &str| env.get(name).map(<[u8]>::to_vec);
    let proxy = ["TCPREMOTEIP", "TCPREMOTEPORT"].map(get);
    let local_host = get("TCPLOCALHOST");
    for (name, value) in ["TCPPROXYIP", "TCPPROXYPORT"].into_iter().zip(proxy) {
        env.put(name, value.as_deref().map(OsStr::from_bytes));
    }
    Connection { local_host, ..Connection::new(local, remote) }.set_variables(env);
    for (name, value) in facts {
        env.set(name, OsStr::from_bytes(&value));
    }
}
