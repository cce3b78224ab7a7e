//! tcpaccess: apply compiled rules to a connection that is known by its environment or socket.
#![cfg_attr(not(test), no_main)]

use base::env::Env;
use base::opt::Opts;
use base::sys::{exec, fd};
use base::{Args, Code, Die, Result, Unable, say};
use net::connection::{self, Ends};
use net::host::Settings;
use net::rules_file::RulesFile;
use net::{address, names};
use rules::Peer;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

base::program!("tcpaccess", run);

const USAGE: &str = "tcpaccess [ -hHpPvX ] [ -l localname ] rules.cdb program";

fn run(words: Args) -> Result<Code> {
    let mut opts = Opts::new(words, "hHpPvXl:", USAGE);
    let mut options = Options::default();
    while let Some(letter) = opts.next()? {
        match letter {
            b'h' => options.look_up = true,
            b'H' => options.look_up = false,
            b'p' => (options.paranoid, options.look_up) = (true, true),
            b'P' => options.paranoid = false,
            b'v' => options.log = true,
            b'X' => options.may_be_missing = true,
            _ => options.local_host = Some(opts.argument().to_owned()),
        }
    }
    let usage = opts.bad_usage();
    let words = opts.rest();
    let [file, program @ ..] = &words[..] else { return Err(usage) };
    let [name, ..] = program else { return Err(usage) };

    let mut env = Env::inherited();
    connection::ask_socket(&mut env, fd::STDIN);
    options.find_names(&mut env);
    if options.denies(Path::new(file), &mut env)? {
        return Err(Die::silent(100));
    }
    match exec::exec_with(program, &env).unable(format_args!("run {}", name.display()))? {}
}

#[derive(Default)]
struct Options {
    /// -h: the remote host's name is looked up,
    look_up: bool,
    /// -p: and counts only if it leads back to the address.
    paranoid: bool,
    /// -v.
    log: bool,
    /// -X: without a rules file everybody may come in.
    may_be_missing: bool,
    /// -l: the name of our address.
    local_host: Option<OsString>,
}

impl Options {
    /// Sets the names that are given or to be looked up. What cannot be found out is removed.
    fn find_names(&self, env: &mut Env) {
        if let Some(name) = &self.local_host {
            set_host(env, "LOCALHOST", Some(name));
        }
        if self.look_up {
            let mut resolver = Settings::of(env).resolver();
            let find = if self.paranoid { names::proven } else { names::of };
            let ip = env.get("TCPREMOTEIP").and_then(|ip| address::parse(ip, 0));
            let name = ip.and_then(|ip| find(&mut resolver, ip.ip()).unwrap_or_default());
            set_host(env, "REMOTEHOST", name.as_deref().map(OsStr::from_bytes));
        }
    }

    /// Applies the rules: whether they deny the connection. If not, their variables are set.
    fn denies(&self, file: &Path, env: &mut Env) -> Result<bool> {
        let ip = env.get("TCPREMOTEIP").ok_or_else(|| Die::perm("TCPREMOTEIP is not set"))?;
        let mut rules = RulesFile::new(file, self.may_be_missing);
        rules.refresh();
        let (host, info) = (env.get("TCPREMOTEHOST"), env.get("TCPREMOTEINFO"));
        let rule = rules.lookup(&Peer { ip, host, info });
        let rule = rule.unable(format_args!("read {}", file.display()))?;
        let denied = rule.as_ref().is_some_and(|rule| rule.denied);
        if self.log {
            log(if denied { "deny" } else { "ok" }, env);
        }
        for (name, value) in rule.into_iter().flat_map(|rule| rule.set) {
            env.set(OsStr::from_bytes(&name), OsStr::from_bytes(&value));
        }
        Ok(denied)
    }
}

/// Sets or removes TCPLOCALHOST or TCPREMOTEHOST, and its like for IPv6.
fn set_host(env: &mut Env, end: &str, name: Option<&OsStr>) {
    let six = env.get("PROTO") == Some(b"TCP6");
    env.put(format!("TCP{end}"), name);
    env.put(format!("TCP6{end}"), name.filter(|_| six));
}

/// `tcpaccess: WORD PID LOCALHOST:LOCALIP:LOCALPORT REMOTEHOST:REMOTEIP:INFO:REMOTEPORT`.
fn log(word: &str, env: &Env) {
    let get = |name: &str| env.get(name).unwrap_or_default();
    let ends = Ends {
        local_host: get("TCPLOCALHOST"),
        local_ip: get("TCPLOCALIP"),
        local_port: get("TCPLOCALPORT"),
        remote_host: get("TCPREMOTEHOST"),
        remote_ip: get("TCPREMOTEIP"),
        info: get("TCPREMOTEINFO"),
        remote_port: get("TCPREMOTEPORT"),
    };
    let start = format!("{}: {word} {} ", say::program(), std::process::id());
    say::raw(&[start.as_bytes(), &ends.shown(), b"\n"].concat());
}
