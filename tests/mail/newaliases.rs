//! newaliases: compile /etc/aliases for fastforward.

use crate::site::{Site, site, unnumbered};
use std::process::{Command, Output};
use tests::{failing, killed, original, program, ran};

/// Runs newaliases on these aliases.
#[track_caller]
fn newaliases(site: &Site, aliases: &str) -> Output {
    site.place.write("etc/aliases", aliases);
    site.program("newaliases").output().unwrap()
}

fn done() -> (Option<i32>, String, String) {
    (Some(0), String::new(), String::new())
}

/// The table as text.
fn printed(site: &Site) -> String {
    let print = tests::fed(&mut program("printforward"), site.place.read("etc/aliases.cdb"));
    String::from_utf8(print.stdout).unwrap()
}

#[test]
fn the_aliases_of_sendmail_work() {
    let Some(site) = site() else { return };
    let aliases = "# comment\n \tthat goes on\nRoot: joe, \"|vacation joe\", ann@a+\n\n\
        staff:\n  :include:/lists/staff,\n\n\tjoe (the boss) @h\n\
        owner-staff: ann\n(all others) @v.example: Joe Lee <joe@x.example>\nnocolon one, two\n";
    assert_eq!(ran(&newaliases(&site, aliases)), done());
    let expected = "\
        root@:\n, !vacation\\ joe\n, &ann@a.plus.example\n, &joe@dh.dom.example\n;\n\
        staff@:\n, /lists/staff.bin\n, &joe@h.dom.example\n;\n\
        staff@: ?owner-staff@dh.dom.example;\n\
        owner-staff@:\n, &ann@dh.dom.example\n;\n\
        @v.example:\n, &joe@x.example\n;\n\
        nocolon@:\n, &two@dh.dom.example\n, &one@dh.dom.example\n;\n";
    assert_eq!(printed(&site), expected);
    assert_eq!(site.place.names("etc"), ["aliases", "aliases.cdb"]);
}

#[test]
fn a_command_may_be_the_first_word() {
    let Some(site) = site() else { return };
    assert_eq!(ran(&newaliases(&site, "\"|c\" a@b, :include:d\n")), done());
    assert_eq!(printed(&site), "a@b:\n, ./d.bin\n, !c\n;\n");
}

#[test]
fn what_is_wrong_keeps_the_old_table() {
    let Some(site) = site() else { return };
    assert_eq!(ran(&newaliases(&site, "old: joe@a.example\n")), done());
    let old = site.place.read("etc/aliases.cdb");
    let long = format!("a: b\nc:\n {}@b.c\n", "x".repeat(797));
    for (code, aliases, line, why) in [
        (111, "a: b\n\nc: /file\n", 3, "file delivery /file not supported"),
        (111, " a: <>\n", 1, "empty recipient addresses not permitted"),
        (111, "a: :include:\n", 1, "empty :include: filenames not permitted"),
        (111, "a: :include:\"\0\"\n", 1, "NUL not permitted in :include: filenames"),
        (111, "a:\n \"|\0\"\n", 1, "NUL not permitted in program names"),
        (111, "a: \0\n", 1, "NUL not permitted in recipient addresses"),
        (100, &long, 2, "addresses over 800 bytes are not permitted"),
    ] {
        let o = newaliases(&site, aliases);
        let said = format!("newaliases: fatal: {why}\n");
        assert_eq!(unnumbered(&o), (Some(code), String::new(), said));
        assert!(original() || ran(&o).2.contains(&format!(": line {line}: ")), "{}", ran(&o).2);
    }
    for (aliases, line) in
        [("a: b\nc\n", 2), ("a:\n", 1), (": a\n", 1), ("\n\na: b>\n", 3), ("a: \"b\n", 1)]
    {
        let o = newaliases(&site, aliases);
        let (code, _, err) = unnumbered(&o);
        let start = "newaliases: fatal: unable to parse this line: ";
        assert_eq!((code, err.starts_with(start)), (Some(111), true), "{err}");
        assert!(original() || ran(&o).2.contains(&format!(": line {line}: ")), "{}", ran(&o).2);
    }
    assert!(site.place.read("etc/aliases.cdb") == old);
}

#[test]
fn whatever_the_umask_everybody_may_read_it() {
    let Some(site) = site() else { return };
    site.place.write("etc/aliases", "a: b\n");
    let inner = site.program("newaliases");
    let mut shell = Command::new("/bin/sh");
    shell
        .args(["-c", "umask 777; exec \"$0\" \"$@\""])
        .arg(inner.get_program())
        .args(inner.get_args());
    assert_eq!(ran(&shell.env("QMAILHOME", "/var/lib/qmail").output().unwrap()), done());
    assert_eq!(site.place.mode("etc/aliases.cdb"), 0o644);
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let Some(site) = site() else { return };
    let fatal = |why: &str| (Some(111), String::new(), format!("newaliases: fatal: {why}\n"));
    let run = || ran(&site.program("newaliases").output().unwrap());
    assert_eq!(run(), fatal("unable to read /etc/aliases: file does not exist"));
    site.place.write("etc/aliases", "a: b\n").dir("etc/aliases.tmp");
    assert_eq!(run(), fatal("unable to create /etc/aliases.tmp: is a directory"));
    std::fs::remove_dir(site.place.join("etc/aliases.tmp")).unwrap();
    site.place.dir("etc/aliases.cdb");
    assert_eq!(run(), fatal("unable to move /etc/aliases.tmp to /etc/aliases.cdb: is a directory"));
    std::fs::remove_file(site.place.join("lib/qmail/control/me")).unwrap();
    site.place.dir("lib/qmail/control/me");
    std::fs::remove_file(site.place.join("lib/qmail/control/defaulthost")).unwrap();
    assert_eq!(run(), fatal("unable to read controls: is a directory"));
}

#[test]
fn a_failure_or_death_anywhere_leaves_the_old_table_or_the_new_one() {
    if tests::original() {
        return; // Traced from its first call: that is one of in-home.sh.
    }
    let Some(site) = site() else { return };
    assert_eq!(ran(&newaliases(&site, "new: joe\n")), done());
    let new = site.place.read("etc/aliases.cdb");
    assert_eq!(ran(&newaliases(&site, "old: joe\n")), done());
    let old = site.place.read("etc/aliases.cdb");
    site.place.write("etc/aliases", "new: joe\n");
    for kind in ["write", "pwrite64", "fsync", "rename"] {
        for number in 1..=3 {
            let Some(mut failing) = failing(kind, "EIO", number, &site.program("newaliases"))
            else {
                return;
            };
            let (code, _, err) = ran(&failing.output().unwrap());
            let now = site.place.read("etc/aliases.cdb");
            let fine = if code == Some(0) { now == new } else { now == old || now == new };
            assert!(fine, "{kind} {number}: {err}");
            let Some(mut killed) = killed(kind, number, &site.program("newaliases")) else {
                return;
            };
            killed.output().unwrap();
            let now = site.place.read("etc/aliases.cdb");
            assert!(now == old || now == new, "{kind} {number}");
            site.place.write("etc/aliases.cdb", &old);
        }
    }
}
