//! A service as it looks from outside: what svstat, svup, svls, svwait and svneed know of it.

use crate::folder::Folder;
use crate::state::{self, Boot, Record, Script};
use crate::status::{State, Status, Want};
use base::errno;
use base::sys::wait::{self, Pid};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// More than the longest status file that any supervise writes.
const LONGEST: u64 = 128;

/// Bytes of the status file of a service that has a log script.
const WITH_LOG: usize = 40;

/// What can be seen of a service that is supervised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Its status file.
    pub status: Status,
    /// That of its log script, if it has one.
    pub log: Option<Status>,
    /// It has no file `down`.
    pub normally_up: bool,
    /// What a supervise of ours says beyond that, if it is about the same process as the status.
    pub record: Option<Record>,
    /// The record is about another process: the one of the two files is newer than the other.
    pub between: bool,
}

/// Why a service cannot be seen.
#[derive(Debug)]
pub enum Hidden {
    /// This failed, for this reason.
    Unable(&'static str, io::Error),
    /// No supervise runs.
    NotRunning,
    /// The status file is too short.
    BadFormat,
}

impl Hidden {
    /// It may be that nobody has ever supervised it, or nobody does any more.
    pub fn is_unsupervised(&self) -> bool {
        match self {
            Hidden::NotRunning => true,
            Hidden::Unable("open supervise/ok", why) => why.kind() == io::ErrorKind::NotFound,
            _ => false,
        }
    }

    /// As svstat says it.
    pub fn text(&self) -> String {
        match self {
            Hidden::Unable(what, why) => format!("unable to {what}: {}", errno::words(why)),
            Hidden::NotRunning => "supervise not running".to_owned(),
            Hidden::BadFormat => "unable to read supervise/status: bad format".to_owned(),
        }
    }

    /// The reason alone.
    pub fn reason(&self) -> String {
        match self {
            Hidden::Unable(_, why) => errno::words(why).to_string(),
            Hidden::NotRunning => self.text(),
            Hidden::BadFormat => "bad format".to_owned(),
        }
    }
}

impl View {
    /// Looks at the service in a directory.
    pub fn of(name: &OsStr) -> Result<View, Hidden> {
        let unable = |what| move |why| Hidden::Unable(what, why);
        let folder = Folder::enter(name).map_err(unable("chdir"))?;
        let normally_up = match fs::metadata(folder.file("down")) {
            Ok(_) => false,
            Err(why) if why.kind() == io::ErrorKind::NotFound => true,
            Err(why) => return Err(Hidden::Unable("stat down", why)),
        };
        folder.is_supervised().map_err(|why| match why.raw_os_error() {
            Some(libc::ENXIO) => Hidden::NotRunning,
            _ => Hidden::Unable("open supervise/ok", why),
        })?;
        let bytes = bytes(&folder.supervise("status"))?;
        let status = Status::parse(&bytes).ok_or(Hidden::BadFormat)?;
        let log = bytes.get(WITH_LOG / 2..).filter(|_| bytes.len() == WITH_LOG);
        let log = log.and_then(Status::parse);
        let record = record(&folder.supervise("state")).map_err(unable("read supervise/state"))?;
        let between = record.as_ref().is_some_and(|record| !agree(record, &status));
        let record = record.filter(|_| !between);
        Ok(View { status, log, normally_up, record, between })
    }

    /// `run` runs, or is not needed.
    pub fn is_up(&self) -> bool {
        match self.script() {
            Some(Script::Run) => true,
            Some(_) => false,
            None => is_up(&self.status),
        }
    }

    /// It is up, and ready if it tells. `false` while that is not known.
    pub fn is_ready(&self) -> bool {
        self.is_up() && !self.between && self.ready() != Some(false)
    }

    /// `None`: it does not tell.
    pub fn ready(&self) -> Option<bool> {
        self.record.as_ref()?.ready
    }

    /// `run` does not run, and is not about to be ended either.
    pub fn is_down(&self) -> bool {
        matches!(self.script(), Some(Script::Finish | Script::Stop)) || self.status.pid == 0
    }

    /// Nothing runs.
    pub fn is_over(&self) -> bool {
        self.status.pid == 0
    }

    /// It is not started again before somebody says so.
    pub fn has_failed(&self) -> bool {
        self.status.state == Some(State::Failed)
    }

    /// It is down only until the next start is due.
    pub fn is_backing_off(&self) -> bool {
        self.is_over() && self.record.as_ref().is_some_and(|record| record.delay.is_some())
    }

    /// One word for the state.
    pub fn word(&self) -> &'static str {
        if self.is_backing_off() && !self.has_failed() { "backoff" } else { word(&self.status) }
    }

    /// Everything is as it is wanted: nothing has failed, nothing that is wanted up is down.
    pub fn is_well(&self) -> bool {
        let is_well = |status: &Status| {
            let missing = status.want == Want::Up && status.pid == 0;
            let idle = matches!(status.state, Some(State::Started));
            status.state != Some(State::Failed) && (!missing || idle)
        };
        is_well(&self.status) && self.log.as_ref().is_none_or(is_well)
    }

    fn script(&self) -> Option<Script> {
        self.record.as_ref().filter(|record| record.process.is_some())?.script
    }
}

/// A service or its log script has a process that is meant to stay, or needs none.
pub fn is_up(status: &Status) -> bool {
    match status.state {
        Some(State::Running | State::Started) => true,
        Some(_) => false,
        None => status.pid != 0,
    }
}

/// One word for the state of a service or its log script.
pub fn word(status: &Status) -> &'static str {
    match status.state {
        Some(State::Starting) => "starting",
        Some(State::Started) => "started",
        Some(State::Stopping) => "stopping",
        Some(State::Failed) => "failed",
        _ if status.pid != 0 => "running",
        _ => "stopped",
    }
}

fn bytes(file: &Path) -> Result<Vec<u8>, Hidden> {
    let file = File::open(file).map_err(|why| Hidden::Unable("open supervise/status", why))?;
    let mut bytes = Vec::new();
    let read = file.take(LONGEST).read_to_end(&mut bytes);
    read.map_err(|why| Hidden::Unable("read supervise/status", why))?;
    Ok(bytes)
}

/// The state file, unless it was left by a supervise that is gone: that of daemontools, which may
/// be there instead, does not touch it. One that cannot be read is not taken for none: whoever
/// has yet to say that he is ready would be ready.
fn record(file: &Path) -> io::Result<Option<Record>> {
    let record = match state::read(file) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
        record => record?,
    };
    let lives = |pid: Pid| wait::end_of(pid).is_ok() || Path::new(&format!("/proc/{pid}")).exists();
    let counts = record.is_of_kernel(Boot::look()?) && record.supervisor.is_some_and(lives);
    Ok(counts.then_some(record))
}

fn agree(record: &Record, status: &Status) -> bool {
    let pid = record.process.map_or(0, |process| process.pid);
    u32::try_from(pid) == Ok(status.pid)
}
