//! newinclude: compile an :include: file into a mailing list.

use crate::site::{Site, site, unnumbered};
use tests::{original, ran};

/// Runs newinclude on a list of this text.
#[track_caller]
fn newinclude(site: &Site, text: &str) -> std::process::Output {
    site.place.write("list", text);
    site.program("newinclude").arg("list").output().unwrap()
}

fn done() -> (Option<i32>, String, String) {
    (Some(0), String::new(), String::new())
}

#[test]
fn addresses_are_completed_and_come_last_first() {
    let Some(site) = site() else { return };
    let text = "joe, Ann Lee <ann@b> bob@c+\n# a comment\n\nlast (x) @d.example, :include:more, \
                : include : /lists/all";
    assert_eq!(ran(&newinclude(&site, text)), done());
    let expected = "&bob@c.plus.example|&ann@b.dom.example|&joe@dh.dom.example|/lists/all|./more|\
                    &last@d.example|";
    assert_eq!(site.place.text("list.bin").replace('\0', "|"), expected);
    assert_eq!((site.place.mode("list.bin"), site.place.exists("list.tmp")), (0o644, false));
}

#[test]
fn variables_come_before_control_files() {
    let Some(site) = site() else { return };
    site.place.write("list", "joe, ann@a, bob@b+");
    let mut command = site.program("newinclude");
    command
        .env("QMAILDEFAULTHOST", "h")
        .env("QMAILDEFAULTDOMAIN", "d")
        .env("QMAILPLUSDOMAIN", "p.q");
    assert_eq!(ran(&command.arg("list").output().unwrap()), done());
    assert_eq!(site.place.text("list.bin"), "&bob@b.p.q\0&ann@a.d\0&joe@h.d\0");
}

#[test]
fn what_is_wrong_keeps_the_old_list() {
    let Some(site) = site() else { return };
    site.place.write("list.bin", "&old\0");
    let long = format!("a\n{}@b.c\n", "x".repeat(797));
    for (text, line, why) in [
        ("a\n\"|program\"\n", 2, "program delivery |program not supported"),
        ("/file\n", 1, "file delivery /file not supported"),
        ("a, :include:\n", 1, "empty :include: filenames not permitted"),
        (":include:\"a\0\"\n", 1, "NUL not permitted in :include: filenames"),
        ("a\0b\n", 1, "NUL not permitted in recipient addresses"),
    ] {
        let o = newinclude(&site, text);
        assert_eq!(
            unnumbered(&o),
            (Some(111), String::new(), format!("newinclude: fatal: {why}\n"))
        );
        assert!(original() || ran(&o).2.contains(&format!(": line {line}: ")), "{}", ran(&o).2);
    }
    let (code, _, err) = unnumbered(&newinclude(&site, "a\nb (\n"));
    let unparsable = err.starts_with("newinclude: fatal: unable to parse this line: b (");
    assert_eq!((code, unparsable), (Some(111), true));
    let (code, _, _) = unnumbered(&newinclude(&site, &long));
    assert_eq!(code, Some(111));
    assert_eq!(site.place.text("list.bin"), "&old\0");
}

#[test]
fn nothing_between_brackets_is_nobody() {
    let Some(site) = site() else { return };
    assert_eq!(ran(&newinclude(&site, "<>, \"\", a@b.c")), done());
    assert_eq!(site.place.text("list.bin"), "&a@b.c\0");
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let Some(site) = site() else { return };
    let run = |words: &[&str]| ran(&site.program("newinclude").args(words).output().unwrap());
    let usage = "newinclude: usage: newinclude list\n";
    assert_eq!(run(&[]), (Some(100), String::new(), usage.into()));
    let fatal = |why: &str| (Some(111), String::new(), format!("newinclude: fatal: {why}\n"));
    assert_eq!(run(&["none"]), fatal("unable to read none: file does not exist"));
    site.place.write("list", "a").dir("list.bin/x");
    assert_eq!(run(&["list"]), fatal("unable to move list.tmp to list.bin: is a directory"));
    std::fs::remove_file(site.place.join("lib/qmail/control/plusdomain")).unwrap();
    site.place.dir("lib/qmail/control/plusdomain");
    assert_eq!(run(&["list"]), fatal("unable to read controls: is a directory"));
}
