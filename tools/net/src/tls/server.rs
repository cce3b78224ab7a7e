//! The server's side of TLS, as tlsd, tlsio and sslserver have it in common: what the environment
//! and the options ask for, and one connection from its handshake to its end.

use super::certificates::{Certificates, unreadable};
use super::client_certificates::{Check, Demand};
use super::control;
use super::facts::{Facts, Verified, is_fact};
use super::pem::Unusable;
use super::provider;
use super::pump::{self, Broken, Ends};
use super::tickets::Tickets;
use base::env::Env;
use base::number::decimal;
use base::opt::Opts;
use base::sys::{folder, ids, memory, signal};
use base::{Code, Die, Result, Unable, say};
use rustls::server::NoServerSessionStorage;
use rustls::{Connection, ServerConfig, ServerConnection};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The letters of [`Options`].
pub const LETTERS: &str = "sSmzZT:w:";

/// What a server reads from the environment. Programs do not get it.
const SETTINGS: [&str; 17] = [
    "CADIR",
    "CAFILE",
    "CCAFILE",
    "CERTCHAINFILE",
    "CERTDIR",
    "CERTFILE",
    "CIPHERS",
    "CRLFILE",
    "DHFILE",
    "KEYFILE",
    "SSL_CHROOT",
    "SSL_GID",
    "SSL_UID",
    "TLSTICKETKEY",
    "TLS_GID",
    "TLS_UID",
    "VERIFYDEPTH",
];

/// What the options say.
#[derive(Clone, Copy)]
pub struct Options {
    /// -s: the program is told all that there is to tell.
    pub all_facts: bool,
    /// -m, -z.
    pub demand: Demand,
    /// -T: how long the handshake may take.
    pub handshake: Duration,
    /// -w: how long nothing may move.
    pub idle: Duration,
    /// For a line in the log when TLS has begun.
    pub log: Option<Log>,
    /// Nothing is said at all.
    pub quiet: bool,
    /// What is dropped when something fails: `connection`.
    pub what: &'static str,
    /// A wrong setting concerns only this connection.
    pub serves_others: bool,
}

/// `ssl PID accept`, or `ssl PID accept PROTOCOL:CIPHER`.
#[derive(Clone, Copy)]
pub struct Log {
    /// Of the program.
    pub pid: u32,
    /// The long form.
    pub cipher: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            all_facts: false,
            demand: Demand::Nothing,
            handshake: Duration::from_secs(26),
            idle: Duration::from_secs(3600),
            log: None,
            quiet: false,
            what: "connection",
            serves_others: false,
        }
    }
}

impl Options {
    /// Takes one of [`LETTERS`].
    pub fn set(&mut self, letter: u8, opts: &Opts) -> Result<()> {
        let seconds = || {
            let seconds = decimal(opts.argument().as_bytes()).ok_or_else(|| opts.bad_usage());
            seconds.map(Duration::from_secs)
        };
        match letter {
            b's' => self.all_facts = true,
            b'S' => self.all_facts = false,
            b'm' => self.demand = Demand::Good,
            b'z' => self.demand = Demand::Named,
            b'Z' => self.demand = Demand::Nothing,
            b'T' => self.handshake = seconds()?,
            _ => self.idle = seconds()?,
        }
        Ok(())
    }
}

/// The environment of the program: without settings, and without what somebody else's server has
/// said of its connection.
pub fn clean(env: &mut Env) {
    let names: Vec<OsString> = env.names().map(OsStr::to_owned).collect();
    for name in names {
        let bytes = name.as_bytes();
        let named = [&b"CERTFILE:"[..], b"KEYFILE:"].iter().any(|start| bytes.starts_with(start));
        if named || is_fact(bytes) || SETTINGS.iter().any(|setting| *setting == name) {
            env.unset(name);
        }
    }
}

