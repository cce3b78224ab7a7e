//! A connection, as the programs that run for it know it: PROTO, TCP*, and for IPv6 TCP6*.

use base::env::Env;
use base::sys::socket;
use std::ffi::OsStr;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;

/// Both ends of a connection and what is known of them.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Our end.
    pub local: SocketAddr,
    /// The other end.
    pub remote: SocketAddr,
    /// The name of our address.
    pub local_host: Option<Vec<u8>>,
    /// The name of the other address.
    pub remote_host: Option<Vec<u8>>,
    /// What the other host says of its user.
    pub info: Option<Vec<u8>>,
    /// IPv4 addresses are shown as IPv6.
    pub mapped: bool,
}

/// The variables that a connection sets or removes, less their TCP or TCP6.
const IP: [&str; 2] = ["LOCALIP", "REMOTEIP"];
const PORT: [&str; 2] = ["LOCALPORT", "REMOTEPORT"];
const HOST: [&str; 2] = ["LOCALHOST", "REMOTEHOST"];

impl Connection {
    /// A connection of which nothing else is known yet. IPv4 in IPv6 form becomes IPv4.
    pub fn new(local: SocketAddr, remote: SocketAddr) -> Self {
        Connection {
            local: canonical(local),
            remote: canonical(remote),
            local_host: None,
            remote_host: None,
            info: None,
            mapped: false,
        }
    }

    /// The connection behind a descriptor. Fails if it is none.
    pub fn of_socket(socket: BorrowedFd) -> io::Result<Self> {
        let stream = TcpStream::from(socket.try_clone_to_owned()?);
        Ok(Connection::new(stream.local_addr()?, stream.peer_addr()?))
    }

    /// Sets the variables, and removes those of which nothing is known.
    pub fn set_variables(&self, env: &mut Env) {
        let six = self.mapped || self.remote.is_ipv6();
        env.set("PROTO", if six { "TCP6" } else { "TCP" });
        let ends = [(self.local, &self.local_host), (self.remote, &self.remote_host)];
        for (at, (end, host)) in ends.into_iter().enumerate() {
            let host = host.as_deref().map(OsStr::from_bytes);
            let (ip, port) = (ip(end, self.mapped), end.port().to_string());
            env.set(format!("TCP{}", IP[at]), &ip);
            env.set(format!("TCP{}", PORT[at]), &port);
            env.put(format!("TCP{}", HOST[at]), host);
            env.put(format!("TCP6{}", IP[at]), six.then_some(&ip));
            env.put(format!("TCP6{}", PORT[at]), six.then_some(&port));
            env.put(format!("TCP6{}", HOST[at]), host.filter(|_| six));
        }
        env.put("TCPREMOTEINFO", self.info.as_deref().map(OsStr::from_bytes));
        env.put("TCP6INTERFACE", self.interface().as_deref().map(OsStr::from_bytes));
    }

    /// As [`Connection::set_variables`] for one that is secured: PROTO=SSL and SSL*. With `tcp`, it
    /// is one of TCP too, and PROTO says that.
    pub fn set_ssl_variables(&self, env: &mut Env, tcp: bool) {
        let ends = [(self.local, &self.local_host), (self.remote, &self.remote_host)];
        for (at, (end, host)) in ends.into_iter().enumerate() {
            env.set(format!("SSL{}", IP[at]), ip(end, self.mapped));
            env.set(format!("SSL{}", PORT[at]), end.port().to_string());
            env.put(format!("SSL{}", HOST[at]), host.as_deref().map(OsStr::from_bytes));
        }
        env.put("SSLREMOTEINFO", self.info.as_deref().map(OsStr::from_bytes));
        if tcp {
            self.set_variables(env);
        } else {
            env.set("PROTO", "SSL");
        }
    }

    /// The interface on which a link-local connection holds.
    fn interface(&self) -> Option<Vec<u8>> {
        match self.remote {
            SocketAddr::V6(v6) if v6.scope_id() != 0 => socket::interface_name(v6.scope_id()),
            _ => None,
        }
    }

    /// As logs have it: see [`Ends`].
    pub fn shown(&self) -> Vec<u8> {
        let [local, remote] = [self.local, self.remote];
        Ends {
            local_host: self.local_host.as_deref().unwrap_or_default(),
            local_ip: ip(local, self.mapped).as_bytes(),
            local_port: local.port().to_string().as_bytes(),
            remote_host: self.remote_host.as_deref().unwrap_or_default(),
            remote_ip: ip(remote, self.mapped).as_bytes(),
            info: self.info.as_deref().unwrap_or_default(),
            remote_port: remote.port().to_string().as_bytes(),
        }
        .shown()
    }
}

/// Removes the variables of a TCP connection, which may be another's.
pub fn unset_variables(env: &mut Env) {
    for name in [IP, PORT, HOST].concat().into_iter().chain(["REMOTEINFO"]) {
        env.unset(format!("TCP{name}")).unset(format!("TCP6{name}"));
    }
    env.unset("TCP6INTERFACE");
}

/// Sets in `env` what tcp-env would set for this connection without asking anybody, for programs
/// that inetd and its likes start. Changes nothing if `$TCPREMOTEIP` is set already or this is no
/// connected TCP socket.
pub fn ask_socket(env: &mut Env, socket: BorrowedFd) {
    if env.get("TCPREMOTEIP").is_none()
        && let Ok(connection) = Connection::of_socket(socket)
    {
        connection.set_variables(env);
    }
}

