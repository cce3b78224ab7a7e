//! What sslserver does for a visitor that may come in: tlsd inside tcpserver.

use super::child;
use super::server::{self, Log, Options, Server};
use crate::server_options::become_user;
use crate::visit::{Provider, Service};
use base::env::Env;
use base::sys::{exec, fd, fork, signal, wait};
use base::{Die, Result, Unable};
use std::convert::Infallible;
use std::os::fd::BorrowedFd;

/// How TLS is spoken.
#[derive(Default)]
pub struct Tls {
    /// As for tlsd.
    pub options: Options,
    /// -n: it begins when the program says so.
    pub delayed: bool,
    /// -e: the variables of TCP are set too.
    pub tcp_names: bool,
    /// -V: the log tells the cipher.
    pub shows_cipher: bool,
    /// -u, -g: who each program becomes.
    user: (Option<u32>, Option<u32>),
}

impl Provider for Tls {
    fn delayed(&self) -> bool {
        self.delayed
    }

    fn tcp_names(&self) -> bool {
        self.tcp_names
    }

    fn settle(&mut self, user: (Option<u32>, Option<u32>), quiet: bool) {
        self.user = user;
        self.options.quiet = quiet;
    }

    /// Whether the certificates that the server's own environment names can be used, as far as it
    /// names any. No other process of the server ever holds a key but those that serve.
    fn check(&self, env: &Env) -> Result<()> {
        if env.get("CERTFILE").or(env.get("CERTCHAINFILE")).is_none() {
            return Ok(());
        }
        let options = self.options;
        let checked =
            fork::child(|| options.end(Server::prepare(env, options).map(drop))).unable("fork")?;
        match wait::child(checked).unable("wait for child")?.code() {
            Some(0) => Ok(()),
            _ => Err(Die::silent(111)),
        }
    }

    fn become_program(
        &self,
        stream: BorrowedFd,
        service: &Service,
        mut env: Env,
    ) -> Result<Infallible> {
        let log = Log { pid: std::process::id(), cipher: self.shows_cipher };
        let options = Options {
            log: service.log.then_some(log),
            what: "SSL connection",
            serves_others: true,
            ..self.options
        };
        let link = child::start_on(stream, stream, &env, options, self.delayed)?;
        server::clean(&mut env);
        if self.delayed {
            let both = fd::copy_to(stream, 0).and_then(|()| fd::copy_to(stream, 1));
            both.unable("set up descriptors")?;
            link.promise(&mut env)?;
        } else {
            link.become_standard(&mut env)?;
            fd::write_all(fd::STDOUT, &service.banner).unable("print banner")?;
        }
        become_user(self.user)?;
        signal::default(signal::PIPE)
            .and_then(|()| exec::exec_with(&service.program, &env))
            .unable(service.run_it())
    }
}
