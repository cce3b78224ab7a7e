//! A qmail-local that stays for a moment, and carries out one delivery after the other for the same
//! user: to start and to end a program is most of what a delivery into a Maildir costs.
//!
//! qmail-lspawn sends it a packet for each delivery: the delivery's number, one byte, and the eight
//! words of qmail-local(8), each ended by NUL, with two descriptors, the message and the output. It
//! need not wait for the answers, which are packets of two bytes in any order: the number, and the
//! exit code that a qmail-local of its own would have had. The output is closed after the answer: a
//! delivery whose output ends without one has met with an accident. A qmail-local ends when no
//! more packets can come.

use base::sys::wait::{Pid, Status};
use base::sys::{fd, signal, socket};
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::time::{Duration, Instant};

/// What a program has in it that understands such packets.
pub static MARK: &[u8] = b"qmail-local -w: takes orders of qmail-lspawn, form 2";

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

/// How many there are for one user before one gets a delivery while it works: one writes messages
/// while the other waits for the disk.
const PAIR: usize = 2;

/// Deliveries that one has at the same time.
const AT_ONCE: usize = 8;

/// One that works and has not answered for so long gets no more: a disk may hold it up.
const PATIENCE: Duration = Duration::from_secs(1);

/// The packet for a delivery. `None`: the words are too long for one.
pub fn packet(number: u8, words: &Words) -> Option<Vec<u8>> {
    let mut packet = vec![number];
    words.iter().for_each(|word| packet.extend([word.as_bytes(), b"\0"].concat()));
    (packet.len() <= PACKET).then_some(packet)
}

/// One that works, or waits.
pub struct Runner {
    /// Which one it is: a process number can come again while its children go on.
    pub id: u64,
    pid: Pid,
    socket: OwnedFd,
    /// The user and group whose deliveries it carries out.
    owner: (u32, u32),
    /// Deliveries that it was given.
    deliveries: u32,
    /// Those whose end is not known.
    open: usize,
    /// When it began to wait; or when it was last heard of, if it works.
    since: Instant,
    /// It gets no more.
    ends: bool,
    /// Nothing more is heard of it.
    mute: bool,
    /// How its process has ended, if it has. Its children may go on.
    ended: Option<Status>,
}

impl Runner {
    /// A new one with a delivery; `start` starts it with the other end of its socket as descriptor
    /// 0. The order is there before it: it may end at once, and how that delivery ends then.
    pub fn new(
        owner: (u32, u32),
        packet: &[u8],
        given: [BorrowedFd; 2],
        start: impl FnOnce(BorrowedFd) -> io::Result<Pid>,
    ) -> io::Result<Self> {
        let (socket, theirs) = socket::packet_pair()?;
        socket::send_with(socket.as_fd(), packet, given)?;
        Ok(Runner {
            id: 0,
            pid: start(theirs.as_fd())?,
            socket,
            owner,
            deliveries: 1,
            open: 1,
            since: Instant::now(),
            ends: false,
            mute: false,
            ended: None,
        })
    }

    /// Has it carry out a delivery: a packet, the message and the output. Fails if it has gone.
    fn order(&mut self, packet: &[u8], given: [BorrowedFd; 2]) -> io::Result<()> {
        socket::send_with(self.socket.as_fd(), packet, given)?;
        if self.open == 0 {
            self.since = Instant::now();
        }
        self.deliveries += 1;
        self.open += 1;
        Ok(())
    }

