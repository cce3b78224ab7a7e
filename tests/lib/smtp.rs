//! Both ends of an SMTP conversation.

use crate::socket::patient;
use crate::{connect, listener, shown};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

/// A client that talks as a test says.
pub struct Smtp {
    stream: BufReader<TcpStream>,
}

/// Connects to a port of 127.0.0.1. The greeting is not read yet: `.expect(220)`.
#[track_caller]
pub fn smtp(port: u16) -> Smtp {
    smtp_on(connect(port))
}

/// A client on a connection that exists.
pub fn smtp_on(stream: TcpStream) -> Smtp {
    patient(&stream);
    Smtp { stream: BufReader::new(stream) }
}

impl Smtp {
    /// Sends a line; CR LF is added.
    #[track_caller]
    pub fn say(&mut self, line: &str) -> &mut Smtp {
        self.send(format!("{line}\r\n"))
    }

    /// Sends bytes as they are, in one write.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Smtp {
        self.stream.get_mut().write_all(bytes.as_ref()).unwrap();
        self
    }

    /// Reads a whole reply and checks its code; gives its lines with LF ends.
    #[track_caller]
    pub fn expect(&mut self, code: u16) -> String {
        let reply = self.reply();
        assert!(reply.starts_with(&code.to_string()), "expected {code}, got {reply:?}");
        reply
    }

    /// Reads a whole reply, of one or more lines; empty at the end of the connection.
    #[track_caller]
    pub fn reply(&mut self) -> String {
        let mut reply = String::new();
        while let Some(line) = line(&mut self.stream) {
            reply.push_str(&shown(&line));
            reply.push('\n');
            if line.get(3) != Some(&b'-') {
                break;
            }
        }
        reply
    }

    /// Says this line and expects this code: one step of a conversation.
    #[track_caller]
    pub fn step(&mut self, line: &str, code: u16) -> &mut Smtp {
        self.say(line).expect(code);
        self
    }

    /// The server has closed the connection, and said nothing more.
    #[track_caller]
    pub fn expect_end(&mut self) {
        assert_eq!(self.reply(), "");
    }
}

/// A server that answers from a script and remembers what it was told.
pub struct SmtpServer {
    /// Where it listens.
    pub address: SocketAddr,
    heard: Arc<Mutex<Heard>>,
}

#[derive(Default)]
struct Heard {
    lines: Vec<String>,
    messages: Vec<Vec<u8>>,
}

/// Starts a server on a free port of 127.0.0.1. It greets with `greeting` (`"220 fake"`) and
/// answers each command with what `reply` gives for it, `"250-a\n250 b"` for two lines, `""` to
/// hang up. After a 354 it takes a message and asks `reply` about `"."`.
pub fn smtp_server(
    greeting: &str,
    reply: impl FnMut(&str) -> String + Send + 'static,
) -> SmtpServer {
    serve(listener().0, greeting, reply)
}

/// As [`smtp_server`], at an address of the test's choice: `"127.0.0.9:25"`.
#[track_caller]
pub fn smtp_server_at(
    address: &str,
    greeting: &str,
    reply: impl FnMut(&str) -> String + Send + 'static,
) -> SmtpServer {
    serve(TcpListener::bind(address).unwrap(), greeting, reply)
}

/// The reply of a server that takes everything.
pub fn accepting(line: &str) -> String {
    let verb = line.split(' ').next().unwrap_or_default().to_ascii_uppercase();
    match verb.as_str() {
        "DATA" => "354 go ahead",
        "QUIT" => "221 bye",
        _ => "250 ok",
    }
    .into()
}

fn serve(
    listener: TcpListener,
    greeting: &str,
    mut reply: impl FnMut(&str) -> String + Send + 'static,
) -> SmtpServer {
    let heard = Arc::new(Mutex::new(Heard::default()));
    let server = SmtpServer { address: listener.local_addr().unwrap(), heard: Arc::clone(&heard) };
    let greeting = greeting.to_owned();
    // ends with the test's process; connections come one after another
    thread::spawn(move || {
        for stream in listener.incoming() {
            converse(stream.unwrap(), &greeting, &mut reply, &heard);
        }
    });
    server
}

/// One conversation, to its end by either side. `None` is only the way out.
fn converse(
    stream: TcpStream,
    greeting: &str,
    reply: &mut impl FnMut(&str) -> String,
    heard: &Mutex<Heard>,
) -> Option<()> {
    patient(&stream);
    let mut stream = BufReader::new(stream);
    answer(&mut stream, greeting)?;
    loop {
        let line = shown(&line(&mut stream)?);
        heard.lock().unwrap().lines.push(line.clone());
        let mut text = reply(&line);
        answer(&mut stream, &text)?;
        if text.starts_with("354") {
            let message = message(&mut stream)?;
            heard.lock().unwrap().messages.push(message);
            text = reply(".");
            answer(&mut stream, &text)?;
        }
        if text.starts_with("221") || text.starts_with("421") {
            return None;
        }
    }
}

/// Writes a reply. `None` if it is the empty one, or the client has gone.
fn answer(stream: &mut BufReader<TcpStream>, text: &str) -> Option<()> {
    if text.is_empty() {
        return None;
    }
    let wire = format!("{}\r\n", text.replace('\n', "\r\n"));
    stream.get_mut().write_all(wire.as_bytes()).ok()
}

/// Reads a message as it is on the wire, CR LF and doubled dots included, without the last line.
fn message(stream: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut message = Vec::new();
    loop {
        let before = message.len();
        if stream.read_until(b'\n', &mut message).ok()? == 0 {
            return None;
        }
        if &message[before..] == b".\r\n" && (before == 0 || message[..before].ends_with(b"\r\n")) {
            message.truncate(before);
            return Some(message);
        }
    }
}

/// Reads a line, without its LF or CR LF. `None` at the end of the connection.
fn line(stream: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line).ok()?;
    let line = line.strip_suffix(b"\n")?;
    Some(line.strip_suffix(b"\r").unwrap_or(line).to_vec())
}

impl SmtpServer {
    /// The port of 127.0.0.1 where it listens.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The commands so far, of all connections, without line ends.
    pub fn lines(&self) -> Vec<String> {
        self.heard().lines.clone()
    }

    /// The messages so far, byte for byte as they came, without the line of the last dot.
    pub fn messages(&self) -> Vec<Vec<u8>> {
        self.heard().messages.clone()
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap()
    }
}
