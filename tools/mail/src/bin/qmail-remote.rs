//! qmail-remote: send mail by SMTP.
#![cfg_attr(not(test), no_main)]

use base::env;
use base::input::Input;
use base::out::Out;
use base::sys::{clock, fd, signal};
use base::{Args, Code, Die};
use mail::address;
use mail::control::{Control, Map};
use mail::exchangers::{self, Failure, Target};
use mail::own_addresses::OwnAddresses;
use mail::peer::Peer;
use mail::routes;
use mail::smtp::client::{Client, Letter, Outcome};
use mail::smtp::reply::Reply;
use mail::tcpto::{self, Entry};
use net::connect::{bound, connect_on};
use net::dns::Resolver;
use queue::home;
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, TcpStream};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

base::program!("qmail-remote", run);

// What is said when there is no conversation. Each report begins with D (never), Z (not now) or
// K (done); those of conversations are below, in `report` and `verdict`.
const INVOKED: &str = "DI (qmail-remote) was invoked improperly. (#5.3.5)\n";
const HOME: &str = "ZUnable to switch to home directory. (#4.3.0)\n";
const CONTROLS: &str = "ZUnable to read control files. (#4.3.0)\n";
const SYSTEM: &str = "ZSystem resources temporarily unavailable. (#4.3.0)\n";
const MESSAGE: &str = "ZUnable to read message. (#4.3.0)\n";
const PARTIAL_LINE: &str = "DSMTP cannot transfer messages with partial final lines. (#5.6.2)\n";
const LINE_BREAK: &str = "DSMTP cannot transfer addresses with line breaks. (#5.1.3)\n";
const DNS: &str = "ZSorry, I couldn't find any host by that name. (#4.1.2)\n";
const NO_HOST: [&str; 2] = ["DSorry, I couldn't find any host named ", ". (#5.1.2)\n"];
const NO_MAIL: [&str; 2] = ["DSorry, no mail is taken at ", ". (#5.1.10)\n"];
const NO_ADDRESS: &str = "DSorry, I couldn't find a mail exchanger or IP address. (#5.4.4)\n";
const LOOP: &str = "DSorry. Although I'm listed as a best-preference MX or A for that host,\n\
                    it isn't in my control/locals file, so I don't treat it as local. (#5.4.6)\n";
const NO_CONNECTION: &str = "ZSorry, I wasn't able to establish an SMTP connection. (#4.4.1)\n";

/// Seconds for a connection, unless control/timeoutconnect says.
const CONNECT: u64 = 60;
/// Seconds for each read or write, unless control/timeoutremote says.
const PATIENCE: u64 = 1200;
/// Where addresses that time out are remembered.
const LOCK: &str = "queue/lock";
/// Bytes of the message that are read at once.
const BLOCK: usize = 32768;

/// A record of the report, without its NUL.
type Record = Vec<u8>;
/// The error is the last record, too.
type Result<T> = std::result::Result<T, Record>;

fn run(words: Args) -> base::Result<Code> {
    // A connection in the place of a closed descriptor would get the report.
    if !fd::is_open(1) {
        return Err(Die::silent(Code::TEMP.0));
    }
    let mut out = Out::stdout();
    let (Ok(last) | Err(last)) = deliver(&words, &mut out);
    let written = put(&mut out, &last).and_then(|()| out.flush());
    written.and(Ok(Code::DONE)).or(Err(Die::silent(Code::TEMP.0)))
}

/// Adds a record to the report.
fn put(out: &mut Out, record: &[u8]) -> io::Result<()> {
    out.put(record)?;
    out.put(b"\0")
}

/// Delivers the message to the best mail exchanger that can be reached.
fn deliver(words: &[OsString], out: &mut Out) -> Result<Record> {
    let [host, sender, recipients @ ..] = words else { return Err(INVOKED.into()) };
    if recipients.is_empty() {
        return Err(INVOKED.into());
    }
    signal::ignore(signal::PIPE).or(Err(SYSTEM))?;
    if !fd::is_open(0) {
        return Err(MESSAGE.into());
    }
    std::env::set_current_dir(home::folder()).or(Err(HOME))?;
    let controls = Controls::read().or(Err(CONTROLS))?;
    let letter = Letter {
        helo: &controls.helo,
        sender: envelope(sender)?,
        recipients: recipients.iter().map(envelope).collect::<Result<_>>()?,
    };
    let (targets, port) = controls.targets(host.as_bytes())?;
    let (ip, stream) = controls.connect(&targets, port)?;
    let peer = Peer::of_socket(&stream, controls.patience).or(Err(SYSTEM))?;
    let mut message = Input::with_size(fd::STDIN, BLOCK);
    let mut written = Ok(());
    let outcome = Client::new(peer, controls.patience).deliver(&letter, &mut message, |reply| {
        if written.is_ok() {
            written = put(out, &verdict(ip, reply));
        }
    });
    written.or(Err(SYSTEM))?;
    Ok(report(ip, &outcome))
}

/// An address as commands show it. One without `@` stays as it is; one with a line break would
/// be a command of its own to some servers.
fn envelope(word: &OsString) -> Result<Vec<u8>> {
    let address = word.as_bytes();
    if address.contains(&b'\r') || address.contains(&b'\n') {
        return Err(LINE_BREAK.into());
    }
    Ok(if address.contains(&b'@') { address::quote(address) } else { address.to_vec() })
}

/// What the control files say.
struct Controls {
    helo: Vec<u8>,
    routes: Map,
    connect: Duration,
    patience: Duration,
}

