//! Looking names up: a stub resolver that asks the caches it is told of. It keeps nothing.
//!
//! Answers say "here they are" (perhaps none of that kind), or [`DnsError::NoName`]; everything
//! else means that nobody knows at the moment.

mod lookup;
pub mod message;
pub mod name;
pub mod servers;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use message::{Answer, Kind};
pub use name::reverse;

use base::sys::poll::{Wait, poll};
use lookup::Lookup;
use message::Query;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

/// The result of a lookup.
pub type Result<T> = std::result::Result<T, DnsError>;

/// Why a lookup found nothing, other than that the name has no such records.
#[derive(Debug)]
pub enum DnsError {
    /// The name does not exist.
    NoName,
    /// There cannot be such a name: it or one of its labels is too long.
    BadName,
    /// Nobody could tell; it may work later.
    Failed(io::Error),
}

impl From<io::Error> for DnsError {
    fn from(why: io::Error) -> Self {
        DnsError::Failed(why)
    }
}

/// For those to whom a name that does not exist is one without records: an error means that
/// nobody could tell, or "protocol error" for an impossible name.
pub fn found<T>(result: Result<Vec<T>>) -> io::Result<Vec<T>> {
    match result {
        Ok(found) => Ok(found),
        Err(DnsError::NoName) => Ok(Vec::new()),
        Err(DnsError::BadName) => Err(ErrorKind::InvalidData.into()),
        Err(DnsError::Failed(why)) => Err(why),
    }
}

/// Where the servers are named, unless $DNSCACHEIP does.
const RESOLV_CONF: &str = "/etc/resolv.conf";
/// After this time the list of servers is read again,
const FRESH: Duration = Duration::from_secs(600);
/// and also after this many questions.
const QUESTIONS: usize = 10_000;

/// Asks the name servers of this system.
pub struct Resolver {
    cache: Option<Vec<u8>>,
    servers: Vec<SocketAddr>,
    read: Instant,
    asked: usize,
}

impl Resolver {
    /// `cache` is the value of $DNSCACHEIP, which wins over /etc/resolv.conf.
    pub fn new(cache: Option<&[u8]>) -> Self {
        let cache = cache.map(<[u8]>::to_vec);
        let servers = read_servers(cache.as_deref());
        Resolver { cache, servers, read: Instant::now(), asked: 0 }
    }

    /// IPv4 addresses of a name.
    pub fn a(&mut self, name: &[u8]) -> Result<Vec<Ipv4Addr>> {
        Ok(self.one(name, Kind::A)?.a()?)
    }

    /// IPv6 addresses of a name.
    pub fn aaaa(&mut self, name: &[u8]) -> Result<Vec<Ipv6Addr>> {
        Ok(self.one(name, Kind::Aaaa)?.aaaa()?)
    }

    /// Mail exchangers of a domain: see [`Answer::mx`].
    pub fn mx(&mut self, domain: &[u8]) -> Result<Vec<(u16, Vec<u8>)>> {
        Ok(self.one(domain, Kind::Mx)?.mx()?)
    }

    /// Names of an address: see [`Answer::ptr`].
    pub fn ptr(&mut self, address: IpAddr) -> Result<Vec<Vec<u8>>> {
        Ok(self.one(&reverse(address), Kind::Ptr)?.ptr()?)
    }

    /// Texts of a name: see [`Answer::txt`].
    pub fn txt(&mut self, name: &[u8]) -> Result<Vec<Vec<u8>>> {
        Ok(self.one(name, Kind::Txt)?.txt()?)
    }

    /// All addresses of a name, IPv6 first. Fails if there is none and one of the two lookups
    /// has failed.
    pub fn addresses(&mut self, name: &[u8]) -> Result<Vec<IpAddr>> {
        let mut answers = self.all(&[(name, Kind::Aaaa), (name, Kind::A)], None);
        let v4 = answers.pop().unwrap_or(Err(DnsError::BadName)).and_then(|a| Ok(a.a()?));
        let v6 = answers.pop().unwrap_or(Err(DnsError::BadName)).and_then(|a| Ok(a.aaaa()?));
        let both = v6.iter().flatten().map(|ip| IpAddr::from(*ip));
        let both: Vec<IpAddr> = both.chain(v4.iter().flatten().map(|ip| (*ip).into())).collect();
        match (v6, v4) {
            _ if !both.is_empty() => Ok(both),
            (Err(why @ DnsError::Failed(_)), _) | (_, Err(why)) => Err(why),
            _ => Ok(both),
        }
    }

    fn one(&mut self, name: &[u8], kind: Kind) -> Result<Answer> {
        self.all(&[(name, kind)], None).pop().unwrap_or(Err(DnsError::BadName))
    }

    /// Asks several questions at once. Those that have no answer within `limit`, if there is
    /// one, have timed out; without it a lookup takes up to a minute for each dead server.
    pub fn all(
        &mut self,
        questions: &[(&[u8], Kind)],
        limit: Option<Duration>,
    ) -> Vec<Result<Answer>> {
        let mut pending = self.ask(questions);
        pending.run(limit.and_then(|limit| Instant::now().checked_add(limit)));
        pending.lookups.into_iter().map(ended).collect()
    }

