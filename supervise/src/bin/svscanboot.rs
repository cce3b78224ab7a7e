//! svscanboot: run svscan on the system's services, with its messages where ps shows them.
//!
//! svscan | readproctitle, as the shell script of daemontools has it, except that one of the two
//! that is killed is started again, and that signals are handed on to svscan.
#![cfg_attr(not(test), no_main)]

use base::env::{self, Env};
use base::files;
use base::opt::Opts;
use base::sys::poll::{Wait, poll};
use base::sys::signal::{self, Signal, Signals};
use base::sys::spawn::Spawn;
use base::sys::wait::{self, Pid};
use base::sys::{fd, lock};
use base::{Args, Code, Die, Result, Unable};
use daemonize::Daemonize;
use libc::{SIGALRM, SIGCHLD, SIGHUP, SIGINT, SIGPIPE, SIGQUIT, SIGTERM};
use nix::sys::stat::{Mode, umask};
use std::ffi::{OsStr, OsString};
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use supervise::folder::Folder;

base::program!("svscanboot", run);

const USAGE: &str = "svscanboot [ -d [ -p pidfile ] ]";

/// Where programs are looked up, here and by the services.
const PATH: &str =
    "/command:/usr/local/bin:/usr/local/sbin:/bin:/sbin:/usr/bin:/usr/sbin:/usr/X11R6/bin";

/// Nothing is started more often than once in this time.
const PACE: Duration = Duration::from_secs(1);

/// What readproctitle overwrites with the last messages.
const DOTS: usize = 400;

fn run(words: Args) -> Result<Code> {
    let options = options(words)?;
    if options.detached {
        Folder::enter(&options.services)
            .unable(format_args!("chdir to {}", options.services.display()))?;
        detach(options.pid_file)?;
    } else {
        redirect().unable("open /dev/null")?;
    }
    let signals = caught().unable("catch signals")?;
    stop_all(&options.services);
    let (read, write) = fd::pipe().unable("create pipe")?;
    let messages = Messages { read, write };
    let mut env = Env::empty();
    env.set("PATH", PATH);
    let svscan = Child::new(vec!["svscan".into(), options.services.into()]);
    let line = [OsString::from("readproctitle"), "service".into(), "errors:".into()];
    let line = line.into_iter().chain([".".repeat(DOTS).into()]).collect();
    let title = Child::new(line);
    Boot { env, svscan, title, messages: Some(messages), told: false }.go_on(&signals)
}

/// What is asked for.
struct Options {
    /// To go on in the background, in a session of its own.
    detached: bool,
    /// Locked, and filled with the process number.
    pid_file: Option<PathBuf>,
    /// The scan directory.
    services: PathBuf,
}

fn options(words: Args) -> Result<Options> {
    let mut opts = Opts::new(words, "dp:", USAGE);
    let (mut detached, mut pid_file) = (false, None);
    while let Some(letter) = opts.next()? {
        match letter {
            b'd' => detached = true,
            _ => pid_file = Some(std::path::absolute(opts.argument()).unable("find pid file")?),
        }
    }
    if pid_file.is_some() && !detached {
        return Err(opts.bad_usage());
    }
    let services = std::path::absolute(services()).unable("find service directory")?;
    Ok(Options { detached, pid_file, services })
}

/// `$SVDIR`, else /service if there is one, else /etc/service.
fn services() -> PathBuf {
    match env::get("SVDIR").filter(|folder| !folder.is_empty()) {
        Some(folder) => OsString::from_vec(folder).into(),
        None if Path::new("/service").is_dir() => "/service".into(),
        None => "/etc/service".into(),
    }
}

/// Goes on in the background, without terminal, in the root directory.
fn detach(pid_file: Option<PathBuf>) -> Result<()> {
    let mask = umask(Mode::empty());
    umask(mask);
    let mut daemon = Daemonize::new().umask(mask.bits());
    if let Some(file) = pid_file {
        // Tried here, where the caller still hears of it.
        let opened = OpenOptions::new().write(true).create(true).truncate(false).open(&file);
        let opened = opened.unable(format_args!("open {}", file.display()))?;
        lock::try_exclusive(opened.as_fd()).unable(format_args!("lock {}", file.display()))?;
        daemon = daemon.pid_file(file);
    }
    daemon.start().map_err(|why| Die::later(format_args!("unable to detach: {why}")))
}

fn redirect() -> io::Result<()> {
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    (0..=2).try_for_each(|number| fd::copy_to(null.as_fd(), number))
}

fn caught() -> io::Result<Signals> {
    signal::unblock_all()?;
    signal::ignore(SIGPIPE)?;
    let handed_on = [SIGTERM, SIGINT, SIGQUIT, SIGALRM, SIGCHLD, SIGHUP];
    let nohup = signal::is_ignored(SIGHUP);
    Signals::catch(if nohup { &handed_on[..5] } else { &handed_on })
}

