//! Moves bytes: the handshake of a connection, then its data to and from a program. Memory is
//! bounded by one record each way, nothing waits but the poll, and each way ends on its own.

use super::end::End;
use base::errno;
use base::sys::poll::{Wait, poll};
use base::sys::socket;
use rustls::Connection;
use std::fmt;
use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// So much is taken from the program at once: a record.
const RECORD: usize = 16384;
/// When both sides have said all that they will, the other end may take so long to go. Whoever
/// closes with bytes unread makes the other system forget what it has not handed over yet.
const LINGER: Duration = Duration::from_secs(5);

/// Why a connection ends before its time.
#[derive(Debug)]
pub enum Broken {
    /// What came is not TLS, or not acceptable.
    Tls(rustls::Error),
    /// The connection fails.
    Io(io::Error),
    /// The other end goes away during the handshake.
    Closed,
    /// Nothing has come for too long.
    TimedOut,
}

impl fmt::Display for Broken {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Broken::Tls(why) => to.write_str(&one_line(why)),
            Broken::Io(why) => to.write_str(errno::words(why).as_ref()),
            Broken::Closed => to.write_str("connection closed"),
            Broken::TimedOut => to.write_str("timed out"),
        }
    }
}

/// An error for a log, whatever of the other end's words is in it.
fn one_line(why: &rustls::Error) -> String {
    let shown = |letter: char| if letter.is_control() { '?' } else { letter };
    why.to_string().chars().map(shown).take(200).collect()
}

/// Two descriptors, to be read and to be written. They may be the same connection.
#[derive(Debug)]
pub struct Ends {
    /// Bytes come from here.
    pub from: End,
    /// Bytes go here.
    pub to: End,
}

impl Ends {
    /// A connection under two numbers, which others may share.
    pub fn new(from: OwnedFd, to: OwnedFd) -> Self {
        Ends { from: End::new(from), to: End::new(to) }
    }

    /// A socket for both ways.
    pub fn socket(socket: OwnedFd) -> io::Result<Self> {
        Ok(Ends::new(socket.try_clone()?, socket))
    }

    /// The ends of two pipes that nobody else holds.
    pub fn pipes(from: OwnedFd, to: OwnedFd) -> io::Result<Self> {
        Ok(Ends { from: End::ours(from)?, to: End::ours(to)? })
    }
}

/// Goes through the handshake. If it fails, the other end has been told why, as far as it listens.
///
/// Whatever is written is all there is to say. The last piece of a handshake would wait for the
/// other end to confirm the one before, which takes 40 ms.
pub fn handshake(tls: &mut Connection, wire: &mut Ends, limit: Duration) -> Result<(), Broken> {
    socket::never_delay(wire.to.as_fd());
    let deadline = Instant::now().checked_add(limit);
    while tls.is_handshaking() {
        let write = tls.wants_write();
        let mut wait = [if write { wire.to.writable() } else { wire.from.readable() }];
        let left = deadline.map(|end| end.saturating_duration_since(Instant::now()));
        if poll(&mut wait, left).map_err(Broken::Io)? == 0 {
            if left.is_some_and(|left| left.is_zero()) {
                return Err(Broken::TimedOut);
            }
        } else if write {
            later(tls.write_tls(&mut wire.to)).map_err(Broken::Io)?;
        } else if later(tls.read_tls(&mut wire.from)).map_err(Broken::Io)? == Some(0) {
            return Err(Broken::Closed);
        } else {
            understand(tls, &mut wire.to)?;
        }
    }
    Ok(())
}

/// Takes what has come into account. If it is wrong, says so to the other end.
fn understand(tls: &mut Connection, to: &mut End) -> Result<(), Broken> {
    tls.process_new_packets().map(drop).map_err(|why| {
        let room = poll(&mut [to.writable()], Some(Duration::ZERO));
        if matches!(room, Ok(1)) {
            // The reason that counts is the one that is already there.
            let _ = tls.write_tls(to);
        }
        Broken::Tls(why)
    })
}

/// `None` where a descriptor would have to wait.
fn later(count: io::Result<usize>) -> io::Result<Option<usize>> {
    match count {
        Err(why) if why.kind() == ErrorKind::WouldBlock => Ok(None),
        other => other.map(Some),
    }
}

/// Copies between a connection, after its handshake, and a program, until both ways have ended or
/// nothing has moved for `idle`. End of the program's output: close_notify, then end of output of
/// the connection. End of what the other end sends: end of the program's input.
pub fn pump(tls: Connection, wire: Ends, plain: Ends, idle: Duration) -> Result<(), Broken> {
    Pump {
        tls,
        wire_from: Some(wire.from),
        wire_to: Some(wire.to),
        plain_from: Some(plain.from),
        plain_to: Some(plain.to),
        room: vec![0; RECORD],
        moved: Instant::now(),
        idle,
    }
    .run()
}

