//! supervise, svscan and svscanboot: whatever fails, a service runs; it never runs twice.

use crate::sweep::{Case, sampled, sweep};
use crate::tamper::{Progress, held};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tests::{LIMIT, Scratch, behind, bin, comes_true, program, root, scratch};

/// Whoever cannot start a process tries again after a minute, as the original does.
const SOON: Duration = LIMIT.saturating_mul(4);

/// Says that it was started, or that another one is there already, and stays until the test ends.
/// What it opens is named from its own folder.
const RUN: &str = "exec 9>>lock\nflock -n 9 || { echo x >>two; exit 1; }\n\
                   echo $$ >>starts\nexec cat ";

/// A folder with a service, and whoever works in it.
struct Service {
    folder: PathBuf,
}

impl Service {
    fn new(place: &Scratch, name: &str) -> Self {
        place.script(format!("{name}/run"), &format!("{RUN}{}\n", place.join("hold").display()));
        Service { folder: place.join(name) }
    }

    fn forget(&self) {
        let _ = fs::remove_dir_all(self.folder.join("supervise"));
        for name in ["starts", "two"] {
            let _ = fs::remove_file(self.folder.join(name));
        }
    }

    fn starts(&self) -> Vec<i32> {
        let starts = fs::read_to_string(self.folder.join("starts")).unwrap_or_default();
        starts.lines().filter_map(|line| line.parse().ok()).collect()
    }

    /// Those that have come as far as to stay, and live. Others may have got the numbers of the
    /// dead, which work nowhere.
    fn running(&self) -> Vec<i32> {
        let stays = |pid: &i32| {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            let works = fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
            name == "cat\n" && works == self.folder
        };
        self.starts().into_iter().filter(stays).collect()
    }

    /// Another one has been started than this one, and is all there is.
    fn runs_after(&self, last: Option<i32>) -> bool {
        matches!(self.running()[..], [pid] if Some(pid) != last)
    }

