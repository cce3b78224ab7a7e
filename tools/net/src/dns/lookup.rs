//! One lookup under way. It never waits: whoever drives it polls and tells it what has happened.

use super::message::{Answer, Meaning, Query};
use super::{DnsError, Result};
use base::sys::poll::Wait;
use base::sys::{random, socket};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// How long each server is waited for, round by round.
const ROUNDS: [Duration; 3] =
    [Duration::from_secs(3), Duration::from_secs(11), Duration::from_secs(45)];
/// How long a connection may take, and then the answer on it.
const TCP: Duration = Duration::from_secs(10);
/// An answer by UDP may be longer than what we ask for, but not longer than this.
const UDP_ROOM: usize = 4096;

/// A lookup: it asks one server after the other, round after round.
pub struct Lookup<'a> {
    query: Query,
    servers: &'a [SocketAddr],
    stage: Stage,
    /// When the server that is being asked has had its time.
    deadline: Instant,
    round: usize,
    /// The server that is being asked.
    server: usize,
    /// Servers that have said in this round that they cannot answer.
    failed: usize,
    /// Servers that are still to be asked by TCP, the present one included.
    tcp_left: usize,
    id: u16,
    edns: bool,
}

enum Stage {
    Udp(UdpSocket),
    /// A connection. Once it is made and the question sent: what has come so far, two bytes of
    /// length and the answer.
    Tcp(TcpStream, Option<Vec<u8>>),
    Ended(Result<Answer>),
}

impl<'a> Lookup<'a> {
    /// Asks the first server.
    pub fn start(query: Query, servers: &'a [SocketAddr]) -> Self {
        let mut lookup = Lookup {
            query,
            servers,
            stage: Stage::Ended(Err(DnsError::Failed(ErrorKind::NotConnected.into()))),
            deadline: Instant::now(),
            round: 0,
            server: 0,
            failed: 0,
            tcp_left: 0,
            id: 0,
            edns: true,
        };
        if let Err(why) = lookup.ask() {
            lookup.next_server(why);
        }
        lookup
    }

