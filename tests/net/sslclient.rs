use crate::tls_server::{TlsServer, known, tls_server};
use std::io::{Read, Write};
use std::process::Command;
use std::thread;
use tests::{Random, fed, free_port, listener, program, ran, scratch, start};

type Ran = (Option<i32>, String, String);

/// `sslclient -RHl0 OPTIONS HOST PORT WORDS` in the folder of the certificates.
fn client(options: &[&str], host: &str, port: &str, words: &[&str]) -> Ran {
    let mut command = program("sslclient");
    command.args(["-4RHl0"]).args(options).args([host, port]).args(words);
    ran(&fed(command.current_dir(known().place.path()), ""))
}

/// What a client says of a server whose certificate it trusts or not.
fn judged(server: &TlsServer, options: &[&str], host: &str) -> Ran {
    client(options, host, &server.port, &["sh", "-c", "echo hello >&7; exec 7>&-; cat <&6"])
}

fn said(code: i32, text: &str) -> Ran {
    (Some(code), String::new(), format!("sslclient: {text}\n"))
}

fn good() -> Ran {
    (Some(0), "6 bytes\n".into(), String::new())
}

#[test]
fn wrong_usage_is_shown() {
    let usage = "sslclient: usage: sslclient [ -346hHrRdDqQveEsSnNxX ] [ -i localip ] \
        [ -p localport ] [ -T timeoutconn ] [ -l localname ] [ -t timeoutinfo ] \
        [ -I interface ] [ -a cafile ] [ -A cadir ] [ -c certfile ] [ -k keyfile ] [ -V depth ] \
        [ -z ciphers ] [ -w progtimeout ] host port program\n";
    let run = |words: &[&str]| ran(&fed(program("sslclient").args(words), ""));
    for words in [&[][..], &["-v"], &["0"], &["0", "25"], &["-V", "x", "0", "25", "true"]] {
        assert_eq!(run(words), (Some(100), String::new(), usage.into()));
    }
    let illegal = format!("sslclient: illegal option -- Z\n{usage}");
    assert_eq!(run(&["-Z"]), (Some(100), String::new(), illegal));
    let port = free_port().to_string();
    let refused = format!("unable to connect to 127.0.0.1 port {port}: connection refused");
    assert_eq!(client(&["-X"], "127.0.0.1", &port, &["true"]), said(111, &refused));
}

#[test]
fn the_program_has_pipes_and_its_code_counts() {
    for (version, shown) in [("TLSv1_2", "TLSv1.2"), ("TLSv1_3", "TLSv1.3")] {
        let server = tls_server("rsa", "tell", &[&format!("version={version}")]);
        let script = "echo hello >&7; exec 7>&-; cat <&6; cat; test -p /dev/fd/6; \
            echo $? $PROTO $SSLREMOTEIP $SSLREMOTEPORT ${TCPREMOTEIP-none} $SSL_PROTOCOL; exit 9";
        let mut command = program("sslclient");
        command.args(["-vRHl0", "-aca.pem", "-4", "localhost", &server.port, "sh", "-c", script]);
        let output = ran(&fed(command.current_dir(known().place.path()), "input\n"));
        let port = &server.port;
        let out = format!("6 bytes\ninput\n0 SSL 127.0.0.1 {port} none {shown}\n");
        let connected = format!("sslclient: connected to 127.0.0.1 port {port}\n");
        assert_eq!(output, (Some(9), out, connected + "sslclient: ssl connect\n"));
        server.running.wait_out(&format!("{shown} localhost None\n"));
    }
}

#[test]
fn the_connection_may_be_one_of_tcp_too() {
    let server = tls_server("ecdsa", "tell", &[]);
    let script = "echo $PROTO $TCPREMOTEIP $SSLREMOTEIP $TCPLOCALHOST $SSLLOCALHOST $SSL_CIPHER";
    let cipher = "ECDHE-ECDSA-AES128-GCM-SHA256";
    let words = ["sh", "-c", script];
    let port = &server.port;
    let output = client(&["-eaca.pem"], "127.0.0.1", port, &words);
    let expected = "TCP 127.0.0.1 127.0.0.1 0 0 TLS_AES_256_GCM_SHA384\n";
    assert_eq!(output, (Some(0), expected.into(), String::new()));
    // An address is not told.
    server.running.wait_out("TLSv1.3 None None\n");
    let old = tls_server("ecdsa", "tell", &["version=TLSv1_2"]);
    let output = client(&["-Xz", cipher], "127.0.0.1", &old.port, &words);
    assert_eq!(output.1, format!("SSL 127.0.0.1 0 {cipher}\n"));
}

#[test]
fn all_that_is_known_goes_into_variables() {
    let server = tls_server("ecdsa", "tell", &[]);
    let script = "echo $SSL_SERVER_S_DN_O, $SSL_SERVER_I_DN, $SSL_SERVER_A_KEY, \
        $SSL_CIPHER_USEKEYSIZE ${SSL_CLIENT_S_DN-none}";
    let words = ["sh", "-c", script];
    let output = client(&["-saca.pem"], "localhost", &server.port, &words);
    let known = "Example, /CN=Test Authority, id-ecPublicKey, 256 none\n";
    assert_eq!(output, (Some(0), known.into(), String::new()));
    let output = client(&["-sSaca.pem"], "localhost", &server.port, &words);
    assert_eq!(output, (Some(0), ", , , none\n".into(), String::new()));
}

