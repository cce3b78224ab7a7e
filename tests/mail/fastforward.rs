//! fastforward: forward mail as a table says.

use crate::site::{Site, site};
use std::fs::File;
use std::process::Command;
use tests::{Random, fed, original, program, ran, redirected};

/// Instructions of all kinds.
const TABLE: &str = "\
    all@h: one@h, two@h, other@else;\n\
    one@h: x@h, y@h;\n\
    two@h: ?boss@h, z@h;\n\
    loop@h: loop@h, k@h;\n\
    same@h: x@h, &x@h, x@H, x@h;\n\
    @wild: q@h, ?wild@h;\n\
    user@: r@h;\n\
    run@h: |cat\\ >got\\;\\ exit\\ 0, !cat\\ >got2, s@h;\n\
    list@h: ./list.bin, t@h;\n";

/// fastforward with a table and the variables of qmail-local.
fn fastforward(site: &Site, options: &str, recipient: &str) -> Command {
    let mut command = site.program("fastforward");
    command.args([options, "table.cdb"]).env("RECIPIENT", recipient).env("SENDER", "me@far");
    command.env("DTLINE", "Delivered-To: alias\n").env("UFLINE", "U\n").env("RPLINE", "R\n");
    command
}

fn prepared() -> Option<Site> {
    let site = site()?;
    site.table("table.cdb", TABLE);
    Some(site)
}

/// What -n says.
#[track_caller]
fn shown(site: &Site, recipient: &str) -> String {
    let (code, out, err) = ran(&fed(&mut fastforward(site, "-n", recipient), ""));
    assert_eq!((code, &*out), (Some(0), ""), "{err}");
    err
}

fn said(code: i32, err: &str) -> (Option<i32>, String, String) {
    (Some(code), String::new(), err.into())
}

const NO_MAILBOX: &str = "Sorry, no mailbox here by that name. (#5.1.1)\n";

#[test]
fn aliases_are_followed_to_their_ends() {
    let Some(site) = prepared() else { return };
    let to = |sender: &str, recipients: &str| {
        let to: String = recipients.split(' ').map(|to| format!("to <{to}>\n")).collect();
        format!("from <{sender}>\n{to}")
    };
    assert_eq!(shown(&site, "all@h"), to("me@far", "x@h y@h two@h other@else"));
    assert_eq!(shown(&site, "ALL@H"), to("me@far", "x@h y@h two@h other@else"));
    assert_eq!(shown(&site, "two@h"), to("boss@h", "z@h"));
    assert_eq!(shown(&site, "loop@h"), to("me@far", "k@h"));
    assert_eq!(shown(&site, "same@h"), to("me@far", "x@H x@h"));
    assert_eq!(shown(&site, "any@wild"), to("wild@h", "q@h"));
    assert_eq!(shown(&site, "user@anywhere"), to("me@far", "r@h"));
}

#[test]
fn a_bounce_stays_one() {
    let Some(site) = prepared() else { return };
    for sender in ["", "#@[]"] {
        let mut command = fastforward(&site, "-n", "two@h");
        let o = fed(command.env("SENDER", sender), "");
        assert_eq!(ran(&o), said(0, &format!("from <{sender}>\nto <z@h>\n")));
    }
    let mut command = fastforward(&site, "-n", "user@h");
    let o = fed(command.env_remove("SENDER"), "");
    assert_eq!(ran(&o), said(0, "from <original envelope sender>\nto <r@h>\n"));
}

#[test]
fn the_recipient_may_be_what_qmail_local_left_over() {
    let Some(site) = prepared() else { return };
    let run = |set: &[(&str, &str)]| {
        let mut command = fastforward(&site, "-nd", "none@h");
        ran(&fed(command.envs(set.iter().copied()), ""))
    };
    let found = said(0, "from <me@far>\nto <r@h>\n");
    assert_eq!(run(&[("DEFAULT", "user"), ("EXT", "x"), ("HOST", "h")]), found);
    assert_eq!(run(&[("EXT", "user"), ("HOST", "h")]), found);
    let fatal = |what: &str| said(100, &format!("fastforward: fatal: {what} must be set\n"));
    assert_eq!(run(&[("EXT", "user")]), fatal("$HOST"));
    assert_eq!(run(&[("HOST", "h")]), fatal("$DEFAULT or $EXT"));
    let mut command = fastforward(&site, "-nD", "none@h");
    assert_eq!(ran(&fed(command.env_remove("RECIPIENT"), "")), fatal("$RECIPIENT"));
}

