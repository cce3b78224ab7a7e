//! Listening sockets: made here, or handed over by whoever started us.

use crate::host::{self, Family, Reading};
use base::env::Env;
use base::number::decimal;
use base::sys::{fd, socket};
use base::{Die, Result, Unable};
use std::ffi::OsStr;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, RawFd};
use std::os::unix::ffi::OsStrExt;

/// The first descriptor that systemd and its likes hand over.
const FIRST: usize = 3;

/// Where to listen.
#[derive(Debug)]
pub enum Place {
    /// An address and port.
    At(SocketAddr),
    /// All addresses of both families.
    Everywhere(u16),
    /// A socket that listens already.
    Inherited(TcpListener),
}

/// Reads a host and a port argument. `0` or nothing are all IPv4 addresses, `::` all IPv6
/// addresses, `:0` both; of several addresses the first counts. `fd:N` and `fd:NAME` are
/// descriptors: they are taken over here, so this comes before anything is opened that might
/// have their number.
pub fn place(host: &OsStr, port: &OsStr, reading: &Reading) -> Result<Place> {
    let text = host.as_bytes();
    if let Some(name) = text.strip_prefix(b"fd:") {
        return take(number(name, reading.env)?).map(Place::Inherited);
    }
    let port = host::port(port)?;
    match text {
        b"" | b"0" => Ok(Place::At((Ipv4Addr::UNSPECIFIED, port).into())),
        b":0" if reading.family == Family::V4 => {
            Ok(Place::At((Ipv4Addr::UNSPECIFIED, port).into()))
        }
        b":0" => Ok(Place::Everywhere(port)),
        _ => Ok(Place::At(host::addresses(host, port, reading)?[0])),
    }
}

/// The descriptor of this number, or of this name in $LISTEN_FDNAMES.
fn number(name: &[u8], env: &Env) -> Result<RawFd> {
    if let Some(number) = decimal(name) {
        return number.try_into().map_err(|_| Die::later("no descriptor has that number"));
    }
    let ours = env.get("LISTEN_PID").and_then(decimal) == Some(std::process::id().into());
    let names = env.get("LISTEN_FDNAMES").filter(|_| ours).unwrap_or_default();
    let at = names.split(|byte| *byte == b':').position(|known| known == name);
    let number = at.and_then(|at| RawFd::try_from(FIRST + at).ok());
    number.ok_or_else(|| {
        Die::later(format_args!("no descriptor is named {}", OsStr::from_bytes(name).display()))
    })
}

/// Takes over a socket on which somebody listens; programs do not inherit it.
fn take(number: RawFd) -> Result<TcpListener> {
    let socket = fd::take(number).unable("get local address")?;
    let listener = TcpListener::from(socket);
    listener.local_addr().unable("get local address")?;
    if !socket::listens(listener.as_fd()).unable("get local address")? {
        return Err(Die::later("unable to accept: nobody listens on the socket"));
    }
    fd::close_at_exec(listener.as_fd()).unable("get local address")?;
    Ok(listener)
}

/// Listens there. Connections are accepted without waiting.
pub fn listen(place: Place, backlog: i32) -> Result<TcpListener> {
    let listener = match place {
        Place::Inherited(listener) => listener,
        Place::At(address) => make(address, true, backlog)?,
        Place::Everywhere(port) => make((Ipv6Addr::UNSPECIFIED, port).into(), false, backlog)?,
    };
    listener.set_nonblocking(true).unable("listen")?;
    Ok(listener)
}

fn make(address: SocketAddr, only_v6: bool, backlog: i32) -> Result<TcpListener> {
    let socket = socket::stream(&address).unable("create socket")?;
    socket::reuse_address(socket.as_fd()).unable("bind")?;
    if address.is_ipv6() {
        socket::only_v6(socket.as_fd(), only_v6).unable("bind")?;
    }
    socket::bind(socket.as_fd(), &address).unable("bind")?;
    socket::listen(socket.as_fd(), backlog).unable("listen")?;
    Ok(TcpListener::from(socket))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(host: &str, port: &str, family: Family) -> String {
        let mut env = Env::empty();
        env.set("LISTEN_PID", std::process::id().to_string()).set("LISTEN_FDNAMES", "one:two");
        let reading = Reading { family, interface: Some("lo".as_ref()), env: &env };
        match place(host.as_ref(), port.as_ref(), &reading) {
            Ok(Place::At(address)) => address.to_string(),
            Ok(Place::Everywhere(port)) => format!("everywhere {port}"),
            Ok(Place::Inherited(listener)) => listener.local_addr().unwrap().to_string(),
            Err(die) => die.text,
        }
    }

    #[test]
    fn hosts_are_addresses_or_descriptors() {
        let v4 = ["", "0", "0.0.0.0"].map(|host| read(host, "25", Family::Both));
        assert_eq!(v4, ["0.0.0.0:25"; 3]);
        assert_eq!(read("::", "25", Family::Both), "[::]:25");
        assert_eq!(read(":0", "25", Family::Both), "everywhere 25");
        assert_eq!(read(":0", "25", Family::V4), "0.0.0.0:25");
        assert_eq!(read("fe80::1", "25", Family::Both), "[fe80::1%1]:25");
        assert_eq!(read("::1", "25", Family::V4), "fatal: no IP address for ::1");
        assert_eq!(read("fd:three", "0", Family::Both), "fatal: no descriptor is named three");
        let port = "fatal: unable to figure out port number for 65536";
        assert_eq!(read("0", "65536", Family::Both), port);
    }
}
