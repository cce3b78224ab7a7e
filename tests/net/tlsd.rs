//! tlsd: speak TLS on a connection and run a program for what is said.

use crate::certificates::{Authority, ECDSA, RSA, authority, authority_called, client};
use crate::server::{Server, all, inetd, ready};
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};
use tests::{
    LIMIT, Random, Running, as_user, connect, fed, program, ran, redirected, root, scratch, shown,
    skip, until,
};

const USAGE: &str = "tlsd: usage: tlsd [ -nsSmzZ ] [ -T handshake ] [ -w idle ] program\n";

/// An authority that has issued `mail.pem` for mail.example.
fn mail() -> Authority {
    let authority = authority();
    authority.issue("mail", ECDSA, "mail.example");
    authority
}

/// `tcpserver ... tlsd WORDS` on 127.0.0.1, with the certificate `mail.pem` and this environment.
#[track_caller]
fn served(authority: &Authority, env: &[(&str, &str)], words: &[&str]) -> Server {
    let mut server = program("tcpserver");
    authority.on("mail", &mut server).current_dir(authority.place.path());
    server.args(["-1vRHl0", "127.0.0.1", "0", "tlsd"]).args(words);
    ready(server.envs(env.iter().copied()))
}

/// Answers the first line with it and what is in the environment.
const ANSWER: &str = "read line; eval echo \"$line $0\"";

/// A program that answers with these variables.
fn answering<'a>(options: &[&'a str], variables: &'a str) -> Vec<&'a str> {
    [options, &["sh", "-c", ANSWER, variables]].concat()
}

/// What our own client is told, after saying a line.
fn told(config: ClientConfig, host: &'static str, port: u16) -> String {
    let mut stream = client(config, host, connect(port));
    let mut bytes = Vec::new();
    match stream.write_all(b"hello\n").and_then(|()| stream.read_to_end(&mut bytes)) {
        Ok(_) => shown(&bytes),
        Err(why) => why.to_string(),
    }
}

/// What tlsd said on standard error, besides what the server does.
fn words(server: &Server) -> String {
    let log = server.running.err();
    let own = log.lines().filter(|line| line.starts_with("tlsd: "));
    own.map(|line| format!("{line}\n")).collect()
}

#[test]
fn openssl_speaks_both_versions_with_both_kinds_of_keys() {
    let authority = authority();
    let mut seen = String::new();
    for kind in [ECDSA, RSA] {
        authority.issue("mail", kind, "mail.example");
        let server = served(&authority, &[], &answering(&[], "$SSL_PROTOCOL $SSL_CIPHER"));
        for version in ["-tls1_2", "-tls1_3"] {
            seen += &authority.s_client(server.port, &[version], "hello\n");
        }
        seen += &authority.s_client(server.port, &["-tls1_1", "-cipher", "ALL@SECLEVEL=0"], "");
    }
    let expected = "hello TLSv1.2 ECDHE-ECDSA-AES256-GCM-SHA384\n\
        hello TLSv1.3 TLS_AES_256_GCM_SHA384\n\
        hello TLSv1.2 ECDHE-RSA-AES256-GCM-SHA384\n\
        hello TLSv1.3 TLS_AES_256_GCM_SHA384\n";
    assert_eq!(seen, expected);
}

#[test]
fn ciphers_are_openssls() {
    let authority = mail();
    let env = [("CIPHERS", "ECDHE+AES128:!MD5")];
    let server = served(&authority, &env, &answering(&[], "$SSL_CIPHER $CIPHERS $CERTFILE"));
    let seen = authority.s_client(server.port, &["-tls1_2"], "hello\n");
    assert_eq!(seen, "hello ECDHE-ECDSA-AES128-GCM-SHA256\n");
    assert_eq!(authority.s_client(server.port, &["-tls1_2", "-cipher", "AES256"], "hello\n"), "");
    let why = "unable to accept TLS: peer is incompatible: ";
    assert!(words(&server).contains(why), "{}", words(&server));
}

