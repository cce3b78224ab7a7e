//! How a service tells that it is ready: by a line to the descriptor that `notification-fd` names,
//! by a datagram to `$NOTIFY_SOCKET` if there is a file `notify-socket`, or by a script `check`
//! that succeeds.

use crate::notify_socket::NotifySocket;
use crate::running::Running;
use crate::settings;
use crate::state::{Record, Stamp};
use base::env::Env;
use base::sys::poll::Wait;
use base::sys::signal;
use base::sys::spawn::Spawn;
use base::sys::wait::{Pid, Status};
use base::sys::{clock, fd};
use base::{say, tai64};
use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// How often `check` is tried.
const CHECK: Duration = Duration::from_secs(1);

/// Whether a service is ready, and how it tells.
#[derive(Default)]
pub struct Readiness {
    way: Way,
    /// `None` if it does not tell.
    ready: Option<bool>,
    since: Option<Stamp>,
}

/// How it tells.
#[derive(Default)]
enum Way {
    /// It does not, or has told already.
    #[default]
    None,
    /// By a line that can be read here.
    Line(OwnedFd),
    /// By a datagram.
    Socket(NotifySocket),
    /// By a script: its process if it runs, and when to run it.
    Check(Option<Pid>, Instant),
}

/// What the service is given to tell.
#[derive(Default)]
pub struct Gift {
    /// The write end of a pipe, and its number in the service.
    pub pipe: Option<(RawFd, OwnedFd)>,
    /// The environment, if it is changed.
    pub env: Option<Env>,
}

impl Readiness {
    /// Of a service that does not run.
    pub fn down() -> Readiness {
        let told = settings::notification_fd().is_some()
            || settings::exists("notify-socket")
            || settings::is_script("check");
        Readiness { way: Way::None, ready: told.then_some(false), since: None }
    }

    /// Of a service that is about to be started, and what to give to it. What there is no room
    /// for in the system is complained about, and the service is never ready.
    pub fn start() -> (Readiness, Gift) {
        let mut readiness = Readiness::down();
        let mut gift = Gift::default();
        if let Some(number) = settings::notification_fd() {
            match pipe() {
                Ok((read, write)) => {
                    readiness.way = Way::Line(read);
                    gift.pipe = Some((number, write));
                }
                Err(why) => say::unable("create pipe for notification-fd", &why),
            }
        } else if settings::exists("notify-socket") {
            match NotifySocket::new() {
                Ok(socket) => {
                    let mut env = Env::inherited();
                    env.set("NOTIFY_SOCKET", socket.address());
                    gift.env = Some(env);
                    readiness.way = Way::Socket(socket);
                }
                Err(why) => say::unable("create notify socket", &why),
            }
        } else if settings::is_script("check") {
            readiness.way = Way::Check(None, Instant::now() + CHECK);
        }
        (readiness, gift)
    }

    /// Of a service that an earlier supervise has started.
    pub fn adopt(record: &Record, pid: Pid) -> Readiness {
        let way = if let Some(name) = &record.notify_socket {
            NotifySocket::named(name).map_or(Way::None, Way::Socket)
        } else if record.ready == Some(true) {
            Way::None
        } else if let Some(number) = settings::notification_fd() {
            read_end(pid, number).map_or(Way::None, Way::Line)
        } else if settings::is_script("check") {
            Way::Check(None, Instant::now())
        } else {
            Way::None
        };
        Readiness { way, ready: record.ready, since: record.ready_since }
    }

    /// Waits for what the service tells.
    pub fn wait(&self) -> Option<Wait<'_>> {
        match &self.way {
            Way::Line(pipe) => Some(Wait::read(pipe.as_fd())),
            Way::Socket(socket) => Some(Wait::read(socket.fd())),
            Way::None | Way::Check(..) => None,
        }
    }

    /// When to call [`Readiness::act`] at the latest.
    pub fn next_event(&self) -> Option<Instant> {
        match self.way {
            Way::Check(None, time) => Some(time),
            _ => None,
        }
    }

    /// Reads what there is, and runs `check` if that is due. `name`: of the service directory.
    pub fn act(&mut self, service: &Running, name: &str) {
        match &mut self.way {
            Way::None => {}
            Way::Line(pipe) => {
                let mut bytes = [0; 512];
                match fd::read(pipe.as_fd(), &mut bytes) {
                    Ok(count) if bytes[..count].contains(&b'\n') => self.told(),
                    // The end: it will never tell.
                    Ok(0) => self.way = Way::None,
                    _ => {}
                }
            }
            Way::Socket(socket) => {
                if socket.says_ready(service.pid()) && self.ready != Some(true) {
                    self.ready = Some(true);
                    self.since = Some(tai64::pack(clock::now()));
                }
            }
            Way::Check(process @ None, time) if *time <= Instant::now() => {
                *time = Instant::now() + CHECK;
                let words = [OsString::from("./check")];
                let text = format!("supervise: warning: unable to start {name}/check");
                *process = Spawn::new(&words).unblocked().last_words(text).start().ok();
            }
            Way::Check(..) => {}
        }
    }

    /// A child has died. `true` if it was `check`.
    pub fn child_died(&mut self, pid: Pid, status: Status) -> bool {
        match &mut self.way {
            Way::Check(process, _) if *process == Some(pid) => {
                *process = None;
                if status.code() == Some(0) {
                    self.told();
                }
                true
            }
            _ => false,
        }
    }

    fn told(&mut self) {
        self.way = Way::None;
        self.ready = Some(true);
        self.since = Some(tai64::pack(clock::now()));
    }

    /// Writes into the record what it knows.
    pub fn record(&self, record: &mut Record) {
        record.ready = self.ready;
        record.ready_since = self.since;
        record.notify_socket = match &self.way {
            Way::Socket(socket) => Some(socket.name().to_owned()),
            _ => None,
        };
    }
}

impl Drop for Readiness {
    /// A `check` of what has ended is of no use.
    fn drop(&mut self) {
        if let Way::Check(Some(pid), _) = self.way {
            let _ = signal::send(pid, libc::SIGKILL);
        }
    }
}

/// A pipe of which reading never waits.
fn pipe() -> std::io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = fd::pipe()?;
    fd::set_nonblocking(read.as_fd(), true)?;
    Ok((read, write))
}

/// Another read end of the pipe that a process has under this number.
fn read_end(pid: Pid, number: RawFd) -> Option<OwnedFd> {
    let file = base::files::open_read(Path::new(&format!("/proc/{pid}/fd/{number}"))).ok()?;
    file.metadata().is_ok_and(|found| found.file_type().is_fifo()).then(|| file.into())
}
