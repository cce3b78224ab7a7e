use tests::{program, ran, root, skip};

fn envuidgid(words: &[&str]) -> (Option<i32>, String, String) {
    ran(&program("envuidgid").args(words).output().unwrap())
}

#[test]
fn without_account_and_child_it_shows_its_usage() {
    let usage = (Some(100), String::new(), "envuidgid: usage: envuidgid account child\n".into());
    assert_eq!(envuidgid(&[]), usage);
    assert_eq!(envuidgid(&["root"]), usage);
}

#[test]
fn an_unknown_account_is_a_temporary_failure() {
    let said = "envuidgid: fatal: unknown account no-such-account\n";
    let expected = (Some(111), String::new(), said.to_owned());
    assert_eq!(envuidgid(&["no-such-account", "true"]), expected);
    let said = "envuidgid: fatal: unknown account \n";
    assert_eq!(envuidgid(&["", "true"]), (Some(111), String::new(), said.into()));
}

#[test]
fn a_missing_child_is_a_temporary_failure() {
    let said = "envuidgid: fatal: unable to run /nonexistent: file does not exist\n";
    assert_eq!(envuidgid(&["root", "/nonexistent"]), (Some(111), String::new(), said.into()));
}

#[test]
fn two_variables_are_set_and_nothing_else() {
    let mut command = program("envuidgid");
    command.env_remove("PATH").env("UID", "old").env("Z", "last").args(["daemon", "/usr/bin/env"]);
    let (code, out, err) = ran(&command.output().unwrap());
    let mut lines: Vec<&str> = out.lines().collect();
    lines.sort();
    assert_eq!((code, lines, err), (Some(0), vec!["GID=1", "UID=1", "Z=last"], String::new()));
}

#[test]
fn the_process_stays_who_it_is() {
    if !root() {
        return skip("needs root");
    }
    let expected = (Some(0), "0\n".into(), String::new());
    assert_eq!(envuidgid(&["daemon", "id", "-u"]), expected);
}
