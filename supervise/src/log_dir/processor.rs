//! What every finished file goes through on its way to a label: a command of the administrator,
//! which runs while logging goes on.

use super::folder::{COMPLETE, Folder, append_to, set_mode};
use crate::patience::PAUSE;
use base::errno;
use base::sys::clock::pause;
use base::sys::spawn::Spawn;
use base::sys::wait::{self, Pid, Status};
use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// The processor of one log directory, and what happens to `previous` there.
pub struct Processor {
    /// For the shell.
    command: OsString,
    work: Work,
    /// When `previous` was finished: what its label will say.
    finished: Duration,
}

enum Work {
    /// There is no `previous`.
    None,
    /// It is being processed.
    Running(Pid),
    /// The processor has failed and is started again at this time.
    Failed(Instant),
}

impl Processor {
    pub fn new(command: OsString) -> Self {
        Processor { command, work: Work::None, finished: Duration::ZERO }
    }

    /// Starts on a new `previous`; the one before must be done.
    pub fn begin(&mut self, folder: &Folder, finished: Duration) {
        self.finished = finished;
        self.start(folder);
    }

    /// There is a `previous`.
    pub fn is_busy(&self) -> bool {
        !matches!(self.work, Work::None)
    }

    /// When [`Processor::attend`] has something to do, if that is known.
    pub fn due(&self) -> Option<Instant> {
        match self.work {
            Work::Failed(again) => Some(again),
            Work::None | Work::Running(_) => None,
        }
    }

    /// Sees whether the command has ended or has to be started again. Does not wait.
    pub fn attend(&mut self, folder: &Folder) {
        match self.work {
            Work::Running(pid) => {
                if let Some(status) = wait::ended(pid) {
                    self.ended(folder, status);
                }
            }
            Work::Failed(again) if again <= Instant::now() => self.start(folder),
            Work::None | Work::Failed(_) => {}
        }
    }

    /// Waits until there is no `previous` any more, failures and pauses included.
    pub fn finish(&mut self, folder: &Folder) {
        loop {
            match self.work {
                Work::None => return,
                Work::Running(pid) => match wait::child(pid) {
                    Ok(status) => self.ended(folder, status),
                    Err(why) => self.failed(
                        folder,
                        "wait failed for processor in",
                        Some(errno::words(&why)),
                    ),
                },
                Work::Failed(again) => {
                    pause(again.saturating_duration_since(Instant::now()));
                    self.start(folder);
                }
            }
        }
    }

    fn start(&mut self, folder: &Folder) {
        match spawn(folder, &self.command) {
            Ok(pid) => self.work = Work::Running(pid),
            Err(why) => {
                self.failed(folder, "unable to fork for processor in", Some(errno::words(&why)))
            }
        }
    }

    fn ended(&mut self, folder: &Folder, status: Status) {
        match (status.code(), status.signal()) {
            (Some(0), _) => {
                self.work = Work::None;
                keep_results(folder, self.finished);
            }
            (_, None) => self.failed(folder, "processor failed in", None::<&str>),
            (_, Some(signal)) => {
                let reason = format!("killed by signal {signal}");
                self.failed(folder, "processor crashed in", Some(reason));
            }
        }
    }

    fn failed(&mut self, folder: &Folder, what: &str, why: Option<impl Display>) {
        let why = why.map_or(String::new(), |why| format!(": {why}"));
        let name = folder.name.display();
        (folder.patience.complain)(&format!("{what} {name}, pausing{why}"));
        self.work = Work::Failed(Instant::now() + PAUSE);
    }
}

/// Starts the command inside the folder, with its files as 0, 1, 4 and 5.
fn spawn(folder: &Folder, command: &OsStr) -> io::Result<Pid> {
    folder.enter_at_last();
    let read =
        |file: &str| folder.insist(format_args!("read {}", folder.path(file)), || File::open(file));
    let create = |file: &str| {
        folder.insist(format_args!("create {}", folder.path(file)), || File::create(file))
    };
    let (previous, processed) = (read("previous"), create("processed"));
    let (state, newstate) = (read("state"), create("newstate"));
    Spawn::new(&["sh".into(), "-c".into(), command.to_owned()])
        .file(OsStr::new("/bin/sh"))
        .fd(0, previous.as_fd())
        .fd(1, processed.as_fd())
        .fd(4, state.as_fd())
        .fd(5, newstate.as_fd())
        .start()
}

/// Puts what the processor wrote in the place of `previous` and `state`. Up to the mode of
/// `processed` a crash leaves `previous`, from there on `processed`.
fn keep_results(folder: &Folder, finished: Duration) {
    folder.enter_at_last();
    let processed = to_disk(folder, "processed");
    folder.insist(format_args!("set mode of {}", folder.path("processed")), || {
        set_mode(&processed, COMPLETE)
    });
    to_disk(folder, "newstate");
    folder.remove("previous");
    let shown = folder.name.display();
    folder.insist(format_args!("rename newstate to state in directory {shown}"), || {
        fs::rename("newstate", "state")
    });
    folder.finish("processed", &folder.settings.code, finished);
}

fn to_disk(folder: &Folder, name: &str) -> File {
    let path = folder.path(name);
    let file = folder.insist(format_args!("create {path}"), || append_to(name));
    folder.insist(format_args!("write {path} to disk"), || file.sync_all());
    file
}
