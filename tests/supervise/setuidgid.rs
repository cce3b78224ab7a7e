use std::process::Command;
use tests::{as_user, bin, original, program, ran, root, scratch, skip};

const USAGE: &str = "setuidgid: usage: setuidgid account child\n";
/// Prints user, group and all groups by their numbers.
const WHO: &str = "id -u; id -g; id -G";

fn setuidgid(words: &[&str]) -> (Option<i32>, String, String) {
    ran(&program("setuidgid").args(words).output().unwrap())
}

fn failed(text: &str) -> (Option<i32>, String, String) {
    (Some(111), String::new(), format!("setuidgid: fatal: {text}\n"))
}

#[test]
fn without_account_and_child_it_shows_its_usage() {
    assert_eq!(setuidgid(&[]), (Some(100), String::new(), USAGE.into()));
    assert_eq!(setuidgid(&["root"]), (Some(100), String::new(), USAGE.into()));
}

#[test]
fn an_unknown_account_is_a_temporary_failure() {
    let said = failed("unknown account no-such-account");
    assert_eq!(setuidgid(&["no-such-account", "true"]), said);
    assert_eq!(setuidgid(&["", "true"]), failed("unknown account "));
}

#[test]
fn the_child_is_the_account_with_its_one_group() {
    if !root() {
        return skip("needs root");
    }
    let expected = (Some(0), "1\n1\n1\n".into(), String::new());
    assert_eq!(setuidgid(&["daemon", "sh", "-c", WHO]), expected);
    let mut command = program("setuidgid");
    command.env("HOME", "/here").env("USER", "me").args(["daemon", "sh", "-c"]);
    let o = command.arg("grep Uid: /proc/self/status; echo $HOME $USER").output().unwrap();
    let expected = "Uid:\t1\t1\t1\t1\n/here me\n";
    assert_eq!(ran(&o), (Some(0), expected.into(), String::new()));
}

#[test]
fn only_root_can_become_somebody() {
    if !root() {
        return skip("needs root");
    }
    let mut command = program("setuidgid");
    let o = as_user(1, 1, command.args(["nobody", "true"])).output().unwrap();
    assert_eq!(ran(&o), failed("unable to setgid: permission denied"));
}

#[test]
fn a_missing_child_is_a_temporary_failure() {
    if !root() {
        return skip("needs root");
    }
    let said = failed("unable to run /nonexistent: file does not exist");
    assert_eq!(setuidgid(&["daemon", "/nonexistent"]), said);
}

#[test]
fn groups_can_be_named() {
    // the forms with colons are ours
    if original() {
        return;
    }
    if !root() {
        return skip("needs root");
    }
    let who = |words: &[&str]| {
        let (code, out, err) = setuidgid(&[words, &["sh", "-c", WHO]].concat());
        assert_eq!((code, err), (Some(0), String::new()), "{words:?}");
        out
    };
    assert_eq!(who(&["daemon:bin"]), "1\n2\n2\n");
    assert_eq!(who(&["daemon:sys:bin:tty"]), "1\n3\n3 2 5\n");
    assert_eq!(who(&[":1234:2345"]), "1234\n2345\n2345\n");
    assert_eq!(who(&[":1234:2345:1:7"]), "1234\n2345\n2345 1 7\n");
}

#[test]
fn wrong_groups_and_numbers_are_unknown() {
    // the forms with colons are ours
    if original() {
        return;
    }
    for (word, said) in [
        ("daemon:no-such-group", "unknown group no-such-group"),
        ("daemon:bin:", "unknown group "),
        ("no-such-account:bin", "unknown account no-such-account"),
        (":1234", "unknown account :1234"),
        (":1234:", "unknown account :1234:"),
        (":1234:x", "unknown account :1234:x"),
        (":1234:4294967296", "unknown account :1234:4294967296"),
        (":-1:0", "unknown account :-1:0"),
        (":", "unknown account :"),
    ] {
        assert_eq!(setuidgid(&[word, "true"]), failed(said));
    }
}

#[test]
fn all_groups_of_the_account_on_demand() {
    // -s is of daemontools-encore
    if original() {
        return;
    }
    if !root() {
        return skip("needs root");
    }
    let groups = std::process::Command::new("id").args(["-G", "daemon"]).output().unwrap();
    let groups = ran(&groups).1;
    let expected = (Some(0), groups, String::new());
    assert_eq!(setuidgid(&["-s", "daemon", "id", "-G"]), expected);
    assert_eq!(setuidgid(&["-q", "daemon", "true"]), {
        (Some(100), String::new(), format!("setuidgid: illegal option -- q\n{USAGE}"))
    });
}

/// Runs a script where getent is another one, that knows one more account and one more group.
fn with_other_services(script: &str) -> Option<(Option<i32>, String, String)> {
    let place = scratch();
    place.script(
        "getent",
        "case \"$1 $2 $3\" in\n\
         'passwd -- joe') echo joe:x:4711:4712:Joe:/home/joe:/bin/sh;;\n\
         'passwd -- 4711') echo joe:x:4711:4712:Joe:/home/joe:/bin/sh;;\n\
         'group -- staff-of-joe') echo staff-of-joe:x:4713:joe;;\n\
         'initgroups -- joe') echo 'joe                   4713 4714';;\n\
         'passwd -- broken') exit 1;;\n\
         *) exit 2;;\nesac",
    );
    let mounted = "mount --bind getent /usr/bin/getent || exit 99; ";
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", &format!("{mounted}{script}")]);
    let found = ran(&command.current_dir(place.path()).output().unwrap());
    (found.0 != Some(99)).then_some(found)
}

#[test]
fn what_the_files_do_not_name_other_services_may() {
    // the original asks the C library, which loads them
    if original() {
        return;
    }
    let program = bin("setuidgid").display().to_string();
    let Some(found) = with_other_services(&format!(
        "for who in joe joe:staff-of-joe '-s joe'; do {program} $who sh -c '{WHO}' | xargs; done;\
         {program} 4711 true; {program} nobody-else true; {program} broken true"
    )) else {
        return skip("needs mount namespaces");
    };
    let said = "setuidgid: fatal: unknown account 4711\n\
                setuidgid: fatal: unknown account nobody-else\n\
                setuidgid: fatal: unable to look up account broken: input/output error\n";
    let out = "4711 4712 4712\n4711 4713 4713\n4711 4712 4712 4713 4714\n";
    assert_eq!(found, (Some(111), out.into(), said.into()));
}
