//! One way out of the queue: the connection to its spawner, the deliveries that are going on, the
//! messages that wait.

use super::pass::Pass;
use super::reports::{Report, Reports};
use super::rewrite::Side;
use super::schedule::Schedule;
use base::sys::fd;
use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::os::fd::BorrowedFd;

/// Bytes of unsent orders beyond which no delivery begins.
const UNSENT: usize = 4096;

/// A delivery that is going on.
pub struct Delivery {
    /// Its number in the log.
    pub number: u64,
    /// The message.
    pub message: u64,
    /// Where in the file of recipients the letter of this one is.
    pub at: u64,
    /// The recipient, as the spawner was told.
    pub recipient: Vec<u8>,
}

/// A spawner and everything that goes through it.
pub struct Channel {
    /// Which one.
    pub side: Side,
    /// Where orders go.
    pub to: BorrowedFd<'static>,
    /// Where reports come from.
    pub from: BorrowedFd<'static>,
    /// The spawner is there.
    pub alive: bool,
    /// Orders that have not been sent, or did not fit the pipe.
    unsent: Vec<u8>,
    reports: Reports,
    /// Deliveries by the number that the spawner knows them by.
    slots: Vec<Option<Delivery>>,
    /// How many there are.
    pub busy: usize,
    /// Messages by their next try.
    pub schedule: Schedule,
    /// Messages that are being tried.
    pub passes: HashMap<u64, Pass>,
    /// The one whose recipients are given out at the moment.
    pub current: Option<u64>,
    /// Whose turn it is when the next message begins: one that is tried for the first time.
    pub turn: bool,
}

impl Channel {
    /// A channel for so many deliveries at once.
    pub fn new(side: Side, slots: usize) -> Self {
        let (to, from) = descriptors(side);
        Channel {
            side,
            to,
            from,
            alive: true,
            unsent: Vec::new(),
            reports: Reports::default(),
            slots: (0..slots).map(|_| None).collect(),
            busy: 0,
            schedule: Schedule::default(),
            passes: HashMap::new(),
            current: None,
            turn: false,
        }
    }

    /// Deliveries at once.
    pub fn most(&self) -> usize {
        self.slots.len()
    }

    /// Whether another delivery can begin now.
    pub fn has_room(&self) -> bool {
        self.alive && self.unsent.len() < UNSENT && self.busy < self.slots.len()
    }

    /// When there is work: at once as long as a message is being given out.
    pub fn next_time(&self) -> Option<u64> {
        if self.current.is_some() { Some(0) } else { self.schedule.next() }
    }

    /// Whether orders wait for room in the pipe.
    pub fn is_stuck(&self) -> bool {
        self.alive && !self.unsent.is_empty()
    }

    /// Orders a delivery, in the lowest free slot: there has to be room.
    pub fn order(&mut self, path: &str, sender: &[u8], delivery: Delivery) {
        let Some(slot) = self.slots.iter().position(Option::is_none) else { return };
        let parts =
            [&[slot as u8], path.as_bytes(), b"\0", sender, b"\0", &delivery.recipient, b"\0"];
        self.unsent.extend(parts.concat());
        self.slots[slot] = Some(delivery);
        self.busy += 1;
    }

    /// Sends orders, as far as the pipe takes them.
    pub fn send(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() {
            match fd::write(self.to, &self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(why) if why.kind() == ErrorKind::WouldBlock => break,
                Err(why) => return Err(why),
            }
        }
        Ok(())
    }

    /// Takes the reports of one read. The end of them is an error.
    pub fn read(&mut self) -> io::Result<Vec<Report>> {
        let mut bytes = [0; 16384];
        let count = fd::read(self.from, &mut bytes)?;
        if count == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let mut rest = &bytes[..count];
        Ok(std::iter::from_fn(|| self.reports.next(&mut rest)).collect())
    }

    /// Frees the slot of a delivery that has ended. `None`: there is no such delivery.
    pub fn end(&mut self, slot: u8) -> Option<Delivery> {
        let delivery = self.slots.get_mut(usize::from(slot))?.take()?;
        self.busy -= 1;
        Some(delivery)
    }
}

/// The descriptors that qmail-start gave us for a spawner: for orders, and for reports.
pub fn descriptors(side: Side) -> (BorrowedFd<'static>, BorrowedFd<'static>) {
    match side {
        Side::Local => (fd::number(1), fd::number(2)),
        Side::Remote => (fd::number(3), fd::number(4)),
    }
}
