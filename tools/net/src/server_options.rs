//! The options that servers of TCP connections have in common, and what servers do before they
//! serve.

use crate::host::{Family, Reading};
use crate::listen;
use crate::rules_file::RulesFile;
use crate::server::Server;
use crate::visit::Service;
use base::env::{self, Env};
use base::number::{decimal, digits};
use base::opt::Opts;
use base::sys::pending::Pending;
use base::sys::{fd, ids, signal};
use base::{Args, Code, Die, Result, Unable};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::time::Duration;

/// The letters of [`Options`].
pub const LETTERS: &str = "146dDvqQhHrRUXx:t:u:g:l:b:B:c:C:pPoOI:";

/// What the options say. Those that concern each connection are in `each`.
pub struct Options {
    /// -q 0: nothing is said, -Q 1: errors, -v 2: the log too.
    verbosity: u8,
    /// -c: children at most.
    limit: usize,
    /// -b: connections that wait in the kernel at most.
    backlog: i32,
    /// -1: the port is printed.
    announce: bool,
    /// -4.
    family: Family,
    /// -I.
    interface: Option<OsString>,
    /// -u, -U.
    user: Option<Who>,
    /// -g, -U.
    group: Option<Who>,
    /// -x.
    rules: Option<PathBuf>,
    /// -X.
    rules_may_be_missing: bool,
    /// What is done for each visitor.
    pub each: Service,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            verbosity: 1,
            limit: 40,
            backlog: 1024,
            announce: false,
            family: Family::Both,
            interface: None,
            user: None,
            group: None,
            rules: None,
            rules_may_be_missing: false,
            each: Service::new(Env::empty()),
        }
    }
}

impl Options {
    /// Serves, with the words after the options: host, port, program. `usage` are the last words if
    /// there are too few. All last words are silent if errors are.
    pub fn run(self, words: Args, usage: Die) -> Result<Code> {
        let quiet = self.verbosity == 0;
        self.serve(words, usage).map_err(|die| if quiet { Die::silent(die.code) } else { die })
    }

    /// Gets everything ready that can fail for good, then drops privileges, then serves.
    fn serve(mut self, words: Args, usage: Die) -> Result<Code> {
        let [host, port, program @ ..] = &words[..] else { return Err(usage) };
        if program.is_empty() {
            return Err(usage);
        }
        fd::fill_standard().unable("open /dev/null")?;
        signal::unblock_all().unable("unblock signals")?;
        signal::default(signal::PIPE)
            .and_then(|()| signal::block(signal::PIPE))
            .unable("block SIGPIPE")?;
        signal::exit_on(signal::TERM, 0).unable("catch SIGTERM")?;
        let mut env = Env::inherited();
        let reading =
            Reading { family: self.family, interface: self.interface.as_deref(), env: &env };
        let place = listen::place(host, port, &reading)?;
        if matches!(place, listen::Place::Inherited(_)) {
            env.unset("LISTEN_PID").unset("LISTEN_FDS").unset("LISTEN_FDNAMES");
        }
        signal::default(signal::CHILD).unable("catch SIGCHLD")?;
        if let Some(tls) = &self.each.tls {
            tls.check(&env)?;
        }
        let signals = Pending::hold(&[signal::CHILD]).unable("catch SIGCHLD")?;
        let user = self.user()?;
        let listener = listen::listen(place, self.backlog)?;
        match &mut self.each.tls {
            None => become_user(user)?,
            // Certificates are read for each visitor, and perhaps by nobody but root.
            Some(tls) => tls.settle(user, self.verbosity == 0),
        }
        let at = listener.local_addr().unable("get local address")?;
        self.each.at = (!at.ip().is_unspecified()).then_some(at);
        if self.announce {
            let port = at.port();
            fd::write_all(fd::STDOUT, format!("{port}\n").as_bytes()).unable("print port")?;
        }
        // They are let go, but stay open, so that no connection takes their numbers.
        fd::copy_to(fd::STDERR, 0)
            .and_then(|()| fd::copy_to(fd::STDERR, 1))
            .unable("close input")?;
        let (verbosity, limit) = (self.verbosity, self.limit);
        let service = self.service(env, program.to_vec());
        Server::new(verbosity, limit, service, listener, signals)?.run()
    }

