//! Stream sockets that have a name in the file system, and who is at their other end.

use super::wait::Pid;
use super::{check, retry};
use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The process that connected, or that listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its number at that time.
    pub pid: Pid,
    /// Its effective user.
    pub uid: u32,
    /// Its effective group.
    pub gid: u32,
}

/// A socket, closed at exec.
pub fn stream() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC;
    // SAFETY: no memory is involved.
    let fd = check(unsafe { libc::socket(libc::AF_UNIX, kind, 0) })?;
    // SAFETY: fresh from socket and owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Gives a socket this name, which must be free; the umask decides who may connect.
pub fn bind(socket: BorrowedFd, path: &Path) -> io::Result<()> {
    let raw = raw(path)?;
    let size = size_of::<libc::sockaddr_un>() as libc::socklen_t;
    // SAFETY: the kernel reads one address of this frame.
    check(unsafe { libc::bind(socket.as_raw_fd(), (&raw const raw).cast(), size) }).map(drop)
}

/// Connects a socket to the one of this name.
pub fn connect(socket: BorrowedFd, path: &Path) -> io::Result<()> {
    let raw = raw(path)?;
    let size = size_of::<libc::sockaddr_un>() as libc::socklen_t;
    // SAFETY: the kernel reads one address of this frame.
    retry(|| unsafe { libc::connect(socket.as_raw_fd(), (&raw const raw).cast(), size) }).map(drop)
}

/// Who is at the other end of a connection.
pub fn peer(socket: BorrowedFd) -> io::Result<Peer> {
    let mut found = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut size = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: the kernel writes at most one ucred and its size.
    check(unsafe {
        let found = (&raw mut found).cast();
        let (level, option) = (libc::SOL_SOCKET, libc::SO_PEERCRED);
        libc::getsockopt(socket.as_raw_fd(), level, option, found, &mut size)
    })?;
    Ok(Peer { pid: found.pid, uid: found.uid, gid: found.gid })
}

/// A name as the kernel takes it: not empty, without NUL, at most 107 bytes.
fn raw(path: &Path) -> io::Result<libc::sockaddr_un> {
    let name = path.as_os_str().as_bytes();
    if name.is_empty() || name.contains(&0) {
        return Err(io::Error::from_raw_os_error(libc::ENOENT));
    }
    // SAFETY: an all-zero address is a value.
    let mut raw: libc::sockaddr_un = unsafe { zeroed() };
    raw.sun_family = libc::AF_UNIX as libc::sa_family_t;
    if name.len() >= raw.sun_path.len() {
        return Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG));
    }
    for (to, byte) in raw.sun_path.iter_mut().zip(name) {
        *to = *byte as libc::c_char;
    }
    Ok(raw)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{ids, socket};
    use std::os::fd::AsFd;

    #[test]
    fn both_ends_know_each_other() {
        let name = format!("base-unix-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let (server, client) = (stream().unwrap(), stream().unwrap());
        bind(server.as_fd(), &path).unwrap();
        socket::listen(server.as_fd(), 1).unwrap();
        connect(client.as_fd(), &path).unwrap();
        let (uid, gid) = (ids::effective_uid(), ids::effective_gid());
        let this = Peer { pid: std::process::id() as Pid, uid, gid };
        assert_eq!(peer(client.as_fd()).unwrap(), this);
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn names_that_no_socket_can_have_are_refused() {
        let number = |name: &str| raw(Path::new(name)).err().and_then(|why| why.raw_os_error());
        assert_eq!((number(""), number("a\0b")), (Some(libc::ENOENT), Some(libc::ENOENT)));
        let longest = "x".repeat(107);
        assert_eq!(number(&longest), None);
        assert_eq!(number(&(longest + "x")), Some(libc::ENAMETOOLONG));
    }
}
