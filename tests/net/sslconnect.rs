//! sslconnect: talk to a server over TLS, line by line.

use crate::tls_server::{known, tls_server};
use tests::{LIMIT, fed, free_port, program, ran, start};

#[test]
fn lines_go_to_the_server_and_its_answers_come_back() {
    let server = tls_server("rsa", "line", &[]);
    let mut command = program("sslconnect");
    command.args(["-4", "localhost", &server.port, "-aca.pem"]);
    let mut sslconnect = start(command.current_dir(known().place.path()));
    sslconnect.write("HELO\n");
    sslconnect.wait_out("HELO\r\n");
    sslconnect.write("QUIT\n");
    sslconnect.wait_out("QUIT\r\n");
    let both = (Some(0), "HELO\r\nQUIT\r\n".into(), String::new());
    assert_eq!(ran(&sslconnect.finish(LIMIT)), both);
}

#[test]
fn no_server_is_a_temporary_failure_of_sslclient() {
    let port = free_port().to_string();
    let output = ran(&fed(program("sslconnect").args(["127.0.0.1", &port, "-X"]), ""));
    let said =
        format!("sslclient: unable to connect to 127.0.0.1 port {port}: connection refused\n");
    assert_eq!(output, (Some(111), String::new(), said));
}
