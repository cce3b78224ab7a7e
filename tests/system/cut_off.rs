//! Sessions that are cut off at the worst moments, in the clear and over TLS, with real servers and
//! a real queue: connections reset, closed, half closed, ended within a record of TLS. What was
//! not whole is no message, without a QUIT none is deleted, no file and no process stays behind,
//! and the server goes on.

use crate::installation::{Installation, installation};
use crate::limits::reset;
use net::tls::testing;
use rustls::{ClientConnection, Stream};
use std::collections::BTreeSet;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::ops::RangeInclusive;
use std::time::{Duration, SystemTime};
use tests::{LIMIT, Running, comes_true, connect, shown, start};

/// When a client begins with TLS.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Begin {
    Never,
    AtOnce,
    ByCommand,
}

/// The server, what stands before the program, and how a client begins.
#[derive(Debug)]
struct Front(&'static str, &'static [&'static str], Begin);

const CLEAR: Front = Front("tcpserver", &[], Begin::Never);
const TLSD: Front = Front("tcpserver", &["tlsd"], Begin::AtOnce);
const SSLSERVER: Front = Front("sslserver", &[], Begin::AtOnce);
/// STARTTLS by tlsd, which waits for its order.
const PROMISED: Front = Front("tcpserver", &["tlsd", "-n"], Begin::ByCommand);
/// STARTTLS by tlsio, which qmail-smtpd starts.
const OWN: Front = Front("tcpserver", &[], Begin::ByCommand);

/// What is queued when it is whole.
const MESSAGE: &[u8] = b"Subject: x\n\ntext\n";
const ENVELOPE: &[u8] = b"Fa@b\0Tc@d\0";

/// What runs, what is said and then awaited until it is in the middle of its work, and the rest,
/// which counts when it is whole.
struct Protocol {
    program: &'static [&'static str],
    before: &'static [(&'static str, &'static str)],
    rest: &'static str,
}

const SMTP: Protocol = Protocol {
    program: &["qmail-smtpd"],
    before: &[
        ("", "220 a.example"),
        ("HELO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n", "354 "),
    ],
    rest: "Subject: x\r\n\r\ntext\r\n.\r\n",
};
const QMTP: Protocol = Protocol {
    program: &["qmail-qmtpd"],
    before: &[],
    rest: "18:\nSubject: x\n\ntext\n,3:a@b,6:3:c@d,,",
};
const QMQP: Protocol = Protocol {
    program: &["qmail-qmqpd"],
    before: &[],
    rest: "33:17:Subject: x\n\ntext\n,3:a@b,3:c@d,,",
};
const POP3: Protocol = Protocol {
    program: &["qmail-popup", "a.example", "./check", "qmail-pop3d", "Maildir"],
    before: &[
        ("", "+OK <"),
        ("USER joe\r\n", "+OK \r\n"),
        ("PASS x\r\n", "+OK \r\n"),
        ("DELE 1\r\n", "+OK \r\n"),
    ],
    rest: "QUIT\r\n",
};

/// How a session ends before its time.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    /// The connection is reset.
    Reset,
    /// It is closed, without a word of TLS.
    Close,
    /// The client has said all, says TCP, and listens on.
    HalfClose,
    /// The same, says TLS alone.
    Notify,
    /// TLS and TCP both say so, and nobody listens.
    NotifyAndClose,
    /// Of a last record, with all of the rest, all but one byte comes, and then the end.
    HalfRecord,
    /// The same, and then a reset.
    HalfRecordReset,
}

const ENDS: [End; 3] = [End::Reset, End::Close, End::HalfClose];
const ENDS_OF_TLS: [End; 4] =
    [End::Notify, End::NotifyAndClose, End::HalfRecord, End::HalfRecordReset];

/// A client on its connection.
struct Client {
    sock: TcpStream,
    tls: Option<ClientConnection>,
}

impl Client {
    /// One that is about to start, or to have started, TLS.
    fn new(port: u16, begin: Begin) -> Client {
        let mut client = Client { sock: connect(port), tls: None };
        client.sock.set_nodelay(true).unwrap();
        if begin == Begin::ByCommand {
            client.hear("220 a.example");
            client.say("STARTTLS\r\n");
            client.hear("220 ready for TLS\r\n");
        }
        client
    }

    fn agree(&mut self) {
        let mut tls = testing::client();
        tls.complete_io(&mut self.sock).unwrap();
        self.tls = Some(tls);
    }

