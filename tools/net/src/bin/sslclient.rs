//! sslclient: connect to a host by TLS and run a program with the connection.
#![cfg_attr(not(test), no_main)]

use base::env::Env;
use base::number::decimal;
use base::opt::Opts;
use base::sys::spawn::Spawn;
use base::sys::{fd, wait};
use base::{Args, Code, Die, Result, Unable, say};
use net::call::{self, Call};
use net::tls::client::{self, Demands, failure};
use net::tls::pump::{Ends, handshake, pump};
use rustls::Connection;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

base::program!("sslclient", run);

const USAGE: &str = "sslclient [ -346hHrRdDqQveEsSnNxX ] [ -i localip ] [ -p localport ] \
    [ -T timeoutconn ] [ -l localname ] [ -t timeoutinfo ] [ -I interface ] [ -a cafile ] \
    [ -A cadir ] [ -c certfile ] [ -k keyfile ] [ -V depth ] [ -z ciphers ] [ -w progtimeout ] \
    host port program";

fn run(words: Args) -> Result<Code> {
    let letters = "346hHrRdDqQveEsSnNxXi:p:T:l:t:I:a:A:c:k:V:z:w:";
    let mut opts = Opts::new(words, letters, USAGE);
    let mut options = Options::default();
    while let Some(letter) = opts.next()? {
        options.set(letter, &opts)?;
    }
    let usage = opts.bad_usage();
    options.converse(&opts.rest(), usage).map_err(|die| options.call.last_words(die))
}

/// What the options say.
struct Options {
    /// How the connection is made.
    call: Call,
    /// What is wanted of TLS.
    demands: Demands,
    /// -s: what is known of the connection and its certificates goes into variables.
    facts: bool,
    /// -e: the connection is known as one of TCP too.
    tcp: bool,
    /// -w: how long nothing may move.
    idle: Duration,
}

impl Default for Options {
    fn default() -> Self {
        let mut call = Call::default();
        call.no_delay = true;
        let (demands, idle) = (Demands::default(), Duration::from_secs(3600));
        Options { call, demands, facts: false, tcp: false, idle }
    }
}

impl Options {
    fn set(&mut self, letter: u8, opts: &Opts) -> Result<()> {
        match letter {
            b's' | b'S' => self.facts = letter == b's',
            b'e' | b'E' => self.tcp = letter == b'e',
            // Keys with a password are not read, so that it is of no use.
            b'3' => {}
            b'w' => {
                let seconds = decimal(opts.argument().as_bytes());
                self.idle = Duration::from_secs(seconds.ok_or_else(|| opts.bad_usage())?);
            }
            b'a' | b'A' | b'c' | b'k' | b'V' | b'z' | b'n' | b'N' | b'x' | b'X' => {
                self.demands.set(letter, opts)?;
            }
            _ => self.call.set(letter, opts)?,
        }
        Ok(())
    }

    /// Runs the program and moves its bytes until both sides have said all. This process stays,
    /// so that its exit code is the program's.
    fn converse(&self, words: &[OsString], usage: Die) -> Result<Code> {
        let [host, port, program @ ..] = words else { return Err(usage) };
        let [name, ..] = program else { return Err(usage) };
        call::prepare()?;
        let mut env = Env::inherited();
        let (tls, wire) = self.connect(host, port, &mut env)?;
        let (program_reads, to_program) = fd::pipe().unable("create pipe")?;
        let (from_program, program_writes) = fd::pipe().unable("create pipe")?;
        let spawn = Spawn::new(program)
            .env(&env)
            .fd(6, program_reads.as_fd())
            .fd(7, program_writes.as_fd());
        let child = match self.call.verbosity {
            0 => spawn.start(),
            _ => spawn
                .last_words(format!("sslclient: fatal: unable to run {}", name.display()))
                .start(),
        };
        let child = child.unable("fork")?;
        drop((program_reads, program_writes));
        let plain = Ends::pipes(from_program, to_program).unable("create pipe")?;
        let moved = pump(tls, wire, plain, self.idle);
        if let Err(why) = &moved
            && self.call.verbosity > 0
        {
            say::line(format_args!("fatal: unable to speak SSL: {why}"));
        }
        let status = wait::child(child).unable("wait for program")?;
        Ok(match moved {
            Ok(()) => status.code().map_or(Code::TEMP, Code),
            Err(_) => Code::TEMP,
        })
    }

    /// Connects, goes through the handshake, and sets the program's variables.
    fn connect(&self, host: &OsStr, port: &OsStr, env: &mut Env) -> Result<(Connection, Ends)> {
        let server = match host.as_bytes() {
            b"" | b"0" => b"127.0.0.1",
            name => name,
        };
        let mut tls = self.demands.connection(Some(server))?;
        let (stream, connection) = self.call.make(host, port, env)?;
        let mut wire = Ends::socket(OwnedFd::from(stream)).unable("create descriptor")?;
        handshake(&mut tls, &mut wire, self.call.patience())
            .map_err(|why| failure(&why, server))?;
        if self.call.verbosity > 1 {
            say::line("ssl connect");
        }
        connection.set_ssl_variables(env, self.tcp);
        client::set_variables(&tls, self.facts, env);
        Ok((tls, wire))
    }
}
