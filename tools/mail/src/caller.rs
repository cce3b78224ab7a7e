//! The other end of a network daemon's connection: as tcpserver or tcp-env say in the
//! environment, or else as the socket itself says under inetd, xinetd and systemd.

use base::env::Env;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::BorrowedFd;

/// What is known of a connection. Words of strangers: see [`crate::received`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The client's address.
    pub ip: Vec<u8>,
    /// The client's name in DNS.
    pub host: Vec<u8>,
    /// The client's user, as its own host says.
    pub info: Option<Vec<u8>>,
    /// This host: its name, else its address.
    pub local: Vec<u8>,
}

impl Caller {
    /// From `$TCPREMOTEIP` and the others; `unknown` where they do not say.
    pub fn of(env: &Env) -> Self {
        let known = |name: &str| env.get(name).map(<[u8]>::to_vec);
        let unknown = || b"unknown".to_vec();
        Caller {
            ip: known("TCPREMOTEIP").unwrap_or_else(unknown),
            host: known("TCPREMOTEHOST").unwrap_or_else(unknown),
            info: known("TCPREMOTEINFO"),
            local: known("TCPLOCALHOST").or(known("TCPLOCALIP")).unwrap_or_else(unknown),
        }
    }
}

/// Sets in `env` what tcp-env would set for this connection, without asking DNS: `PROTO`,
/// `TCPREMOTEIP`, `TCPREMOTEPORT`, `TCPLOCALIP`, `TCPLOCALPORT`. Changes nothing if
/// `TCPREMOTEIP` is set already or this is no connected TCP socket.
pub fn ask_socket(env: &mut Env, socket: BorrowedFd) {
    if env.get("TCPREMOTEIP").is_none()
        && let Some((local, remote)) = ends(socket)
    {
        let (local_ip, remote_ip) = (local.ip().to_canonical(), remote.ip().to_canonical());
        env.set("PROTO", if remote_ip.is_ipv4() { "TCP" } else { "TCP6" });
        env.set("TCPREMOTEIP", remote_ip.to_string());
        env.set("TCPREMOTEPORT", remote.port().to_string());
        env.set("TCPLOCALIP", local_ip.to_string());
        env.set("TCPLOCALPORT", local.port().to_string());
    }
}

/// The local and the remote address of a connected TCP socket.
fn ends(socket: BorrowedFd) -> Option<(SocketAddr, SocketAddr)> {
    let stream = TcpStream::from(socket.try_clone_to_owned().ok()?);
    Some((stream.local_addr().ok()?, stream.peer_addr().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::os::fd::AsFd;

    #[test]
    fn a_socket_is_asked_only_if_the_environment_does_not_say() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(server.local_addr().unwrap()).unwrap();
        let socket = server.accept().unwrap().0;
        let mut env = Env::empty();
        ask_socket(&mut env, socket.as_fd());
        let port = client.local_addr().unwrap().port().to_string();
        assert_eq!(env.get("TCPREMOTEPORT"), Some(port.as_bytes()));
        let local = b"127.0.0.1".to_vec();
        let host = b"unknown".to_vec();
        let caller = Caller { ip: local.clone(), host, info: None, local };
        assert_eq!(Caller::of(&env), caller);

        let mut env = Env::empty();
        env.set("TCPREMOTEIP", "1.2.3.4");
        ask_socket(&mut env, socket.as_fd());
        assert_eq!((env.get("PROTO"), env.get("TCPLOCALIP")), (None, None));
    }
}
