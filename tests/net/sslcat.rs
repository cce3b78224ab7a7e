//! sslcat: print what a server says, over TLS.

use crate::tls_server::{known, tls_server};
use tests::{fed, free_port, program, ran};

#[test]
fn all_that_the_server_says_is_printed() {
    let server = tls_server("rsa", "first", &[]);
    let run = |words: &[&str]| {
        let mut command = program("sslcat");
        // The server waits for the end of what we say, which is never.
        command.args(words).args([&server.port, "-aca.pem", "-w1"]);
        ran(&fed(command.current_dir(known().place.path()), "ignored"))
    };
    let late = "sslclient: fatal: unable to speak SSL: timed out\n";
    let hello = (Some(111), "hello\r\n".into(), late.to_owned());
    assert_eq!(run(&["-4", "localhost"]), hello);
    assert_eq!(run(&["127.0.0.1"]), hello);
    let wrong = "sslclient: fatal: server hostname does not match certificate: b.localhost\n";
    assert_eq!(run(&["-4", "b.localhost"]), (Some(111), String::new(), wrong.into()));
}

#[test]
fn no_server_is_a_temporary_failure_of_sslclient() {
    let port = free_port().to_string();
    let output = ran(&program("sslcat").args(["127.0.0.1", &port, "-X"]).output().unwrap());
    let said =
        format!("sslclient: unable to connect to 127.0.0.1 port {port}: connection refused\n");
    assert_eq!(output, (Some(111), String::new(), said));
}
