//! tests/in-home.sh: a program that has its home built in sees that of a test there.

use std::fs;
use std::process::Command;
use tests::{Scratch, as_user, ran, root, scratch, skip, tree};

const NOBODY: u32 = 65534;

/// A program whose home is `theirs`, as `make test-mail` puts it behind in-home.sh.
fn program() -> Scratch {
    let place = scratch();
    place.write("theirs/name", "theirs\n").write("mine/name", "mine\n");
    let theirs = place.join("theirs").display().to_string();
    let script = fs::read_to_string(tree().join("tests/in-home.sh")).unwrap();
    place.script("bin/program", &script.replace("HOME_UNDER_TEST", &theirs));
    // It runs itself once more, as a program of qmail runs another.
    let text = format!(
        "cat {theirs}/name; id -u; [ $# = 0 ] || exec {}/bin/program\n",
        place.path().display()
    );
    place.script("bin/real/program", &text);
    place
}

fn run(place: &Scratch, home: Option<&str>, user: u32) -> (Option<i32>, String, String) {
    let mut command = Command::new(place.join("bin/program"));
    command.arg("again");
    if let Some(home) = home {
        command.env("QMAILHOME", place.join(home));
    }
    if root() {
        as_user(user, user, &mut command);
    }
    ran(&command.output().unwrap())
}

#[test]
fn the_home_of_a_test_is_mounted_for_its_programs_alone() {
    if !root() {
        return skip("needs root");
    }
    let place = program();
    for user in [0, NOBODY] {
        let twice = |name: &str| (Some(0), format!("{name}\n{user}\n").repeat(2), String::new());
        let mine = run(&place, Some("mine"), user);
        if mine.2.contains("unshare failed") {
            return skip("needs namespaces");
        }
        assert_eq!(mine, twice("mine"));
        assert_eq!(run(&place, None, user), twice("theirs"));
        assert_eq!(run(&place, Some("nowhere"), user), twice("theirs"));
    }
    assert_eq!(place.text("theirs/name"), "theirs\n");
}
