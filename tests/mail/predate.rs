//! predate: put a Date field before a message.

use std::process::Command;
use tests::{fed, program, ran};

fn predate(words: &[&str]) -> Command {
    let mut command = program("predate");
    command.args(words);
    command
}

#[test]
fn the_date_is_local_and_precedes_the_message() {
    for (zone, end) in [("UTC", " +0000"), ("XXX-05:30", " +0530"), ("XXX+03:30", " -0330")] {
        let o = fed(predate(&["cat"]).env("TZ", zone), "Subject: x\n\nbody");
        let (code, out, err) = ran(&o);
        let (date, rest) = out.split_once('\n').unwrap();
        assert_eq!((code, rest, &*err), (Some(0), "Subject: x\n\nbody", ""));
        let words: Vec<&str> = date.strip_prefix("Date: ").unwrap().split(' ').collect();
        let [day, month, year, time, _] = words[..] else { panic!("{date}") };
        assert!(date.ends_with(end), "{date}");
        assert!((1..=31).contains(&day.parse::<u32>().unwrap()) && year.parse::<u32>().is_ok());
        assert!(
            "JanFebMarAprMayJunJulAugSepOctNovDec".contains(month) && time.len() == 8,
            "{date}"
        );
    }
}

#[test]
fn the_childs_exit_code_counts() {
    for code in [0, 1, 100, 111] {
        let o = fed(&mut predate(&["sh", "-c", &format!("exit {code}")]), "x".repeat(200_000));
        assert_eq!(ran(&o), (Some(code), String::new(), String::new()));
    }
    let o = fed(&mut predate(&["sh", "-c", "kill -9 $$"]), "");
    assert_eq!(ran(&o), (Some(111), String::new(), "predate: fatal: child crashed\n".into()));
}

#[test]
fn a_child_is_needed() {
    let usage = "predate: usage: predate child\n";
    assert_eq!(ran(&fed(&mut predate(&[]), "")), (Some(100), String::new(), usage.into()));
    let missing = "predate: fatal: unable to run /nonexistent: file does not exist\n";
    assert_eq!(
        ran(&fed(&mut predate(&["/nonexistent"]), "")),
        (Some(111), String::new(), missing.into())
    );
    let o = tests::redirected("<&-", &predate(&["cat"])).output().unwrap();
    let (code, _, err) = ran(&o);
    assert_eq!(
        (code, &*err),
        (Some(111), "predate: fatal: unable to copy input: file descriptor not open\n")
    );
}
