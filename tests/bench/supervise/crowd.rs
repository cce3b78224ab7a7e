//! Many services: how long until all are up, what it costs to keep them, how soon one that is
//! killed is back.

use crate::process::{cpu, pss};
use crate::{OTHERS, median, other, ours, verdict};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use std::fs;
use std::io::{PipeReader, Read, pipe};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tests::{LIMIT, Scratch, scratch, until};

/// A byte when it starts: services have the standard output of the scanner.
const RUN: &str = "#!/bin/sh\necho\nexec sleep 1000000\n";

/// Services of each keeper that are killed, to see them come back.
const KILLED: usize = 20;

/// Services that are added, to see them come up.
const ADDED: usize = 4;

/// Who keeps services.
struct Keeper {
    whose: &'static str,
    /// The program that looks after a folder of services, and its words before that.
    scanner: (String, &'static [&'static str]),
    /// The program that looks after one service.
    supervisor: &'static str,
    /// Where its own programs are.
    path: String,
}

fn keepers() -> Vec<Keeper> {
    let ours_are = Path::new(&ours("svscan")).parent().unwrap().display().to_string();
    let path = |first: &str| format!("{first}:/usr/bin:/bin");
    let mut keepers = vec![Keeper {
        whose: "catena",
        scanner: (ours("svscan"), &[]),
        supervisor: "supervise",
        path: path(&ours_are),
    }];
    let others: [(&str, &str, &[&str], &str); 3] = [
        ("daemontools", "svscan", &[], "supervise"),
        ("runit", "runsvdir", &["-P"], "runsv"),
        // It takes 500 services unless told otherwise.
        ("s6", "s6-svscan", &["-c", "2000"], "s6-supervise"),
    ];
    for (whose, scanner, words, supervisor) in others {
        if let Some(program) = other(scanner) {
            let scanner = (program, words);
            keepers.push(Keeper { whose, scanner, supervisor, path: path(OTHERS) });
        }
    }
    keepers
}

/// What was measured of one of them.
struct Figures {
    up: Duration,
    /// Bytes per service.
    pss: u64,
    /// Of all its processes, per second.
    idle: Duration,
}

/// Compares them with so many services.
pub fn services(count: usize, short: bool) {
    println!(
        "\n{:<30}{:>12}{:>12}{:>14}",
        format!("{count} services"),
        "up ms",
        "PSS kB each",
        "idle us/s"
    );
    let mut measured = Vec::new();
    for keeper in keepers() {
        let figures = measure(&keeper, count, short);
        println!(
            "{:<30}{:>12.0}{:>12.1}{:>14.0}",
            keeper.whose,
            figures.up.as_secs_f64() * 1e3,
            figures.pss as f64 / 1024.0,
            figures.idle.as_secs_f64() * 1e6
        );
        measured.push((keeper.whose, figures));
    }
    let ours = &measured[0].1;
    // With fewer, each has a larger part of what all share.
    if count >= 500 {
        println!("  {}", verdict("PSS at most 100 kB", ours.pss <= 100 * 1024));
    }
    println!("  {}", verdict("idle CPU 0", ours.idle.is_zero()));
}

/// Kills services of all of them in turn, which have run for a while, and sees them come back.
pub fn restarts(short: bool) {
    let killed = if short { 5 } else { KILLED };
    let names = names(killed);
    let keepers = keepers();
    let places: Vec<Scratch> = keepers.iter().map(|_| services_in(&names)).collect();
    let mut crowds: Vec<Crowd> = Vec::new();
    for (keeper, place) in keepers.iter().zip(&places) {
        crowds.push(Crowd::start(keeper, place, killed).0);
    }
    // one that has just been started is started again after a second
    std::thread::sleep(Duration::from_secs(2));
    let mut times = vec![Vec::new(); keepers.len()];
    for name in &names {
        for (crowd, times) in crowds.iter_mut().zip(&mut times) {
            times.push(crowd.restart(name) * 1e3);
        }
    }
    println!("\nrestart of a killed service, ms");
    let times: Vec<f64> = times.into_iter().map(median).collect();
    for (keeper, time) in keepers.iter().zip(&times) {
        println!("{:<30}{time:>12.1}", keeper.whose);
    }
    if let Some(runit) = keepers.iter().position(|keeper| keeper.whose == "runit") {
        let ratio = times[0] / times[runit];
        // What is within a tenth is noise.
        println!("  {} ({ratio:.2})", verdict("no slower than runit", ratio <= 1.1));
    }
}