    fn say(&mut self, words: impl AsRef<[u8]>) {
        self.try_to_say(words.as_ref()).unwrap();
    }

    fn try_to_say(&mut self, words: &[u8]) -> std::io::Result<()> {
        match &mut self.tls {
            None => self.sock.write_all(words),
            Some(tls) => {
                let mut stream = Stream::new(tls, &mut self.sock);
                stream.write_all(words).and_then(|()| stream.flush())
            }
        }
    }

    /// What comes next. A test may be interrupted where whoever runs it ignores signals.
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        loop {
            let done = match &mut self.tls {
                None => self.sock.read(into),
                Some(tls) => Stream::new(tls, &mut self.sock).read(into),
            };
            if !matches!(&done, Err(why) if why.kind() == ErrorKind::Interrupted) {
                return done;
            }
        }
    }

    /// Waits for some words.
    #[track_caller]
    fn hear(&mut self, words: &str) {
        let (mut all, mut block) = (Vec::new(), [0; 4096]);
        while !shown(&all).contains(words) {
            let count = self.read(&mut block);
            all.extend_from_slice(&block[..*count.as_ref().unwrap_or(&0)]);
            assert!(matches!(count, Ok(1..)), "{words:?}: {count:?} after {}", shown(&all));
        }
    }

    /// Waits until the other end has gone.
    #[track_caller]
    fn hear_out(&mut self) {
        let mut block = [0; 4096];
        loop {
            match self.read(&mut block) {
                Ok(1..) => {}
                Err(why) if why.kind() == ErrorKind::WouldBlock => panic!("the server stays"),
                _ => return,
            }
        }
    }

    /// What TLS makes of these words.
    fn records(&mut self, words: &str) -> Vec<u8> {
        let tls = self.tls.as_mut().unwrap();
        tls.writer().write_all(words.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        while tls.wants_write() {
            tls.write_tls(&mut bytes).unwrap();
        }
        bytes
    }

    /// Ends it. `unsaid` is what of the rest has not been said.
    fn end(mut self, end: End, unsaid: &str) {
        if matches!(end, End::Notify | End::NotifyAndClose) {
            self.tls.as_mut().unwrap().send_close_notify();
            let bytes = self.records("");
            self.sock.write_all(&bytes).unwrap();
        }
        if matches!(end, End::HalfRecord | End::HalfRecordReset) {
            let bytes = self.records(unsaid);
            self.sock.write_all(&bytes[..bytes.len() - 1]).unwrap();
        }
        match end {
            End::Reset | End::HalfRecordReset => reset(&self.sock),
            End::Close | End::NotifyAndClose => {}
            End::HalfClose | End::HalfRecord => {
                self.sock.shutdown(Shutdown::Write).unwrap();
                self.hear_out();
            }
            End::Notify => self.hear_out(),
        }
    }
}

/// A server of a protocol, for real.
struct Service {
    home: Installation,
    server: Running,
    port: u16,
    begin: Begin,
    protocol: &'static Protocol,
}

impl Service {
    fn start(protocol: &'static Protocol, Front(server, before, begin): &Front) -> Service {
        let home = installation();
        home.control("rcpthosts", "d\n").control("servercert.pem", testing::PEM);
        home.write("pem", testing::PEM).maildir("Maildir");
        home.place().script("check", "cat <&3 >/dev/null; exec \"$@\"");
        let mut command = home.program(server);
        command.args(["-1vDRHl0", "127.0.0.1", "0"]).args(*before).args(protocol.program);
        command.env("CERTFILE", home.join("pem")).current_dir(home.home());
        if before.contains(&"-n") {
            command.env("UCSPITLS", "");
        }
        let server = start(&mut command);
        let port = server.wait_out("\n").trim().parse().unwrap();
        Service { home, server, port, begin: *begin, protocol }
    }

    /// How its sessions may end.
    fn ends(&self) -> Vec<End> {
        let of_tls = if self.begin == Begin::Never { &[][..] } else { &ENDS_OF_TLS };
        [&ENDS, of_tls].concat()
    }

    /// A client who has agreed on TLS, if there is any, and said and heard what is before the rest.
    fn client(&self) -> Client {
        let mut client = Client::new(self.port, self.begin);
        if self.begin != Begin::Never {
            client.agree();
        }
        for (say, hear) in self.protocol.before {
            if self.begin == Begin::ByCommand && say.is_empty() {
                continue; // the greeting came before TLS
            }
            client.say(say);
            client.hear(hear);
        }
        client
    }

