//! What qmail-lspawn and qmail-rspawn share: orders from qmail-send, children, and their reports.
//!
//! Per order: a byte (the delivery's number), then the message's name below `queue/mess`, the
//! sender and the recipient, each ended by NUL. Per finished delivery: its number, a report that
//! begins with K (done), Z (not now) or D (never), NUL. The very first byte tells how many
//! deliveries may run at once.

use crate::runner::Runners;
use base::files;
use base::input::Input;
use base::sys::poll::{Wait, poll};
use base::sys::wait::{self, Pid, Status};
use base::sys::{clock, fd, signal};
use base::{Code, Die, Result, Unable};
use queue::users::{Role, Users};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

/// Bytes of one field of an order: far more than any address. A longer one fails as if memory
/// were short.
const FIELD: usize = 65536;

/// How long we wait if the system has no memory even for waiting.
const PAUSE: Duration = Duration::from_secs(1);

/// What one of the two spawners does its own way.
pub trait Deliver {
    /// Bytes that an ended child's output may have: the rest is thrown away.
    const OUTPUT: usize;

    /// Begins a delivery: a child with the message as descriptor 0 and `output` as 1 and 2. An
    /// error means that there is no child, and is reported as `unable to fork`. One of those that
    /// stay may do it instead.
    fn begin(
        &mut self,
        order: &Order,
        message: BorrowedFd,
        output: BorrowedFd,
        runners: &mut Runners,
    ) -> io::Result<Begun>;

    /// The report of a child that has ended. `output` is cut to [`Deliver::OUTPUT`] bytes and one
    /// more, which shows that it was longer.
    fn report(&self, status: Status, output: &[u8]) -> Vec<u8>;
}

/// How a delivery has begun.
pub enum Begun {
    /// This child works on it.
    Child(Pid),
    /// The runner of this id does, maybe among others.
    Runner(u64),
    /// There is nothing to do: the report.
    Done(Vec<u8>),
}

/// One delivery, as qmail-send asks for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// Which report belongs to it.
    pub number: u8,
    /// The message's name below `queue/mess`: `7/1234`.
    pub message: Vec<u8>,
    /// The envelope sender.
    pub sender: Vec<u8>,
    /// The recipient; it has an `@` when [`Deliver::begin`] sees it.
    pub recipient: Vec<u8>,
}

impl Order {
    /// The recipient's local part, up to the last `@`.
    pub fn local(&self) -> &[u8] {
        crate::address::split(&self.recipient).0
    }

    /// The recipient's domain, after the last `@`.
    pub fn domain(&self) -> &[u8] {
        crate::address::split(&self.recipient).1.unwrap_or_default()
    }

    /// Why it cannot be delivered, if its form tells.
    pub fn objection(&self) -> Option<&'static str> {
        let is_odd =
            |(at, byte): (usize, &u8)| !byte.is_ascii_digit() && (at == 0 || *byte != b'/');
        if self.message.iter().enumerate().any(is_odd) {
            Some("DInternal error: messid has nonnumerics. (#5.3.5)\n")
        } else if self.message.len() > 100 {
            Some("DInternal error: messid too long. (#5.3.5)\n")
        } else if self.message.is_empty() {
            Some("DInternal error: messid too short. (#5.3.5)\n")
        } else if [&self.message, &self.sender, &self.recipient].iter().any(|f| f.len() > FIELD) {
            Some("Zqmail-spawn out of memory. (#4.3.0)\n")
        } else if !self.recipient.contains(&b'@') {
            Some("DSorry, address must include host name. (#5.1.3)\n")
        } else {
            None
        }
    }
}

/// Takes orders apart, however reads cut them.
#[derive(Default)]
pub struct Orders {
    order: Order,
    /// What comes next: 0 the number, 1 the message, 2 the sender, 3 the recipient.
    field: u8,
}

impl Orders {
    /// Takes the next order off the front of `bytes`; `None` if its end is yet to come.
    pub fn next(&mut self, bytes: &mut &[u8]) -> Option<Order> {
        while let [first, rest @ ..] = *bytes {
            let field = match self.field {
                0 => {
                    self.order.number = *first;
                    self.field = 1;
                    *bytes = rest;
                    continue;
                }
                1 => &mut self.order.message,
                2 => &mut self.order.sender,
                _ => &mut self.order.recipient,
            };
            let end = memchr::memchr(0, bytes);
            let part = &bytes[..end.unwrap_or(bytes.len())];
            // One byte above the limit is kept, so that the order is seen to be too long.
            field.extend_from_slice(&part[..part.len().min(FIELD + 1 - field.len())]);
            *bytes = &bytes[end.map_or(bytes.len(), |end| end + 1)..];
            if end.is_some() {
                self.field = (self.field + 1) % 4;
                if self.field == 0 {
                    return Some(std::mem::take(&mut self.order));
                }
            }
        }
        None
    }
}

