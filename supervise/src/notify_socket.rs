//! The socket behind `$NOTIFY_SOCKET`, to which services written for systemd say `READY=1`.
//!
//! It has an abstract name, so that a service needs no right to any folder. Everybody on the
//! machine can send to it: what counts is what root or the user of the service has sent.

use base::sys::random;
use base::sys::wait::Pid;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, UnixCredentials, recvmsg, setsockopt, sockopt,
};
use std::fs;
use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Bytes of a message that are looked at.
const LONGEST: usize = 4096;

/// Messages that are read at a time, so that a flood keeps nobody from other work.
const MOST: usize = 64;

/// The socket.
pub struct NotifySocket {
    name: String,
    socket: UnixDatagram,
}

impl NotifySocket {
    /// One with a name that nobody has.
    pub fn new() -> io::Result<NotifySocket> {
        let mut bytes = [0; 16];
        random::fill(&mut bytes);
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        NotifySocket::named(&format!("supervise/{digits}"))
    }

    /// One with this name.
    pub fn named(name: &str) -> io::Result<NotifySocket> {
        let address = SocketAddr::from_abstract_name(name)?;
        let socket = UnixDatagram::bind_addr(&address)?;
        socket.set_nonblocking(true)?;
        setsockopt(&socket, sockopt::PassCred, &true)?;
        Ok(NotifySocket { name: name.to_owned(), socket })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value of `NOTIFY_SOCKET`.
    pub fn address(&self) -> String {
        format!("@{}", self.name)
    }

    /// Readable when there is a message.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Reads the messages that there are; whether the service of this process is ready.
    pub fn says_ready(&self, service: Pid) -> bool {
        let mut ready = false;
        for _ in 0..MOST {
            let mut bytes = vec![0; LONGEST];
            match self.receive(&mut bytes) {
                Ok((count, sender)) => {
                    ready |= is_ready(&bytes[..count])
                        && sender.is_some_and(|sender| may_speak(&sender, service));
                }
                Err(_) => break,
            }
        }
        ready
    }

    /// One message and who has sent it. Descriptors in it are closed: there is no room for them.
    fn receive(&self, bytes: &mut [u8]) -> io::Result<(usize, Option<UnixCredentials>)> {
        let mut into = [IoSliceMut::new(bytes)];
        let mut control = nix::cmsg_space!(UnixCredentials);
        let number = self.socket.as_raw_fd();
        let message = recvmsg::<()>(number, &mut into, Some(&mut control), MsgFlags::empty())?;
        let sender = message.cmsgs()?.find_map(|part| match part {
            ControlMessageOwned::ScmCredentials(sender) => Some(sender),
            _ => None,
        });
        Ok((message.bytes, sender))
    }
}

/// One of the message's lines is `READY=1`.
fn is_ready(message: &[u8]) -> bool {
    message.split(|byte| *byte == b'\n').any(|line| line == b"READY=1")
}

fn may_speak(sender: &UnixCredentials, service: Pid) -> bool {
    let owner = || fs::metadata(format!("/proc/{service}")).map(|found| found.uid());
    sender.uid() == 0 || owner().is_ok_and(|owner| owner == sender.uid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_is_a_line_of_its_own() {
        for message in ["READY=1", "STATUS=up\nREADY=1\n", "READY=1\nMAINPID=7"] {
            assert!(is_ready(message.as_bytes()), "{message}");
        }
        for message in ["", "READY=0", "READY=11", "XREADY=1", "STATUS=READY=1"] {
            assert!(!is_ready(message.as_bytes()), "{message}");
        }
    }

    #[test]
    fn a_message_arrives_and_is_read_once() {
        let socket = NotifySocket::new().unwrap();
        let sender = UnixDatagram::unbound().unwrap();
        let address = SocketAddr::from_abstract_name(socket.name()).unwrap();
        let me = std::process::id() as Pid;
        assert!(!socket.says_ready(me));
        sender.send_to_addr(b"STATUS=starting", &address).unwrap();
        assert!(!socket.says_ready(me));
        sender.send_to_addr(b"READY=1", &address).unwrap();
        assert!(socket.says_ready(me));
        assert!(!socket.says_ready(me));
    }
}