/// Adds services to those of all of them but s6, which has to be told of each.
pub fn arrivals() {
    println!("\nnew service until it runs, ms");
    let (names, mut ours) = (names(10), f64::MAX);
    for keeper in keepers().iter().filter(|keeper| keeper.whose != "s6") {
        let place = services_in(&names);
        let (mut crowd, _) = Crowd::start(keeper, &place, names.len());
        let times = (0..ADDED).map(|number| crowd.add(&format!("new{number}")) * 1e3);
        let time = median(times.collect());
        println!("{:<30}{time:>12.1}", keeper.whose);
        ours = if keeper.whose == "catena" { time } else { ours };
    }
    println!("  {}", verdict("within 100 ms", ours <= 100.0));
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{number:04}")).collect()
}

/// A folder with services of these names.
fn services_in(names: &[String]) -> Scratch {
    let place = scratch();
    place.script("run", RUN);
    names.iter().for_each(|name| make(&place, &format!("services/{name}")));
    place
}

/// A service. One file for all: it is the keeper that is measured.
fn make(place: &Scratch, folder: &str) {
    place.dir(folder);
    fs::hard_link(place.join("run"), place.join(folder).join("run")).unwrap();
}

fn measure(keeper: &Keeper, count: usize, short: bool) -> Figures {
    let place = services_in(&names(count));
    let (crowd, up) = Crowd::start(keeper, &place, count);
    let pids = crowd.keepers(keeper);
    assert!(pids.len() > count, "{} processes of {}", pids.len(), keeper.whose);
    let supervisors = &pids[1..];
    let pss = supervisors.iter().map(|pid| pss(*pid)).sum::<u64>() / count as u64;
    let window = Duration::from_secs(if short { 2 } else { 10 });
    let before: Duration = pids.iter().map(|pid| cpu(*pid)).sum();
    std::thread::sleep(window);
    let after: Duration = pids.iter().map(|pid| cpu(*pid)).sum();
    let idle = (after - before) / window.as_secs() as u32;
    Figures { up, pss, idle }
}

/// Services that are kept, until this is dropped.
struct Crowd<'a> {
    scanner: Child,
    starts: PipeReader,
    place: &'a Scratch,
}

impl<'a> Crowd<'a> {
    /// Starts all services, and gives the time until all are up.
    fn start(keeper: &Keeper, place: &'a Scratch, count: usize) -> (Crowd<'a>, Duration) {
        let (starts, output) = pipe().unwrap();
        let (program, words) = &keeper.scanner;
        let mut command = Command::new(program);
        command.args(*words).arg("services").current_dir(place.path());
        command.env_clear().env("PATH", &keeper.path).process_group(0);
        command.stdin(Stdio::null()).stdout(output).stderr(Stdio::null());
        let began = Instant::now();
        let scanner = command.spawn().unwrap();
        // the write end is closed here: if all ends, so does the reading
        drop(command);
        let mut crowd = Crowd { scanner, starts, place };
        crowd.starts.read_exact(&mut vec![0; count]).unwrap();
        (crowd, began.elapsed())
    }

    /// The scanner, and the processes that look after one service each.
    fn keepers(&self, keeper: &Keeper) -> Vec<i32> {
        let comm = |pid: &i32| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        let keeps = |pid: &i32| comm(pid).trim_end() == keeper.supervisor;
        let mut pids = vec![self.scanner.id() as i32];
        pids.extend(self.processes().into_iter().filter(keeps));
        pids
    }

    /// All processes that work in the folder.
    fn processes(&self) -> Vec<i32> {
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let here = |pid: &i32| {
            let folder = fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
            folder.starts_with(self.place.path())
        };
        pids.filter(here).collect()
    }

    /// Moves a new service to the others; seconds until it has started.
    fn add(&mut self, name: &str) -> f64 {
        make(self.place, "new");
        let began = Instant::now();
        fs::rename(self.place.join("new"), self.place.join("services").join(name)).unwrap();
        self.starts.read_exact(&mut [0]).unwrap();
        began.elapsed().as_secs_f64()
    }

    /// Kills a service that has lived for a while; seconds until it has started again.
    fn restart(&mut self, name: &str) -> f64 {
        let folder = self.place.join("services").join(name);
        let is_service = |pid: &i32| {
            let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            let here = fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|here| here == folder);
            here && comm == "sleep\n"
        };
        let pid = self.processes().into_iter().find(is_service).unwrap();
        let began = Instant::now();
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        self.starts.read_exact(&mut [0]).unwrap();
        began.elapsed().as_secs_f64()
    }
}

impl Drop for Crowd<'_> {
    fn drop(&mut self) {
        // the scanner first, so that nothing is started again
        let _ = killpg(Pid::from_raw(self.scanner.id() as i32), Signal::SIGKILL);
        let _ = self.scanner.wait();
        until(LIMIT, "nothing runs any more", || {
            let left = self.processes();
            for pid in &left {
                let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
            }
            left.is_empty()
        });
    }
}
