//! qmail-newu: make users/cdb of users/assign.

use std::process::Command;
use tests::{Random, Scratch, calls, failing, killed, program, ran, root, scratch, shown};

const ASSIGN: &str = "=Joe:joe:507:100:/home/joe:::\n+joe-:joe:507:100:/home/joe:-::\n\
    +JIM+:jim:508:100:/home/jim:-:x:dropped\n+j-:j:509:100:/j:-::\n\
    +:alias:7790:2108:/var/qmail/alias:-::\n=joe:second:1:2:/:::\n.\nignored\n";

fn place(assign: &str) -> Scratch {
    let place = scratch();
    place.write("users/assign", assign);
    place
}

fn newu(place: &Scratch) -> Command {
    let mut command = program("qmail-newu");
    command.env("QMAILHOME", place.path());
    command
}

fn refused(why: &str) -> (Option<i32>, String, String) {
    (Some(111), String::new(), format!("qmail-newu: fatal: {why}\n"))
}

fn done() -> (Option<i32>, String, String) {
    (Some(0), String::new(), String::new())
}

/// The records of users/cdb, NULs shown as `|`, by a reader that is not ours.
fn records(place: &Scratch) -> Vec<String> {
    let cdb = cdb::CDB::open(place.join("users/cdb")).unwrap();
    let record = |(key, data): (Vec<u8>, Vec<u8>)| {
        format!("{}={}", shown(&key), shown(&data)).replace('\0', "|")
    };
    cdb.iter().map(|found| record(found.unwrap())).collect()
}

#[test]
fn each_line_becomes_a_record() {
    let place = place(ASSIGN);
    assert_eq!(ran(&newu(&place).output().unwrap()), done());
    let expected = [
        "!joe|=joe|507|100|/home/joe||",
        "!joe-=joe|507|100|/home/joe|-|",
        "!jim+=jim|508|100|/home/jim|-|x",
        "!j-=j|509|100|/j|-|",
        "!=alias|7790|2108|/var/qmail/alias|-|",
        "!joe|=second|1|2|/||",
        "=-+",
    ];
    assert_eq!(records(&place), expected);
    assert_eq!(
        (place.mode("users/cdb"), place.names("users")),
        (0o644, vec!["assign".into(), "cdb".into()])
    );
}

#[test]
fn no_lines_are_a_database_without_users() {
    let place = place(".");
    assert_eq!(ran(&newu(&place).output().unwrap()), done());
    let cdb = cdb::CDB::open(place.join("users/cdb")).unwrap();
    assert_eq!(cdb.get(b"").unwrap().unwrap(), b"");
    assert_eq!(cdb.iter().filter(|record| !record.as_ref().unwrap().0.is_empty()).count(), 0);
}

#[test]
fn an_umask_that_forbids_everything_does_not_get_in_the_way() {
    let place = place(ASSIGN);
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "umask 777; exec \"$0\""]).arg(tests::bin("qmail-newu"));
    assert_eq!(ran(&shell.env("QMAILHOME", place.path()).output().unwrap()), done());
    assert_eq!(place.mode("users/cdb"), 0o644);
}

#[test]
fn bad_format_keeps_the_old_database() {
    let place = place(ASSIGN);
    assert_eq!(ran(&newu(&place).output().unwrap()), done());
    let old = place.read("users/cdb");
    let good = "=a:b:1:2:/:::\n";
    let bad = [
        "".to_owned(),
        good.into(),
        format!("{good}\n."),
        format!("{good}# comment\n."),
        format!("{good}=a:b:1:2:/::\n."),
        format!("{good}:b:1:2:/:::\n."),
        format!("{good}=a\0:b:1:2:/:::\n."),
        format!("{good}=a:b:1:2:/:::"),
        format!("={}:b:1:2:/:::\n.", "x".repeat(2_000_000)),
    ];
    for text in bad {
        place.write("users/assign", &text);
        let why = refused("bad format in users/assign");
        assert_eq!(ran(&newu(&place).output().unwrap()), why, "{text}");
        assert_eq!(place.names("users"), ["assign", "cdb"]);
        assert!(place.read("users/cdb") == old);
    }
}