#[test]
fn one_message_goes_to_all() {
    let Some(site) = prepared() else { return };
    let (code, out, err) = ran(&fed(&mut fastforward(&site, "-N", "all@h"), "message"));
    assert!(err.starts_with("fastforward: qp "), "{err}");
    assert_eq!((code, &*out), (Some(0), ""));
    let (envelope, message) = site.queued().unwrap();
    assert_eq!(envelope, "Fme@far|Tx@h|Ty@h|Ttwo@h|Tother@else||");
    assert_eq!(message, "Delivered-To: alias\nmessage");
}

#[test]
fn unknown_recipients_bounce_or_pass() {
    let Some(site) = prepared() else { return };
    for recipient in ["none@h", "none", "all", ""] {
        assert_eq!(ran(&fed(&mut fastforward(&site, "-P", recipient), "m")), said(100, NO_MAILBOX));
        assert_eq!(ran(&fed(&mut fastforward(&site, "-p", recipient), "m")), said(0, ""));
    }
    assert_eq!(fed(&mut fastforward(&site, "-p", "all@h"), "m").status.code(), Some(99));
    assert!(site.queued().is_some());
}

#[test]
fn programs_get_the_message_and_the_rest_goes_on() {
    let Some(site) = prepared() else { return };
    site.place.write("message", "one\ntwo");
    let mut command = redirected("<message", &fastforward(&site, "-p", "run@h"));
    assert_eq!(command.output().unwrap().status.code(), Some(99));
    assert_eq!(site.place.text("got"), "one\ntwo");
    assert_eq!(site.place.text("got2"), "U\nR\nDelivered-To: alias\none\ntwo");
    let message = "Delivered-To: alias\none\ntwo";
    assert_eq!(site.queued(), Some(("Fme@far|Ts@h||".into(), message.into())));
    let dry = "run |cat >got; exit 0\nrun !cat >got2\nfrom <me@far>\nto <s@h>\n";
    assert_eq!(shown(&site, "run@h"), dry);
}

#[test]
fn a_program_that_fails_stops_the_message() {
    let Some(site) = site() else { return };
    for (command, code) in [
        ("exit 0", 0),
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
        ("kill -9 $$", 111),
    ] {
        let text = format!("a@h: |{}, b@h;", command.replace(' ', "\\ "));
        site.table("table.cdb", &text).place.write("message", "m");
        let mut run = redirected("<message", &fastforward(&site, "-N", "a@h"));
        let (exit, _, err) = ran(&run.output().unwrap());
        assert_eq!((exit, site.queued().is_some()), (Some(code), code == 0), "{command}: {err}");
        assert!(
            !command.starts_with('k') || err.starts_with("fastforward: fatal: child crashed in ")
        );
    }
}

#[test]
fn lists_are_followed_too() {
    let Some(site) = prepared() else { return };
    site.place
        .write("list.bin", "&u@h\0./more.bin\0&one@h\0|echo never\0")
        .write("more.bin", "&v@h\0./list.bin\0");
    let recipients = "to <u@h>\nto <v@h>\nto <x@h>\nto <y@h>\nto <t@h>\n";
    assert_eq!(shown(&site, "list@h"), format!("from <me@far>\n{recipients}"));
}

#[test]
fn a_list_that_cannot_be_read_defers() {
    let Some(site) = prepared() else { return };
    let run = || ran(&fed(&mut fastforward(&site, "-n", "list@h"), ""));
    let fatal = |why: &str| said(111, &format!("fastforward: fatal: {why}\n"));
    assert_eq!(run(), fatal("unable to read ./list.bin: file does not exist"));
    site.place.write("list.bin", "&u@h\0").chmod("list.bin", 0o640);
    assert_eq!(run(), fatal("./list.bin is not world-readable"));
    if original() {
        return; // It takes what it finds.
    }
    site.place.chmod("list.bin", 0o644).write("list.bin", "&u@h\0&v@h");
    assert_eq!(run(), fatal("./list.bin is not a mailing list"));
    let list = File::create(site.place.join("list.bin")).unwrap();
    list.set_len((64 << 20) + 1).unwrap();
    assert_eq!(run(), fatal("./list.bin is too long"));
}