/// A delivery that is going on.
struct Delivery {
    by: By,
    /// How it ended, once it has.
    status: Option<Status>,
    /// The read end of its output, until that has ended: grandchildren may hold it longer.
    output: Option<OwnedFd>,
    text: Vec<u8>,
}

/// Who carries out a delivery.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Child(Pid),
    Runner(u64),
}

/// Where something is said.
#[derive(Clone, Copy)]
enum Source {
    /// The output of this delivery.
    Output(usize),
    /// The socket on which this runner says that it has done its work.
    Answers(u64),
}

/// Runs a spawner in the installation at `home` until qmail-send closes descriptor 0 and the last
/// delivery is reported.
pub fn run<D: Deliver>(home: &Path, deliver: D) -> Result<Code> {
    fd::fill_standard().unable("open /dev/null")?;
    let nobody = |name| Die::later(format_args!("unable to find user {name}"));
    let users = Users::of(home).map_err(nobody)?;
    std::env::set_current_dir(home).unable("switch to home directory")?;
    let most = ceiling().unable("read control/spawn")?;
    std::env::set_current_dir("queue/mess").unable("switch to queue directory")?;
    signal::ignore(signal::PIPE).unable("ignore SIGPIPE")?;
    let ended = signal::Signals::catch(&[signal::CHILD]).unable("catch SIGCHLD")?;
    fd::write_all(fd::STDOUT, &[most]).unable("write to qmail-send")?;
    let mut spawner = Spawner {
        deliver,
        owner: users.get(Role::Queue).uid,
        deliveries: (0..most).map(|_| None).collect(),
        runners: Runners::default(),
        orders: Orders::default(),
        closed: false,
    };
    spawner.work(&ended);
    Ok(Code::DONE)
}

/// Deliveries at once: `control/spawn`, 120 if there is none. It has to fit a byte.
fn ceiling() -> io::Result<u8> {
    let number = crate::control::Control::of(Path::new(".")).number("spawn")?.unwrap_or(120);
    Ok(number.clamp(1, 255) as u8)
}

struct Spawner<D> {
    deliver: D,
    /// The user who owns messages.
    owner: u32,
    /// By their numbers.
    deliveries: Vec<Option<Delivery>>,
    /// Who has stayed.
    runners: Runners,
    orders: Orders,
    /// No more orders come.
    closed: bool,
}

impl<D: Deliver> Spawner<D> {
    fn work(&mut self, ended: &signal::Signals) {
        let mut input = Input::with_size(fd::STDIN, 65536);
        while !self.closed || self.deliveries.iter().any(Option::is_some) {
            let (spoke, told, asked) = self.wait(ended);
            if told {
                ended.take().for_each(drop);
                self.children_ended();
            }
            for source in spoke {
                match source {
                    Source::Output(number) => self.output_read(number),
                    Source::Answers(id) => self.answers_read(id),
                }
            }
            self.settle_accidents();
            self.runners.end_old();
            self.report_finished();
            if asked {
                self.orders_read(&mut input);
            }
        }
    }

    /// Waits for something to do. Gives who said something, whether a child has ended, and whether
    /// there are orders.
    fn wait(&self, ended: &signal::Signals) -> (Vec<Source>, bool, bool) {
        let deliveries = self.deliveries.iter().enumerate();
        let outputs = deliveries.filter_map(|(number, delivery)| {
            let output = delivery.as_ref()?.output.as_ref()?;
            Some((Source::Output(number), output.as_fd()))
        });
        let runners = self.runners.all().iter();
        let answers = runners.filter_map(|r| Some((Source::Answers(r.id), r.socket()?)));
        let (sources, fds): (Vec<_>, Vec<_>) = outputs.chain(answers).unzip();
        let mut waits = vec![Wait::read(ended.fd())];
        waits.extend(fds.into_iter().map(Wait::read));
        if !self.closed {
            waits.push(Wait::read(fd::STDIN));
        }
        if poll(&mut waits, self.runners.next_end()).is_err() {
            clock::pause(PAUSE);
        }
        let asked = !self.closed && waits.last().is_some_and(|wait| wait.ready);
        let ready = sources.iter().zip(&waits[1..]).filter(|(_, wait)| wait.ready);
        (ready.map(|(source, _)| *source).collect(), waits[0].ready, asked)
    }

