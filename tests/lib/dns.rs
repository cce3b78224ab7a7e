//! A name server on loopback that knows what a test tells it.

use crate::random::Random;
use crate::{shown, skip};
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A running name server. Programs are led to it by `.env("DNSCACHEIP", dns.ip.to_string())`.
pub struct Dns {
    /// Its address, somewhere in 127.0.0.0/8; its port is 53.
    pub ip: Ipv4Addr,
    zone: Arc<Zone>,
    threads: Vec<JoinHandle<()>>,
}

/// Starts a name server that knows these (name, type, data) and no other names.
///
/// | type | data | |
/// |---|---|---|
/// | A, AAAA | an address | |
/// | CNAME, NS | a name | a CNAME is followed for every type |
/// | PTR | a name | the record's own name may be an address |
/// | MX | `"10 mail.example"` | |
/// | TXT | the text, cut into strings of 255 | |
/// | TYPE52 | hexadecimal bytes | any type by its number |
/// | SERVFAIL, REFUSED, SILENT | not used | what happens to every question about the name |
/// | TRUNCATED | not used | answers come whole by TCP only |
///
/// `None`, after [`skip`], if port 53 is not ours to listen on (it is root's):
/// `let Some(dns) = dns(&[("a.example", "A", "127.0.0.1")]) else { return };`
pub fn dns(records: &[(&str, &str, &str)]) -> Option<Dns> {
    let Some((ip, udp, tcp)) = sockets() else {
        skip("needs root: a name server has port 53");
        return None;
    };
    let zone = Arc::new(Zone::new(records));
    let (theirs, others) = (Arc::clone(&zone), Arc::clone(&zone));
    let threads = vec![
        thread::spawn(move || by_udp(&udp, &theirs)),
        thread::spawn(move || by_tcp(&tcp, &others)),
    ];
    Some(Dns { ip, zone, threads })
}

impl Dns {
    /// The questions so far, `"MX a.example"`, in the order in which they came.
    pub fn asked(&self) -> Vec<String> {
        self.zone.asked.lock().unwrap().clone()
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.zone.stop.store(true, Ordering::Relaxed);
        // one knock for each thread, so that they look
        let _ = UdpSocket::bind("127.0.0.1:0").and_then(|s| s.send_to(b"", (self.ip, 53)));
        let _ = TcpStream::connect((self.ip, 53));
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Both sockets on a loopback address that no other test uses.
fn sockets() -> Option<(Ipv4Addr, UdpSocket, TcpListener)> {
    let mut random = Random::new(RandomState::new().build_hasher().finish());
    loop {
        let [b, c, d] = [random.below(250), random.below(250), random.below(250)].map(|n| n as u8);
        let ip = Ipv4Addr::new(127, b + 1, c, d + 1);
        let both = UdpSocket::bind((ip, 53)).and_then(|u| Ok((u, TcpListener::bind((ip, 53))?)));
        match both {
            Ok((udp, tcp)) => return Some((ip, udp, tcp)),
            Err(e) if e.kind() == ErrorKind::AddrInUse => {}
            Err(_) => return None,
        }
    }
}

fn by_udp(socket: &UdpSocket, zone: &Zone) {
    let mut packet = [0; 4096];
    loop {
        let Ok((length, peer)) = socket.recv_from(&mut packet) else { continue };
        if zone.stop.load(Ordering::Relaxed) {
            return;
        }
        let answer = zone.answer(&packet[..length], false);
        answer.map(|bytes| socket.send_to(&bytes, peer));
    }
}

fn by_tcp(listener: &TcpListener, zone: &Zone) {
    for stream in listener.incoming() {
        if zone.stop.load(Ordering::Relaxed) {
            return;
        }
        // a client that goes away in between is no concern of ours
        let _ = stream.and_then(|mut stream| one_by_tcp(&mut stream, zone));
    }
}

fn one_by_tcp(stream: &mut TcpStream, zone: &Zone) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut packet = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut packet)?;
    let Some(answer) = zone.answer(&packet, true) else { return Ok(()) };
    stream.write_all(&(answer.len() as u16).to_be_bytes())?;
    stream.write_all(&answer)
}

