//! A call: what tcpclient and sslclient do from their words to the connection.

use crate::connection::{self, Connection};
use crate::host::{self, Family, Reading, loopback};
use crate::inquiry::Inquiry;
use crate::{address, connect};
use base::env::Env;
use base::number::{decimal, digits};
use base::opt::Opts;
use base::sys::{fd, signal, socket};
use base::{Die, Result, Unable, errno, say};
use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

/// The program's descriptors: it reads from the first and writes to the second.
const READ: i32 = 6;
const WRITE: i32 = 7;

/// Closes what the caller has left at the program's numbers. A connection that breaks is an error
/// of the write, not a signal.
pub fn prepare() -> Result<()> {
    fd::close(READ);
    fd::close(WRITE);
    fd::fill_standard_until_exec().unable("open /dev/null")?;
    signal::ignore(signal::PIPE).unable("ignore SIGPIPE")
}

/// Gives these to the program that this process becomes.
pub fn hand_over(read: BorrowedFd, write: BorrowedFd) -> Result<()> {
    fd::copy_to(read, READ).unable("set up descriptor 6")?;
    fd::copy_to(write, WRITE).unable("set up descriptor 7")?;
    signal::default(signal::PIPE).unable("reset SIGPIPE")
}

/// How the connection is made, as the options say.
pub struct Call {
    /// -q 0: nothing is said, -Q 1: errors, -v 2: the connection too.
    pub verbosity: u8,
    /// -D: small packets are sent at once.
    pub no_delay: bool,
    /// -h, -l, -r, -t.
    inquiry: Inquiry,
    /// -T: seconds for each address in the first and in the second round.
    limits: [u64; 2],
    /// -i.
    local_ip: Option<IpAddr>,
    /// -p.
    local_port: u16,
    /// -4.
    family: Family,
    /// -6.
    pub mapped: bool,
    /// -I.
    interface: Option<OsString>,
}

impl Default for Call {
    fn default() -> Self {
        Call {
            verbosity: 1,
            no_delay: false,
            inquiry: Inquiry::default(),
            limits: [2, 58],
            local_ip: None,
            local_port: 0,
            family: Family::Both,
            mapped: false,
            interface: None,
        }
    }
}

impl Call {
    /// Takes an option of tcpclient, with its argument.
    pub fn set(&mut self, letter: u8, opts: &Opts) -> Result<()> {
        let argument = opts.argument().as_bytes();
        match letter {
            b'd' => self.no_delay = false,
            b'D' => self.no_delay = true,
            b'q' => self.verbosity = 0,
            b'Q' => self.verbosity = 1,
            b'v' => self.verbosity = 2,
            b'h' => self.inquiry.remote_host = true,
            b'H' => self.inquiry.remote_host = false,
            b'r' => self.inquiry.info = true,
            b'R' => self.inquiry.info = false,
            b't' => {
                let seconds = decimal(argument).ok_or_else(|| opts.bad_usage())?;
                self.inquiry.limit = Duration::from_secs(seconds);
            }
            b'T' => self.limits = limits(argument).ok_or_else(|| opts.bad_usage())?,
            b'l' => self.inquiry.local_host = Some(argument.to_vec()),
            b'i' => {
                let local = address::parse(argument, 0).ok_or_else(|| opts.bad_usage())?;
                self.local_ip = Some(local.ip());
            }
            b'p' => {
                let port = decimal(argument).and_then(|port| port.try_into().ok());
                self.local_port = port.ok_or_else(|| opts.bad_usage())?;
            }
            b'4' => self.family = Family::V4,
            b'6' => self.mapped = true,
            _ => self.interface = Some(opts.argument().to_owned()),
        }
        Ok(())
    }

