//! qmail-newmrh: make control/morercpthosts.cdb of control/morercpthosts.

use std::process::Command;
use tests::{Random, Scratch, calls, failing, killed, program, ran, root, scratch, shown};

const HOSTS: &str = "B.Example \t\n# no\n\n.c.example\n lead\n#\n \t \nb.example\nlast";

fn place(hosts: impl AsRef<[u8]>) -> Scratch {
    let place = scratch();
    place.write("control/morercpthosts", hosts);
    place
}

fn newmrh(place: &Scratch) -> Command {
    let mut command = program("qmail-newmrh");
    command.env("QMAILHOME", place.path());
    command
}

fn refused(why: &str) -> (Option<i32>, String, String) {
    (Some(111), String::new(), format!("qmail-newmrh: fatal: unable to {why}\n"))
}

fn done() -> (Option<i32>, String, String) {
    (Some(0), String::new(), String::new())
}

/// The records of the database, by a reader that is not ours.
fn records(place: &Scratch) -> Vec<String> {
    let cdb = cdb::CDB::open(place.join("control/morercpthosts.cdb")).unwrap();
    cdb.iter()
        .map(|record| {
            let (key, data) = record.unwrap();
            format!("{}={}", shown(&key), shown(&data))
        })
        .collect()
}

#[test]
fn each_line_becomes_a_key() {
    let place = place(HOSTS);
    assert_eq!(ran(&newmrh(&place).output().unwrap()), done());
    assert_eq!(records(&place), ["b.example=", ".c.example=", " lead=", "b.example=", "last="]);
    assert_eq!(place.mode("control/morercpthosts.cdb"), 0o644);
    assert_eq!(place.names("control"), ["morercpthosts", "morercpthosts.cdb"]);
}

#[test]
fn no_lines_are_a_database_without_hosts() {
    let place = place("# nothing\n");
    assert_eq!(ran(&newmrh(&place).output().unwrap()), done());
    assert_eq!(place.read("control/morercpthosts.cdb").len(), 2048);
}

#[test]
fn what_is_missing_is_named() {
    let place = scratch();
    place.dir("control");
    let why = "read control/morercpthosts: file does not exist";
    assert_eq!(ran(&newmrh(&place).output().unwrap()), refused(why));
    place.dir("control/morercpthosts");
    let why = "read control/morercpthosts: is a directory";
    assert_eq!(ran(&newmrh(&place).output().unwrap()), refused(why));
    let mut lost = program("qmail-newmrh");
    lost.env("QMAILHOME", "/nonexistent");
    let why = "chdir to /nonexistent: file does not exist";
    assert_eq!(ran(&lost.output().unwrap()), refused(why));
    let place = self::place(HOSTS);
    place.dir("control/morercpthosts.tmp/x");
    let why = "write to control/morercpthosts.tmp: is a directory";
    assert_eq!(ran(&newmrh(&place).output().unwrap()), refused(why));
    let place = self::place(HOSTS);
    place.dir("control/morercpthosts.cdb/x");
    let why = "move control/morercpthosts.tmp to control/morercpthosts.cdb: is a directory";
    assert_eq!(ran(&newmrh(&place).output().unwrap()), refused(why));
    assert_eq!(place.names("control"), ["morercpthosts", "morercpthosts.cdb"]);
}

#[test]
fn names_and_data_are_on_disk_before_success() {
    if tests::original() {
        return; // Traced from its first call: that is one of in-home.sh.
    }
    let place = place(HOSTS);
    let Some((o, calls)) = calls("fsync,rename", &newmrh(&place), "") else { return };
    assert_eq!(ran(&o), done());
    let order: Vec<&str> = calls.iter().map(|call| call.split('(').next().unwrap()).collect();
    assert_eq!(order, ["fsync", "rename", "fsync"]);
}

#[test]
fn a_failure_or_death_anywhere_leaves_the_old_database_or_the_new_one() {
    if tests::original() {
        return; // Traced from its first call: that is one of in-home.sh.
    }
    let place = place(HOSTS);
    assert_eq!(ran(&newmrh(&place).output().unwrap()), done());
    let old = place.read("control/morercpthosts.cdb");
    place.write("control/morercpthosts", "other.example\n");
    let fresh = self::place("other.example\n");
    assert_eq!(ran(&newmrh(&fresh).output().unwrap()), done());
    let new = fresh.read("control/morercpthosts.cdb");
    for kind in ["openat", "write", "pwrite64", "fsync", "rename", "flock", "read"] {
        for number in 1..=8 {
            let Some(mut command) = failing(kind, "EIO", number, &newmrh(&place)) else { return };
            let (code, _, err) = ran(&command.output().unwrap());
            let now = place.read("control/morercpthosts.cdb");
            let fine = now == new || (code != Some(0) && now == old);
            assert!(fine, "{kind} {number}: {err}");
            let Some(mut command) = killed(kind, number, &newmrh(&place)) else { return };
            let _ = command.output().unwrap();
            let now = place.read("control/morercpthosts.cdb");
            assert!(now == old || now == new, "{kind} {number}");
            place.write("control/morercpthosts.cdb", &old);
        }
    }
}

#[test]
fn any_text_makes_a_whole_database() {
    let mut random = Random::new(7);
    let place = scratch();
    for _ in 0..100 {
        let text = random.damaged(HOSTS.as_bytes());
        place.write("control/morercpthosts", &text);
        assert_eq!(ran(&newmrh(&place).output().unwrap()), done());
        let keys = text.split(|byte| *byte == b'\n').filter(|line| {
            let first = line.first().is_some_and(|first| *first != b'#');
            first && line.iter().any(|byte| !b" \t".contains(byte))
        });
        assert_eq!(records(&place).len(), keys.count(), "{}", shown(&text));
    }
}

#[test]
fn two_at_once_do_not_mix() {
    if tests::original() {
        return; // The originals share one temporary file.
    }
    let many: String = (0..20_000).map(|n| format!("h{n}.example\n")).collect();
    let place = place(many);
    let mut running: Vec<_> = (0..4).map(|_| newmrh(&place).spawn().unwrap()).collect();
    for child in &mut running {
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
    assert_eq!(records(&place).len(), 20_000);
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    if root() {
        return tests::skip("root can write everywhere");
    }
    let place = place(HOSTS);
    place.chmod("control", 0o500);
    let why = "write to control/morercpthosts.tmp: access denied";
    assert_eq!(ran(&newmrh(&place).output().unwrap()), refused(why));
    place.chmod("control", 0o700);
}