#[test]
fn a_list_in_a_list_is_found_compiled() {
    if original() {
        return; // newinclude names the text, in which the original finds nobody.
    }
    let Some(site) = prepared() else { return };
    site.place.write("all", ":include:./staff\n").write("staff", "u@h.example\n");
    for list in ["all", "staff"] {
        let o = site.program("newinclude").arg(list).output().unwrap();
        assert_eq!(ran(&o), said(0, ""));
    }
    site.table("table.cdb", "all@h: ./all.bin;");
    assert_eq!(shown(&site, "all@h"), "from <me@far>\nto <u@h.example>\n");
}

#[test]
fn a_table_that_cannot_be_read_defers() {
    let Some(site) = site() else { return };
    let fatal =
        |why: &str| said(111, &format!("fastforward: fatal: unable to read table.cdb: {why}\n"));
    let run = || ran(&fed(&mut fastforward(&site, "-n", "all@h"), ""));
    assert_eq!(run(), fatal("file does not exist"));
    site.place.write("table.cdb", "short");
    let seen = run();
    assert!(seen == fatal("protocol error") || original() && seen == fatal("input/output error"));
    let run = |words: &[&str]| ran(&site.program("fastforward").args(words).output().unwrap());
    let known = if original() { "-nNpP" } else { "-nNpPdD" };
    let short = |(code, out, err): (Option<i32>, String, String)| {
        (code, out, if original() { err.replace("-nNpPdD", "-nNpP") } else { err })
    };
    let usage = format!("fastforward: usage: fastforward [ {known} ] data.cdb\n");
    assert_eq!(short(run(&[])), said(100, &usage));
    let illegal = format!("fastforward: illegal option -- x\n{usage}");
    assert_eq!(short(run(&["-x", "t"])), said(100, &illegal));
}

#[test]
fn a_refusal_of_the_queue_is_passed_on() {
    let Some(site) = prepared() else { return };
    for (code, exit, text) in [
        (11, 100, "envelope address too long for qq (#5.1.3)"),
        (31, 100, "mail server permanently rejected message (#5.3.0)"),
        (53, 111, "qq write error or disk full (#4.3.0)"),
        (120, 111, "unable to exec qq (#4.3.0)"),
    ] {
        let script = format!("cat >/dev/null; cat <&1 >/dev/null; exit {code}");
        site.place.script("lib/qmail/bin/qmail-queue", &script);
        let o = fed(&mut fastforward(&site, "-p", "all@h"), "m");
        assert_eq!(ran(&o), said(exit, &format!("fastforward: fatal: {text}\n")));
    }
}

#[test]
fn a_message_that_cannot_be_read_is_not_queued() {
    let Some(site) = prepared() else { return };
    let run = |how| ran(&redirected(how, &fastforward(&site, "-N", "all@h")).output().unwrap());
    let fatal =
        |why: &str| said(111, &format!("fastforward: fatal: unable to read message: {why}\n"));
    assert_eq!(run("</"), fatal("is a directory"));
    // the original then takes the table for the message
    if !original() {
        assert_eq!(run("<&-"), fatal("file descriptor not open"));
    }
}

#[test]
fn damaged_tables_do_no_more_than_fail() {
    let Some(site) = prepared() else { return };
    let table = site.place.read("table.cdb");
    let mut random = Random::new(7);
    // our reader alone is fed 10,000 of them, in base::cdb
    for case in 0..if original() { 0 } else { 100 } {
        site.place.write("bad.cdb", random.damaged(&table));
        let mut command = program("fastforward");
        command.args(["-n", "bad.cdb"]).current_dir(site.place.path()).env("RECIPIENT", "all@h");
        let (code, _, err) = ran(&fed(&mut command, ""));
        assert!(matches!(code, Some(0 | 100 | 111)) && !err.contains("internal"), "{case}: {err}");
    }
}