/// A connection at work. An end that has done its work is gone.
struct Pump {
    tls: Connection,
    wire_from: Option<End>,
    wire_to: Option<End>,
    plain_from: Option<End>,
    plain_to: Option<End>,
    /// What is read from the program.
    room: Vec<u8>,
    /// When something last moved.
    moved: Instant,
    /// How long nothing may move.
    idle: Duration,
}

/// What of the four ends is awaited, or has come: in this order.
#[derive(Clone, Copy, Default)]
struct Ready {
    wire_from: bool,
    wire_to: bool,
    plain_from: bool,
    plain_to: bool,
}

impl Pump {
    fn run(mut self) -> Result<(), Broken> {
        loop {
            let wanted = self.settle();
            if self.all_done() {
                return Ok(());
            }
            let Some(ready) = self.wait(wanted).map_err(Broken::Io)? else {
                return if self.lingers() { Ok(()) } else { Err(Broken::TimedOut) };
            };
            if ready.wire_to {
                self.send();
            }
            if ready.plain_to {
                self.deliver();
            }
            if ready.plain_from {
                self.take();
            }
            if ready.wire_from {
                self.receive()?;
            }
        }
    }

    /// Ends what has ended. Gives what can be done next.
    fn settle(&mut self) -> Ready {
        let waiting = self.plaintext_waits();
        let unsent = self.tls.wants_write();
        if self.plain_from.is_none()
            && !unsent
            && let Some(to) = self.wire_to.take()
        {
            to.finish();
        }
        Ready {
            wire_from: self.wire_from.is_some() && self.tls.wants_read(),
            wire_to: self.wire_to.is_some() && unsent,
            plain_from: self.plain_from.is_some() && !unsent,
            plain_to: self.plain_to.is_some() && waiting,
        }
    }

    /// Whether there are bytes for the program. If there are none and there never will be, its
    /// input ends; if it reads no more, they are forgotten.
    fn plaintext_waits(&mut self) -> bool {
        loop {
            let mut reader = self.tls.reader();
            let count = match reader.fill_buf() {
                Ok([]) => break,
                Err(why) if why.kind() == ErrorKind::WouldBlock => return false,
                Err(_) => break,
                Ok(bytes) => bytes.len(),
            };
            if self.plain_to.is_some() {
                return true;
            }
            reader.consume(count);
        }
        if let Some(to) = self.plain_to.take() {
            to.finish();
        }
        self.wire_from = None;
        false
    }

    fn all_done(&self) -> bool {
        let (wire, plain) = (&self.wire_from, &self.plain_from);
        let outputs = self.wire_to.is_none() && self.plain_to.is_none();
        outputs && wire.is_none() && plain.is_none()
    }

    /// Nobody here has anything to say or hears any more; only the other end is not gone yet.
    fn lingers(&self) -> bool {
        self.wire_to.is_none() && self.plain_from.is_none() && self.plain_to.is_none()
    }

    /// Waits until something can be done. `None`: too long.
    fn wait(&mut self, wanted: Ready) -> io::Result<Option<Ready>> {
        // Without a word from the program to wait for, it must be noticed when it is gone.
        let watched = self.plain_from.is_none() && !wanted.plain_to;
        let slots = [
            self.wire_from.as_ref().filter(|_| wanted.wire_from).map(End::readable),
            self.wire_to.as_ref().filter(|_| wanted.wire_to).map(End::writable),
            self.plain_from.as_ref().filter(|_| wanted.plain_from).map(End::readable),
            self.plain_to.as_ref().filter(|_| wanted.plain_to).map(End::writable),
            self.plain_to.as_ref().filter(|_| watched).map(End::gone),
        ];
        let awaited = slots.each_ref().map(Option::is_some);
        let mut waits: Vec<Wait> = slots.into_iter().flatten().collect();
        let limit = if self.lingers() { self.idle.min(LINGER) } else { self.idle };
        let left = limit.saturating_sub(self.moved.elapsed());
        if poll(&mut waits, Some(left))? == 0 {
            return Ok((!left.is_zero()).then(Ready::default));
        }
        let mut seen = waits.iter().map(|wait| wait.ready);
        let [wire_from, wire_to, plain_from, plain_to, gone] =
            awaited.map(|awaited| awaited && seen.next().unwrap_or(false));
        if gone {
            self.plain_to = None;
            self.moved = Instant::now();
        }
        Ok(Some(Ready { wire_from, wire_to, plain_from, plain_to }))
    }

