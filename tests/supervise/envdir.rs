use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use tests::{Scratch, as_user, original, program, ran, root, scratch, shown, skip};

const USAGE: &str = "envdir: usage: envdir dir child\n";

/// What the child's environment is, sorted; it starts with OLD=old and is empty otherwise.
fn environment(place: &Scratch, words: &[&str]) -> Vec<String> {
    let mut command = program("envdir");
    command.env_remove("PATH").env("OLD", "old").current_dir(place.path());
    let o = command.args(words).args(["/bin/cat", "/proc/self/environ"]).output().unwrap();
    assert_eq!((o.status.code(), shown(&o.stderr)), (Some(0), String::new()));
    let mut entries: Vec<String> = o.stdout.split(|byte| *byte == 0).map(shown).collect();
    entries.sort();
    entries.retain(|entry| !entry.is_empty());
    entries
}

#[test]
fn wrong_usage_is_a_temporary_failure() {
    let usage = (Some(111), String::new(), USAGE.to_owned());
    assert_eq!(ran(&program("envdir").output().unwrap()), usage);
    assert_eq!(ran(&program("envdir").arg("/").output().unwrap()), usage);
}

#[test]
fn every_kind_of_file_sets_its_variable() {
    for (contents, value) in [
        (&b"value"[..], Some("value")),
        (b"value\n", Some("value")),
        (b"value \t \n", Some("value")),
        (b"value \t ", Some("value")),
        (b"value\nsecond line\n", Some("value")),
        (b" \tvalue", Some(" \tvalue")),
        (b"two  words", Some("two  words")),
        (b"value\r\n", Some("value\r")),
        (b"value\x0b\n", Some("value\x0b")),
        (b"two\0lines\n", Some("two\nlines")),
        (b"value\0", Some("value\n")),
        (b"\0", Some("\n")),
        (b"a=b", Some("a=b")),
        (b"\xff\x80", Some("\\xff\\x80")),
        (b"\n", Some("")),
        (b" \t \n", Some("")),
        (b" ", Some("")),
        (b"\nvalue\n", Some("")),
        (b"", None),
    ] {
        let place = scratch();
        place.write("d/NEW", contents).write("d/OLD", contents);
        let expected: Vec<_> =
            ["NEW", "OLD"].iter().filter_map(|name| Some(format!("{name}={}", value?))).collect();
        assert_eq!(environment(&place, &["d"]), expected, "{}", shown(contents));
    }
}

#[test]
fn what_has_no_file_stays() {
    let place = scratch();
    place.write("d/A", "1").write("d/.hidden", "2").dir("d/.git").write("d/a b", "3");
    assert_eq!(environment(&place, &["d"]), ["A=1", "OLD=old", "a b=3"]);
}

#[test]
fn an_equals_sign_in_a_name_begins_the_value() {
    let place = scratch();
    place.write("d/B=C", "x").write("d/OLD=er", "y").write("d/D=E", "").write("d/F=", "z");
    assert_eq!(environment(&place, &["d"]), ["B=C=x", "D=E", "F==z", "OLD=er=y"]);
}

#[test]
fn names_are_bytes() {
    let place = scratch();
    place.write("d/x", "").write(OsStr::from_bytes(b"d/\xff"), "v");
    assert_eq!(environment(&place, &["d"]), ["OLD=old", "\\xff=v"]);
}

#[test]
fn long_values_are_whole() {
    let place = scratch();
    place.write("d/LONG", vec![b'x'; 100_000]);
    let long = format!("LONG={}", "x".repeat(100_000));
    assert_eq!(environment(&place, &["d"]), [&long, "OLD=old"]);
}

#[test]
fn links_are_followed() {
    let place = scratch();
    place.write("target", "linked\n").dir("d");
    symlink("../target", place.join("d/LINK")).unwrap();
    symlink("d", place.join("e")).unwrap();
    assert_eq!(environment(&place, &["e"]), ["LINK=linked", "OLD=old"]);
}

