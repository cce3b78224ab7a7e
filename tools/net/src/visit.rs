//! One visit: what a server does for a connection, in a child of its own, from the accepted
//! socket to the program. Every failure is that visitor's alone.

use crate::connection::{self, Connection};
use crate::inquiry::Inquiry;
use crate::limits::{Counts, Limits, RATE, load};
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
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;

/// Where the load is.
const LOAD: &str = "/proc/loadavg";
/// The variable of [`Limits::from_place`].
const FROM_PLACE: &str = "MAXCONNIP";
/// What may fail before the program runs.
const SET_UP: &str = "set up descriptors";
/// So many bytes are taken by every new connection without waiting.
const SHORT: usize = 1024;

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
    /// Where all visitors arrive. Without it, each is asked.
    pub at: Option<SocketAddr>,
    /// Who may come in.
    pub rules: Option<RulesFile>,
    /// The limit MAXCONNIP of all that have no rule with one,
    pub from_place: Option<u64>,
    /// and what those are told who exceed it.
    pub refusal: Vec<u8>,
    /// TLS is spoken with it, if it may come in.
    pub tls: Option<Box<dyn Provider>>,
    /// The environment, before the connection's variables.
    pub env: Env,
    /// The program and its words.
    pub program: Args,
}

/// Who speaks TLS for the program. A trait, so that a server without TLS carries none of its code.
pub trait Provider {
    /// TLS begins when the program says so: until then words are plain.
    fn delayed(&self) -> bool;
    /// The variables of TCP are set too.
    fn tcp_names(&self) -> bool;
    /// Whether this environment lets TLS begin at all, as far as that can be known before a visit.
    fn check(&self, env: &Env) -> Result<()>;
    /// Who each program becomes, and whether errors are kept quiet.
    fn settle(&mut self, user: (Option<u32>, Option<u32>), quiet: bool);
    /// Becomes the program that the service names, with a child that speaks TLS for it.
    fn become_program(&self, stream: BorrowedFd, service: &Service, env: Env)
    -> Result<Infallible>;
}

/// Lines for the log, each in two parts, between which the number of the process stands.
pub type Lines = Vec<[Vec<u8>; 2]>;

