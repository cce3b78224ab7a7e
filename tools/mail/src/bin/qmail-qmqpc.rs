//! qmail-qmqpc: give a message to a cluster of queue servers by QMQP, in the place of qmail-queue.
#![cfg_attr(not(test), no_main)]

use base::input::Input;
use base::sys::{fd, memory, signal};
use base::{Args, Code, Die, number};
use mail::control::Control;
use mail::netstring;
use mail::peer::Peer;
use memchr::{memchr, memrchr};
use net::address;
use net::connect::{bound, connect_on};
use queue::home;
use std::io::{BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

base::program!("qmail-qmqpc", run, panic = 81);

/// The exit codes, those of qmail-queue: what its callers know. A bug is 81.
const REFUSED: u8 = 31;
const MEMORY: u8 = 51;
const READ: u8 = 54;
const CONTROL: u8 = 55;
const SOCKET: u8 = 56;
const HOME: u8 = 61;
const DEFERRED: u8 = 71;
const TIMED_OUT: u8 = 72;
const NOT_CONNECTED: u8 = 73;
const BROKEN: u8 = 74;
const FORMAT: u8 = 91;

/// The port of QMQP.
const PORT: u16 = 628;

/// How long a connection may take, and each read and write on it.
const CONNECT: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes of an answer among which its letter must be.
const ANSWER: u64 = 65536;

type Result<T> = std::result::Result<T, u8>;

fn run(_: Args) -> base::Result<Code> {
    memory::end_silently_with(MEMORY);
    // A connection in the place of a closed descriptor would be taken for the envelope.
    let open = fd::is_open(0) && fd::is_open(1);
    let sent = if open { send() } else { Err(READ) };
    sent.map(|()| Code::DONE).map_err(Die::silent)
}

/// Reads everything, and gives it to the first server that can be reached.
fn send() -> Result<()> {
    signal::ignore(signal::PIPE).or(Err(SOCKET))?;
    std::env::set_current_dir(home::folder()).or(Err(HOME))?;
    let servers = Control::of(Path::new(".")).items("qmqpservers").or(Err(CONTROL))?;
    let servers = servers.ok_or(CONTROL)?;
    let package = package()?;
    let mut outcome = Err(CONTROL);
    for server in servers.iter().filter_map(|line| server(line)) {
        match connect(server) {
            Ok(stream) => return give(&stream, &package),
            Err(code) if code == SOCKET => return Err(code),
            Err(code) => outcome = Err(code),
        }
    }
    outcome
}

/// The message and its envelope as one netstring of netstrings, in three parts.
fn package() -> Result<[Vec<u8>; 3]> {
    let mut message = Vec::new();
    Input::stdin().read_to_end(&mut message).or(Err(READ))?;
    let mut envelope = Vec::new();
    Input::new(fd::STDOUT).read_to_end(&mut envelope).or(Err(READ))?;
    let before = format!("{}:", message.len());
    let addresses = addresses(&envelope)?.into_iter().map(netstring::of).collect::<Vec<_>>();
    let after = [&b","[..], &addresses.concat()].concat();
    let length = before.len() + message.len() + after.len();
    Ok([format!("{length}:{before}").into(), message, [&after[..], b","].concat()])
}

/// Takes an envelope apart: `F`SENDER NUL, `T`RECIPIENT NUL each, NUL. The sender comes first.
fn addresses(envelope: &[u8]) -> Result<Vec<&[u8]>> {
    let mut addresses = Vec::new();
    let mut rest = envelope;
    loop {
        let end = memchr(0, rest).ok_or(FORMAT)?;
        let field = &rest[..end];
        rest = &rest[end + 1..];
        let letter = if addresses.is_empty() { b'F' } else { b'T' };
        match field {
            [first, address @ ..] if *first == letter => addresses.push(address),
            [] if letter == b'T' => return Ok(addresses),
            _ => return Err(FORMAT),
        }
    }
}

/// The server that a line names: an address, perhaps with a port behind a colon; what follows a
/// blank is a remark. Lines that make no sense are passed over.
fn server(line: &[u8]) -> Option<SocketAddr> {
    let line = line.split(|byte| b" \t".contains(byte)).next()?;
    address::parse(line, PORT).or_else(|| {
        let (address, port) = line.split_at(memrchr(b':', line)?);
        address::parse(address, number::decimal(&port[1..])?.try_into().ok()?)
    })
}

/// Connects to a server.
fn connect(server: SocketAddr) -> Result<TcpStream> {
    let socket = match bound(server, None) {
        Ok(socket) => socket,
        // A system without IPv6.
        Err(_) if server.is_ipv6() => return Err(NOT_CONNECTED),
        Err(_) => return Err(SOCKET),
    };
    connect_on(socket, server, CONNECT).map_err(|why| match why.kind() {
        ErrorKind::TimedOut => TIMED_OUT,
        _ => NOT_CONNECTED,
    })
}

/// Sends the package and waits for the first letter of an answer that means something. Without
/// one nobody knows whether the server has queued the message, so no other server is asked.
fn give(stream: &TcpStream, package: &[Vec<u8>]) -> Result<()> {
    let mut server = Peer::of_socket(stream, PATIENCE).or(Err(SOCKET))?;
    package.iter().try_for_each(|part| server.write_all(part)).or(Err(BROKEN))?;
    for byte in BufReader::new(server).take(ANSWER).bytes() {
        match byte.or(Err(BROKEN))? {
            b'K' => return Ok(()),
            b'Z' => return Err(DEFERRED),
            b'D' => return Err(REFUSED),
            _ => {}
        }
    }
    Err(BROKEN)
}
