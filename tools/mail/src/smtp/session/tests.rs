//! Whole sessions, without a network and without a queue.

use super::*;
use ::tests::Random;

/// Takes everything but what the test forbids, and writes down what happens.
#[derive(Default)]
struct Book {
    /// Starts and ends of messages.
    events: String,
    text: String,
    refuse: Option<Refusal>,
    broken: bool,
}

impl Host for Book {
    fn sender(&mut self, address: Vec<u8>) -> Verdict {
        match &address[..] {
            b"drop" => Verdict::HangUp(CONTROLS),
            _ => Verdict::Take(address),
        }
    }
    fn recipient(&mut self, address: Vec<u8>) -> Verdict {
        match &address[..] {
            b"no" => Verdict::Refuse(NO_GATEWAY),
            b"drop" => Verdict::HangUp(CONTROLS),
            _ => Verdict::Take([&address, &b"+"[..]].concat()),
        }
    }
    fn prepare_tls(&mut self) -> Result<(), String> {
        self.events += "tls\n";
        if self.broken { Err("is broken".into()) } else { Ok(()) }
    }
    fn open(&mut self, helo: Option<&[u8]>) -> bool {
        self.events += &format!("open {:?}\n", helo.map(String::from_utf8_lossy));
        !self.broken
    }
    fn text(&mut self, bytes: &[u8]) {
        self.text += &String::from_utf8_lossy(bytes);
    }
    fn close(&mut self, envelope: &Envelope, wanted: bool) -> Result<Receipt, Refusal> {
        let sender = String::from_utf8_lossy(&envelope.sender);
        let recipients = String::from_utf8_lossy(&envelope.recipients.join(&b' ')).into_owned();
        self.events += &format!("close {sender} > {recipients}, {wanted}\n");
        let unwanted = Refusal { permanent: false, text: b"unwanted".into() };
        match &self.refuse {
            Some(refusal) => Err(refusal.clone()),
            None if wanted => Ok(Receipt { qp: 7, seconds: 951868799 }),
            None => Err(unwanted),
        }
    }
}

fn session() -> Session {
    session_with(Tls::None)
}

fn session_with(tls: Tls) -> Session {
    let mut session = Session::new(b"a.example".into(), 20, tls);
    session.written();
    session
}

/// Feeds pieces until the session ends. Gives all replies, LF for CR LF, and how it ended.
fn talk<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, book: &mut Book) -> (String, Next) {
    let (mut session, mut replies) = (session(), Vec::new());
    let mut next = Next::More;
    for piece in pieces {
        let mut used = 0;
        while used < piece.len() {
            let (count, then) = session.feed(&piece[used..], book);
            used += count;
            assert!(count > 0 && session.replies().len() < REPLIES + 1000);
            replies.extend_from_slice(session.replies());
            session.written();
            next = then;
            if matches!(next, Next::Exit(_)) {
                return (shown(&replies), next);
            }
        }
    }
    (shown(&replies), next)
}

fn shown(replies: &[u8]) -> String {
    String::from_utf8_lossy(replies).replace("\r\n", "\n")
}

/// Checks the replies to commands, given with LF for CR LF, for every way of cutting the input.
/// Gives what happened.
#[track_caller]
fn check(input: &str, book: fn() -> Book, replies: &str) -> Book {
    let wire = input.replace('\n', "\r\n");
    let mut whole = book();
    assert_eq!(talk([wire.as_bytes()], &mut whole).0, replies);
    for cut in 1..wire.len() {
        let mut split = book();
        let (a, b) = wire.as_bytes().split_at(cut);
        assert_eq!(talk([a, b], &mut split).0, replies, "cut at {cut}");
        assert_eq!((split.events, split.text), (whole.events.clone(), whole.text.clone()));
    }
    whole
}

