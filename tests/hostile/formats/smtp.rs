//! SMTP from both sides: commands, text, replies.

use super::{formats, halves};
use mail::smtp::client::{Client, Letter, Outcome};
use mail::smtp::command;
use mail::smtp::reply::Parser;
use mail::smtp::session::{Envelope, Host, Next, Receipt, Session, Tls, Verdict};
use mail::smtp::text::{Decoder, Encoder, Ending};
use mail::submission::Refusal;
use std::io::{self, Read, Write};
use std::time::Duration;

formats! {
    smtp_session [
        "EHLO c.example\r\nMAIL FROM:<f@x> SIZE=9\r\nRCPT TO:<a@x>\r\nRCPT TO:<\"b \\\" >\"@[::1]>\r\n\
         DATA\r\nReceived: x\r\n\r\n..a\r\n.b\r\n.\r\nRSET\r\nMAIL FROM:<>\r\nRCPT TO:<@a:b@c>\r\n\
         DATA\r\n.\r\nNOOP\r\nSTARTTLS\r\nMAIL FROM:<evil>\r\nQUIT\r\n",
        "HELO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nx\r\n.\r\nMAIL FROM:<evil>\r\n\
         RCPT TO:<c@d>\r\nDATA\r\ny\r\n.\r\n",
        "HELO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nx\n.\nMAIL FROM:<evil>\r\n\
         RCPT TO:<c@d>\r\nDATA\r\ny\r\n.\r\n",
    ] [b"\r\n", b"\n", b"\r", b".", b"\r\n.\r\n", b"\n.\n", b"\r.\r", b"\n.\r\n", b"\r\n.\n", b"\r\n.\r",
       b"\0", b"<", b">", b":", b"\"", b"\\", b"DATA\r\n", b"STARTTLS\r\n", b"MAIL FROM:<a@b>\r\n",
       b"RCPT TO:<c@d>\r\n"]

    smtp_text ["a\r\n..b\r\n.\r\nQUIT\r\n", "\r\n.\r\n", "..\r\n.a\r\n\r.\r\n.\r\n"]
        [b"\r\n", b"\n", b"\r", b".", b"\r\n.\r\n", b"\n.\n", b"\r.\r", b"\n.\r\n", b"\r\n.\n",
         b"\r\n.\r", b"\0"]

    smtp_sent_text ["a\n.b\n..\n.\n\n", "a\r\nb\rc", ""]
        [b"\r\n", b"\n", b"\r", b".", b"\n.\n", b"\r.\r", b"\n.\r\n", b"\0"]

    smtp_command ["MAIL FROM:<a@b> SIZE=1", "rcpt to: @c,@d:\"x y\\\"\"@b", "EHLO [1.2.3.4]"]
        [b"<", b">", b":", b"\"", b"\\", b"@", b" ", b"\0", b"MAIL", b"RCPT"]

    smtp_reply ["220 a\r\n250-b PIPELINING\r\n250-SIZE 1\r\n250 ok\r\n354 go\r\n250 done\r\n", "421\n"]
        [b"\r\n", b"\n", b"-", b" ", b"250-", b"5", b"PIPELINING", b"\0"]

    smtp_server ["220 a\r\n250-b\r\n250 PIPELINING\r\n250 ok\r\n250 ok\r\n354 go\r\n250 done\r\n",
        "220 a\r\n250 b\r\n250 c\r\n550 no\r\n250 ok\r\n354 go\r\n250 fine\r\n", "421 no\r\n"]
        [b"\r\n", b"\n", b"250 ok\r\n", b"354 x\r\n", b"550 no\r\n", b"421-", b"PIPELINING", b"-", b"\0"]
}

/// Takes every address and remembers what was queued.
#[derive(Default)]
struct Book {
    open: bool,
    queued: Vec<Message>,
    text: Vec<u8>,
}