#[test]
fn curl_and_python_are_served() {
    let authority = mail();
    let page = "read line; printf 'HTTP/1.0 200 OK\\r\\n\\r\\n%s\\n' $SSL_TLS_SNI_SERVERNAME";
    let server = served(&authority, &[], &["sh", "-c", page]);
    let to = format!("mail.example:{}:127.0.0.1", server.port);
    let url = format!("https://mail.example:{}/", server.port);
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--noproxy", "*", "--cacert", "ca.pem", "--resolve", &to, &url]);
    let o = fed(curl.current_dir(authority.place.path()), "");
    assert_eq!(ran(&o), (Some(0), "mail.example\n".into(), String::new()));

    let script = "import socket, ssl, sys\n\
        context = ssl.create_default_context(cafile='ca.pem')\n\
        plain = socket.create_connection(('127.0.0.1', int(sys.argv[1])))\n\
        tls = context.wrap_socket(plain, server_hostname='mail.example')\n\
        tls.sendall(b'GET\\r\\n')\n\
        while text := tls.recv(100): print(text.decode(), end='')\n";
    let mut python = Command::new("python3");
    python.args(["-c", script, &server.port.to_string()]);
    let o = fed(python.current_dir(authority.place.path()), "");
    let answer = "HTTP/1.0 200 OK\r\n\r\nmail.example\n";
    assert_eq!(ran(&o), (Some(0), answer.into(), String::new()));
}

/// The host in the certificate that a client gets.
fn shown_to(server: &Server, host: &'static str) -> String {
    let to = format!("127.0.0.1:{}", server.port);
    let mut ask = Command::new("openssl");
    ask.args(["s_client", "-connect", &to, "-servername", host]);
    let (_, out, _) = ran(&fed(&mut ask, ""));
    let subject = out.lines().find_map(|line| line.strip_prefix("subject="));
    subject.and_then(|line| line.rsplit_once("CN = ")).map_or("none", |(_, name)| name).to_owned()
}

#[test]
fn the_certificate_is_that_of_the_host_that_is_asked_for() {
    let authority = mail();
    for (name, host) in [("one", "one.example"), ("star", "*.example"), ("dir", "dir.test")] {
        authority.issue(name, ECDSA, host);
    }
    let both = [authority.place.read("dir.key"), authority.place.read("dir.pem")].concat();
    authority.place.write("certs/dir.test/servercert.pem", both);
    authority.place.write("certs/bad.test/servercert.pem", authority.place.read("dir.pem"));
    let env = [
        ("CERTFILE:One.Example", "one.pem"),
        ("KEYFILE:One.Example", "one.key"),
        ("CERTFILE:*.example", "star.pem"),
        ("KEYFILE:*.example", "star.key"),
        ("CERTDIR", "certs"),
    ];
    let server = served(&authority, &env, &["sh", "-c", "env | grep FILE: || cat"]);
    for (host, expected) in [
        ("mail.test", "mail.example"),
        ("one.example", "one.example"),
        ("ONE.example", "one.example"),
        ("two.example", "*.example"),
        ("a.two.example", "mail.example"),
        ("dir.test", "dir.test"),
        ("DIR.test", "dir.test"),
        ("bad.test", "none"),
    ] {
        assert_eq!(shown_to(&server, host), expected, "{host}");
    }
    let why = "tlsd: warning: dropping connection, unable to accept TLS: unable to read \
        certs/bad.test/servercert.pem: no private key in it\n";
    assert_eq!(words(&server), why);
}

