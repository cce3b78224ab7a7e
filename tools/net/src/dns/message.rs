//! Queries and answers on the wire. The format is read by the crate `domain`.

use super::name;
use domain::base::iana::{Class, Rcode, Rtype};
use domain::base::{Message, ParseRecordData, ParsedName};
use domain::rdata::{A, Aaaa, Mx, Ptr, Txt};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The largest answer by UDP that we ask for: it crosses every link in one piece (DNS flag day
/// 2020).
const UDP_SIZE: u16 = 1232;

/// A question's kind of record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Mail exchangers.
    Mx,
    /// The name of an address.
    Ptr,
    /// Text.
    Txt,
}

impl Kind {
    fn code(self) -> Rtype {
        match self {
            Kind::A => Rtype::A,
            Kind::Aaaa => Rtype::AAAA,
            Kind::Mx => Rtype::MX,
            Kind::Ptr => Rtype::PTR,
            Kind::Txt => Rtype::TXT,
        }
    }
}

/// One question, ready to be sent.
pub struct Query {
    name: Vec<u8>,
    kind: Kind,
}

/// What a packet from a server means to a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// It does not answer the query: somebody else's, or forged.
    Stray,
    /// It holds the answer, or says that there are no such records.
    Answer,
    /// The name does not exist.
    NoName,
    /// The answer does not fit.
    Truncated,
    /// The server does not know EDNS.
    NoEdns,
    /// The server has failed.
    Failure,
}

impl Query {
    /// `None` if a label or the whole of the dotted name is too long.
    pub fn new(name: &[u8], kind: Kind) -> Option<Self> {
        Some(Query { name: name::to_wire(name)?, kind })
    }

    /// The packet: recursion desired, one question, and with EDNS the size that we take.
    pub fn packet(&self, id: u16, edns: bool) -> Vec<u8> {
        let mut packet = id.to_be_bytes().to_vec();
        packet.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, edns.into()]);
        packet.extend(&self.name);
        packet.extend(self.kind.code().to_int().to_be_bytes());
        packet.extend(Class::IN.to_int().to_be_bytes());
        if edns {
            packet.push(0);
            packet.extend(Rtype::OPT.to_int().to_be_bytes());
            packet.extend(UDP_SIZE.to_be_bytes());
            packet.extend([0; 6]);
        }
        packet
    }

    /// What `packet` says to this query, sent with this id.
    pub fn meaning(&self, packet: &[u8], id: u16) -> Meaning {
        let Ok(message) = Message::from_octets(packet) else { return Meaning::Stray };
        let header = message.header();
        if header.id() != id || !header.qr() {
            return Meaning::Stray;
        }
        let code = header.rcode();
        match message.sole_question() {
            Ok(question)
                if name::same(question.qname(), &self.name)
                    && question.qtype() == self.kind.code()
                    && question.qclass() == Class::IN => {}
            // A server that does not understand the query cannot repeat its question.
            _ if code == Rcode::FORMERR && message.header_counts().qdcount() == 0 => {}
            _ => return Meaning::Stray,
        }
        match code {
            Rcode::FORMERR | Rcode::NOTIMP => Meaning::NoEdns,
            _ if header.tc() => Meaning::Truncated,
            Rcode::NOERROR => Meaning::Answer,
            Rcode::NXDOMAIN => Meaning::NoName,
            _ => Meaning::Failure,
        }
    }
}

/// An answer: all its records of one kind count, whatever their owner, so that those behind
/// CNAMEs do. Reading a damaged one fails with "protocol error".
#[derive(Clone, Debug)]
pub struct Answer(pub(super) Vec<u8>);

impl Answer {
    /// From the bytes of a packet.
    pub fn new(packet: Vec<u8>) -> Self {
        Answer(packet)
    }

    /// IPv4 addresses.
    pub fn a(&self) -> io::Result<Vec<Ipv4Addr>> {
        self.records(|a: A| a.addr())
    }

    /// IPv6 addresses.
    pub fn aaaa(&self) -> io::Result<Vec<Ipv6Addr>> {
        self.records(|aaaa: Aaaa| aaaa.addr())
    }

    /// Preference and name of mail exchangers, in the order of the answer. A name is as that of
    /// [`Answer::ptr`]; it is empty for a domain that takes no mail (RFC 7505).
    pub fn mx(&self) -> io::Result<Vec<(u16, Vec<u8>)>> {
        self.records(|mx: Mx<ParsedName<&[u8]>>| (mx.preference(), name::text(mx.exchange())))
    }

    /// Names: lower case, `\ooo` for odd bytes, no final dot.
    pub fn ptr(&self) -> io::Result<Vec<Vec<u8>>> {
        self.records(|ptr: Ptr<ParsedName<&[u8]>>| name::text(ptr.ptrdname()))
    }

    /// Texts: the strings of a record are joined.
    pub fn txt(&self) -> io::Result<Vec<Vec<u8>>> {
        self.records(|txt: Txt<&[u8]>| txt.iter().flatten().copied().collect())
    }

    fn records<'a, D, T>(&'a self, read: impl Fn(D) -> T) -> io::Result<Vec<T>>
    where
        D: ParseRecordData<'a, [u8]>,
    {
        let damaged = || io::Error::from(io::ErrorKind::InvalidData);
        let message = Message::from_slice(&self.0).map_err(|_| damaged())?;
        let records = message.answer().map_err(|_| damaged())?.limit_to_in::<D>();
        records.map(|each| Ok(read(each.map_err(|_| damaged())?.into_data()))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::testing::sample;
    use ::tests::Random;

    #[test]
    fn records_of_the_wanted_kind_are_read() {
        let (query, packet) = sample(Kind::A);
        assert_eq!(query.meaning(&packet, 0x1234), Meaning::Answer);
        let answer = Answer(packet);
        assert_eq!(answer.a().unwrap(), ["127.0.0.9".parse::<Ipv4Addr>().unwrap()]);
        assert_eq!(answer.aaaa().unwrap(), ["2001:db8::1".parse::<Ipv6Addr>().unwrap()]);
        assert_eq!(answer.mx().unwrap(), [(10, b"mail.example.org".to_vec())]);
        assert_eq!(answer.ptr().unwrap(), [br"a\040b.example.org".to_vec()]);
        assert_eq!(answer.txt().unwrap(), [b"one two".to_vec()]);
    }

    #[test]
    fn damaged_answers_do_no_harm() {
        damaged(1, 10_000);
    }

    #[test]
    #[ignore = "torture"]
    fn a_hundred_thousand_damaged_answers_do_no_harm() {
        damaged(2, 100_000);
    }

    fn damaged(seed: u64, count: usize) {
        let (query, good) = sample(Kind::A);
        let mut random = Random::new(seed);
        for _ in 0..count {
            let mut bad = good.clone();
            for _ in 0..1 + random.below(5) {
                let at = random.below(bad.len());
                bad[at] = [0, 1, 0x3f, 0xc0, 0xff, random.below(256) as u8][random.below(6)];
            }
            bad.truncate(if random.below(3) == 0 { random.below(bad.len()) } else { bad.len() });
            query.meaning(&bad, 0x1234);
            let most = bad.len();
            let answer = Answer(bad);
            assert!(answer.a().map_or(0, |found| found.len()) <= most);
            assert!(answer.aaaa().map_or(0, |found| found.len()) <= most);
            assert!(answer.mx().iter().flatten().all(|(_, name)| name.len() < 4 * 255));
            assert!(answer.ptr().iter().flatten().all(|name| name.len() < 4 * 255));
            assert!(answer.txt().iter().flatten().all(|text| text.len() < most));
        }
    }
}