    fn orders_read(&mut self, input: &mut Input) {
        let Ok(bytes) = input.fill() else {
            self.closed = true;
            return;
        };
        self.closed = bytes.is_empty();
        let (mut rest, count) = (bytes, bytes.len());
        while let Some(order) = self.orders.next(&mut rest) {
            if let Some(report) = self.begin(&order) {
                say(order.number, &report);
            }
        }
        input.consume(count);
    }

    /// Begins a delivery; gives its report if it is over at once.
    fn begin(&mut self, order: &Order) -> Option<Vec<u8>> {
        match self.deliveries.get(usize::from(order.number)) {
            None => return Some(b"ZInternal error: delnum too big. (#4.3.5)\n".to_vec()),
            Some(Some(_)) => return Some(b"ZInternal error: delnum in use. (#4.3.5)\n".to_vec()),
            Some(None) => {}
        }
        let message = match order.objection().map_or_else(|| self.message(order), Err) {
            Ok(message) => message,
            Err(report) => return Some(report.into()),
        };
        let Ok((read, write)) = fd::pipe() else {
            return Some(b"Zqmail-spawn unable to create pipe. (#4.3.0)\n".to_vec());
        };
        let begun = self.deliver.begin(order, message.as_fd(), write.as_fd(), &mut self.runners);
        let by = match begun {
            Ok(Begun::Child(pid)) => By::Child(pid),
            Ok(Begun::Runner(id)) => By::Runner(id),
            Ok(Begun::Done(report)) => return Some(report),
            Err(_) => return Some(b"Zqmail-spawn unable to fork. (#4.3.0)\n".to_vec()),
        };
        let delivery = Delivery { by, status: None, output: Some(read), text: Vec::new() };
        self.deliveries[usize::from(order.number)] = Some(delivery);
        None
    }

    /// Opens the message. Only a regular file of the queue's owner is one.
    fn message(&self, order: &Order) -> std::result::Result<File, &'static str> {
        let name = Path::new(std::ffi::OsStr::from_bytes(&order.message));
        let file = files::open_read(name)
            .map_err(|_| "Zqmail-spawn unable to open message. (#4.3.0)\n")?;
        let about =
            file.metadata().map_err(|_| "Zqmail-spawn unable to fstat message. (#4.3.0)\n")?;
        if !about.is_file() {
            return Err("ZSorry, message has wrong type. (#4.3.5)\n");
        }
        if about.uid() != self.owner {
            return Err("ZSorry, message has wrong owner. (#4.3.5)\n");
        }
        // O_NONBLOCK was for FIFOs; the reader of the message shall not see it.
        let _ = fd::set_nonblocking(file.as_fd(), false);
        Ok(file)
    }

    fn children_ended(&mut self) {
        while let Some((pid, status)) = wait::any() {
            self.runners.ended(pid, status);
            let mut deliveries = self.deliveries.iter_mut().flatten();
            let is_its = |d: &&mut Delivery| d.by == By::Child(pid) && d.status.is_none();
            if let Some(delivery) = deliveries.find(is_its) {
                delivery.status = Some(status);
            }
        }
    }

    /// A runner says how deliveries have ended. Only its own, and each once: a user may have taken
    /// it over.
    fn answers_read(&mut self, id: u64) {
        while let Some(runner) = self.runners.find(id)
            && let Some((number, status)) = runner.answer()
        {
            let delivery = self.deliveries.get_mut(usize::from(number)).and_then(Option::as_mut);
            match delivery.filter(|d| d.by == By::Runner(id) && d.status.is_none()) {
                None => runner.silence(),
                Some(delivery) => {
                    delivery.status = Some(status);
                    self.runners.done(id);
                }
            }
        }
    }

    /// Deliveries of runners whose output has ended have an answer, or never will.
    fn settle_accidents(&mut self) {
        for number in 0..self.deliveries.len() {
            let Some(Delivery { by: By::Runner(id), status: None, output: None, .. }) =
                self.deliveries[number]
            else {
                continue;
            };
            self.answers_read(id);
            if let Some(delivery @ Delivery { status: None, .. }) = &mut self.deliveries[number]
                && let Some(status) = self.runners.accident(id)
            {
                delivery.status = Some(status);
                self.runners.done(id);
            }
        }
    }

    fn output_read(&mut self, number: usize) {
        let Some(delivery) = &mut self.deliveries[number] else { return };
        let Some(output) = &delivery.output else { return };
        let mut bytes = [0; 8192];
        match fd::read(output.as_fd(), &mut bytes) {
            Ok(0) | Err(_) => delivery.output = None,
            Ok(count) => {
                let room = D::OUTPUT + 1 - delivery.text.len();
                delivery.text.extend_from_slice(&bytes[..count.min(room)]);
            }
        }
    }

    /// Reports those who have ended and whose output has.
    fn report_finished(&mut self) {
        for (number, slot) in self.deliveries.iter_mut().enumerate() {
            let Some(Delivery { status: Some(status), output: None, text, .. }) = slot else {
                continue;
            };
            let report = self.deliver.report(*status, text);
            *slot = None;
            say(number as u8, &report);
        }
    }
}

