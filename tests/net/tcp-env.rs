use crate::server::{all, inetd};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use tests::{LIMIT, dns, fed, program, ran, root, skip, start_on};

/// What the program sees.
const SHOW: [&str; 3] = ["sh", "-c", "env | grep -E 'TCP|PROTO' | sort >&2"];

/// What `tcp-env OPTIONS` makes of a connection on this address; REMOTE and LOCAL stand for the
/// ports.
fn shown(ip: &str, options: &[&str], server: &str) -> String {
    let mut command = program("tcp-env");
    command.env("DNSCACHEIP", server).env("TCPREMOTEHOST", "old").env("TCPREMOTEINFO", "old");
    let (visitor, running) = inetd(ip, command.args(options).args(SHOW));
    let ports = [visitor.local_addr().unwrap().port(), visitor.peer_addr().unwrap().port()];
    let output = ran(&running.finish(LIMIT));
    assert_eq!((output.0, output.1), (Some(0), String::new()));
    let text = output.2.replace(&format!("REMOTEPORT={}\n", ports[0]), "REMOTEPORT=REMOTE\n");
    text.replace(&format!("LOCALPORT={}\n", ports[1]), "LOCALPORT=LOCAL\n")
}

#[test]
fn a_socket_gives_all_variables() {
    let Some(dns) = dns(&[
        ("127.0.0.1", "PTR", "Me.Example"),
        ("127.0.0.2", "SERVFAIL", ""),
        ("2.0.0.127.in-addr.arpa", "SERVFAIL", ""),
    ]) else {
        return;
    };
    let server = dns.ip.to_string();
    let expected = "PROTO=TCP\nTCPLOCALHOST=me.example\nTCPLOCALIP=127.0.0.1\n\
        TCPLOCALPORT=LOCAL\nTCPREMOTEHOST=me.example\nTCPREMOTEIP=127.0.0.1\n\
        TCPREMOTEPORT=REMOTE\n";
    assert_eq!(shown("127.0.0.1", &["-R"], &server), expected);
    let unknown = "PROTO=TCP\nTCPLOCALIP=127.0.0.3\nTCPLOCALPORT=LOCAL\nTCPREMOTEIP=127.0.0.3\n\
        TCPREMOTEPORT=REMOTE\n";
    assert_eq!(shown("127.0.0.3", &["-ZR"], &server), unknown);
    let soft = shown("127.0.0.2", &["-R", "-t", "x"], &server);
    assert!(soft.contains("TCPLOCALHOST=softdnserror\n"), "{soft}");
    assert!(soft.contains("TCPREMOTEHOST=softdnserror\n"), "{soft}");
}

#[test]
fn ipv6_has_its_variables_twice() {
    let Some(dns) = dns(&[("::1", "PTR", "six.example")]) else { return };
    let both = |name: &str| {
        format!(
            "{name}LOCALHOST=six.example\n{name}LOCALIP=::1\n{name}LOCALPORT=LOCAL\n\
             {name}REMOTEHOST=six.example\n{name}REMOTEIP=::1\n{name}REMOTEPORT=REMOTE\n"
        )
    };
    let expected = format!("PROTO=TCP6\n{}{}", both("TCP6"), both("TCP"));
    assert_eq!(shown("::1", &["-R"], &dns.ip.to_string()), expected);
}

#[test]
fn the_visitor_is_asked_who_it_is() {
    if !root() {
        return skip("needs root: ident has port 113");
    }
    let Some(dns) = dns(&[]) else { return };
    let ip = "127.113.0.5";
    let ident = TcpListener::bind((ip, 113)).unwrap();
    let mut command = program("tcp-env");
    command.env("DNSCACHEIP", dns.ip.to_string()).args(["sh", "-c", "echo $TCPREMOTEINFO"]);
    let (visitor, running) = inetd(ip, &mut command);
    let (mut stream, _) = ident.accept().unwrap();
    let mut line = [0; 64];
    let count = stream.read(&mut line).unwrap();
    stream.write_all(format!(":::{}\n", "x".repeat(1000)).as_bytes()).unwrap();
    let [own, peer] = [visitor.local_addr(), visitor.peer_addr()].map(|end| end.unwrap().port());
    assert_eq!(line[..count], *format!("{own} , {peer}\r\n").as_bytes());
    running.wait_out(&format!("{}\n", "x".repeat(998)));
}

#[test]
fn variables_that_are_set_stay() {
    for proto in ["TCP", "TCP6", "SSL"] {
        let mut command = program("tcp-env");
        command.env("PROTO", proto).env("TCPREMOTEIP", "1.2.3.4").args(SHOW);
        let seen = format!("PROTO={proto}\nTCPREMOTEIP=1.2.3.4\n");
        assert_eq!(ran(&fed(&mut command, "")), (Some(0), String::new(), seen));
    }
}

#[test]
fn every_failure_is_temporary_and_silent() {
    let silent = (Some(111), String::new(), String::new());
    assert_eq!(ran(&fed(program("tcp-env").arg("true"), "")), silent);
    assert_eq!(ran(&fed(program("tcp-env").env("PROTO", "UNIX").arg("true"), "")), silent);
    assert_eq!(
        ran(&fed(program("tcp-env").env("PROTO", "TCP").arg("no-such-program"), "")),
        silent
    );
    assert_eq!(ran(&fed(program("tcp-env").env("PROTO", "TCP").args(["-t"]), "")), silent);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let running = start_on(OwnedFd::from(listener), program("tcp-env").args(["-R", "true"]));
    assert_eq!(ran(&running.finish(LIMIT)), silent);
}

#[test]
fn the_program_has_the_socket() {
    let mut command = program("tcp-env");
    command.env("PROTO", "TCP").args(["sh", "-c", "exec cat <&0 >&0"]);
    let (mut visitor, _running) = inetd("127.0.0.1", &mut command);
    visitor.write_all(b"there and back").unwrap();
    drop(command); // it holds the socket open too
    visitor.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(all(visitor), "there and back");
}