/// The ends of a connection for a log line; what is unknown is empty.
#[allow(missing_docs)] // Named as the variables are.
pub struct Ends<'a> {
    pub local_host: &'a [u8],
    pub local_ip: &'a [u8],
    pub local_port: &'a [u8],
    pub remote_host: &'a [u8],
    pub remote_ip: &'a [u8],
    pub info: &'a [u8],
    pub remote_port: &'a [u8],
}

impl Ends<'_> {
    /// `LOCALHOST:LOCALIP:LOCALPORT REMOTEHOST:REMOTEIP:INFO:REMOTEPORT`; names and info are
    /// shown [`safe`].
    pub fn shown(&self) -> Vec<u8> {
        let [local_host, remote_host, info] =
            [self.local_host, self.remote_host, self.info].map(safe);
        let local = [&local_host, self.local_ip, self.local_port].join(&b':');
        let remote = [&remote_host, self.remote_ip, &info, self.remote_port].join(&b':');
        [local, remote].join(&b' ')
    }
}

/// A stranger's words in a log line: `?` for blanks, control characters, bytes above 126, `%` and
/// the colon that separates fields; `...` after 100 bytes.
pub fn safe(text: &[u8]) -> Vec<u8> {
    /// So many bytes are shown.
    const MOST: usize = 100;
    let safe = |byte: &u8| match byte {
        b'%' | b':' | ..33 | 127.. => b'?',
        byte => *byte,
    };
    let mut shown: Vec<u8> = text.iter().take(MOST).map(safe).collect();
    if shown.len() == MOST {
        shown.extend_from_slice(b"...");
    }
    shown
}

/// The address of an end as text, without its interface; `mapped` shows IPv4 as IPv6.
pub fn ip(end: SocketAddr, mapped: bool) -> String {
    match end.ip().to_canonical() {
        IpAddr::V4(v4) if mapped => v4.to_ipv6_mapped().to_string(),
        ip => ip.to_string(),
    }
}

/// IPv4 in IPv6 form becomes IPv4; interfaces and ports stay.
pub fn canonical(end: SocketAddr) -> SocketAddr {
    match end.ip().to_canonical() {
        IpAddr::V4(v4) => (v4, end.port()).into(),
        IpAddr::V6(_) => end,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(local: &str, remote: &str) -> Connection {
        Connection::new(local.parse().unwrap(), remote.parse().unwrap())
    }

    fn variables(connection: &Connection) -> String {
        let mut env = Env::empty();
        env.set("TCPREMOTEINFO", "old").set("TCP6REMOTEIP", "old").set("TCPLOCALHOST", "old");
        connection.set_variables(&mut env);
        let names = "PROTO TCPLOCALIP TCPLOCALPORT TCPLOCALHOST TCPREMOTEIP TCPREMOTEPORT \
            TCPREMOTEHOST TCPREMOTEINFO TCP6LOCALIP TCP6LOCALPORT TCP6LOCALHOST TCP6REMOTEIP \
            TCP6REMOTEPORT TCP6REMOTEHOST TCP6INTERFACE";
        let value = |name: &str| env.get(name).map_or("-".into(), String::from_utf8_lossy);
        names.split(' ').map(|name| value(name).into_owned()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn ipv4_has_the_classic_variables_alone() {
        let mut four = connection("[::ffff:1.2.3.4]:25", "5.6.7.8:1024");
        assert_eq!(variables(&four), "TCP 1.2.3.4 25 - 5.6.7.8 1024 - - - - - - - - -");
        four.local_host = Some(b"me".to_vec());
        four.info = Some(b"you".to_vec());
        assert_eq!(variables(&four), "TCP 1.2.3.4 25 me 5.6.7.8 1024 - you - - - - - - -");
        four.mapped = true;
        let both = "::ffff:1.2.3.4 25 me ::ffff:5.6.7.8 1024 -";
        assert_eq!(variables(&four), format!("TCP6 {both} you {both} -"));
    }

    #[test]
    fn ipv6_has_them_twice() {
        let mut six = connection("[fe80::1%1]:25", "[fe80::2%1]:1024");
        six.remote_host = Some(b"you".to_vec());
        let both = "fe80::1 25 - fe80::2 1024 you";
        assert_eq!(variables(&six), format!("TCP6 {both} - {both} lo"));
    }

    #[test]
    fn log_lines_have_seven_fields() {
        let mut four = connection("1.2.3.4:25", "5.6.7.8:1024");
        assert_eq!(four.shown(), b":1.2.3.4:25 :5.6.7.8::1024");
        four.local_host = Some(b"me".to_vec());
        four.remote_host = Some(b"a%b:c d\x7f\xff".to_vec());
        four.info = Some(vec![b'x'; 100]);
        let info = "x".repeat(100);
        let expected = format!("me:1.2.3.4:25 a?b?c?d??:5.6.7.8:{info}...:1024");
        assert_eq!(String::from_utf8(four.shown()).unwrap(), expected);
        assert_eq!(safe(&[b'x'; 99]), [b'x'; 99]);
    }
}