    /// What can be read when it has done something. `None`: it has nothing to do, or will say no
    /// more.
    pub fn socket(&self) -> Option<BorrowedFd<'_>> {
        (self.open > 0 && !self.mute).then(|| self.socket.as_fd())
    }

    /// The number of a delivery that has ended, and how. `None`: it has not said so of another one.
    pub fn answer(&mut self) -> Option<(u8, Status)> {
        if self.mute {
            return None;
        }
        let mut answer = [0; 3];
        let mut heard = socket::receive_now(self.socket.as_fd(), &mut answer);
        if heard.as_ref().is_err_and(|why| why.kind() == ErrorKind::ConnectionReset) {
            // It is gone and has not read all orders: that comes before what it has said.
            heard = socket::receive_now(self.socket.as_fd(), &mut answer);
        }
        match heard.map_err(|why| why.kind()) {
            Ok(2) => {
                self.since = Instant::now();
                Some((answer[0], Status(i32::from(answer[1]) << 8)))
            }
            Err(ErrorKind::WouldBlock) => None,
            // It is closed, or no answer.
            _ => {
                self.silence();
                None
            }
        }
    }

    /// Hears no more of it: its user, who can write anything there, has done so.
    pub fn silence(&mut self) {
        self.mute = true;
        self.end();
    }

    /// Has it end when it has done what it was asked for.
    fn end(&mut self) {
        self.ends = true;
        let _ = socket::end_output(self.socket.as_fd());
    }

    fn is_idle(&self) -> bool {
        self.open == 0
    }

    fn takes_orders(&self) -> bool {
        !self.ends && self.deliveries < DELIVERIES
    }
}

/// A delivery, as a qmail-local is told of it.
pub struct Order {
    /// The delivery's number.
    pub number: u8,
    /// The words of qmail-local(8).
    pub words: Words,
    /// The message.
    pub message: OwnedFd,
    /// Where its output goes. Whoever holds it holds up the end of the delivery.
    pub output: OwnedFd,
}

impl Order {
    /// Waits for the next order. `None`: no more can come.
    pub fn next(socket: BorrowedFd) -> io::Result<Option<Self>> {
        Order::receive(socket, socket::receive_with)
    }

    /// The next order, if it is there already.
    pub fn at_hand(socket: BorrowedFd) -> io::Result<Option<Self>> {
        match Order::receive(socket, socket::receive_with_now) {
            Err(why) if why.kind() == ErrorKind::WouldBlock => Ok(None),
            other => other,
        }
    }

    fn receive(
        socket: BorrowedFd,
        receive: fn(BorrowedFd, &mut [u8]) -> io::Result<Option<socket::Given>>,
    ) -> io::Result<Option<Self>> {
        let mut packet = [0; PACKET];
        let Some((count, [message, output])) = receive(socket, &mut packet)? else {
            return Ok(None);
        };
        let (number, rest) = packet[..count].split_first().ok_or(ErrorKind::InvalidData)?;
        let mut parts = rest.split(|byte| *byte == 0);
        let mut words = Words::default();
        for word in &mut words {
            *word = OsString::from_vec(parts.next().ok_or(ErrorKind::InvalidData)?.to_vec());
        }
        Ok(Some(Order { number: *number, words, message, output }))
    }
}

/// Says how a delivery has ended. Its output is closed after that.
pub fn answer(socket: BorrowedFd, number: u8, code: u8) -> io::Result<()> {
    fd::write_all(socket, &[number, code])
}

/// All that there are, the last one that began to wait at the end.
#[derive(Default)]
pub struct Runners {
    all: Vec<Runner>,
    /// How many there were.
    count: u64,
}

impl Runners {
    /// Adds a new one; gives its id.
    pub fn add(&mut self, runner: Runner) -> u64 {
        self.count += 1;
        self.all.push(Runner { id: self.count, ..runner });
        self.count
    }

    /// All that there are.
    pub fn all(&self) -> &[Runner] {
        &self.all
    }

    /// One of them.
    pub fn find(&mut self, id: u64) -> Option<&mut Runner> {
        self.all.iter_mut().find(|runner| runner.id == id)
    }

    /// Has one carry out a delivery for this user and group, and gives its id: who waits, the last
    /// one that began to; or, of a pair that works, who has less to do. `None`: there is nobody.
    pub fn order(
        &mut self,
        owner: (u32, u32),
        packet: &[u8],
        given: [BorrowedFd; 2],
    ) -> Option<u64> {
        while let Some(runner) = self.choose(owner) {
            if runner.order(packet, given).is_ok() {
                return Some(runner.id);
            }
            // It has gone, and that will be heard.
            runner.end();
        }
        None
    }

