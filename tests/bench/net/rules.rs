//! tcprules and tcprulescheck, ours and the originals.

use crate::servers::{cpu_of_children, peer};
use crate::table::{median, ratio};
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tests::{LIMIT, Scratch, bin, until};

/// What rules are like.
#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    /// One address each.
    Exact,
    /// A range of addresses, of which each is a record.
    Ranges,
    /// One address and two variables each.
    Env,
}

/// A text of rules that makes so many records, and lets everybody in.
pub fn rules(kind: Kind, records: usize) -> String {
    let mut text = String::new();
    let lines = if kind == Kind::Ranges { records / 100 } else { records };
    for line in 0..lines {
        let (a, b, c) = (10 + line / 65536 % 200, line / 256 % 256, line % 256);
        text += &match kind {
            Kind::Exact => format!("{a}.{b}.{c}.{}:allow\n", line * 7 % 256),
            Kind::Ranges => format!("{a}.{b}.{c}.100-199:deny\n"),
            Kind::Env => {
                format!("{a}.{b}.{c}.1:allow,RELAYCLIENT=\"\",GREETING=\"hello {line}\"\n")
            }
        };
    }
    text + ":allow\n"
}

/// Compiles rules into a file with our tcprules.
pub fn compiled(place: &Scratch, text: &str, file: &str) {
    place.write("rules", text);
    compile(&bin("tcprules"), place, file);
    // A server trusts a file only when its time says that it was not changed just before.
    let age = || fs::metadata(file).unwrap().modified().unwrap().elapsed().unwrap_or_default();
    until(LIMIT, "the rules are some seconds old", || age() > Duration::from_secs(5));
}

/// Seconds, CPU seconds.
fn compile(tcprules: &Path, place: &Scratch, file: &str) -> [f64; 2] {
    let (start, before) = (Instant::now(), cpu_of_children());
    let mut command = Command::new(tcprules);
    command.arg(file).arg(place.join("rules.tmp"));
    let status = command.stdin(File::open(place.join("rules")).unwrap()).status().unwrap();
    assert!(status.success());
    [start.elapsed().as_secs_f64(), (cpu_of_children() - before).as_secs_f64()]
}

/// Both tcprules on so many records of each kind.
pub fn compile_all(place: &Scratch, rounds: usize, records: usize) {
    let Some(original) = peer("tcprules") else { return println!("no original tcprules") };
    println!(
        "\n{:<34} {:>9} {:>9}  ratio",
        format!("tcprules, {records} records"),
        "ours",
        "theirs"
    );
    for (kind, name) in
        [(Kind::Exact, "exact"), (Kind::Ranges, "ranges"), (Kind::Env, "with variables")]
    {
        place.write("rules", rules(kind, records));
        let programs = [bin("tcprules"), original.clone()];
        let file = |number: usize| place.join(["a.cdb", "b.cdb"][number]).display().to_string();
        let mut runs = [Vec::new(), Vec::new()];
        for _ in 0..rounds {
            for (number, program) in programs.iter().enumerate() {
                runs[number].push(compile(program, place, &file(number)));
            }
        }
        assert!(place.read("a.cdb") == place.read("b.cdb"), "{name}: not the same bytes");
        let best = |at: usize| runs.each_ref().map(|runs| median(runs.iter().map(|run| run[at])));
        ratio(&format!("{name}, seconds"), best(0), 0.6);
        ratio(&format!("{name}, CPU seconds"), best(1), 0.6);
        let memory = programs.each_ref().map(|program| peak(program, place));
        ratio(&format!("{name}, peak MB"), memory, 1.0);
    }
}

/// The most memory that a tcprules takes, in MB.
fn peak(tcprules: &Path, place: &Scratch) -> f64 {
    let mut command = Command::new("/usr/bin/time");
    command.args(["-f", "%M"]).arg(tcprules).arg(place.join("a.cdb")).arg(place.join("rules.tmp"));
    command.stdin(File::open(place.join("rules")).unwrap()).stderr(Stdio::piped());
    match command.output() {
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().parse().unwrap_or(0.0) / 1e3,
        Err(_) => f64::NAN,
    }
}

/// Both tcprulescheck, so many look-ups each.
pub fn check(place: &Scratch, times: usize) {
    let Some(original) = peer("tcprulescheck") else {
        return println!("no original tcprulescheck");
    };
    println!("\n{:<34} {:>9} {:>9}  ratio", "tcprulescheck", "ours", "theirs");
    for size in [10, 100_000] {
        let file = place.join("rules.cdb").display().to_string();
        compiled(place, &rules(Kind::Exact, size), &file);
        for (ip, what) in [("10.0.5.35", "hit"), ("1.2.3.4", "miss")] {
            let mut used = [0.0; 2];
            for _ in 0..times {
                for (program, used) in [&bin("tcprulescheck"), &original].iter().zip(&mut used) {
                    let before = cpu_of_children();
                    let mut command = Command::new(program);
                    command.arg(&file).env("TCPREMOTEIP", ip).stdout(Stdio::null());
                    assert!(command.status().unwrap().success());
                    *used += (cpu_of_children() - before).as_secs_f64();
                }
            }
            let each = used.map(|used| used * 1e3 / times as f64);
            ratio(&format!("{size} rules, {what}, CPU ms"), each, 0.5);
        }
    }
}
