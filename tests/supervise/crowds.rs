//! Many services, and many restarts: nothing is lost, nothing grows, and rest is rest.

use crate::services::{STAYS, Services, parent, services, work};
use std::fs;
use std::time::{Duration, Instant};
use tests::{LIMIT, original, until};

/// So many services with one run script, and how they are named.
fn many(place: &Services, count: usize, run: &str) -> Vec<String> {
    let script = place.script("run", run).join("run");
    let name = |number| {
        let name = format!("service/{number}");
        place.dir(&name);
        fs::hard_link(&script, place.join(&name).join("run")).unwrap();
        name
    };
    (0..count).map(name).collect()
}

#[test]
fn a_hundred_restarts_cost_nothing_that_lasts() {
    restarts(25, 100);
}

#[test]
#[ignore = "torture"]
fn ten_thousand_restarts_cost_nothing_that_lasts() {
    restarts(250, 10_000);
}

/// What grows if something is forgotten: open descriptors and kilobytes of memory.
fn belongings(pid: i32) -> (usize, u64) {
    let open = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    (open, line.trim().trim_end_matches(" kB").parse().unwrap())
}

/// Services that end at once, until they have been started so often altogether.
fn restarts(count: usize, wanted: usize) {
    if original() {
        return;
    }
    let place = services();
    let names = many(&place, count, "echo >>starts\n");
    let scan = place.svscan();
    let restarts = |name: &String| place.state(name, "restarts").parse().unwrap_or(0);
    let total = || names.iter().map(restarts).sum::<usize>();
    until(LIMIT * 3, "two restarts of each", || names.iter().all(|name| restarts(name) > 1));
    let supervises = || {
        let pid = |name: &String| place.state(name, "supervisor").parse().unwrap();
        names.iter().map(pid).collect::<Vec<i32>>()
    };
    let (pids, before) = (supervises(), total());
    let belonged: Vec<_> = pids.iter().map(|pid| belongings(*pid)).collect();
    until(LIMIT * 10, "restarts", || total() - before >= wanted);
    assert_eq!(supervises(), pids);
    for (pid, (_, memory)) in pids.iter().zip(belonged) {
        // lock, two ends of control, ok, two of the pipe for signals, a service, and what is just
        // being done
        let (open, now) = belongings(*pid);
        assert!(open < 16 && now <= memory + 64, "{open} open, {memory} kB, then {now} kB");
    }
    place.end(scan);
    for name in &names {
        let starts = place.text(format!("{name}/starts")).lines().count();
        // the last one may have been told to end before it could tell
        let told = restarts(name) + 1;
        assert!(starts == told || starts + 1 == told, "{name}: {starts} starts, {told} told");
    }
}

#[test]
fn two_hundred_services_at_rest_do_not_wake_up() {
    rest(200);
}

#[test]
#[ignore = "torture"]
fn a_thousand_services_at_rest_do_not_wake_up() {
    rest(1000);
}

/// All are up; then neither svscan nor any supervise runs for two seconds.
fn rest(count: usize) {
    if original() {
        return;
    }
    let place = services();
    let names = many(&place, count, STAYS);
    let scan = place.svscan();
    until(LIMIT * 6, "all services", || names.iter().all(|name| place.pid(name) != 0));
    let services = names.iter().map(|name| parent(place.pid(name)));
    let all: Vec<i32> = services.chain([scan.pid()]).collect();
    let look = || all.iter().map(|pid| work(*pid)).collect::<Vec<_>>();
    let (mut before, mut since) = (look(), Instant::now());
    until(LIMIT * 3, "two seconds of rest", || {
        let now = look();
        if now != before {
            (before, since) = (now, Instant::now());
        }
        since.elapsed() > Duration::from_secs(2)
    });
    place.end(scan);
}