const CNAME: u16 = 5;
const OPT: u16 = 41;
/// Without EDNS, an answer by UDP has no more bytes.
const UDP_SIZE: usize = 512;

const TRUNCATED: u8 = 0x02;
const SERVFAIL: u8 = 2;
const NXDOMAIN: u8 = 3;
const REFUSED: u8 = 5;

#[derive(Default)]
struct Zone {
    records: Vec<Record>,
    /// Names and what happens to questions about them.
    moods: Vec<(String, Mood)>,
    asked: Mutex<Vec<String>>,
    stop: AtomicBool,
}

struct Record {
    name: String,
    kind: u16,
    data: Vec<u8>,
    /// Where a CNAME leads.
    target: String,
}

#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Fails(u8),
    Silent,
    Truncated,
}

struct Question {
    name: String,
    kind: u16,
    /// The question section as it came.
    wire: Vec<u8>,
    /// The client speaks EDNS and takes answers of this size.
    edns: Option<u16>,
}

impl Zone {
    fn new(records: &[(&str, &str, &str)]) -> Zone {
        let mut zone = Zone::default();
        for (name, kind, data) in records {
            let name = reverse(name).to_ascii_lowercase();
            match *kind {
                "SERVFAIL" => zone.moods.push((name, Mood::Fails(SERVFAIL))),
                "REFUSED" => zone.moods.push((name, Mood::Fails(REFUSED))),
                "SILENT" => zone.moods.push((name, Mood::Silent)),
                "TRUNCATED" => zone.moods.push((name, Mood::Truncated)),
                _ => zone.records.push(Record {
                    name,
                    kind: number(kind),
                    data: encode(kind, data),
                    target: data.to_ascii_lowercase(),
                }),
            }
        }
        zone
    }

    /// The answer to a packet, if it gets one.
    fn answer(&self, packet: &[u8], tcp: bool) -> Option<Vec<u8>> {
        let question = question(packet)?;
        self.asked.lock().unwrap().push(format!("{} {}", word(question.kind), question.name));
        let mood =
            self.moods.iter().find(|(name, _)| *name == question.name).map(|(_, mood)| *mood);
        let id = &packet[..2];
        match mood {
            Some(Mood::Silent) => None,
            Some(Mood::Fails(code)) => Some(respond(id, &question, 0, code, &[])),
            Some(Mood::Truncated) if !tcp => Some(respond(id, &question, TRUNCATED, 0, &[])),
            _ => Some(self.whole(id, &question, tcp)),
        }
    }

    /// The answer with all records that fit, or none of them and the truncation flag.
    fn whole(&self, id: &[u8], question: &Question, tcp: bool) -> Vec<u8> {
        let (code, found) = self.find(question);
        let whole = respond(id, question, 0, code, &found);
        let room = question.edns.map_or(UDP_SIZE, |size| usize::from(size).max(UDP_SIZE));
        if tcp || whole.len() <= room { whole } else { respond(id, question, TRUNCATED, code, &[]) }
    }

    /// The records that answer a question, behind the CNAMEs that lead to them.
    fn find(&self, question: &Question) -> (u8, Vec<&Record>) {
        let mut name = question.name.clone();
        let mut found: Vec<&Record> = Vec::new();
        // a loop of CNAMEs is answered like a long chain
        for _ in 0..20 {
            let here: Vec<&Record> = self.records.iter().filter(|r| r.name == name).collect();
            let wanted = here.iter().filter(|r| r.kind == question.kind).copied();
            let before = found.len();
            found.extend(wanted);
            let alias = here.iter().find(|r| r.kind == CNAME);
            match alias {
                Some(alias) if found.len() == before => {
                    found.push(alias);
                    name.clone_from(&alias.target);
                }
                _ => return (if here.is_empty() { NXDOMAIN } else { 0 }, found),
            }
        }
        (0, found)
    }
}

