//! Service directories for tests, and an end for everything that was started in them.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::fs;
use std::ops::Deref;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tests::{LIMIT, Running, Scratch, fed, program, ran, scratch, start, until};

/// Where the originals are, for tests that mix them with ours.
pub const ORIGINALS: &str = "/usr/bin";

/// A run script that stays until it is told to end.
pub const STAYS: &str = "exec sleep 1000\n";

/// A scratch folder whose services, and whatever else works in it, are killed at the end.
pub struct Services {
    place: Scratch,
    /// Names of the programs that are the originals'.
    theirs: Vec<&'static str>,
}

/// An empty one.
pub fn services() -> Services {
    Services { place: scratch(), theirs: Vec::new() }
}

/// One in which these programs are the originals', the others ours.
pub fn services_with_their(names: &[&'static str]) -> Services {
    let services = Services { place: scratch(), theirs: names.to_vec() };
    for name in names {
        services.dir("bin");
        symlink(Path::new(ORIGINALS).join(name), services.join("bin").join(name)).unwrap();
    }
    services
}

impl Deref for Services {
    type Target = Scratch;

    fn deref(&self) -> &Scratch {
        &self.place
    }
}

impl Services {
    /// Makes a service with this run script.
    #[track_caller]
    pub fn service(&self, name: &str, run: &str) -> &Services {
        self.script(format!("{name}/run"), run);
        self
    }

    /// A program, ours or theirs, to be run in the scratch folder.
    #[track_caller]
    pub fn command(&self, name: &str) -> Command {
        let mut command = program(name);
        if self.theirs.contains(&name) {
            let mut theirs = Command::new(Path::new(ORIGINALS).join(name));
            for (name, value) in command.get_envs().filter_map(|(name, value)| Some((name, value?)))
            {
                theirs.env(name, value);
            }
            command = theirs;
        }
        let path = command.get_envs().find(|(name, _)| *name == "PATH").unwrap().1.unwrap();
        let path = format!("{}:{}", self.join("bin").display(), path.display());
        command.env("PATH", path).current_dir(self.path()).stdin(Stdio::null());
        command
    }

    /// `supervise NAME`, started, and waited for until it runs.
    #[track_caller]
    pub fn supervise(&self, name: &str) -> Running {
        let running = start(self.command("supervise").arg(name));
        until(LIMIT, "supervise runs", || self.ok(name));
        running
    }

    /// Kills a supervise and starts another one.
    #[track_caller]
    pub fn again(&self, name: &str, old: Running) -> Running {
        old.signal(libc::SIGKILL);
        old.wait(LIMIT);
        let new = self.supervise(name);
        // `old` is dropped only here, and with it its process group
        drop(old);
        new
    }

    /// Ends a service and its supervise, which must have had nothing to say.
    #[track_caller]
    pub fn dismiss(&self, name: &str, running: Running) {
        self.svc(&["-dx", name]);
        assert_eq!(ran(&running.finish(LIMIT)), (Some(0), String::new(), String::new()));
    }

    /// `svscan service`, started.
    #[track_caller]
    pub fn svscan(&self) -> Running {
        start(self.command("svscan").arg(self.dir("service").join("service")))
    }

    /// Ends svscan and everything that it keeps. It must have had nothing to say.
    #[track_caller]
    pub fn end(&self, scan: Running) {
        scan.signal(libc::SIGTERM);
        assert_eq!(ran(&scan.finish(LIMIT * 6)), (Some(0), String::new(), String::new()));
    }

    /// Links services into the scan directory.
    pub fn link(&self, names: &[&str]) -> &Services {
        self.dir("service");
        for name in names {
            symlink(self.join(name), self.join("service").join(name)).unwrap();
        }
        self
    }

    /// `svok NAME` says that supervise runs.
    pub fn ok(&self, name: &str) -> bool {
        let output = self.command("svok").arg(name).output().unwrap();
        output.status.success()
    }

    /// `svc WORDS`, which must say nothing.
    #[track_caller]
    pub fn svc(&self, words: &[&str]) {
        let output = fed(self.command("svc").args(words), "");
        assert_eq!(ran(&output), (Some(0), String::new(), String::new()));
    }

    /// What svstat says after `NAME: `, with N for the pid and S for the seconds.
    #[track_caller]
    pub fn stat(&self, name: &str) -> String {
        let (code, out, err) = ran(&fed(self.command("svstat").arg(name), ""));
        assert_eq!((code, err), (Some(0), String::new()));
        let line = out.strip_prefix(&format!("{name}: ")).unwrap_or(&out).trim_end().to_owned();
        let words = line.split(' ').map(|word| {
            let digits = word.trim_matches(|c: char| c.is_ascii_digit());
            match word {
                _ if digits == word => word.to_owned(),
                _ if digits == ")" => "N)".to_owned(),
                _ if digits.is_empty() => "S".to_owned(),
                _ => word.to_owned(),
            }
        });
        words.collect::<Vec<_>>().join(" ")
    }

    /// Waits until svstat says this.
    #[track_caller]
    pub fn wait_stat(&self, name: &str, expected: &str) {
        let mut last = String::new();
        let end = Instant::now() + LIMIT;
        until(LIMIT * 2, "the end of the waiting", || {
            last = self.stat(name);
            last == expected || Instant::now() > end
        });
        assert_eq!(last, expected);
    }

    /// The process that `supervise/status` names; 0 if none.
    pub fn pid(&self, name: &str) -> i32 {
        let status = fs::read(self.join(name).join("supervise/status")).unwrap_or_default();
        let bytes = status.get(12..16).and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, i32::from_le_bytes)
    }

    /// Waits until there is a process, another one than `old`, and gives it.
    #[track_caller]
    pub fn wait_pid(&self, name: &str, old: i32) -> i32 {
        until(LIMIT, "a new process", || ![0, old].contains(&self.pid(name)));
        self.pid(name)
    }

    /// Waits until the service is a process that has become this program, and gives it.
    #[track_caller]
    pub fn wait_name(&self, name: &str, program: &str) -> i32 {
        let is = |pid: i32| {
            let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            comm.trim() == program && !is_gone(pid)
        };
        let mut pid = 0;
        until(LIMIT * 3, program, || {
            pid = self.pid(name);
            is(pid)
        });
        pid
    }

    /// Waits until the file has this many lines, and gives them.
    #[track_caller]
    pub fn wait_lines(&self, file: &str, count: usize) -> Vec<String> {
        let lines = || -> Vec<String> {
            let text = fs::read_to_string(self.join(file)).unwrap_or_default();
            text.lines().map(str::to_owned).collect()
        };
        until(LIMIT, &format!("{count} lines in {file}"), || lines().len() >= count);
        lines()
    }

    /// The supervise of a service: the parent of its process.
    #[track_caller]
    pub fn supervisor(&self, name: &str) -> i32 {
        parent(self.wait_pid(name, 0))
    }

    /// The value of a key in `supervise/state`.
    pub fn state(&self, name: &str, key: &str) -> String {
        let state = fs::read_to_string(self.join(name).join("supervise/state")).unwrap_or_default();
        let mut lines = state.lines().filter_map(|line| line.split_once('='));
        lines.find(|(known, _)| *known == key).map_or(String::new(), |(_, value)| value.into())
    }

    /// Waits until `supervise/state` says this.
    #[track_caller]
    pub fn wait_state(&self, name: &str, key: &str, value: &str) {
        let mut last = String::new();
        let end = Instant::now() + LIMIT;
        until(LIMIT * 2, "the end of the waiting", || {
            last = self.state(name, key);
            last == value || Instant::now() > end
        });
        assert_eq!(last, value, "{name}: {key}");
    }

    /// Everything that works in the scratch folder.
    pub fn processes(&self) -> Vec<i32> {
        let here = |pid: &i32| {
            let cwd = fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
            cwd.starts_with(self.path())
        };
        all_processes().into_iter().filter(here).collect()
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        until(LIMIT, "nothing runs any more", || {
            let processes = self.processes();
            processes.iter().for_each(|pid| signal(*pid, libc::SIGKILL));
            processes.is_empty()
        });
    }
}