#[test]
fn client_certificates_are_good_bad_or_absent() {
    let (stranger, authority) = (authority_called("A Stranger"), mail());
    for issuer in [&stranger, &authority] {
        issuer.issue("you", ECDSA, "you.example");
    }
    let variables = "$SSL_CLIENT_VERIFY $SSL_CLIENT_S_DN $SSL_CLIENT_S_DN_CN";
    let unknown = "FAILED:invalid peer certificate: UnknownIssuer";
    let good = "SUCCESS /C=AQ/O=Example/CN=you.example you.example";
    let refused = |why: &str| format!("received fatal alert: {why}");
    for (options, env, answers) in [
        (&[][..], &[("A", "")][..], ["", "", ""]),
        (&[], &[("CCAFILE", "ca.pem")], [good, unknown, ""]),
        (&[], &[("CCAFILE", "-")], ["", "", ""]),
        (&["-m"], &[("CAFILE", "ca.pem")], [good, "UnknownCA", "CertificateRequired"]),
        (&["-m"], &[("CADIR", "cas")], [good, "UnknownCA", "CertificateRequired"]),
        (
            &["-m"],
            &[("CCAFILE", "ca.pem"), ("VERIFYDEPTH", "0")],
            [good, "UnknownCA", "CertificateRequired"],
        ),
        (&["-mZ"], &[("CCAFILE", "ca.pem")], [good, unknown, ""]),
        (
            &["-z"],
            &[("CCAFILE", "ca.pem"), ("H", "you.example")],
            [good, "UnknownCA", "CertificateRequired"],
        ),
        (
            &["-z"],
            &[("CCAFILE", "ca.pem"), ("H", "me.example")],
            ["BadCertificate", "UnknownCA", "CertificateRequired"],
        ),
    ] {
        authority.place.write("cas/ca.0", authority.place.read("ca.pem"));
        authority.place.write("cas/readme", "no certificate");
        let mut server = program("tcpserver");
        authority.on("mail", &mut server).current_dir(authority.place.path());
        server.envs(env.iter().copied()).args(["-1vRHl0", "127.0.0.1", "0"]);
        server.args(["sh", "-c", "TCPREMOTEHOST=$H exec tlsd \"$@\"", "tlsd"]);
        let server = ready(server.args(answering(options, variables)));
        let configs = [
            authority.config_as(&authority, "you"),
            authority.config_as(&stranger, "you"),
            authority.config(),
        ];
        for (config, expected) in configs.into_iter().zip(answers) {
            let seen = told(config, "mail.example", server.port);
            let answered = seen == format!("hello {expected}\n").replace(" \n", "\n");
            let alert = seen == refused(expected);
            assert!(answered || alert, "{options:?} {env:?} {expected}: {seen}");
        }
    }
}

#[test]
fn s_lists_everything() {
    let authority = mail();
    let more = ["-subj", "/C=AQ/O=A\\/B/CN=you/emailAddress=you@you.example"];
    authority.signed(
        "you",
        ECDSA,
        &[&more[..], &["-addext", "subjectAltName=email:me@you.example"]].concat(),
    );
    let env = [("CCAFILE", "ca.pem"), ("SSL_CLIENT_CERT_CHAIN_7", "forged")];
    let show = "read line; env | grep ^SSL_ | grep -v '^SSL_CERT_' | LC_ALL=C sort";
    let server = served(&authority, &env, &["-s", "sh", "-c", show]);
    let seen = told(authority.config_as(&authority, "you"), "mail.example", server.port);
    let named = |start: &str| {
        let line = seen.lines().find_map(|line| line.strip_prefix(start)?.strip_prefix('='));
        line.unwrap_or("unset").to_owned()
    };
    for (name, expected) in [
        ("SSL_CIPHER", "TLS_AES_256_GCM_SHA384"),
        ("SSL_CIPHER_EXPORT", "false"),
        ("SSL_CIPHER_USEKEYSIZE", "256"),
        ("SSL_CLIENT_A_KEY", "id-ecPublicKey"),
        ("SSL_CLIENT_A_SIG", "ecdsa-with-SHA256"),
        ("SSL_CLIENT_CERT", "-----BEGIN CERTIFICATE-----"),
        ("SSL_CLIENT_CERT_CHAIN_7", "unset"),
        ("SSL_CLIENT_I_DN", "/CN=Test Authority"),
        ("SSL_CLIENT_M_VERSION", "3"),
        ("SSL_CLIENT_SAN_Email_0", "me@you.example"),
        ("SSL_CLIENT_S_DN", "/C=AQ/O=A\\x2FB/CN=you/emailAddress=you@you.example"),
        ("SSL_CLIENT_S_DN_Email", "you@you.example"),
        ("SSL_CLIENT_S_DN_O", "A/B"),
        ("SSL_CLIENT_VERIFY", "SUCCESS"),
        ("SSL_PROTOCOL", "TLSv1.3"),
        ("SSL_SERVER_S_DN_CN", "mail.example"),
        ("SSL_TLS_SNI_SERVERNAME", "mail.example"),
        ("SSL_VERSION_INTERFACE", "ucspi-ssl"),
    ] {
        assert_eq!(named(name), expected, "{name} in {seen}");
    }
}

