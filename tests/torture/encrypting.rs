//! Programs that speak TLS: whatever fails, nothing is taken for the whole that is not, and what is
//! said in clear is what the other end has said.

use crate::certificates::{Authority, ECDSA, authority};
use crate::sweep::{Case, sampled, sweep};
use crate::tamper::{Progress, Strike, held, held_with};
use std::fs::File;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use tests::{LIMIT, Running, comes_true, listener, program, start};

/// What answers, and is not swept.
const ANSWER: [&str; 3] = ["sh", "-c", "read -r name; echo \"hello $name\""];
const ASKED: &str = "you\n";
const ANSWERED: &str = "hello you\n";
const UNASKED: &str = "hello \n";

const TORN: &str = "done, it says, but that was not all";

/// What asks, and is not swept.
const ASK: [&str; 3] = ["sh", "-c", "echo you >&7; exec 7>&-; cat <&6"];

/// An authority that has issued `mail.pem` for mail.example.
fn mail() -> Authority {
    let authority = authority();
    authority.issue("mail", ECDSA, "mail.example");
    authority
}

/// tlsd, with a client of another kind.
struct Server {
    authority: Authority,
    listener: TcpListener,
    client: Mutex<Option<TcpStream>>,
    /// What the client was told, and whether that was the end.
    told: Mutex<(String, bool)>,
}

impl Case for Server {
    const LEAVE: bool = true;

    fn new() -> Self {
        let (client, told) = (Mutex::default(), Mutex::default());
        Server { authority: mail(), listener: listener().0, client, told }
    }

    fn renew(&self) {}

    fn command(&self) -> Command {
        let client = TcpStream::connect(self.listener.local_addr().unwrap()).unwrap();
        let server = OwnedFd::from(self.listener.accept().unwrap().0);
        *self.client.lock().unwrap() = Some(client);
        let mut tlsd = program("tlsd");
        self.authority.on("mail", tlsd.args(ANSWER));
        let mut command = held(&tlsd);
        command.stdin(server.try_clone().unwrap()).stdout(server).stderr(Stdio::null());
        command
    }

    fn accompany(&self, progress: &Progress) {
        let stream = self.client.lock().unwrap().take().unwrap();
        let (line, mut told) = (stream.try_clone().unwrap(), Vec::new());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // the test has the other end, too, and nobody would hang up
                comes_true(LIMIT, || progress.is_over() && progress.is_quiet());
                line.shutdown(Shutdown::Both)
            });
            let mut client = self.authority.client(stream);
            let asked = client.write_all(ASKED.as_bytes());
            let ended = asked.and_then(|()| client.read_to_end(&mut told)).is_ok();
            *self.told.lock().unwrap() = (String::from_utf8(told).unwrap(), ended);
        });
    }

    fn is_done(&self, code: Option<i32>) -> bool {
        code == Some(0) && *self.told.lock().unwrap() == (ANSWERED.to_owned(), true)
    }

    fn check(&self, code: Option<i32>) -> Result<(), String> {
        let (told, ended) = self.told.lock().unwrap().clone();
        // of a client whose words do not come, the program hears nothing, as without TLS
        let whole = ["", UNASKED, ANSWERED].contains(&&told[..]);
        match code {
            _ if ended && !whole => Err(format!("that was all, it says: {told:?}")),
            _ if !ended && !ANSWERED.starts_with(&told) => Err(format!("it says {told:?}")),
            None | Some(0 | 111 | 127) => Ok(()),
            Some(other) => Err(format!("no temporary failure: {other}")),
        }
    }
}

/// sslclient, or tlsc, with a tlsd that is not swept.
struct Client<const BEHIND_TCP: bool> {
    authority: Authority,
    server: Running,
}

impl<const BEHIND_TCP: bool> Case for Client<BEHIND_TCP> {
    const LEAVE: bool = true;

    fn new() -> Self {
        let authority = mail();
        let mut server = program("tcpserver");
        authority.on("mail", &mut server);
        server.args(["-1RHl0", "127.0.0.1", "0", "tlsd"]).args(ANSWER);
        let server = start(&mut server);
        server.wait_out("\n");
        Client { authority, server }
    }

    fn renew(&self) {}

    fn command(&self) -> Command {
        let port = self.server.out().trim().to_owned();
        let place = &self.authority.place;
        let mut command = if BEHIND_TCP {
            let mut tlsc = program("tlsc");
            tlsc.args(["-k", "mail.example", "-a", "ca.pem"]).args(ASK).current_dir(place.path());
            let stream = TcpStream::connect(("127.0.0.1", port.parse().unwrap())).unwrap();
            let mut command = held_with("6<&0 7>&0 0</dev/null", &tlsc);
            command.stdin(OwnedFd::from(stream));
            command
        } else {
            let mut client = program("sslclient");
            client.args(["-RHl0", "-N", "-a", "ca.pem", "127.0.0.1", &port]).args(ASK);
            let mut command = held(client.current_dir(place.path()));
            command.stdin(Stdio::null());
            command
        };
        let _ = std::fs::remove_file(place.join("told"));
        command.stdout(File::create(place.join("told")).unwrap()).stderr(Stdio::null());
        command
    }

    fn is_done(&self, code: Option<i32>) -> bool {
        code == Some(0) && self.authority.place.text("told") == ANSWERED
    }

    /// A connection that breaks is one that has ended, as for ucspi-ssl and all servers that leave
    /// without a word.
    fn excused(strike: &Strike, why: &str) -> bool {
        why == TORN && [libc::SYS_recvfrom, libc::SYS_sendto].contains(&strike.call.number)
    }

    fn check(&self, code: Option<i32>) -> Result<(), String> {
        let told = self.authority.place.text("told");
        match code {
            _ if !ANSWERED.starts_with(&told) && told != UNASKED => Err(format!("told {told:?}")),
            Some(0) if !BEHIND_TCP && told != ANSWERED => Err(TORN.into()),
            None | Some(0 | 111 | 127) => Ok(()),
            Some(other) => Err(format!("no temporary failure: {other}")),
        }
    }
}

#[test]
fn tlsd_ends_in_order_only_if_all_is_said() {
    sampled::<Server>("tlsd", 2);
}

#[test]
fn sslclient_is_done_only_if_all_is_heard() {
    sampled::<Client<false>>("sslclient", 2);
}

#[test]
fn tlsc_passes_on_what_is_said() {
    sampled::<Client<true>>("tlsc", 2);
}

#[test]
#[ignore = "torture"]
fn what_is_encrypted_is_whole_whatever_fails() {
    sweep::<Server>("tlsd");
    sweep::<Client<false>>("sslclient");
    sweep::<Client<true>>("tlsc");
}
