//! A qmail-local that stays for a moment, and carries out one delivery after the other for the same
//! user: to start and to end a program is most of what a delivery into a Maildir costs.
//!
//! qmail-lspawn sends it a packet for each delivery: the eight words of qmail-local(8), each ended
//! by NUL, with two descriptors, the message and the output. It answers with a packet of one byte:
//! the exit code that a qmail-local of its own would have had. It ends when the socket is closed.

use base::sys::wait::{Pid, Status};
use base::sys::{fd, signal, socket};
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::time::{Duration, Instant};

/// What a program has in it that understands such packets.
pub static MARK: &[u8] = b"qmail-local -w: takes orders of qmail-lspawn, form 1";

/// The eight words of a delivery.
pub type Words = [OsString; 8];

/// Bytes of a packet. Whoever has longer words gets a qmail-local of his own.
const PACKET: usize = 16384;

/// Deliveries of one process. It has limits, and some of them are on the time it has run.
const DELIVERIES: u32 = 100;

/// How long it waits for another delivery.
const STAY: Duration = Duration::from_secs(5);

/// How many of them may wait.
const WAITING: usize = 20;

/// The packet for a delivery. `None`: the words are too long for one.
pub fn packet(words: &Words) -> Option<Vec<u8>> {
    let packet =
        words.iter().flat_map(|word| [word.as_bytes(), b"\0"]).collect::<Vec<_>>().concat();
    (packet.len() <= PACKET).then_some(packet)
}

/// One that works, or waits.
pub struct Runner {
    /// Its process.
    pub pid: Pid,
    socket: OwnedFd,
    /// The user and group whose deliveries it carries out.
    owner: (u32, u32),
    deliveries: u32,
    /// Nothing more is heard of it: it has ended, or will.
    mute: bool,
}

impl Runner {
    /// A new one, that `start` has started with the other end of its socket as descriptor 0.
    pub fn new(
        owner: (u32, u32),
        start: impl FnOnce(BorrowedFd) -> io::Result<Pid>,
    ) -> io::Result<Self> {
        let (socket, theirs) = socket::packet_pair()?;
        Ok(Runner { pid: start(theirs.as_fd())?, socket, owner, deliveries: 0, mute: false })
    }

    /// Has it carry out a delivery. Fails if it has gone.
    pub fn order(&mut self, packet: &[u8], message: BorrowedFd, out: BorrowedFd) -> io::Result<()> {
        self.deliveries += 1;
        socket::send_with(self.socket.as_fd(), packet, [message, out])
    }

    /// What can be read when it has done so. `None`: it will say no more.
    pub fn socket(&self) -> Option<BorrowedFd<'_>> {
        (!self.mute).then(|| self.socket.as_fd())
    }

    /// How the delivery has ended, if it has. What cannot be heard is a crash.
    pub fn answer(&mut self) -> Option<Status> {
        let mut code = [0];
        match socket::receive_now(self.socket.as_fd(), &mut code).map_err(|why| why.kind()) {
            Ok(1) => Some(Status(i32::from(code[0]) << 8)),
            Err(ErrorKind::WouldBlock) => None,
            heard => {
                self.mute = true;
                let closed = matches!(heard, Ok(_) | Err(ErrorKind::ConnectionReset));
                (!closed).then_some(Status(signal::KILL))
            }
        }
    }
}

/// Takes the next order off the socket. `None`: there are no more.
pub fn next_order(socket: BorrowedFd) -> io::Result<Option<(Words, [OwnedFd; 2])>> {
    let mut packet = [0; PACKET];
    let Some((count, given)) = socket::receive_with(socket, &mut packet)? else { return Ok(None) };
    let mut words = packet[..count].split(|byte| *byte == 0);
    let mut word = || words.next().map(|word| OsString::from_vec(word.to_vec()));
    let mut all = Words::default();
    for place in &mut all {
        *place = word().ok_or(ErrorKind::InvalidData)?;
    }
    Ok(Some((all, given)))
}

/// Says how a delivery has ended.
pub fn answer(socket: BorrowedFd, code: u8) -> io::Result<()> {
    fd::write_all(socket, &[code])
}

/// Those that wait for work, the last one that began to wait at the end.
#[derive(Default)]
pub struct Runners(Vec<(Runner, Instant)>);

impl Runners {
    /// Takes one of this user and group.
    pub fn take(&mut self, owner: (u32, u32)) -> Option<Runner> {
        let at = self.0.iter().rposition(|(runner, _)| runner.owner == owner)?;
        Some(self.0.remove(at).0)
    }

    /// Lets one wait that has done its work.
    pub fn give(&mut self, runner: Runner) {
        if runner.deliveries < DELIVERIES && !runner.mute {
            self.0.push((runner, Instant::now()));
        }
        if self.0.len() > WAITING {
            self.0.remove(0);
        }
    }

    /// Forgets one that has ended.
    pub fn ended(&mut self, pid: Pid) {
        self.0.retain(|(runner, _)| runner.pid != pid);
    }

    /// How long it is until one has waited long enough.
    pub fn next_end(&self) -> Option<Duration> {
        self.0.first().map(|(_, since)| STAY.saturating_sub(since.elapsed()))
    }

    /// Ends those that have waited long enough.
    pub fn end_old(&mut self) {
        self.0.retain(|(_, since)| since.elapsed() < STAY);
    }

    /// Ends all.
    pub fn end_all(&mut self) {
        self.0.clear();
    }
}
