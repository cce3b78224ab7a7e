//! maildirmake: make a folder for incoming mail.

use std::process::Command;
use tests::{program, ran, redirected, scratch};

fn refused(code: i32, why: &str) -> (Option<i32>, String, String) {
    (Some(code), String::new(), format!("maildirmake: {why}\n"))
}

#[test]
fn a_maildir_is_four_private_folders() {
    let place = scratch();
    let make = |name: &str| {
        let mut command = program("maildirmake");
        ran(&command.arg(name).current_dir(place.path()).output().unwrap())
    };
    for name in ["Maildir", "./dot", "slash/", "-n"] {
        assert_eq!(make(name), (Some(0), String::new(), String::new()));
        let folders =
            [name.to_owned(), format!("{name}/tmp"), format!("{name}/new"), format!("{name}/cur")];
        assert_eq!(folders.map(|folder| place.mode(folder)), [0o700; 4]);
        assert_eq!(place.names(name), ["cur", "new", "tmp"]);
    }
    // an umask that forbids everything does not get in the way
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "umask 777; exec \"$0\" masked"]).arg(tests::bin("maildirmake"));
    assert_eq!(ran(&shell.current_dir(place.path()).output().unwrap()).0, Some(0));
    assert_eq!(place.mode("masked/cur"), 0o700);
}

#[test]
fn what_is_there_stays_as_it_is() {
    let place = scratch();
    place.write("file", "text").dir("folder");
    let make = |name: &str| {
        let mut command = program("maildirmake");
        ran(&command.arg(name).current_dir(place.path()).output().unwrap())
    };
    let there = |name: &str| format!("fatal: unable to mkdir {name}: file already exists");
    assert_eq!(make("file"), refused(111, &there("file")));
    assert_eq!(make("folder"), refused(111, &there("folder")));
    let none = "fatal: unable to mkdir none/deep: file does not exist";
    assert_eq!(make("none/deep"), refused(111, none));
    assert_eq!(
        (place.names(""), place.names("folder")),
        (vec!["file".into(), "folder".into()], vec![])
    );
}

#[test]
fn one_name_is_needed() {
    let run = |words: &[&str]| ran(&program("maildirmake").args(words).output().unwrap());
    assert_eq!(run(&[]), refused(100, "usage: maildirmake name"));
    // the original makes the first one and is silent about the other
    if !tests::original() {
        assert_eq!(run(&["a", "b"]), refused(100, "usage: maildirmake name"));
    }
    let closed = redirected("<&- >&- 2>&-", &program("maildirmake")).output().unwrap();
    assert_eq!(closed.status.code(), Some(100));
}
