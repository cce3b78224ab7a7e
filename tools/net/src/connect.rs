//! Connections out, made within a time and from a chosen local address.

use base::sys::{poll, socket};
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// A socket for connecting to `to`, bound to an address and port if they are given.
pub fn bound(to: SocketAddr, from: Option<SocketAddr>) -> io::Result<OwnedFd> {
    let socket = socket::stream(&to)?;
    if let Some(from) = from {
        socket::bind(socket.as_fd(), &from)?;
    }
    Ok(socket)
}

/// Connects this socket within `limit`. The stream waits when it is read or written.
pub fn connect_on(socket: OwnedFd, to: SocketAddr, limit: Duration) -> io::Result<TcpStream> {
    let stream = TcpStream::from(socket);
    stream.set_nonblocking(true)?;
    if !socket::connect(stream.as_fd(), &to)? {
        if !poll::writable(stream.as_fd(), limit)? {
            return Err(ErrorKind::TimedOut.into());
        }
        socket::error(stream.as_fd())?;
    }
    stream.set_nonblocking(false)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;
    use std::net::TcpListener;

    #[test]
    fn a_connection_comes_from_the_chosen_address() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let from = IpAddr::from([127, 0, 0, 2]);
        let to = server.local_addr().unwrap();
        let stream =
            connect_on(bound(to, Some((from, 0).into())).unwrap(), to, Duration::from_secs(5))
                .unwrap();
        assert_eq!(stream.local_addr().unwrap().ip(), from);
        assert_eq!(server.accept().unwrap().1, stream.local_addr().unwrap());
    }

    #[test]
    fn nobody_there_is_refused_and_no_answer_is_timed_out() {
        let limit = Duration::from_millis(50);
        let full = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = full.local_addr().unwrap();
        // A full backlog drops further connections without a word.
        socket::listen(full.as_fd(), 0).unwrap();
        let kept: Vec<_> =
            (0..3).map(|_| connect_on(bound(to, None).unwrap(), to, limit)).collect();
        let why = kept.last().unwrap().as_ref().unwrap_err();
        assert_eq!(base::errno::words(why), "timed out");
        drop(full);
        assert_eq!(
            connect_on(bound(to, None).unwrap(), to, limit).unwrap_err().kind(),
            ErrorKind::ConnectionRefused
        );
    }
}
