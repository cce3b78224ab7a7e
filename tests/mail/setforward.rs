//! setforward: compile forwarding instructions into a table.

use std::process::Command;
use tests::{Random, Scratch, calls, failing, fed, killed, original, program, ran, scratch};

use crate::site::unnumbered;

fn setforward(place: &Scratch) -> Command {
    let mut command = program("setforward");
    command.args(["table.cdb", "table.tmp"]).current_dir(place.path());
    command
}

fn done() -> (Option<i32>, String, String) {
    (Some(0), String::new(), String::new())
}

/// The records of the table, NULs shown as `|`, by a reader that is not ours.
fn records(place: &Scratch) -> Vec<String> {
    let cdb = cdb::CDB::open(place.join("table.cdb")).unwrap();
    let record = |(key, data): (Vec<u8>, Vec<u8>)| {
        format!("{}={}", tests::shown(&key), tests::shown(&data)).replace('\0', "|")
    };
    cdb.iter().map(|found| record(found.unwrap())).collect()
}

#[test]
fn each_instruction_becomes_a_record() {
    let place = scratch();
    let text = "Root@: joe@a.example, ?Own@a, |run  x, !y\\ z, ./f, /g, &h@i; # comment : ; ,\n\
                @H.example:,\\;\\:\\,\\#\\\\,;\n\
                nobody@ :;\nlast@a.example:b\\\nc;";
    assert_eq!(ran(&fed(&mut setforward(&place), text)), done());
    let expected = [
        "?root@=Own@a",
        ":root@=&joe@a.example||runx|!y z|./f|/g|&h@i|",
        ":@h.example=&;:,#\\|",
        ":last@a.example=&b\nc|",
    ];
    assert_eq!(records(&place), expected);
    assert_eq!((place.mode("table.cdb"), place.names("")), (0o644, vec!["table.cdb".into()]));
}

#[test]
fn what_is_wrong_keeps_the_old_table() {
    let place = scratch();
    assert_eq!(ran(&fed(&mut setforward(&place), "a:b;")), done());
    let old = place.read("table.cdb");
    let long = format!("a:\n{};", "x".repeat(801));
    for (text, line, why) in [
        ("a:b;\nc:d:e;", 2, "double colons are not permitted"),
        ("a,b:c;", 1, "commas are not permitted before colons"),
        ("\n\n;", 3, "commas are not permitted before colons"),
        ("a:b\0;", 1, "NUL bytes are not permitted"),
        ("a:b,\nc\n", 3, "final instruction must end with semicolon"),
        ("a", 1, "final instruction must end with semicolon"),
        (&long, 2, "addresses over 800 bytes are not permitted"),
    ] {
        let o = fed(&mut setforward(&place), text);
        let said = format!("setforward: fatal: {why}\n");
        assert_eq!(unnumbered(&o), (Some(100), String::new(), said), "{text}");
        assert!(original() || ran(&o).2.contains(&format!(": line {line}: ")), "{}", ran(&o).2);
        assert!(place.read("table.cdb") == old);
    }
}

#[test]
fn only_addresses_have_a_limit() {
    let place = scratch();
    let long = "x".repeat(5000);
    let text = format!(
        "{long}@: |{long}, !{long}, /{long}, ?{long}, {}, &{};",
        &long[..800],
        &long[..799]
    );
    assert_eq!(ran(&fed(&mut setforward(&place), text)), done());
    let lengths: Vec<_> = records(&place).iter().map(String::len).collect();
    assert_eq!(lengths, [5002 + 1 + 5000, 5002 + 1 + 3 * 5002 + 802 + 801]);
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let place = scratch();
    let run = |words: &[&str]| {
        let mut command = program("setforward");
        ran(&fed(command.args(words).current_dir(place.path()), "a:b;"))
    };
    let usage =
        || (Some(100), String::new(), "setforward: usage: setforward data.cdb data.tmp\n".into());
    assert_eq!((run(&[]), run(&["a"])), (usage(), usage()));
    let fatal = |why: &str| (Some(111), String::new(), format!("setforward: fatal: {why}\n"));
    assert_eq!(run(&["a", "no/b"]), fatal("unable to create no/b: file does not exist"));
    assert_eq!(run(&["no/a", "b"]), fatal("unable to move b to no/a: file does not exist"));
    let command = setforward(&place);
    let o = tests::redirected("</", &command).output().unwrap();
    assert_eq!(ran(&o), fatal("unable to read input: is a directory"));
}

#[test]
fn a_table_is_on_disk_before_success() {
    if tests::original() {
        return; // Traced from its first call: that is one of in-home.sh.
    }
    let place = scratch();
    let Some((o, calls)) = calls("fsync,rename", &setforward(&place), "a:b;") else { return };
    assert_eq!(ran(&o), done());
    let order: Vec<&str> = calls.iter().map(|call| call.split('(').next().unwrap()).collect();
    assert_eq!(&order[..2], ["fsync", "rename"]);
    assert!(original() || order.len() == 3);
}

#[test]
fn a_failure_or_death_anywhere_leaves_the_old_table_or_the_new_one() {
    if tests::original() {
        return; // Traced from its first call: that is one of in-home.sh.
    }
    let place = scratch();
    assert_eq!(ran(&fed(&mut setforward(&place), "new:b;")), done());
    let new = place.read("table.cdb");
    assert_eq!(ran(&fed(&mut setforward(&place), "old:b;")), done());
    let old = place.read("table.cdb");
    for kind in ["openat", "write", "pwrite64", "fsync", "rename", "read"] {
        for number in 1..=6 {
            let Some(mut failing) = failing(kind, "EIO", number, &setforward(&place)) else {
                return;
            };
            let (code, _, err) = ran(&fed(&mut failing, "new:b;"));
            let now = place.read("table.cdb");
            let fine = if code == Some(0) { now == new } else { now == old || now == new };
            assert!(fine, "{kind} {number}: {err}");
            let Some(mut killed) = killed(kind, number, &setforward(&place)) else { return };
            fed(&mut killed, "new:b;");
            let now = place.read("table.cdb");
            assert!(now == old || now == new, "{kind} {number}");
            place.write("table.cdb", &old);
        }
    }
}

#[test]
fn damaged_instructions_are_refused_or_taken() {
    let place = scratch();
    let mut random = Random::new(5);
    // the parser alone is fed 10,000 of them, in mail::forwarding
    for case in 0..200 {
        let text = random.damaged(b"a@b: c@d, |e f, ?g;\n@h:/i; # j\nk@ : l\\;m;");
        let o = fed(&mut setforward(&place), &text);
        let (code, _, err) = unnumbered(&o);
        let fine = if code == Some(0) {
            err.is_empty()
        } else {
            err.contains("not permitted") || err.contains("semicolon")
        };
        assert!(fine && matches!(code, Some(0 | 100)), "case {case}: {code:?} {err}");
    }
}
