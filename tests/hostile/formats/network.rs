//! What peers and name servers send.

use super::{formats, halves};
use net::crlf::{Delete, Fix};
use net::dns::message::{Kind, Query};
use net::dns::testing::sample;
use net::dns::{name, servers};
use net::dnsbl::List;
use net::ident::Answer;
use net::log::Visits;
use net::proxy::{self, Step, Versions};
use net::qualify;
use net::refusal::{Conversation, printable};
use net::tls::pump::{Ends, handshake};
use net::tls::testing::{PEM, client, pem, server};
use net::tls::{self, ciphers, names, x509};
use rustls::Connection;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::Duration;

formats! {
    dns_answer [answer(Kind::A), answer(Kind::Mx), answer(Kind::Txt), answer(Kind::Ptr), answer(Kind::Aaaa)]
        [b"\xc0\x0c", b"\xc0\xff", b"\xff", b"\0", b"\x3f", b"\0\x01\0\x01", b"\0\x0f", b"\xc0"]

    dns_name ["www.Example.org", "a\\.b\\001.c.", "1.0.0.127.in-addr.arpa"]
        [b".", b"\\", b"\\999", b"..", b"\\0", b"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"]

    resolver ["nameserver 127.0.0.1\nnameserver ::1\nsearch a b\ndomain c\n", "127.0.0.1.10.0.0.53", "=a:b\n*.x:\n"]
        [b"\n", b"nameserver ", b"search ", b".", b":", b"%", b"=", b"*", b"+", b" "]

    dnsbl ["zen.example", "a.example:text %IP%", "rbl.example:127.0.0.2", "x:%IP%%IP%"]
        [b":", b"%IP%", b"%", b".", b"\0", b"\n"]

    ident_answer ["6193, 23 : USERID : UNIX : stjohns\r\n", "1,2:ERROR:NO-USER\r\n", ":::a\0b\n"]
        [b":", b"\0", b"\r\n", b"\n", b" ", b","]

    proxy_header ["PROXY TCP4 1.2.3.4 5.6.7.8 1024 25\r\nEHLO a\r\n", "PROXY TCP6 2001:db8::1 ::1 1024 25\r\n",
        "PROXY UNKNOWN x\r\nEHLO a\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x1b\x01\x02\x03\x04\x05\x06\x07\x08\x04\0\0\x19\x20\0\x0a\x01\0\0\0\0\x22\0\x02me\
          EHLO a\r\n".to_vec(),
        b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0".to_vec()]
        [b"\r\n", b"PROXY", b"TCP4", b"65536", b" ", b"\xff\xff", b"\0\0", b"\x20\0", b"::"]

    rejected_client ["HELO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\nDATA\r\nQUIT\r\n"]
        [b"\r\n", b"\n", b"\r", b" ", b"\0", b"quit", b"QUIT", b"data"]

    line_ends ["a\r\nb\nc\rd\r\r\n", "\r"] [b"\r\n", b"\n", b"\r", b"\r\r"]

    tls_client_records [hello(), "EHLO a\r\n"] [b"\x16\x03\x01", b"\x17\x03\x03", b"\x15\x03\x03\0\x02\x01\0", b"\xff\xff", b"\0\0"]

    tls_server_records [server_hello()] [b"\x16\x03\x03", b"\x17\x03\x03", b"\x15\x03\x03\0\x02\x02\x28", b"\xff\xff", b"\0\0"]

    pem_file [PEM] [b"-----BEGIN CERTIFICATE-----\n", b"-----END CERTIFICATE-----\n", b"=", b"\n", b"-----", b"ENCRYPTED"]

    certificate [certificates().remove(0)] [b"\x30\x82", b"\x30\x84\xff\xff\xff\xff", b"\x06\x03\x55\x04\x03", b"\x80", b"\xff"]

    cipher_string ["HIGH:!CHACHA20:@STRENGTH", "ECDHE+AESGCM:-AES128:ALL"] [b":", b"!", b"-", b"+", b"@", b"ALL", b"HIGH", b" "]

    host_pattern ["*.example.org mail.example.org", "a b"] [b"*", b".", b" ", b"\xc3\xa9"]

    server_log ["@400000004a32f0f80c5d7f14 tcpserver: pid 7 from 127.0.0.1\n\
        @400000004a32f0f80c5d7f14 tcpserver: ok 7 me:127.0.0.1:25 you:127.0.0.2::4096\n\
        @400000004a32f0f90c5d7f14 tcpserver: end 7 status 256\n"]
        [b"\n", b":", b" ", b"pid 7", b"end 7 status ", b"99999999999", b"@ffffffffffffffffffffffff "]
}

/// An answer that has everything.
fn answer(kind: Kind) -> Vec<u8> {
    sample(kind).1
}

fn dns_answer(bytes: &[u8]) {
    for kind in [Kind::A, Kind::Aaaa, Kind::Mx, Kind::Txt, Kind::Ptr] {
        let query = Query::new(b"www.Example.org", kind).unwrap();
        query.meaning(bytes, 0x1234);
    }
    let (most, answer) = (bytes.len(), net::dns::message::Answer::new(bytes.to_vec()));
    assert!(answer.a().map_or(0, |found| found.len()) <= most);
    assert!(answer.aaaa().map_or(0, |found| found.len()) <= most);
    assert!(answer.mx().iter().flatten().all(|(_, name)| name.len() < 4 * 255));
    assert!(answer.ptr().iter().flatten().all(|name| name.len() < 4 * 255));
    assert!(answer.txt().iter().flatten().all(|text| text.len() < most));
}

fn dns_name(bytes: &[u8]) {
    if let Some(wire) = name::to_wire(bytes) {
        assert!(wire.len() <= 255 && wire.ends_with(b"\0"));
    }
}

fn resolver(bytes: &[u8]) {
    assert!(servers::choose(Some(bytes), b"").len() <= 16);
    assert!(!servers::choose(None, bytes).is_empty());
    let rules = [Some(qualify::Rules::from_file(bytes)), qualify::Rules::from_resolv_conf(bytes)];
    for rules in rules.iter().flatten().chain([&qualify::Rules::from_host_name(bytes)]) {
        assert!(rules.apply(b"host+").len() <= bytes.len() + 2);
        rules.apply(bytes);
    }
}

fn dnsbl(bytes: &[u8]) {
    if let Some(list) = List::parse(bytes) {
        list.name(b"127.0.0.2");
        list.name(bytes);
        list.has_text();
    }
    assert!(printable(bytes, 500).iter().all(|byte| (32..127).contains(byte)));
}

fn ident_answer(bytes: &[u8]) {
    let mut answer = Answer::new(256);
    let took = bytes.iter().position(|byte| answer.add(*byte));
    assert!(answer.text().len() <= 256);
    assert!(took.is_some() || bytes.len() < 10_000 || !bytes.contains(&b'\n'));
}

fn proxy_header(bytes: &[u8]) {
    for versions in [Versions::Both, Versions::One, Versions::Two] {
        let mut count = 0;
        loop {
            match proxy::read(&bytes[..count], versions) {
                Step::More(more) if count < bytes.len() => {
                    assert!(more > 0);
                    count += more.min(bytes.len() - count);
                }
                Step::More(more) => assert!(count + more <= 16 + 65535),
                Step::Invalid(why) => assert!(!why.is_empty()),
                Step::Done(_) => assert!(count <= 16 + 65535),
            }
            if !matches!(proxy::read(&bytes[..count], versions), Step::More(_))
                || count == bytes.len()
            {
                break;
            }
        }
    }
}

fn rejected_client(bytes: &[u8]) {
    let said = |pieces: &[&[u8]]| {
        let (mut conversation, mut replies) = (Conversation::new(b"553 no"), Vec::new());
        let going = pieces.iter().all(|piece| conversation.hear(piece, &mut replies));
        (going, replies)
    };
    let (going, replies) = said(&[bytes]);
    assert_eq!(said(&halves(bytes)), (going, replies.clone()));
    // nobody who is rejected is told to send a message
    let known = |line: &[u8]| line.starts_with(b"2") || line == b"553 no\r\n";
    assert!(replies.split_inclusive(|byte| *byte == b'\n').all(known));
}

fn line_ends(bytes: &[u8]) {
    let fixed = |pieces: &[&[u8]]| {
        let (mut fix, mut text) = (Fix::default(), Vec::new());
        pieces.iter().for_each(|piece| fix.pass(piece, &mut text));
        text
    };
    let deleted = |pieces: &[&[u8]]| {
        let (mut delete, mut text) = (Delete::default(), Vec::new());
        // an empty piece is the end
        let pieces = pieces.iter().filter(|piece| !piece.is_empty());
        pieces.for_each(|piece| delete.pass(piece, &mut text));
        delete.pass(b"", &mut text);
        text
    };
    let wire = fixed(&[bytes]);
    assert_eq!(fixed(&halves(bytes)), wire);
    assert!(wire.split(|byte| *byte == b'\n').rev().skip(1).all(|line| line.ends_with(b"\r")));
    assert_eq!(deleted(&halves(bytes)), deleted(&[bytes]));
}

fn certificates() -> Vec<Vec<u8>> {
    pem().certificates.iter().map(|certificate| certificate.to_vec()).collect()
}

/// What a client sends first.
pub fn hello() -> Vec<u8> {
    let mut bytes = Vec::new();
    client().write_tls(&mut bytes).unwrap();
    bytes
}

/// What a server says to that.
fn server_hello() -> Vec<u8> {
    let (mut server, mut bytes) = (server(), Vec::new());
    server.read_tls(&mut &hello()[..]).unwrap();
    server.process_new_packets().unwrap();
    while server.wants_write() {
        server.write_tls(&mut bytes).unwrap();
    }
    bytes
}

/// A handshake with one who says these bytes and goes. It ends, without success.
fn shake(tls: Connection, bytes: &[u8]) {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    theirs.write_all(&bytes[..bytes.len().min(100_000)]).unwrap();
    theirs.shutdown(std::net::Shutdown::Write).unwrap();
    let (mut tls, mut wire) = (tls, Ends::socket(ours.into()).unwrap());
    let why = handshake(&mut tls, &mut wire, Duration::from_secs(30)).unwrap_err().to_string();
    assert!(!why.contains("timed out") && why.bytes().all(|byte| byte >= 32), "{why}");
}

fn tls_client_records(bytes: &[u8]) {
    shake(server().into(), bytes);
}

fn tls_server_records(bytes: &[u8]) {
    shake(client().into(), bytes);
}

fn pem_file(bytes: &[u8]) {
    if let Ok(pem) = tls::pem::parse(bytes) {
        assert!(pem.certificates.len() <= bytes.len() / 20);
        let _ = pem.key();
    }
}

fn certificate(bytes: &[u8]) {
    if let Some(read) = x509::read(bytes) {
        let lines = [read.subject.line(), read.issuer.line(), x509::algorithm(read.key)];
        let plain = |line: &String| line.bytes().all(|byte| (32..127).contains(&byte));
        assert!(lines.iter().all(plain), "{lines:?}");
        read.is_valid_at(951_868_799);
        let _ = (read.start.shown(), read.end.shown());
    }
}

fn cipher_string(bytes: &[u8]) {
    assert!(ciphers::select(bytes).len() <= 9);
}

fn host_pattern(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (pattern, host) = text.split_once(' ').unwrap_or((&text, "a.example"));
    names::means(pattern, host);
    if let Some(folder) = names::folder(host) {
        assert!(!folder.contains('/') && !folder.contains(".."));
    }
}

fn server_log(bytes: &[u8]) {
    let mut visits = Visits::default();
    for line in bytes.split(|byte| *byte == b'\n') {
        if let Some(visit) = visits.line(line) {
            visit.words();
            assert!(visit.json().trim_end().bytes().all(|byte| byte >= 32));
        }
    }
}
