//! qmail-getpw: give addresses to users.

use crate::accounts::{SEVEN, with_accounts};
use std::process::Command;
use tests::{Scratch, failing, fed, program, ran, redirected, scratch};

/// A place with homes, and the accounts that live there.
fn homes() -> (Scratch, String) {
    let place = scratch();
    let mut lines = SEVEN.replace("ALIAS", "/var/qmail/alias");
    let long = "l".repeat(31);
    let longer = "m".repeat(32);
    let accounts =
        [("joe", 1001), ("man", 1002), ("man-db", 1003), (&*long, 1004), (&*longer, 1005)];
    for (name, uid) in accounts {
        place.dir(name);
        lines += &format!("{name}:x:{uid}:100::{}:/bin/sh\n", place.join(name).display());
        if tests::root() {
            place.chown(name, uid, 100);
        }
    }
    place.dir("stolen");
    lines += &format!("stolen:x:1006:100::{}:/bin/sh\n", place.join("stolen").display());
    lines += "homeless:x:1007:100::/nonexistent:/bin/sh\ntoor:x:0:0::/root:/bin/sh\n";
    lines += &format!("Upper:x:1008:100::{}:/bin/sh\n", place.join("joe").display());
    (place, lines)
}

/// The answer, with `|` for NUL and without the path of the homes.
fn answer(place: &Scratch, command: &mut Command) -> (Option<i32>, String, String) {
    let (code, out, err) = ran(&fed(command, ""));
    let out = out.replace('\0', "|").replace(place.path().to_str().unwrap(), "");
    (code, out, err)
}

#[test]
fn an_address_is_the_users_with_the_longest_name() {
    let (place, lines) = homes();
    let ask = |local: &str| {
        let mut command = with_accounts(&place, &lines, program("qmail-getpw").arg(local))?;
        let (code, out, err) = answer(&place, &mut command);
        assert_eq!((code, &*err), (Some(0), ""));
        Some(out)
    };
    let long = "l".repeat(31);
    let longer = "m".repeat(32);
    let with = |name: &str, ext: &str| format!("{name}-{ext}");
    let cases: Vec<(String, String)> = vec![
        ("joe".into(), "joe|1001|100|/joe|||".into()),
        ("JOE".into(), "joe|1001|100|/joe|||".into()),
        ("joe-".into(), "joe|1001|100|/joe|-||".into()),
        ("Joe-A.b-C".into(), "joe|1001|100|/joe|-|A.b-C|".into()),
        ("man-db-x".into(), "man-db|1003|100|/man-db|-|x|".into()),
        ("man-db".into(), "man-db|1003|100|/man-db|||".into()),
        ("man-x".into(), "man|1002|100|/man|-|x|".into()),
        (long.clone(), format!("{long}|1004|100|/{long}|||")),
        (with(&long, "x"), format!("{long}|1004|100|/{long}|-|x|")),
        (longer.clone(), format!("alias|7790|2108|/var/qmail/alias|-|{longer}|")),
        (with(&longer, "x"), format!("alias|7790|2108|/var/qmail/alias|-|{longer}-x|")),
        ("No-Body".into(), "alias|7790|2108|/var/qmail/alias|-|No-Body|".into()),
        ("".into(), "alias|7790|2108|/var/qmail/alias|-||".into()),
    ];
    for (local, expected) in &cases {
        let Some(out) = ask(local) else { return };
        assert_eq!(&out, expected);
    }
    // whose home is not his, root, and a name that is never looked up as it is
    for local in ["stolen", "homeless-x", "root", "toor-x", "upper", "Upper"] {
        let expected = format!("alias|7790|2108|/var/qmail/alias|-|{local}|");
        assert_eq!(ask(local), Some(expected));
    }
}

#[test]
fn a_local_part_is_needed() {
    let o = program("qmail-getpw").output().unwrap();
    assert_eq!(ran(&o), (Some(100), String::new(), String::new()));
}

#[test]
fn without_alias_there_is_no_answer() {
    let (place, lines) = homes();
    let lines = lines.split_once('\n').unwrap().1;
    let ask = |local| with_accounts(&place, lines, program("qmail-getpw").arg(local));
    let Some(mut command) = ask("nobody-x") else { return };
    assert_eq!(answer(&place, &mut command), (Some(116), String::new(), String::new()));
    let mut command = ask("joe").unwrap();
    assert_eq!(answer(&place, &mut command).0, Some(0));
}

#[test]
fn a_home_out_of_reach_defers() {
    let (place, lines) = homes();
    // std looks at a file by statx, which nothing else here does
    let Some(command) = failing("statx", "ETIMEDOUT", 1, program("qmail-getpw").arg("joe")) else {
        return;
    };
    let Some(mut command) = with_accounts(&place, &lines, &command) else { return };
    assert_eq!(answer(&place, &mut command), (Some(115), String::new(), String::new()));
}

#[test]
fn trouble_with_the_users_never_makes_joe_a_stranger() {
    if tests::original() {
        return; // The originals take trouble for an answer.
    }
    let (place, lines) = homes();
    let mut codes = Vec::new();
    for number in 1..=10 {
        let mut command = program("qmail-getpw");
        let Some(command) = failing("openat", "EIO", number, command.arg("joe")) else { return };
        let Some(mut command) = with_accounts(&place, &lines, &command) else { return };
        let (code, out, _) = answer(&place, &mut command);
        match code {
            Some(0) => assert_eq!(out, "joe|1001|100|/joe|||"),
            _ => assert_eq!(out, ""),
        }
        codes.push(code);
    }
    assert!(codes.contains(&Some(118)) && codes.contains(&Some(0)), "{codes:?}");
}

#[test]
fn an_answer_that_nobody_hears_is_none() {
    let (place, lines) = homes();
    let command = redirected(">/dev/full", program("qmail-getpw").arg("joe"));
    let Some(mut command) = with_accounts(&place, &lines, &command) else { return };
    let why = "qmail-getpw: fatal: unable to write output: out of disk space\n";
    assert_eq!(answer(&place, &mut command), (Some(111), String::new(), why.into()));
}