    fn choose(&mut self, owner: (u32, u32)) -> Option<&mut Runner> {
        let all = self.all.iter_mut();
        let mut own: Vec<_> = all.filter(|r| r.owner == owner && r.takes_orders()).collect();
        if let Some(at) = own.iter().rposition(|runner| runner.is_idle()) {
            return Some(own.swap_remove(at));
        }
        if own.len() < PAIR {
            return None;
        }
        own.retain(|runner| runner.open < AT_ONCE && runner.since.elapsed() < PATIENCE);
        own.into_iter().min_by_key(|runner| runner.open)
    }

    /// The end of a delivery is known that one was given.
    pub fn done(&mut self, id: u64) {
        let Some(at) = self.all.iter().position(|runner| runner.id == id) else { return };
        let runner = &mut self.all[at];
        runner.open = runner.open.saturating_sub(1);
        if !runner.is_idle() {
            return;
        }
        let mut runner = self.all.remove(at);
        if runner.takes_orders() {
            runner.since = Instant::now();
            self.all.push(runner);
        }
        let mut idle = self.all.iter().filter(|runner| runner.is_idle());
        if let Some(oldest) = idle.next().map(|runner| runner.id)
            && idle.count() >= WAITING
        {
            self.all.retain(|runner| runner.id != oldest);
        }
    }

    /// How a delivery has ended whose output has ended without an answer: as the process does.
    /// `None`: it still runs, but not for long.
    pub fn accident(&mut self, id: u64) -> Option<Status> {
        let killed = Status(signal::KILL);
        let Some(runner) = self.find(id) else { return Some(killed) };
        match runner.ended {
            None => {
                runner.end();
                None
            }
            Some(status) if status.code() == Some(0) => Some(killed),
            ended => ended,
        }
    }

    /// A process has ended: one of these, or another one.
    pub fn ended(&mut self, pid: Pid, status: Status) {
        let is_it = |runner: &&mut Runner| runner.pid == pid && runner.ended.is_none();
        let Some(runner) = self.all.iter_mut().find(is_it) else { return };
        runner.ended = Some(status);
        runner.end();
        self.all.retain(|runner| !runner.is_idle() || runner.ended.is_none());
    }

    /// How long it is until one has waited long enough.
    pub fn next_end(&self) -> Option<Duration> {
        let idle = self.all.iter().find(|runner| runner.is_idle())?;
        Some(STAY.saturating_sub(idle.since.elapsed()))
    }

    /// Ends those that have waited long enough.
    pub fn end_old(&mut self) {
        self.all.retain(|runner| !runner.is_idle() || runner.since.elapsed() < STAY);
    }

