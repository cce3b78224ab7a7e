//! Whole conversations with a server that is a list of lines.

use super::*;

/// Each read gives the next piece of the script; what is written is kept, with what was read
/// before it.
struct Script {
    pieces: std::vec::IntoIter<String>,
    log: String,
}

impl Read for &mut Script {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let Some(piece) = self.pieces.next() else { return Ok(0) };
        if piece == "reset" {
            return Err(ErrorKind::ConnectionReset.into());
        }
        into[..piece.len()].copy_from_slice(piece.as_bytes());
        Ok(piece.len())
    }
}

impl Write for &mut Script {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.log += &format!("[{}]", String::from_utf8_lossy(bytes).replace("\r\n", "|"));
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A message that breaks off with an error.
struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(ErrorKind::InvalidData.into())
    }
}

/// Talks to a server that says these lines, each at one read, to give it `message` for these
/// recipients. What was written, the codes for recipients, the outcome.
fn talk(
    lines: &[&str],
    recipients: &[&str],
    message: &mut impl Read,
) -> (String, Vec<u16>, Outcome) {
    let pieces: Vec<String> = lines.iter().map(|line| line.replace('\n', "\r\n")).collect();
    let mut script = Script { pieces: pieces.into_iter(), log: String::new() };
    let recipients = recipients.iter().map(|recipient| recipient.as_bytes().to_vec()).collect();
    let letter = Letter { helo: b"me", sender: b"f@x".to_vec(), recipients };
    let mut codes = Vec::new();
    let client = Client::new(&mut script, Duration::from_secs(60));
    let outcome = client.deliver(&letter, message, |reply| codes.push(reply.code));
    (script.log, codes, outcome)
}

fn reply(code: u16, text: &str) -> Reply {
    Reply { code, text: text.into() }
}

/// The end of a conversation with one recipient, and what was written.
#[track_caller]
fn ends(lines: &[&str], written: &str, outcome: Outcome) {
    let (log, _, seen) = talk(lines, &["a@y"], &mut &b"text\n"[..]);
    assert_eq!((log.as_str(), seen), (written, outcome), "{lines:?}");
}

#[test]
fn commands_go_one_by_one() {
    ends(
        &["220 hi\n", "250 hello\n", "250 s\n", "250 r\n", "354 d\n", "250-fine\n250 end\n"],
        "[EHLO me|][MAIL FROM:<f@x>|][RCPT TO:<a@y>|][DATA|][text|.|][QUIT|]",
        Outcome::Accepted(reply(250, "250-fine\n250 end\n")),
    );
}

#[test]
fn commands_go_together_if_the_server_takes_them_so() {
    let lines =
        ["220 hi\n", "250-x\n250 PIPELINING\n", "250 s\n550 r\n25", "0 r\n354 d\n250 end\n"];
    let (log, codes, outcome) = talk(&lines, &["a@y", "b@y"], &mut &b".\n.x\n"[..]);
    let written = "[EHLO me|][MAIL FROM:<f@x>|RCPT TO:<a@y>|RCPT TO:<b@y>|DATA|][..|..x|.|][QUIT|]";
    assert_eq!((log.as_str(), codes), (written, vec![550, 250]));
    assert_eq!(outcome, Outcome::Accepted(reply(250, "250 end\n")));
}

#[test]
fn a_group_of_commands_has_a_limit() {
    let recipients = vec!["a"; 250];
    let replies = "250 r\n".repeat(100);
    let lines = ["220 hi\n", "250-x\n250 PIPELINING\n", &replies, &replies, &replies, "250 end\n"];
    let (log, codes, outcome) = talk(&lines, &recipients, &mut &b""[..]);
    assert_eq!((codes.len(), outcome), (250, Outcome::Accepted(reply(250, "250 r\n"))));
    let groups: Vec<usize> = log.split("][").map(|write| write.matches('|').count()).collect();
    assert_eq!(groups, [1, 100, 100, 52, 1, 1]);
}

#[test]
fn helo_is_for_servers_that_do_not_know_ehlo() {
    ends(
        &["220 hi\n", "502 what?\n", "250 hello\n", "550 no\n"],
        "[EHLO me|][HELO me|][MAIL FROM:<f@x>|][QUIT|]",
        Outcome::SenderRejected(reply(550, "550 no\n")),
    );
    ends(
        &["220 hi\n", "500 what?\n", "421 no\n"],
        "[EHLO me|][HELO me|][QUIT|]",
        Outcome::NameRejected(reply(421, "421 no\n")),
    );
    ends(
        &["220 hi\n", "421 not now\n"],
        "[EHLO me|][QUIT|]",
        Outcome::NameRejected(reply(421, "421 not now\n")),
    );
}