    /// Asks several questions at once and leaves the waiting to the caller.
    pub fn ask(&mut self, questions: &[(impl AsRef<[u8]>, Kind)]) -> Pending<'_> {
        self.refresh(questions.len());
        let queries = questions.iter().map(|(name, kind)| Query::new(name.as_ref(), *kind));
        let start = |query| Lookup::start(query, &self.servers);
        Pending { lookups: queries.map(|query| query.map(start)).collect(), taken: 0 }
    }

    /// Long-lived programs notice a new /etc/resolv.conf.
    fn refresh(&mut self, questions: usize) {
        self.asked += questions;
        if self.asked > QUESTIONS || self.read.elapsed() > FRESH {
            self.servers = read_servers(self.cache.as_deref());
            (self.read, self.asked) = (Instant::now(), questions);
        }
    }
}

fn read_servers(cache: Option<&[u8]>) -> Vec<SocketAddr> {
    servers::choose(cache, &std::fs::read(RESOLV_CONF).unwrap_or_default())
}

/// Questions that were asked together. Their answers are taken in the order of the questions, in
/// whatever order they come.
pub struct Pending<'a> {
    /// `None`: there cannot be such a name, or the answer has been taken.
    lookups: Vec<Option<Lookup<'a>>>,
    taken: usize,
}

impl Pending<'_> {
    /// The answer to the next question. `None` if it does not come until `end`, if there is one,
    /// or if there is no further question.
    pub fn answer(&mut self, end: Option<Instant>) -> Option<Result<Answer>> {
        let number = self.taken;
        let open = |lookup: &Option<Lookup>| lookup.as_ref().is_some_and(|l| l.wait().is_some());
        while open(self.lookups.get(number)?) && self.step(end) {}
        if open(&self.lookups[number]) && end.is_some_and(|end| end <= Instant::now()) {
            return None;
        }
        self.taken += 1;
        Some(ended(self.lookups[number].take()))
    }

    /// Goes on until all questions have their answers, or until `end`.
    pub fn run(&mut self, end: Option<Instant>) {
        while self.step(end) {}
    }

    /// Polls and dispatches once. `false`: all lookups have ended, or the time is over, or
    /// polling fails.
    fn step(&mut self, end: Option<Instant>) -> bool {
        let lookups = self.lookups.iter_mut().flatten();
        let mut open: Vec<&mut Lookup> = lookups.filter(|lookup| lookup.wait().is_some()).collect();
        let now = Instant::now();
        let first = open.iter().map(|lookup| lookup.deadline()).chain(end).min();
        let Some(first) = first.filter(|_| !open.is_empty() && end.is_none_or(|end| end > now))
        else {
            return false;
        };
        let mut waits: Vec<Wait> = open.iter().filter_map(|lookup| lookup.wait()).collect();
        if poll(&mut waits, Some(first.saturating_duration_since(now))).is_err() {
            return false;
        }
        let ready: Vec<bool> = waits.iter().map(|wait| wait.ready).collect();
        for (lookup, ready) in open.iter_mut().zip(ready) {
            if ready {
                lookup.ready();
            } else if lookup.deadline() <= Instant::now() {
                lookup.time_up();
            }
        }
        true
    }
}