    /// Ends all, when they have done what they were asked for.
    pub fn end_all(&mut self) {
        self.all.retain(|runner| !runner.is_idle());
        self.all.iter_mut().for_each(Runner::end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    /// The owner of all but a few.
    const JOE: (u32, u32) = (507, 100);

    /// Runners that have only an end of a socket, in the order of their ids.
    #[derive(Default)]
    struct Test {
        runners: Runners,
        ends: Vec<OwnedFd>,
    }

    impl Test {
        fn order(&mut self, owner: (u32, u32)) -> Option<u64> {
            let null = File::open("/dev/null").unwrap();
            self.runners.order(owner, b"packet", [null.as_fd(); 2])
        }

        /// A new one with a delivery.
        fn add(&mut self, owner: (u32, u32)) -> u64 {
            let null = File::open("/dev/null").unwrap();
            let start = |end: BorrowedFd| {
                self.ends.push(end.try_clone_to_owned()?);
                Ok(1000 + self.ends.len() as Pid)
            };
            self.runners.add(Runner::new(owner, b"packet", [null.as_fd(); 2], start).unwrap())
        }
    }

    #[test]
    fn who_waits_is_chosen_first_and_then_the_pair() {
        let mut test = Test::default();
        assert_eq!(test.order(JOE), None);
        assert_eq!((test.add(JOE), test.order(JOE)), (1, None));
        test.runners.done(1);
        assert_eq!((test.order(JOE), test.order((0, 100))), (Some(1), None));
        // two work: who has less to do gets more, until both have enough
        assert_eq!(test.add(JOE), 2);
        let given: Vec<_> = std::iter::from_fn(|| test.order(JOE)).collect();
        assert_eq!(given.len(), 2 * (AT_ONCE - 1));
        assert!(given.chunks(2).all(|pair| pair.contains(&1) && pair.contains(&2)), "{given:?}");
        // a third one shares what comes
        assert_eq!((test.add(JOE), test.order(JOE)), (3, Some(3)));
        test.runners.done(2);
        let given = [test.order(JOE), test.order(JOE)];
        assert_eq!(given, [Some(3), Some(3)]);
    }

    #[test]
    fn who_is_held_up_gets_no_more() {
        let mut test = Test::default();
        assert_eq!((test.add(JOE), test.add(JOE)), (1, 2));
        test.runners.find(1).unwrap().since -= PATIENCE;
        assert_eq!((test.order(JOE), test.order(JOE)), (Some(2), Some(2)));
        test.runners.find(2).unwrap().since -= PATIENCE;
        assert_eq!(test.order(JOE), None);
        // an answer is a sign of life
        answer(test.ends[0].as_fd(), 7, 111).unwrap();
        let heard = test.runners.find(1).and_then(Runner::answer);
        assert_eq!(heard, Some((7, Status(111 << 8))));
        assert_eq!(test.order(JOE), Some(1));
    }

    #[test]
    fn few_wait_and_nobody_for_long() {
        let mut test = Test::default();
        let ids: Vec<u64> = (0..WAITING as u32 + 5).map(|uid| test.add((uid, uid))).collect();
        ids.iter().for_each(|id| test.runners.done(*id));
        let waiting: Vec<u64> = test.runners.all().iter().map(|runner| runner.id).collect();
        assert_eq!(waiting, ids[5..]);
        test.runners.find(ids[5]).unwrap().since -= STAY;
        assert_eq!(test.runners.next_end(), Some(Duration::ZERO));
        test.runners.end_old();
        assert_eq!(test.runners.all().len(), WAITING - 1);
        test.runners.end_all();
        assert!(test.runners.all().is_empty() && test.runners.next_end().is_none());
    }

    #[test]
    fn a_hundred_deliveries_are_enough_for_one() {
        let mut test = Test::default();
        assert_eq!(test.add(JOE), 1);
        for _ in 1..DELIVERIES {
            socket::receive_with(test.ends[0].as_fd(), &mut [0; 9]).unwrap();
            test.runners.done(1);
            assert_eq!(test.order(JOE), Some(1));
        }
        test.runners.done(1);
        assert_eq!((test.order(JOE), test.runners.all().len()), (None, 0));
    }

    #[test]
    fn an_accident_ends_as_the_process_does() {
        let mut test = Test::default();
        for (code, expected) in [(0, signal::KILL), (9, 9), (111 << 8, 111 << 8)] {
            let id = test.add(JOE);
            let pid = test.runners.find(id).unwrap().pid;
            // it has to end now, and gets no more
            assert_eq!((test.runners.accident(id), test.order(JOE)), (None, None));
            test.runners.ended(pid, Status(code));
            assert_eq!(test.runners.accident(id), Some(Status(expected)));
            // another process may have its number by now
            test.runners.ended(pid, Status(1));
            assert_eq!(test.runners.accident(id), Some(Status(expected)));
            test.runners.done(id);
            assert!(test.runners.all().is_empty());
        }
    }
}