impl Host for Book {
    fn sender(&mut self, address: Vec<u8>) -> Verdict {
        assert!(address.len() < 900 && !address.contains(&0), "{address:?}");
        Verdict::Take(address)
    }
    fn recipient(&mut self, address: Vec<u8>) -> Verdict {
        self.sender(address)
    }
    fn prepare_tls(&mut self) -> Result<(), String> {
        Ok(())
    }
    fn open(&mut self, _: Option<&[u8]>) -> bool {
        assert!(!std::mem::replace(&mut self.open, true));
        self.text.clear();
        true
    }
    fn text(&mut self, bytes: &[u8]) {
        self.text.extend_from_slice(bytes);
    }
    fn close(&mut self, envelope: &Envelope, wanted: bool) -> Result<Receipt, Refusal> {
        assert!(std::mem::replace(&mut self.open, false) && !envelope.recipients.is_empty());
        if wanted {
            let text = std::mem::take(&mut self.text);
            self.queued.push((envelope.sender.clone(), envelope.recipients.clone(), text));
        }
        Ok(Receipt { qp: 7, seconds: 951_868_799 })
    }
}

type Message = (Vec<u8>, Vec<Vec<u8>>, Vec<u8>);

/// The replies to these pieces, and what was queued. After STARTTLS nothing of the rest is used.
fn talk(pieces: &[&[u8]]) -> (Vec<u8>, Vec<Message>) {
    let mut session = Session::new(b"a.example".into(), 10_000, Tls::Offered);
    let (mut replies, mut book) = (Vec::new(), Book::default());
    for piece in pieces {
        let mut used = 0;
        while used < piece.len() {
            let (count, next) = session.feed(&piece[used..], &mut book);
            assert!(count > 0 && session.replies().len() < 6000);
            used += count;
            replies.extend_from_slice(session.replies());
            session.written();
            if matches!(next, Next::Exit(_) | Next::Secure) {
                return (replies, book.queued);
            }
        }
    }
    (replies, book.queued)
}

fn smtp_session(bytes: &[u8]) {
    let whole = talk(&[bytes]);
    // STARTTLS with more behind it in the same piece is another thing than STARTTLS alone
    if memchr::memmem::find(&bytes.to_ascii_lowercase(), b"starttls").is_none() {
        assert_eq!(talk(&halves(bytes)), whole);
    }
    let ends = memchr::memmem::find_iter(bytes, b"\n.\r\n").count();
    assert!(whole.1.len() <= ends, "smuggled: {:?}", whole.1);
    for (_, _, text) in &whole.1 {
        assert!(text.is_empty() || text.ends_with(b"\n"));
    }
    for line in whole.0.split_inclusive(|byte| *byte == b'\n') {
        assert!(line.ends_with(b"\r\n") && line[..3].iter().all(u8::is_ascii_digit), "{line:?}");
        let plain = line[..line.len() - 2].iter().all(|byte| (32..127).contains(byte));
        assert!(plain, "{line:?}");
    }
}

fn smtp_text(bytes: &[u8]) {
    // line by line, as nobody who is in a hurry would do it
    let (mut text, mut used, mut expected) = (Vec::new(), 0, Ending::Open);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        used += line.len();
        match line {
            b".\r\n" => expected = Ending::Complete,
            _ if line.ends_with(b"\r\n") => {
                text.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
                text.truncate(text.len() - 2);
                text.push(b'\n');
                continue;
            }
            _ if line.ends_with(b"\n") => expected = Ending::BareNewline,
            _ => {}
        }
        break;
    }
    for pieces in [vec![bytes], halves(bytes).to_vec(), bytes.chunks(1).collect()] {
        let (mut decoder, mut seen) = (Decoder::default(), Vec::new());
        let (mut count, mut ending) = (0, Ending::Open);
        for piece in pieces {
            let (taken, then) = decoder.decode(piece, |bytes| seen.extend_from_slice(bytes));
            (count, ending) = (count + taken, then);
            if ending != Ending::Open {
                break;
            }
        }
        assert_eq!((count, ending), (used, expected));
        assert!(ending != Ending::Complete || strip_dots(&seen) == strip_dots(&text));
    }
}

