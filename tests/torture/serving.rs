//! tcpserver and unixserver: whatever fails, whoever is denied is not let in, and whoever is allowed
//! is served with all that his rule says, or hung up on with a word in the log; the next one is
//! served.

use crate::sweep::{Case, sampled, sweep};
use crate::tamper::{Fault, Progress, Strike, held};
use base::sys::socket;
use nix::sys::signal::Signal;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::Mutex;
use tests::{LIMIT, Scratch, comes_true, fed, original, program, scratch};

const RULES: &str = "127.0.0.1:allow,GREETING=\"hello\"\n127.0.0.2:deny\n:allow\n";

/// What runs for a client, and is not swept.
const CHILD: [&str; 3] = ["/bin/sh", "-c", "read -r name; echo \"$GREETING $name\""];

const SERVED: &str = "hello you\n";

const ALLOWED: u8 = 1;
const DENIED: u8 = 2;

/// Of a child that is killed, nobody knows why.
const UNSAID: &str = "a client is not served, and nobody says why";

/// A server of TCP that starts a program for a client at once,
const TCP: usize = 0;
/// or that asks who he is, for which it starts a process first; or one of a Unix socket.
const TCP_ASKING: usize = 1;
const UNIX: usize = 2;

/// A server by its kind.
struct Server<const KIND: usize> {
    place: Scratch,
    /// Who has come in this run, and what each was told.
    visits: Mutex<Vec<(u8, String)>>,
}

impl<const KIND: usize> Server<KIND> {
    fn words(&self) -> Vec<&'static str> {
        let listen = match KIND {
            UNIX => vec!["unixserver", "socket"],
            _ => {
                let asks = if KIND == TCP_ASKING { "-r" } else { "-R" };
                let words = ["-1", "-H", asks, "-l", "0", "-x", "rules.cdb", "127.0.0.1", "0"];
                [&["tcpserver"], &words[..]].concat()
            }
        };
        [&listen[..], &CHILD].concat()
    }

    /// The address for whoever comes, once the server is there.
    fn address(&self, progress: &Progress) -> Option<u16> {
        let listens = || match KIND {
            UNIX => self.place.exists("socket") && progress.is_quiet(),
            _ => self.place.text("port").ends_with('\n'),
        };
        comes_true(LIMIT, || listens() || progress.is_over());
        match KIND {
            UNIX => Some(0),
            _ => self.place.text("port").trim_end().parse().ok(),
        }
    }

    fn connected(&self, from: u8, port: u16) -> io::Result<File> {
        if KIND == UNIX {
            let stream = UnixStream::connect(self.place.join("socket"))?;
            stream.set_read_timeout(Some(LIMIT))?;
            return Ok(OwnedFd::from(stream).into());
        }
        let to = (Ipv4Addr::LOCALHOST, port).into();
        let socket = socket::stream(&to)?;
        socket::bind(socket.as_fd(), &(Ipv4Addr::new(127, 0, 0, from), 0).into())?;
        socket::connect(socket.as_fd(), &to)?;
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(LIMIT))?;
        Ok(OwnedFd::from(stream).into())
    }

    /// Somebody comes, and all that was begun for him is over.
    fn visit(&self, from: u8, port: u16, progress: &Progress) {
        let mut told = Vec::new();
        if !progress.is_over()
            && let Ok(mut stream) = self.connected(from, port)
        {
            let _ = stream.write_all(b"you\n");
            let _ = stream.read_to_end(&mut told);
        }
        self.visits.lock().unwrap().push((from, String::from_utf8_lossy(&told).into()));
        comes_true(LIMIT, || progress.is_quiet() || progress.is_over());
    }

    /// What those were told who may come in.
    fn allowed(&self) -> Vec<String> {
        let visits = self.visits.lock().unwrap();
        let allowed = visits.iter().filter(|(from, _)| *from == ALLOWED);
        allowed.map(|(_, told)| told.clone()).collect()
    }
}

impl<const KIND: usize> Case for Server<KIND> {
    /// It waits for a moment after a failure, and we for the end of each visit.
    const AT_ONCE: usize = 8;
    const LEAVE: bool = true;

    fn new() -> Self {
        let place = scratch();
        let mut compile = program("tcprules");
        compile.args(["rules.cdb", "rules.tmp"]).current_dir(place.path());
        assert!(fed(&mut compile, RULES).status.success());
        Server { place, visits: Mutex::default() }
    }

    fn renew(&self) {
        self.visits.lock().unwrap().clear();
        let _ = fs::remove_file(self.place.join("socket"));
    }

    fn command(&self) -> Command {
        let words = self.words();
        let mut server = program(words[0]);
        server.args(&words[1..]).current_dir(self.place.path());
        if KIND == UNIX {
            server.env("GREETING", "hello");
        }
        let mut command = held(&server);
        command.stdout(File::create(self.place.join("port")).unwrap());
        command.stderr(File::create(self.place.join("log")).unwrap());
        command
    }

    fn accompany(&self, progress: &Progress) {
        if let Some(port) = self.address(progress) {
            let middle = if KIND == UNIX { ALLOWED } else { DENIED };
            for from in [ALLOWED, middle, ALLOWED] {
                self.visit(from, port, progress);
            }
            if progress.is_struck() {
                self.visit(ALLOWED, port, progress);
            }
        }
        progress.signal(Signal::SIGTERM);
    }

    fn is_done(&self, code: Option<i32>) -> bool {
        let allowed = self.allowed();
        code == Some(0) && allowed.len() > 1 && allowed.iter().all(|told| told == SERVED)
    }

    fn excused(strike: &Strike, why: &str) -> bool {
        why == UNSAID && strike.fault == Fault::Kill
    }

    fn check(&self, code: Option<i32>) -> Result<(), String> {
        let visits = self.visits.lock().unwrap().clone();
        if visits.iter().any(|(from, told)| *from == DENIED && !told.is_empty()) {
            return Err("whoever is denied is served".into());
        }
        let (allowed, log) = (self.allowed(), self.place.text("log"));
        if let Some(part) = allowed.iter().find(|told| !told.is_empty() && *told != SERVED) {
            return Err(format!("somebody is told {part:?}"));
        }
        let unserved = allowed.iter().filter(|told| told.is_empty()).count();
        let failed = if KIND == UNIX { 1 } else { 111 };
        match code {
            // 127 is a start that the C library gives up
            None | Some(127) => Ok(()),
            Some(0) if unserved > 1 => Err(format!("it serves nobody any more: {log}")),
            Some(0) if unserved == 1 && !log.contains("server: ") => Err(UNSAID.into()),
            Some(0) => Ok(()),
            Some(code) if code != failed => Err(format!("no temporary failure: {code}")),
            Some(_) if unserved == allowed.len() && log.contains("fatal: ") => Ok(()),
            Some(_) => Err(format!("it has died: {log}")),
        }
    }
}

#[test]
fn clients_are_served_whole_or_not_at_all() {
    sampled::<Server<TCP>>("tcpserver", 2);
}

#[test]
fn clients_who_are_asked_about_are_served_whole_or_not_at_all() {
    sampled::<Server<TCP_ASKING>>("tcpserver -r", 2);
}

#[test]
fn neighbours_are_served_whole_or_not_at_all() {
    sampled::<Server<UNIX>>("unixserver", 2);
}

#[test]
#[ignore = "torture"]
fn clients_are_served_whole_or_not_at_all_whatever_fails() {
    sweep::<Server<TCP>>("tcpserver");
    sweep::<Server<TCP_ASKING>>("tcpserver -r");
    if !original() {
        sweep::<Server<UNIX>>("unixserver");
    }
}