/// A server for one connection, with all that it needs of files. It holds the private key, so no
/// program may run in its process.
pub struct Server {
    options: Options,
    config: Arc<ServerConfig>,
    certificates: Arc<Certificates>,
    check: Option<Arc<Check>>,
}

impl Server {
    /// Reads what the environment names, as whoever this process is, and then becomes whom
    /// $TLS_UID and the others name.
    pub fn prepare(env: &Env, options: Options) -> Result<Self> {
        memory::keep_secret().unable("protect memory")?;
        signal::ignore(signal::PIPE).unable("ignore SIGPIPE")?;
        let provider = provider(env.get("CIPHERS"));
        let certificates = Arc::new(Certificates::open(env, provider.clone())?);
        let check = Check::read(env, options.demand, &provider)?.map(Arc::new);
        let tickets = tickets(env)?;
        become_nobody(env)?;

        let builder = ServerConfig::builder_with_provider(provider);
        let builder = builder
            .with_safe_default_protocol_versions()
            .map_err(|why| Die::later(format_args!("unable to set up TLS: {why}")))?;
        let builder = match &check {
            None => builder.with_no_client_auth(),
            Some(check) => builder.with_client_cert_verifier(check.clone()),
        };
        let mut config = builder.with_cert_resolver(certificates.clone());
        // No other process would find the sessions that this one keeps.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        // Whoever must show a certificate shows it every time.
        if let (Some(tickets), None) = (tickets, &check) {
            config.ticketer = Arc::new(tickets);
            config.send_tls13_tickets = 1;
        }
        Ok(Server { options, config: Arc::new(config), certificates, check })
    }

    /// Serves a connection from its first byte to its last. When the handshake is done, says on
    /// `control` what there is to say of it, and closes that. Whoever listens there must not hear
    /// of a failure before the log does: then it stays open.
    pub fn serve(
        self,
        mut wire: Ends,
        plain: Ends,
        control: &mut Option<OwnedFd>,
        told: Told,
    ) -> Result<()> {
        let tls = ServerConnection::new(self.config.clone())
            .map_err(|why| Die::later(format_args!("unable to set up TLS: {why}")))?;
        let mut tls = Connection::from(tls);
        let shaken = pump::handshake(&mut tls, &mut wire, self.options.handshake);
        shaken.map_err(|why| self.dropped("accept", &why))?;
        let facts = self.facts(&tls);
        self.log(&facts);
        if let (Told::Everything, Some(control)) = (told, &*control) {
            control::tell(control, &facts, self.options.handshake)
                .map_err(|why| self.dropped("accept", &Broken::Io(why)))?;
        }
        *control = None;
        pump::pump(tls, wire, plain, self.options.idle).map_err(|why| self.dropped("speak", &why))
    }

    /// As [`Server::serve`], once the program says so on `control`. The program is told when
    /// everything is ready for that.
    pub fn serve_when_told(
        self,
        wire: Ends,
        plain: Ends,
        control: &mut Option<OwnedFd>,
    ) -> Result<()> {
        let Some(asked) = &*control else { return Ok(()) };
        control::say_ready(asked).unable("write")?;
        match control::wait(asked).unable("read")? {
            None => Ok(()),
            Some(told) => self.serve(wire, plain, control, told),
        }
    }

    /// `warning: dropping connection, unable to accept TLS: WHY`, 111.
    fn dropped(&self, what: &str, why: &Broken) -> Die {
        let (_, trouble) = self.certificates.outcome();
        let why = match trouble {
            Some(trouble) => format!("unable to {trouble}"),
            None => why.to_string(),
        };
        let dropped = self.options.what;
        let text = format!("warning: dropping {dropped}, unable to {what} TLS: {why}");
        Die { code: Code::TEMP.0, text }
    }

    fn log(&self, facts: &Facts) {
        let Some(Log { pid, cipher }) = self.options.log else { return };
        let [version, name] =
            ["SSL_PROTOCOL", "SSL_CIPHER"].map(|fact| facts.get(fact).unwrap_or_default());
        let more = if cipher { format!(" {version}:{name}") } else { String::new() };
        say::line(format_args!("ssl {pid} accept{more}"));
    }

