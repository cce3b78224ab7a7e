//! tlsc: speak TLS on descriptors 6 and 7 for a program.

use crate::tls_server::{known, tls_server};
use std::fs;
use tests::{Random, fed, listener, program, ran, redirected, scratch};

type Ran = (Option<i32>, String, String);

/// `tcpclient 127.0.0.1 PORT tlsc OPTIONS WORDS` in the folder of the certificates.
fn secured(port: &str, options: &[&str], words: &[&str]) -> Ran {
    let mut command = program("tcpclient");
    command.args(["-RHl0", "127.0.0.1", port, "tlsc"]).args(options).args(words);
    ran(&fed(command.current_dir(known().place.path()), "input\n"))
}

fn said(text: &str) -> Ran {
    (Some(111), String::new(), format!("tlsc: fatal: {text}\n"))
}

#[test]
fn wrong_usage_is_shown() {
    let usage = "tlsc: usage: tlsc [ -NX ] [ -a cafile ] [ -A cadir ] [ -k servername ] \
        [ -T handshake ] [ -w idle ] program\n";
    for words in [&[][..], &["-N"], &["-T", "x", "true"]] {
        let output = ran(&fed(program("tlsc").args(words), ""));
        assert_eq!(output, (Some(100), String::new(), usage.into()));
    }
    let none = redirected("6>&- 7>&-", program("tlsc").args(["-X", "true"]));
    let output = ran(&fed(&mut { none }, ""));
    assert_eq!(output, said("unable to use descriptor 6: file descriptor not open"));
}

#[test]
fn the_program_keeps_its_process_and_has_pipes() {
    let server = tls_server("rsa", "tell", &[]);
    let script = "echo hello >&7; exec 7>&-; cat <&6; cat; test -p /dev/fd/6; \
        echo $? $PROTO $TCPREMOTEIP $SSL_PROTOCOL $SSL_CIPHER; exit 9";
    let output = secured(&server.port, &["-klocalhost", "-aca.pem"], &["sh", "-c", script]);
    let out = "6 bytes\ninput\n0 TCP 127.0.0.1 TLSv1.3 TLS_AES_256_GCM_SHA384\n";
    assert_eq!(output, (Some(9), out.into(), String::new()));
    server.running.wait_out("TLSv1.3 localhost None\n");
    let mut command = program("tcpclient");
    let words = ["-RHl0", "127.0.0.1", &server.port, "tlsc", "-X", "sh", "-c", "echo $$"];
    let running = tests::start(command.args(words));
    running.wait_out(&format!("{}\n", running.pid()));
}

#[test]
fn the_name_counts_only_if_there_is_one() {
    let server = tls_server("rsa", "tell", &[]);
    let run = |options: &[&str]| secured(&server.port, options, &["true"]);
    let done = (Some(0), String::new(), String::new());
    assert_eq!(run(&["-aca.pem"]), done);
    server.running.wait_out(" None None\n");
    let wrong = said("server hostname does not match certificate: b.localhost");
    assert_eq!(run(&["-aca.pem", "-kb.localhost"]), wrong);
    assert_eq!(run(&["-Naca.pem", "-kb.localhost"]), done);
    server.running.wait_out(" b.localhost None\n");
    assert_eq!(
        run(&["-aself.pem"]),
        said("unable to validate server certificate: unknown authority")
    );
    assert_eq!(run(&["-X"]), done);
    let unable = "tlsc: fatal: unable to run no-such-program: file does not exist\n";
    let output = secured(&server.port, &["-X"], &["no-such-program"]);
    assert_eq!(output, (Some(111), String::new(), unable.into()));
}

#[test]
fn each_way_ends_on_its_own() {
    let server = tls_server("ecdsa", "echo", &[]);
    let place = scratch();
    fs::write(place.join("big"), Random::new(10).bytes(10 << 20)).unwrap();
    let big = place.join("big").display().to_string();
    let words = ["sh", "-c", &format!("cat {big} >&7; exec 7>&-; cmp {big} - <&6")];
    let output = secured(&server.port, &["-aca.pem"], &words);
    assert_eq!(output, (Some(0), String::new(), String::new()));
}

#[test]
fn a_silent_server_has_its_time() {
    let (_listener, port) = listener();
    let output = secured(&port.to_string(), &["-XT1"], &["true"]);
    assert_eq!(output, said("unable to SSL connect: timed out"));
}
