use crate::server::{plain, server};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};
use tests::{dns, fed, free_port, listener, original, program, ran, redirected, root, skip};

type Ran = (Option<i32>, String, String);

/// Ours lists more options.
fn usage() -> String {
    let (letters, interface) = match original() {
        true => ("-hHrRdDqQv", ""),
        false => ("-46hHrRdDqQv", " [ -I interface ]"),
    };
    format!(
        "tcpclient: usage: tcpclient [ {letters} ] [ -i localip ] [ -p localport ] \
         [ -T timeoutconn ] [ -l localname ] [ -t timeoutinfo ]{interface} host port program\n"
    )
}

fn client(words: &[&str]) -> Ran {
    ran(&fed(program("tcpclient").args(words), ""))
}

/// A client that looks nothing up.
fn plainly(options: &[&str], words: &[&str]) -> Ran {
    client(&[&["-RHl0"], options, words].concat())
}

fn said(code: i32, text: &str) -> Ran {
    (Some(code), String::new(), format!("tcpclient: {text}\n"))
}

#[test]
fn wrong_usage_is_shown() {
    for words in [&[][..], &["-v"], &["0"], &["0", "25"], &["-i", "x", "0", "25", "true"]] {
        assert_eq!(client(words), (Some(100), String::new(), usage()));
    }
    assert_eq!(client(&["-q", "0", "25"]), (Some(100), String::new(), String::new()));
    let illegal = format!("tcpclient: illegal option -- Z\n{}", usage());
    assert_eq!(client(&["-vZ"]), (Some(100), String::new(), illegal));
}

/// The original reads `x` as 0, and reduces ports modulo 65536.
#[test]
fn wrong_numbers_are_wrong_usage() {
    if original() {
        return;
    }
    for word in ["-tx", "-T", "-Tx", "-T1+", "-T1+x", "-T1-2", "-p65536", "-p-1", "-i127.1"] {
        let words = [word, "", "127.0.0.1", "1"];
        let words = if word.len() == 2 { &words } else { &[word, "127.0.0.1", "1", "true"] };
        assert_eq!(client(words), (Some(100), String::new(), usage()), "{word}");
    }
}

#[test]
fn a_client_that_cannot_connect_says_why() {
    let port = free_port().to_string();
    let refused = format!("unable to connect to 127.0.0.1 port {port}: connection refused");
    assert_eq!(plainly(&[], &["127.0.0.1", &port, "true"]), said(111, &refused));
    assert_eq!(plainly(&[], &["[127.000.0.1]", &port, "true"]), said(111, &refused));
    let quiet = (Some(111), String::new(), String::new());
    assert_eq!(plainly(&["-q"], &["127.0.0.1", &port, "true"]), quiet);
    let unknown = "fatal: unable to figure out port number for no-such";
    assert_eq!(plainly(&[], &["127.0.0.1", "no-such", "true"]), said(111, unknown));
    let none = "fatal: no IP address for 127.1";
    assert_eq!(plainly(&[], &["127.1", &port, "true"]), said(111, none));
    let local = "fatal: unable to bind socket: address not available";
    assert_eq!(plainly(&["-i192.0.2.1"], &["127.0.0.1", &port, "true"]), said(111, local));
}

#[test]
fn the_connection_is_descriptors_six_and_seven() {
    let server = plain(&[], &["sh", "-c", "read line; echo got $line"]);
    let port = server.port.to_string();
    let script = "echo standard; echo hello >&7; cat <&6; cat; exit 9";
    let mut command = program("tcpclient");
    command.args(["-vRHl0", "127.0.0.1", &port, "sh", "-c", script]);
    let connected = format!("tcpclient: connected to 127.0.0.1 port {port}\n");
    let expected = (Some(9), "standard\ngot hello\ninput".into(), connected);
    assert_eq!(ran(&fed(&mut command, "input")), expected);
}

#[test]
fn the_variables_are_the_clients_view() {
    let (server, port) = listener();
    let script = "env | grep -E 'TCP|PROTO' | sort";
    let mut command = program("tcpclient");
    command.env("TCPREMOTEHOST", "inherited").env("TCPREMOTEINFO", "inherited");
    command.args(["-RHlme", "-i127.0.0.2", "127.0.0.1", &port.to_string(), "sh", "-c", script]);
    let output = ran(&fed(&mut command, ""));
    let (_, client) = server.accept().unwrap();
    let expected = format!(
        "PROTO=TCP\nTCPLOCALHOST=me\nTCPLOCALIP=127.0.0.2\nTCPLOCALPORT={}\n\
         TCPREMOTEIP=127.0.0.1\nTCPREMOTEPORT={port}\n",
        client.port()
    );
    assert_eq!(output, (Some(0), expected, String::new()));
}

#[test]
fn the_local_port_may_be_chosen() {
    let (server, port) = listener();
    let own = free_port();
    let options = [&format!("-p{own}")[..], "-i127.0.0.1"];
    assert_eq!(plainly(&options, &["127.0.0.1", &port.to_string(), "true"]).0, Some(0));
    assert_eq!(server.accept().unwrap().1.port(), own);
}

