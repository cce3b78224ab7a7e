//! qmail-smtpd under the real inetd and xinetd of Debian, without tcpserver: it takes the
//! addresses from its socket, and `tcpaccess` applies the rules.

use crate::installation::installation;
use std::path::Path;
use std::process::Command;
use tests::{bin, fed, free_port, program, root, scratch, skip, smtp, start, tree, until};

/// Serves one session by `server`, whose configuration `configuration` makes from the port, the
/// user and the words to run; the client relays because of a rule.
fn relays_by_rule(server: &str, flags: &[&str], configuration: fn(u16, &str, &Path) -> String) {
    // only one of the two can be installed, the other is taken out of its package
    let places = [tree().join("target/oracles").join(server), Path::new("/").join(server)];
    let Some(server) = places.iter().find(|place| place.exists()) else {
        return skip(&format!("needs {server}"));
    };
    if !root() {
        return skip("inetd needs root to change to the user");
    }
    let installation = installation();
    installation.maildir("alias/Maildir").write("alias/.qmail-default", "./Maildir/\n");
    installation.control("rcpthosts", "a.example\n");
    let place = scratch();
    let rules = "127.0.0.1:allow,RELAYCLIENT=\"\"\n:deny\n";
    let mut tcprules = program("tcprules");
    tcprules.args(["smtp.cdb", "smtp.tmp"]).current_dir(place.path());
    assert!(fed(&mut tcprules, rules).status.success());
    let run = place.join("smtpd");
    let text = format!(
        "#!/bin/sh\nQMAILHOME={} exec {} {} {}\n",
        installation.home().display(),
        bin("tcpaccess").display(),
        place.join("smtp.cdb").display(),
        bin("qmail-smtpd").display()
    );
    place.script("smtpd", &text);
    let port = free_port();
    place.write("configuration", configuration(port, "nobody", &run));
    let mut command = Command::new(server);
    command.args(flags).arg(place.join("configuration"));
    let server = start(&mut command);
    let mut client = smtp(port);
    client.expect(220);
    client.step("HELO there", 250).step("MAIL FROM:<x@b.example>", 250);
    client.step("RCPT TO:<y@elsewhere.example>", 250).step("RCPT TO:<z@a.example>", 250);
    client.step("DATA", 354).send("Subject: by inetd\r\n\r\n").step(".", 250);
    client.step("QUIT", 221);
    until(tests::LIMIT, "the message is queued", || installation.numbers("todo").len() == 1);
    let number = installation.numbers("todo")[0];
    let text = installation.place().text(installation.file("mess", number));
    assert!(text.contains("Received: from unknown (HELO there) (127.0.0.1)\n"), "{text}");
    drop(server);
}

#[test]
fn inetd_starts_qmail_smtpd() {
    relays_by_rule("usr/sbin/inetd", &["-d"], |port, user, run| {
        format!("127.0.0.1:{port} stream tcp nowait {user} {run} smtpd\n", run = run.display())
    });
}

#[test]
fn xinetd_starts_qmail_smtpd() {
    relays_by_rule("usr/sbin/xinetd", &["-dontfork", "-f"], |port, user, run| {
        let run = run.display();
        format!(
            "service smtp-test\n{{\ntype = UNLISTED\nsocket_type = stream\nprotocol = tcp\n\
             bind = 127.0.0.1\nport = {port}\nwait = no\nuser = {user}\nserver = {run}\n}}\n"
        )
    });
}