impl Controls {
    fn read() -> io::Result<Self> {
        let control = Control::of(Path::new("."));
        let seconds = |number: u64| Duration::from_secs(number.max(1));
        Ok(Controls {
            helo: control.line_or_me("helohost")?.ok_or(ErrorKind::NotFound)?,
            routes: control.map("smtproutes")?.unwrap_or_default(),
            connect: seconds(control.number("timeoutconnect")?.unwrap_or(CONNECT)),
            patience: seconds(control.number("timeoutremote")?.unwrap_or(PATIENCE)),
        })
    }

    /// The addresses for mail to `host`, and the port: those of its relay, if it has one, else
    /// of mail exchangers that are better than this host.
    fn targets(&self, host: &[u8]) -> Result<(Vec<Target>, u16)> {
        let mut dns = Resolver::new(env::get("DNSCACHEIP").as_deref());
        if let Some(relay) = routes::find(&self.routes, host).or(Err(CONTROLS))? {
            let targets = exchangers::of_host(&relay.host, &mut dns);
            let targets = targets.map_err(|failure| lookup_failed(failure, &relay.host))?;
            return Ok((targets, relay.port));
        }
        let failed = |failure| lookup_failed(failure, host);
        let found = exchangers::of_domain(host, &mut dns).map_err(failed)?;
        let own = OwnAddresses::read().or(Err(SYSTEM))?;
        let better = exchangers::better_than_us(found, &own).map_err(failed)?;
        Ok((better, routes::SMTP_PORT))
    }

    /// Connects to the first that answers, passing over those that have not done so lately.
    fn connect(&self, targets: &[Target], port: u16) -> Result<(IpAddr, TcpStream)> {
        let lock = Path::new(LOCK);
        for &Target { ip, .. } in targets {
            let entry = tcpto::look(lock, ip, clock::seconds());
            if entry == Entry::Dead {
                continue;
            }
            let to = (ip, port).into();
            let socket = match bound(to, None) {
                Ok(socket) => socket,
                // A system without IPv6.
                Err(_) if ip.is_ipv6() => continue,
                Err(_) => return Err(SYSTEM.into()),
            };
            let stream = connect_on(socket, to, self.connect);
            if matches!(&stream, Err(why) if why.kind() == ErrorKind::TimedOut) {
                tcpto::timed_out(lock, ip, clock::seconds());
            } else if entry == Entry::Known {
                tcpto::answered(lock, ip);
            }
            if let Ok(stream) = stream {
                // So that the last piece of a message does not wait for the answer to the one
                // before. A connection that is dead already will show it.
                let _ = stream.set_nodelay(true);
                return Ok((ip, stream));
            }
        }
        Err(NO_CONNECTION.into())
    }
}

fn lookup_failed(failure: Failure, host: &[u8]) -> Record {
    let named = |[before, after]: [&str; 2]| {
        let host: Vec<u8> =
            host.iter().map(|byte| if byte.is_ascii_graphic() { *byte } else { b'?' }).collect();
        [before.as_bytes(), &host, after.as_bytes()].concat()
    };
    match failure {
        Failure::NoHost => named(NO_HOST),
        Failure::NoMail => named(NO_MAIL),
        Failure::NoAddress => NO_ADDRESS.into(),
        Failure::Loop => LOOP.into(),
        Failure::Later => DNS.into(),
    }
}

/// The record of a recipient: r (accepted), h (refused for good), s (refused for now).
fn verdict(ip: IpAddr, reply: &Reply) -> Record {
    match (reply.is_refusal(), reply.is_permanent()) {
        (false, _) => b"r".to_vec(),
        (_, true) => said(&format!("h{ip} does not like recipient.\n"), reply),
        (_, false) => said(&format!("s{ip} does not like recipient.\n"), reply),
    }
}

/// The record of the message.
fn report(ip: IpAddr, outcome: &Outcome) -> Record {
    let failed = |reply: &Reply| if reply.is_permanent() { 'D' } else { 'Z' };
    match outcome {
        Outcome::GreetingFailed(reply) => {
            said(&format!("ZConnected to {ip} but greeting failed.\n"), reply)
        }
        Outcome::NameRejected(reply) => {
            said(&format!("ZConnected to {ip} but my name was rejected.\n"), reply)
        }
        Outcome::SenderRejected(reply) => {
            let letter = failed(reply);
            said(&format!("{letter}Connected to {ip} but sender was rejected.\n"), reply)
        }
        Outcome::NoRecipient => format!("DGiving up on {ip}.\n").into(),
        Outcome::DataFailed(reply) => {
            said(&format!("{}{ip} failed on DATA command.\n", failed(reply)), reply)
        }
        Outcome::MessageFailed(reply) => {
            said(&format!("{}{ip} failed after I sent the message.\n", failed(reply)), reply)
        }
        Outcome::Accepted(reply) => said(&format!("K{ip} accepted message.\n"), reply),
        Outcome::PartialLine => PARTIAL_LINE.into(),
        Outcome::Unreadable => MESSAGE.into(),
        Outcome::Died { late: false } => {
            format!("ZConnected to {ip} but connection died. (#4.4.2)\n").into()
        }
        Outcome::Died { late: true } => {
            format!("ZConnected to {ip} but connection died. Possible duplicate! (#4.4.2)\n").into()
        }
    }
}

/// A text, and what the server has said.
fn said(text: &str, reply: &Reply) -> Record {
    let words = reply.text.iter().map(|byte| if *byte == 0 { b'?' } else { *byte });
    text.bytes().chain(*b"Remote host said: ").chain(words).collect()
}