#[test]
fn commands_have_their_replies() {
    check(
        "helo  x\nEHLO y\nnoop z\nvrfy\nhelp\nrset\nrcpt to:<a>\ndata\n\nfoo\nquit\nnoop\n",
        Book::default,
        "250 a.example\n250-a.example\n250-PIPELINING\n250 8BITMIME\n250 ok\n\
         252 send some mail, i'll try my best\n214 qmail-smtpd of catena, see RFC 5321\n\
         250 flushed\n503 MAIL first (#5.5.1)\n503 MAIL first (#5.5.1)\n\
         502 unimplemented (#5.5.1)\n502 unimplemented (#5.5.1)\n221 a.example\n",
    );
}

/// What a session says to commands, and what is next after the last of them.
fn says(session: &mut Session, book: &mut Book, input: &str) -> (String, Next) {
    let (mut replies, mut next) = (String::new(), Next::More);
    for line in input.split_inclusive('\n') {
        next = session.feed(line.replace('\n', "\r\n").as_bytes(), book).1;
        replies += &shown(session.replies());
        session.written();
    }
    (replies, next)
}

#[test]
fn tls_begins_a_session_anew() {
    let (mut session, mut book) = (session_with(Tls::Offered), Book::default());
    let offer = "250-a.example\n250-PIPELINING\n250-8BITMIME\n250 STARTTLS\n";
    let said = says(&mut session, &mut book, "ehlo c\nmail from:<x>\nstarttls x\nSTARTTLS\n");
    let go = "250 ok\n501 no parameters allowed with STARTTLS (#5.5.4)\n220 ready for TLS\n";
    assert_eq!(said, (format!("{offer}{go}"), Next::Secure));
    session.secured();
    let said = says(&mut session, &mut book, "rcpt to:<x>\nstarttls\nehlo c\n").0;
    let plain = "250-a.example\n250-PIPELINING\n250 8BITMIME\n";
    let expected = format!("503 MAIL first (#5.5.1)\n502 unimplemented (#5.5.1)\n{plain}");
    assert_eq!((said, &book.events[..]), (expected, "tls\n"));
}

#[test]
fn nothing_may_follow_starttls() {
    let mut session = session_with(Tls::Offered);
    let (used, next) = session.feed(b"starttls\r\nrset\r\n", &mut Book::default());
    let said = shown(session.replies());
    let refused = "503 nothing may follow STARTTLS (#5.5.1)\n".into();
    assert_eq!((used, next, said), (10, Next::Exit(Code(1)), refused));
}

#[test]
fn tls_that_cannot_begin_leaves_the_session_as_it_is() {
    let mut book = Book { broken: true, ..Book::default() };
    let said = says(&mut session_with(Tls::Offered), &mut book, "starttls\nmail from:<x>\n");
    assert_eq!(said, ("454 TLS is broken (#4.3.0)\n250 ok\n".into(), Next::More));
}

#[test]
fn tls_may_be_a_must() {
    let first = "530 Must issue a STARTTLS command first (#5.7.0)\n";
    let commands = "helo x\nmail from:<x>\nrcpt to:<x>\nrset\nfoo\nnoop\nquit\n";
    let said = says(&mut session_with(Tls::First), &mut Book::default(), commands).0;
    assert_eq!(said, format!("{}250 ok\n221 a.example\n", first.repeat(5)));
    let said = says(&mut session_with(Tls::BeforeMail), &mut Book::default(), commands).0;
    let after = "250 flushed\n502 unimplemented (#5.5.1)\n250 ok\n221 a.example\n";
    assert_eq!(said, format!("250 a.example\n{first}{first}{after}"));
}

#[test]
fn a_message_is_taken_and_the_transaction_is_over() {
    let book = check(
        "ehlo c.example\nmail from:<f@x>\ndata\nrcpt to:<no>\nrcpt to:<a@x>\nrcpt to:b\ndata\n\
         a\n..b\n.\nrcpt to:<a>\n",
        Book::default,
        "250-a.example\n250-PIPELINING\n250 8BITMIME\n250 ok\n503 RCPT first (#5.5.1)\n\
         553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)\n250 ok\n250 ok\n\
         354 go ahead\n250 ok 951868799 qp 7\n503 MAIL first (#5.5.1)\n",
    );
    assert_eq!(book.events, "open Some(\"c.example\")\nclose f@x > a@x+ b+, true\n");
    assert_eq!(book.text, "a\n.b\n");
}

