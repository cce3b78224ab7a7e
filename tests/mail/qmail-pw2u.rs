//! qmail-pw2u: assignments of a passwd file.

use std::os::unix::fs::MetadataExt;
use std::process::Command;
use tests::{Scratch, fed, program, ran, redirected, scratch};

/// Homes of the user who runs the tests, and of others.
fn passwd(place: &Scratch) -> String {
    place.dir("home").dir("users");
    let me = place.join("home").metadata().unwrap().uid().max(1);
    if tests::root() {
        place.chown("home", me, me);
    }
    let home = place.join("home").display().to_string();
    let (other, nobody) = (me + 1, "/nonexistent");
    format!(
        "root:x:0:0:root:/root:/bin/sh\nalias:x:{me}:2108::{home}::\njoe:x:{me}:100:Joe:{home}:/bin/sh\n\
         Ann:x:{me}:100::{home}:\nbob:x:{other}:100::{home}:\nlost:x:{me}:100::{nobody}:\n\
         short:x:{me}:100::{home}\nnuts\nx:y:z\nnobody::notanumber:1::{home}:\n"
    )
}

fn pw2u(place: &Scratch, words: &[&str]) -> Command {
    let mut command = program("qmail-pw2u");
    command.env("QMAILHOME", place.path()).args(words);
    command
}

/// What is printed for the accounts, with shorter homes and numbers.
#[track_caller]
fn made(place: &Scratch, words: &[&str]) -> String {
    let (code, out, err) = ran(&fed(&mut pw2u(place, words), passwd(place)));
    assert_eq!((code, err), (Some(0), String::new()));
    shorter(place, &out)
}

fn shorter(place: &Scratch, text: &str) -> String {
    let me = place.join("home").metadata().unwrap().uid();
    let text = text.replace(&place.join("home").display().to_string(), "/h");
    text.replace(&format!(":{me}:"), ":ME:").replace(&format!(":{}:", me + 1), ":OTHER:")
}

const ALIAS: &str =
    "+:alias:ME:2108:/h:-::\n=alias:alias:ME:2108:/h:::\n+alias-:alias:ME:2108:/h:-::\n";
const JOE: &str = "=joe:joe:ME:100:/h:::\n+joe-:joe:ME:100:/h:-::\n";

#[test]
fn each_account_with_a_home_has_its_addresses() {
    let place = scratch();
    assert_eq!(made(&place, &[]), format!("{ALIAS}{JOE}.\n"));
    let ann = "=Ann:Ann:ME:100:/h:::\n+Ann-:Ann:ME:100:/h:-::\n";
    assert_eq!(made(&place, &["-u"]), format!("{ALIAS}{JOE}{ann}.\n"));
    assert_eq!(made(&place, &["-uU", "-Ho"]), format!("{ALIAS}{JOE}.\n"));
    let others = "=bob:bob:OTHER:100:/h:::\n+bob-:bob:OTHER:100:/h:-::\n\
        =lost:lost:ME:100:/nonexistent:::\n+lost-:lost:ME:100:/nonexistent:-::\n";
    assert_eq!(made(&place, &["-H"]), format!("{ALIAS}{JOE}{others}.\n"));
}

#[test]
fn extensions_look_as_the_letters_say() {
    let place = scratch();
    let made = |words: &[&str]| made(&place, words);
    assert_eq!(
        made(&["-c+"]),
        format!("{ALIAS}{JOE}.\n").replace("-:alias", "+:alias").replace("-:joe", "+:joe")
    );
    assert_eq!(made(&["-c", "=x"]), made(&["-c="]));
    let none = "+:alias:ME:2108:/h:-::\n=alias:alias:ME:2108:/h:::\n=joe:joe:ME:100:/h:::\n.\n";
    assert_eq!([made(&["-C"]), made(&["-c", ""])], [none; 2]);
    assert_eq!(made(&["-/"]), format!("{ALIAS}{JOE}.\n").replace(":-::\n", ":-/::\n"));
}

