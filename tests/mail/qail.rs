//! qail: move new mail to the mbox, then read it with Mail.

use tests::{program, ran, scratch};

#[test]
fn new_mail_is_there_before_the_reader_is() {
    let place = scratch();
    place.script("bin/Mail", "cat mbox; echo \"$@\"; exit 7\n").dir("Maildir/cur");
    place.write("Maildir/new/1", "Return-Path: <me@a>\n\nbody\n");
    let mut command = program("qail");
    let path = command.get_envs().find(|(name, _)| *name == "PATH").unwrap().1.unwrap();
    let path = [place.join("bin").as_os_str(), path].join(":".as_ref());
    command.env("PATH", path).env("MAIL", "mbox").env("MAILTMP", "tmp").env("MAILDIR", "Maildir");
    let (code, out, err) =
        ran(&command.args(["-x", "a b"]).current_dir(place.path()).output().unwrap());
    assert!(out.starts_with("From me@a ") && out.ends_with("\nbody\n\n-x a b\n"), "{out}");
    assert_eq!((code, &*err), (Some(7), ""));
}

#[test]
fn without_its_variables_nothing_is_read() {
    let (code, out, err) = ran(&program("qail").output().unwrap());
    assert_eq!((code, &*out, &*err), (Some(111), "", "maildir2mbox: fatal: MAIL not set\n"));
}
