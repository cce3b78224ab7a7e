//! The services of tools/mail/examples, whose programs are confined: mail goes through them, and
//! what stands in a confined program's place cannot do what it is denied, not even as root. So are
//! the loggers of all examples.

use crate::machine::{Disk, Machine};
use crate::programs::text;
use std::fs;
use std::time::Duration;
use tests::{ran, skip, tree};

const LIMIT: Duration = Duration::from_secs(120);

/// All of them run, and a mail host to send to.
const SERVICES: &str = r#"
    services=/usr/src/catena/tools/mail/examples
    certificate
    rules '127.0.0.1:allow,RELAYCLIENT=""'
    echo 'remote.example:127.0.0.1:2525' >/var/qmail/control/smtproutes
    printf '#!/bin/sh\ncat >/tmp/sent\ntr "\\000" " " <&1 >/tmp/envelope\n' >/tmp/sink
    chmod 755 /tmp/sink
    host 2525 env RELAYCLIENT= QMAILQUEUE=/tmp/sink qmail-smtpd
    mkdir /run/services
    for name in smtpd smtps qmail; do
        cp -r $services/$name /etc/mail-$name
        ln -s /etc/mail-$name /run/services/$name
    done
    svscan /run/services >/tmp/svscan 2>&1 &
    for name in smtpd smtps qmail; do soon grep status: /etc/mail-$name/log/main/current; done
"#;

#[test]
fn confined_services_do_their_work_and_nothing_else() {
    let Some(disk) = Disk::new() else { return };
    let machine = disk.machine();
    if ran(&machine.run("confine -r / true", "")).0 != Some(0) {
        return skip("needs Landlock");
    }
    mail_goes_through(&machine);
    whoever_takes_their_place_is_denied(&machine);
}

#[track_caller]
fn printed(machine: &Machine, script: &str, input: &str) -> String {
    let (code, said, err) = ran(&machine.run_within(LIMIT, script, input));
    assert_eq!((code, &err[..]), (Some(0), ""), "{said}");
    said
}

/// By SMTP, by SMTP over TLS, and on to another host; a listed client is refused. Each program
/// that talks to a stranger, or logs what he says, is confined while it does.
fn mail_goes_through(machine: &Machine) {
    let script = r#"
        say() {
            printf '%s\n' 'HELO a' 'MAIL FROM:<>' "RCPT TO:<$1>" DATA "Subject: $2" '' . QUIT
        }
        confined() {
            pid=$(grep -lx "$1" /proc/[0-9]*/comm | head -n 1)
            echo "$1: $(sed -n 's/^\(NoNewPrivs\|Seccomp\):\t*/\1 /p' ${pid%comm}status | tr '\n' ' ')"
        }
        say joe@example.com clear | mconnect 127.0.0.1 | grep -c ' qp '
        say joe@example.com secret | sslconnect 127.0.0.1 465 -X | grep -c ' qp '
        say ann@remote.example onward | mconnect 127.0.0.1 | grep -c ' qp '
        say joe@example.com spam | tcpclient -RHl0 -i 127.0.0.66 127.0.0.1 25 mconnect-io |
            grep '451 nobody wants you' | head -n 1
        soon test -s /tmp/envelope
        soon grep 'Subject: clear' /home/joe/Mailbox
        soon grep 'Subject: secret' /home/joe/Mailbox
        grep -h '^Subject' /home/joe/Mailbox /tmp/sent | sort
        cat /tmp/envelope
        echo
        soon grep 'success: did_1+0+0' /etc/mail-qmail/log/main/current
        soon grep 'accepted_message' /etc/mail-qmail/log/main/current
        soon grep '451 nobody wants you' /etc/mail-smtpd/log/main/current
        confined multilog
        pid=$(grep -lx qmail-rspawn /proc/[0-9]*/comm)
        tr '\0' '\n' <${pid%comm}environ | grep QMAILREMOTE"#;
    let said = printed(machine, &format!("{SERVICES}{script}"), "");
    let expected = "1\n1\n1\n451 nobody wants you\r\nSubject: clear\nSubject: onward\nSubject: secret\n\
        F Tann@remote.example  \nmultilog: NoNewPrivs 1 Seccomp 2 \n\
        QMAILREMOTE=/etc/mail-qmail/remote\n";
    assert_eq!(said, expected, "\n{said}");
}

