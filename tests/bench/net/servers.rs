//! The servers that are compared, and one run of each.

use crate::load::visits;
use nix::sys::resource::{UsageWho, getrusage};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{env, fs};
use tests::{LIMIT, Scratch, bin, free_port, until};

/// A server and how it is started.
pub struct Server {
    /// As tables have it.
    pub name: &'static str,
    pub program: PathBuf,
    /// PORT, CHILD, CROWD and FILE are replaced.
    pub words: String,
    /// What FILE holds, if it is wanted.
    pub file: &'static str,
    /// Its variables, besides PATH.
    pub environment: Vec<(String, String)>,
}

/// Name, program, words, file.
const SERVERS: [(&str, &str, &str, &str); 5] = [
    ("ucspi-tcp", "tcpserver", TCPSERVER, ""),
    ("tcpsvd", "tcpsvd", "-l 0 -c CROWD -b CROWD 127.0.0.1 PORT CHILD", ""),
    ("s6", "s6-tcpserver", "-c CROWD -b CROWD 127.0.0.1 PORT CHILD", ""),
    (
        "inetd",
        "inetd",
        "-i -R 100000000 FILE",
        "127.0.0.1:PORT stream tcp nowait root CHILD child\n",
    ),
    (
        "xinetd",
        "xinetd",
        "-dontfork -f FILE",
        "service bench\n{\ntype = UNLISTED\nport = PORT\nbind = 127.0.0.1\nsocket_type = stream\n\
         protocol = tcp\nwait = no\nuser = root\nserver = CHILD\ninstances = UNLIMITED\n\
         cps = 1000000 1\n}\n",
    ),
];
const TCPSERVER: &str = "-qRHl0 -c CROWD -b CROWD 127.0.0.1 PORT CHILD";

/// Ours, and all others that are installed or unpacked.
pub fn servers() -> Vec<Server> {
    let ours = ("ours", bin("tcpserver"), TCPSERVER, "");
    let peers = SERVERS
        .into_iter()
        .filter_map(|(name, program, words, file)| Some((name, peer(program)?, words, file)));
    [ours]
        .into_iter()
        .chain(peers)
        .map(|(name, program, words, file)| Server {
            name,
            program,
            words: words.into(),
            file,
            environment: Vec::new(),
        })
        .collect()
}

/// A program that is not ours.
pub fn peer(name: &str) -> Option<PathBuf> {
    let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/oracles");
    let unpacked = env::var_os("PEERS").map_or(unpacked, PathBuf::from);
    let roots = [unpacked, PathBuf::from("/")].into_iter();
    let files = roots.flat_map(|root| ["usr/bin", "usr/sbin"].map(|bin| root.join(bin).join(name)));
    files.into_iter().find(|file| file.exists())
}

/// What one run has shown, or the medians of several.
#[derive(Clone, Copy)]
pub struct Run {
    /// Connections a second.
    pub rate: f64,
    /// From connect to close, of half of them and of all but one of a hundred.
    pub p50: Duration,
    pub p99: Duration,
    /// Of the server and its children, for each connection.
    pub cpu: Duration,
    /// In kilobytes, after the load: what belongs to no file and no other process.
    pub private: u64,
    /// Connections that the kernel had no place for.
    pub overflows: u64,
}

impl Run {
    /// Each number in the middle; all overflows.
    pub fn median(runs: &[Run]) -> Run {
        fn middle<T: PartialOrd + Copy>(runs: &[Run], number: impl Fn(&Run) -> T) -> T {
            let mut numbers: Vec<T> = runs.iter().map(number).collect();
            numbers.sort_by(|a, b| a.partial_cmp(b).unwrap());
            numbers[numbers.len() / 2]
        }
        Run {
            rate: middle(runs, |run| run.rate),
            p50: middle(runs, |run| run.p50),
            p99: middle(runs, |run| run.p99),
            cpu: middle(runs, |run| run.cpu),
            private: middle(runs, |run| run.private),
            overflows: runs.iter().map(|run| run.overflows).sum(),
        }
    }
}

/// A server at work.
pub struct Working {
    process: Child,
    to: SocketAddr,
}

