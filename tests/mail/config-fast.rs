//! config-fast: the first control files.

use std::process::Command;
use tests::{Scratch, program, ran, scratch};

fn config(place: &Scratch, words: &[&str]) -> Command {
    let mut command = program("config-fast");
    command.args(words).env("QMAILHOME", place.path());
    command
}

#[test]
fn the_files_follow_from_the_name() {
    let place = scratch();
    // a remark in Latin-1, and no newline at the end
    place.dir("control").write("control/locals", b"# Z\xfcrich\nold.example");
    let said = "Your fully qualified host name is mail.sub.example.org.\n\
        Putting mail.sub.example.org into control/me...\n\
        Putting sub.example.org into control/defaultdomain...\n\
        Putting example.org into control/plusdomain...\n\
        Putting mail.sub.example.org into control/locals...\n\
        Putting mail.sub.example.org into control/rcpthosts...\n\
        Now qmail will refuse to accept SMTP messages except to mail.sub.example.org.\n\
        Make sure to change rcpthosts if you add hosts to locals or virtualdomains!\n";
    // Twice: nothing is added again.
    for _ in 0..2 {
        let o = config(&place, &["mail.sub.example.org"]).output().unwrap();
        assert_eq!(ran(&o), (Some(0), said.into(), String::new()));
    }
    let files = ["defaultdomain", "locals", "me", "plusdomain", "rcpthosts"];
    assert_eq!(place.names("control"), files);
    let text = files.map(|name| place.read(format!("control/{name}")));
    let name = b"mail.sub.example.org\n";
    let locals = [b"# Z\xfcrich\nold.example\n", &name[..]].concat();
    let expected = [b"sub.example.org\n", &locals[..], name, b"example.org\n", name];
    assert_eq!(text, expected);
    assert!(files.iter().all(|name| place.mode(format!("control/{name}")) == 0o644));
}

#[test]
fn what_is_no_name_is_refused() {
    let place = scratch();
    place.dir("control");
    let usage = "config-fast: usage: config-fast host\n";
    for words in [&[][..], &["a", "b"]] {
        assert_eq!(
            ran(&config(&place, words).output().unwrap()),
            (Some(100), String::new(), usage.into())
        );
    }
    for name in ["", "two words", "a/b", "a\nb"] {
        let said = format!("config-fast: fatal: {name:?} is no host name\n");
        let o = config(&place, &[name]).output().unwrap();
        assert_eq!(ran(&o), (Some(100), String::new(), said));
    }
    assert_eq!(place.names("control"), [""; 0]);
}

#[test]
fn without_the_folder_control_it_fails() {
    let place = scratch();
    let (code, _, err) = ran(&config(&place, &["a.example"]).output().unwrap());
    let said = "config-fast: fatal: unable to write control/me: file does not exist\n";
    assert_eq!((code, &*err), (Some(111), said));
}
