//! Stream sockets, as far as std does not offer them step by step: bind before connect, listen
//! with a backlog, connect without waiting.

use super::{check, retry};
use std::io;
use std::mem::{size_of, zeroed};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// A TCP socket of the family of `address`, closed at exec.
pub fn stream(address: &SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    // SAFETY: no memory is involved.
    let fd = check(unsafe { libc::socket(family, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: fresh from socket and owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Lets a port be bound although old connections of it are still being closed.
pub fn reuse_address(socket: BorrowedFd) -> io::Result<()> {
    set(socket, libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)
}

/// Keeps an IPv6 socket to IPv6, or lets it take IPv4 too.
pub fn only_v6(socket: BorrowedFd, only: bool) -> io::Result<()> {
    set(socket, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, only.into())
}

/// Removes the IP options of an IPv4 connection, so that answers are not source-routed.
pub fn kill_ip_options(socket: BorrowedFd) -> io::Result<()> {
    // SAFETY: no memory: an empty value.
    check(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_OPTIONS,
            std::ptr::null(),
            0,
        )
    })
    .map(drop)
}

/// Gives a socket its local address.
pub fn bind(socket: BorrowedFd, address: &SocketAddr) -> io::Result<()> {
    let (raw, size) = raw(address);
    // SAFETY: the kernel reads `size` bytes of `raw`, which has more.
    check(unsafe { libc::bind(socket.as_raw_fd(), (&raw const raw).cast(), size) }).map(drop)
}

/// Accepts connections, at most `backlog` of them waiting.
pub fn listen(socket: BorrowedFd, backlog: i32) -> io::Result<()> {
    // SAFETY: no memory is involved.
    check(unsafe { libc::listen(socket.as_raw_fd(), backlog) }).map(drop)
}

/// Connects a socket. `false`: it is under way, because the socket does not wait; when it can be
/// written, its [`error`] tells the end.
pub fn connect(socket: BorrowedFd, address: &SocketAddr) -> io::Result<bool> {
    let (raw, size) = raw(address);
    // SAFETY: the kernel reads `size` bytes of `raw`, which has more.
    let connected =
        retry(|| unsafe { libc::connect(socket.as_raw_fd(), (&raw const raw).cast(), size) });
    match connected.map_err(|why| (why.raw_os_error(), why)) {
        Ok(_) => Ok(true),
        // The last two come to who asks again after a signal.
        Err((Some(libc::EISCONN), _)) => Ok(true),
        Err((Some(libc::EINPROGRESS | libc::EALREADY), _)) => Ok(false),
        Err((_, why)) => Err(why),
    }
}

/// Takes the error that waits on a socket.
pub fn error(socket: BorrowedFd) -> io::Result<()> {
    match get(socket, libc::SO_ERROR)? {
        0 => Ok(()),
        number => Err(io::Error::from_raw_os_error(number)),
    }
}

/// Whether somebody listens on this socket.
pub fn listens(socket: BorrowedFd) -> io::Result<bool> {
    Ok(get(socket, libc::SO_ACCEPTCONN)? != 0)
}

/// Whether the descriptor is a socket.
pub fn is_socket(fd: BorrowedFd) -> bool {
    get(fd, libc::SO_TYPE).is_ok()
}

/// Whether the descriptor is a socket whose bytes come one after the other, as TCP's do.
pub fn is_stream(fd: BorrowedFd) -> bool {
    get(fd, libc::SO_TYPE).is_ok_and(|kind| kind == libc::SOCK_STREAM)
}

/// Whether the descriptor is a socket that keeps packets apart, as those of [`packet_pair`] do.
pub fn keeps_packets(fd: BorrowedFd) -> bool {
    get(fd, libc::SO_TYPE).is_ok_and(|kind| kind == libc::SOCK_SEQPACKET)
}

/// Two stream sockets, connected to each other and closed at exec.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    pair_of(libc::SOCK_STREAM)
}

fn pair_of(kind: libc::c_int) -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [-1; 2];
    let kind = kind | libc::SOCK_CLOEXEC;
    // SAFETY: the kernel fills the two numbers.
    check(unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr()) })?;
    // SAFETY: fresh from socketpair and owned by nobody else.
    Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) })
}

/// Two sockets, connected to each other and closed at exec, that keep packets apart.
pub fn packet_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    pair_of(libc::SOCK_SEQPACKET)
}

