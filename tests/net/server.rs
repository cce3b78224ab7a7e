//! A tcpserver under test, and its visitors.

use base::sys::socket;
use std::io::Read;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::process::Command;
use tests::{LIMIT, Running, Scratch, fed, program, ran, scratch, shown, start, start_on, until};

/// A server that has printed its port.
pub struct Server {
    pub running: Running,
    pub port: u16,
}

/// `tcpserver -1 WORDS`, where the words are options, host, port 0 and program.
#[track_caller]
pub fn server(words: &[&str]) -> Server {
    ready(program("tcpserver").arg("-1").args(words))
}

/// A server on 127.0.0.1 that looks nothing up and logs: `tcpserver -1vRHl0 OPTIONS 127.0.0.1 0
/// PROGRAM`.
#[track_caller]
pub fn plain(options: &[&str], words: &[&str]) -> Server {
    server(&[&["-vRHl0"], options, &["127.0.0.1", "0"], words].concat())
}

/// Starts a command that becomes `tcpserver -1`, and waits for its port.
#[track_caller]
pub fn ready(command: &mut Command) -> Server {
    let running = start(command);
    let port = running.wait_out("\n").trim().parse().unwrap();
    Server { running, port }
}

impl Server {
    /// Connects from 127.0.0.1 and gives all that the server says.
    #[track_caller]
    pub fn says(&self) -> String {
        self.says_to("127.0.0.1")
    }

    /// Connects from this address to the same, and gives all that the server says.
    #[track_caller]
    pub fn says_to(&self, ip: &str) -> String {
        all(self.visit(ip))
    }

    /// Connects from this loopback address.
    #[track_caller]
    pub fn visit(&self, from: &str) -> TcpStream {
        let from: IpAddr = from.parse().unwrap();
        let home: IpAddr = if from.is_ipv4() { [127, 0, 0, 1].into() } else { from };
        visit(from, (home, self.port).into())
    }

    /// The log when so many visits have ended, with PID, PORT and VISITOR for the numbers that
    /// are never the same.
    #[track_caller]
    pub fn log(&self, visits: usize) -> String {
        let mut log = String::new();
        until(LIMIT, &format!("the end of {visits} visits in the log"), || {
            log = self.running.err();
            let last_end = log.match_indices("tcpserver: end ").nth(visits - 1);
            let after = last_end.map_or("", |(at, _)| &log[at..]);
            after.contains("\ntcpserver: status: ") && after.ends_with('\n')
        });
        log.lines().map(|line| self.constant(line) + "\n").collect()
    }

    fn constant(&self, line: &str) -> String {
        let line = line.trim_start_matches("tcpserver: ");
        match line.splitn(4, ' ').collect::<Vec<_>>()[..] {
            [word @ ("ok" | "deny"), _, local, remote] => {
                let local = local.replace(&format!(":{}", self.port), ":PORT");
                let (remote, limit) = remote.split_once(' ').unwrap_or((remote, ""));
                let (remote, _) = remote.rsplit_once(':').unwrap();
                format!("{word} PID {local} {remote}:VISITOR {limit}").trim_end().into()
            }
            [word @ ("pid" | "end"), _, from, what] => format!("{word} PID {from} {what}"),
            _ => line.into(),
        }
    }
}

/// Connects from one address to another, with a limit for reads.
#[track_caller]
pub fn visit(from: IpAddr, to: SocketAddr) -> TcpStream {
    let socket = socket::stream(&to).unwrap();
    socket::bind(socket.as_fd(), &(from, 0).into()).unwrap();
    socket::connect(socket.as_fd(), &to).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

/// All that comes on a connection.
#[track_caller]
pub fn all(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    shown(&bytes)
}

/// Compiles rules into `rules.cdb` of a scratch folder.
#[track_caller]
pub fn compile(place: &Scratch, rules: &str) {
    let mut tcprules = program("tcprules");
    tcprules.args(["rules.cdb", "rules.tmp"]).current_dir(place.path());
    assert_eq!(ran(&fed(&mut tcprules, rules)), (Some(0), String::new(), String::new()));
}

/// A scratch folder with rules, and the name of the compiled file.
#[track_caller]
pub fn rules(rules: &str) -> (Scratch, String) {
    let place = scratch();
    compile(&place, rules);
    let file = place.join("rules.cdb").display().to_string();
    (place, file)
}

/// The log of one visit that ends with this line and status.
pub fn one_visit(line: &str, status: u32) -> String {
    format!(
        "status: 0/40\nstatus: 1/40\npid PID from 127.0.0.1\n{line}\nend PID status {status}\n\
         status: 0/40\n"
    )
}

/// A connection from an address to itself, as inetd hands it over: the visitor's end, and the
/// program under test on the other.
pub fn inetd(ip: &str, command: &mut Command) -> (TcpStream, Running) {
    let listener = TcpListener::bind((ip, 0)).unwrap();
    let ip: IpAddr = ip.parse().unwrap();
    let visitor = visit(ip, listener.local_addr().unwrap());
    let (stream, _) = listener.accept().unwrap();
    (visitor, start_on(OwnedFd::from(stream), command))
}
