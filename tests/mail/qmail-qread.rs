//! qmail-qread: the list of messages.

use crate::installation::{Installation, installation};
use std::fs::File;
use std::time::{Duration, SystemTime};
use tests::{fed, ran};

/// Lays down a message as qmail-send has it.
fn message(installation: &Installation, number: u64, local: &str, remote: &str) {
    let file = |folder: &str| installation.file(folder, number);
    installation.write(file("mess"), "12345").write(file("info"), "Fs\x01@b.example\0");
    for (folder, records) in [("local", local), ("remote", remote)] {
        if !records.is_empty() {
            installation.write(file(folder), records);
        }
    }
    let birth = SystemTime::UNIX_EPOCH + Duration::from_secs(951868799);
    let info = File::options().write(true).open(installation.join(file("info"))).unwrap();
    info.set_modified(birth).unwrap();
}

#[test]
fn each_message_is_shown_with_its_recipients() {
    let installation = installation();
    message(&installation, 46, "Dann@a.example\0Tbob@a.example\0", "Tx\ny@c.example\0");
    message(&installation, 47, "Dann@a.example\0", "");
    installation.write("queue/bounce/47", "<ann>\n");
    let out = "29 Feb 2000 23:59:59 GMT  #46  5  <s_@b.example> \n  done\tlocal\tann@a.example\n\
               \tlocal\tbob@a.example\n\tremote\tx_y@c.example\n\
               29 Feb 2000 23:59:59 GMT  #47  5  <s_@b.example>  bouncing\n  done\tlocal\tann@a.example\n";
    let output = fed(&mut installation.program("qmail-qread"), "");
    assert_eq!(ran(&output), (Some(0), out.into(), String::new()));
}

#[test]
fn a_message_that_has_gone_meanwhile_is_left_out() {
    let installation = installation();
    installation.write("queue/info/0/23", "Fs\0");
    let output = fed(&mut installation.program("qmail-qread"), "");
    assert_eq!(ran(&output), (Some(0), String::new(), String::new()));
}

#[test]
fn trouble_is_told_on_standard_output() {
    let installation = installation();
    let output = fed(installation.program("qmail-qread").env("QMAILHOME", "/nonexistent"), "");
    let said = "fatal: unable to chdir to queue: file does not exist\n";
    assert_eq!(ran(&output), (Some(111), said.into(), String::new()));
    installation.write("queue/info/0/23/x", "");
    let output = fed(&mut installation.program("qmail-qread"), "");
    let said = "warning: trouble with #23: is a directory\n";
    assert_eq!(ran(&output), (Some(0), said.into(), String::new()));
}