fn ended(lookup: Option<Lookup>) -> Result<Answer> {
    lookup.map_or(Err(DnsError::BadName), Lookup::result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, UdpSocket};
    use std::thread;

    /// A server that answers each packet by UDP, and then by TCP, with what `answer` makes of it.
    fn server(answer: impl Fn(&[u8], bool) -> Vec<Vec<u8>> + Send + 'static) -> SocketAddr {
        // a port that is free for UDP may be somebody's for TCP
        let (udp, tcp) = (0..100)
            .find_map(|_| {
                let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
                let tcp = TcpListener::bind(udp.local_addr().unwrap()).ok()?;
                Some((udp, tcp))
            })
            .unwrap();
        let at = udp.local_addr().unwrap();
        thread::spawn(move || {
            loop {
                let mut room = [0; 600];
                let (count, from) = udp.recv_from(&mut room).unwrap();
                let answers = answer(&room[..count], false);
                let truncated = answers.iter().any(|packet| packet[2] & 2 != 0);
                answers.iter().for_each(|packet| drop(udp.send_to(packet, from)));
                if truncated {
                    let (mut stream, _) = tcp.accept().unwrap();
                    let count = stream.read(&mut room).unwrap();
                    for packet in answer(&room[2..count], true) {
                        let framed = [&(packet.len() as u16).to_be_bytes(), &packet[..]].concat();
                        // In two pieces, the first of one byte.
                        stream.write_all(&framed[..1]).unwrap();
                        stream.write_all(&framed[1..]).unwrap();
                    }
                }
            }
        });
        at
    }

    fn resolver(servers: &[SocketAddr]) -> Resolver {
        let servers = servers.to_vec();
        Resolver { cache: None, servers, read: Instant::now(), asked: 0 }
    }

    /// The answer to a query: this code, and the one A record 127.0.0.9 if it is 0.
    fn answered(query: &[u8], flags: u8, code: u8) -> Vec<u8> {
        let question = 12 + query[12..].iter().position(|byte| *byte == 0).unwrap() + 5;
        let count = u8::from(code == 0);
        let head = [query[0], query[1], 0x81 | flags, 0x80 | code, 0, 1, 0, count, 0, 0, 0, 0];
        let mut packet = [&head[..], &query[12..question]].concat();
        if code == 0 {
            packet.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 9]);
        }
        packet
    }

    fn shown(result: Result<Vec<Ipv4Addr>>) -> String {
        format!("{result:?}")
    }

    #[test]
    fn what_is_not_the_answer_is_passed_over() {
        let at = server(|query, _| {
            let good = answered(query, 0, 0);
            let wrong = |at: usize| {
                let mut bad = good.clone();
                bad[at] ^= 1;
                bad
            };
            let not_an_answer = [&good[..2], &[1], &good[3..]].concat();
            vec![vec![0; 3], wrong(0), wrong(1), wrong(14), wrong(19), not_an_answer, good]
        });
        assert_eq!(shown(resolver(&[at]).a(b"a.b.c")), "Ok([127.0.0.9])");
    }

    #[test]
    fn a_truncated_answer_is_asked_for_by_tcp() {
        let at = server(|query, tcp| vec![answered(query, if tcp { 0 } else { 2 }, 0)]);
        assert_eq!(shown(resolver(&[at]).a(b"a.b")), "Ok([127.0.0.9])");
    }

    #[test]
    fn a_server_without_edns_is_asked_without() {
        let at = server(|query, _| match query[11] {
            0 => vec![answered(query, 0, 0)],
            _ => vec![[&query[..2], &[0x81, 0x81, 0, 0, 0, 0, 0, 0, 0, 0]].concat()],
        });
        assert_eq!(shown(resolver(&[at]).a(b"a.b")), "Ok([127.0.0.9])");
    }

    #[test]
    fn a_failing_server_is_passed_over_and_all_failing_end_the_lookup_soon() {
        let bad = server(|query, _| vec![answered(query, 0, 2)]);
        let good = server(|query, _| vec![answered(query, 0, 0)]);
        let nobody = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert_eq!(shown(resolver(&[bad, nobody, good]).a(b"a.b")), "Ok([127.0.0.9])");
        let start = Instant::now();
        let why = found(resolver(&[nobody, bad]).a(b"a.b")).unwrap_err();
        assert_eq!(base::errno::words(&why), "input/output error");
        assert!(start.elapsed() < Duration::from_secs(2));
    }

    #[test]
    fn no_name_no_record_and_no_possible_name_differ() {
        let none = server(|query, _| vec![answered(query, 0, 3)]);
        assert_eq!(shown(resolver(&[none]).a(b"a.b")), "Err(NoName)");
        let other = server(|query, _| vec![answered(query, 0, 0)]);
        assert_eq!(format!("{:?}", resolver(&[other]).aaaa(b"a.b")), "Ok([])");
        assert_eq!(shown(resolver(&[other]).a(&[b'a'; 64])), "Err(BadName)");
    }

    #[test]
    fn questions_are_asked_together_and_end_together() {
        let at = server(|query, _| match query[13] {
            b's' => Vec::new(),
            _ => vec![answered(query, 0, 0)],
        });
        let questions: [(&[u8], Kind); 3] =
            [(b"silent", Kind::A), (&[b'a'; 64], Kind::A), (b"good", Kind::A)];
        let limit = Some(Duration::from_millis(200));
        let results = resolver(&[at]).all(&questions, limit).into_iter();
        let shown: Vec<String> = results.map(|r| shown(r.and_then(|a| Ok(a.a()?)))).collect();
        let timed_out = "Err(Failed(Kind(TimedOut)))";
        assert_eq!(shown, [timed_out, "Err(BadName)", "Ok([127.0.0.9])"]);
    }
    #[test]
    fn answers_are_taken_in_the_order_of_the_questions() {
        let at = server(|query, _| match query[13] {
            b's' => Vec::new(),
            _ => vec![answered(query, 0, 0)],
        });
        let mut resolver = resolver(&[at]);
        let questions = [("good", Kind::A), ("silent", Kind::A), ("good", Kind::A)];
        let mut pending = resolver.ask(&questions);
        let soon = Some(Instant::now() + Duration::from_millis(200));
        let mut next = || pending.answer(soon).map(|answer| shown(answer.and_then(|a| Ok(a.a()?))));
        let answer = Some("Ok([127.0.0.9])".to_owned());
        assert_eq!([next(), next(), next()], [answer, None, None]);
        let mut none = resolver.ask(&[] as &[(&[u8], Kind)]);
        none.run(None);
        assert!(none.answer(None).is_none());
    }
}