#[test]
fn a_certificate_is_trusted_or_refused_with_a_reason() {
    let cases: [(&str, &[&str], &str, &str); 16] = [
        ("rsa", &["-aca.pem"], "localhost", ""),
        ("ecdsa", &["-aca.pem"], "127.0.0.1", ""),
        ("ecdsa", &["-aca.pem"], "[127.0.0.1]", ""),
        ("ecdsa", &["-aca.pem"], "mail.localhost", "!mail.localhost"),
        ("ecdsa", &["-Naca.pem"], "mail.localhost", ""),
        ("ecdsa", &[], "localhost", "unknown authority"),
        ("ecdsa", &["-N"], "localhost", "unknown authority"),
        ("ecdsa", &["-X"], "mail.localhost", ""),
        ("named", &["-aca.pem"], "mail.localhost", ""),
        ("named", &["-aca.pem"], "localhost", "!localhost"),
        ("wild", &["-aca.pem"], "mail.example.localhost", ""),
        ("wild", &["-aca.pem"], "a.b.example.localhost", "!a.b.example.localhost"),
        ("expired", &["-aca.pem"], "localhost", "expired"),
        ("self", &["-aca.pem"], "localhost", "unknown authority"),
        ("self", &["-aself.pem"], "localhost", ""),
        ("self", &["-aself.pem"], "mail.localhost", "!mail.localhost"),
    ];
    for (name, options, host, wrong) in cases {
        let server = tls_server(name, "tell", &[]);
        let expected = match wrong.strip_prefix('!') {
            Some(host) => {
                let text = format!("fatal: server hostname does not match certificate: {host}");
                said(111, &text)
            }
            None if wrong.is_empty() => good(),
            None => said(111, &format!("fatal: unable to validate server certificate: {wrong}")),
        };
        assert_eq!(judged(&server, options, host), expected, "{name} {options:?} {host}");
        if !wrong.is_empty() {
            server.running.wait_out("failed ");
        }
    }
}

#[test]
fn the_way_to_an_authority_may_be_too_long() {
    let server = tls_server("below", "tell", &[]);
    let far = "fatal: unable to validate server certificate: unknown authority";
    assert_eq!(judged(&server, &["-aca.pem", "-V0"], "localhost"), said(111, far));
    assert_eq!(judged(&server, &["-aca.pem", "-V1"], "localhost"), good());
    assert_eq!(judged(&server, &["-aca.pem"], "localhost"), good());
}

#[test]
fn authorities_may_be_in_a_folder() {
    let place = scratch();
    let ca = known().place.text("ca.pem");
    place.dir("plain").dir("hashed").write("plain/any.name", &ca).write("plain/notes", "none");
    place.write("hashed/ca.pem", &ca).write("hashed/00000000.0", known().place.text("self.pem"));
    let server = tls_server("rsa", "tell", &[]);
    let folder = |name: &str| format!("-A{}", place.join(name).display());
    assert_eq!(judged(&server, &[&folder("plain")], "localhost"), good());
    // Where there are names that openssl looks for, it looks for no others.
    let unknown = "fatal: unable to validate server certificate: unknown authority";
    assert_eq!(judged(&server, &[&folder("hashed")], "localhost"), said(111, unknown));
    let mut rehash = Command::new("openssl");
    assert!(rehash.arg("rehash").arg(place.join("hashed")).output().unwrap().status.success());
    assert_eq!(judged(&server, &[&folder("hashed")], "localhost"), good());
}

#[test]
fn files_that_are_of_no_use_are_named() {
    let cases: [(&[&str], &str); 6] = [
        (&["-ano"], "unable to read no: file does not exist"),
        (&["-aca.key"], "unable to read ca.key: no certificate in it"),
        (&["-Ano"], "unable to read no: file does not exist"),
        (&["-Xcno"], "unable to read no: file does not exist"),
        (&["-Xcclient.pem"], "unable to read client.pem: no private key in it"),
        (
            &["-Xcclient.pem", "-kca.key"],
            "unable to use certificate: keys may not be consistent: KeyMismatch",
        ),
    ];
    for (options, why) in cases {
        let output = client(options, "127.0.0.1", "1", &["true"]);
        assert_eq!(output, said(111, &format!("fatal: {why}")), "{options:?}");
    }
}