/// Sends a packet with two descriptors, without waiting and without SIGPIPE.
pub fn send_with(socket: BorrowedFd, bytes: &[u8], given: [BorrowedFd; 2]) -> io::Result<()> {
    let numbers = given.map(|fd| fd.as_raw_fd());
    let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let mut control = Control::default();
    let message = control.message(&mut part);
    let how = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the message points to `part`, which the kernel only reads, and to `control`, which
    // has room for one header and the two numbers that are copied behind it.
    let sent = unsafe {
        let head = libc::CMSG_FIRSTHDR(&message);
        (*head).cmsg_level = libc::SOL_SOCKET;
        (*head).cmsg_type = libc::SCM_RIGHTS;
        (*head).cmsg_len = libc::CMSG_LEN(size_of_val(&numbers) as u32) as usize;
        libc::CMSG_DATA(head).cast::<[RawFd; 2]>().write_unaligned(numbers);
        libc::sendmsg(socket.as_raw_fd(), &message, how)
    };
    if sent == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The bytes of a packet, and its descriptors.
pub type Given = (usize, [OwnedFd; 2]);

/// Waits for a packet of [`send_with`]: its bytes, at most as many as `into` has, and its two
/// descriptors, closed at exec. `None`: the other end is closed.
pub fn receive_with(socket: BorrowedFd, into: &mut [u8]) -> io::Result<Option<Given>> {
    receive_given(socket, into, 0)
}

/// The same without waiting.
pub fn receive_with_now(socket: BorrowedFd, into: &mut [u8]) -> io::Result<Option<Given>> {
    receive_given(socket, into, libc::MSG_DONTWAIT)
}

fn receive_given(socket: BorrowedFd, into: &mut [u8], how: i32) -> io::Result<Option<Given>> {
    let mut part = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
    let mut control = Control::default();
    let mut message = control.message(&mut part);
    // SAFETY: the kernel writes at most into.len() bytes there, and control messages to `control`.
    let count = retry(|| unsafe {
        libc::recvmsg(socket.as_raw_fd(), &mut message, libc::MSG_CMSG_CLOEXEC | how) as i32
    })?;
    // SAFETY: what the kernel has written. Two descriptors came in it only if its length says so,
    // and nobody else owns them.
    let given = unsafe {
        let head = libc::CMSG_FIRSTHDR(&message);
        let whole = libc::CMSG_LEN(size_of::<[RawFd; 2]>() as u32) as usize;
        (!head.is_null() && (*head).cmsg_type == libc::SCM_RIGHTS && (*head).cmsg_len == whole)
            .then(|| libc::CMSG_DATA(head).cast::<[RawFd; 2]>().read_unaligned())
            .map(|numbers| numbers.map(|number| OwnedFd::from_raw_fd(number)))
    };
    match (count, given) {
        (0, None) => Ok(None),
        (_, None) => Err(io::ErrorKind::InvalidData.into()),
        (count, Some(given)) => Ok(Some((count as usize, given))),
    }
}

/// Room for the control message that carries two descriptors.
#[derive(Default)]
#[repr(align(8))]
struct Control([u8; 24]);

impl Control {
    /// A message with this one part and this control message.
    fn message(&mut self, part: &mut libc::iovec) -> libc::msghdr {
        // SAFETY: an all-zero msghdr is a value: no address, no flags.
        let mut message: libc::msghdr = unsafe { zeroed() };
        message.msg_iov = part;
        message.msg_iovlen = 1;
        message.msg_control = self.0.as_mut_ptr().cast();
        message.msg_controllen = self.0.len();
        message
    }
}

/// One read that does not wait, whatever the flags of the file say, which others may share.
pub fn receive_now(socket: BorrowedFd, into: &mut [u8]) -> io::Result<usize> {
    receive(socket, into, libc::MSG_DONTWAIT)
}

/// The same, but what is read is still there for the next who reads.
pub fn peek_now(socket: BorrowedFd, into: &mut [u8]) -> io::Result<usize> {
    receive(socket, into, libc::MSG_DONTWAIT | libc::MSG_PEEK)
}

fn receive(socket: BorrowedFd, into: &mut [u8], how: i32) -> io::Result<usize> {
    loop {
        // SAFETY: the kernel writes at most into.len() bytes into the slice.
        let count = unsafe {
            let into_at = into.as_mut_ptr().cast();
            libc::recv(socket.as_raw_fd(), into_at, into.len(), how)
        };
        match usize::try_from(count).map_err(|_| io::Error::last_os_error()) {
            Err(why) if why.raw_os_error() == Some(libc::EINTR) => {}
            other => return other,
        }
    }
}

/// One write that does not wait and sends no SIGPIPE; it may take fewer bytes.
pub fn send_now(socket: BorrowedFd, bytes: &[u8]) -> io::Result<usize> {
    let how = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    loop {
        // SAFETY: the kernel reads at most bytes.len() bytes of the slice.
        let count =
            unsafe { libc::send(socket.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), how) };
        match usize::try_from(count).map_err(|_| io::Error::last_os_error()) {
            Err(why) if why.raw_os_error() == Some(libc::EINTR) => {}
            other => return other,
        }
    }
}