    /// The programs of sessions that have not ended.
    fn at_work(&self) -> Vec<String> {
        let stat = |entry: fs::DirEntry| fs::read_to_string(entry.path().join("stat")).ok();
        let all = fs::read_dir("/proc").unwrap().filter_map(Result::ok).filter_map(stat);
        let (group, leader) = (self.server.pid().to_string(), format!("{} (", self.server.pid()));
        let ours = all.filter(|stat| {
            let words: Vec<&str> = stat.rsplit(')').next().unwrap().split(' ').collect();
            words[1] != "Z" && words[3] == group && !stat.starts_with(&leader)
        });
        ours.collect()
    }

    /// Waits until so many sessions have begun and ended, and nobody works for any.
    #[track_caller]
    fn wait_alone(&self, visits: usize, case: &str) {
        let ends = || self.server.err().matches(": end ").count();
        let alone = comes_true(LIMIT, || ends() == visits && self.at_work().is_empty());
        assert!(alone, "{case}: {:?} stay, {}", self.at_work(), self.server.err());
    }

    /// Every way to end after every cut of the rest. `check` sees how often it may count.
    fn cut_off(&self, check: impl Fn(RangeInclusive<usize>, &str)) {
        let rest = self.protocol.rest;
        let early = [0, 9].into_iter().filter(|cut| *cut < rest.len());
        let cuts: BTreeSet<usize> = early.chain(rest.len() - 5..=rest.len()).collect();
        let cases = self.ends().into_iter().flat_map(|end| cuts.iter().map(move |cut| (end, *cut)));
        let mut visits = 0;
        for (end, cut) in cases {
            let (said, unsaid) = rest.split_at(cut);
            if unsaid.is_empty() && matches!(end, End::HalfRecord | End::HalfRecordReset) {
                continue;
            }
            let case = format!("{end:?} after {said:?}");
            let mut client = self.client();
            client.say(said);
            client.end(end, unsaid);
            visits += 1;
            self.wait_alone(visits, &case);
            let counts = match (unsaid, end) {
                // a reset may come before what was said
                ("", End::Reset) => 0..=1,
                ("", _) => 1..=1,
                _ => 0..=0,
            };
            check(counts, &case);
        }
        self.assert_known_ends();
    }

    /// Each session has ended on its own, without a panic.
    #[track_caller]
    fn assert_known_ends(&self) {
        let log = self.server.err();
        assert!(!log.contains("internal"), "{log}");
        for line in log.lines().filter(|line| line.contains(": end ")) {
            let status = line.rsplit(' ').next().unwrap();
            assert!(["0", "256", "25600", "28416"].contains(&status), "{line}");
        }
    }

    /// The next client finds nothing changed.
    #[track_caller]
    fn assert_goes_on(&self, visits: usize) {
        let mut client = self.client();
        client.say(self.protocol.rest);
        client.end(End::HalfClose, "");
        self.wait_alone(visits + 1, "the next");
        self.assert_queued(1..=1, "the next");
    }

    /// So many messages are queued, each whole, and of no other is any file left. Then they are
    /// removed.
    #[track_caller]
    fn assert_queued(&self, counts: RangeInclusive<usize>, case: &str) {
        let (home, queued) = (&self.home, self.home.numbers("todo"));
        assert!(counts.contains(&queued.len()), "{case}: {} messages", queued.len());
        assert_eq!(home.place().names("queue/pid"), [""; 0], "{case}");
        for folder in ["mess", "intd", "todo"] {
            assert_eq!(home.numbers(folder), queued, "{case}: {folder}");
            for file in queued.iter().map(|number| home.join(home.file(folder, *number))) {
                let text = fs::read(&file).unwrap();
                let end = if folder == "mess" { MESSAGE } else { ENVELOPE };
                assert!(text.ends_with(end), "{case}: {}", shown(&text));
                fs::remove_file(file).unwrap();
            }
        }
    }
}

/// No message comes of a session that is cut off, and one comes of each that was whole.
fn only_the_whole_is_queued(protocol: &'static Protocol, fronts: &[Front]) {
    for front in fronts {
        let service = Service::start(protocol, front);
        service.cut_off(|counts, case| {
            service.assert_queued(counts, &format!("{front:?}: {case}"));
        });
    }
}