/// A script, and the program of it that runs with no more rights than these.
const PLACES: [(&str, &str); 3] = [
    ("tools/mail/examples/smtpd/run", "tcpserver"),
    ("tools/mail/examples/smtps/run", "tcpserver"),
    ("tools/mail/examples/qmail/remote", "/var/qmail/bin/qmail-remote"),
];

/// The script of each logger.
fn loggers() -> Vec<String> {
    let services = ["tools/mail/examples", "supervise/examples"].into_iter().flat_map(|folder| {
        let services = fs::read_dir(tree().join(folder)).unwrap().map(Result::unwrap);
        services.map(move |service| format!("{folder}/{}", service.file_name().display()))
    });
    services.map(|service| format!("{service}/log/run")).collect()
}

/// What is tried there, and what is heard.
const TRIES: [(&str, &str); 9] = [
    // to read what is somebody's
    ("envdir /home/joe/env true", "unable to read directory /home/joe/env: access denied"),
    // to write settings, mail, and new files
    ("setlock /etc/passwd true", "unable to open /etc/passwd: access denied"),
    ("setlock /var/qmail/control/me true", "unable to open /var/qmail/control/me: access denied"),
    ("setlock /home/joe/Mailbox true", "unable to open /home/joe/Mailbox: access denied"),
    ("setlock /tmp/lock true", "unable to open /tmp/lock: access denied"),
    ("maildirmake /var/qmail/alias/new", "unable to mkdir /var/qmail/alias/new: access denied"),
    // to run what it need not
    ("argv0 true true", "unable to run true: access denied"),
    (
        "argv0 /var/qmail/bin/qmail-start x",
        "unable to run /var/qmail/bin/qmail-start: access denied",
    ),
    ("pgrphack chown root /tmp", "unable to run chown: access denied"),
];

/// What only a logger may not do.
const TRIES_OF_A_LOGGER: [(&str, &str); 2] = [
    ("tcpclient -RHl0 127.0.0.1 25 true", "unable to create socket: permission denied"),
    ("tcplisten 127.0.0.1 0 true", "unable to create socket: permission denied"),
];

/// The words of a script from `confine` to this program, without it.
fn confinement(script: &str, program: &str) -> String {
    let text = text(script).replace("\\\n", "");
    let line = text.lines().find(|line| !line.starts_with('#') && line.contains("confine "));
    let line = line.unwrap_or_else(|| panic!("{script} confines nothing"));
    let (_, words) = line.split_once("confine ").unwrap();
    let (words, _) = words.split_once(&format!(" {program} ")).unwrap();
    words.to_owned()
}

/// Root himself, in the place of each of these programs, is denied everything that he tries.
fn whoever_takes_their_place_is_denied(machine: &Machine) {
    let mut rows = Vec::new();
    let mut denied = |confinement: &str, tries: &[(&str, &'static str)]| {
        let tries = tries.iter().map(|(words, heard)| {
            let words = format!("confine {confinement} {words}");
            (words, *heard)
        });
        rows.extend(tries);
    };
    for (script, program) in PLACES {
        denied(&confinement(script, program), &TRIES);
    }
    let loggers = loggers();
    assert!(loggers.len() >= 8, "{loggers:?}");
    for script in loggers {
        denied(&confinement(&script, "multilog"), &TRIES);
        denied(&confinement(&script, "multilog"), &TRIES_OF_A_LOGGER);
    }
    let script = r#"
        mkdir -p main /home/joe/env
        touch /home/joe/Mailbox
        while read -r words; do $words 2>&1 </dev/null | tr '\n' ' '; echo; done <example"#;
    let lines: String = rows.iter().map(|(words, _)| format!("{words}\n")).collect();
    let said = printed(machine, script, &lines);
    assert_eq!(said.lines().count(), rows.len(), "{said}");
    for ((words, heard), line) in rows.iter().zip(said.lines()) {
        assert!(line.ends_with(&format!("fatal: {heard} ")), "{words}: {line}");
    }
    nobody_else_is(machine);
}

/// The same tries without `confine`: what they meet is nothing else.
fn nobody_else_is(machine: &Machine) {
    let script = r#"
        mkdir -p /home/joe/env
        smtp
        while read -r words; do
            case $words in *qmail-start*) continue ;; esac
            $words >/tmp/said 2>&1 </dev/null || cat /tmp/said
        done <example"#;
    let tries = TRIES.iter().chain(&TRIES_OF_A_LOGGER);
    let lines: String = tries.map(|(words, _)| format!("{words}\n")).collect();
    assert_eq!(printed(machine, script, &lines), "");
}