#[test]
fn a_certificate_of_our_own_is_shown_if_wanted() {
    for version in ["TLSv1_2", "TLSv1_3"] {
        let server = tls_server("rsa", "tell", &["ca=ca.pem", &format!("version={version}")]);
        let options = ["-aca.pem", "-cclient.pem", "-kclient.key"];
        assert_eq!(judged(&server, &options, "localhost"), good());
        server.running.wait_out(" localhost a client\n");
        let both = known().place.text("client.pem") + &known().place.text("client.key");
        known().place.write("both.pem", &both);
        assert_eq!(judged(&server, &["-aca.pem", "-cboth.pem"], "localhost"), good());
        let (code, out, err) = judged(&server, &["-aca.pem"], "localhost");
        assert_eq!((code, out), (Some(111), String::new()));
        assert!(err.starts_with("sslclient: fatal: unable to "), "{err}");
    }
}

#[test]
fn each_way_ends_on_its_own() {
    let server = tls_server("ecdsa", "echo", &[]);
    let place = scratch();
    let bytes = Random::new(10).bytes(10 << 20);
    std::fs::write(place.join("big"), &bytes).unwrap();
    let big = place.join("big").display().to_string();
    // All is sent before anything comes back.
    let words = ["sh", "-c", &format!("cat {big} >&7; exec 7>&-; cmp {big} - <&6")];
    let output = client(&["-aca.pem"], "localhost", &server.port, &words);
    assert_eq!(output, (Some(0), String::new(), String::new()));
    // Without the end of what we say there is no answer, so the program's end must be enough.
    let words = ["sh", "-c", &format!("cat {big} >&7")];
    let output = client(&["-aca.pem"], "localhost", &server.port, &words);
    assert_eq!(output, (Some(0), String::new(), String::new()));
}

#[test]
fn what_the_program_does_not_read_is_no_fault() {
    let server = tls_server("ecdsa", "first", &[]);
    let words = ["sh", "-c", "head -n 1 <&6; exit 3"];
    let output = client(&["-aca.pem"], "localhost", &server.port, &words);
    assert_eq!(output, (Some(3), "hello\r\n".into(), String::new()));
    let output = client(&["-aca.pem"], "localhost", &server.port, &["no-such-program"]);
    let unable = "fatal: unable to run no-such-program: file does not exist";
    assert_eq!(output, said(111, unable));
    let output = client(&["-aca.pem"], "localhost", &server.port, &["sh", "-c", "kill -9 $$"]);
    assert_eq!(output, (Some(111), String::new(), String::new()));
}

#[test]
fn a_silent_server_has_as_long_as_for_connecting() {
    let (_listener, port) = listener();
    let port = port.to_string();
    let output = client(&["-XT0+1"], "127.0.0.1", &port, &["true"]);
    assert_eq!(output, said(111, "fatal: unable to SSL connect: timed out"));
    let output = client(&["-qXT1"], "127.0.0.1", &port, &["true"]);
    assert_eq!(output, (Some(111), String::new(), String::new()));
}

#[test]
fn a_connection_on_which_nothing_moves_ends() {
    let server = tls_server("ecdsa", "first", &[]);
    let words = ["sh", "-c", "exec cat <&6"];
    let output = client(&["-aca.pem", "-w1"], "localhost", &server.port, &words);
    let said = "sslclient: fatal: unable to speak SSL: timed out\n";
    assert_eq!(output, (Some(111), "hello\r\n".into(), said.into()));
}

/// What is no TLS at all, or is damaged, ends the client soon and by a word.
#[test]
fn hostile_servers_are_refused() {
    let (listener, port) = listener();
    let records = [&b"\x16\x03\x03"[..], b"\x15\x03\x03\x00\x02\x02\x28", b"220 mail\r\n", b""];
    thread::spawn(move || {
        let mut random = Random::new(7);
        for (turn, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let mut hello = [0; 4096];
            let count = stream.read(&mut hello).unwrap_or(0);
            let start = records[turn % records.len()];
            let more = match turn % 3 {
                0 => random.damaged(&hello[..count]),
                _ => random.bytes(turn),
            };
            let _ = stream.write_all(&[start, &more].concat());
        }
    });
    let port = port.to_string();
    for turn in 0..200 {
        let (code, out, err) = client(&["-XT5"], "127.0.0.1", &port, &["echo", "no"]);
        assert_eq!((code, out), (Some(111), String::new()), "{turn}: {err}");
        let fine = err.starts_with("sslclient: fatal: unable to SSL connect: ");
        assert!(fine && err.lines().count() == 1, "{turn}: {err}");
    }
}

#[test]
fn the_server_of_openssl_is_understood() {
    let mut server = Command::new("openssl");
    server.args(["s_server", "-accept", "127.0.0.1:0", "-cert", "rsa.pem", "-key", "rsa.key"]);
    let mut server = start(server.args(["-naccept", "1"]).current_dir(known().place.path()));
    let line = server.wait_out("ACCEPT 127.0.0.1:");
    let port = line.rsplit(':').next().unwrap().trim().to_owned();
    let asked = thread::spawn(move || {
        client(&["-aca.pem"], "localhost", &port, &["sh", "-c", "echo hello >&7; head -n1 <&6"])
    });
    server.wait_out("hello\n");
    server.write("welcome\n");
    assert_eq!(asked.join().unwrap(), (Some(0), "welcome\n".into(), String::new()));
}
