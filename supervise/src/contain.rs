//! Everything that a service has started, also what has left its session: the file `contain`.
//!
//! A control group (version 2) below that of supervise, where supervise may make one. Otherwise
//! supervise becomes the parent of all orphans below it, and looks for its descendants: then what
//! an earlier supervise has started is not found.

use crate::running::{Running, start_of};
use crate::state::Process;
use base::files;
use base::number::decimal;
use base::sys::signal::Signal;
use base::sys::wait::{self, Pid};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// What holds the processes of one service.
pub enum Container {
    /// A control group.
    Group(Group),
    /// All descendants of this process but these children of its own.
    Descendants,
}

/// A control group.
pub struct Group {
    folder: PathBuf,
    /// Tells of changes.
    watch: Option<Inotify>,
}

impl Container {
    /// One for what is about to be started in the service directory, this process's own.
    pub fn make() -> Container {
        match Group::make() {
            Ok(group) => Container::Group(group),
            Err(_) => {
                let _ = wait::adopt_orphans();
                Container::Descendants
            }
        }
    }

    /// The one that an earlier supervise has made, if there is anybody in it.
    pub fn left() -> Option<Container> {
        let group = Group::at(Group::folder().ok()?);
        group.has_members().then_some(Container::Group(group))
    }

    /// What a process writes 0 to in order to get in. `None`: it is in.
    pub fn door(&self) -> io::Result<Option<File>> {
        match self {
            Container::Group(group) => {
                OpenOptions::new().write(true).open(group.file("cgroup.procs")).map(Some)
            }
            Container::Descendants => Ok(None),
        }
    }

    /// Readable when somebody in it may have ended; [`Container::is_empty`] takes note. Otherwise
    /// the death of a child tells.
    pub fn change(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Container::Group(group) => group.watch.as_ref().map(|watch| watch.as_fd()),
            Container::Descendants => None,
        }
    }

    /// Nobody is left. `others`: children of this process that do not belong to it.
    pub fn is_empty(&self, others: &[Pid]) -> bool {
        match self {
            Container::Group(group) => {
                while group.watch.as_ref().is_some_and(|watch| watch.read_events().is_ok()) {}
                !group.has_members()
            }
            Container::Descendants => descendants(others).is_empty(),
        }
    }

    /// Sends a signal to everybody in it.
    pub fn send(&self, signal: Signal, others: &[Pid]) {
        match self {
            // In one step, so that none can escape by starting others.
            Container::Group(group) if signal == libc::SIGKILL && group.kill().is_ok() => {}
            Container::Group(group) => send(&group.members(), signal),
            Container::Descendants => send(&descendants(others), signal),
        }
    }
}

impl Drop for Group {
    /// A group with members stays.
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.folder);
    }
}

impl Group {
    fn make() -> io::Result<Group> {
        let folder = Group::folder()?;
        match fs::create_dir(&folder) {
            Err(why) if why.kind() != io::ErrorKind::AlreadyExists => Err(why),
            _ => Ok(Group::at(folder)),
        }
    }

    fn at(folder: PathBuf) -> Group {
        let watch = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).ok();
        let watch = watch.filter(|watch| {
            watch.add_watch(&folder.join("cgroup.events"), AddWatchFlags::IN_MODIFY).is_ok()
        });
        Group { folder, watch }
    }

    /// Where it is: below the group of this process, named after the service directory.
    fn folder() -> io::Result<PathBuf> {
        let none = || io::Error::from(io::ErrorKind::NotFound);
        let (mounts, own) = (fs::read("/proc/self/mountinfo")?, fs::read("/proc/self/cgroup")?);
        let parent = place(&mounts, &own).ok_or_else(none)?;
        let here = fs::metadata(".")?;
        Ok(parent.join(format!("supervise-{}-{}", here.dev(), here.ino())))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn has_members(&self) -> bool {
        let events = fs::read(self.file("cgroup.events")).unwrap_or_default();
        events.split(|byte| *byte == b'\n').any(|line| line == b"populated 1")
    }

    fn members(&self) -> Vec<Process> {
        let text = fs::read(self.file("cgroup.procs")).unwrap_or_default();
        let pids = text.split(|byte| *byte == b'\n').filter_map(decimal);
        let pids = pids.filter_map(|pid| Pid::try_from(pid).ok().filter(|pid| *pid > 0));
        pids.filter_map(|pid| Some(Process { pid, start: start_of(pid)? })).collect()
    }

    fn kill(&self) -> io::Result<()> {
        // Not before Linux 5.14.
        fs::write(self.file("cgroup.kill"), "1")
    }
}

/// The folder of a process's group, from the texts of its `mountinfo` and `cgroup`.
fn place(mounts: &[u8], own: &[u8]) -> Option<PathBuf> {
    let own = own.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"0::/"))?;
    let mount = mounts.split(|byte| *byte == b'\n').find_map(|line| {
        let mut fields = line.split(|byte| *byte == b' ');
        let (root, point) = (fields.nth(3)?, fields.next()?);
        let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
        // Names with blanks are written in octal: those groups are not found.
        (kind == b"cgroup2" && root == b"/" && !point.contains(&b'\\')).then_some(point)
    })?;
    let path = [mount, b"/", own].concat();
    Some(PathBuf::from(std::ffi::OsString::from_vec(path)))
}

/// All processes below this one, those below `others` excepted.
fn descendants(others: &[Pid]) -> Vec<Process> {
    let names = files::entries("/proc").into_iter().flatten().flatten();
    let pids = names.filter_map(|entry| entry.file_name().to_str()?.parse::<Pid>().ok());
    let mut rest: Vec<(Pid, Process)> = pids
        .filter_map(|pid| {
            let (parent, start) = crate::running::parent_and_start(pid)?;
            (!others.contains(&pid)).then_some((parent, Process { pid, start }))
        })
        .collect();
    let mut found: Vec<Process> = Vec::new();
    let mut parents = vec![std::process::id() as Pid];
    while let Some(parent) = parents.pop() {
        for (_, process) in rest.extract_if(.., |(of, _)| *of == parent) {
            parents.push(process.pid);
            found.push(process);
        }
    }
    found
}

/// To each of them, if it still is the one that was seen.
fn send(processes: &[Process], signal: Signal) {
    for process in processes {
        if let Some(running) = Running::adopt(*process) {
            running.send(signal, false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::tests::Random;

    const MOUNTS: &str = "\
25 30 0:23 / /proc rw,relatime - proc proc rw
36 25 0:32 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu
42 32 0:39 / /sys/fs/cgroup rw,nosuid shared:9 master:2 - cgroup2 cgroup2 rw
";

    #[test]
    fn the_own_group_lies_below_the_mount() {
        let place = |own: &str| place(MOUNTS.as_bytes(), own.as_bytes());
        let own = "8:pids:/x\n0::/system.slice/a.service\n";
        assert_eq!(place(own), Some("/sys/fs/cgroup/system.slice/a.service".into()));
        assert_eq!(place("8:pids:/x\n"), None);
    }

    #[test]
    fn damaged_text_gives_another_place_or_none() {
        let mut random = Random::new(12);
        for _ in 0..10_000 {
            place(&random.damaged(MOUNTS.as_bytes()), b"0::/\n");
        }
    }
}
