//! `kill -9` of svscan and supervises at any time: no service starts twice, none starts again, and
//! every line arrives.

use crate::services::{Services, is_gone, services, signal};
use std::fs;
use std::thread;
use std::time::Duration;
use tests::{LIMIT, Random, Running, original, until};

/// Services, each with a log.
const SERVICES: usize = 6;

/// Tells of every start and of every second copy, and writes numbers for as long as it runs.
const RUN: &str = "exec 9>>lock\nflock -n 9 || { echo $$ >>doubles; exit 1; }\necho $$ >>runs\n\
                   n=0\ntrap 'exit 0' TERM\nwhile :; do n=$((n+1)); echo $n; \
                   [ $((n%50)) -gt 0 ] || sleep 0.01; done\n";

const LOG: &str = "exec 9>>lock\nflock -n 9 || { echo $$ >>doubles; exit 1; }\necho $$ >>runs\n\
                   exec 9>&-\nexec multilog s16777215 n100 ./main\n";

#[test]
fn a_hundred_kills_neither_restart_nor_double_a_service() {
    storm(100);
}

#[test]
#[ignore = "torture"]
fn a_thousand_kills_neither_restart_nor_double_a_service() {
    storm(1000);
}

fn storm(kills: usize) {
    // 0.76 starts second copies
    if original() {
        return;
    }
    let place = services();
    for number in 0..SERVICES {
        place.service(&format!("service/{number}"), RUN);
        place.service(&format!("service/{number}/log"), LOG);
    }
    let names = |n: usize| [format!("service/{n}"), format!("service/{n}/log")];
    let names: Vec<String> = (0..SERVICES).flat_map(names).collect();
    let (mut scan, mut olds) = (place.svscan(), Vec::new());
    let logs = || (0..SERVICES).map(|n| format!("service/{n}/log/main/current"));
    logs().for_each(|log| drop(place.wait_lines(&log, 100)));
    let pids: Vec<i32> = names.iter().map(|name| place.wait_pid(name, 0)).collect();
    let mut random = Random::new(5);
    for _ in 0..kills {
        let victim = random.below(10);
        if victim < 8 {
            let name = &names[random.below(names.len())];
            kill_supervise(&place, name);
        }
        if victim >= 6 {
            scan.signal(libc::SIGKILL);
            scan.wait(LIMIT);
            let new: Running = place.svscan();
            olds.push(std::mem::replace(&mut scan, new));
        }
        thread::park_timeout(Duration::from_millis(random.below(60) as u64));
    }
    let seen: Vec<usize> = logs().map(|log| lines(&place, &log)).collect();
    until(LIMIT, "every log grows", || {
        logs().zip(&seen).all(|(log, seen)| lines(&place, &log) > seen + 100)
    });
    until(LIMIT, "a supervise for each", || names.iter().all(|name| place.ok(name)));
    for (name, pid) in names.iter().zip(pids) {
        assert!(!is_gone(pid), "{name} has ended");
        let told = (place.text(format!("{name}/runs")), place.exists(format!("{name}/doubles")));
        assert_eq!(told, (format!("{pid}\n"), false), "{name}");
    }
    scan.signal(libc::SIGTERM);
    assert_eq!(scan.finish(LIMIT).status.code(), Some(0));
    for log in logs() {
        let text = place.text(&log);
        let wrong = text.lines().zip(1..).find(|(line, number)| *line != number.to_string());
        assert_eq!(wrong, None, "{log}");
    }
}

#[test]
fn an_svscan_killed_while_it_starts_leaves_every_service_with_its_logger() {
    starts(15);
}

#[test]
#[ignore = "torture"]
fn two_hundred_svscans_killed_while_they_start() {
    starts(200);
}

/// Each round kills two svscans that have just been started on new services. A service may have to
/// start again then: its logger was not there yet.
fn starts(rounds: usize) {
    if original() {
        return;
    }
    let mut random = Random::new(6);
    for round in 0..rounds {
        let place = services();
        for number in 0..3 {
            place.service(&format!("service/{number}"), RUN);
            place.service(&format!("service/{number}/log"), LOG);
        }
        let mut killed = Vec::new();
        for _ in 0..2 {
            let scan = place.svscan();
            thread::park_timeout(Duration::from_micros(random.below(25_000) as u64));
            scan.signal(libc::SIGKILL);
            scan.wait(LIMIT);
            killed.push(scan);
        }
        let scan = place.svscan();
        for number in 0..3 {
            let log = format!("service/{number}/log/main/current");
            let seen = lines(&place, &log);
            until(LIMIT, &format!("{log} grows, round {round}"), || {
                lines(&place, &log) > seen + 100
            });
            for name in [format!("service/{number}"), format!("service/{number}/log")] {
                assert!(!place.exists(format!("{name}/doubles")), "{name}, round {round}");
            }
        }
        scan.signal(libc::SIGTERM);
        scan.wait(LIMIT);
    }
}

fn lines(place: &Services, log: &str) -> usize {
    fs::read(place.join(log)).unwrap_or_default().iter().filter(|byte| **byte == b'\n').count()
}

/// Kills the supervise of a service, if the one that is written down still runs.
fn kill_supervise(place: &Services, name: &str) {
    if let Ok(pid) = place.state(name, "supervisor").parse() {
        let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        if comm.trim() == "supervise" {
            signal(pid, libc::SIGKILL);
        }
    }
}
