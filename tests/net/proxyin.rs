//! proxyin: read a PROXY protocol header and run a program for the caller that it names.

use crate::proxies::{haproxy, nginx};
use crate::server::plain;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use tests::{
    LIMIT, Random, Scratch, connect, fed, program, ran, redirected, scratch, start, until,
};

const USAGE: &str = "proxyin: usage: proxyin [ -12 ] [ -t seconds ] [ -x trusted.cdb ] program\n";

/// Prints the variables of a connection, in the order of their names, and then its input.
const SHOW: &str = "env | grep -E '^(PROTO|TCP|SSL)' | LC_ALL=C sort; cat";

/// proxyin under a server that has accepted a connection from a proxy at 10.0.0.1.
fn proxyin(options: &[&str]) -> Command {
    let mut command = program("proxyin");
    command.args(options).args(["sh", "-c", SHOW]);
    command.env("PROTO", "TCP").env("TCPREMOTEIP", "10.0.0.1").env("TCPREMOTEPORT", "999");
    command.env("TCPLOCALIP", "10.0.0.2").env("TCPLOCALPORT", "25").env("TCPLOCALHOST", "mx");
    command.env("TCPREMOTEHOST", "proxy").env("TCPREMOTEINFO", "root");
    command
}

/// What is shown when nothing is changed.
const UNCHANGED: &str = "PROTO=TCP\nTCPLOCALHOST=mx\nTCPLOCALIP=10.0.0.2\nTCPLOCALPORT=25\n\
    TCPREMOTEHOST=proxy\nTCPREMOTEINFO=root\nTCPREMOTEIP=10.0.0.1\nTCPREMOTEPORT=999\n";

/// What is shown of a caller from 1.2.3.4:1024 to 5.6.7.8:26.
const FOUR: &str = "PROTO=TCP\nTCPLOCALHOST=mx\nTCPLOCALIP=5.6.7.8\nTCPLOCALPORT=26\n\
    TCPPROXYIP=10.0.0.1\nTCPPROXYPORT=999\nTCPREMOTEIP=1.2.3.4\nTCPREMOTEPORT=1024\n";

/// A header of version 2.
fn two(command: u8, protocol: u8, block: &[u8]) -> Vec<u8> {
    let [high, low] = (block.len() as u16).to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", &[command, protocol, high, low][..], block].concat()
}

const BLOCK: [u8; 12] = [1, 2, 3, 4, 5, 6, 7, 8, 4, 0, 0, 26];

#[track_caller]
fn shows(header: impl AsRef<[u8]>, expected: &str) {
    let o = fed(&mut proxyin(&[]), [header.as_ref(), b"EHLO a\r\n"].concat());
    assert_eq!(ran(&o), (Some(0), format!("{expected}EHLO a\r\n"), String::new()));
}

#[track_caller]
fn fails(options: &[&str], input: impl AsRef<[u8]>, code: i32, why: &str) {
    let o = fed(&mut proxyin(options), input);
    assert_eq!(ran(&o), (Some(code), String::new(), format!("proxyin: fatal: {why}\n")));
}

#[test]
fn the_program_sees_the_caller_and_all_that_follows_the_header() {
    shows("PROXY TCP4 1.2.3.4 5.6.7.8 1024 26\r\n", FOUR);
    shows(two(0x21, 0x11, &BLOCK), FOUR);
}

#[test]
fn callers_by_ipv6_have_their_variables_twice() {
    let expected = "PROTO=TCP6\nTCP6LOCALHOST=mx\nTCP6LOCALIP=::2\nTCP6LOCALPORT=26\n\
        TCP6REMOTEIP=2001:db8::1\nTCP6REMOTEPORT=1024\nTCPLOCALHOST=mx\nTCPLOCALIP=::2\n\
        TCPLOCALPORT=26\nTCPPROXYIP=10.0.0.1\nTCPPROXYPORT=999\nTCPREMOTEIP=2001:db8::1\n\
        TCPREMOTEPORT=1024\n";
    shows("PROXY TCP6 2001:DB8:0::1 ::2 1024 26\r\n", expected);
    shows("PROXY TCP6 ::ffff:1.2.3.4 ::ffff:5.6.7.8 1024 26\r\n", FOUR);
}