    /// From the connection.
    fn receive(&mut self) -> Result<(), Broken> {
        let Some(from) = &mut self.wire_from else { return Ok(()) };
        match later(self.tls.read_tls(from)) {
            Ok(None) => return Ok(()),
            Ok(Some(_)) => self.moved = Instant::now(),
            // A connection that cannot be read has ended; that it has, is what is not read yet.
            Err(_) => drop(self.tls.read_tls(&mut io::empty())),
        }
        match &mut self.wire_to {
            Some(to) => understand(&mut self.tls, to),
            None => self.tls.process_new_packets().map(drop).map_err(Broken::Tls),
        }
    }

    /// To the program.
    fn deliver(&mut self) {
        let Some(to) = &mut self.plain_to else { return };
        let mut reader = self.tls.reader();
        let Ok(bytes) = reader.fill_buf() else { return };
        match later(to.write(bytes)) {
            Ok(None) => {}
            Ok(Some(count)) => {
                reader.consume(count);
                self.moved = Instant::now();
            }
            // The program reads no more.
            Err(_) => self.plain_to = None,
        }
    }

    /// From the program.
    fn take(&mut self) {
        let Some(from) = &mut self.plain_from else { return };
        match later(from.read(&mut self.room)) {
            Ok(None) => return,
            Ok(Some(count @ 1..)) => {
                self.moved = Instant::now();
                // All of it is taken: nothing was waiting to be sent.
                let _ = self.tls.writer().write_all(&self.room[..count]);
            }
            Ok(Some(0)) | Err(_) => {
                self.plain_from = None;
                self.tls.send_close_notify();
            }
        }
        if self.wire_to.as_ref().is_some_and(|to| !to.waits()) {
            self.send();
        }
    }

