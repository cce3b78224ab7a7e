//! A machine of one's own, with our programs installed, that nothing outlives.

use crate::programs::programs;
use nix::sched::{CloneFlags, unshare};
use std::env;
use std::os::unix::fs::symlink;
use std::process::{Command, Output};
use std::time::Duration;
use tests::{Dns, Scratch, bin, dns, fed_within, ran, root, scratch, skip, tree};

/// The hosts that it can ask: all of them are itself, by an address that no interface has.
const HOSTS: [(&str, &str, &str); 10] = [
    ("a.example", "A", "127.0.0.5"),
    ("b.example", "A", "127.0.0.5"),
    ("home.example", "A", "127.0.0.5"),
    ("mail.example", "A", "127.0.0.5"),
    ("mx.example", "A", "127.0.0.5"),
    ("time.example", "A", "127.0.0.5"),
    ("example.org", "MX", "5 mail.example"),
    ("relay.example.com", "A", "127.0.0.5"),
    ("mail.example.com", "A", "127.0.0.1"),
    ("66.0.0.127.bl.example", "TXT", "nobody wants you"),
];

/// What is over the disk of the host. Installed once, it serves any number of machines.
pub struct Disk {
    folder: Scratch,
}

/// A machine on a network of its own.
pub struct Machine<'a> {
    disk: &'a Disk,
    dns: Dns,
}

impl Disk {
    /// None, after `skip`, if not everything is built or the kernel gives us no such machine.
    pub fn new() -> Option<Disk> {
        if !root() || env::var_os("BUILT").is_none() {
            skip("needs root, and all programs: make test");
            return None;
        }
        let folder = scratch();
        folder.dir("disk").dir("disk.top").dir("built");
        for program in programs() {
            symlink(bin(&program.name), folder.join("built").join(program.name)).unwrap();
        }
        let disk = Disk { folder };
        let made = disk.command("make").output().unwrap();
        if ran(&made).2.contains("unshare failed") {
            skip("needs namespaces");
            return None;
        }
        assert_eq!(ran(&made), (Some(0), String::new(), String::new()));
        Some(disk)
    }

    /// `machine.sh` with this word, in namespaces that end with it.
    fn command(&self, word: &str) -> Command {
        let mut unshare = Command::new("unshare");
        unshare.args(["-mpu", "--fork", "--kill-child", "sh"]);
        unshare.arg(tree().join("tests/tree/machine.sh")).arg(word).env("TREE", tree());
        unshare.env("DISK", self.folder.join("disk")).env("BUILT", self.folder.join("built"));
        unshare
    }

    /// A machine with this disk. The calling thread, and nobody else, moves to its network.
    pub fn machine(&self) -> Machine<'_> {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        let up = "ip link set lo up && ip addr add 192.0.2.1/32 dev lo";
        assert!(Command::new("sh").args(["-c", up]).status().unwrap().success(), "{up}");
        Machine { disk: self, dns: dns(&HOSTS).unwrap() }
    }
}

impl Machine<'_> {
    /// Runs a script in the words of `hands.sh`, with this file as ./example, on a fresh copy of
    /// the disk, and ends all that it has started. Standard error goes to standard output.
    pub fn run(&self, script: &str, example: &str) -> Output {
        self.run_within(Duration::from_secs(15), script, example)
    }

    /// As [`Machine::run`], with another limit.
    pub fn run_within(&self, limit: Duration, script: &str, example: &str) -> Output {
        let mut command = self.disk.command("enter");
        let script = format!("{}{script}", include_str!("hands.sh"));
        command.arg(script).env("DNS", self.dns.ip.to_string());
        command.env("LIMIT", limit.as_secs().to_string());
        // The machine ends first, and says what it has done so far.
        fed_within(limit + Duration::from_secs(5), &mut command, example)
    }
}