#[test]
fn every_step_may_fail() {
    use Outcome::*;
    let start = "[EHLO me|][MAIL FROM:<f@x>|]";
    ends(&["554 no\n"], "[QUIT|]", GreetingFailed(reply(554, "554 no\n")));
    ends(&["250 no\n"], "[QUIT|]", GreetingFailed(reply(250, "250 no\n")));
    ends(
        &["220\n", "250\n", "451 s\n"],
        &format!("{start}[QUIT|]"),
        SenderRejected(reply(451, "451 s\n")),
    );
    ends(
        &["220\n", "250\n", "250\n", "450 r\n"],
        &format!("{start}[RCPT TO:<a@y>|][QUIT|]"),
        NoRecipient,
    );
    ends(
        &["220\n", "250\n", "250\n", "251 r\n", "554 d\n"],
        &format!("{start}[RCPT TO:<a@y>|][DATA|][QUIT|]"),
        DataFailed(reply(554, "554 d\n")),
    );
    ends(
        &["220\n", "250\n", "250\n", "250\n", "250 go\n", "452 m\n"],
        &format!("{start}[RCPT TO:<a@y>|][DATA|][text|.|][QUIT|]"),
        MessageFailed(reply(452, "452 m\n")),
    );
}

#[test]
fn a_refused_sender_of_a_group_ends_it_all() {
    ends(
        &["220\n", "250-x\n250-pipelining\n250 x\n", "550 s\n550 r\n354 d\n"],
        "[EHLO me|][MAIL FROM:<f@x>|RCPT TO:<a@y>|DATA|][QUIT|]",
        Outcome::SenderRejected(reply(550, "550 s\n")),
    );
    ends(
        &["220\n", "250-x\n250-pipelining\n250 x\n", "250 s\n550 r\n354 d\n"],
        "[EHLO me|][MAIL FROM:<f@x>|RCPT TO:<a@y>|DATA|][QUIT|]",
        Outcome::NoRecipient,
    );
}

#[test]
fn a_connection_may_die_anywhere() {
    let lines = ["220\n", "250\n", "250\n", "250\n", "354\n"];
    for count in 0..lines.len() {
        for end in ["reset", "25"] {
            let script = [&lines[..count], &[end]].concat();
            let outcome = talk(&script, &["a"], &mut &b"text\n"[..]).2;
            assert_eq!(outcome, Outcome::Died { late: false }, "{count}");
        }
    }
    let outcome = talk(&[&lines[..], &["250-"]].concat(), &["a"], &mut &b"text\n"[..]).2;
    assert_eq!(outcome, Outcome::Died { late: true });
}

#[test]
fn a_message_that_is_not_whole_is_not_ended() {
    let lines = ["220\n", "250\n", "250\n", "250\n", "354\n", "250\n"];
    let (log, _, outcome) = talk(&lines, &["a"], &mut &b"text"[..]);
    assert!(log.ends_with("[DATA|]"), "{log}");
    assert_eq!(outcome, Outcome::PartialLine);
    assert_eq!(talk(&lines, &["a"], &mut Broken).2, Outcome::Unreadable);
}

#[test]
fn big_messages_go_in_big_pieces() {
    let lines = ["220\n", "250\n", "250\n", "250\n", "354\n", "250\n"];
    let message = "0123456789abcde\n".repeat(10_000);
    let (log, _, _) = talk(&lines, &["a"], &mut message.as_bytes());
    let writes: Vec<&str> = log.split("][").collect();
    let text: Vec<usize> = writes[4..writes.len() - 1].iter().map(|write| write.len()).collect();
    assert_eq!(text.len(), 5);
    assert!(text[..4].iter().all(|length| *length >= BLOCK));
}

#[test]
fn slow_replies_time_out() {
    let pieces = vec!["2".to_owned(); 1000].into_iter();
    let mut script = Script { pieces, log: String::new() };
    let letter = Letter { helo: b"me", sender: Vec::new(), recipients: vec![b"a".to_vec()] };
    let client = Client::new(&mut script, Duration::ZERO);
    let outcome = client.deliver(&letter, &mut &b""[..], |_| {});
    assert_eq!(outcome, Outcome::Died { late: false });
    assert!(script.pieces.len() > 900);
}
