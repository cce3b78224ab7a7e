//! TLS handshakes: tlsd and its peers, each started for every connection by our tcpserver.
//!
//! The visitors are openssl's, who make full handshakes as fast as they can.

use crate::servers::{Server, cpu_of_children, interleaved, peer};
use crate::table::median;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use tests::{Scratch, bin};

/// Visitors at once.
const CROWD: usize = 4;

/// The programs that are there: name and server.
fn servers(place: &Scratch) -> Vec<Server> {
    let [cert, key, both] = ["cert.pem", "key.pem", "both.pem"].map(|name| named(place, name));
    let tlsd = bin("tlsd").display().to_string();
    let mut servers =
        vec![server("tlsd", &format!("{tlsd} CHILD"), &[("CERTFILE", &cert), ("KEYFILE", &key)])];
    if let Some(program) = peer("tlswrapper") {
        let libraries =
            program.ancestors().nth(3).map(|root| root.join("usr/lib/x86_64-linux-gnu"));
        let libraries = libraries.unwrap_or_default().display().to_string();
        place.dir("empty");
        let words = format!("{} -J {} -f {both} CHILD", program.display(), named(place, "empty"));
        servers.push(server("tlswrapper", &words, &[("LD_LIBRARY_PATH", &libraries)]));
    }
    if let Some(program) = peer("stunnel4") {
        place.write(
            "stunnel.conf",
            format!("syslog = no\ncert = {both}\nexec = {}\n", named(place, "child")),
        );
        let words = format!("{} {}", program.display(), named(place, "stunnel.conf"));
        servers.push(server("stunnel", &words, &[]));
    }
    servers
}

fn named(place: &Scratch, name: &str) -> String {
    place.join(name).display().to_string()
}

fn server(name: &'static str, program: &str, env: &[(&str, &str)]) -> Server {
    let words = format!("-qRHl0 -c CROWD -b CROWD 127.0.0.1 PORT {program}");
    let environment = env.iter().map(|(name, value)| (name.to_string(), value.to_string()));
    let environment = environment.collect();
    Server { name, program: bin("tcpserver"), words, file: "", environment }
}

/// Makes a key and a certificate. `false`: there is no openssl.
fn certify(place: &Scratch) -> bool {
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| named(place, name));
    let words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
        -subj /CN=bench.example";
    let mut command = Command::new("openssl");
    command.args(words.split_whitespace()).args(["-keyout", &key, "-out", &cert]);
    let made = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !made.is_ok_and(|status| status.success()) {
        return false;
    }
    place.write("both.pem", [place.read("key.pem"), place.read("cert.pem")].concat());
    true
}

/// Compares them, for so many seconds each time.
pub fn compare(place: &Scratch, child: &str, rounds: usize, seconds: u32) {
    if !certify(place) {
        return println!("no openssl");
    }
    println!("\nTLS, {CROWD} at once  handshakes/s   CPU ms   ratios of rate and CPU, tlsd to it");
    let servers = servers(place);
    let all: Vec<&Server> = servers.iter().collect();
    let runs = interleaved(rounds, &all, |server| handshakes(server, place, child, seconds));
    let middle = |runs: &[[f64; 2]], at: usize| median(runs.iter().map(|run| run[at]));
    let medians: Vec<[f64; 2]> =
        runs.iter().map(|runs| [middle(runs, 0), middle(runs, 1)]).collect();
    for (server, [rate, cpu]) in servers.iter().zip(&medians) {
        let (rates, cpus) = (medians[0][0] / rate, medians[0][1] / cpu);
        println!("{:<20} {rate:>12.0} {cpu:>8.2}   {rates:>6.2} {cpus:.2}", server.name);
    }
}

/// Handshakes a second, and CPU milliseconds of the server for each.
fn handshakes(server: &Server, place: &Scratch, child: &str, seconds: u32) -> [f64; 2] {
    let mut working = server.start(place, child, &[]);
    let visitors: Vec<_> = (0..CROWD)
        .map(|_| {
            let mut command = Command::new(PathBuf::from("openssl"));
            command.args(["s_time", "-new", "-time", &seconds.to_string(), "-connect"]);
            command.arg(working.to().to_string()).stdin(Stdio::null());
            command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
        })
        .collect();
    let said = visitors.into_iter().map(|visitor| visitor.wait_with_output().unwrap().stdout);
    let count: f64 = said.map(|said| counted(&String::from_utf8_lossy(&said))).sum();
    let before = cpu_of_children();
    working.end();
    let cpu = (cpu_of_children() - before).as_secs_f64() * 1e3;
    [count / f64::from(seconds), cpu / count]
}

/// `N connections in S real seconds, ...`.
fn counted(said: &str) -> f64 {
    let line = said.lines().find(|line| line.contains(" real seconds"));
    line.and_then(|line| line.split(' ').next()?.parse().ok()).unwrap_or(0.0)
}
