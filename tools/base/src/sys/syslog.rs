//! Messages to the system log, in the form that the C library gives them. The C library itself
//! does not tell when a message is lost.

use super::clock;
use crate::date::MONTHS;
use std::io::{self, ErrorKind, Write};
use std::os::unix::net::{UnixDatagram, UnixStream};

/// Where log daemons listen.
const LOG: &str = "/dev/log";

/// The facility "user", which stands for those that programs must not use.
const USER: u32 = 1;

/// The highest facility that fits a message.
const LAST: u32 = 127;

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// Somebody should act at once.
    Alert = libc::LOG_ALERT as isize,
    /// Something is not as it should be.
    Warning = libc::LOG_WARNING as isize,
    /// Everything else.
    Info = libc::LOG_INFO as isize,
}

/// The system log under one tag and facility.
pub struct Syslog {
    tag: Vec<u8>,
    facility: u32,
    daemon: Option<Daemon>,
}

/// A connection to the log daemon.
enum Daemon {
    Datagrams(UnixDatagram),
    Stream(UnixStream),
}

impl Syslog {
    /// `facility` is the number that syslog.conf's documentation gives, 2 for mail.
    pub fn new(tag: &[u8], facility: u32) -> Self {
        let facility = if (1..=LAST).contains(&facility) { facility } else { USER };
        Syslog { tag: tag.to_vec(), facility, daemon: None }
    }

    /// Logs a line. An error means that it is not logged.
    pub fn log(&mut self, priority: Priority, text: &[u8]) -> io::Result<()> {
        let record = self.record(priority, text)?;
        // A daemon that was started anew has another socket.
        self.send(&record).or_else(|_| self.send(&record))
    }

    /// `<22>Nov  7 01:02:03 tag: text`
    fn record(&self, priority: Priority, text: &[u8]) -> io::Result<Vec<u8>> {
        let now = clock::local(clock::seconds() as i64)?;
        let month = MONTHS.get(usize::from(now.month) - 1).copied().unwrap_or_default();
        let head = format!(
            "<{}>{month} {:2} {:02}:{:02}:{:02} ",
            self.facility << 3 | priority as u32,
            now.day,
            now.hour,
            now.minute,
            now.second
        );
        Ok([head.as_bytes(), &self.tag, b": ", text].concat())
    }

    /// Sends a record. After a failure the next one goes by a new connection.
    fn send(&mut self, record: &[u8]) -> io::Result<()> {
        let daemon = match self.daemon.take() {
            Some(daemon) => daemon,
            None => Daemon::connect()?,
        };
        daemon.send(record)?;
        self.daemon = Some(daemon);
        Ok(())
    }
}

impl Daemon {
    fn connect() -> io::Result<Self> {
        let datagrams = UnixDatagram::unbound()?;
        match insist(|| datagrams.connect(LOG)) {
            Err(why) if why.raw_os_error() == Some(libc::EPROTOTYPE) => {
                insist(|| UnixStream::connect(LOG)).map(Daemon::Stream)
            }
            done => done.map(|()| Daemon::Datagrams(datagrams)),
        }
    }

    fn send(&self, record: &[u8]) -> io::Result<()> {
        match self {
            Daemon::Datagrams(socket) => insist(|| socket.send(record)).map(drop),
            // A NUL ends a record.
            Daemon::Stream(socket) => { socket }.write_all(&[record, b"\0"].concat()),
        }
    }
}

/// Tries again as long as signals come in between.
fn insist<T>(mut what: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match what() {
            Err(why) if why.kind() == ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}
