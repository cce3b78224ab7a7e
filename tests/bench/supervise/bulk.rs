//! Megabytes that a logger takes in a second of CPU.

use crate::process::fed;
use crate::{median, other, ours, verdict};
use base::tai64;
use std::process::Command;
use std::time::Duration;
use tests::{Scratch, scratch};

/// What all of them drop: none of the lines has it.
const PATTERNS: [&str; 3] = ["debug", "trace", "noise"];

/// What a logger does with each line.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Plain,
    Stamped,
    Selected,
}

/// Lines of a length, as a server writes them, about a megabyte.
fn lines(length: usize) -> Vec<u8> {
    let mut text = String::new();
    let mut number = 0;
    while text.len() < 1 << 20 {
        let start = format!("server[{number}]: request {} served in 12 ms", number * 7919);
        let rest = " and some more words".repeat(length / 20 + 1);
        text += &(start + &rest)[..length - 1];
        text += "\n";
        number += 1;
    }
    text.into_bytes()
}

/// multilog, ours or that of daemontools.
fn multilog(program: &str, place: &Scratch, kind: Kind) -> Command {
    let mut command = Command::new(program);
    match kind {
        Kind::Plain => {}
        Kind::Stamped => drop(command.arg("t")),
        Kind::Selected => drop(command.args(PATTERNS.map(|word| format!("-* {word}: *")))),
    }
    command.arg(place.join("log"));
    command
}

fn svlogd(program: &str, place: &Scratch, kind: Kind) -> Command {
    let patterns = PATTERNS.map(|word| format!("-* {word}: *\n")).concat();
    let patterns = if kind == Kind::Selected { &patterns[..] } else { "" };
    place.write("log/config", format!("s99999\nn10\n{patterns}"));
    let mut command = Command::new(program);
    command.args((kind == Kind::Stamped).then_some("-t")).arg(place.join("log"));
    command
}

fn s6_log(program: &str, place: &Scratch, kind: Kind) -> Command {
    let mut command = Command::new(program);
    command.args(["-b", "n10", "s99999"]);
    match kind {
        Kind::Plain => {}
        Kind::Stamped => drop(command.arg("t")),
        Kind::Selected => drop(command.args(PATTERNS.map(|word| format!("- {word}: ")))),
    }
    command.arg(place.join("log"));
    command
}

/// A logger: whose it is, its program, its command line.
type Logger = (&'static str, String, fn(&str, &Scratch, Kind) -> Command);

/// multilog and its like, plain, with time stamps and with patterns.
pub fn loggers(short: bool) {
    let others: [(&str, &str, fn(&str, &Scratch, Kind) -> Command); 3] = [
        ("daemontools", "multilog", multilog),
        ("svlogd", "svlogd", svlogd),
        ("s6-log", "s6-log", s6_log),
    ];
    let others =
        others.into_iter().filter_map(|(whose, name, how)| Some((whose, other(name)?, how)));
    let all: Vec<Logger> =
        [("catena", ours("multilog"), multilog as _)].into_iter().chain(others).collect();
    head("logging, MB per CPU second", all.iter().map(|(whose, ..)| *whose));
    for (kind, word) in
        [(Kind::Plain, "plain"), (Kind::Stamped, "time stamps"), (Kind::Selected, "three patterns")]
    {
        for length in [80, 1000] {
            let block = lines(length);
            let run = |(_, program, how): &Logger, times: usize| {
                let place = scratch();
                fed(&mut how(program, &place, kind), &block, times)
            };
            let rates = interleaved(&all, short, block.len(), run);
            row(&format!("{word}, {length} bytes"), &all_named(&all, &rates), 4.0, 2.0);
        }
    }
}

fn all_named<'a>(all: &[Logger], rates: &'a [f64]) -> Vec<(&'static str, &'a f64)> {
    all.iter().map(|(whose, ..)| *whose).zip(rates).collect()
}

/// tai64nlocal and its like.
pub fn local_time(short: bool) {
    let others = [("daemontools", "tai64nlocal"), ("s6", "s6-tai64nlocal")];
    let others = others.into_iter().filter_map(|(whose, name)| Some((whose, other(name)?)));
    let all: Vec<(&str, String)> =
        [("catena", ours("tai64nlocal"))].into_iter().chain(others).collect();
    head("local time, MB per CPU second", all.iter().map(|(whose, _)| *whose));
    let mut block = Vec::new();
    for number in 0..13_000 {
        // a line for each millisecond, and a bit
        let time = Duration::from_secs(1_800_000_000) + Duration::from_micros(1013) * number;
        block.extend_from_slice(&tai64::label(time));
        block.extend_from_slice(b" server: request served in 12 ms and some more words\n");
    }
    let run = |(_, program): &(&str, String), times: usize| {
        fed(&mut Command::new(program), &block, times)
    };
    let rates = interleaved(&all, short, block.len(), run);
    let named: Vec<_> = all.iter().map(|(whose, _)| *whose).zip(&rates).collect();
    row("80 bytes", &named, 4.0, 0.0);
}

/// Megabytes per CPU second of each, run in turn.
fn interleaved<T>(
    all: &[T],
    short: bool,
    block: usize,
    run: impl Fn(&T, usize) -> Duration,
) -> Vec<f64> {
    let (rounds, times) = if short { (3, 10) } else { (5, 40) };
    let mut rates = vec![Vec::new(); all.len()];
    for _ in 0..rounds {
        for (program, rates) in all.iter().zip(&mut rates) {
            let cpu = run(program, times);
            rates.push((block * times) as f64 / 1e6 / cpu.as_secs_f64());
        }
    }
    rates.into_iter().map(median).collect()
}

fn head<'a>(title: &str, names: impl Iterator<Item = &'a str>) {
    let names: String = names.map(|name| format!("{name:>12}")).collect();
    println!("\n{title:<30}{names}{:>14}{:>12}  bar", "/daemontools", "/best other");
}

/// A row; `first` and `best` are the bars against daemontools and against the best of the others.
fn row(name: &str, rates: &[(&str, &f64)], first: f64, best: f64) {
    let numbers: String = rates.iter().map(|(_, rate)| format!("{rate:>12.0}")).collect();
    let ours = rates[0].1;
    let theirs = rates.iter().find(|(whose, _)| *whose == "daemontools");
    let to_first = theirs.map_or(f64::NAN, |(_, rate)| ours / *rate);
    let others = rates[1..].iter().filter(|(whose, _)| *whose != "daemontools");
    let to_best = others.map(|(_, rate)| ours / *rate).fold(f64::NAN, f64::min);
    let bar = if best > 0.0 { format!("{first} and {best}") } else { first.to_string() };
    let missed = to_first < first || to_best < best;
    println!("{name:<30}{numbers}{to_first:>14.2}{to_best:>12.2}  {}", verdict(&bar, !missed));
}
