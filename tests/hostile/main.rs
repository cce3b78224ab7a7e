//! Hostile bytes on everything that reads bytes: README.md has the table of formats, functions and
//! programs. `$CASES` is how many cases each format gets, `$RUNS` each program, `$SEED` another
//! sequence of them.

mod formats;
#[allow(dead_code)] // The mail programs' own tests use the rest.
#[path = "../mail/installation.rs"]
mod installation;
mod programs;
mod reports;
#[allow(dead_code)]
#[path = "../mail/sending.rs"]
mod sending;

use formats::FORMATS;
use std::fs;
use tests::{Hostile, set, tree};

/// Cases of a format in `make test`.
const CASES: u64 = 3_000;

/// Tries a format with damaged bytes.
#[track_caller]
fn attack(name: &str) {
    let format = FORMATS.into_iter().flatten().find(|format| format.name == name).unwrap();
    let hostile = Hostile { name: format.name, samples: (format.samples)(), words: format.words };
    hostile.attack(set("CASES").unwrap_or(CASES), format.check);
    assert_little_memory();
}

/// No allocation was made from a length that nobody checked: all formats together take less than
/// this.
#[track_caller]
fn assert_little_memory() {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    for (name, most) in [("VmHWM:", 300_000), ("VmPeak:", 4_000_000)] {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(kilobytes < most, "{name} {kilobytes} kB");
    }
}

#[test]
fn the_table_has_every_format() {
    let table = fs::read_to_string(tree().join("tests/hostile/README.md")).unwrap();
    for format in FORMATS.into_iter().flatten() {
        assert!(table.contains(&format!("| {} |", format.name)), "{}", format.name);
    }
}