#[test]
fn a_link_to_nowhere_says_nothing() {
    // the original gives it the value of the file that it read before
    if original() {
        return;
    }
    let place = scratch();
    place.write("d/A", "1");
    symlink("nowhere", place.join("d/B")).unwrap();
    symlink("nowhere", place.join("d/OLD")).unwrap();
    assert_eq!(environment(&place, &["d"]), ["A=1", "OLD=old"]);
}

#[test]
fn a_fifo_does_not_hold_it_up() {
    let place = scratch();
    place.dir("d").fifo("d/OLD").write("d/A", "1");
    assert_eq!(environment(&place, &["d"]), ["A=1"]);
}

#[test]
fn a_prefix_goes_before_every_name() {
    // -p is of daemontools-encore
    if original() {
        return;
    }
    let place = scratch();
    place.write("d/D", "").write("d/A", "1").write("d/B=C", "2");
    assert_eq!(environment(&place, &["-p", "OL", "d"]), ["OLA=1", "OLB=C=2"]);
    assert_eq!(environment(&place, &["-pX_", "d"]), ["OLD=old", "X_A=1", "X_B=C=2"]);
    let o = program("envdir").args(["-q", "d", "true"]).output().unwrap();
    let said = format!("envdir: illegal option -- q\n{USAGE}");
    assert_eq!(ran(&o), (Some(111), String::new(), said));
}

#[test]
fn the_child_starts_where_envdir_did() {
    let place = scratch();
    place.write("d/A", "1");
    let mut command = program("envdir");
    let o = command.args(["d", "pwd"]).current_dir(place.path()).output().unwrap();
    assert_eq!(ran(&o), (Some(0), format!("{}\n", place.path().display()), String::new()));
}

#[test]
fn the_child_is_looked_up_in_the_old_path() {
    let place = scratch();
    place.write("d/PATH", "/nonexistent").script("bin/child", "echo $PATH");
    let mut command = program("envdir");
    let o = command.env("PATH", place.join("bin")).args(["d", "child"]);
    let o = o.current_dir(place.path()).output().unwrap();
    assert_eq!(ran(&o), (Some(0), "/nonexistent\n".into(), String::new()));
}

fn failure(place: &Scratch, words: &[&str]) -> (Option<i32>, String, String) {
    ran(&program("envdir").args(words).current_dir(place.path()).output().unwrap())
}

#[test]
fn what_cannot_be_read_is_fatal() {
    let place = scratch();
    place.dir("d/SUB").write("file", "").dir("e");
    let said = |text: &str| (Some(111), String::new(), format!("envdir: fatal: {text}\n"));
    for (folder, text) in [
        ("d", "unable to read d/SUB: is a directory"),
        ("nowhere", "unable to switch to directory nowhere: file does not exist"),
        ("file", "unable to switch to directory file: not a directory"),
        ("", "unable to switch to directory : file does not exist"),
    ] {
        assert_eq!(failure(&place, &[folder, "true"]), said(text));
    }
    let text = "unable to run /nonexistent: file does not exist";
    assert_eq!(failure(&place, &["e", "/nonexistent"]), said(text));
}

#[test]
fn what_may_not_be_read_is_fatal() {
    if !root() {
        return skip("needs root");
    }
    let place = scratch();
    place.write("d/SECRET", "x").chmod("d/SECRET", 0o600);
    place.dir("closed").chmod("closed", 0o644).dir("blind").chmod("blind", 0o711);
    let said = |text: &str| (Some(111), String::new(), format!("envdir: fatal: {text}\n"));
    for (folder, text) in [
        ("d", "unable to read d/SECRET: access denied"),
        ("closed", "unable to switch to directory closed: access denied"),
        ("blind", "unable to read directory blind: access denied"),
    ] {
        let mut command = program("envdir");
        command.args([folder, "true"]).current_dir(place.path());
        assert_eq!(ran(&as_user(1234, 1234, &mut command).output().unwrap()), said(text));
    }
}
