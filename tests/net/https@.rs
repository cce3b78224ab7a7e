//! https@: print a page of a web server, over TLS.

use crate::tls_server::{known, tls_server};
use tests::{LIMIT, fed, fed_within, program, ran};

#[test]
fn the_page_is_asked_for_and_its_body_printed() {
    let server = tls_server("ecdsa", "web", &[]);
    let run = |options: &[&str], words: &[&str]| {
        let mut command = program("https@");
        command.args(options).args(["localhost", "a/b?c=d", &server.port]).args(words);
        ran(&fed(command.current_dir(known().place.path()), ""))
    };
    let host = format!("Host: localhost:{}\n", server.port);
    let page = format!("GET /a/b?c=d HTTP/1.0\n{host}");
    assert_eq!(run(&["-4"], &["-aca.pem"]), (Some(0), page, String::new()));
    let (code, out, err) = run(&["-4"], &["-aself.pem"]);
    let unknown = "sslclient: fatal: unable to validate server certificate: unknown authority\n";
    assert_eq!((code, out, err), (Some(0), String::new(), unknown.into()));
}

#[test]
fn an_endless_line_takes_no_memory() {
    let server = tls_server("ecdsa", "endless", &[]);
    let mut command = program("https@");
    command
        .args(["-4", "localhost", "", &server.port, "-aca.pem"])
        .current_dir(known().place.path());
    let o = fed_within(10 * LIMIT, &mut command, "");
    assert_eq!((o.status.code(), o.stdout.len()), (Some(111), 0));
}