/// Puts an answer together. Names are not compressed.
fn respond(id: &[u8], question: &Question, flags: u8, code: u8, found: &[&Record]) -> Vec<u8> {
    let extra = u8::from(question.edns.is_some());
    // response, recursion desired and available
    let mut packet = vec![id[0], id[1], 0x81 | flags, 0x80 | code, 0, 1];
    packet.extend((found.len() as u16).to_be_bytes());
    packet.extend([0, 0, 0, extra]);
    packet.extend(&question.wire);
    for record in found {
        packet.extend(labels(&record.name));
        packet.extend(record.kind.to_be_bytes());
        packet.extend([0, 1, 0, 0, 0, 60]);
        packet.extend((record.data.len() as u16).to_be_bytes());
        packet.extend(&record.data);
    }
    if extra == 1 {
        packet.extend([0, 0, OPT as u8, 0x10, 0, 0, 0, 0, 0, 0, 0]);
    }
    packet
}

/// Reads a query. `None` if it is none.
fn question(packet: &[u8]) -> Option<Question> {
    let query = packet.get(2)? & 0x80 == 0 && packet.get(4..6)? == [0, 1];
    let mut rest = packet.get(12..)?;
    let mut name: Vec<String> = Vec::new();
    loop {
        let (&length, tail) = rest.split_first()?;
        let (label, tail) = tail.split_at_checked(length.into())?;
        rest = tail;
        if label.is_empty() {
            break;
        }
        name.push(shown(label).to_ascii_lowercase());
    }
    let (fixed, extra) = rest.split_at_checked(4)?;
    let edns = match extra {
        [0, 0, kind, high, low, ..] if u16::from(*kind) == OPT => {
            Some(u16::from_be_bytes([*high, *low]))
        }
        _ => None,
    };
    let wire = packet[12..packet.len() - extra.len()].to_vec();
    let kind = u16::from_be_bytes([fixed[0], fixed[1]]);
    query.then_some(Question { name: name.join("."), kind, wire, edns })
}

const KINDS: [(&str, u16); 8] = [
    ("A", 1),
    ("NS", 2),
    ("CNAME", CNAME),
    ("SOA", 6),
    ("PTR", 12),
    ("MX", 15),
    ("TXT", 16),
    ("AAAA", 28),
];

fn number(kind: &str) -> u16 {
    let known = KINDS.iter().find(|(word, _)| *word == kind).map(|(_, number)| *number);
    let numbered = || kind.strip_prefix("TYPE").and_then(|digits| digits.parse().ok());
    known.or_else(numbered).unwrap_or_else(|| panic!("the fake DNS server has no type {kind}"))
}

fn word(kind: u16) -> String {
    let known = KINDS.iter().find(|(_, number)| *number == kind);
    known.map_or_else(|| format!("TYPE{kind}"), |(word, _)| (*word).into())
}

fn encode(kind: &str, data: &str) -> Vec<u8> {
    match kind {
        "A" => data.parse::<Ipv4Addr>().unwrap().octets().into(),
        "AAAA" => data.parse::<Ipv6Addr>().unwrap().octets().into(),
        "NS" | "CNAME" | "PTR" => labels(data),
        "MX" => {
            let (distance, host) = data.split_once(' ').unwrap();
            let mut bytes = distance.parse::<u16>().unwrap().to_be_bytes().to_vec();
            bytes.extend(labels(host));
            bytes
        }
        "TXT" if data.is_empty() => vec![0],
        "TXT" => data.as_bytes().chunks(255).flat_map(string).collect(),
        _ => hex(data),
    }
}

fn string(text: &[u8]) -> Vec<u8> {
    [&[text.len() as u8], text].concat()
}

/// A name on the wire. The empty name is the root.
fn labels(name: &str) -> Vec<u8> {
    let name = name.trim_end_matches('.');
    let labels = name.split('.').filter(|label| !label.is_empty());
    labels.flat_map(|label| string(label.as_bytes())).chain([0]).collect()
}

fn hex(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// The name under which an address is looked up; any other name as it is.
fn reverse(name: &str) -> String {
    match name.parse() {
        Ok(IpAddr::V4(ip)) => {
            let [a, b, c, d] = ip.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        Ok(IpAddr::V6(ip)) => {
            let nibbles = ip.octets().into_iter().rev().flat_map(|byte| [byte & 15, byte >> 4]);
            nibbles.map(|nibble| format!("{nibble:x}.")).collect::<String>() + "ip6.arpa"
        }
        Err(_) => name.to_owned(),
    }
}
