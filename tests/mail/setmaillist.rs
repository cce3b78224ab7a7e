//! setmaillist: compile a mailing list.

use std::process::Command;
use tests::{Scratch, failing, fed, killed, original, program, ran, scratch};

use crate::site::unnumbered;

fn setmaillist(place: &Scratch) -> Command {
    let mut command = program("setmaillist");
    command.args(["list.bin", "list.tmp"]).current_dir(place.path());
    command
}

fn done() -> (Option<i32>, String, String) {
    (Some(0), String::new(), String::new())
}

#[test]
fn each_line_becomes_an_item() {
    let place = scratch();
    let text =
        "joe@a.example \t\n&ann@b\n\n# comment\n \t\n./more.bin\n/lists/x y\n spaced@c\nlast";
    assert_eq!(ran(&fed(&mut setmaillist(&place), text)), done());
    let expected = "&joe@a.example\0&ann@b\0./more.bin\0/lists/x y\0& spaced@c\0&last\0";
    assert_eq!((place.text("list.bin"), place.mode("list.bin")), (expected.into(), 0o644));
    assert_eq!(place.names(""), ["list.bin"]);
}

#[test]
fn whatever_the_umask_everybody_may_read_it() {
    let place = scratch();
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "umask 777; exec \"$0\" list.bin list.tmp"]).arg(tests::bin("setmaillist"));
    assert_eq!(ran(&fed(shell.current_dir(place.path()), "")), done());
    assert_eq!((place.mode("list.bin"), place.text("list.bin")), (0o644, String::new()));
}

#[test]
fn what_is_wrong_keeps_the_old_list() {
    let place = scratch();
    assert_eq!(ran(&fed(&mut setmaillist(&place), "old")), done());
    let long = format!("a\n{}\n", "x".repeat(801));
    for (text, line, why) in [
        (&*long, 2, "addresses must be under 800 bytes"),
        ("# a\0\n", 1, "NUL in input"),
        ("a\n\nb\0c", 3, "NUL in input"),
    ] {
        let o = fed(&mut setmaillist(&place), text);
        assert_eq!(
            unnumbered(&o),
            (Some(111), String::new(), format!("setmaillist: fatal: {why}\n"))
        );
        assert!(original() || ran(&o).2.contains(&format!(": line {line}: ")), "{}", ran(&o).2);
        assert_eq!(place.text("list.bin"), "&old\0");
    }
    let fits = format!("{}\n/{}", "x".repeat(800), "y".repeat(5000));
    assert_eq!(ran(&fed(&mut setmaillist(&place), fits)), done());
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let place = scratch();
    let run = |words: &[&str]| {
        let mut command = program("setmaillist");
        ran(&fed(command.args(words).current_dir(place.path()), "a"))
    };
    let usage =
        || (Some(100), String::new(), "setmaillist: usage: setmaillist list.bin list.tmp\n".into());
    assert_eq!((run(&[]), run(&["a"])), (usage(), usage()));
    let fatal = |why: &str| (Some(111), String::new(), format!("setmaillist: fatal: {why}\n"));
    assert_eq!(run(&["a", "no/b"]), fatal("unable to create no/b: file does not exist"));
    assert_eq!(run(&["no/a", "b"]), fatal("unable to move b to no/a: file does not exist"));
    let o = tests::redirected("</", &setmaillist(&place)).output().unwrap();
    assert_eq!(ran(&o), fatal("unable to read input: is a directory"));
}

#[test]
fn a_failure_or_death_anywhere_leaves_the_old_list_or_the_new_one() {
    if tests::original() {
        return; // Traced from its first call: that is one of in-home.sh.
    }
    let place = scratch();
    place.write("list.bin", "&old\0");
    for kind in ["openat", "write", "fsync", "rename", "read"] {
        for number in 1..=5 {
            let Some(mut failing) = failing(kind, "EIO", number, &setmaillist(&place)) else {
                return;
            };
            let (code, _, err) = ran(&fed(&mut failing, "new"));
            let now = place.text("list.bin");
            assert!(
                now == "&new\0" || code != Some(0) && now == "&old\0",
                "{kind} {number}: {err}"
            );
            let Some(mut killed) = killed(kind, number, &setmaillist(&place)) else { return };
            fed(&mut killed, "new");
            assert!(["&new\0", "&old\0"].contains(&&*place.text("list.bin")), "{kind} {number}");
            place.write("list.bin", "&old\0");
        }
    }
}
