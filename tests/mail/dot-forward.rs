//! dot-forward: forward mail as a .forward file says.

use crate::site::{Site, site};
use std::process::Command;
use tests::{Random, fed, original, ran, redirected};

/// dot-forward for joe@h, with these words.
fn dot_forward(site: &Site, words: &[&str]) -> Command {
    let mut command = site.program("dot-forward");
    command.args(words).env("USER", "joe").env("HOST", "h").env("NEWSENDER", "me@far");
    command.env("UFLINE", "U\n").env("RPLINE", "R\n").env("DTLINE", "D\n");
    command
}

fn said(code: i32, err: &str) -> (Option<i32>, String, String) {
    (Some(code), String::new(), err.into())
}

/// What -n says about a .forward file.
#[track_caller]
fn shown(site: &Site, forward: &str) -> (Option<i32>, String, String) {
    site.place.write(".forward", forward);
    ran(&fed(&mut dot_forward(site, &["-n", ".forward"]), ""))
}

/// What happens to a message, and what was queued.
#[track_caller]
fn delivered(site: &Site, forward: &str) -> (Option<i32>, String, Option<String>) {
    site.place.write(".forward", forward).write("message", "one\ntwo");
    let mut command = redirected("<message", &dot_forward(site, &[".forward"]));
    let (code, _, err) = ran(&command.output().unwrap());
    (code, err, site.queued().map(|(envelope, message)| format!("{envelope} {message}")))
}

#[test]
fn addresses_are_completed_and_come_last_first_in_each_line() {
    let Some(site) = site() else { return };
    let forward = "Ann Lee <ann@a.example>, bob (at b) @b\n# c@d\n\nfriends: e+, f@g+;\nlast";
    let to = "forward bob@b.dom.example\nforward ann@a.example\nforward f@g.plus.example\n\
              forward e+@dh.dom.example\nforward friends@dh.dom.example\nforward last@dh.dom.example\n";
    assert_eq!(shown(&site, forward), said(99, to));
    let (code, err, queued) = delivered(&site, "ann@a.example, bob@b.example\n");
    assert!(err.starts_with("dot-forward: info: qp "), "{err}");
    let queued = queued.unwrap();
    assert_eq!((code, &*queued), (Some(99), "Fme@far|Tbob@b.example|Tann@a.example|| D\none\ntwo"));
}

#[test]
fn ones_own_address_is_direct_delivery() {
    let Some(site) = site() else { return };
    for own in ["joe", "JOE", "\\joe", "\"joe\"", "joe@h", "Joe@H", "Joe Lee <joe@h>", "joe@\"h\""]
    {
        assert_eq!(shown(&site, own), said(0, "direct delivery\n"), "{own}");
    }
    for other in ["joe@h.dom.example", "joe@x"] {
        assert_eq!(shown(&site, other).0, Some(99), "{other}");
    }
    let both = "forward a@b.c\ndirect delivery\n";
    assert_eq!(shown(&site, "joe, a@b.c"), said(0, both));
    assert_eq!(shown(&site, "a@b.c, joe, JOE"), said(0, both));
    let (code, _, queued) = delivered(&site, "joe, a@b.c");
    assert_eq!((code, queued), (Some(0), Some("Fme@far|Ta@b.c|| D\none\ntwo".into())));
    assert_eq!(delivered(&site, "joe"), (Some(0), String::new(), None));
}

#[test]
fn the_first_file_that_says_something_counts() {
    let Some(site) = site() else { return };
    site.place.write("empty", "").write("comments", "# x\n\n<>\n").write("used", "a@b.c\n");
    let run = |files: &[&str]| ran(&fed(&mut dot_forward(&site, files), ""));
    let skipped = "skipping empty file empty\nskipping empty file comments\n";
    assert_eq!(
        run(&["-n", "none", "empty", "comments"]),
        said(0, &format!("{skipped}direct delivery\n"))
    );
    assert_eq!(
        run(&["-n", "none", "comments", "used", "none"]),
        said(99, "skipping empty file comments\nforward a@b.c\n")
    );
    assert_eq!(run(&["none", "empty"]), said(0, ""));
    assert_eq!(run(&["-n", "-N"]), said(0, ""));
}

#[test]
fn commands_get_the_message_behind_three_lines() {
    let Some(site) = site() else { return };
    let forward = "\"|cat >one; exit 0\", \"|cat >two\"\na@b.c\n";
    let (code, _, queued) = delivered(&site, forward);
    assert_eq!((code, queued), (Some(99), Some("Fme@far|Ta@b.c|| D\none\ntwo".into())));
    assert_eq!([site.place.text("one"), site.place.text("two")], ["U\nR\nD\none\ntwo"; 2]);
    let shown = shown(&site, forward);
    assert_eq!(
        shown,
        said(99, "pipe through cat >two\npipe through cat >one; exit 0\nforward a@b.c\n")
    );
    // what is not quoted is words
    assert_eq!(delivered(&site, "|true joe").0, Some(0));
}