#[test]
fn settings_and_old_facts_do_not_reach_the_program() {
    let authority = mail();
    let env = [("CIPHERS", "HIGH"), ("SSL_CLIENT_VERIFY", "SUCCESS"), ("SSL_CERT_FILE", "kept")];
    let show = "read line; env | grep -E '^(SSL_|CERT|KEY|CIPHERS)' | LC_ALL=C sort";
    let server = served(&authority, &env, &["sh", "-c", show]);
    let expected = "SSL_CERT_FILE=kept\nSSL_CIPHER=TLS_AES_256_GCM_SHA384\nSSL_PROTOCOL=TLSv1.3\n\
        SSL_TLS_SNI_SERVERNAME=mail.example\n";
    assert_eq!(told(authority.config(), "mail.example", server.port), expected);
}

#[test]
fn a_client_resumes_its_session_in_another_process() {
    let authority = mail();
    let mut random = Random::new(6);
    let [oldest, old, new] = [(); 3].map(|()| random.bytes(40));
    authority.place.write("tickets", [&old[..], &oldest].concat());
    let env = [("TLSTICKETKEY", "tickets")];
    let server = served(&authority, &env, &["sh", "-c", "read line; echo bye"]);
    let visit = |version: &str, session: &[&str]| {
        let to = format!("127.0.0.1:{}", server.port);
        let mut ask = Command::new("openssl");
        ask.args(["s_client", "-ign_eof", version, "-connect", &to]).args(session);
        let (_, out, _) = ran(&fed(ask.current_dir(authority.place.path()), "hello\n"));
        let line = out.lines().find_map(|line| line.split_once(", TLSv1."));
        line.map_or("none", |(word, _)| word).to_owned()
    };
    for version in ["-tls1_2", "-tls1_3"] {
        authority.place.write("tickets", [&old[..], &oldest].concat());
        assert_eq!(visit(version, &["-sess_out", "session"]), "New");
        assert_eq!(visit(version, &["-sess_in", "session"]), "Reused");
        authority.place.write("tickets", [&new[..], &old].concat());
        assert_eq!(visit(version, &["-sess_in", "session"]), "Reused");
        let file = std::fs::File::open(authority.path("tickets")).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(13 * 3600)).unwrap();
        assert_eq!(visit(version, &["-sess_in", "session"]), "New");
        authority.place.write("tickets", [&new[..], &oldest].concat());
        assert_eq!(visit(version, &["-sess_in", "session"]), "New");
    }
    std::fs::remove_file(authority.path("tickets")).unwrap();
    assert_eq!(visit("-tls1_3", &[]), "New");
    assert_eq!(words(&server), "");
    authority.place.write("tickets", "short");
    assert_eq!(visit("-tls1_3", &[]), "none");
    assert_eq!(words(&server), "tlsd: fatal: unable to read tickets: not 80 bytes\n");
}

#[test]
fn a_new_certificate_needs_no_restart() {
    let authority = mail();
    let server = served(&authority, &[], &answering(&["-s"], "$SSL_SERVER_S_DN_CN"));
    assert_eq!(authority.s_client(server.port, &[], "1\n"), "1 mail.example\n");
    authority.issue("mail", RSA, "new.example");
    assert_eq!(authority.s_client(server.port, &[], "2\n"), "2 new.example\n");
}

type Stream = StreamOwned<ClientConnection, TcpStream>;

/// Says that nothing more comes, as TLS and TCP say it.
fn end(stream: &mut Stream) {
    stream.conn.send_close_notify();
    stream.flush().unwrap();
    stream.sock.shutdown(Shutdown::Write).unwrap();
}

#[test]
fn either_way_may_end_first() {
    let authority = mail();
    let bytes = Random::new(8).bytes(10 << 20);
    let env = [("A", "")];
    // All of the input first, and then all of it again.
    let server = served(&authority, &env, &["sh", "-c", "cat >copy; cat copy"]);
    let mut stream = authority.client(connect(server.port));
    stream.write_all(&bytes).unwrap();
    end(&mut stream);
    let mut came = Vec::new();
    stream.read_to_end(&mut came).unwrap();
    assert!(came == bytes);

    // All of the output first.
    authority.place.write("sent", &bytes);
    let script = "cat sent; exec >&-; cat >got; echo got >&2";
    let server = served(&authority, &env, &["sh", "-c", script]);
    let mut stream = authority.client(connect(server.port));
    let mut came = Vec::new();
    stream.read_to_end(&mut came).unwrap();
    assert!(came == bytes);
    stream.write_all(&bytes).unwrap();
    end(&mut stream);
    server.running.wait_err("got\n");
    assert!(authority.place.read("got") == bytes);
}

