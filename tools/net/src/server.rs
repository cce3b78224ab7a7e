//! A server at work: it accepts connections and has a child serve each of them.
//!
//! Where a visitor can be judged at once, that is done here, and the child is only started to
//! become the program. Everything else is done by the child, so that nobody else has to wait.

use crate::limits::{Counts, Limits, Place, Tally};
use crate::visit::Service;
use base::sys::clone::{Errand, Launcher};
use base::sys::exec::Environment;
use base::sys::pending::Pending;
use base::sys::poll::{Wait, poll};
use base::sys::{clock, fork, wait};
use base::{Code, Result, Unable, errno, say};
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

/// How long nothing is accepted when the system has no room for a connection.
const PAUSE: Duration = Duration::from_millis(100);
/// That is said no more often than this.
const QUIET: Duration = Duration::from_secs(60);

/// A server.
pub struct Server {
    /// 0: nothing is said, 1: errors, 2: the log too.
    verbosity: u8,
    /// Children at most.
    limit: usize,
    service: Service,
    listener: TcpListener,
    /// SIGCHLD.
    signals: Pending,
    tally: Tally,
    /// Where visitors are judged at once.
    launcher: Option<Launcher>,
    /// When it was last said that nothing can be accepted.
    complained: Option<Instant>,
}

impl Server {
    /// Everything that can fail for good has been done: the listener does not wait, SIGPIPE is
    /// blocked.
    pub fn new(
        verbosity: u8,
        limit: usize,
        service: Service,
        listener: TcpListener,
        signals: Pending,
    ) -> Result<Self> {
        let launcher = match service.judges_at_once() {
            true => {
                let unable = (verbosity > 0).then(|| service.unable());
                Some(Launcher::new(&service.program, unable).unable("start program")?)
            }
            false => None,
        };
        let tally = Tally::new(Instant::now());
        let complained = None;
        Ok(Server { verbosity, limit, service, listener, signals, tally, launcher, complained })
    }

    /// Serves until a signal ends it.
    pub fn run(&mut self) -> Result<Code> {
        self.status(0);
        let (mut pause, mut alone) = (None, false);
        loop {
            let open = self.tally.children() < self.limit && pause.is_none();
            let mut waits = [Wait::read(self.signals.fd()), Wait::read(self.listener.as_fd())];
            let watched = if open { 2 } else { 1 };
            if let Err(why) = poll(&mut waits[..watched], pause) {
                clock::pause(self.failed("poll", &why));
                continue;
            }
            let [child, connection] = waits.map(|wait| wait.ready);
            pause = None;
            if child {
                self.children_died();
            }
            if connection {
                pause = self.connections_came(alone);
            }
            alone = connection && !child;
        }
    }

    /// Collects all children that have ended, and asks for no more than there are.
    fn children_died(&mut self) {
        drop(self.signals.take());
        while let Some((pid, status)) = wait::any() {
            if self.verbosity > 1 {
                say::line(format_args!("end {pid} status {}", status.0));
            }
            self.tally.ended(pid);
            self.status(self.tally.children());
            if self.tally.children() == 0 {
                return;
            }
        }
    }

    /// Accepts a connection, or all that wait, up to the limit: where they come one by one, asking
    /// for another is in vain. Gives a time to pause, if the system has no room for more.
    fn connections_came(&mut self, all: bool) -> Option<Duration> {
        while self.tally.children() < self.limit {
            match self.listener.accept() {
                Ok((stream, remote)) => {
                    let pause = self.connection_came(stream, remote);
                    if pause.is_some() || !all {
                        return pause;
                    }
                }
                Err(why) => match why.kind() {
                    ErrorKind::WouldBlock => return None,
                    ErrorKind::ConnectionAborted | ErrorKind::Interrupted => {}
                    _ => return Some(self.failed("accept", &why)),
                },
            }
        }
        None
    }

    /// Starts a child for a connection. It is served with the rules as they are now. Gives a time
    /// to pause, if the system has no room for a child.
    fn connection_came(&mut self, stream: TcpStream, remote: SocketAddr) -> Option<Duration> {
        let (came, from) = (Instant::now(), Place::of(remote.ip()));
        if self.service.limits_rates() {
            self.tally.came(came, from);
        }
        self.status(self.tally.children() + 1);
        if let Some(rules) = &mut self.service.rules {
            rules.refresh();
        }
        match self.child_for(stream, remote, came, from) {
            Ok(Some(pid)) => {
                self.tally.started(pid, from);
                None
            }
            Ok(None) => {
                self.status(self.tally.children());
                None
            }
            Err(why) => {
                self.say(&self.service.dropped("fork", &why).text);
                self.status(self.tally.children());
                Some(PAUSE)
            }
        }
    }

    /// Starts a child for a visitor, if one is needed: a refusal that nobody logs needs none.
    fn child_for(
        &mut self,
        stream: TcpStream,
        remote: SocketAddr,
        came: Instant,
        from: Place,
    ) -> io::Result<Option<wait::Pid>> {
        let count = |limits: &_| self.tally.counts(came, from, limits);
        if let Some(launcher) = &mut self.launcher
            && let Some((verdict, lines)) = self.service.prepare(&stream, remote, count)
        {
            if verdict.refused && lines.is_empty() {
                verdict.tell(&stream);
                return Ok(None);
            }
            let environment = (!verdict.refused).then(|| Environment::of(&verdict.env));
            let errand = Errand { lines, socket: stream.as_raw_fd(), environment };
            if let Some(pid) = launcher.start(errand)? {
                if verdict.refused {
                    verdict.tell(&stream);
                }
                return Ok(Some(pid));
            }
        }
        self.fork_for(&stream, remote, count).map(Some)
    }

    /// Starts a child that does everything itself.
    fn fork_for(
        &self,
        stream: &TcpStream,
        remote: SocketAddr,
        count: impl FnOnce(&Limits) -> Counts,
    ) -> io::Result<wait::Pid> {
        fork::child(|| {
            let Err(die) = self.service.serve(stream, remote, count);
            self.say(&die.text);
            die.code
        })
    }

    /// Says why nothing can be accepted, unless it has been said just before. Gives a time to pause.
    fn failed(&mut self, what: &str, why: &io::Error) -> Duration {
        if self.complained.is_none_or(|said| said.elapsed() > QUIET) {
            self.complained = Some(Instant::now());
            self.say(&format!("warning: unable to {what}: {}", errno::words(why)));
        }
        PAUSE
    }

    /// Logs how many children there are.
    fn status(&self, children: usize) {
        if self.verbosity > 1 {
            say::line(format_args!("status: {children}/{}", self.limit));
        }
    }

    /// Says what goes wrong, if it may.
    fn say(&self, text: &str) {
        if self.verbosity > 0 && !text.is_empty() {
            say::line(text);
        }
    }
}
