//! delcr: remove the CR at the end of every line.

use tests::{LIMIT, fed, program, ran, redirected, start};

fn deleted(input: &[u8]) -> Vec<u8> {
    let o = fed(&mut program("delcr"), input);
    assert_eq!((o.status.code(), &o.stderr[..]), (Some(0), &b""[..]));
    o.stdout
}

#[test]
fn one_cr_before_each_lf_is_dropped_and_no_other() {
    assert_eq!(deleted(b"a\r\nb\n\r\n\r\r\nc\rd\n"), b"a\nb\n\n\r\nc\rd\n");
    assert_eq!(deleted(b"last\r"), b"last\r");
    assert_eq!(deleted(b"last\r\r"), b"last\r\r");
    assert_eq!(deleted(b""), b"");
    assert_eq!(deleted(b"\0\xff\r\0\r\n"), b"\0\xff\r\0\n");
}

#[test]
fn input_of_any_length_is_changed_alike() {
    let line = [&b"x"[..], b"\0\xff\r"].concat().repeat(2500);
    let input = [&line[..], b"\r\n"].concat().repeat(100);
    let expected = [&line[..], b"\n"].concat().repeat(100);
    assert!(deleted(&input) == expected);
    assert_eq!(deleted(&b"\r\n".repeat(100_000)), b"\n".repeat(100_000));
    assert_eq!(deleted(&b"\r".repeat(100_000)), b"\r".repeat(100_000));
}

#[test]
fn what_is_read_is_passed_on_before_more_is_read() {
    let mut delcr = start(&mut program("delcr"));
    delcr.write("one\r\n");
    delcr.wait_out("one\n");
    delcr.write("no end");
    delcr.wait_out("one\nno end");
    delcr.close();
    assert_eq!(delcr.wait(LIMIT).code(), Some(0));
}

#[test]
fn a_cr_and_its_lf_may_come_apart() {
    let mut delcr = start(&mut program("delcr"));
    delcr.write("one\r");
    delcr.wait_out("one");
    delcr.write("\ntwo\r");
    delcr.wait_out("one\ntwo");
    delcr.write("x");
    delcr.wait_out("one\ntwo\rx");
    delcr.write("\r");
    delcr.close();
    assert_eq!(delcr.wait(LIMIT).code(), Some(0));
    assert_eq!(delcr.wait_out("x\r"), "one\ntwo\rx\r");
}

#[test]
fn arguments_are_ignored() {
    let o = fed(program("delcr").args(["-x", "file"]), "a\r\n");
    assert_eq!(ran(&o), (Some(0), "a\n".into(), String::new()));
}

#[test]
fn an_output_or_input_that_fails_is_a_silent_111() {
    for redirections in [">/dev/full", ">&-", "<&-", "</"] {
        let o = fed(&mut redirected(redirections, &program("delcr")), "a\n");
        assert_eq!(ran(&o), (Some(111), String::new(), String::new()), "{redirections}");
    }
}

#[test]
fn an_output_that_nobody_reads_ends_it() {
    let mut shell = std::process::Command::new("/bin/sh");
    let script = "yes | \"$0\" | head -n 1";
    let o = shell.args(["-c", script]).arg(tests::bin("delcr")).output().unwrap();
    assert_eq!(ran(&o), (Some(0), "y\n".into(), String::new()));
}