/// `svc -dx` for everything that an earlier svscan has left.
fn stop_all(services: &Path) {
    let entries = files::entries(services).into_iter().flatten().flatten();
    let visible = entries.filter(|entry| entry.file_name().as_bytes().first() != Some(&b'.'));
    for folder in visible.flat_map(|entry| [entry.path(), entry.path().join("log")]) {
        let control = Folder::enter(folder).and_then(|folder| folder.control());
        // Where no supervise runs there is nothing to stop.
        let _ = control.and_then(|control| control.order(b"dx"));
    }
}

/// A program that is to run.
struct Child {
    words: Args,
    pid: Option<Pid>,
    /// Not to be started before.
    not_before: Instant,
}

/// The pipe for messages. Held open, so that none is lost when readproctitle starts again.
struct Messages {
    read: OwnedFd,
    write: OwnedFd,
}

/// Both programs.
struct Boot {
    env: Env,
    svscan: Child,
    title: Child,
    /// `None` once svscan has ended for good.
    messages: Option<Messages>,
    /// svscan has been told to end: one that dies of the signal is not started again.
    told: bool,
}

impl Boot {
    /// Until both have ended. The exit code is that of readproctitle.
    fn go_on(mut self, signals: &Signals) -> Result<Code> {
        loop {
            self.start_both();
            let started = self.messages.as_ref().map(|_| [&self.svscan, &self.title]);
            let due = started.into_iter().flatten().filter_map(Child::due).min();
            let limit = due.map(|time| time.saturating_duration_since(Instant::now()));
            poll(&mut [Wait::read(signals.fd())], limit).unable("wait for svscan")?;
            for signal in signals.take() {
                let ended = self.signal_came(signal);
                if let Some(code) = ended {
                    return Ok(code);
                }
            }
        }
    }

    fn start_both(&mut self) {
        let Some(Messages { read, write }) = &self.messages else {
            return;
        };
        let (read, write) = (read.as_fd(), write.as_fd());
        self.title.start(&self.env, &[(0, read)]);
        self.svscan.start(&self.env, &[(1, write), (2, write)]);
    }

    fn signal_came(&mut self, signal: Signal) -> Option<Code> {
        if signal == SIGCHLD {
            return self.children_died();
        }
        let to_end = [SIGTERM, SIGINT, SIGQUIT].contains(&signal);
        self.told |= to_end;
        match self.svscan.pid {
            Some(pid) => drop(signal::send(pid, signal)),
            None if to_end => return Some(Code::DONE),
            None => {}
        }
        None
    }

    /// The exit code, if nothing is left to wait for. An svscan that was killed, or that the system
    /// did not let work, starts again and takes the services over; one that has ended itself, or
    /// that was told to and knows no better than to die of it (the original), has ended for good.
    fn children_died(&mut self) -> Option<Code> {
        let mut code = Code::DONE;
        while let Some((pid, status)) = wait::any() {
            let by_itself = status.code().is_some_and(|code| code != Code::TEMP.0);
            if self.svscan.ended(pid) && (self.told || by_itself) {
                self.messages = None;
            }
            if self.title.ended(pid) {
                code = Code(status.code().unwrap_or(111));
            }
        }
        (self.messages.is_none() && self.title.pid.is_none()).then_some(code)
    }
}

impl Child {
    fn new(words: Args) -> Child {
        Child { words, pid: None, not_before: Instant::now() }
    }

    /// `pid` has ended. `true` if it was this one.
    fn ended(&mut self, pid: Pid) -> bool {
        let mine = self.pid == Some(pid);
        self.pid = self.pid.filter(|_| !mine);
        mine
    }

    fn due(&self) -> Option<Instant> {
        Some(self.not_before).filter(|_| self.pid.is_none())
    }

    /// Starts it with these descriptors, if it is due.
    fn start(&mut self, env: &Env, descriptors: &[(RawFd, BorrowedFd)]) {
        if self.due().is_none_or(|time| time > Instant::now()) {
            return;
        }
        self.not_before = Instant::now() + PACE;
        let Some(name) = self.words.first() else { return };
        // Looked for every time, as what was in the way may have passed.
        let file = find(name);
        let text = format!("svscanboot: fatal: unable to run {}", file.display());
        let child = Spawn::new(&self.words).file(&file).env(env).last_words(text);
        let child = descriptors.iter().fold(child, |child, (number, fd)| child.fd(*number, *fd));
        self.pid = child.start().ok();
    }
}

/// The first file of this name in [`PATH`] that may be run, or that cannot be looked at: it may be
/// when it is run. Nothing but its name if there is none.
fn find(name: &OsStr) -> OsString {
    let files = PATH.split(':').map(|folder| Path::new(folder).join(name));
    let may_run = |file: &PathBuf| match fs::metadata(file) {
        Ok(found) => found.is_file() && found.permissions().mode() & 0o111 != 0,
        Err(why) => !matches!(
            why.kind(),
            ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::PermissionDenied
        ),
    };
    files.into_iter().find(may_run).map_or_else(|| name.to_owned(), PathBuf::into_os_string)
}
