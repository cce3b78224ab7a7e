//! qmail-tcpto: the table of addresses that do not answer.

use crate::installation::{Installation, installation};
use std::time::SystemTime;
use tests::{fed, ran, redirected};

/// A record of the table of IPv4 addresses.
fn record(ip: [u8; 4], count: u8, ago: u32) -> Vec<u8> {
    [&ip[..], &[count, 0, 0, 0], &time(ago), &[0; 4]].concat()
}

/// So many seconds ago.
fn time(ago: u32) -> [u8; 4] {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    (now as u32 - ago).to_le_bytes()
}

#[track_caller]
fn said(home: &Installation) -> String {
    let (code, out, err) = ran(&fed(&mut home.program("qmail-tcpto"), ""));
    assert_eq!((code, err), (Some(0), String::new()));
    out
}

#[test]
fn addresses_with_time_outs_are_listed() {
    if tests::original() {
        return; // IPv6 is ours.
    }
    let home = installation();
    assert_eq!(said(&home), "");
    let some = [
        record([192, 0, 2, 1], 2, 1000),
        record([192, 0, 2, 2], 0, 2000),
        record([192, 0, 2, 3], 10, 300_000),
        vec![1; 7],
    ];
    home.write("queue/lock/tcpto", some.concat());
    let said_of_v4 = said(&home);
    let words: Vec<Vec<&str>> = said_of_v4.lines().map(|line| line.split(' ').collect()).collect();
    let shape = |line: &[&str]| {
        let ago: u64 = line[3].parse().unwrap();
        format!("{} {} {}", line[0], ago / 100, line[4..].join(" "))
    };
    let lines: Vec<String> = words.iter().map(|line| shape(line)).collect();
    let expected = [
        "192.0.2.1 10 seconds ago; # recent timeouts: 2",
        "192.0.2.3 3000 seconds ago; # recent timeouts: 10",
    ];
    assert_eq!(lines, expected);
    let v6 = [&[0x20, 1, 0xd, 0xb8][..], &[0; 11], &[7], &[0; 4], &[1, 0, 0, 0], &time(0), &[0; 4]];
    home.write("queue/lock/tcpto6", v6.concat());
    let last = said(&home).lines().last().unwrap().to_owned();
    assert!(last.starts_with("2001:db8::7 timed out "), "{last}");
    assert!(last.ends_with(" seconds ago; # recent timeouts: 1"), "{last}");
    let full = record([192, 0, 2, 9], 1, 0).repeat(100);
    home.write("queue/lock/tcpto", full);
    assert_eq!(said(&home).lines().count(), 65);
}

#[test]
fn a_table_that_cannot_be_read_is_told_on_standard_output() {
    let home = installation();
    let run = |home: &Installation| ran(&fed(&mut home.program("qmail-tcpto"), ""));
    std::fs::remove_file(home.join("queue/lock/tcpto")).unwrap();
    let no = "fatal: unable to read tcpto: file does not exist\n";
    assert_eq!(run(&home), (Some(111), no.into(), String::new()));
}

#[test]
fn a_full_disk_is_a_temporary_failure() {
    if tests::original() {
        return; // The originals do not look.
    }
    let home = installation();
    home.write("queue/lock/tcpto", record([192, 0, 2, 1], 1, 0));
    let mut command = redirected(">/dev/full", &home.program("qmail-tcpto"));
    let (code, _, err) = ran(&fed(home.as_its_user(&mut command), ""));
    let said = "qmail-tcpto: fatal: unable to write output: out of disk space\n";
    assert_eq!((code, &*err), (Some(111), said));
}