    /// What is waited for. `None` after the end.
    pub fn wait(&self) -> Option<Wait<'_>> {
        match &self.stage {
            Stage::Udp(socket) => Some(Wait::read(socket.as_fd())),
            Stage::Tcp(stream, None) => Some(Wait::write(stream.as_fd())),
            Stage::Tcp(stream, Some(_)) => Some(Wait::read(stream.as_fd())),
            Stage::Ended(_) => None,
        }
    }

    /// Until when it is waited for.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// The end; a lookup that has not come to one has timed out.
    pub fn result(self) -> Result<Answer> {
        match self.stage {
            Stage::Ended(result) => result,
            _ => Err(DnsError::Failed(ErrorKind::TimedOut.into())),
        }
    }

    /// What was waited for is there.
    pub fn ready(&mut self) {
        match &mut self.stage {
            Stage::Udp(_) => self.udp_ready(),
            Stage::Tcp(_, None) => self.connected(),
            Stage::Tcp(_, Some(_)) => self.tcp_ready(),
            Stage::Ended(_) => {}
        }
    }

    /// The time of the present server is over.
    pub fn time_up(&mut self) {
        let why = ErrorKind::TimedOut.into();
        match self.stage {
            Stage::Udp(_) => self.next_server(why),
            Stage::Tcp(..) => self.next_tcp(why),
            Stage::Ended(_) => {}
        }
    }

    /// Asks the present server, under a new id and from a new port.
    fn ask(&mut self) -> io::Result<()> {
        let server = self.servers.get(self.server).ok_or(ErrorKind::NotConnected)?;
        // Port 0: the system chooses one at random.
        let socket = match server {
            SocketAddr::V4(_) => UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?,
            SocketAddr::V6(_) => UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))?,
        };
        socket.set_nonblocking(true)?;
        // A connected socket takes packets from this server only.
        socket.connect(server)?;
        self.id = random::number() as u16;
        socket.send(&self.query.packet(self.id, self.edns))?;
        self.stage = Stage::Udp(socket);
        self.deadline = Instant::now() + ROUNDS[self.round];
        Ok(())
    }

    /// Asks the next server that can be asked. After the last one the next round begins, without
    /// EDNS, because something on the way may drop it. It all ends after the last round, or
    /// after the second if every server has said again that it cannot answer.
    fn next_server(&mut self, mut why: io::Error) {
        loop {
            self.server += 1;
            if self.server >= self.servers.len() {
                self.round += 1;
                let hopeless = self.round > 1 && self.failed == self.servers.len();
                if self.round == ROUNDS.len() || hopeless {
                    self.stage = Stage::Ended(Err(DnsError::Failed(why)));
                    return;
                }
                (self.server, self.failed, self.edns) = (0, 0, false);
            }
            match self.ask() {
                Ok(()) => return,
                Err(other) => why = other,
            }
        }
    }

    fn udp_ready(&mut self) {
        let Stage::Udp(socket) = &self.stage else { return };
        let mut room = [0; UDP_ROOM];
        let packet = match socket.recv(&mut room) {
            Ok(count) => &room[..count],
            Err(why) if not_yet(&why) => return,
            Err(why) => {
                self.failed += 1;
                return self.next_server(why);
            }
        };
        match self.query.meaning(packet, self.id) {
            Meaning::Stray => {}
            Meaning::Answer => self.stage = Stage::Ended(Ok(Answer(packet.to_vec()))),
            Meaning::NoName => self.stage = Stage::Ended(Err(DnsError::NoName)),
            Meaning::Truncated => {
                self.tcp_left = self.servers.len();
                self.connect_or_next();
            }
            Meaning::NoEdns if self.edns => {
                self.edns = false;
                if let Err(why) = self.ask() {
                    self.next_server(why);
                }
            }
            Meaning::NoEdns | Meaning::Failure => {
                self.failed += 1;
                self.next_server(failure());
            }
        }
    }

    /// Connects to the present server, or to the next one to which that can be begun.
    fn connect_or_next(&mut self) {
        match self.servers.get(self.server).ok_or(ErrorKind::NotConnected.into()).and_then(begin) {
            Ok(stream) => {
                self.stage = Stage::Tcp(stream, None);
                self.deadline = Instant::now() + TCP;
            }
            Err(why) => self.next_tcp(why),
        }
    }

    /// Connects to the next server; ends when all were tried.
    fn next_tcp(&mut self, why: io::Error) {
        self.tcp_left = self.tcp_left.saturating_sub(1);
        if self.tcp_left == 0 {
            self.stage = Stage::Ended(Err(DnsError::Failed(why)));
            return;
        }
        self.server = (self.server + 1) % self.servers.len();
        self.connect_or_next();
    }

    /// The connection is there, or has failed: sends the question. A new connection takes it
    /// whole.
    fn connected(&mut self) {
        self.id = random::number() as u16;
        let packet = self.query.packet(self.id, self.edns);
        let framed = [&(packet.len() as u16).to_be_bytes(), &packet[..]].concat();
        let Stage::Tcp(stream, seen) = &mut self.stage else { return };
        match socket::error(stream.as_fd()).and_then(|()| stream.write_all(&framed)) {
            Ok(()) => {
                *seen = Some(Vec::new());
                self.deadline = Instant::now() + TCP;
            }
            Err(why) => self.next_tcp(why),
        }
    }

    fn tcp_ready(&mut self) {
        let Stage::Tcp(stream, Some(seen)) = &mut self.stage else { return };
        let mut room = [0; UDP_ROOM];
        match stream.read(&mut room) {
            Ok(0) => return self.next_tcp(ErrorKind::UnexpectedEof.into()),
            Ok(count) => seen.extend_from_slice(&room[..count]),
            Err(why) if not_yet(&why) => return,
            Err(why) => return self.next_tcp(why),
        }
        let Some((length, rest)) = seen.split_first_chunk() else { return };
        let Some(packet) = rest.get(..u16::from_be_bytes(*length).into()) else { return };
        match self.query.meaning(packet, self.id) {
            Meaning::Answer => self.stage = Stage::Ended(Ok(Answer(packet.to_vec()))),
            Meaning::NoName => self.stage = Stage::Ended(Err(DnsError::NoName)),
            _ => self.next_tcp(failure()),
        }
    }
}

/// A connection that is being made.
fn begin(server: &SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::from(socket::stream(server)?);
    stream.set_nonblocking(true)?;
    socket::connect(stream.as_fd(), server)?;
    Ok(stream)
}

fn not_yet(why: &io::Error) -> bool {
    matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// What is said of a server that says that it failed: input/output error, as the original does.
fn failure() -> io::Error {
    io::Error::from_raw_os_error(libc::EIO)
}
