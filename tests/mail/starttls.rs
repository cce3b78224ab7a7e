//! qmail-smtpd with TLS: by tlsd -n in front of it, and by tlsio where there is a certificate.

use crate::installation::{Installation, installation};
use std::io::{Read, Write};
use std::process::Command;
use tests::{Running, connect, fed, ran, shown, skip, start};

/// A client that insists on TLS and a good certificate, says what it is offered before and after
/// that begins, and sends a message.
const CLIENT: &str = r#"
import smtplib, ssl, sys
port, certificate = sys.argv[1:]
client = smtplib.SMTP('127.0.0.1', int(port), 'client.example', timeout=20)
client.ehlo()
print(*client.esmtp_features)
client.starttls(context=ssl.create_default_context(cafile=certificate))
client.ehlo()
print(*client.esmtp_features)
client.sendmail('joe@b.example', ['ann@a.example'], 'Subject: x\n\n' + 'hello\n' * 100000)
client.quit()
"#;

/// An installation with a certificate beside it, `own.pem`, whose queue program is a script.
fn home() -> Installation {
    let home = installation();
    home.script("qmail-queue", "cat >message; cat 0<&1 >envelope; env >variables");
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-nodes", "-newkey", "ec", "-days", "30"]);
    openssl.args(["-pkeyopt", "ec_paramgen_curve:P-256", "-subj", "/CN=a.example"]);
    openssl.args(["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key", "-out", "own.pem"]);
    assert!(fed(openssl.current_dir(home.home()), "").status.success());
    let both = home.place().text("key") + &home.place().text("own.pem");
    home.write("both.pem", &both);
    home.give("");
    home
}

/// With the certificate where qmail-smtpd looks for it.
fn equipped() -> Installation {
    let home = home();
    let both = home.place().text("both.pem");
    home.control("servercert.pem", &both);
    home.give("");
    home
}

/// A server with these variables that runs these words before qmail-smtpd, and its port.
fn server(home: &Installation, variables: &[(&str, &str)], before: &[&str]) -> (Running, u16) {
    let mut command = home.program("tcpserver");
    command.envs(variables.iter().copied()).args(["-1RHl0", "127.0.0.1", "0"]).args(before);
    let server = start(command.arg(home.join("bin/qmail-smtpd")));
    let port = server.wait_out("\n").trim().parse().unwrap();
    (server, port)
}

/// What [`CLIENT`] says, and the Received line of what it has sent.
#[track_caller]
fn delivered(home: &Installation, port: u16) -> (String, String) {
    let mut python = Command::new("python3");
    python.args(["-c", CLIENT, &port.to_string()]).arg(home.join("own.pem"));
    let (code, out, err) = ran(&fed(&mut python, ""));
    assert_eq!((code, &err[..]), (Some(0), ""));
    let message = home.place().text("message");
    let (first, text) = message.split_once("Subject").unwrap();
    assert!(text.ends_with("hello\nhello\n") && text.lines().count() == 100002);
    (out, first.split_once(';').unwrap().0.to_owned())
}

#[test]
fn a_message_comes_by_tls() {
    if tests::original() {
        return; // A patch of the originals speaks TLS by itself.
    }
    let file = |home: &Installation| home.join("both.pem").display().to_string();
    for provided in [true, false] {
        let home = if provided { home() } else { equipped() };
        let (own, ucspi) = (file(&home), [("UCSPITLS", "")]);
        let variables = [("CERTFILE", &own[..]), ucspi[0]];
        let (variables, before): (&[(&str, &str)], &[&str]) = match provided {
            true => (&variables, &["tlsd", "-n"]),
            false => (&[], &[]),
        };
        let (_server, port) = server(&home, variables, before);
        let (out, received) = delivered(&home, port);
        assert_eq!(out, "pipelining 8bitmime starttls\npipelining 8bitmime\n");
        let cipher = "TLS_AES_256_GCM_SHA384";
        let line = format!(
            "Received: from unknown (HELO client.example) (127.0.0.1)\n  by 0 with ESMTPS ({cipher} encrypted)"
        );
        assert_eq!(received, line);
        let variables = home.place().text("variables");
        assert!(variables.contains(&format!("SSL_CIPHER={cipher}\n")), "{variables}");
        assert!(!variables.contains("SSLCTLFD=") && !variables.contains("UCSPITLS="));
    }
}

/// All that a server says to `input`, which is said at once.
fn said(port: u16, input: &str) -> String {
    let mut stream = connect(port);
    stream.write_all(input.as_bytes()).unwrap();
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all);
    shown(&all).replace("\r\n", "\n")
}

#[test]
fn nothing_in_the_clear_is_taken_for_something_secured() {
    if tests::original() {
        return; // A patch of the originals speaks TLS by itself.
    }
    let home = equipped();
    let (_server, port) = server(&home, &[], &[]);
    let refused = "220 a.example ESMTP\n503 nothing may follow STARTTLS (#5.5.1)\n";
    assert_eq!(said(port, "STARTTLS\r\nMAIL FROM:<x>\r\nQUIT\r\n"), refused);
    let mut stream = connect(port);
    stream.write_all(b"STARTTLS\r\n").unwrap();
    let mut start = [0; 40];
    stream.read_exact(&mut start).unwrap();
    assert_eq!(shown(&start), "220 a.example ESMTP\r\n220 ready for TLS\r\n");
    stream.write_all(b"RSET\r\nQUIT\r\n").unwrap();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert!(!shown(&rest).contains("250") && !shown(&rest).contains("221"), "{}", shown(&rest));
}