/// Tells qmail-send, in one write. If it has gone, nobody is left to be told: the message will be
/// delivered again.
fn say(number: u8, report: &[u8]) {
    let end = memchr::memchr(0, report).unwrap_or(report.len());
    let _ = fd::write_all(fd::STDOUT, &[&[number], &report[..end], &b"\0"[..]].concat());
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::tests::Random;

    fn order(number: u8, message: &str, sender: &str, recipient: &str) -> Order {
        let [message, sender, recipient] = [message, sender, recipient].map(Vec::from);
        Order { number, message, sender, recipient }
    }

    fn all(orders: &mut Orders, mut bytes: &[u8]) -> Vec<Order> {
        std::iter::from_fn(|| orders.next(&mut bytes)).collect()
    }

    #[test]
    fn orders_are_the_same_however_they_are_cut() {
        let bytes = b"\x057/123\0me@a\0you@b@c\0\x00\0\0\0";
        let expected = [order(5, "7/123", "me@a", "you@b@c"), order(0, "", "", "")];
        for cut in 0..=bytes.len() {
            let mut orders = Orders::default();
            let mut seen = all(&mut orders, &bytes[..cut]);
            seen.extend(all(&mut orders, &bytes[cut..]));
            assert_eq!(seen, expected);
        }
        assert_eq!((expected[0].local(), expected[0].domain()), (&b"you@b"[..], &b"c"[..]));
    }

    #[test]
    fn any_bytes_are_orders_within_the_limit() {
        let mut random = Random::new(1);
        let mut orders = Orders::default();
        for _ in 0..10_000 {
            let bytes = if random.below(4) == 0 { random.next().to_be_bytes() } else { [b'1'; 8] };
            let bytes = bytes.repeat(random.below(16));
            for order in all(&mut orders, &bytes) {
                assert!(order.recipient.len() <= FIELD + 1);
            }
        }
        let mut orders = Orders::default();
        let long = [&b"\0\x31\0"[..], &vec![b'x'; 3 * FIELD], b"\0r@h\0"].concat();
        let seen = all(&mut orders, &long);
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].sender.len(), FIELD + 1);
        assert!(seen[0].objection().is_some_and(|why| why.contains("out of memory")));
    }

    #[test]
    fn objections_to_the_form_of_an_order() {
        let said = |message: &str, recipient: &str| order(0, message, "", recipient).objection();
        assert_eq!(said("7/123", "a@b"), None);
        let nonnumerics = Some("DInternal error: messid has nonnumerics. (#5.3.5)\n");
        assert_eq!(said("/123", "a@b"), nonnumerics);
        assert_eq!(said("7/../1", "a@b"), nonnumerics);
        let long = "1".repeat(101);
        assert_eq!(said(&long, "a@b"), Some("DInternal error: messid too long. (#5.3.5)\n"));
        assert_eq!(said("", "a@b"), Some("DInternal error: messid too short. (#5.3.5)\n"));
        let no_host = Some("DSorry, address must include host name. (#5.1.3)\n");
        assert_eq!(said("7/123", "nobody"), no_host);
    }
}
