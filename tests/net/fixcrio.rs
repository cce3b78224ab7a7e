//! fixcrio: add missing CRs to the lines of a program's input and output.

use std::process::Command;
use tests::{LIMIT, bin, fed, original, program, ran, redirected, shown, start};

/// What the program gets and, being cat, gives: by one of the two ways alone nothing changes
/// twice, because there is a CR the second time.
fn fixed(input: &[u8]) -> Vec<u8> {
    let o = fed(program("fixcrio").arg("cat"), input);
    assert_eq!((o.status.code(), &o.stderr[..]), (Some(0), &b""[..]));
    o.stdout
}

#[test]
fn a_cr_is_added_where_it_is_missing() {
    assert_eq!(fixed(b"\na\nb\r\n\n\r\r\nc\rd"), b"\r\na\r\nb\r\n\r\n\r\r\nc\rd");
    assert_eq!(fixed(b"\0\xff\n\0\r"), b"\0\xff\r\n\0\r");
    assert_eq!(fixed(b""), b"");
}

#[test]
fn input_and_output_are_fixed_each() {
    let o = fed(program("fixcrio").args(["sh", "-c", "od -An -c; echo out"]), "in\n");
    let words: Vec<_> = shown(&o.stdout).split(' ').map(str::to_owned).collect();
    let words: String = words.concat();
    assert_eq!((o.status.code(), &words[..]), (Some(0), "in\\r\\n\r\nout\r\n"));
}

#[test]
fn a_cr_counts_even_if_it_came_before() {
    let mut fixcrio = start(program("fixcrio").arg("cat"));
    fixcrio.write("one\r");
    fixcrio.wait_out("one\r");
    fixcrio.write("\ntwo");
    fixcrio.wait_out("one\r\ntwo");
    fixcrio.write("\n");
    fixcrio.wait_out("one\r\ntwo\r\n");
}

#[test]
fn both_ways_may_be_full_at_once() {
    let mut command = program("fixcrio");
    command.args(["sh", "-c", "head -c 300000 /dev/zero; cat; echo end"]);
    let o = fed(&mut command, "x\n".repeat(150_000));
    assert_eq!((o.status.code(), o.stdout.len()), (Some(0), 300_000 + 450_000 + 5));
}

#[test]
fn the_program_keeps_the_process_and_its_exit_code() {
    let mut fixcrio = start(program("fixcrio").args(["sh", "-c", "echo $$; cat; exit 3"]));
    fixcrio.wait_out(&format!("{}\r\n", fixcrio.pid()));
    fixcrio.close();
    assert_eq!(fixcrio.wait(LIMIT).code(), Some(3));
}

#[test]
fn the_end_of_the_input_ends_the_programs_input_only() {
    let o = fed(program("fixcrio").args(["sh", "-c", "cat >/dev/null; echo done"]), "x\n");
    assert_eq!(ran(&o), (Some(0), "done\r\n".into(), String::new()));
}

#[test]
fn an_output_that_nobody_reads_ends_the_program() {
    let script = "\"$0\" sh -c 'while echo x; do :; done; exit 6' | head -1";
    let o = Command::new("/bin/sh").args(["-c", script]).arg(bin("fixcrio")).output().unwrap();
    assert_eq!((o.status.code(), shown(&o.stdout)), (Some(0), "x\r\n".into()));
}

#[test]
fn an_output_that_is_full_ends_the_programs_output() {
    // SIGPIPE ends the shell, or its echo fails.
    let mut command = program("fixcrio");
    command.args(["sh", "-c", "trap '' PIPE; while echo x 2>&-; do :; done; exit 6"]);
    let o = redirected(">/dev/full", &command).output().unwrap();
    assert_eq!(ran(&o), (Some(6), String::new(), String::new()));
}

#[test]
fn without_a_program_it_is_wrong_usage() {
    let o = program("fixcrio").output().unwrap();
    let said = "fixcrio: usage: fixcrio program [ arg ... ]\n";
    assert_eq!(ran(&o), (Some(100), String::new(), said.into()));
}

#[test]
fn a_program_that_cannot_be_run_is_named() {
    let o = program("fixcrio").arg("/no/such/file").output().unwrap();
    let said = "fixcrio: fatal: unable to run /no/such/file: file does not exist\n";
    assert_eq!(ran(&o), (Some(111), String::new(), said.into()));
}

#[test]
fn descriptors_that_are_used_up_are_named() {
    // The original cannot even start then.
    if original() {
        return;
    }
    let script = "ulimit -n 5; exec \"$0\" cat";
    let o = Command::new("/bin/sh").args(["-c", script]).arg(bin("fixcrio")).output().unwrap();
    let said = "fixcrio: fatal: unable to create pipe: process cannot open more files\n";
    assert_eq!(ran(&o), (Some(111), String::new(), said.into()));
}
