//! One visit: what a server does for a connection, in a child of its own, from the accepted
//! socket to the program. Every failure is that visitor's alone.

use crate::connection::{self, Connection};
use crate::host::Settings;
use crate::inquiry::Inquiry;
use crate::limits::{Counts, Limits, load};
use crate::rules_file::RulesFile;
use base::env::Env;
use base::sys::{exec, fd, signal, socket};
use base::{Args, Die, Result, errno, say};
use rules::{Decision, Peer};
use std::convert::Infallible;
use std::ffi::OsStr;
use std::fmt::Display;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;

/// Where the load is.
const LOAD: &str = "/proc/loadavg";
/// The variable of [`Limits::from_place`].
const FROM_PLACE: &str = "MAXCONNIP";

/// What is done for every visitor.
pub struct Service {
    /// Visits are logged.
    pub log: bool,
    /// Written to every visitor first of all.
    pub banner: Vec<u8>,
    /// IP options, by which answers may be led astray, are removed.
    pub kill_options: bool,
    /// Small packets are sent at once.
    pub no_delay: bool,
    /// What is found out about it.
    pub inquiry: Inquiry,
    /// IPv4 addresses are shown as IPv6.
    pub mapped: bool,
    /// Who may come in.
    pub rules: Option<RulesFile>,
    /// The limit MAXCONNIP of all that have no rule with one,
    pub from_place: Option<u64>,
    /// and what those are told who exceed it.
    pub refusal: Vec<u8>,
    /// The environment, before the connection's variables.
    pub env: Env,
    /// The program and its words.
    pub program: Args,
}

/// Whether a visitor may come in.
struct Verdict {
    refused: bool,
    /// The limit that the visitor exceeds, as logs have it: `MAXCONNIP:2`.
    exceeded: Option<String>,
    /// What a refused visitor is told, if anything.
    words: Vec<u8>,
    /// The environment for the program.
    env: Env,
}

/// Why a connection is dropped: `warning: dropping connection, unable to WHAT: REASON`, 111.
pub fn dropped(what: impl Display, why: &io::Error) -> Die {
    let why = errno::words(why);
    Die { code: 111, text: format!("warning: dropping connection, unable to {what}: {why}") }
}

impl Service {
    /// What a server does unless it is told otherwise.
    pub fn new(env: Env) -> Self {
        Service {
            log: false,
            banner: Vec::new(),
            kill_options: true,
            no_delay: false,
            inquiry: Inquiry::default(),
            mapped: false,
            rules: None,
            from_place: None,
            refusal: Vec::new(),
            env,
            program: Args::new(),
        }
    }

    /// Serves a visitor: becomes the program, or fails with the last words. `count` tells how
    /// many others there are.
    pub fn serve(
        &self,
        stream: &TcpStream,
        remote: SocketAddr,
        count: impl FnOnce(&Limits) -> Counts,
    ) -> Result<Infallible> {
        // A visitor or a reader of the log who is gone is no reason to end without a word.
        signal::ignore(signal::PIPE).map_err(|why| dropped("ignore SIGPIPE", &why))?;
        let pid = std::process::id();
        if self.log {
            say::line(format_args!("pid {pid} from {}", connection::ip(remote, self.mapped)));
        }
        let mut connection = self.receive(stream, remote)?;
        self.inquiry.make(&mut connection, &Settings::of(&self.env));
        let verdict = self.judge(&connection, count)?;
        if self.log {
            let word = if verdict.refused { "deny" } else { "ok" };
            let limit = verdict.exceeded.map_or(String::new(), |limit| format!(" {limit}"));
            let start = format!("{}: {word} {pid} ", say::program());
            let line = [start.as_bytes(), &connection.shown(), limit.as_bytes(), b"\n"];
            say::raw(&line.concat());
        }
        if verdict.refused {
            if !verdict.words.is_empty() {
                let mut stream = stream;
                // If it fails, nobody is left to be told.
                let _ = stream.write_all(&[&verdict.words[..], b"\r\n"].concat());
            }
            return Err(Die::silent(100));
        }
        self.become_program(stream, &verdict.env)
    }