#[test]
fn headers_that_say_nothing_change_nothing() {
    shows("PROXY UNKNOWN\r\n", UNCHANGED);
    shows("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", UNCHANGED);
    shows(two(0x20, 0x11, &BLOCK), UNCHANGED);
    shows(two(0x21, 0x00, &[7; 65535]), UNCHANGED);
}

#[test]
fn facts_of_version_2_are_variables() {
    let ssl = b"\x01\0\0\0\0\x21\0\x07TLSv1.3\x22\0\x02me\x23\0\x03AES";
    let tlvs = [b"\x02\0\x09a.example", &[0x20, 0, ssl.len() as u8][..], ssl].concat();
    let facts = "SSL_CIPHER=AES\nSSL_PEER_CERT_CN=me\nSSL_PROTOCOL=TLSv1.3\n\
        SSL_TLS_SNI_SERVERNAME=a.example\n";
    let expected = FOUR.replace("TCPLOCALHOST", &format!("{facts}TCPLOCALHOST"));
    shows(two(0x21, 0x11, &[&BLOCK[..], &tlvs].concat()), &expected);
}

#[test]
fn a_server_that_is_no_tcp_server_has_no_proxy_address() {
    let mut command = program("proxyin");
    command.args(["sh", "-c", SHOW]).env("TCPPROXYIP", "old");
    let o = fed(&mut command, "PROXY TCP4 1.2.3.4 5.6.7.8 1024 26\r\n");
    let expected = "PROTO=TCP\nTCPLOCALIP=5.6.7.8\nTCPLOCALPORT=26\nTCPREMOTEIP=1.2.3.4\n\
        TCPREMOTEPORT=1024\n";
    assert_eq!(ran(&o), (Some(0), expected.into(), String::new()));
}

/// The header comes over a socket, in one piece with what follows or byte by byte.
#[test]
fn not_one_byte_more_than_the_header_is_read() {
    let long = two(0x21, 0x11, &[&BLOCK[..], b"\x04\x20\0", &[0; 0x2000]].concat());
    let one = b"PROXY TCP4 1.2.3.4 5.6.7.8 1024 26\r\n".to_vec();
    for header in [one, two(0x21, 0x11, &BLOCK), long] {
        let server = plain(&[], &["proxyin", "sh", "-c", "echo $TCPREMOTEIP; exec head -c 3"]);
        let mut whole = connect(server.port);
        whole.write_all(&[&header[..], b"abcdef"].concat()).unwrap();
        assert_eq!(first(&mut whole), "1.2.3.4\nabc");
        let mut slow = connect(server.port);
        slow.set_nodelay(true).unwrap();
        for byte in header.iter().take(300) {
            slow.write_all(&[*byte]).unwrap();
        }
        slow.write_all(&[header.get(300..).unwrap_or_default(), b"abcdef"].concat()).unwrap();
        assert_eq!(first(&mut slow), "1.2.3.4\nabc");
    }
}