    fn kill(&self) {
        for pid in self.running() {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }

    /// Gives orders, if a supervise is there to hear them.
    fn order(&self, letters: &str) -> bool {
        let mut how = OpenOptions::new();
        let control = how.write(true).custom_flags(libc::O_NONBLOCK);
        let control = control.open(self.folder.join("supervise/control"));
        control.and_then(|mut control| control.write_all(letters.as_bytes())).is_ok()
    }

    /// Has it end, and its supervise. Whether that worked.
    fn end(&self) -> bool {
        comes_true(SOON, || {
            let alone = !self.order("dx");
            if alone {
                self.kill();
            }
            alone && self.running().is_empty()
        })
    }

    /// The process that `supervise/status` tells of.
    fn told(&self) -> Option<i32> {
        let status = fs::read(self.folder.join("supervise/status")).ok()?;
        Some(i32::from_le_bytes(status.get(12..16)?.try_into().ok()?))
    }

    /// `supervise/state` was written by this process, if that matters.
    fn is_kept_by(&self, keeper: Option<u32>) -> bool {
        let state = fs::read_to_string(self.folder.join("supervise/state")).unwrap_or_default();
        keeper.is_none_or(|keeper| state.contains(&format!("\nsupervisor={keeper}\n")))
    }

    /// It runs, and only once, and a supervise knows of it: the keeper, if that is one.
    fn check(&self, keeper: Option<u32>) -> Result<(), String> {
        let twice = || self.running().len() > 1 || self.folder.join("two").exists();
        let known =
            || self.is_kept_by(keeper) && self.told().is_some_and(|pid| self.running() == [pid]);
        match comes_true(SOON, || twice() || known()) {
            _ if twice() => Err("it was started twice".into()),
            true => Ok(()),
            false => Err("it does not run any more".into()),
        }
    }
}

/// Whoever keeps the services, without a fault, until the end of this.
struct Keeper(Child);

impl Keeper {
    fn new(command: &mut Command) -> Self {
        Keeper(command.stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What is kept: one service, whose supervise is swept; or one with a log, whose svscan is.
struct Kept {
    place: Scratch,
    /// Its services are open for reading and writing, so that nothing comes and nothing ends.
    _hold: File,
    services: Vec<Service>,
    words: [&'static str; 2],
    /// What went wrong before the end.
    wrong: Mutex<Option<String>>,
    /// The last order was to end.
    dismissed: AtomicBool,
}

impl Kept {
    fn new(words: [&'static str; 2], names: &[&str]) -> Self {
        let place = scratch();
        place.fifo("hold");
        let hold = File::options().read(true).write(true).open(place.join("hold")).unwrap();
        let services = names.iter().map(|name| Service::new(&place, name)).collect();
        let (wrong, dismissed) = (Mutex::new(None), AtomicBool::new(false));
        Kept { place, _hold: hold, services, words, wrong, dismissed }
    }

    fn plain(&self) -> Command {
        if self.words[0] == "svscanboot" {
            return booted(&self.place, &program("svscanboot"));
        }
        let mut keeper = program(self.words[0]);
        keeper.arg(self.words[1]).current_dir(self.place.path());
        keeper
    }

    fn command(&self) -> Command {
        let mut command = match self.words[0] {
            "svscanboot" => booted(&self.place, &held(&program("svscanboot"))),
            _ => held(&self.plain()),
        };
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn renew(&self) {
        self.services.iter().for_each(Service::forget);
        *self.wrong.lock().unwrap() = None;
        self.dismissed.store(false, Ordering::Relaxed);
    }

    /// Waits for something, unless the keeper has ended. Whether it came.
    fn wait(&self, progress: &Progress, what: &str, condition: impl Fn() -> bool) -> bool {
        if !comes_true(SOON, || progress.is_over() || condition()) {
            *self.wrong.lock().unwrap() = Some(format!("not {what}"));
        }
        !progress.is_over() && condition()
    }

    /// All services run; those that ran have been replaced.
    fn wait_services(&self, progress: &Progress, last: &[Option<i32>]) -> bool {
        let new = |(service, last): (&Service, &Option<i32>)| service.runs_after(*last);
        self.wait(progress, "started", || self.services.iter().zip(last).all(new))
    }

    fn pids(&self) -> Vec<Option<i32>> {
        self.services.iter().map(|service| service.running().pop()).collect()
    }

    /// Starts another one, as it would be started, and looks what it makes of it.
    fn check(&self, code: Option<i32>) -> Result<(), String> {
        let wrong = self.wrong.lock().unwrap().take();
        let keeper = Keeper::new(&mut self.plain());
        let up = || self.services.iter().all(|service| service.order("u"));
        if self.dismissed.load(Ordering::Relaxed) && !comes_true(SOON, up) {
            return Err("nobody hears orders any more".into());
        }
        // svscan need not start another supervise
        let known_to = Some(keeper.0.id()).filter(|_| self.words[0] == "supervise");
        let checked = self.services.iter().try_for_each(|service| service.check(known_to));
        let ended = match self.words[0] {
            "svscan" => {
                drop(keeper);
                self.services.iter().all(Service::end)
            }
            "svscanboot" => {
                drop(keeper);
                self.end()
            }
            _ => self.services.iter().all(Service::end),
        };
        match (wrong, code) {
            (Some(wrong), _) => Err(wrong),
            _ if checked.is_err() => checked,
            _ if !ended => Err("it cannot be ended".into()),
            (_, None | Some(0 | 111 | 127)) => Ok(()),
            (_, Some(other)) => Err(format!("no temporary failure: {other}")),
        }
    }

    /// Ends all, and every svscan that has outlived its svscanboot first: it would start them again.
    fn end(&self) -> bool {
        for pid in processes("svscan") {
            let works = fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
            if works == self.place.join(SERVICES) {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
        self.services.iter().all(Service::end)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.end();
    }
}

/// All processes with this name.
fn processes(name: &str) -> Vec<i32> {
    let entries = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.file_name());
    let pids = entries.filter_map(|name| name.to_str()?.parse().ok());
    let named = |pid: &i32| {
        fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim_end() == name)
    };
    pids.filter(named).collect()
}

/// supervise starts a service, starts it again when it has died, and ends it.
struct Supervise(Kept);

impl Case for Supervise {
    /// A service that dies young is not started again within a second.
    const AT_ONCE: usize = 24;
    const LEAVE: bool = true;

    fn new() -> Self {
        Supervise(Kept::new(["supervise", "a"], &["a"]))
    }

    fn renew(&self) {
        self.0.renew();
    }

    fn command(&self) -> Command {
        self.0.command()
    }

    fn accompany(&self, progress: &Progress) {
        let Supervise(kept) = self;
        if !kept.wait_services(progress, &[None]) {
            return progress.signal(Signal::SIGKILL);
        }
        let first = kept.pids();
        kept.services[0].kill();
        if !kept.wait_services(progress, &first) {
            return progress.signal(Signal::SIGKILL);
        }
        kept.dismissed.store(true, Ordering::Relaxed);
        kept.services[0].order("dx");
        if !kept.wait(progress, "ended", || progress.is_over()) {
            progress.signal(Signal::SIGKILL);
        }
    }

    fn check(&self, code: Option<i32>) -> Result<(), String> {
        self.0.check(code)
    }
}

#[test]
fn a_service_runs_once_whatever_fails_in_its_supervise() {
    sampled::<Supervise>("supervise", 3);
}

#[test]
#[ignore = "torture"]
fn a_service_runs_once_whatever_fails_in_its_supervise_at_all() {
    sweep::<Supervise>("supervise");
}

/// svscan starts two supervises joined by a pipe, and again one that has ended.
struct Scan(Kept);

impl Case for Scan {
    const AT_ONCE: usize = 24;
    const LEAVE: bool = true;

    fn new() -> Self {
        Scan(Kept::new(["svscan", "."], &["a", "a/log"]))
    }

    fn renew(&self) {
        self.0.renew();
    }

    fn command(&self) -> Command {
        self.0.command()
    }

    fn accompany(&self, progress: &Progress) {
        let Scan(kept) = self;
        if kept.wait_services(progress, &[None, None]) {
            let mut last = kept.pids();
            last[1] = None;
            kept.services[0].order("dx");
            kept.wait_services(progress, &last);
        }
        progress.signal(Signal::SIGTERM);
    }

    fn is_done(&self, _: Option<i32>) -> bool {
        true
    }

    fn check(&self, code: Option<i32>) -> Result<(), String> {
        self.0.check(code)
    }
}

#[test]
fn services_run_once_whatever_fails_in_svscan() {
    sampled::<Scan>("svscan", 3);
}

#[test]
#[ignore = "torture"]
fn services_run_once_whatever_fails_in_svscan_at_all() {
    sweep::<Scan>("svscan");
}

/// Where svscanboot is told to look for services.
const SERVICES: &str = "service";

/// Starts svscanboot where it finds our programs: it looks for them at fixed places.
fn booted(place: &Scratch, command: &Command) -> Command {
    if !place.exists("bin") {
        place.dir("bin");
        for name in ["svscan", "supervise", "readproctitle"] {
            symlink(bin(name), place.join("bin").join(name)).unwrap();
        }
    }
    let mut unshare = Command::new("unshare");
    unshare.args(["-m", "sh", "-c", "mount --bind bin /usr/local/bin && exec \"$0\" \"$@\""]);
    let mut command = behind(unshare, command);
    command.current_dir(place.path()).env("SVDIR", place.join(SERVICES));
    command
}

/// svscanboot starts svscan and readproctitle, and starts again what has died.
struct Boot(Kept);

impl Boot {
    /// A child of this name is there, another one than `last`.
    fn wait_child(&self, progress: &Progress, name: &str, last: Option<i32>) -> Option<i32> {
        let child = || {
            let about = |pid: &i32| fs::read_to_string(format!("/proc/{pid}/stat"));
            let parent = format!(") S {} ", progress.pid);
            let ours = |pid: &i32| about(pid).is_ok_and(|about| about.contains(&parent));
            processes(name).into_iter().find(|pid| Some(*pid) != last && ours(pid))
        };
        self.0.wait(progress, name, || child().is_some());
        child()
    }
}

impl Case for Boot {
    /// Nothing is started twice within a second.
    const AT_ONCE: usize = 24;
    const LEAVE: bool = true;

    fn new() -> Self {
        Boot(Kept::new(["svscanboot", ""], &["service/a"]))
    }

    fn renew(&self) {
        self.0.renew();
    }

    fn command(&self) -> Command {
        self.0.command()
    }

    fn accompany(&self, progress: &Progress) {
        let Boot(kept) = self;
        if kept.wait_services(progress, &[None]) {
            for name in ["svscan", "readproctitle"] {
                let first = self.wait_child(progress, name, None);
                if let Some(pid) = first {
                    let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
                }
                self.wait_child(progress, name, first);
            }
            kept.wait_services(progress, &[None]);
        }
        progress.signal(Signal::SIGTERM);
        kept.wait(progress, "ended", || progress.is_over());
    }

    fn check(&self, code: Option<i32>) -> Result<(), String> {
        self.0.check(code)
    }
}

#[test]
fn a_service_runs_once_whatever_fails_in_svscanboot() {
    if root() {
        sampled::<Boot>("svscanboot", 3);
    }
}

#[test]
#[ignore = "torture"]
fn a_service_runs_once_whatever_fails_in_svscanboot_at_all() {
    if root() {
        sweep::<Boot>("svscanboot");
    }
}