/// A dot before a lone CR at the start of a line stays, as in the original: dots at starts of
/// lines are not compared.
fn strip_dots(text: &[u8]) -> Vec<u8> {
    let lines = text.split(|byte| *byte == b'\n');
    lines.map(|line| line.strip_prefix(b".").unwrap_or(line)).collect::<Vec<_>>().join(&b'\n')
}

fn smtp_sent_text(bytes: &[u8]) {
    let encoded = |pieces: &[&[u8]]| {
        let (mut encoder, mut wire) = (Encoder::default(), Vec::new());
        pieces.iter().for_each(|piece| encoder.encode(piece, &mut wire));
        (wire, encoder.is_complete())
    };
    let (wire, complete) = encoded(&[bytes]);
    assert_eq!(encoded(&halves(bytes)), (wire.clone(), complete));
    assert_eq!(complete, bytes.is_empty() || bytes.ends_with(b"\n"));
    if complete {
        // what a server reads that knows no mercy: this text and no other, and its end
        let whole = [&wire[..], b".\r\n"].concat();
        let mut text = Vec::new();
        let end = Decoder::default().decode(&whole, |bytes| text.extend_from_slice(bytes));
        assert_eq!(end, (whole.len(), Ending::Complete));
        let lines = String::from_utf8_lossy(bytes).replace("\r\n", "\n").replace('\r', "\n");
        assert_eq!(String::from_utf8_lossy(&text), lines);
    }
}

fn smtp_command(bytes: &[u8]) {
    let (_, argument) = command::parse(bytes);
    assert!(argument.len() <= bytes.len() && !argument.contains(&0));
    if let Some(address) = command::address(argument) {
        assert!(address.len() < 900);
    }
}

fn smtp_reply(bytes: &[u8]) {
    let all = |pieces: &[&[u8]]| {
        let (mut parser, mut replies) = (Parser::default(), Vec::new());
        for piece in pieces {
            let mut rest = *piece;
            while !rest.is_empty() {
                let (used, reply) = parser.feed(rest);
                assert!(used > 0);
                rest = &rest[used..];
                replies.extend(reply.map(|reply| (reply.code, reply.text)));
            }
        }
        replies
    };
    let replies = all(&[bytes]);
    assert_eq!(all(&halves(bytes)), replies);
    assert!(replies.iter().all(|(code, text)| *code < 1000 && text.len() <= bytes.len()));
}

/// Says what it was told to, and takes anything.
struct Server<'a> {
    says: &'a [u8],
    heard: Vec<u8>,
}

impl Read for &mut Server<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        // each line by itself, so that commands and replies come in turn
        let end = memchr::memchr(b'\n', self.says).map_or(self.says.len(), |end| end + 1);
        let count = end.min(into.len());
        into[..count].copy_from_slice(&self.says[..count]);
        self.says = &self.says[count..];
        Ok(count)
    }
}

impl Write for &mut Server<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.heard.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn smtp_server(bytes: &[u8]) {
    let mut server = Server { says: bytes, heard: Vec::new() };
    let recipients = vec![b"a@x".to_vec(), b"b@x".to_vec()];
    let letter = Letter { helo: b"me", sender: b"f@x".to_vec(), recipients };
    let mut judged = 0;
    let client = Client::new(&mut server, Duration::from_secs(60));
    let outcome = client.deliver(&letter, &mut &b"Subject: x\n\n.text\n"[..], |_| judged += 1);
    let sent = memchr::memmem::find(&server.heard, b"\r\n..text\r\n.\r\n").is_some();
    let decided = matches!(outcome, Outcome::Accepted(_) | Outcome::MessageFailed(_));
    assert!(judged <= 2 && (sent || !decided), "{outcome:?}");
    assert_eq!(outcome == Outcome::Died { late: true }, sent && !decided, "{outcome:?}");
}