/// The first 11 bytes that a server says.
fn first(stream: &mut TcpStream) -> String {
    let mut bytes = [0; 11];
    stream.read_exact(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn a_file_that_is_standard_input_is_left_where_the_header_ends() {
    let place = scratch();
    place.write("input", "PROXY UNKNOWN rest\r\nEHLO a\r\nQUIT\r\n");
    let input = place.join("input");
    let o = redirected(&format!("<{}", input.display()), &proxyin(&[])).output().unwrap();
    assert_eq!(ran(&o), (Some(0), format!("{UNCHANGED}EHLO a\r\nQUIT\r\n"), String::new()));
}

#[test]
fn invalid_headers_are_fatal_and_the_program_does_not_run() {
    let line = "invalid PROXY header: ";
    fails(&[], "EHLO a\r\n", 100, &format!("{line}no signature"));
    fails(&[], "PROXY TCP4 1.2.3.4 5.6.7.8 1024\r\n", 100, &format!("{line}bad line"));
    fails(&[], "PROXY TCP4 1.2.3.4 5.6.7 1024 26\r\n", 100, &format!("{line}bad address"));
    fails(&[], "PROXY TCP4 1.2.3.4 5.6.7.8 1024 026\r\n", 100, &format!("{line}bad port"));
    fails(&[], "PROXY UNKNOWN ".repeat(10), 100, &format!("{line}line too long"));
    let unknown = format!("{line}unknown version or command");
    fails(&[], two(0x31, 0x11, &BLOCK), 100, &unknown);
    let family = format!("{line}unknown address family or transport");
    fails(&[], two(0x21, 0x41, &BLOCK), 100, &family);
    fails(&[], two(0x21, 0x21, &BLOCK), 100, &format!("{line}address block too short"));
    fails(&[], two(0x21, 0x11, &[1; 14]), 100, &format!("{line}broken TLV"));
}

#[test]
fn a_version_may_be_demanded() {
    let one = "PROXY UNKNOWN\r\n";
    let nothing = two(0x20, 0, b"");
    for (option, good, bad) in
        [("-1", one.as_bytes(), &nothing[..]), ("-2", &nothing, one.as_bytes())]
    {
        let o = fed(&mut proxyin(&[option]), good);
        assert_eq!(ran(&o), (Some(0), UNCHANGED.into(), String::new()));
        fails(&[option], bad, 100, "invalid PROXY header: no signature");
    }
}

#[test]
fn a_header_that_does_not_come_is_temporary_trouble() {
    fails(&[], "", 111, "unable to read PROXY header: end of file");
    fails(&[], "PROXY TCP4 1.2.3.4", 111, "unable to read PROXY header: end of file");
    fails(&[], &two(0x21, 0x11, &BLOCK)[..27], 111, "unable to read PROXY header: end of file");
    let o = redirected("<&-", &proxyin(&[])).output().unwrap();
    let said = "proxyin: fatal: unable to read PROXY header: file descriptor not open\n";
    assert_eq!(ran(&o), (Some(111), String::new(), said.into()));
}

#[test]
fn the_whole_header_has_one_time_limit() {
    let said = "proxyin: fatal: unable to read PROXY header: timed out\n";
    let mut slow = start(&mut proxyin(&["-t1"]));
    slow.write(&two(0x21, 0x00, &[0; 65535])[..16]);
    // One byte after the other would go on for much longer than the limit.
    until(LIMIT, "the time is over", || slow.stdin().write_all(b"x").is_err());
    assert_eq!((slow.wait(LIMIT).code(), slow.wait_err("\n")), (Some(111), said.into()));
    let silent = start(&mut proxyin(&["-t", "0"]));
    assert_eq!((silent.wait(LIMIT).code(), silent.wait_err("\n")), (Some(111), said.into()));
}

/// Compiled rules.
fn rules(text: &str) -> Scratch {
    let place = scratch();
    let mut compile = program("tcprules");
    let o = fed(compile.args(["cdb", "tmp"]).current_dir(place.path()), text);
    assert_eq!(ran(&o), (Some(0), String::new(), String::new()));
    place
}

#[test]
fn only_trusted_proxies_are_asked_for_a_header() {
    let header = "PROXY TCP4 1.2.3.4 5.6.7.8 1024 26\r\n";
    let shown = |text: &str| {
        let place = rules(text);
        let o = fed(proxyin(&["-x", "cdb"]).current_dir(place.path()), header);
        let (code, out, err) = ran(&o);
        assert_eq!((code, err), (Some(0), String::new()));
        out
    };
    let untouched = format!("{UNCHANGED}{header}");
    assert_eq!(shown("10.0.0.1:allow\n"), FOUR);
    assert_eq!(shown("10.0.0.0/8:allow\n:deny\n"), FOUR);
    assert_eq!(shown(":allow\n"), FOUR);
    assert_eq!(shown("10.0.0.2:allow\n"), untouched);
    assert_eq!(shown("10.0.0.1:deny\n:allow\n"), untouched);
    assert_eq!(shown(""), untouched);
}

#[test]
fn without_an_address_nobody_is_trusted() {
    let place = rules(":allow\n");
    let mut command = proxyin(&["-x", "cdb"]);
    command.env_remove("TCPREMOTEIP").current_dir(place.path());
    let o = fed(&mut command, "PROXY UNKNOWN\r\n");
    assert!(ran(&o).1.ends_with("PROXY UNKNOWN\r\n"));
}

#[test]
fn trouble_with_the_rules_is_temporary() {
    let place = scratch();
    place.write("damaged", "x");
    for (file, why) in [("missing", "file does not exist"), ("damaged", "protocol error")] {
        let o = fed(proxyin(&["-x", file]).current_dir(place.path()), "PROXY UNKNOWN\r\n");
        let said = format!("proxyin: fatal: unable to read {file}: {why}\n");
        assert_eq!(ran(&o), (Some(111), String::new(), said));
    }
}

#[test]
fn wrong_usage_is_shown() {
    for words in [&[][..], &["-t"], &["-t", "x", "cat"], &["-3", "cat"], &["-1"]] {
        let (code, out, said) = ran(&program("proxyin").args(words).output().unwrap());
        assert_eq!((code, out), (Some(100), String::new()));
        assert!(said.ends_with(USAGE), "{said}");
    }
}

#[test]
fn a_program_that_cannot_be_run_is_named() {
    let o = fed(program("proxyin").arg("/no/such/file"), "PROXY UNKNOWN\r\n");
    let said = "proxyin: fatal: unable to run /no/such/file: file does not exist\n";
    assert_eq!(ran(&o), (Some(111), String::new(), said.into()));
}

#[test]
fn damaged_headers_end_in_one_of_the_three_ways() {
    let mut random = Random::new(4);
    let good = [b"PROXY TCP4 1.2.3.4 5.6.7.8 1024 26\r\n".to_vec(), two(0x21, 0x11, &BLOCK)];
    for _ in 0..60 {
        let good = &good[random.below(2)];
        let bad = random.damaged(good);
        let (code, _, said) = ran(&fed(program("proxyin").arg("true"), &bad));
        let line = said.lines().count() <= 1 && !said.contains("internal");
        assert!(line && matches!(code, Some(0 | 100 | 111)), "{bad:x?}: {code:?} {said}");
    }
}

/// A server behind a real proxy: what it says to a visitor of the proxy.
#[track_caller]
fn behind(proxy: impl Fn(u16) -> Option<(tests::Running, u16)>) {
    let show = "echo $PROTO $TCPREMOTEIP $TCPREMOTEPORT $TCPPROXYIP; read line; echo $line";
    let server = plain(&[], &["proxyin", "sh", "-c", show]);
    let Some((_proxy, port)) = proxy(server.port) else { return };
    let mut visitor = connect(port);
    visitor.write_all(b"hello\n").unwrap();
    let own = visitor.local_addr().unwrap().port();
    let mut said = String::new();
    visitor.read_to_string(&mut said).unwrap();
    assert_eq!(said, format!("TCP 127.0.0.1 {own} 127.0.0.1\nhello\n"));
}

#[test]
fn haproxy_sends_version_1() {
    behind(|server| haproxy(server, "send-proxy"));
}

#[test]
fn haproxy_sends_version_2_with_facts() {
    behind(|server| haproxy(server, "send-proxy-v2 proxy-v2-options ssl,cert-cn,crc32c,unique-id"));
}

#[test]
fn nginx_sends_version_1() {
    behind(nginx);
}