impl Server {
    /// Starts it. `options` come before all others.
    pub fn start(&self, place: &Scratch, child: &str, options: &[&str]) -> Working {
        self.start_behind(Command::new(&self.program), place, child, options)
    }

    /// As [`Server::start`], behind another command.
    pub fn start_behind(
        &self,
        mut command: Command,
        place: &Scratch,
        child: &str,
        options: &[&str],
    ) -> Working {
        let port = free_port();
        let filled = |text: &str| {
            text.replace("PORT", &port.to_string()).replace("CHILD", child).replace("CROWD", "1000")
        };
        let file = place.join("server.conf").display().to_string();
        place.write("server.conf", filled(self.file));
        command.args(options).args(filled(&self.words).replace("FILE", &file).split(' '));
        command.env_clear().env("PATH", "/usr/bin:/bin").current_dir("/");
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let null = || Stdio::null();
        let process = command.stdin(null()).stdout(null()).stderr(null()).spawn().unwrap();
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        until(LIMIT, &format!("{} listens", self.name), || TcpStream::connect(to).is_ok());
        Working { process, to }
    }

    /// It keeps no crowd waiting well.
    pub fn inetd(&self) -> bool {
        self.name.ends_with("inetd")
    }

    /// One run: so many visits, so many of them at once.
    pub fn run(
        &self,
        place: &Scratch,
        child: &str,
        options: &[&str],
        crowd: (usize, usize),
    ) -> Run {
        let (count, at_once) = crowd;
        let (before, dropped) = (cpu_of_children(), overflows());
        let mut working = self.start(place, child, options);
        let met = visits(working.to, count, at_once);
        if met.empty > 0 {
            println!("{}: {} visitors were not served", self.name, met.empty);
        }
        let private = working.private();
        working.end();
        let cpu = (cpu_of_children() - before) / count as u32;
        Run {
            rate: count as f64 / met.took.as_secs_f64(),
            p50: met.percentile(50),
            p99: met.percentile(99),
            cpu,
            private,
            overflows: overflows() - dropped,
        }
    }
}

impl Working {
    /// Where it listens.
    pub fn to(&self) -> SocketAddr {
        self.to
    }

    /// Its memory that belongs to no file and to no other process, in kilobytes.
    fn private(&self) -> u64 {
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.process.id()));
        let rollup = rollup.unwrap_or_default();
        let anonymous = rollup.lines().find(|line| line.starts_with("Anonymous:"));
        anonymous.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
    }

    /// Ends it when its children have ended.
    pub fn end(&mut self) {
        let pid = self.process.id();
        let children = format!("/proc/{pid}/task/{pid}/children");
        until(LIMIT, "the end of all children", || {
            fs::read_to_string(&children).unwrap_or_default().is_empty()
        });
        self.kill();
    }

    fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.kill();
    }
}

/// User and system time of all children that have ended, and of theirs.
pub fn cpu_of_children() -> Duration {
    let used = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    let micros = |time: nix::sys::time::TimeVal| time.tv_sec() * 1_000_000 + time.tv_usec();
    Duration::from_micros((micros(used.user_time()) + micros(used.system_time())) as u64)
}

/// The kernel's count of connections that it had no place for.
fn overflows() -> u64 {
    let text = fs::read_to_string(Path::new("/proc/net/netstat")).unwrap_or_default();
    let mut lines = text.lines().filter(|line| line.starts_with("TcpExt: "));
    let (names, numbers) = (lines.next().unwrap_or(""), lines.next().unwrap_or(""));
    let at = names.split(' ').position(|name| name == "ListenOverflows");
    at.and_then(|at| numbers.split(' ').nth(at)?.parse().ok()).unwrap_or(0)
}

/// The runs of each server, all servers taking turns.
pub fn interleaved<R>(
    rounds: usize,
    servers: &[&Server],
    run: impl Fn(&Server) -> R,
) -> Vec<Vec<R>> {
    let mut runs: Vec<Vec<R>> = servers.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for (server, runs) in servers.iter().zip(&mut runs) {
            runs.push(run(server));
        }
    }
    runs
}