#[test]
fn mail_rset_and_helo_start_over() {
    let again = "mail from:<f>\nrcpt to:<a>\n";
    for between in ["mail from:<g>\n", "rset\nmail from:<g>\n", "helo x\nmail from:<g>\n"] {
        let mut book = Book::default();
        let input = format!("{again}{between}rcpt to:<b>\ndata\n.\n").replace('\n', "\r\n");
        talk([input.as_bytes()], &mut book);
        assert!(book.events.ends_with("close g > b+, true\n"), "{}", book.events);
    }
}

const SEND: &str = "mail from:<f>\nrcpt to:<a>\ndata\n";

#[test]
fn a_message_over_the_limit_is_not_queued() {
    let sized = |size: usize, book: &mut Book| {
        let input = format!("{SEND}{}\n.\n", "x".repeat(size - 1)).replace('\n', "\r\n");
        talk(input.as_bytes().chunks(7), book).0
    };
    let mut book = Book::default();
    assert!(sized(20, &mut book).ends_with("250 ok 951868799 qp 7\n"));
    let mut book = Book::default();
    let reply = "\n552 sorry, that message size exceeds my databytes limit (#5.3.4)\n";
    assert!(sized(5000, &mut book).ends_with(reply));
    assert!(book.text.len() <= 20 && book.events.ends_with("close f > a+, false\n"));
}

#[test]
fn a_hundred_hops_are_too_many() {
    for (hops, reply) in [(99, "552 "), (100, "554 too many hops, ")] {
        let input = format!("{SEND}{}\n.\n", "received: x\n".repeat(hops));
        let replies = talk([input.replace('\n', "\r\n").as_bytes()], &mut Book::default()).0;
        let last = replies.lines().last().unwrap();
        assert!(last.starts_with(reply), "{hops}: {last}");
    }
}

#[test]
fn the_queue_program_may_refuse() {
    let refused = |permanent: bool, text: &str| {
        let refuse = Some(Refusal { permanent, text: text.into() });
        let mut book = Book { refuse, ..Book::default() };
        let input = format!("{SEND}.\n").replace('\n', "\r\n");
        talk([input.as_bytes()], &mut book).0.lines().last().unwrap().to_owned()
    };
    assert_eq!(refused(false, "qq timeout (#4.3.0)"), "451 qq timeout (#4.3.0)");
    assert_eq!(refused(true, "no\r\n250 ok"), "554 no  250 ok");
    check(
        &format!("{SEND}data\n"),
        || Book { broken: true, ..Book::default() },
        "250 ok\n250 ok\n451 qqt failure (#4.3.0)\n503 MAIL first (#5.5.1)\n",
    );
}

#[test]
fn a_host_may_hang_up() {
    let ends = |input: &str| talk([input.as_bytes()], &mut Book::default());
    let gone = |replies: &str| (replies.to_owned(), Next::Exit(Code(1)));
    assert_eq!(ends("mail from:drop\nquit\n"), gone(&format!("{CONTROLS}\n")));
    assert_eq!(ends("mail from:x\nrcpt to:drop\nq"), gone(&format!("{OK}\n{CONTROLS}\n")));
    assert_eq!(ends("quit\nnoop\n"), ("221 a.example\n".into(), Next::Exit(Code::DONE)));
}

#[test]
fn lines_are_kept_to_4096_bytes() {
    let line = |size: usize| format!("noop {}\r\nquit\r\n", "x".repeat(size - 5));
    let replies = |input: String| talk(input.as_bytes().chunks(1000), &mut Book::default()).0;
    assert_eq!(replies(line(LINE - 1)), "250 ok\n221 a.example\n");
    let long = "500 command line too long (#5.5.2)\n221 a.example\n";
    assert_eq!(replies(line(LINE + 1)), long);
    assert_eq!(replies(line(1_000_000)), long);
}