/// Whether a visitor may come in.
pub struct Verdict {
    /// It may not.
    pub refused: bool,
    /// The limit that the visitor exceeds, as logs have it: `MAXCONNIP:2`.
    exceeded: Option<String>,
    /// What a refused visitor is told, if anything.
    words: Vec<u8>,
    /// The environment for the program.
    pub env: Env,
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
            at: None,
            rules: None,
            from_place: None,
            refusal: Vec::new(),
            tls: None,
            env,
            program: Args::new(),
        }
    }

    /// Whether visitors are judged by what is known of them at once, and nothing is written to
    /// them before.
    pub fn judges_at_once(&self) -> bool {
        self.inquiry.asks_nobody() && self.banner.is_empty() && self.tls.is_none()
    }

    /// Whether rates of visits may be limited.
    pub fn limits_rates(&self) -> bool {
        self.rules.is_some() || self.env.get(RATE).is_some()
    }

    /// What is to be done for a visitor, where [`Service::judges_at_once`]. `None`: something is
    /// wrong or takes time, and [`Service::serve`] knows what to do.
    pub fn prepare(
        &self,
        stream: &TcpStream,
        remote: SocketAddr,
        count: impl FnOnce(&Limits) -> Counts,
    ) -> Option<(Verdict, Lines)> {
        let mut connection = self.receive(stream, remote).ok()?;
        self.inquiry.make(&mut connection, &self.env);
        let verdict = self.judge(&connection, count).ok()?;
        let mut lines = Lines::new();
        if self.log {
            lines.extend([self.visit_line(remote), verdict.line(&connection)]);
        }
        (verdict.words.len() < SHORT).then_some((verdict, lines))
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
        signal::ignore(signal::PIPE)
            .and_then(|()| signal::unblock_all())
            .map_err(|why| self.dropped("ignore SIGPIPE", &why))?;
        self.log(|| self.visit_line(remote));
        let mut connection = self.receive(stream, remote)?;
        self.inquiry.make(&mut connection, &self.env);
        let verdict = self.judge(&connection, count)?;
        self.log(|| verdict.line(&connection));
        if verdict.refused {
            // Whoever waits for TLS does not understand plain words.
            if self.tls.as_ref().is_none_or(|tls| tls.delayed()) {
                verdict.tell(stream);
            }
            return Err(Die::silent(100));
        }
        match &self.tls {
            None => self.become_program(stream, &verdict.env),
            Some(tls) => tls
                .become_program(stream.as_fd(), self, verdict.env)
                .map_err(|die| self.softened(die)),
        }
    }

    /// Logs a line about this process.
    fn log(&self, line: impl FnOnce() -> [Vec<u8>; 2]) {
        if self.log {
            let [before, after] = line();
            say::raw(&[&before, std::process::id().to_string().as_bytes(), &after].concat());
        }
    }

    /// `pid PID from IP`, in two parts.
    fn visit_line(&self, remote: SocketAddr) -> [Vec<u8>; 2] {
        let before = format!("{}: pid ", say::program());
        let after = format!(" from {}\n", connection::ip(remote, self.mapped));
        [before, after].map(String::into_bytes)
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
        if self.tls.as_ref().is_none_or(|tls| tls.delayed()) {
            stream.write_all(&self.banner).map_err(|why| self.dropped("print banner", &why))?;
        }
        let local = self.at.map_or_else(|| stream.local_addr(), Ok);
        let local = local.map_err(|why| self.dropped("get local address", &why))?;
        Ok(Connection { mapped: self.mapped, ..Connection::new(local, remote) })
    }

    /// Decides by rules and limits. It needs nothing of the connection but what is known of it.
    fn judge(
        &self,
        connection: &Connection,
        count: impl FnOnce(&Limits) -> Counts,
    ) -> Result<Verdict> {
        let mut env = self.env.clone();
        match &self.tls {
            None => connection.set_variables(&mut env),
            Some(tls) => {
                connection::unset_variables(&mut env);
                connection.set_ssl_variables(&mut env, tls.tcp_names());
            }
        }
        let rule = self.rule(connection)?;
        let mut from_place = self.from_place;
        for (name, value) in rule.iter().flat_map(|rule| &rule.set) {
            env.set(OsStr::from_bytes(name), OsStr::from_bytes(value));
            from_place = from_place.filter(|_| name != FROM_PLACE.as_bytes());
        }
        let denied = rule.is_some_and(|rule| rule.denied);
        let exceeded = if denied { None } else { self.exceeded(&env, from_place, count)? };
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
        rules.lookup(&peer).map_err(|why| self.dropped(read, &why))
    }

    /// The connection becomes the program's standard input and output.
    fn become_program(&self, stream: &TcpStream, env: &Env) -> Result<Infallible> {
        let stream = stream.as_fd();
        fd::copy_to(stream, 0)
            .and_then(|()| fd::copy_to(stream, 1))
            .map_err(|why| self.dropped(SET_UP, &why))?;
        signal::default(signal::PIPE)
            .and_then(|()| exec::exec_with(&self.program, env))
            .map_err(|why| self.dropped(self.run_it(), &why))
    }

    /// The limit that a connection exceeds. `from_place` wins over the variable of that limit.
    fn exceeded(
        &self,
        env: &Env,
        from_place: Option<u64>,
        count: impl FnOnce(&Limits) -> Counts,
    ) -> Result<Option<String>> {
        let mut limits = Limits::read(|name| env.get(name)).map_err(|wrong| {
            let wrong = String::from_utf8_lossy(&wrong);
            Die { code: 111, text: self.dropping(format_args!("bad limit {wrong}")) }
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

    /// Why a connection is dropped: `warning: dropping connection, unable to WHAT: REASON`, 111.
    pub fn dropped(&self, what: impl Display, why: &io::Error) -> Die {
        let text = self.dropping(format_args!("unable to {what}: {}", errno::words(why)));
        Die { code: 111, text }
    }

    fn dropping(&self, why: impl Display) -> String {
        let what = if self.tls.is_some() { "SSL connection" } else { "connection" };
        format!("warning: dropping {what}, {why}")
    }

    /// Last words about this visitor, not about the server.
    fn softened(&self, die: Die) -> Die {
        match die.text.strip_prefix("fatal: ") {
            Some(why) => Die { code: die.code, text: self.dropping(why) },
            None => die,
        }
    }

    /// What fails if the program cannot be run.
    pub fn run_it(&self) -> String {
        let name = self.program.first().map(|name| name.display().to_string());
        format!("run {}", name.unwrap_or_default())
    }

    /// What the program's [`base::sys::clone::Launcher`] says, before a reason.
    pub fn unable(&self) -> [Vec<u8>; 2] {
        [SET_UP.into(), self.run_it()]
            .map(|what| format!("unable to {what}: "))
            .map(|what| format!("{}: {}", say::program(), self.dropping(what)).into_bytes())
    }
}

impl Verdict {
    /// `ok PID ENDS` or `deny PID ENDS LIMIT`, in two parts.
    fn line(&self, connection: &Connection) -> [Vec<u8>; 2] {
        let word = if self.refused { "deny" } else { "ok" };
        let limit = self.exceeded.as_ref().map_or(String::new(), |limit| format!(" {limit}"));
        let before = format!("{}: {word} ", say::program());
        let after = [b" ", &connection.shown()[..], limit.as_bytes(), b"\n"].concat();
        [before.into_bytes(), after]
    }

    /// Tells a refused visitor so, if there are words for it.
    pub fn tell(&self, mut stream: &TcpStream) {
        if !self.words.is_empty() {
            // If it fails, nobody is left to be told.
            let _ = stream.write_all(&[&self.words[..], b"\r\n"].concat());
        }
    }
}