    fn facts(&self, tls: &Connection) -> Facts {
        let mut facts = Facts::default();
        let asked = match tls {
            Connection::Server(tls) => tls.server_name(),
            Connection::Client(_) => None,
        };
        facts.add_connection(tls, asked);
        let all = self.options.all_facts;
        if all {
            facts.add_details(tls);
            if let (Some(shown), _) = self.certificates.outcome() {
                facts.add_chain("SERVER", &shown.cert);
            }
        }
        let flaw = self.check.as_ref().and_then(|check| check.flaw());
        let (chain, verified) = match (tls.peer_certificates(), flaw) {
            (None, _) => (&[][..], Verified::Nothing),
            (Some(chain), None) => (chain, Verified::Good),
            (Some(chain), Some(flaw)) => (chain, Verified::Bad(flaw)),
        };
        facts.add_client(chain, &verified, all);
        facts
    }
}

/// What the program wants to know when the handshake is done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Told {
    /// Nothing.
    Nothing,
    /// The variables.
    Everything,
}

/// The keys of $TLSTICKETKEY, if they are fresh. Without such a file there are no tickets.
fn tickets(env: &Env) -> Result<Option<Tickets>> {
    let Some(path) = env.get("TLSTICKETKEY") else { return Ok(None) };
    let path = Path::new(OsStr::from_bytes(path));
    match File::open(path).and_then(Tickets::read) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(why) if why.kind() == io::ErrorKind::InvalidData => {
            Err(unreadable(path, &Unusable::Unfit("not 80 bytes".into())))
        }
        Err(why) => Err(unreadable(path, &Unusable::Unread(why))),
        Ok(tickets) => Ok(tickets),
    }
}

/// Goes to $SSL_CHROOT and becomes $TLS_GID and $TLS_UID (or $SSL_GID and $SSL_UID).
fn become_nobody(env: &Env) -> Result<()> {
    let number = |names: [&'static str; 2]| {
        let found = names.into_iter().find_map(|name| Some((name, env.get(name)?)));
        let read = |(name, text)| {
            let number = decimal(text).and_then(|number| u32::try_from(number).ok());
            number.ok_or_else(|| Die::later(format_args!("bad {name}")))
        };
        found.map(read).transpose()
    };
    let (uid, gid) = (number(["TLS_UID", "SSL_UID"])?, number(["TLS_GID", "SSL_GID"])?);
    if let Some(path) = env.get("SSL_CHROOT") {
        let path = PathBuf::from(OsStr::from_bytes(path));
        let what = format!("change root to {}", path.display());
        folder::become_root(&path).unable(what)?;
    }
    // Whoever is that user already has nothing to drop.
    let now = (ids::effective_uid(), ids::effective_gid());
    if uid.unwrap_or(now.0) == now.0 && gid.unwrap_or(now.1) == now.1 && now.0 != 0 {
        return Ok(());
    }
    if let Some(gid) = gid {
        ids::set_groups(&[gid]).and_then(|()| ids::set_gid(gid)).unable("set gid")?;
    }
    if let Some(uid) = uid {
        if gid.is_none() {
            ids::set_groups(&[]).unable("set groups")?;
        }
        ids::become_uid(uid).unable("set uid")?;
    }
    Ok(())
}

impl Options {
    /// Ends a process that served a connection: its last words and its code.
    pub fn end(&self, served: Result<()>) -> u8 {
        let Err(Die { code, text }) = served else { return Code::DONE.0 };
        match text.strip_prefix("fatal: ") {
            _ if self.quiet || text.is_empty() => {}
            Some(why) if self.serves_others => {
                say::line(format_args!("warning: dropping {}, {why}", self.what));
            }
            _ => say::line(&text),
        }
        code
    }
}