#[test]
fn recipients_are_many_but_not_without_end() {
    let mut input = "mail from:<f>\r\n".to_owned();
    for number in 0..40_000 {
        input += &format!("rcpt to:<{number}@a.example>\r\n");
    }
    let replies = talk([input.as_bytes()], &mut Book::default()).0;
    let taken = replies.lines().filter(|line| *line == OK).count();
    let refused = replies.lines().filter(|line| *line == TOO_MANY_RECIPIENTS).count();
    assert_eq!(taken + refused, 40_001);
    assert!((20_000..30_000).contains(&taken), "{taken}");
}

/// What follows must not be taken for commands, whatever stands between it and the text.
#[test]
fn nothing_is_smuggled_behind_a_false_end() {
    let inner = "mail from:<evil>\r\nrcpt to:<victim>\r\ndata\r\nsecond\r\n.\r\n";
    let ends = [
        "\n.\n",
        "\n.\r\n",
        "\r\n.\n",
        "\r.\r",
        "\r\n.\r",
        "\r.\r\n",
        "\n\n.\r\n",
        "\r\n\0.\r\n",
        "\r\n.\0\r\n",
        "\r\n\r.\r\n",
        "\r\n.\r\r\n",
        "\r\n\n.\r\n",
        "\n.\r",
        "\r\n.\r\0\n",
        "\0\n.\0\n",
    ];
    for end in ends {
        for long in [0, 5000] {
            let text = "x".repeat(long);
            let input = format!("{}text{text}{end}{inner}", SEND.replace('\n', "\r\n"));
            let from = input.len() - inner.len() - end.len() - 3;
            for cut in from..input.len() {
                let mut book = Book::default();
                let (a, b) = input.as_bytes().split_at(cut);
                let (replies, _) = talk([a, b], &mut book);
                let opened = book.events.matches("open ").count();
                let evil = book.events.contains("close evil");
                assert_eq!((opened, evil), (1, false), "{end:?} cut at {cut}: {replies}");
            }
        }
    }
}

#[test]
fn damaged_sessions_end_well() {
    let good = "EHLO c.example\r\nMAIL FROM:<f@x> SIZE=9\r\nRCPT TO:<a@x>\r\nRCPT TO:<\"b \\\" >\"@[::1]>\r\n\
        DATA\r\nReceived: x\r\n\r\n..a\r\n.b\r\n.\r\nRSET\r\nMAIL FROM:<>\r\nRCPT TO:<@a:b@c>\r\nDATA\r\n\
        .\r\nNOOP\r\nQUIT\r\n";
    let mut random = Random::new(1);
    for _ in 0..10_000 {
        let mut bytes = good.as_bytes().to_vec();
        for _ in 0..=random.below(6) {
            let at = random.below(bytes.len());
            match random.below(6) {
                _ if bytes.is_empty() => break,
                0 => bytes[at] = random.below(256) as u8,
                1 => bytes[at] = b"\r\n.\0<>:\"\\@ "[random.below(11)],
                2 => drop(bytes.remove(at)),
                3 => bytes.insert(at, b"\r\n.\0 <"[random.below(6)]),
                4 => {
                    let piece = bytes[at..(at + random.below(40)).min(bytes.len())].to_vec();
                    let to = random.below(bytes.len());
                    bytes.splice(to..to, piece);
                }
                _ => bytes.truncate(at + 1),
            }
        }
        let mut book = Book::default();
        let size = 1 + random.below(bytes.len());
        let in_pieces = talk(bytes.chunks(size), &mut book);
        let mut other = Book::default();
        let whole = talk([&bytes[..]], &mut other);
        assert_eq!((&in_pieces, &book.events), (&whole, &other.events), "{bytes:?}");
        assert!(in_pieces.0.lines().all(|line| line.len() > 3 && line.as_bytes()[..3].is_ascii()));
    }
}
