//! addcr: add a CR to every line.

use tests::{LIMIT, fed, program, ran, redirected, start};

fn added(input: &[u8]) -> Vec<u8> {
    let o = fed(&mut program("addcr"), input);
    assert_eq!((o.status.code(), &o.stderr[..]), (Some(0), &b""[..]));
    o.stdout
}

#[test]
fn every_lf_gets_a_cr_even_if_it_has_one() {
    assert_eq!(added(b"a\nb\r\n\nlast"), b"a\r\nb\r\r\n\r\nlast");
    assert_eq!(added(b""), b"");
    assert_eq!(added(b"\0\xff\r\r\0\n\n"), b"\0\xff\r\r\0\r\n\r\n");
}

#[test]
fn input_of_any_length_is_changed_alike() {
    let line = [&b"x"[..], b"\0\xff\r"].concat().repeat(2500);
    let input = [&line[..], b"\n"].concat().repeat(100);
    let expected = [&line[..], b"\r\n"].concat().repeat(100);
    assert!(added(&input) == expected);
    assert_eq!(added(&b"\n".repeat(100_000)), b"\r\n".repeat(100_000));
}

#[test]
fn what_is_read_is_passed_on_before_more_is_read() {
    let mut addcr = start(&mut program("addcr"));
    addcr.write("one\n");
    addcr.wait_out("one\r\n");
    addcr.write("no end");
    addcr.wait_out("one\r\nno end");
    addcr.close();
    assert_eq!(addcr.wait(LIMIT).code(), Some(0));
}

#[test]
fn arguments_are_ignored() {
    let o = fed(program("addcr").args(["-x", "file"]), "a\n");
    assert_eq!(ran(&o), (Some(0), "a\r\n".into(), String::new()));
}

#[test]
fn an_output_or_input_that_fails_is_a_silent_111() {
    for redirections in [">/dev/full", ">&-", "<&-", "</"] {
        let o = fed(&mut redirected(redirections, &program("addcr")), "a\n");
        assert_eq!(ran(&o), (Some(111), String::new(), String::new()), "{redirections}");
    }
}

#[test]
fn an_output_that_nobody_reads_ends_it() {
    let mut shell = std::process::Command::new("/bin/sh");
    let script = "yes | \"$0\" | head -n 1";
    let o = shell.args(["-c", script]).arg(tests::bin("addcr")).output().unwrap();
    assert_eq!(ran(&o), (Some(0), "y\r\n".into(), String::new()));
}
