//! multilog: each line once and in order, whatever failed; after a kill, all lines up to some one.

use crate::sweep::{Case, sweep};
use crate::tamper::{Fault, held};
use libc::c_long;
use nix::errno::Errno;
use std::fs::File;
use std::process::{Command, Stdio};
use tests::{Scratch, fed, program, scratch};

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

    fn excused(call: c_long, fault: Fault) -> bool {
        // as in the original, input that cannot be read has ended; in a pipe it stays
        call == libc::SYS_read && fault == Fault::Error(Errno::EIO)
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

#[test]
fn multilog_keeps_each_line_once() {
    sweep::<Log>("multilog");
}