#[test]
fn this_host_is_nothing_or_zero() {
    let (_server, port) = listener();
    for host in ["", "0"] {
        let words = [host, &port.to_string(), "sh", "-c", "echo $TCPREMOTEIP"];
        assert_eq!(plainly(&[], &words), (Some(0), "127.0.0.1\n".into(), String::new()));
    }
}

#[test]
fn a_program_that_cannot_run_is_named() {
    let (_server, port) = listener();
    let words = ["127.0.0.1", &port.to_string(), "no-such-program"];
    let unable = "fatal: unable to run no-such-program: file does not exist";
    assert_eq!(plainly(&[], &words), said(111, unable));
}

/// A listening socket that answers nobody: its backlog is full.
fn silent() -> (TcpListener, u16, Vec<TcpStream>) {
    let (listener, port) = listener();
    base::sys::socket::listen(listener.as_fd(), 0).unwrap();
    let limit = Duration::from_millis(200);
    let address = (Ipv4Addr::LOCALHOST, port).into();
    let kept = (0..3).filter_map(|_| TcpStream::connect_timeout(&address, limit).ok()).collect();
    (listener, port, kept)
}

#[test]
fn a_single_address_has_the_time_of_both_rounds() {
    let (_listener, port, _kept) = silent();
    let start = Instant::now();
    let timed_out = format!("unable to connect to 127.0.0.1 port {port}: timed out");
    let words = ["127.0.0.1", &port.to_string(), "true"];
    assert_eq!(plainly(&["-T1+1"], &words), said(111, &timed_out));
    assert!(start.elapsed() > Duration::from_millis(1900), "{:?}", start.elapsed());
}

#[test]
fn addresses_that_do_not_answer_are_tried_again() {
    let Some(dns) = dns(&[("a.example", "A", "127.0.0.1"), ("a.example", "A", "127.0.0.24")])
    else {
        return;
    };
    let (_listener, port, _kept) = silent();
    let mut command = program("tcpclient");
    command.env("DNSCACHEIP", dns.ip.to_string());
    command.args(["-RHl0", "-T1+1", "a.example", &port.to_string(), "true"]);
    let start = Instant::now();
    let (code, out, err) = ran(&fed(&mut command, ""));
    let mut said: Vec<&str> = err.lines().collect();
    said.sort();
    let unable = |ip, why| format!("tcpclient: unable to connect to {ip} port {port}: {why}");
    let expected = [unable("127.0.0.1", "timed out"), unable("127.0.0.24", "connection refused")];
    assert_eq!(
        (code, out, said),
        (Some(111), String::new(), expected.iter().map(|l| &l[..]).collect())
    );
    assert!(start.elapsed() > Duration::from_millis(1900), "{:?}", start.elapsed());
}

#[test]
fn small_packets_are_sent_at_once_if_asked() {
    if Command::new("perl").arg("-v").output().is_err() {
        return skip("needs perl");
    }
    let (_server, port) = listener();
    let show = "open(S, '+<&=6'); print unpack('i', getsockopt(S, 6, 1)) ? 'now' : 'later'";
    let words = ["127.0.0.1", &port.to_string(), "perl", "-e", show];
    assert_eq!(plainly(&[], &words).1, "later");
    assert_eq!(plainly(&["-D"], &words).1, "now");
}

#[test]
fn all_addresses_of_a_name_are_tried() {
    let Some(dns) = dns(&[
        ("a.example", "A", "127.0.0.21"),
        ("a.example", "A", "127.0.0.22"),
        ("a.example", "A", "127.0.0.23"),
        ("127.0.0.23", "PTR", "C.Example"),
        ("127.0.0.1", "PTR", "me.example"),
    ]) else {
        return;
    };
    let server = TcpListener::bind("127.0.0.23:0").unwrap();
    let port = server.local_addr().unwrap().port().to_string();
    let mut command = program("tcpclient");
    let script = "echo $TCPLOCALHOST $TCPREMOTEIP $TCPREMOTEHOST";
    command.env("DNSCACHEIP", dns.ip.to_string());
    command.args(["-Ri127.0.0.1", "a.example", &port, "sh", "-c", script]);
    let (code, out, err) = ran(&fed(&mut command, ""));
    assert_eq!((code, out.as_str()), (Some(0), "me.example 127.0.0.23 c.example\n"));
    let refused = |line: &str| {
        let ips = ["127.0.0.21", "127.0.0.22"];
        let line = line.strip_prefix("tcpclient: unable to connect to ");
        ips.iter().any(|ip| line == Some(&format!("{ip} port {port}: connection refused")))
    };
    assert!(err.lines().all(refused), "{err}");
    drop(server);
    let (code, out, err) = ran(&fed(&mut command, ""));
    assert_eq!((code, out, err.lines().count()), (Some(111), String::new(), 3));
}

