//! Control groups: what all processes of a server have cost, and their end.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the second version is mounted, alone or beside the first.
const MOUNTS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];

/// A group of processes and all that they start; killed when dropped.
pub struct Group {
    folder: PathBuf,
}

impl Group {
    /// A new group with nobody in it.
    pub fn new(name: &str) -> Group {
        let mounts = MOUNTS.iter().map(Path::new);
        let mount = mounts.into_iter().find(|mount| mount.join("cgroup.procs").exists());
        let mount = mount.expect("control groups, version 2, are mounted");
        let folder = mount.join(format!("catena-{name}"));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("cgroup.kill"), "1").unwrap();
        Group { folder }
    }

    /// A command that starts in this group.
    pub fn command(&self, script: &str) -> Command {
        let mut command = Command::new("sh");
        let procs = self.folder.join("cgroup.procs");
        command.arg("-euc").arg(format!("echo $$ >{}\n{script}", procs.display()));
        command
    }

    /// Milliseconds of CPU so far, those of dead processes included.
    pub fn cpu(&self) -> f64 {
        let stat = fs::read_to_string(self.folder.join("cpu.stat")).unwrap();
        let used = stat.lines().find_map(|line| line.strip_prefix("usage_usec "));
        used.unwrap().parse::<f64>().unwrap() / 1000.0
    }

    /// The processes of which this is true: their number, and their name.
    pub fn processes(&self, wanted: impl Fn(u32, &str) -> bool) -> Vec<u32> {
        let procs = fs::read_to_string(self.folder.join("cgroup.procs")).unwrap();
        let pids = procs.lines().map(|pid| pid.parse::<u32>().unwrap());
        let is_wanted = |pid: &u32| {
            let name = fs::read_to_string(format!("/proc/{pid}/comm"));
            name.is_ok_and(|name| wanted(*pid, name.trim()))
        };
        pids.filter(is_wanted).collect()
    }

    /// Ends all of them.
    pub fn kill(&self) {
        let _ = fs::write(self.folder.join("cgroup.kill"), "1");
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
        // Only a group without processes can be removed, and they take their time to die.
        let gone = || fs::remove_dir(&self.folder).is_ok();
        tests::until(tests::LIMIT, "a server is dead", gone);
    }
}

/// Bytes of a process that it shares with nobody.
pub fn private_bytes(pid: u32) -> u64 {
    let maps = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let private = maps.lines().filter(|line| line.starts_with("Private_"));
    let kilobytes = private.map(|line| line.split_whitespace().nth(1).unwrap().parse::<u64>());
    kilobytes.map(|number| number.unwrap() * 1024).sum()
}
