//! preline: prepend lines to a message.

use std::process::Command;
use tests::{fed, program, ran, redirected, shown};

const USAGE: &str = "preline: usage: preline cmd [ arg ... ]\n";

/// preline with its three variables.
fn preline(words: &[&str]) -> Command {
    let mut command = program("preline");
    command.args(words).env("UFLINE", "F\n").env("RPLINE", "R\n").env("DTLINE", "D\n");
    command
}

fn out(words: &[&str], message: &str) -> String {
    let (code, out, err) = ran(&fed(&mut preline(words), message));
    assert_eq!((code, &*err), (Some(0), ""));
    out
}

#[test]
fn three_lines_precede_the_message_unless_left_out() {
    assert_eq!(out(&["cat"], "m"), "F\nR\nD\nm");
    assert_eq!(out(&["-f", "cat"], "m"), "R\nD\nm");
    assert_eq!(out(&["-r", "cat"], "m"), "F\nD\nm");
    assert_eq!(out(&["-d", "cat"], "m"), "F\nR\nm");
    assert_eq!(out(&["-frd", "cat"], "m"), "m");
    assert_eq!(out(&["-frd", "-R", "cat"], "m"), "R\nm");
    assert_eq!(out(&["-dFrR", "--", "cat"], ""), "F\nR\n");
    assert_eq!(out(&["sh", "-c", "cat; echo $1", "sh", "-f"], "m\n"), "F\nR\nD\nm\n-f\n");
}

#[test]
fn a_long_message_goes_through_as_it_is() {
    let message = tests::Random::new(1).bytes(1_000_000);
    let o = fed(&mut preline(&["cat"]), &message);
    assert_eq!(o.status.code(), Some(0));
    assert!(o.stdout == [b"F\nR\nD\n", &message[..]].concat());
}

#[test]
fn the_commands_exit_code_counts() {
    for code in [0, 1, 99, 100, 111, 255] {
        let o = fed(&mut preline(&["sh", "-c", &format!("exit {code}")]), "m");
        assert_eq!(ran(&o), (Some(code), String::new(), String::new()));
    }
    let o = fed(&mut preline(&["sh", "-c", "kill -9 $$"]), "m");
    assert_eq!(ran(&o), (Some(111), String::new(), "preline: fatal: child crashed\n".into()));
}

#[test]
fn a_command_need_not_read_everything() {
    // the original calls it a failure if the message does not fit into a pipe
    if tests::original() {
        return;
    }
    let long = "x".repeat(1_000_000);
    let o = fed(&mut preline(&["sh", "-c", "read a; echo $a; exit 7"]), &long);
    assert_eq!(ran(&o), (Some(7), "F\n".into(), String::new()));
    assert_eq!(fed(&mut preline(&["true"]), &long).status.code(), Some(0));
}

#[test]
fn a_command_dies_of_a_broken_pipe_like_any_other() {
    let script = "trap '' PIPE; exec \"$0\" sh -c 'kill -PIPE $$; echo alive'";
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", script]).arg(tests::bin("preline"));
    shell.env("UFLINE", "").env("RPLINE", "").env("DTLINE", "");
    let o = fed(&mut shell, "m");
    assert_eq!(ran(&o), (Some(111), String::new(), "preline: fatal: child crashed\n".into()));
}

#[test]
fn a_command_and_three_variables_are_needed() {
    let run = |command: &mut Command| ran(&fed(command, "m"));
    let usage = || (Some(100), String::new(), USAGE.to_owned());
    assert_eq!(run(&mut preline(&[])), usage());
    assert_eq!(run(&mut preline(&["-f"])), usage());
    for name in ["UFLINE", "RPLINE", "DTLINE"] {
        assert_eq!(run(preline(&["-frd", "cat"]).env_remove(name)), usage());
    }
    let illegal = format!("preline: illegal option -- x\n{USAGE}");
    assert_eq!(run(&mut preline(&["-x", "cat"])), (Some(100), String::new(), illegal));
}

#[test]
fn a_missing_command_is_permanent() {
    let o = fed(&mut preline(&["/nonexistent"]), "m");
    let why = "preline: fatal: unable to run /nonexistent: file does not exist\n";
    assert_eq!(ran(&o), (Some(100), String::new(), why.into()));
}

#[test]
fn a_message_that_cannot_be_read_is_temporary() {
    let o = redirected("<&-", &preline(&["cat"])).output().unwrap();
    let why = "preline: fatal: unable to copy input: file descriptor not open\n";
    assert_eq!((o.status.code(), shown(&o.stderr)), (Some(111), why.into()));
}
