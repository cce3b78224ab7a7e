use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use tests::{LIMIT, Random, fed, original, program, ran, redirected, shown, start};

fn in_zone(zone: &str) -> Command {
    let mut command = program("tai64nlocal");
    command.env("TZ", zone);
    command
}

fn done(out: &str) -> (Option<i32>, String, String) {
    (Some(0), out.to_owned(), String::new())
}

#[test]
fn labels_at_the_start_of_lines_become_local_time() {
    let input = "@4000000037c219bf2ef02e94 one\n@4000000037c219bf00000000\n\
        @400000006a0000003b9ac9ff\ttwo\n@400000000000000a00000001 three\n";
    let utc = "1999-08-24 04:04:05.787492500 one\n1999-08-24 04:04:05.000000000\n\
        2026-05-10 03:48:06.999999999\ttwo\n1970-01-01 00:00:00.000000001 three\n";
    assert_eq!(ran(&fed(&mut in_zone("UTC"), input)), done(utc));
    let east = "1999-08-24 09:49:05.787492500 one\n1999-08-24 09:49:05.000000000\n\
        2026-05-10 09:33:06.999999999\ttwo\n1970-01-01 05:45:00.000000001 three\n";
    assert_eq!(ran(&fed(&mut in_zone("XXX-5:45"), input)), done(east));
}

#[test]
fn summer_time_is_known() {
    let zone = "CET-1CEST,M3.5.0,M10.5.0/3";
    let input = "@40000000641f991900000000 before\n@40000000641f991a00000000 after\n";
    let expected = "2023-03-26 01:59:59.000000000 before\n2023-03-26 03:00:00.000000000 after\n";
    assert_eq!(ran(&fed(&mut in_zone(zone), input)), done(expected));
    let input = "@40000000653dae9900000000 x\n@40000000653dae9a00000000 x\n";
    let expected = "2023-10-29 02:59:59.000000000 x\n2023-10-29 02:00:00.000000000 x\n";
    assert_eq!(ran(&fed(&mut in_zone(zone), input)), done(expected));
}

#[test]
fn lines_without_a_label_are_copied() {
    let input = b"plain\n\nx @4000000037c219bf2ef02e94\n @4000000037c219bf2ef02e94 x\n\
        \xff\0\r\nno newline at the end";
    let o = fed(&mut in_zone("UTC"), input);
    assert_eq!((o.status.code(), shown(&o.stdout)), (Some(0), shown(input)));
}

#[test]
fn what_is_no_label_is_copied() {
    // the original crashes on most of these, and eats or drops the rest
    if original() {
        return;
    }
    for line in [
        "@",
        "@\n",
        "@zz\n",
        "@@4000000037c219bf2ef02e94\n",
        "@4000000037C219BF2EF02E94 upper case\n",
        "@4000000037c219bf2ef02e944 one too many\n",
        "@4000000037c219bf2ef02e9 one too few\n",
        "@4000000037c219bf2ef02e9",
        "@4000000037c219bf3b9aca00 a whole second of nanoseconds\n",
        "@ffffffffffffffff00000000 absurd\n",
        "@000000000000000000000000 absurd\n",
        "@8000000000000000 absurd\n",
        "@4000000037c219b fifteen\n",
        "@4000000037c219bf2 seventeen\n",
    ] {
        assert_eq!(ran(&fed(&mut in_zone("UTC"), line)), done(line));
    }
}

#[test]
fn short_labels_have_no_fraction() {
    // the original crashes
    if original() {
        return;
    }
    let input = "@4000000037c219bf one\n@4000000037c219c0\n@4000000037c219bf";
    let expected = "1999-08-24 04:04:05 one\n1999-08-24 04:04:06\n1999-08-24 04:04:05";
    assert_eq!(ran(&fed(&mut in_zone("UTC"), input)), done(expected));
}

#[test]
fn a_label_may_end_with_the_input() {
    // the original drops the half of it
    if original() {
        return;
    }
    let o = fed(&mut in_zone("UTC"), "@4000000037c219bf2ef02e94");
    assert_eq!(ran(&o), done("1999-08-24 04:04:05.787492500"));
}

#[test]
fn labels_are_found_however_the_input_is_cut() {
    let input = "@4000000037c219bf2ef02e94 one\n\nplain\n@4000000037c219bf2ef02e94 two\n";
    let expected =
        "1999-08-24 04:04:05.787492500 one\n\nplain\n1999-08-24 04:04:05.787492500 two\n";
    let mut running = start(&mut in_zone("UTC"));
    for byte in input.bytes() {
        running.write([byte]);
        // so that every byte is one read
        tests::until(LIMIT, "the byte is read", || {
            let wait = std::fs::read_to_string(format!("/proc/{}/syscall", running.pid()));
            wait.map_or(true, |line| line.starts_with("0 "))
        });
    }
    assert_eq!(ran(&running.finish(LIMIT)), done(expected));
}

#[test]
fn a_line_is_there_as_soon_as_it_is_written() {
    let mut running = start(&mut in_zone("UTC"));
    running.write("@4000000037c219bf2ef02e94 one\n");
    running.wait_out("1999-08-24 04:04:05.787492500 one\n");
    running.write("two\n");
    running.wait_out("two\n");
    assert_eq!(running.finish(LIMIT).status.code(), Some(0));
}

#[test]
fn damaged_labels_never_hurt() {
    // the original crashes
    if original() {
        return;
    }
    let mut random = Random::new(25);
    let mut input = Vec::new();
    for _ in 0..10_000 {
        input.extend(random.damaged(b"@4000000037c219bf2ef02e94 a line of text\n"));
    }
    let o = fed(&mut in_zone("UTC"), &input);
    assert_eq!((o.status.code(), shown(&o.stderr)), (Some(0), String::new()));
    let lines = |text: &[u8]| text.split(|byte| *byte == b'\n').count();
    assert_eq!(lines(&o.stdout), lines(&input));
    // a line is as it was, or has a date in the place of its label
    let pairs = o.stdout.split(|b| *b == b'\n').zip(input.split(|b| *b == b'\n'));
    for (shown_line, line) in pairs.filter(|(out, line)| out != line) {
        let rest = line.get(25..).unwrap_or_default();
        let same_end = shown_line.ends_with(rest) || shown_line.ends_with(&line[17..]);
        assert!(same_end && line[0] == b'@' && shown_line.contains(&b'-'), "{}", shown(line));
    }
}

#[test]
fn long_lines_pass() {
    let mut input = b"@4000000037c219bf2ef02e94".to_vec();
    let mut expected = b"1999-08-24 04:04:05.787492500".to_vec();
    let rest = vec![b' '; 200_000];
    input.extend(&rest);
    expected.extend(&rest);
    assert!(fed(&mut in_zone("UTC"), &input).stdout == expected);
}

#[test]
fn output_that_cannot_be_written_is_a_silent_failure() {
    for redirection in [">/dev/full", ">&-"] {
        let o = fed(&mut redirected(redirection, &in_zone("UTC")), "line\n");
        assert_eq!(ran(&o), (Some(111), String::new(), String::new()));
    }
}

#[test]
fn input_that_cannot_be_read_is_a_silent_failure() {
    let o = redirected("<&-", &program("tai64nlocal")).output().unwrap();
    assert_eq!(ran(&o), (Some(111), String::new(), String::new()));
}

#[test]
fn a_reader_that_has_gone_ends_it_by_a_signal() {
    let mut command = in_zone("UTC");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    child.stdin.take().unwrap().write_all(b"line\n").unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGPIPE));
}