    /// Makes the connection, and finds out what is wanted of it.
    pub fn make(&self, host: &OsStr, port: &OsStr, env: &Env) -> Result<(TcpStream, Connection)> {
        let stream = self.connect(&self.addresses(host, port, env)?)?;
        if self.no_delay {
            // If it fails, small packets wait.
            let _ = stream.set_nodelay(true);
        }
        let local = stream.local_addr().unable("get local address")?;
        let remote = stream.peer_addr().unable("get remote address")?;
        let mut connection = Connection { mapped: self.mapped, ..Connection::new(local, remote) };
        if self.verbosity > 1 {
            let ip = connection::ip(remote, self.mapped);
            say::line(format_args!("connected to {ip} port {}", remote.port()));
        }
        self.inquiry.make(&mut connection, env);
        Ok((stream, connection))
    }

    /// How long a server may take for what comes after connecting: as long as for that.
    pub fn patience(&self) -> Duration {
        let [first, second] = self.limits;
        Duration::from_secs(first.saturating_add(second))
    }

    /// The last words, unless nothing is to be said.
    pub fn last_words(&self, die: Die) -> Die {
        if self.verbosity == 0 { Die::silent(die.code) } else { die }
    }

    /// The addresses to try: `0` or nothing is this host. Those that the local address cannot
    /// reach do not count.
    fn addresses(&self, host: &OsStr, port: &OsStr, env: &Env) -> Result<Vec<SocketAddr>> {
        let port = host::port(port)?;
        let reading = Reading { family: self.family, interface: self.interface.as_deref(), env };
        let mut addresses = match host.as_bytes() {
            b"" | b"0" => loopback(port, self.family),
            _ => host::addresses(host, port, &reading)?,
        };
        if let Some(local) = self.local_ip {
            addresses.retain(|address| address.is_ipv4() == local.is_ipv4());
        }
        if addresses.is_empty() {
            return Err(Die::later(format_args!("no IP address for {}", host.display())));
        }
        Ok(addresses)
    }

    /// Connects to the first address that can be reached: each is tried for a short time, then
    /// those that were silent for a longer one. A single address has both times at once.
    fn connect(&self, addresses: &[SocketAddr]) -> Result<TcpStream> {
        let [first, second] = self.limits;
        let alone = addresses.len() == 1;
        let rounds = if alone { [first.saturating_add(second), 0] } else { self.limits };
        let mut silent = Vec::new();
        for address in addresses {
            match self.try_one(*address, rounds[0])? {
                Ok(stream) => return Ok(stream),
                Err(why) if rounds[1] > 0 && timed_out(&why) => silent.push(*address),
                Err(why) => self.complain(*address, &why),
            }
        }
        for address in silent {
            match self.try_one(address, rounds[1])? {
                Ok(stream) => return Ok(stream),
                Err(why) => self.complain(address, &why),
            }
        }
        Err(Die::silent(111))
    }

    /// Tries to connect. A failure on our side is the outer error.
    fn try_one(&self, to: SocketAddr, seconds: u64) -> Result<io::Result<TcpStream>> {
        let made = socket::stream(&to);
        if let Err(why) = &made
            && why.raw_os_error() == Some(libc::EAFNOSUPPORT)
        {
            return Ok(Err(why.kind().into()));
        }
        let socket = made.unable("create socket")?;
        if self.local_ip.is_some() || self.local_port != 0 {
            let local = (self.local_ip.unwrap_or(unspecified(to)), self.local_port).into();
            socket::bind(socket.as_fd(), &local).unable("bind socket")?;
        }
        Ok(connect::connect_on(socket, to, Duration::from_secs(seconds)))
    }

    fn complain(&self, address: SocketAddr, why: &io::Error) {
        if self.verbosity > 0 {
            let (ip, port, why) = (address.ip(), address.port(), errno::words(why));
            say::line(format_args!("unable to connect to {ip} port {port}: {why}"));
        }
    }
}

/// `X+Y`, or `X` for no second round.
fn limits(text: &[u8]) -> Option<[u64; 2]> {
    match digits(text)? {
        (first, []) => Some([first, 0]),
        (first, [b'+', second @ ..]) => Some([first, decimal(second)?]),
        _ => None,
    }
}

fn timed_out(why: &io::Error) -> bool {
    why.kind() == ErrorKind::TimedOut
}

/// Any local address from which `to` can be reached.
fn unspecified(to: SocketAddr) -> IpAddr {
    match to {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}