fn all_processes() -> Vec<i32> {
    let names = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.file_name());
    names.filter_map(|name| name.to_str()?.parse().ok()).collect()
}

/// Sends a signal; to nobody is no failure.
pub fn signal(pid: i32, number: i32) {
    let _ = kill(Pid::from_raw(pid), Signal::try_from(number).unwrap());
}

/// The fields of /proc/PID/stat after the program's name: `0` is the state, `1` the parent.
pub fn process(pid: i32) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let rest = text.rsplit(") ").next().unwrap_or_default();
    rest.split_ascii_whitespace().map(str::to_owned).collect()
}

/// The parent of a process; 0 if it is gone.
pub fn parent(pid: i32) -> i32 {
    process(pid).get(1).map_or(0, |field| field.parse().unwrap())
}

/// The process has ended; it may be a zombie.
pub fn is_gone(pid: i32) -> bool {
    process(pid).first().is_none_or(|state| state == "Z")
}

/// What a process has done so far: clock ticks of CPU, and how often it went to sleep.
pub fn work(pid: i32) -> (u64, u64) {
    let fields = process(pid);
    let ticks = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let mut lines = status.lines();
    let sleeps = lines.find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).unwrap();
    (ticks, sleeps.trim().parse().unwrap())
}

/// Asserts that a process does nothing at all for two seconds, once it has come to rest.
#[track_caller]
pub fn assert_idle(pid: i32) {
    assert_idle_for(pid, Duration::from_secs(2));
}

/// As [`assert_idle`], for this time.
#[track_caller]
pub fn assert_idle_for(pid: i32, time: Duration) {
    let mut seen = BTreeMap::new();
    let started = Instant::now();
    let mut since = started;
    until(LIMIT * 2, "rest", || {
        let now = work(pid);
        if seen.insert(pid, now) != Some(now) {
            since = Instant::now();
        }
        since.elapsed() > time
    });
}

/// A disk in memory, until it is dropped.
pub struct Disk(PathBuf);

impl Disk {
    /// One of this size (`16k`) in this folder, if the test may mount.
    pub fn mounted(folder: &Path, size: &str) -> Option<Disk> {
        let disk = Disk(folder.into());
        let size = format!("size={size}");
        mount(["-t", "tmpfs", "-o", &size, "tmpfs"], folder).then_some(disk)
    }

    /// It can be written (`rw`), or only read (`ro`), once no file is open for writing.
    #[track_caller]
    pub fn remount(&self, how: &str) {
        let how = format!("remount,{how}");
        until(LIMIT, &how, || mount(["-o", &how], &self.0));
    }
}

fn mount<const N: usize>(words: [&str; N], folder: &Path) -> bool {
    let done = Command::new("mount").args(words).arg(folder).output();
    done.is_ok_and(|output| output.status.success())
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}