#[test]
fn a_peer_that_does_not_shake_hands_is_dropped() {
    let authority = mail();
    let server = served(&authority, &[], &["-T", "1", "sh", "-c", "echo ran >&2"]);
    let silent = connect(server.port);
    let mut one_byte = connect(server.port);
    one_byte.write_all(b"\x16").unwrap();
    assert_eq!((all(silent), all(one_byte)), (String::new(), String::new()));
    drop(connect(server.port));
    let log = server.log(3);
    let dropped = "tlsd: warning: dropping connection, unable to accept TLS: ";
    let expected = format!("{dropped}timed out\n{dropped}timed out\n{dropped}connection closed\n");
    assert_eq!(words(&server), expected);
    assert_eq!(log.matches("end PID status 28416").count(), 3, "{log}");
    assert!(!log.contains("ran"), "{log}");
}

#[test]
fn a_silent_connection_is_dropped() {
    let authority = mail();
    let server = served(&authority, &[], &["-w", "1", "sh", "-c", "cat >&2; echo bye >&2"]);
    let mut stream = authority.client(connect(server.port));
    stream.flush().unwrap();
    server.running.wait_err("bye\n");
    server.log(1);
    let expected = "tlsd: warning: dropping connection, unable to speak TLS: timed out\n";
    assert_eq!(words(&server), expected);
}

#[test]
fn what_is_not_tls_is_dropped() {
    let authority = mail();
    let server = served(&authority, &[], &["sh", "-c", "echo ran >&2"]);
    let mut stream = connect(server.port);
    stream.write_all(b"EHLO mail.example\r\n").unwrap();
    let answer = all(stream);
    assert_eq!(answer, "\u{15}\u{3}\u{3}\0\u{2}\u{2}\u{32}");
    server.log(1);
    let expected = "tlsd: warning: dropping connection, unable to accept TLS: \
        received corrupt message of type InvalidContentType\n";
    assert_eq!(words(&server), expected);
}

