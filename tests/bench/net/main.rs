//! The speed of the network half, ours and every peer that is installed, in turn.
//!
//! `make bench-net` runs it on Debian. Peers are the servers on this system, and those that
//! `dpkg -x` has put below target/oracles, or below $PEERS. All runs of a table are interleaved, and what is
//! shown are medians. Rates change with the machine and with what else it does; the ratios to
//! ucspi-tcp hold. Behind a ratio stands what it has to reach, and whether it does. `SHORT=1` is
//! under a minute; `PARTS="calls compile"` is only what these words
//! name: servers, rules, calls, compile, check, tls.

mod calls;
mod child;
mod load;
mod rules;
mod servers;
mod table;
mod tls;

use rules::{Kind, rules};
use servers::{Run, Server, interleaved, servers};
use table::Bar;
use tests::{Scratch, scratch};

/// The original, to which everything is compared.
const ORIGINAL: &str = "ucspi-tcp";

fn main() {
    let short = std::env::var_os("SHORT").is_some_and(|value| !value.is_empty());
    let parts: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|word| word == part);
    let place = scratch();
    let child = child::child(&place);
    let servers = servers();
    let rounds = if short { 1 } else { 5 };
    if wanted("servers") {
        for at_once in [1, 10, 500] {
            let count = if short { 1_000 } else { 5_000 };
            compare(&place, &child, &servers, rounds, (count, at_once));
        }
    }
    if wanted("rules") {
        with_rules(&place, &child, &servers, rounds, short);
    }
    if wanted("calls") {
        system_calls(&place, &child, &servers, if short { 200 } else { 1_000 });
    }
    if wanted("compile") {
        rules::compile_all(&place, rounds, if short { 100_000 } else { 1_000_000 });
    }
    if wanted("check") {
        rules::check(&place, if short { 100 } else { 1_000 });
    }
    if wanted("tls") {
        tls::compare(&place, &child, rounds, if short { 1 } else { 3 });
    }
}

/// All servers with so many visitors at once.
fn compare(
    place: &Scratch,
    child: &str,
    servers: &[Server],
    rounds: usize,
    (count, at_once): (usize, usize),
) {
    println!("\n{at_once} at once, {count} connections, no rules");
    table::head();
    // These lose connections or take minutes under a crowd.
    let servers: Vec<&Server> = servers.iter().filter(|s| at_once < 100 || !s.inetd()).collect();
    let runs =
        interleaved(rounds, &servers, |server| server.run(place, child, &[], (count, at_once)));
    let bar = if at_once == 1 { Bar::None } else { Bar::Both(1.4, 0.65) };
    rows(&servers, &runs, bar);
}

/// Ours and the original with rules, ten visitors at once.
fn with_rules(place: &Scratch, child: &str, servers: &[Server], rounds: usize, short: bool) {
    let servers: Vec<&Server> =
        servers.iter().filter(|s| s.name == "ours" || s.name == ORIGINAL).collect();
    let sizes = if short { &[10, 100_000][..] } else { &[10, 100_000, 1_000_000] };
    for size in sizes {
        let file = place.join("rules.cdb").display().to_string();
        rules::compiled(place, &rules(Kind::Exact, *size), &file);
        println!("\n10 at once, {size} rules");
        table::head();
        let count = if short { 1_000 } else { 5_000 };
        let runs = interleaved(rounds, &servers, |server| {
            server.run(place, child, &["-x", &file], (count, 10))
        });
        rows(&servers, &runs, Bar::Both(1.4, 0.65));
    }
}

/// A row for each server, with its ratios to the original.
fn rows(servers: &[&Server], runs: &[Vec<Run>], bar: Bar) {
    let all: Vec<Run> = runs.iter().map(|runs| Run::median(runs)).collect();
    let original = servers.iter().position(|server| server.name == ORIGINAL);
    let original = original.map(|at| all[at]);
    for (server, run) in servers.iter().zip(&all) {
        let bar = if server.name == "ours" { bar } else { Bar::None };
        table::row(server.name, run, original.as_ref(), bar);
    }
}

/// System calls per connection.
fn system_calls(place: &Scratch, child: &str, servers: &[Server], count: usize) {
    println!("\nsystem calls for each of {count} connections, children's up to exec among them");
    for server in servers.iter().filter(|server| server.name == "ours" || server.name == ORIGINAL) {
        for at_once in [1, 10, 500] {
            let calls = calls::calls(server, place, child, (count, at_once));
            let sum: f64 = calls.values().sum();
            let bar = match (server.name, at_once) {
                ("ours", 10 | 500) => table::verdict("at most 12", sum <= 12.0),
                _ => String::new(),
            };
            println!("{:<12} {at_once:>4} at once {sum:>6.2}  {bar}", server.name);
            let each = calls.iter().map(|(name, number)| format!("{name} {number:.2}"));
            println!("  {}", each.collect::<Vec<_>>().join(", "));
        }
    }
}