    /// To the connection.
    fn send(&mut self) {
        let Some(to) = &mut self.wire_to else { return };
        match later(self.tls.write_tls(to)) {
            Ok(None) => {}
            Ok(Some(_)) => self.moved = Instant::now(),
            // The other end listens no more: the program finds out by writing, even while it hears
            // nothing because it writes.
            Err(_) => {
                // If it still waits for the rest, it hears that there is none.
                if let Some(to) = self.wire_to.take() {
                    to.finish();
                }
                if let Some(from) = self.plain_from.take() {
                    from.refuse();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::testing;
    use ::tests::Random;
    use base::sys::fd;
    use base::sys::poll::writable;
    use base::sys::socket::{pair, send_now};
    use std::fs::File;
    use std::net::Shutdown;
    use std::os::unix::net::UnixStream;
    use std::thread::{JoinHandle, spawn};

    const LIMIT: Duration = Duration::from_secs(20);

    /// A server's side at work, and the program's ends: its input and its output.
    fn serve(wire: OwnedFd, idle: Duration) -> (JoinHandle<Result<(), String>>, File, File) {
        let (input, to) = fd::pipe().unwrap();
        let (from, output) = fd::pipe().unwrap();
        let server = spawn(move || {
            let mut tls = Connection::from(testing::server());
            let mut wire = Ends::socket(wire).unwrap();
            handshake(&mut tls, &mut wire, LIMIT)
                .and_then(|()| pump(tls, wire, Ends::pipes(from, to).unwrap(), idle))
                .map_err(|why| why.to_string())
        });
        (server, input.into(), output.into())
    }

    /// As a client, says `sends`, ends, and gives what comes.
    fn client(wire: OwnedFd, sends: Vec<u8>) -> Vec<u8> {
        let mut stream = UnixStream::from(wire);
        let mut tls = testing::client();
        let mut all = rustls::Stream::new(&mut tls, &mut stream);
        all.write_all(&sends).unwrap();
        all.conn.send_close_notify();
        all.flush().unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut came = Vec::new();
        rustls::Stream::new(&mut tls, &mut stream).read_to_end(&mut came).unwrap();
        came
    }

    fn all_of(mut file: File) -> Vec<u8> {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn each_way_ends_on_its_own() {
        let (ours, theirs) = pair().unwrap();
        let (server, input, mut output) = serve(ours, LIMIT);
        let sent = Random::new(1).bytes(300_000);
        let copy = sent.clone();
        let client = spawn(move || client(theirs, copy));
        // All of the input has come, and ended, before the program says a word.
        assert!(all_of(input) == sent);
        output.write_all(&sent).unwrap();
        drop(output);
        assert!(client.join().unwrap() == sent);
        assert_eq!(server.join().unwrap(), Ok(()));
    }

    #[test]
    fn the_program_may_speak_first_and_hear_later() {
        let (ours, theirs) = pair().unwrap();
        let (server, input, mut output) = serve(ours, LIMIT);
        let client = spawn(move || {
            let mut stream = UnixStream::from(theirs);
            let mut tls = testing::client();
            let mut came = Vec::new();
            let mut all = rustls::Stream::new(&mut tls, &mut stream);
            all.read_to_end(&mut came).unwrap();
            all.write_all(&came).unwrap();
            all.conn.send_close_notify();
            all.flush().unwrap();
        });
        let sent = Random::new(2).bytes(300_000);
        output.write_all(&sent).unwrap();
        drop(output);
        assert!(all_of(input) == sent);
        client.join().unwrap();
        assert_eq!(server.join().unwrap(), Ok(()));
    }

    #[test]
    fn a_program_that_hears_nothing_is_no_obstacle() {
        let (ours, theirs) = pair().unwrap();
        let (server, input, mut output) = serve(ours, LIMIT);
        drop(input);
        let client = spawn(move || client(theirs, vec![b'x'; 500_000]));
        output.write_all(b"hello").unwrap();
        drop(output);
        assert_eq!(client.join().unwrap(), b"hello");
        assert_eq!(server.join().unwrap(), Ok(()));
    }

    /// A program on a socket, who waits for room as its client does, until that one has gone.
    #[test]
    fn who_writes_to_nobody_is_told() {
        let ((ours, theirs), (plain, program)) = (pair().unwrap(), pair().unwrap());
        let server = spawn(move || {
            let mut tls = Connection::from(testing::server());
            let mut wire = Ends::socket(ours).unwrap();
            handshake(&mut tls, &mut wire, LIMIT)?;
            pump(tls, wire, Ends::socket(plain).unwrap(), LIMIT)
        });
        let program = spawn(move || {
            // as programs wait: by poll, which does not tell of this end alone
            let room = || writable(program.as_fd(), LIMIT).unwrap();
            while room() && send_now(program.as_fd(), &[b'x'; 4096]).is_ok() {}
            room()
        });
        let mut theirs = UnixStream::from(theirs);
        theirs.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
        let mut tls = testing::client();
        let mut all = rustls::Stream::new(&mut tls, &mut theirs);
        while all.write_all(&[b'x'; 4096]).is_ok() {}
        drop(theirs);
        assert!(program.join().unwrap());
        server.join().unwrap().unwrap();
    }

    #[test]
    fn silence_ends_both() {
        let (ours, mut theirs) = pair().map(|(a, b)| (a, UnixStream::from(b))).unwrap();
        let (server, input, _output) = serve(ours, Duration::from_millis(50));
        let mut tls = testing::client();
        while tls.is_handshaking() {
            tls.complete_io(&mut theirs).unwrap();
        }
        assert_eq!(server.join().unwrap(), Err("timed out".into()));
        assert_eq!(all_of(input), b"");
    }

    #[test]
    fn a_handshake_has_a_limit() {
        let (ours, theirs) = pair().unwrap();
        UnixStream::from(theirs.try_clone().unwrap()).write_all(b"\x16").unwrap();
        let mut tls = Connection::from(testing::server());
        let mut wire = Ends::socket(ours).unwrap();
        let short = Duration::from_millis(20);
        let why = handshake(&mut tls, &mut wire, short).unwrap_err();
        assert_eq!(why.to_string(), "timed out");
        drop(theirs);
        let why = handshake(&mut tls, &mut wire, LIMIT).unwrap_err();
        assert_eq!(why.to_string(), "connection closed");
    }

    #[test]
    fn what_is_not_tls_is_answered_with_an_alert() {
        let (ours, theirs) = pair().unwrap();
        let mut theirs = UnixStream::from(theirs);
        theirs.write_all(b"EHLO mail.example\r\n").unwrap();
        let mut tls = Connection::from(testing::server());
        let mut wire = Ends::socket(ours).unwrap();
        let why = handshake(&mut tls, &mut wire, LIMIT).unwrap_err();
        assert_eq!(why.to_string(), "received corrupt message of type InvalidContentType");
        drop(wire);
        let mut answer = Vec::new();
        theirs.read_to_end(&mut answer).unwrap();
        assert_eq!(answer.first(), Some(&21));
    }

    /// What a client sends first.
    fn hello() -> Vec<u8> {
        let mut bytes = Vec::new();
        testing::client().write_tls(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn damaged_handshakes_fail_or_go_on() {
        let (mut random, hello) = (Random::new(4), hello());
        for _ in 0..10_000 {
            let mut tls = testing::server();
            let damaged = random.damaged(&hello);
            let mut rest = &damaged[..];
            while tls.wants_read() && matches!(tls.read_tls(&mut rest), Ok(1..)) {
                if tls.process_new_packets().is_err() {
                    break;
                }
            }
            let mut answer = Vec::new();
            while tls.wants_write() {
                tls.write_tls(&mut answer).unwrap();
            }
            assert!(answer.len() < 4096);
        }
    }
}