#[test]
fn damaged_bytes_end_in_one_line_each() {
    let authority = mail();
    let server = served(&authority, &[], &["-T", "1", "-w", "1", "sh", "-c", "echo ran >&2"]);
    let mut tls =
        ClientConnection::new(authority.config().into(), "mail.example".try_into().unwrap())
            .unwrap();
    let mut hello = Vec::new();
    tls.write_tls(&mut hello).unwrap();
    let mut random = Random::new(9);
    let cases = 300;
    for _ in 0..cases {
        let mut stream = connect(server.port);
        let _ = stream.write_all(&random.damaged(&hello));
        let _ = stream.shutdown(Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
    }
    let log = server.log(cases);
    let dropped = "tlsd: warning: dropping connection, unable to accept TLS: ";
    assert_eq!(words(&server).matches(dropped).count(), cases, "{log}");
    assert_eq!(words(&server).lines().count(), cases);
    assert!(!log.contains("ran"), "{log}");
}

#[test]
fn bad_settings_are_told_before_anything_is_read() {
    let authority = mail();
    authority.issue("other", ECDSA, "other.example");
    authority.openssl(&["genrsa", "-out", "short.key", "1024"]);
    authority.openssl(&[
        "ec",
        "-in",
        "mail.key",
        "-aes128",
        "-passout",
        "pass:x",
        "-out",
        "locked.key",
    ]);
    authority.place.write("empty", "");
    let mail = ("CERTFILE", "mail.pem");
    for (env, options, why) in [
        (&[][..], &[][..], "CERTFILE is not set"),
        (&[("CERTFILE", "no")], &[], "unable to read no: file does not exist"),
        (&[mail], &[], "unable to read mail.pem: no private key in it"),
        (&[("CERTFILE", "mail.key")], &[], "unable to read mail.key: no certificate in it"),
        (&[mail, ("KEYFILE", "empty")], &[], "unable to read empty: no private key in it"),
        (
            &[mail, ("KEYFILE", "locked.key")],
            &[],
            "unable to read locked.key: private key has a password",
        ),
        (
            &[mail, ("KEYFILE", "other.key")],
            &[],
            "unable to read other.key: no certificate for this private key",
        ),
        (
            &[mail, ("KEYFILE", "short.key")],
            &[],
            "unable to read short.key: private key is neither ECDSA, Ed25519 nor RSA of 2048 bits and more",
        ),
        (
            &[mail, ("KEYFILE", "mail.key"), ("CERTFILE:a", "no")],
            &[],
            "unable to read no: file does not exist",
        ),
        (
            &[mail, ("KEYFILE", "mail.key"), ("CCAFILE", "no")],
            &[],
            "unable to read no: file does not exist",
        ),
        (
            &[mail, ("KEYFILE", "mail.key"), ("CERTDIR", "no")],
            &[],
            "unable to read no: file does not exist",
        ),
        (
            &[mail, ("KEYFILE", "mail.key")],
            &["-m"],
            "no certificate authority for client certificates",
        ),
        (
            &[mail, ("KEYFILE", "mail.key"), ("CCAFILE", "-")],
            &["-m"],
            "no certificate authority for client certificates",
        ),
        (&[mail, ("KEYFILE", "mail.key"), ("TLS_UID", "x")], &[], "bad TLS_UID"),
        (
            &[mail, ("KEYFILE", "mail.key"), ("CCAFILE", "ca.pem"), ("VERIFYDEPTH", "x")],
            &[],
            "bad VERIFYDEPTH",
        ),
    ] {
        for delay in [&[][..], &["-n"]] {
            let mut tlsd = program("tlsd");
            tlsd.args(delay).args(options).args(["echo", "ran"]).envs(env.iter().copied());
            let o = fed(tlsd.current_dir(authority.place.path()), "");
            let said = format!("tlsd: fatal: {why}\n");
            assert_eq!(ran(&o), (Some(111), String::new(), said), "{env:?}");
        }
    }
}

#[test]
fn files_may_be_in_any_order() {
    let authority = mail();
    // mail.example, issued by an authority in between.
    authority.issue_authority("between");
    let issuer =
        ["-CA", "between.pem", "-CAkey", "between.key", "-addext", "basicConstraints=CA:FALSE"];
    let names = ["-subj", "/CN=mail.example", "-addext", "subjectAltName=DNS:mail.example"];
    let files = ["-nodes", "-keyout", "leaf.key", "-out", "leaf.pem"];
    authority.openssl(&[&["req", "-x509", "-newkey"], ECDSA, &files, &issuer, &names].concat());
    let read = |file: &str| authority.place.read(file);
    let all = [read("ca.pem"), read("between.pem"), read("leaf.key"), read("leaf.pem")].concat();
    authority.place.write("all.pem", all);
    for env in [
        &[("CERTFILE", "all.pem")][..],
        &[("CERTFILE", "leaf.pem"), ("CERTCHAINFILE", "between.pem"), ("KEYFILE", "leaf.key")],
        &[("CERTCHAINFILE", "all.pem"), ("KEYFILE", "leaf.key")],
    ] {
        let mut server = program("tcpserver");
        server.args(["-1vRHl0", "127.0.0.1", "0", "tlsd", "sh", "-c", "read line; echo $line"]);
        let server = ready(server.envs(env.iter().copied()).current_dir(authority.place.path()));
        let seen = told(authority.config(), "mail.example", server.port);
        assert_eq!(seen, "hello\n", "{env:?} {}", words(&server));
    }
}

#[test]
fn it_runs_under_inetd_and_unixserver() {
    let authority = mail();
    let mut tlsd = program("tlsd");
    authority.on("mail", &mut tlsd).args(["sh", "-c", "read line; echo $line $SSL_PROTOCOL"]);
    let (visitor, running) = inetd("127.0.0.1", &mut redirected(">&0", &tlsd));
    let mut stream = authority.client(visitor);
    stream.write_all(b"hello\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "hello TLSv1.3\n");
    drop(running);

    let mut server = program("unixserver");
    authority.on("mail", &mut server).current_dir(authority.place.path());
    server.args(["socket", "tlsd", "sh", "-c", "read line; echo $line $SSL_PROTOCOL"]);
    let _server = tests::start(&mut server);
    until(LIMIT, "a socket", || authority.place.exists("socket"));
    let mut ask = Command::new("openssl");
    ask.args([
        "s_client",
        "-quiet",
        "-CAfile",
        "ca.pem",
        "-verify_return_error",
        "-unix",
        "socket",
    ]);
    let (_, out, _) = ran(&fed(ask.current_dir(authority.place.path()), "hello\n"));
    assert_eq!(out, "hello TLSv1.3\n");
}

/// Speaks UCSPI-TLS, with $LETTER.
const DELAYED: &str = "
import os, sys
def number(name): return int(os.environ[name])
control, read, write = (number('SSL' + n) for n in ('CTLFD', 'READFD', 'WRITEFD'))
os.write(1, b'220 plain\\n')
line = os.read(0, 1)
while not line.endswith(b'\\n'): line += os.read(0, 1)
if line == b'QUIT\\n': sys.exit(0)
os.write(1, b'220 go\\n')
os.write(control, os.environ['LETTER'].encode())
facts = b''
while os.environ['LETTER'] == 'Y' and not (facts.endswith(b'\\0\\0')):
    piece = os.read(control, 100)
    if not piece: sys.exit('no TLS')
    facts += piece
line = os.read(read, 100)
if not line: sys.exit('no TLS')
os.write(write, line + facts.replace(b'\\0', b';'))
";

/// Says STARTTLS, and gives the connection after the answer.
fn started(port: u16) -> TcpStream {
    let mut stream = connect(port);
    stream.write_all(b"STARTTLS\n").unwrap();
    let mut answer = [0; 17];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"220 plain\n220 go\n");
    stream
}

#[test]
fn n_waits_until_the_program_starts_tls() {
    let authority = mail();
    for (letter, facts) in [
        ("y", ""),
        (
            "Y",
            "SSL_PROTOCOL=TLSv1.3;SSL_CIPHER=TLS_AES_256_GCM_SHA384;\
            SSL_TLS_SNI_SERVERNAME=mail.example;;",
        ),
    ] {
        let env = [("LETTER", letter)];
        let server = served(&authority, &env, &["-n", "python3", "-c", DELAYED]);
        let mut stream = authority.client(started(server.port));
        stream.write_all(b"hello\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, format!("hello\n{facts}"));

        let mut plain = connect(server.port);
        plain.write_all(b"QUIT\n").unwrap();
        assert_eq!(all(plain), "220 plain\n");

        let mut bad = started(server.port);
        bad.write_all(b"no TLS at all\n").unwrap();
        assert_eq!(bad.read_to_end(&mut Vec::new()).unwrap(), 7);
        server.running.wait_err("status 256\n");
        let expected = "tlsd: warning: dropping connection, unable to accept TLS: \
            received corrupt message of type InvalidContentType\n";
        assert_eq!(words(&server), expected);
    }
}

#[test]
fn the_child_of_a_program_that_starts_no_tls_ends_with_it() {
    let authority = mail();
    let mut tlsd = program("tlsd");
    authority.on("mail", &mut tlsd).args(["-n", "cat"]);
    let (visitor, running) = inetd("127.0.0.1", &mut redirected(">&0", &tlsd));
    let mut stream = visitor.try_clone().unwrap();
    stream.write_all(b"hello").unwrap();
    stream.read_exact(&mut [0; 5]).unwrap();
    let child = child_of(&running);
    assert!(Path::new("/proc").join(&child).exists());
    visitor.shutdown(Shutdown::Write).unwrap();
    // It holds the connection, too.
    assert_eq!(all(visitor), "");
    drop(running);
    until(LIMIT, "the end of the child", || !Path::new("/proc").join(&child).exists());
}

/// The TLS child of a program.
fn child_of(program: &Running) -> String {
    let pid = program.pid();
    let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    list.split(' ').next().unwrap().to_owned()
}

#[test]
fn the_program_cannot_reach_the_key() {
    if !root() {
        return skip("needs root");
    }
    let authority = mail();
    authority.place.chmod("mail.key", 0o600);
    let mut tlsd = program("tlsd");
    authority.on("mail", &mut tlsd).env("TLS_UID", "7001").env("TLS_GID", "7002");
    let key = authority.path("mail.key").display().to_string();
    tlsd.args(["setuidgid", "nobody", "sh", "-c", "read line; cat \"$0\"; echo $line; cat", &key]);
    let (visitor, running) = inetd("127.0.0.1", &mut redirected(">&0", &tlsd));
    let mut stream = authority.client(visitor);
    stream.write_all(b"hello\n").unwrap();
    let mut answer = [0; 6];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"hello\n");
    running.wait_err("Permission denied");
    let child = child_of(&running);
    let status = std::fs::read_to_string(format!("/proc/{child}/status")).unwrap();
    for line in ["Uid:\t7001\t7001\t7001\t7001", "Gid:\t7002\t7002\t7002\t7002", "Groups:\t7002 "] {
        assert!(status.contains(line), "{status}");
    }
    // Not even as the same user.
    let mut look = Command::new("cat");
    look.arg(format!("/proc/{child}/environ"));
    let o = fed(as_user(7001, 7002, &mut look), "");
    assert_eq!((o.status.code(), shown(&o.stdout)), (Some(1), String::new()));
}

#[test]
fn the_child_may_be_locked_up() {
    if !root() {
        return skip("needs root");
    }
    let authority = mail();
    authority.place.dir("jail");
    let env = [("SSL_CHROOT", "jail"), ("SSL_UID", "7001"), ("SSL_GID", "7002")];
    let server = served(&authority, &env, &answering(&[], "$SSL_CHROOT"));
    assert_eq!(told(authority.config(), "mail.example", server.port), "hello\n");
    let env = [("SSL_CHROOT", "no")];
    let server = served(&authority, &env, &["true"]);
    told(authority.config(), "mail.example", server.port);
    let why = "tlsd: fatal: unable to change root to no: file does not exist\n";
    assert_eq!(words(&server), why);
}

#[test]
fn an_idle_connection_takes_little_memory() {
    let authority = mail();
    let mut tlsd = program("tlsd");
    authority.on("mail", &mut tlsd).args(["cat"]);
    let (visitor, running) = inetd("127.0.0.1", &mut redirected(">&0", &tlsd));
    let mut stream = authority.client(visitor);
    stream.write_all(b"hello\n").unwrap();
    stream.read_exact(&mut [0; 6]).unwrap();
    let path = format!("/proc/{}/smaps_rollup", child_of(&running));
    let Ok(rollup) = std::fs::read_to_string(path) else { return skip("needs root") };
    let line = rollup.lines().find_map(|line| line.strip_prefix("Anonymous:"));
    let kilobytes: u32 = line.unwrap().trim().trim_end_matches(" kB").parse().unwrap();
    // Of the static program: 160 kB. Tests of a debug build have more relocations.
    assert!(kilobytes < 300, "{rollup}");
}

#[test]
fn qmail_smtpd_speaks_smtps() {
    let authority = mail();
    let home = scratch();
    home.write("control/me", "mail.example\n").write("control/rcpthosts", "mail.example\n");
    let home_text = home.path().display().to_string();
    let env = [("QMAILHOME", &home_text[..])];
    let server = served(&authority, &env, &["qmail-smtpd"]);
    let mut swaks = Command::new("swaks");
    swaks.args(["--tls-on-connect", "--server", "127.0.0.1", "--port", &server.port.to_string()]);
    swaks.args(["--helo", "a.example", "--from", "a@a.example", "--to", "b@mail.example"]);
    let o = fed(swaks.args(["--quit-after", "RCPT"]), "");
    let (code, out, _) = ran(&o);
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("=== TLS started") && out.contains("<~  250 ok"), "{out}");
}

#[test]
fn wrong_usage_is_100() {
    for (words, said) in [
        (&[][..], String::new()),
        (&["-T", "x", "true"], String::new()),
        (&["-Q"], "tlsd: illegal option -- Q\n".into()),
    ] {
        let o = fed(program("tlsd").args(words), "");
        assert_eq!(ran(&o), (Some(100), String::new(), said + USAGE), "{words:?}");
    }
    let authority = mail();
    let mut tlsd = program("tlsd");
    authority.on("mail", &mut tlsd).arg("/nonexistent");
    let (visitor, running) = inetd("127.0.0.1", &mut redirected(">&0", &tlsd));
    let mut stream = authority.client(visitor);
    stream.flush().unwrap();
    let _ = stream.read(&mut [0]);
    let said = "tlsd: fatal: unable to run /nonexistent: file does not exist\n";
    running.wait_err(said);
}