/// Tells the other end that nothing more comes, whoever else holds the socket. The other way
/// goes on.
pub fn end_output(socket: BorrowedFd) -> io::Result<()> {
    // SAFETY: no memory is involved.
    check(unsafe { libc::shutdown(socket.as_raw_fd(), libc::SHUT_WR) }).map(drop)
}

/// Hears nothing more, whoever else holds the socket. The other way goes on. Whoever writes at the
/// other end of a [`pair`] is told.
pub fn end_input(socket: BorrowedFd) -> io::Result<()> {
    // SAFETY: no memory is involved.
    check(unsafe { libc::shutdown(socket.as_raw_fd(), libc::SHUT_RD) }).map(drop)
}

/// The number of a network interface, for addresses that hold on one link only.
pub fn interface(name: &[u8]) -> Option<u32> {
    let name = std::ffi::CString::new(name).ok()?;
    // SAFETY: a NUL-ended string.
    let number = unsafe { libc::if_nametoindex(name.as_ptr()) };
    (number != 0).then_some(number)
}

/// The name of a network interface.
pub fn interface_name(number: u32) -> Option<Vec<u8>> {
    let mut name = [0u8; libc::IF_NAMESIZE];
    // SAFETY: the name has the room that the call asks for.
    let found = unsafe { libc::if_indextoname(number, name.as_mut_ptr().cast()) };
    let end = name.iter().position(|byte| *byte == 0)?;
    (!found.is_null()).then(|| name[..end].to_vec())
}

/// Sends what is written at once, however little it is, on a TCP connection; nothing else has it.
pub fn never_delay(socket: BorrowedFd) {
    let _ = set(socket, libc::IPPROTO_TCP, libc::TCP_NODELAY, 1);
}

fn set(socket: BorrowedFd, level: i32, option: i32, value: i32) -> io::Result<()> {
    let size = size_of::<i32>() as libc::socklen_t;
    // SAFETY: the kernel reads one int.
    check(unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), size)
    })
    .map(drop)
}

fn get(socket: BorrowedFd, option: i32) -> io::Result<i32> {
    let mut value = 0i32;
    let mut size = size_of::<i32>() as libc::socklen_t;
    // SAFETY: the kernel writes at most one int and its size.
    check(unsafe {
        let value = (&raw mut value).cast();
        libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, option, value, &mut size)
    })?;
    Ok(value)
}

/// An address as the kernel takes it, and how many bytes of it count.
fn raw(address: &SocketAddr) -> (libc::sockaddr_storage, libc::socklen_t) {
    // SAFETY: an all-zero storage is a value, and it is aligned and large enough for both kinds.
    let mut raw: libc::sockaddr_storage = unsafe { zeroed() };
    let size = match address {
        SocketAddr::V4(v4) => {
            // SAFETY: as above; this is the only reference to it.
            let to = unsafe { &mut *(&raw mut raw).cast::<libc::sockaddr_in>() };
            to.sin_family = libc::AF_INET as libc::sa_family_t;
            to.sin_port = v4.port().to_be();
            to.sin_addr.s_addr = u32::from(*v4.ip()).to_be();
            size_of::<libc::sockaddr_in>()
        }
        SocketAddr::V6(v6) => {
            // SAFETY: as above.
            let to = unsafe { &mut *(&raw mut raw).cast::<libc::sockaddr_in6>() };
            to.sin6_family = libc::AF_INET6 as libc::sa_family_t;
            to.sin6_port = v6.port().to_be();
            to.sin6_addr.s6_addr = v6.ip().octets();
            to.sin6_scope_id = v6.scope_id();
            size_of::<libc::sockaddr_in6>()
        }
    };
    (raw, size as libc::socklen_t)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;

    #[test]
    fn sockets_bind_listen_and_connect_in_both_families() {
        for text in ["127.0.0.1:0", "[::1]:0"] {
            let any: SocketAddr = text.parse().unwrap();
            let server = stream(&any).unwrap();
            bind(server.as_fd(), &any).unwrap();
            assert!(!listens(server.as_fd()).unwrap());
            listen(server.as_fd(), 5).unwrap();
            assert!(listens(server.as_fd()).unwrap());
            let at = TcpListener::from(server.try_clone().unwrap()).local_addr().unwrap();
            let client = stream(&at).unwrap();
            assert!(connect(client.as_fd(), &at).unwrap());
            error(client.as_fd()).unwrap();
            assert_eq!(TcpStream::from(client).peer_addr().unwrap(), at);
        }
    }

    #[test]
    fn interfaces_have_names_and_numbers() {
        let number = interface(b"lo").unwrap();
        assert_eq!(interface_name(number), Some(b"lo".to_vec()));
        assert_eq!((interface(b"no such"), interface_name(u32::MAX)), (None, None));
    }
}
