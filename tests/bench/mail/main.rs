//! How fast mail goes through, our programs and Postfix in turn; and whether any of it is lost.
//!
//! `make bench-mail` runs it as root on Debian: Postfix, and smtp-source and smtp-sink as load, are
//! taken out of the package by `.ci/run`, and nothing of it stays on this system. Every run counts
//! its messages at their end: one that is missing, or there twice, ends it. Rates are medians of
//! interleaved rounds. They change with the machine and with what else it does; the ratios hold.
//! Below "bar" stands what a ratio has to reach, and whether it does. `SHORT=1` is under a minute;
//! `PARTS="relay disk"` is only what these words name. `DISK=/mnt` has another disk measured than that
//! of the tree: what a sync costs, with a journal or without, decides there.

mod group;
mod load;
mod ours;
mod place;
mod pop;
mod postfix;
mod queue;
mod server;
mod table;

use load::{Load, Measured};
use place::Place;
use server::{Out, Server};
use table::{Bar, Table};

fn main() {
    if !place::enter() {
        return;
    }
    let short = std::env::var_os("SHORT").is_some_and(|value| !value.is_empty());
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    // Without a word of its kind, everything.
    let wanted = |word: &str, kind: &[&str]| {
        let said = |word: &str| words.iter().any(|said| said == word);
        said(word) || !kind.iter().any(|word| said(word))
    };
    let part = |word| wanted(word, &["smtp", "inject", "relay", "queue", "idle", "pop", "calls"]);
    let places = [Place::memory(), Place::disk()];
    let places = places.iter().filter(|place| wanted(place.name, &["memory", "disk"]));
    let rounds = if short { 1 } else { 3 };
    for place in places {
        // Rows with a bar come first: without a journal, ext4 gives no inode again for minutes, and
        // looks through all of them for each new file.
        if part("smtp") {
            smtp_in(place, rounds, &[(10, 100, 1000)]);
        }
        if part("inject") {
            injection(place, rounds, short);
        }
        if part("relay") {
            let most = if short { &[20][..] } else { &[20, 100] };
            most.iter().for_each(|most| relay(place, rounds, *most, short));
        }
        if !short && part("smtp") {
            let others = [(50, 100, 2000), (1, 100, 300), (10, 1, 500), (50, 1, 500), (1, 1, 300)];
            smtp_in(place, rounds, &others);
        }
        if place.in_memory && part("queue") {
            queue::scan(place);
        }
        if place.in_memory && part("idle") {
            queue::idle_connections(place);
        }
        if place.in_memory && part("pop") {
            pop::read(place, rounds);
        }
        if place.in_memory && !short && part("calls") {
            queue::calls(place);
        }
    }
}

/// From SMTP to Maildirs: how many sessions at once, messages in each, messages.
fn smtp_in(place: &Place, rounds: usize, cases: &[(usize, usize, usize)]) {
    let servers = [ours::start(place, Out::None), postfix::start(place, Out::None)];
    let mut table = Table::new(&format!("SMTP to Maildir, {}", place.name));
    let bar = if place.in_memory { Bar::Cpu(1.0) } else { Bar::Rate(1.3) };
    for &(sessions, each, messages) in cases {
        let load = Load { sessions, keep: each > 1, messages };
        let name = format!("{sessions} sessions x {each}");
        let bar = if (sessions, each) == (10, 100) { bar } else { Bar::None };
        table.row(&name, interleaved(&servers, rounds, |server| load.deliver(server)), bar);
    }
}

/// From one program's standard input each to Maildirs.
fn injection(place: &Place, rounds: usize, short: bool) {
    let servers = [ours::start(place, Out::None), postfix::start(place, Out::None)];
    let mut table = Table::new(&format!("injection, 4 at once, {}", place.name));
    let messages = if short { 100 } else { 300 };
    let runs = interleaved(&servers, rounds, |server| load::inject(server, messages));
    table.row("qmail-inject, sendmail -t", runs, Bar::Accepted(5.0));
}

/// From SMTP to another server.
fn relay(place: &Place, rounds: usize, concurrency: usize, short: bool) {
    let sink = load::Sink::start();
    let out = Out::To { port: sink.port, concurrency };
    let servers = [ours::start(place, out), postfix::start(place, out)];
    let mut table = Table::new(&format!("relayed, {concurrency} at once, {}", place.name));
    let load = Load { sessions: 10, keep: true, messages: if short { 300 } else { 1000 } };
    let runs = interleaved(&servers, rounds, |server| load.relay(server, &sink));
    table.row(
        "10 sessions x 100",
        runs,
        if concurrency == 20 { Bar::Both(1.0) } else { Bar::None },
    );
}

/// The median of each server's runs, which are done in turn. Who begins changes, as what one leaves
/// on the disk holds up the next.
fn interleaved(
    servers: &[Server; 2],
    rounds: usize,
    run: impl Fn(&Server) -> Measured,
) -> [Measured; 2] {
    let mut runs = [Vec::new(), Vec::new()];
    for round in 0..rounds {
        for nth in [round % 2, (round + 1) % 2] {
            runs[nth].push(run(&servers[nth]));
        }
    }
    runs.map(Measured::median)
}