/// 0.88 knows IPv4 alone, and sets names that do not exist to nothing.
#[test]
fn ipv6_comes_before_ipv4() {
    if original() {
        return;
    }
    let Some(dns) = dns(&[
        ("a.example", "A", "127.0.0.1"),
        ("a.example", "AAAA", "::1"),
        ("b.example", "AAAA", "::1"),
    ]) else {
        return;
    };
    let server = server(&["-RHl0", ":0", "0", "sh", "-c", "echo $TCPREMOTEIP"]);
    let port = server.port.to_string();
    let show = "cat <&6; echo $PROTO $TCPREMOTEIP ${TCP6REMOTEIP-none} ${TCPREMOTEHOST-none}";
    let asked = |options: &[&str], host: &str| {
        let mut command = program("tcpclient");
        command.env("DNSCACHEIP", dns.ip.to_string()).arg("-R").args(options);
        command.args([host, &port, "sh", "-c", show]);
        let (code, out, err) = ran(&fed(&mut command, ""));
        (code, out + &err)
    };
    let six = "::1\nTCP6 ::1 ::1 none\n";
    assert_eq!(asked(&[], "a.example"), (Some(0), six.into()));
    assert_eq!(asked(&["-i::1"], "a.example"), (Some(0), six.into()));
    let four = "127.0.0.1\nTCP 127.0.0.1 none none\n";
    assert_eq!(asked(&["-4"], "a.example"), (Some(0), four.into()));
    assert_eq!(asked(&["-i127.0.0.1"], "a.example"), (Some(0), four.into()));
    let mapped = "127.0.0.1\nTCP6 ::ffff:127.0.0.1 ::ffff:127.0.0.1 none\n";
    assert_eq!(asked(&["-46"], "a.example"), (Some(0), mapped.into()));
    let none = "tcpclient: fatal: no IP address for b.example\n";
    assert_eq!(asked(&["-4"], "b.example"), (Some(111), none.into()));
}

/// The original asks a failing server for eleven seconds, and leaves the name empty.
#[test]
fn a_lookup_that_fails_is_temporary_for_the_host_and_harmless_for_its_name() {
    if original() {
        return;
    }
    let Some(dns) = dns(&[("a.example", "SERVFAIL", ""), ("127.0.0.1", "SERVFAIL", "")]) else {
        return;
    };
    let (_server, port) = listener();
    let run = |host: &str| {
        let mut command = program("tcpclient");
        command.env("DNSCACHEIP", dns.ip.to_string());
        let show = "echo ${TCPREMOTEHOST-none} ${TCPLOCALHOST-none}";
        command.args(["-R", host, &port.to_string(), "sh", "-c", show]);
        ran(&fed(&mut command, ""))
    };
    let failed =
        "fatal: temporarily unable to figure out IP address for a.example: input/output error";
    assert_eq!(run("a.example"), said(111, failed));
    assert_eq!(run("127.0.0.1"), (Some(0), "none none\n".into(), String::new()));
}

#[test]
fn the_server_is_asked_who_it_is() {
    if !root() {
        return skip("needs root: ident has port 113");
    }
    let ip = "127.113.0.3";
    let ident = TcpListener::bind((ip, 113)).unwrap();
    let server = TcpListener::bind((ip, 0)).unwrap();
    let port = server.local_addr().unwrap().port();
    let answer = thread::spawn(move || {
        let (mut stream, from) = ident.accept().unwrap();
        let mut line = [0; 64];
        let count = stream.read(&mut line).unwrap();
        stream.write_all(b"0 , 0 : USERID : OTHER : the server\r\n").unwrap();
        (String::from_utf8_lossy(&line[..count]).into_owned(), from.ip().to_string())
    });
    let words = ["-Hl0", "-i127.113.0.4", ip, &port.to_string(), "sh", "-c", "echo $TCPREMOTEINFO"];
    assert_eq!(client(&words), (Some(0), "theserver\n".into(), String::new()));
    let client = server.accept().unwrap().1;
    let question = format!("{port} , {}\r\n", client.port());
    assert_eq!(answer.join().unwrap(), (question, client.ip().to_string()));
}

#[test]
fn closed_descriptors_stay_closed_for_the_program() {
    let (_server, port) = listener();
    let mut command = program("tcpclient");
    let script = "for n in 0 1 2 6 7; do test -e /proc/$$/fd/$n && echo $n >&9; done; :";
    command.args(["-RHl0", "127.0.0.1", &port.to_string(), "sh", "-c", script]);
    let place = tests::scratch();
    let file = place.join("seen").display().to_string();
    let redirections = format!("9>{file} <&- >&- 2>&-");
    let output: Ran = ran(&fed(&mut redirected(&redirections, &command), ""));
    assert_eq!((output.0, place.text("seen")), (Some(0), "6\n7\n".into()));
}

#[test]
fn sigpipe_has_its_default() {
    let (_server, port) = listener();
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' PIPE; exec \"$0\" \"$@\""]).arg(tests::bin("tcpclient"));
    shell.args(["-RHl0", "127.0.0.1", &port.to_string(), "grep", "SigIgn", "/proc/self/status"]);
    // what a program gets without a client: perhaps the tests run under nohup
    let expected = ran(&fed(Command::new("grep").args(["SigIgn", "/proc/self/status"]), ""));
    assert_eq!(ran(&fed(&mut shell, "")), expected);
}