#[test]
fn a_command_that_fails_stops_the_message() {
    let Some(site) = site() else { return };
    for (command, code) in [
        ("exit 0", 99),
        ("exit 64", 100),
        ("exit 65", 100),
        ("exit 70", 100),
        ("exit 76", 100),
        ("exit 77", 100),
        ("exit 78", 100),
        ("exit 100", 100),
        ("exit 112", 100),
        ("exit 99", 111),
        ("exit 1", 111),
        ("exit 111", 111),
    ] {
        let (exit, _, queued) = delivered(&site, &format!("a@b.c, \"|{command}\""));
        assert_eq!((exit, queued.is_some()), (Some(code), code == 99), "{command}");
    }
    let crashed = "dot-forward: fatal: child crashed\n";
    assert_eq!(delivered(&site, "\"|kill -9 $$\""), (Some(111), crashed.into(), None));
}

#[test]
fn a_command_need_not_read_everything() {
    let Some(site) = site() else { return };
    site.place.write(".forward", "\"|true\", a@b.c").write("message", "x".repeat(1_000_000));
    let mut command = redirected("<message", &dot_forward(&site, &[".forward"]));
    assert_eq!(command.output().unwrap().status.code(), Some(99));
    assert_eq!(site.queued().unwrap().1.len(), 1_000_002);
}

#[test]
fn what_cannot_be_done_defers() {
    let Some(site) = site() else { return };
    let fatal = |why: &str| (Some(111), format!("dot-forward: fatal: {why}\n"), None);
    for (forward, why) in [
        ("/var/mail/joe\n", "file delivery /var/mail/joe not supported"),
        ("a@b.c, /file", "file delivery /file not supported"),
        ("a@b.c\nb (\n", "unable to parse this line: b ("),
        ("\"joe", "unable to parse this line: \"joe"),
        ("a>", "unable to parse this line: a>"),
        ("[", "unable to parse this line: ["),
    ] {
        let (code, err, queued) = delivered(&site, forward);
        // the original shows the line with its newline
        assert_eq!((code, err.replace("\n\n", "\n"), queued), fatal(why), "{forward}");
    }
    let run = |words: &[&str]| ran(&fed(&mut dot_forward(&site, words), ""));
    site.place.dir("folder").write("file", "");
    let said = |why: &str| said(111, &format!("dot-forward: fatal: {why}\n"));
    assert_eq!(run(&["folder"]), said("unable to read folder: is a directory"));
    assert_eq!(run(&["file/x"]), said("unable to open file/x: not a directory"));
}

#[test]
fn nothing_is_run_if_the_file_cannot_be_understood() {
    let Some(site) = site() else { return };
    if original() {
        return; // It runs what stands before.
    }
    assert_eq!(delivered(&site, "\"|echo >ran\"\nb>\n").0, Some(111));
    assert!(!site.place.exists("ran"));
}

#[test]
fn wrong_usage_is_told() {
    let Some(site) = site() else { return };
    let usage =
        "dot-forward: illegal option -- x\ndot-forward: usage: dot-forward [ -nN ] file ...\n";
    assert_eq!(ran(&dot_forward(&site, &["-x"]).output().unwrap()), said(100, usage));
}

#[test]
fn a_refusal_of_the_queue_is_passed_on() {
    let Some(site) = site() else { return };
    for (code, exit, text) in [
        (11, 100, "envelope address too long for qq (#5.1.3)"),
        (53, 111, "qq write error or disk full (#4.3.0)"),
    ] {
        let script = format!("cat >/dev/null; cat <&1 >/dev/null; exit {code}");
        site.place.script("lib/qmail/bin/qmail-queue", &script);
        let said = format!("dot-forward: fatal: unable to forward message: {text}\n");
        assert_eq!(delivered(&site, "a@b.c"), (Some(exit), said, None));
    }
}

#[test]
fn a_message_that_cannot_be_read_is_not_queued() {
    let Some(site) = site() else { return };
    site.place.write(".forward", "a@b.c");
    let run = |how| ran(&redirected(how, &dot_forward(&site, &[".forward"])).output().unwrap());
    let fatal =
        |why: &str| said(111, &format!("dot-forward: fatal: unable to read message: {why}\n"));
    assert_eq!(run("</"), fatal("is a directory"));
    if !original() {
        assert_eq!(run("<&-"), fatal("file descriptor not open"));
    }
}

#[test]
fn damaged_files_do_no_more_than_fail() {
    let Some(site) = site() else { return };
    let mut random = Random::new(9);
    // the parser alone is fed 10,000 of them, in mail::alias_line
    for case in 0..if original() { 0 } else { 100 } {
        let forward = random.damaged(b"joe, Ann <ann@a>, \"|c\" (x)\n# b\n:include:/d; e@[1.2]");
        site.place.write(".forward", forward);
        let (code, _, err) = ran(&fed(&mut dot_forward(&site, &["-n", ".forward"]), ""));
        assert!(matches!(code, Some(0 | 99 | 111)) && !err.contains("internal"), "{case}: {err}");
    }
}
