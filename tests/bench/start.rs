//! How long the chain tools take from start to the next program, ours and the originals in turn.
//!
//! `make bench` runs it: each tool starts /bin/true, a hundred times each in one interleaved run.
//! Shown are medians in microseconds, from spawn to the end of /bin/true, and their ratio; below 1
//! ours is faster. /bin/true alone is in both, so the true difference is bigger than the ratio.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Where Debian puts the originals.
const ORIGINALS: &str = "/usr/bin";

/// Runs of each command that count.
const RUNS: usize = 200;

/// The tools, and what stands before /bin/true.
const TOOLS: [(&str, &[&str]); 9] = [
    ("argv0", &["/bin/true"]),
    ("envdir", &["ENV"]),
    ("envuidgid", &["root"]),
    ("fghack", &[]),
    ("pgrphack", &[]),
    ("recordio", &[]),
    ("setlock", &["LOCK"]),
    ("setuidgid", &["root"]),
    ("softlimit", &["-o", "100"]),
];

fn main() {
    let ours = tests::bin("argv0");
    let ours = ours.parent().unwrap();
    let place = tests::scratch();
    place.write("env/A", "1\n").write("env/B", "2\n").write("env/C", "3\n");
    let environment = place.join("env").to_str().unwrap().to_owned();
    let lock = place.join("lock").to_str().unwrap().to_owned();
    let words = |words: &[&str]| -> Vec<String> {
        words.iter().map(|word| word.replace("ENV", &environment).replace("LOCK", &lock)).collect()
    };
    println!("{:<12} {:>9} {:>9} {:>7}", "", "ours us", "theirs us", "ratio");
    let alone = medians(&[("/bin/true".into(), vec![])])[0];
    println!("{:<12} {:>9}", "/bin/true", alone.as_micros());
    for (name, before) in TOOLS {
        let theirs = Path::new(ORIGINALS).join(name);
        if !theirs.exists() {
            println!("{name:<12} no original at {}", theirs.display());
            continue;
        }
        let mut arguments = words(before);
        arguments.push("/bin/true".into());
        let path = |folder: &Path| folder.join(name).to_str().unwrap().to_owned();
        let commands = [(path(ours), arguments.clone()), (path(Path::new(ORIGINALS)), arguments)];
        let [ours, theirs] = medians(&commands)[..] else { unreachable!() };
        let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
        println!("{name:<12} {:>9} {:>9} {ratio:>7.2}", ours.as_micros(), theirs.as_micros());
    }
}

/// The median time of each command, all run in turn.
fn medians(commands: &[(String, Vec<String>)]) -> Vec<Duration> {
    let mut times = vec![Vec::new(); commands.len()];
    for run in 0..RUNS + 10 {
        for ((program, words), times) in commands.iter().zip(&mut times) {
            let mut command = Command::new(program);
            command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let start = Instant::now();
            let status = command.status().unwrap();
            let time = start.elapsed();
            assert!(status.success(), "{program} {words:?}: {status}");
            if run >= 10 {
                times.push(time);
            }
        }
    }
    times.iter_mut().for_each(|times| times.sort());
    times.iter().map(|times| times[times.len() / 2]).collect()
}