#[test]
fn what_is_missing_is_named() {
    let place = scratch();
    assert_eq!(ran(&newu(&place).output().unwrap()), refused("unable to open users/assign"));
    place.dir("users/assign");
    assert_eq!(ran(&newu(&place).output().unwrap()), refused("unable to read users/assign"));
    let mut lost = program("qmail-newu");
    lost.env("QMAILHOME", place.join("none"));
    assert_eq!(ran(&lost.output().unwrap()), refused("unable to chdir"));
    let place = self::place(".\n");
    place.dir("users/cdb.tmp/x");
    assert_eq!(ran(&newu(&place).output().unwrap()), refused("unable to open users/cdb.tmp"));
    let place = self::place(".\n");
    place.dir("users/cdb/x");
    let why = refused("unable to move users/cdb.tmp to users/cdb");
    assert_eq!(ran(&newu(&place).output().unwrap()), why);
    assert_eq!(place.names("users"), ["assign", "cdb"]);
}

#[test]
fn a_file_that_may_not_grow_keeps_the_old_database() {
    if tests::original() {
        return; // It kills the originals.
    }
    let place = place(ASSIGN);
    assert_eq!(ran(&newu(&place).output().unwrap()), done());
    let old = place.read("users/cdb");
    let many: String = (0..1000).map(|n| format!("=u{n}:u:1:2:/:::\n")).collect();
    place.write("users/assign", format!("{many}.\n"));
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "trap '' XFSZ; ulimit -f 4; exec \"$0\""]).arg(tests::bin("qmail-newu"));
    let o = shell.env("QMAILHOME", place.path()).output().unwrap();
    assert_eq!(ran(&o), refused("unable to write users/cdb.tmp"));
    assert!(place.read("users/cdb") == old);
}

#[test]
fn names_and_data_are_on_disk_before_success() {
    if tests::original() {
        return; // Traced from its first call: that is one of in-home.sh.
    }
    let place = place(ASSIGN);
    let Some((o, calls)) = calls("fsync,rename", &newu(&place), "") else { return };
    assert_eq!(ran(&o), done());
    let order: Vec<&str> = calls.iter().map(|call| call.split('(').next().unwrap()).collect();
    assert_eq!(order, ["fsync", "rename", "fsync"]);
}

#[test]
fn a_failure_or_death_anywhere_leaves_the_old_database_or_the_new_one() {
    if tests::original() {
        return; // Traced from its first call: that is one of in-home.sh.
    }
    let place = place(ASSIGN);
    assert_eq!(ran(&newu(&place).output().unwrap()), done());
    let old = place.read("users/cdb");
    place.write("users/assign", "=other:o:1:2:/:::\n.\n");
    let fresh = self::place("=other:o:1:2:/:::\n.\n");
    assert_eq!(ran(&newu(&fresh).output().unwrap()), done());
    let new = fresh.read("users/cdb");
    for kind in ["openat", "write", "pwrite64", "fsync", "rename", "flock", "read"] {
        for number in 1..=8 {
            let Some(mut command) = failing(kind, "EIO", number, &newu(&place)) else { return };
            let (code, _, err) = ran(&command.output().unwrap());
            let now = place.read("users/cdb");
            assert!(
                if code == Some(0) { now == new } else { now == old || now == new },
                "{kind} {number}: {err}"
            );
            let Some(mut command) = killed(kind, number, &newu(&place)) else { return };
            let _ = command.output().unwrap();
            let now = place.read("users/cdb");
            assert!(now == old || now == new, "{kind} {number}");
            place.write("users/cdb", &old);
        }
    }
}

#[test]
fn damaged_lines_are_refused_or_taken() {
    let place = place(ASSIGN);
    let mut random = Random::new(3);
    // the parser alone is fed 10,000 of them, in mail::assign
    for case in 0..200 {
        let bad = random.damaged(ASSIGN.as_bytes());
        place.write("users/assign", &bad);
        let (code, out, err) = ran(&newu(&place).output().unwrap());
        let fine = match code {
            Some(0) => err.is_empty(),
            _ => (code, &*err) == (Some(111), "qmail-newu: fatal: bad format in users/assign\n"),
        };
        assert!(fine && out.is_empty(), "case {case}: {code:?} {err}");
    }
}

#[test]
fn two_at_once_do_not_mix() {
    if tests::original() {
        return; // The originals share one temporary file.
    }
    let many: String = (0..20_000).map(|n| format!("=u{n}:u:1:2:/:::\n")).collect();
    let place = place(&format!("{many}.\n"));
    let mut running: Vec<_> = (0..4).map(|_| newu(&place).spawn().unwrap()).collect();
    for child in &mut running {
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
    // the reader does not count the last one, whose key and data are empty
    assert_eq!(records(&place).len(), 20_000);
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    if root() {
        return tests::skip("root can write everywhere");
    }
    let place = place(ASSIGN);
    place.chmod("users", 0o500);
    assert_eq!(ran(&newu(&place).output().unwrap()), refused("unable to open users/cdb.tmp"));
    place.chmod("users", 0o700);
}
