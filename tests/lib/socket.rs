//! Loopback sockets on ports that the system chooses.

use crate::{LIMIT, until};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

/// A listening socket on 127.0.0.1, and its port.
pub fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// A port of 127.0.0.1 on which nobody listened a moment ago. Where the program can choose a port
/// itself and print it (`tcpserver -1 127.0.0.1 0`), let it: that cannot collide.
pub fn free_port() -> u16 {
    listener().1
}

/// Connects to a port of 127.0.0.1, waiting until somebody listens there. Reads and writes on the
/// connection fail after [`LIMIT`].
#[track_caller]
pub fn connect(port: u16) -> TcpStream {
    let mut stream = None;
    until(LIMIT, &format!("somebody listens on port {port}"), || {
        stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok();
        stream.is_some()
    });
    let stream = stream.unwrap();
    patient(&stream);
    stream
}

/// Sets the limits of a stream's reads and writes.
pub(crate) fn patient(stream: &TcpStream) {
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.set_write_timeout(Some(LIMIT)).unwrap();
}