    /// Takes one letter.
    pub fn set(&mut self, letter: u8, opts: &Opts) -> Result<()> {
        let argument = || opts.argument().to_owned();
        match letter {
            b'q' => self.verbosity = 0,
            b'Q' => self.verbosity = 1,
            b'v' => self.verbosity = 2,
            b'c' => self.limit = number(opts, 1)?,
            b'C' => (self.each.from_place, self.each.refusal) = limit_and_text(opts)?,
            b'x' => self.rules = Some(argument().into()),
            b'X' => self.rules_may_be_missing = true,
            b'B' => self.each.banner = argument().into_vec(),
            b'g' => self.group = Some(Who::read(opts.argument(), opts)?),
            b'u' => self.user = Some(Who::read(opts.argument(), opts)?),
            b'U' => {
                if let Some(uid) = env::get("UID") {
                    self.user = Some(Who::read(OsStr::from_bytes(&uid), opts)?);
                }
                if let Some(gid) = env::get("GID") {
                    self.group = Some(Who::read(OsStr::from_bytes(&gid), opts)?);
                }
            }
            b'1' => self.announce = true,
            b'b' => self.backlog = number(opts, 0)?,
            b'o' => self.each.kill_options = false,
            b'O' => self.each.kill_options = true,
            b'd' => self.each.no_delay = false,
            b'D' => self.each.no_delay = true,
            b'h' => self.each.inquiry.remote_host = true,
            b'H' => self.each.inquiry.remote_host = false,
            b'p' => self.each.inquiry.paranoid = true,
            b'P' => self.each.inquiry.paranoid = false,
            b'l' => self.each.inquiry.local_host = Some(argument().into_vec()),
            b'r' => self.each.inquiry.info = true,
            b'R' => self.each.inquiry.info = false,
            b't' => self.each.inquiry.limit = Duration::from_secs(number(opts, 0)?),
            b'4' => self.family = Family::V4,
            b'6' => self.each.mapped = true,
            _ => self.interface = Some(argument()),
        }
        Ok(())
    }

    /// What is done for each connection.
    fn service(self, env: Env, program: Args) -> Service {
        Service {
            log: self.verbosity > 1,
            rules: self.rules.map(|path| RulesFile::new(&path, self.rules_may_be_missing)),
            env,
            program,
            ..self.each
        }
    }

    /// The numbers of the user and group to become: an account brings its group, unless another
    /// is given. `None` is no change, as 0 is.
    fn user(&self) -> Result<(Option<u32>, Option<u32>)> {
        let unable = "read users";
        let (uid, own_gid) = match &self.user {
            None => (0, 0),
            Some(Who::Number(uid)) => (*uid, 0),
            Some(Who::Name(name)) => ids::account(name.as_bytes())
                .unable(unable)?
                .map(|account| (account.uid, account.gid))
                .ok_or_else(|| Die::later(format_args!("unknown user {}", name.display())))?,
        };
        let gid = match &self.group {
            None => own_gid,
            Some(Who::Number(gid)) => *gid,
            Some(Who::Name(name)) => ids::group(name.as_bytes())
                .unable(unable)?
                .ok_or_else(|| Die::later(format_args!("unknown group {}", name.display())))?,
        };
        Ok((Some(uid).filter(|uid| *uid != 0), Some(gid).filter(|gid| *gid != 0)))
    }
}

/// Groups, gid, uid; `None` stays as it is.
pub fn become_user((uid, gid): (Option<u32>, Option<u32>)) -> Result<()> {
    if let Some(gid) = gid {
        ids::set_groups(&[gid]).and_then(|()| ids::set_gid(gid)).unable("set gid")?;
    }
    if let Some(uid) = uid {
        ids::become_uid(uid).unable("set uid")?;
    }
    Ok(())
}

/// A user or group.
enum Who {
    Number(u32),
    Name(OsString),
}

impl Who {
    /// What starts with a digit must be a number.
    fn read(text: &OsStr, opts: &Opts) -> Result<Self> {
        match text.as_bytes() {
            [] => Err(opts.bad_usage()),
            digits @ [b'0'..=b'9', ..] => {
                let number = decimal(digits).and_then(|number| number.try_into().ok());
                number.map(Who::Number).ok_or_else(|| opts.bad_usage())
            }
            _ => Ok(Who::Name(text.to_owned())),
        }
    }
}

/// The argument as a number from `least` on.
fn number<N: TryFrom<u64>>(opts: &Opts, least: u64) -> Result<N> {
    let number = decimal(opts.argument().as_bytes()).filter(|number| *number >= least);
    number.and_then(|number| number.try_into().ok()).ok_or_else(|| opts.bad_usage())
}

/// `LIMIT` or `LIMIT:TEXT`.
fn limit_and_text(opts: &Opts) -> Result<(Option<u64>, Vec<u8>)> {
    match digits(opts.argument().as_bytes()) {
        Some((limit, [])) => Ok((Some(limit), Vec::new())),
        Some((limit, [b':', text @ ..])) => Ok((Some(limit), text.to_vec())),
        _ => Err(opts.bad_usage()),
    }
}
