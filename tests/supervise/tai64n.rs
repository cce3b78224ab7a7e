use base::{sys::clock, tai64};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::Duration;
use tests::{LIMIT, Random, fed, program, ran, redirected, shown, start};

/// The time of the label that a line starts with, and the rest of the line.
#[track_caller]
fn split(line: &[u8]) -> (Duration, &[u8]) {
    let (label, rest) = line.split_at_checked(26).unwrap_or_else(|| panic!("{}", shown(line)));
    assert_eq!((label[0], label[25]), (b'@', b' '), "{}", shown(line));
    let seconds = tai64::hex(&label[1..17]).unwrap() - tai64::EPOCH;
    (Duration::new(seconds, tai64::hex(&label[17..25]).unwrap() as u32), rest)
}

#[test]
fn every_line_gets_the_time_of_its_coming() {
    let before = clock::now();
    let o = fed(&mut program("tai64n"), "one\n\n@4000000037c219bf2ef02e94 three\nfour");
    let after = clock::now();
    assert_eq!((o.status.code(), shown(&o.stderr)), (Some(0), String::new()));
    let (times, texts): (Vec<Duration>, Vec<&[u8]>) =
        o.stdout.split_inclusive(|byte| *byte == b'\n').map(split).unzip();
    let expected: [&[u8]; 4] = [b"one\n", b"\n", b"@4000000037c219bf2ef02e94 three\n", b"four"];
    assert_eq!(texts, expected);
    assert!(times.is_sorted());
    // the original has microseconds and adds half of one
    let slack = Duration::from_micros(1);
    assert!(times.iter().all(|time| *time + slack >= before && *time <= after + slack));
}

#[test]
fn nothing_becomes_nothing() {
    assert_eq!(ran(&fed(&mut program("tai64n"), "")), (Some(0), String::new(), String::new()));
}

#[test]
fn any_bytes_and_any_lengths_pass() {
    let mut random = Random::new(64);
    let mut input = Vec::new();
    for length in [0, 1, 8191, 8192, 8193, 65535, 65536, 65537, 200_000] {
        input
            .extend(random.bytes(length).iter().map(|byte| if *byte == b'\n' { 0 } else { *byte }));
        input.push(b'\n');
    }
    input.extend(random.bytes(100_000));
    let o = fed(&mut program("tai64n"), &input);
    assert_eq!((o.status.code(), shown(&o.stderr)), (Some(0), String::new()));
    let lines = o.stdout.split_inclusive(|byte| *byte == b'\n');
    let texts: Vec<u8> = lines.flat_map(|line| split(line).1.to_vec()).collect();
    assert!(texts == input);
}

#[test]
fn a_line_is_there_as_soon_as_it_is_written() {
    let mut running = start(&mut program("tai64n"));
    running.write("first\n");
    running.wait_out("first\n");
    running.write("sec");
    running.wait_out("sec");
    running.write("ond\n");
    running.wait_out("second\n");
    assert_eq!(running.finish(LIMIT).status.code(), Some(0));
}

#[test]
fn output_that_cannot_be_written_is_a_silent_failure() {
    for redirection in [">/dev/full", ">&-"] {
        let o = fed(&mut redirected(redirection, &program("tai64n")), "line\n");
        assert_eq!(ran(&o), (Some(111), String::new(), String::new()));
    }
}

#[test]
fn input_that_cannot_be_read_is_a_silent_failure() {
    let o = redirected("<&-", &program("tai64n")).output().unwrap();
    assert_eq!(ran(&o), (Some(111), String::new(), String::new()));
}

#[test]
fn a_reader_that_has_gone_ends_it_by_a_signal() {
    let mut command = program("tai64n");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    child.stdin.take().unwrap().write_all(b"line\n").unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGPIPE));
}
