//! multilog and splogger: each line once and in order, whatever failed; after a kill, all lines up
//! to some one.

use crate::site::site;
use crate::sweep::{Case, sweep};
use crate::tamper::{Fault, Strike, held};
use nix::errno::Errno;
use std::fs::File;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use tests::{Scratch, behind, fed, program, root, scratch};

fn lines() -> String {
    (1000..1900).map(|number| format!("line {number}\n")).collect()
}

/// A log that rotates twice.
struct Log {
    place: Scratch,
}

impl Log {
    fn multilog(&self) -> Command {
        let mut command = program("multilog");
        command.args(["s4096", "n20", "./log"]).current_dir(self.place.path());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    }
}

impl Case for Log {
    /// It pauses for five seconds.
    const AT_ONCE: usize = 40;

    fn new() -> Self {
        let place = scratch();
        place.write("lines", lines());
        Log { place }
    }

    fn renew(&self) {
        let _ = std::fs::remove_dir_all(self.place.join("log"));
    }

    fn command(&self) -> Command {
        let mut command = held(&self.multilog());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.stdin(File::open(self.place.join("lines")).unwrap());
        command
    }

    fn excused(Strike { call, fault }: &Strike, _: &str) -> bool {
        // as in the original, input that cannot be read has ended; in a pipe it stays
        call.number == libc::SYS_read && *fault == Fault::Error(Errno::EIO)
    }

    fn check(&self, code: Option<i32>) -> Result<(), String> {
        if self.place.exists("log") {
            assert!(fed(&mut self.multilog(), "").status.success());
        }
        let names = if self.place.exists("log") { self.place.names("log") } else { Vec::new() };
        let old = names.iter().filter(|name| name.starts_with('@'));
        let current = names.iter().filter(|name| *name == "current");
        let kept: String =
            old.chain(current).map(|name| self.place.text(format!("log/{name}"))).collect();
        match code {
            Some(0) if kept != lines() => Err(format!("{} bytes of {}", kept.len(), lines().len())),
            _ if !lines().starts_with(&kept) => Err("not the first lines, in their order".into()),
            None | Some(0 | 111 | 127) => Ok(()),
            Some(other) => Err(format!("no temporary failure: {other}")),
        }
    }
}

/// A log daemon in a /dev of its own.
struct System {
    place: Scratch,
    daemon: UnixDatagram,
}

/// So few that a socket keeps them all: nobody reads before the end.
const SYSTEM_LINES: usize = 8;

impl Case for System {
    fn new() -> Self {
        let place = scratch();
        place.write("lines", (0..SYSTEM_LINES).map(|n| format!("line {n}.\n")).collect::<String>());
        let daemon = UnixDatagram::bind(place.dir("dev").join("dev/log")).unwrap();
        daemon.set_nonblocking(true).unwrap();
        System { place, daemon }
    }

    fn renew(&self) {
        while self.daemon.recv(&mut [0; 2000]).is_ok() {}
    }

    fn command(&self) -> Command {
        let mut unshare = Command::new("unshare");
        let bind = "mount --bind \"$0/dev\" /dev && exec \"$@\"";
        unshare.args([if root() { "-m" } else { "-rm" }, "sh", "-c", bind]).arg(self.place.path());
        let mut command = behind(unshare, &held(&program("splogger")));
        command.stdin(File::open(self.place.join("lines")).unwrap()).stdout(Stdio::null());
        command.stderr(File::create(self.place.join("said")).unwrap());
        command
    }

    fn excused(Strike { call, fault }: &Strike, _: &str) -> bool {
        // a datagram goes whole or not at all
        call.number == libc::SYS_write && *fault == Fault::Short
    }

    fn check(&self, code: Option<i32>) -> Result<(), String> {
        let mut seen = self.place.text("said");
        let mut datagram = [0; 2000];
        while let Ok(length) = self.daemon.recv(&mut datagram) {
            seen.push_str(&String::from_utf8_lossy(&datagram[..length]));
        }
        let times = |n: usize| seen.matches(&format!(" line {n}.")).count();
        let times: Vec<_> = (0..SYSTEM_LINES).map(times).collect();
        match code {
            _ if times.iter().any(|times| *times > 1) => Err("a line is there twice".into()),
            Some(0) if times.contains(&0) => Err("a line is lost".into()),
            None | Some(0 | 111 | 127) if times.is_sorted_by(|a, b| a >= b) => Ok(()),
            Some(other) => Err(format!("no temporary failure: {other}")),
            None => Err("a line before the last one is lost".into()),
        }
    }
}

#[test]
fn multilog_keeps_each_line_once() {
    sweep::<Log>("multilog");
}

#[test]
fn splogger_logs_each_line_or_says_it() {
    if site().is_some() {
        sweep::<System>("splogger");
    }
}
