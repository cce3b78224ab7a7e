//! How fast lines are logged and services are kept, by our programs and by others in turn.
//!
//! `make bench-supervise` runs it, against what is installed of daemontools, runit and s6. Figures
//! of CPU are medians of interleaved rounds; they change with the machine, the ratios hold. Logs are
//! in memory, where the system has such a folder: disks differ. Below "bar" stands what a ratio or
//! number has to reach, and whether it does. `SHORT=1` is under a minute; `PARTS=` names some of
//! loggers, local, restarts, arrivals and services.

mod bulk;
mod crowd;
mod process;

use std::path::Path;

/// Where Debian puts the programs of others.
const OTHERS: &str = "/usr/bin";

fn main() {
    let short = std::env::var_os("SHORT").is_some_and(|value| !value.is_empty());
    // cargo adds a word of its own
    let parts: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|word| word == part);
    if wanted("loggers") {
        bulk::loggers(short);
    }
    if wanted("local") {
        bulk::local_time(short);
    }
    if wanted("restarts") {
        crowd::restarts(short);
    }
    if wanted("arrivals") {
        crowd::arrivals();
    }
    if wanted("services") {
        let sizes = if short { &[100][..] } else { &[500, 1000] };
        sizes.iter().for_each(|count| crowd::services(*count, short));
    }
}

/// The path of somebody else's program, if it is installed.
fn other(name: &str) -> Option<String> {
    let path = format!("{OTHERS}/{name}");
    let there = Path::new(&path).exists();
    if !there {
        println!("(no {path})");
    }
    there.then_some(path)
}

/// The path of one of ours.
fn ours(name: &str) -> String {
    tests::bin(name).to_str().unwrap().to_owned()
}

/// What a number has to reach, and whether it does.
fn verdict(bar: &str, reached: bool) -> String {
    format!("{bar}: {}", if reached { "reached" } else { "MISSED" })
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}