#[test]
fn without_a_certificate_of_use_the_session_stays_in_the_clear() {
    if tests::original() {
        return; // A patch of the originals speaks TLS by itself.
    }
    let home = home();
    home.control("servercert.pem", "no certificate\n");
    home.give("");
    let (server, port) = server(&home, &[], &[]);
    let expected = "220 a.example ESMTP\n250-a.example\n250-PIPELINING\n250-8BITMIME\n\
        250 STARTTLS\n454 TLS not available (#4.3.0)\n221 a.example\n";
    let mut stream = connect(port);
    stream.write_all(b"EHLO x\r\nSTARTTLS\r\n").unwrap();
    let mut all = vec![0; expected.replace('\n', "\r\n").len() - "221 a.example\r\n".len()];
    stream.read_exact(&mut all).unwrap();
    stream.write_all(b"QUIT\r\n").unwrap();
    stream.read_to_end(&mut all).unwrap();
    assert_eq!(shown(&all).replace("\r\n", "\n"), expected);
    server.wait_err("tlsio: fatal: ");
}

#[test]
fn variables_forbid_or_demand_tls() {
    if tests::original() {
        return; // A patch of the originals speaks TLS by itself.
    }
    let home = equipped();
    let ehlo = |variables: &[(&str, &str)]| {
        let (_server, port) = server(&home, variables, &[]);
        said(port, "EHLO x\r\nMAIL FROM:<x>\r\nQUIT\r\n")
            .lines()
            .skip(4)
            .collect::<Vec<_>>()
            .join(" ")
    };
    let plain = "250 ok 221 a.example";
    let first = "250 STARTTLS 530 Must issue a STARTTLS command first (#5.7.0) 221 a.example";
    assert_eq!(ehlo(&[]), format!("250 STARTTLS {plain}"));
    assert_eq!(ehlo(&[("DISABLETLS", "1")]), plain);
    assert_eq!(ehlo(&[("UCSPITLS", "-")]), plain);
    assert_eq!(ehlo(&[("UCSPITLS", "!")]), first);
    assert_eq!(ehlo(&[("FORCE_TLS", "1")]), first);
    // Whoever has it already is offered nothing.
    assert_eq!(ehlo(&[("SSL_PROTOCOL", "TLSv1.3")]), plain);
}

#[test]
fn a_client_may_begin_with_tls() {
    if tests::original() {
        return; // A patch of the originals speaks TLS by itself.
    }
    let home = equipped();
    let (_server, port) = server(&home, &[("SMTPS", "1")], &[]);
    let mut openssl = Command::new("openssl");
    openssl.args(["s_client", "-quiet", "-CAfile", "own.pem", "-verify_return_error", "-connect"]);
    openssl.arg(format!("127.0.0.1:{port}")).arg("-ign_eof").current_dir(home.home());
    let (code, out, _) = ran(&fed(&mut openssl, "EHLO x\r\nQUIT\r\n"));
    let plain = "220 a.example ESMTP\r\n250-a.example\r\n250-PIPELINING\r\n250 8BITMIME\r\n\
        221 a.example\r\n";
    assert_eq!((code, &out[..]), (Some(0), plain));
    assert_eq!(
        home.program("qmail-smtpd")
            .env("SMTPS", "1")
            .env("DISABLETLS", "1")
            .env("SSLCERT", "/nonexistent")
            .output()
            .unwrap()
            .status
            .code(),
        Some(1)
    );
}

#[test]
fn openssl_and_swaks_are_clients() {
    if tests::original() {
        return; // A patch of the originals speaks TLS by itself.
    }
    let home = equipped();
    let (_server, port) = server(&home, &[], &[]);
    let mut openssl = Command::new("openssl");
    openssl.args(["s_client", "-quiet", "-starttls", "smtp", "-CAfile", "own.pem", "-ign_eof"]);
    openssl.args(["-verify_return_error", "-connect", &format!("127.0.0.1:{port}")]);
    let (code, out, _) = ran(&fed(openssl.current_dir(home.home()), "NOOP\r\nQUIT\r\n"));
    // The answer to EHLO ends with what there was last.
    assert!(code == Some(0) && out.ends_with("250 ok\r\n221 a.example\r\n"), "{out}");
    if Command::new("swaks").arg("--version").output().is_err() {
        return skip("needs swaks");
    }
    let mut swaks = Command::new("swaks");
    swaks.args(["-tls", "--server", "127.0.0.1", "--port", &port.to_string()]);
    swaks.args(["--to", "ann@a.example", "--from", "joe@b.example", "--helo", "client.example"]);
    let (code, out, err) = ran(&fed(&mut swaks, ""));
    assert!(code == Some(0) && out.contains("<~  250 ok "), "{code:?} {out} {err}");
}
