//! Wall clocks that jump by years, forward and back, while programs run: they stamp what they write
//! with the time that they are told, and wait by another clock.
#![cfg(target_arch = "x86_64")]

use crate::false_clock::start_with_clock;
use crate::services::{STAYS, services};
use std::time::{SystemTime, UNIX_EPOCH};
use tests::{LIMIT, original, program, ran, scratch, until};

const YEAR: i64 = 365 * 86_400;

/// Years from now to the time of a label.
fn years(label: &str) -> i64 {
    let second = i64::from_str_radix(&label[1..17], 16).unwrap() - (1 << 62) - 10;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    ((second - now) as f64 / YEAR as f64).round() as i64
}

#[test]
fn supervise_restarts_whatever_the_clock_says() {
    // 0.76 waits by the wall clock
    if original() {
        return;
    }
    let place = services();
    place.service("a", STAYS).write("a/timeout-kill", "20000").write("a/backoff", "1");
    let (running, clock) = start_with_clock(place.command("supervise").arg("a"));
    let mut pid = place.wait_pid("a", 0);
    for jump in [10, -10, 0, -30, 30] {
        clock.set(jump * YEAR);
        place.svc(&["-t", "a"]);
        // each of its system calls is two waits for the tracer
        until(LIMIT * 6, "a new process", || ![0, pid].contains(&place.pid("a")));
        pid = place.pid("a");
        assert_eq!(years(&place.state("a", "last_start")), jump);
        assert_eq!(years(&place.state("a", "last_death")), jump);
        // who looks has the true time
        let (code, out, err) = ran(&place.command("svstat").arg("a").output().unwrap());
        let words: Vec<&str> = out.split(' ').collect();
        let seconds: i64 = words[words.len() - 2].parse().unwrap();
        assert_eq!((code, err), (Some(0), String::new()));
        let expected = if jump < 0 { -jump } else { 0 };
        assert_eq!((seconds as f64 / YEAR as f64).round() as i64, expected, "{out}");
        for words in [&["-j", "a"][..], &["-t", "9000", "a"]] {
            let name = if words.len() == 2 { "svstat" } else { "svwait" };
            assert_eq!(place.command(name).args(words).output().unwrap().status.code(), Some(0));
        }
    }
    place.dismiss("a", running);
}

#[test]
fn svscan_finds_services_whatever_the_clock_says() {
    if original() {
        return;
    }
    let place = services();
    place.dir("service");
    let (running, clock) = start_with_clock(place.command("svscan").arg("service"));
    for (name, jump) in [("a", 10), ("b", -20), ("c", 0)] {
        clock.set(jump * YEAR);
        place.service(&format!("make/{name}"), STAYS);
        std::fs::rename(place.join("make").join(name), place.join("service").join(name)).unwrap();
        place.wait_pid(&format!("service/{name}"), 0);
    }
    running.signal(libc::SIGTERM);
    assert_eq!(ran(&running.finish(LIMIT)), (Some(0), String::new(), String::new()));
}

#[test]
fn multilog_keeps_every_line_whatever_the_clock_says() {
    let place = scratch();
    let mut multilog = program("multilog");
    multilog.args(["t", "r3600", "n50", "./m"]).current_dir(place.path());
    let (mut running, clock) = start_with_clock(&multilog);
    let jumps = [0, 10, -10, 5, -30, 0];
    let current = || match place.exists("m/current") {
        true => place.text("m/current"),
        false => String::new(),
    };
    for (number, jump) in jumps.iter().enumerate() {
        until(LIMIT, "the rotation", || current().is_empty());
        clock.set(jump * YEAR);
        running.write(format!("line {number}\n"));
        until(LIMIT, "the line", || current().ends_with('\n'));
        assert_eq!(current().lines().count(), 1, "rotated by itself: {}", current());
        running.signal(libc::SIGALRM);
    }
    until(LIMIT, "the last rotation", || current().is_empty());
    assert_eq!(ran(&running.finish(LIMIT)), (Some(0), String::new(), String::new()));
    let old: Vec<String> =
        place.names("m").into_iter().filter(|name| name.starts_with('@')).collect();
    assert_eq!(old.len(), jumps.len(), "{old:?}");
    let mut seen: Vec<(String, i64)> = Vec::new();
    for name in &old {
        let text = place.text(format!("m/{name}"));
        let (label, line) = text.split_once(' ').unwrap();
        assert_eq!(years(label), years(name));
        seen.push((line.to_owned(), years(label)));
    }
    seen.sort();
    let expected: Vec<_> =
        jumps.iter().enumerate().map(|(n, jump)| (format!("line {n}\n"), *jump)).collect();
    assert_eq!(seen, expected);
}
