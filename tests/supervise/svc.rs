//! svc: the bytes that it writes, and what it says of services that it cannot reach.

use crate::services::services;
use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use tests::{failing, fed, original, ran};

const LETTERS: &str = "svc options: u up, d down, o once, x exit, p pause, c continue, h hup, \
                       a alarm, i interrupt, t term, k kill";

/// What arrives in the control FIFO of a service.
fn arrives(words: &[&str]) -> String {
    let place = services();
    place.fifo("a/supervise/control");
    let control = place.join("a/supervise/control");
    let mut reader =
        OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(control).unwrap();
    place.svc(&[words, &["a"]].concat());
    let mut letters = String::new();
    reader.read_to_string(&mut letters).unwrap();
    letters
}

#[test]
fn letters_arrive_once_in_their_order() {
    let cases: [(&[&str], &str); 6] = [
        (&["-u"], "u"),
        (&["-dx"], "dx"),
        (&["-t", "-d", "-t"], "td"),
        (&["-udopchaitkx"], "udopchaitkx"),
        (&["-xkt", "--"], "xkt"),
        (&[], ""),
    ];
    for (words, letters) in cases {
        assert_eq!(arrives(words), letters, "{words:?}");
    }
}

#[test]
fn the_letters_of_encore_and_more_arrive_too() {
    // 0.76 has eleven letters.
    if original() {
        return;
    }
    assert_eq!(arrives(&["-q12wbyrK+=Ll"]), "q12wbyrK+=Ll");
}

#[test]
fn an_unknown_letter_is_wrong_usage() {
    let place = services();
    let (code, out, err) = ran(&fed(place.command("svc").args(["-uZ", "a"]), ""));
    assert_eq!((code, out), (Some(100), String::new()));
    assert!(err.starts_with(&format!("svc: illegal option -- Z\n{LETTERS}")), "{err}");
    assert_eq!(err.lines().count(), 2);
}

#[test]
fn no_directory_is_no_failure() {
    let place = services();
    for words in [&["-u"][..], &[]] {
        let output = fed(place.command("svc").args(words), "");
        assert_eq!(ran(&output), (Some(0), String::new(), String::new()));
    }
}

#[test]
fn a_control_that_is_no_fifo_is_not_written_to() {
    // 0.76 writes into whatever it finds
    if original() {
        return;
    }
    let place = services();
    place.write("precious", "gold").dir("a/supervise");
    symlink("../../precious", place.join("a/supervise/control")).unwrap();
    let said = "svc: warning: unable to control a: supervise not running\n";
    let output = fed(place.command("svc").args(["-u", "a"]), "");
    assert_eq!(ran(&output), (Some(0), String::new(), said.into()));
    assert_eq!(place.text("precious"), "gold");
}

#[test]
fn orders_that_cannot_be_written_are_complained_about() {
    let place = services();
    place.fifo("a/supervise/control");
    let mut reader = OpenOptions::new();
    let reader = reader.read(true).custom_flags(libc::O_NONBLOCK);
    let _reader = reader.open(place.join("a/supervise/control")).unwrap();
    let mut command = place.command("svc");
    let Some(mut command) = failing("write", "EIO", 1, command.args(["-u", "a"])) else { return };
    let said = "svc: warning: error writing commands to a: input/output error\n";
    assert_eq!(ran(&fed(&mut command, "")), (Some(0), String::new(), said.into()));
}

#[test]
fn directories_that_cannot_be_reached_do_not_keep_others_from_it() {
    let place = services();
    place.write("file", "").dir("empty").fifo("idle/supervise/control").dir("no/supervise/control");
    place.fifo("a/supervise/control");
    let mut reader = OpenOptions::new();
    let reader = reader.read(true).custom_flags(libc::O_NONBLOCK);
    let mut reader = reader.open(place.join("a/supervise/control")).unwrap();
    let words = ["-t", "gone", "file", "empty", "idle", "no", "", "a"];
    let output = fed(place.command("svc").args(words), "");
    let said = "svc: warning: unable to chdir to gone: file does not exist\n\
                svc: warning: unable to chdir to file: not a directory\n\
                svc: warning: unable to control empty: file does not exist\n\
                svc: warning: unable to control idle: supervise not running\n\
                svc: warning: unable to control no: is a directory\n\
                svc: warning: unable to chdir to : file does not exist\n";
    assert_eq!(ran(&output), (Some(0), String::new(), said.into()));
    let mut letters = String::new();
    reader.read_to_string(&mut letters).unwrap();
    assert_eq!(letters, "t");
}
