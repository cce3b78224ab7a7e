//! A place for one supervise: who has it, and when it may be filled.

use crate::folder::{Folder, Identity};
use crate::holder::{self, Holder};
use crate::pipe::Pipe;
use crate::running::Running;
use crate::state;
use base::sys::signal::{self, Signal};
use base::sys::spawn::Spawn;
use base::sys::wait::Pid;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A supervise is not started more often than once in this time.
const PACE: Duration = Duration::from_secs(1);
/// How long to wait after what may pass: no room for a process, a lock whose holder is hidden.
const LATER: Duration = Duration::from_secs(5);

/// How long the lock of a supervise may outlive it.
const SOON: Duration = Duration::from_millis(100);

/// A place for one supervise.
pub struct Seat {
    /// The service directory, from the scan directory: `NAME` or `NAME/log`.
    pub path: PathBuf,
    identity: Identity,
    sitter: Sitter,
    /// Not to be filled, or looked at, before.
    not_before: Instant,
    /// Which pipe the last supervise that was started here was given.
    pub given: Option<(u64, u64)>,
}

/// Who has the seat.
enum Sitter {
    Nobody,
    /// A supervise that we have started.
    Child(Pid),
    /// One that somebody else has started.
    Stranger(Holder),
    /// One that somebody else has started, of which we see nothing but its lock.
    Hidden,
}

impl Seat {
    /// An empty seat for the supervise of the directory at `path`.
    pub fn new(path: PathBuf, identity: Identity) -> Seat {
        Seat { path, identity, sitter: Sitter::Nobody, not_before: Instant::now(), given: None }
    }

    /// Nobody has it.
    pub fn is_free(&self) -> bool {
        matches!(self.sitter, Sitter::Nobody)
    }

    /// A supervise has it that we have started.
    pub fn is_child(&self) -> bool {
        matches!(self.sitter, Sitter::Child(_))
    }

    /// When to fill it.
    pub fn due(&self) -> Option<Instant> {
        self.is_free().then_some(self.not_before)
    }

    /// When to look whether it has become free, if nobody tells.
    pub fn look(&self) -> Option<Instant> {
        matches!(self.sitter, Sitter::Hidden).then_some(self.not_before)
    }

    /// It is due now.
    pub fn is_due(&self) -> bool {
        self.due().is_some_and(|time| time <= Instant::now())
    }

    /// It is not due for a while.
    pub fn postpone(&mut self) {
        self.not_before = Instant::now() + LATER;
    }

    /// Finds out by the lock whether somebody else's supervise has the seat. `true` if that is
    /// news.
    pub fn find_stranger(&mut self) -> bool {
        let news = self.is_free();
        self.sitter = Sitter::Nobody;
        let (Ok(folder), Some(identity)) = (Folder::enter(&self.path), Identity::at(&self.path))
        else {
            return false;
        };
        self.identity = identity;
        if !folder.is_locked() {
            return false;
        }
        self.postpone();
        self.sitter = match holder::holder(&folder, self.identity) {
            Some(holder) => Sitter::Stranger(holder),
            None => Sitter::Hidden,
        };
        if news && matches!(self.sitter, Sitter::Hidden) {
            // A supervise that was killed just now may have a child that has not let go yet.
            self.not_before = Instant::now() + SOON;
        }
        news
    }

    /// Starts a supervise there.
    pub fn fill(&mut self, supervise: &Spawn) -> io::Result<()> {
        self.postpone();
        self.sitter = Sitter::Child(supervise.start_after(|| {})?);
        self.not_before = Instant::now() + PACE;
        Ok(())
    }

    /// A child has died: if it was the one here, the place is free.
    pub fn child_died(&mut self, pid: Pid) {
        if matches!(self.sitter, Sitter::Child(sitter) if sitter == pid) {
            self.sitter = Sitter::Nobody;
        }
    }

    /// Readable when the stranger here has ended.
    pub fn end_of_stranger(&self) -> Option<BorrowedFd<'_>> {
        match &self.sitter {
            Sitter::Stranger(holder) => Some(holder.end.as_fd()),
            _ => None,
        }
    }

    /// The stranger here has ended.
    pub fn stranger_left(&mut self) {
        self.sitter = Sitter::Nobody;
        self.not_before = Instant::now();
    }

    /// The file behind a descriptor of the stranger here.
    pub fn file_of_stranger(&self, descriptor: u8) -> Option<PathBuf> {
        match &self.sitter {
            Sitter::Stranger(holder) => {
                Some(format!("/proc/{}/fd/{descriptor}", holder.pid).into())
            }
            _ => None,
        }
    }

    /// The file behind a descriptor of what a supervise has started here, even if that supervise
    /// was killed.
    pub fn file_of_process(&self, descriptor: u8) -> Option<PathBuf> {
        let folder = Folder::enter(&self.path).ok()?;
        let record = state::read(&folder.supervise("state")).ok()?;
        let process = record.process.filter(|_| record.is_of_kernel(state::Boot::now()));
        let running = process.and_then(Running::adopt)?;
        Some(format!("/proc/{}/fd/{descriptor}", running.pid()).into())
    }

    /// The pipe to a dead logger that what a supervise has started here writes to. qmail-send has it
    /// as descriptor 0, and its orders to qmail-lspawn as 1.
    pub fn unread_pipe(&self) -> Option<Pipe> {
        [1, 2, 0].into_iter().find_map(|number| Pipe::unread(&self.file_of_process(number)?))
    }

    /// Gives orders to the supervise here. It is found by its process, since the directory may
    /// have lost its name. One that does not read orders (yet) gets the signal.
    pub fn order(&self, letters: &[u8], signal: Signal) {
        let (pid, ours) = match &self.sitter {
            Sitter::Child(pid) => (*pid, true),
            Sitter::Stranger(holder) => (holder.pid, false),
            Sitter::Hidden => return drop(order(&self.path, letters)),
            Sitter::Nobody => return,
        };
        let works = holder::works_in(pid, self.identity);
        let obeys = works && order(Path::new(&format!("/proc/{pid}/cwd")), letters).is_ok();
        // A stranger that works elsewhere has ended, and somebody else has its number.
        if !obeys && (ours || works) {
            let _ = signal::send(pid, signal);
        }
    }
}

fn order(folder: &Path, letters: &[u8]) -> io::Result<()> {
    Folder::enter(folder)?.control()?.order(letters)
}