    /// Sets the connection up and writes the banner.
    fn receive(&self, mut stream: &TcpStream, remote: SocketAddr) -> Result<Connection> {
        // If one of these two fails, the visitor is served without it.
        if self.kill_options {
            let _ = socket::kill_ip_options(stream.as_fd());
        }
        if self.no_delay {
            let _ = stream.set_nodelay(true);
        }
        stream.write_all(&self.banner).map_err(|why| dropped("print banner", &why))?;
        let local = stream.local_addr().map_err(|why| dropped("get local address", &why))?;
        Ok(Connection { mapped: self.mapped, ..Connection::new(local, remote) })
    }

    /// Decides by rules and limits. It needs nothing of the connection but what is known of it.
    fn judge(
        &self,
        connection: &Connection,
        count: impl FnOnce(&Limits) -> Counts,
    ) -> Result<Verdict> {
        let mut env = self.env.clone();
        connection.set_variables(&mut env);
        let rule = self.rule(connection)?;
        let mut from_place = self.from_place;
        for (name, value) in rule.iter().flat_map(|rule| &rule.set) {
            env.set(OsStr::from_bytes(name), OsStr::from_bytes(value));
            from_place = from_place.filter(|_| name != FROM_PLACE.as_bytes());
        }
        let denied = rule.is_some_and(|rule| rule.denied);
        let exceeded = if denied { None } else { exceeded(&env, from_place, count)? };
        let by_place = exceeded.as_ref().is_some_and(|limit| limit.starts_with(FROM_PLACE));
        let refusal = if by_place { &self.refusal[..] } else { b"" };
        let words = env.get("DIEMSG").unwrap_or(refusal).to_vec();
        Ok(Verdict { refused: denied || exceeded.is_some(), exceeded, words, env })
    }

    /// The rule for a connection.
    fn rule(&self, connection: &Connection) -> Result<Option<Decision>> {
        let Some(rules) = &self.rules else { return Ok(None) };
        let ip = connection::ip(connection.remote, false);
        let peer = Peer {
            ip: ip.as_bytes(),
            host: connection.remote_host.as_deref(),
            info: connection.info.as_deref(),
        };
        let read = format!("read {}", rules.path().display());
        rules.lookup(&peer).map_err(|why| dropped(read, &why))
    }

    /// The connection becomes the program's standard input and output.
    fn become_program(&self, stream: &TcpStream, env: &Env) -> Result<Infallible> {
        let stream = stream.as_fd();
        fd::copy_to(stream, 0)
            .and_then(|()| fd::copy_to(stream, 1))
            .map_err(|why| dropped("set up descriptors", &why))?;
        let name = self.program.first().map(|name| name.display().to_string());
        let what = format!("run {}", name.unwrap_or_default());
        signal::default(signal::PIPE)
            .and_then(|()| exec::exec_with(&self.program, env))
            .map_err(|why| dropped(what, &why))
    }
}

/// The limit that a connection exceeds. `from_place` wins over the variable of that limit.
fn exceeded(
    env: &Env,
    from_place: Option<u64>,
    count: impl FnOnce(&Limits) -> Counts,
) -> Result<Option<String>> {
    let mut limits = Limits::read(|name| env.get(name)).map_err(|wrong| {
        let wrong = String::from_utf8_lossy(&wrong);
        Die { code: 111, text: format!("warning: dropping connection, bad limit {wrong}") }
    })?;
    limits.from_place = from_place.or(limits.from_place);
    if limits == Limits::default() {
        return Ok(None);
    }
    let mut counts = count(&limits);
    if limits.load.is_some() {
        counts.load = std::fs::read(LOAD).ok().and_then(|text| load(&text)).unwrap_or(0);
    }
    Ok(limits.exceeded(counts))
}