#[test]
fn a_message_by_smtp_is_queued_when_it_is_whole_and_only_then() {
    only_the_whole_is_queued(&SMTP, &[CLEAR, TLSD, SSLSERVER, PROMISED, OWN]);
}

#[test]
fn a_message_by_qmtp_is_queued_when_it_is_whole_and_only_then() {
    only_the_whole_is_queued(&QMTP, &[CLEAR, TLSD]);
}

#[test]
fn a_message_by_qmqp_is_queued_when_it_is_whole_and_only_then() {
    only_the_whole_is_queued(&QMQP, &[CLEAR, TLSD]);
}

/// Puts a message of this size into the Maildir.
fn fill(home: &Installation, name: &str, size: usize) {
    let name = format!("Maildir/new/{name}");
    home.write(&name, "x".repeat(size));
    // a message of this second might still be coming in
    let file = fs::File::open(home.join(name)).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(100)).unwrap();
}

/// The messages in the Maildir.
fn kept(home: &Installation) -> usize {
    ["new", "cur"].map(|folder| home.place().names(format!("Maildir/{folder}")).len()).iter().sum()
}

#[test]
fn only_a_quit_that_has_come_deletes() {
    for front in [CLEAR, TLSD, SSLSERVER] {
        let service = Service::start(&POP3, &front);
        fill(&service.home, "1.a", 10);
        service.cut_off(|deleted, case| {
            let left = kept(&service.home);
            assert!(left <= 1 && deleted.contains(&(1 - left)), "{front:?}: {case}: {left} left");
            if left == 0 {
                fill(&service.home, "1.a", 10);
            }
        });
    }
}

/// Who breaks off within the handshake, or when it is the server's turn in it.
#[test]
fn a_handshake_that_is_cut_off_leaves_nobody() {
    for front in [TLSD, SSLSERVER, PROMISED, OWN] {
        let service = Service::start(&SMTP, &front);
        let mut hello = Vec::new();
        testing::client().write_tls(&mut hello).unwrap();
        let cuts = [0, 1, 5, 6, 100, hello.len() - 1, hello.len()];
        let cases = ENDS.into_iter().flat_map(|end| cuts.map(|cut| (end, cut)));
        let mut visits = 0;
        for (end, cut) in cases {
            let mut client = Client::new(service.port, service.begin);
            client.say(&hello[..cut]);
            if cut == hello.len() {
                // what the server says to it, or a part of that
                assert!(matches!(client.read(&mut [0; 99]), Ok(1..)));
            }
            client.end(end, "");
            visits += 1;
            let case = format!("{front:?}: {end:?} after {cut} bytes");
            service.wait_alone(visits, &case);
            service.assert_queued(0..=0, &case);
        }
        service.assert_known_ends();
        service.assert_goes_on(visits);
    }
}

/// Who asks and asks, reads no answer, and breaks off when nobody can say any more.
#[test]
fn a_reset_while_the_server_writes_leaves_nobody() {
    for front in [CLEAR, TLSD, PROMISED, OWN] {
        let service = Service::start(&SMTP, &front);
        let mut client = Client::new(service.port, service.begin);
        if service.begin != Begin::Never {
            client.agree();
        }
        client.sock.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
        let questions = "HELP\r\n".repeat(10_000);
        let asked = (0..1000).take_while(|_| client.try_to_say(questions.as_bytes()).is_ok());
        assert!(asked.count() < 1000, "{front:?}: all was read");
        client.end(End::Reset, "");
        service.wait_alone(1, &format!("{front:?}"));
        service.assert_known_ends();
        service.assert_goes_on(1);
    }
}

/// A message that no buffer between the two can hold.
#[test]
fn a_reset_while_a_message_is_fetched_deletes_nothing() {
    for front in [CLEAR, TLSD, SSLSERVER] {
        let service = Service::start(&POP3, &front);
        fill(&service.home, "1.a", 10);
        fill(&service.home, "2.a", 30 << 20);
        let mut client = service.client();
        client.say("RETR 2\r\nQUIT\r\n");
        client.hear("xxx");
        client.end(End::Reset, "");
        service.wait_alone(1, &format!("{front:?}"));
        service.assert_known_ends();
        assert_eq!(kept(&service.home), 2, "{front:?}");
    }
}
