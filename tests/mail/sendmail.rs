//! sendmail: which program is run, and with what.

use crate::installation::{Installation, installation};
use std::process::Command;
use tests::{fed, ran, shown};

/// An installation whose programs say how they were called.
fn talking() -> Installation {
    let installation = installation();
    for name in ["qmail-inject", "qmail-smtpd", "qmail-qread"] {
        installation.script(name, "pwd; echo \"$0\"; for w; do echo \"[$w]\"; done; env | sort");
    }
    installation
}

/// The words and the variables that the program got, below its folder and name.
fn called(command: &mut Command) -> (String, String) {
    let output = fed(command.env("NAME", "n").env("MAILHOST", "m"), "");
    assert_eq!((output.status.code(), shown(&output.stderr)), (Some(0), String::new()));
    let out = shown(&output.stdout);
    let mut lines = out.lines().skip(1);
    let mut words = lines.next().unwrap().to_owned();
    let rest: Vec<_> = lines.collect();
    rest.iter().filter(|line| line.starts_with('[')).for_each(|word| words += word);
    let known = ["QMAIL", "MAIL", "NAME", "TCP", "PROTO", "RELAY", "DATA"];
    let ours = |line: &&&str| known.iter().any(|k| line.starts_with(k));
    let hidden = |line: &&&str| !line.starts_with("QMAILHOME=");
    let variables: Vec<_> = rest.iter().filter(ours).filter(hidden).copied().collect();
    (words, variables.join(" "))
}

#[test]
fn messages_go_to_qmail_inject() {
    let installation = talking();
    let cases: [(&[&str], &str, &str); 7] = [
        (&["a", "b"], "bin/qmail-inject[-a][--][a][b]", "MAILHOST=m NAME=n"),
        (&["-t", "-i"], "bin/qmail-inject[-H][--]", "MAILHOST=m NAME=n"),
        (&["-fx@y", "a"], "bin/qmail-inject[-a][-f][x@y][--][a]", "QMAILHOST=y QMAILUSER=x"),
        (&["-r", "x"], "bin/qmail-inject[-a][-f][x][--]", "QMAILUSER=x"),
        (
            &["-FJoe", "-oi", "-bm", "a"],
            "bin/qmail-inject[-a][--][a]",
            "MAILHOST=m MAILNAME=Joe NAME=n",
        ),
        (
            &["-N", "never", "-Ooption", "-V", "id", "-n", "-G", "-U"],
            "bin/qmail-inject[-a][--]",
            "MAILHOST=m NAME=n",
        ),
        (&["-em", "-v", "-x", "--", "-t"], "bin/qmail-inject[-a][--][-t]", "MAILHOST=m NAME=n"),
    ];
    for (words, program, variables) in cases {
        let got = called(installation.program("sendmail").args(words));
        assert_eq!(got, (program.to_owned(), variables.to_owned()), "{words:?}");
    }
}

#[test]
fn addresses_may_stand_in_brackets_and_names_anywhere() {
    if tests::original() {
        return; // The originals take brackets for a part of the address.
    }
    let installation = talking();
    let all = "MAILHOST=m NAME=n";
    let cases: [(&[&str], &str, &str); 5] = [
        (&["-f", "<>", "<a@b>"], "bin/qmail-inject[-a][-f][][--][a@b]", all),
        (&["-f", "", "A <a@b>"], "bin/qmail-inject[-a][-f][][--][a@b]", all),
        (&["-t", "-fX <x@y>"], "bin/qmail-inject[-H][-f][x@y][--]", "QMAILHOST=y QMAILUSER=x"),
        (
            &["-FJoe", "-f", "x@y", "a>", "<a"],
            "bin/qmail-inject[-a][-f][x@y][--][a>][<a]",
            "MAILNAME=Joe QMAILHOST=y QMAILUSER=x",
        ),
        (
            &["-C", "/etc/sendmail.cf", "-F", "", "a"],
            "bin/qmail-inject[-a][--][a]",
            "MAILHOST=m MAILNAME= NAME=n",
        ),
    ];
    for (words, program, variables) in cases {
        let got = called(installation.program("sendmail").args(words));
        assert_eq!(got, (program.to_owned(), variables.to_owned()), "{words:?}");
    }
}

#[test]
fn other_modes_run_other_programs() {
    let installation = talking();
    let (program, _) = called(installation.program("sendmail").arg("-bp"));
    assert_eq!(program, "bin/qmail-qread");
    let (program, variables) = called(installation.program("sendmail").arg("-bs"));
    let client = "DATABYTES=0 MAILHOST=m NAME=n PROTO=TCP RELAYCLIENT= TCPLOCALHOST=localhost \
                  TCPLOCALIP=127.0.0.1 TCPREMOTEHOST=localhost TCPREMOTEINFO=sendmail-bs \
                  TCPREMOTEIP=127.0.0.1";
    assert_eq!((program.as_str(), variables.as_str()), ("bin/qmail-smtpd", client));
    let (_, variables) = called(installation.program("sendmail").arg("-bs").env("PROTO", "TCP"));
    assert_eq!(variables, "MAILHOST=m NAME=n PROTO=TCP");
}

#[test]
fn the_name_decides_too() {
    if tests::original() {
        return; // in-home.sh has its own name.
    }
    use std::os::unix::process::CommandExt;
    let installation = talking();
    let (program, _) = called(installation.program("sendmail").arg0("/usr/bin/mailq"));
    assert_eq!(program, "bin/qmail-qread");
    let output = fed(installation.program("sendmail").arg0("newaliases"), "");
    let said = "sendmail: fatal: please use fastforward/newaliases instead\n";
    assert_eq!(ran(&output), (Some(100), String::new(), said.into()));
}

#[test]
fn wrong_usage_and_missing_programs() {
    if tests::original() {
        return; // The originals refuse some that are ignored here.
    }
    let installation = talking();
    let usage =
        "sendmail: usage: sendmail [ -t ] [ -fsender ] [ -Fname ] [ -bp ] [ -bs ] [ arg ... ]\n";
    let output = fed(installation.program("sendmail").arg("-bz"), "");
    assert_eq!(ran(&output), (Some(100), String::new(), usage.into()));
    let output = fed(installation.program("sendmail").arg("-Z"), "");
    let said = format!("sendmail: illegal option -- Z\n{usage}");
    assert_eq!(ran(&output), (Some(100), String::new(), said));
    let output = fed(installation.program("sendmail").env("QMAILHOME", "/nonexistent"), "");
    let said = "sendmail: fatal: unable to chdir to /nonexistent: file does not exist\n";
    assert_eq!(ran(&output), (Some(111), String::new(), said.into()));
    std::fs::remove_file(installation.join("bin/qmail-qread")).unwrap();
    let output = fed(installation.program("sendmail").arg("-bp"), "");
    let said = "sendmail: fatal: unable to run bin/qmail-qread: file does not exist\n";
    assert_eq!(ran(&output), (Some(111), String::new(), said.into()));
}
