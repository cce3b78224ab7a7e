//! config: the first control files, with what the system and DNS say.

use std::process::Command;
use tests::{Dns, Scratch, bin, dns, ran, root, scratch, skip};

/// Runs config on a machine of this name that asks this name server.
fn config(place: &Scratch, name: &str, dns: &Dns) -> Option<(Option<i32>, String, String)> {
    let mut command = Command::new("unshare");
    let script = "echo \"$1\" >/proc/sys/kernel/hostname && exec \"$0\"";
    command.args(["-u", "sh", "-c", script]).arg(bin("config")).arg(name);
    command.env("QMAILHOME", place.path()).env("DNSCACHEIP", dns.ip.to_string());
    let seen = ran(&command.output().unwrap());
    if seen.2.contains("unshare failed") {
        skip("needs a namespace");
        return None;
    }
    Some(seen)
}

const RECORDS: [(&str, &str, &str); 4] = [
    ("mail.example.org", "A", "192.0.2.25"),
    ("192.0.2.25", "PTR", "MX.sub.example.org"),
    ("127.0.0.1", "PTR", "localhost"),
    ("nameless.example.org", "A", "192.0.2.26"),
];

#[test]
fn names_come_from_dns() {
    if !root() {
        return skip("needs root");
    }
    let Some(dns) = dns(&RECORDS) else { return };
    let place = scratch();
    place.dir("control").write("control/locals", "old.example\n");
    let Some((code, out, err)) = config(&place, "Mail.example.org", &dns) else { return };
    assert_eq!((code, &*err), (Some(0), ""));
    let start = "Your hostname is mail.example.org.\n\
        Your host's fully qualified name in DNS is mx.sub.example.org.\n\
        Putting mx.sub.example.org into control/me...\n\
        Putting sub.example.org into control/defaultdomain...\n\
        Putting example.org into control/plusdomain...\n\nChecking local IP addresses:\n";
    assert!(out.starts_with(start), "{out}");
    for line in [
        "\n127.0.0.1: Adding localhost to control/locals...\n",
        "\n192.0.2.25: Adding mx.sub.example.org to control/locals...\n",
        "\nNow qmail will refuse to accept SMTP messages except to those hosts.\n",
    ] {
        assert!(out.contains(line), "{line}{out}");
    }
    assert_eq!(place.text("control/locals"), "localhost\nmx.sub.example.org\n");
    assert_eq!(place.text("control/rcpthosts"), place.text("control/locals"));
    assert_eq!(place.text("control/me"), "mx.sub.example.org\n");
    assert_eq!(place.mode("control/rcpthosts"), 0o644);
}

#[test]
fn a_host_that_dns_does_not_know_gets_nothing() {
    if !root() {
        return skip("needs root");
    }
    let Some(dns) = dns(&RECORDS) else { return };
    let place = scratch();
    place.dir("control");
    for name in ["unknown.example.org", "nameless.example.org"] {
        let said = format!(
            "Your hostname is {name}.\n\
            Sorry, I couldn't find your host's canonical name in DNS.\n\
            You will have to set up control/me yourself.\n"
        );
        let Some(seen) = config(&place, name, &dns) else { return };
        assert_eq!(seen, (Some(111), said, String::new()));
    }
    assert_eq!(place.names("control"), [""; 0]);
}

#[test]
fn it_takes_no_words() {
    let o = tests::program("config").arg("a.example").output().unwrap();
    assert_eq!(ran(&o), (Some(100), String::new(), "config: usage: config\n".into()));
}