#[test]
fn lists_choose_and_rename_users() {
    let place = scratch();
    place.write("users/include", "ALIAS\njoe \n# bob\nlost\n").write("users/exclude", "x\n");
    assert_eq!(made(&place, &[]), format!("{ALIAS}{JOE}.\n"));
    place.write("users/mailnames", "joe:joseph::j:\nnobody:x\nalias::\n");
    let joe = JOE.replace("=joe:", "=joseph:").replace("+joe-", "+joseph-")
        + &JOE.replace("=joe:", "=j:").replace("+joe-", "+j-");
    assert_eq!(made(&place, &[]), format!("+:alias:ME:2108:/h:-::\n{joe}.\n"));
    place.write("users/exclude", "JOE\n");
    assert_eq!(made(&place, &[]), "+:alias:ME:2108:/h:-::\n.\n");
}

#[test]
fn subusers_and_what_is_appended_come_last() {
    let place = scratch();
    place.dir("users").write("users/subusers", "sales:joe:s:\nshort:joe:x\njunk\nweb:Joe::x");
    place.write("users/append", "=x:a:70:80:/:::\n# as it is");
    let expected = "=sales:joe:ME:100:/h:-:s:\n+sales-:joe:ME:100:/h:-:s-:\n\
        =web:joe:ME:100:/h:-::\n+web-:joe:ME:100:/h:-:-:\n=x:a:70:80:/:::\n# as it is\n.\n";
    assert_eq!(made(&place, &[]), format!("{ALIAS}{JOE}{expected}"));
    let slash = made(&place, &["-/C"]);
    assert!(slash.contains("\n=sales:joe:ME:100:/h:-/:s:\n=web:"), "{slash}");
}

#[test]
fn what_is_printed_is_what_qmail_newu_wants() {
    let place = scratch();
    let output = fed(&mut pw2u(&place, &["-uH"]), passwd(&place));
    place.write("users/assign", output.stdout);
    let mut newu = program("qmail-newu");
    let output = newu.env("QMAILHOME", place.path()).output().unwrap();
    assert_eq!(ran(&output), (Some(0), String::new(), String::new()));
}

#[test]
fn trouble_is_named() {
    let place = scratch();
    let passwd = passwd(&place);
    let refused = |why: &str| (Some(111), String::new(), format!("qmail-pw2u: fatal: {why}\n"));
    let run = |words: &[&str], text: &str| ran(&fed(&mut pw2u(&place, words), text));
    assert_eq!(run(&[], "joe:x:1:1::/:\n"), refused("unable to find alias user"));
    assert_eq!(run(&["-h"], &passwd), refused("unable to stat /nonexistent"));
    place.write("users/subusers", "sales:lost:x:\n");
    assert_eq!(run(&[], &passwd), refused("unable to find lost user for subuser"));
    for list in ["include", "exclude", "mailnames", "subusers", "append"] {
        let place = scratch();
        place.dir(format!("users/{list}"));
        let (code, _, err) = ran(&fed(&mut pw2u(&place, &[]), self::passwd(&place)));
        let said = "qmail-pw2u: fatal: unable to read controls\n";
        assert_eq!((list, code, &*err), (list, Some(111), said));
    }
    let mut lost = pw2u(&place, &[]);
    lost.env("QMAILHOME", "/nonexistent");
    assert_eq!(ran(&fed(&mut lost, "")), refused("unable to chdir"));
    std::fs::remove_file(place.join("users/subusers")).unwrap();
    let mut full = redirected(">/dev/full", &pw2u(&place, &[]));
    assert_eq!(ran(&fed(&mut full, &passwd)), refused("unable to write output"));
    let mut closed = redirected("<&-", &pw2u(&place, &[]));
    assert_eq!(ran(&closed.output().unwrap()), refused("unable to read input"));
    let usage =
        "qmail-pw2u: illegal option -- x\nqmail-pw2u: usage: qmail-pw2u [ -/ohHuUC ] [ -c char ]\n";
    assert_eq!(run(&["-x"], ""), (Some(100), String::new(), usage.into()));
}
