//! A server that answers one question, on a port that may be a low one.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::{self, JoinHandle};
use tests::{LIMIT, shown, skip, until};

/// It waits for one connection, reads until `end`, answers, and closes.
pub struct Answering {
    /// An address of this host that nobody else uses.
    pub host: String,
    /// The port; what was asked for, or a free one for 0.
    pub port: u16,
    asked: JoinHandle<Vec<u8>>,
}

static COUNT: AtomicU8 = AtomicU8::new(0);

/// Listens on this port. `None`, after [`skip`], where only root may.
pub fn answering(port: u16, end: &'static str, answer: impl AsRef<[u8]>) -> Option<Answering> {
    let [.., high, low] = process::id().to_be_bytes();
    let host = Ipv4Addr::new(127, 64 + COUNT.fetch_add(1, Ordering::Relaxed), high, low);
    let Ok(listener) = TcpListener::bind((host, port)) else {
        skip("needs a low port");
        return None;
    };
    let port = listener.local_addr().unwrap().port();
    let answer = answer.as_ref().to_vec();
    let asked = thread::spawn(move || {
        let mut stream = accepted(&listener);
        let mut asked = Vec::new();
        while !asked.ends_with(end.as_bytes()) {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            asked.extend(byte);
        }
        stream.write_all(&answer).unwrap();
        asked
    });
    Some(Answering { host: host.to_string(), port, asked })
}

fn accepted(listener: &TcpListener) -> TcpStream {
    listener.set_nonblocking(true).unwrap();
    let mut stream = None;
    until(LIMIT, "somebody connects", || {
        stream = listener.accept().ok();
        stream.is_some()
    });
    let (stream, _) = stream.unwrap();
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

impl Answering {
    /// What it was asked.
    pub fn asked(self) -> String {
        shown(&self.asked.join().unwrap())
    }
}
