//! Starting a program in a child, with everything that the child gets said in one place.

use super::exec::Prepared;
use super::fd;
use super::signal::Held;
use super::start::exit_at_once;
use super::wait::Pid;
use super::{check, ids};
use crate::env::Env;
use crate::errno;
use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A child to be started. It inherits what is not changed here: descriptors that are not closed
/// at exec, limits, signals ignored by our caller. Signals that this program caught or ignored
/// have their defaults in it.
pub struct Spawn<'a> {
    words: &'a [OsString],
    name: Option<&'a OsStr>,
    env: Option<&'a Env>,
    fds: Vec<(BorrowedFd<'a>, RawFd)>,
    closed: Vec<RawFd>,
    folder: Option<&'a Path>,
    umask: Option<u32>,
    open_files: Option<(u64, u64)>,
    user: Option<ids::User>,
    session: bool,
    unblocked: bool,
    words_on_failure: Option<String>,
    code_on_failure: (u8, u8),
}

/// What keeps a child from becoming its program. Dropped, it ends the child.
pub struct Gate(OwnedFd);

impl Gate {
    /// Lets the child go on.
    pub fn open(self) {
        // Nobody reads it if the child was killed meanwhile; callers ignore SIGPIPE.
        let _ = fd::write(self.0.as_fd(), b".");
    }
}

impl<'a> Spawn<'a> {
    /// The program that the first word names, with all words as argv.
    pub fn new(words: &'a [OsString]) -> Self {
        Spawn {
            words,
            name: None,
            env: None,
            fds: Vec::new(),
            closed: Vec::new(),
            folder: None,
            umask: None,
            open_files: None,
            user: None,
            session: false,
            unblocked: false,
            words_on_failure: None,
            code_on_failure: (111, 111),
        }
    }

    /// Runs this file instead of the one that the first word names.
    pub fn file(mut self, name: &'a OsStr) -> Self {
        self.name = Some(name);
        self
    }

    /// Gives the child this environment instead of ours.
    pub fn env(mut self, env: &'a Env) -> Self {
        self.env = Some(env);
        self
    }

    /// Gives the child `fd` under the number `as_number`.
    pub fn fd(mut self, as_number: RawFd, fd: BorrowedFd<'a>) -> Self {
        self.fds.push((fd, as_number));
        self
    }

    /// Closes this number in the child.
    pub fn close(mut self, number: RawFd) -> Self {
        self.closed.push(number);
        self
    }

    /// Starts it in this folder.
    pub fn folder(mut self, folder: &'a Path) -> Self {
        self.folder = Some(folder);
        self
    }

    /// Starts it with this umask.
    pub fn umask(mut self, umask: u32) -> Self {
        self.umask = Some(umask);
        self
    }

    /// Starts it with this soft and hard limit on open files (RLIMIT_NOFILE).
    pub fn open_files(mut self, soft: u64, hard: u64) -> Self {
        self.open_files = Some((soft, hard));
        self
    }

    /// Starts it as this user: groups, gid, uid, in this order.
    pub fn user(mut self, user: ids::User) -> Self {
        self.user = Some(user);
        self
    }

    /// Makes it the leader of a session and process group of its own.
    pub fn session(mut self) -> Self {
        self.session = true;
        self
    }

    /// Blocks no signal in it, whatever our caller had blocked.
    pub fn unblocked(mut self) -> Self {
        self.unblocked = true;
        self
    }

    /// If the child cannot become the program, it writes `TEXT: REASON` and a newline to its
    /// stderr. Without this it is silent.
    pub fn last_words(mut self, text: String) -> Self {
        self.words_on_failure = Some(text);
        self
    }

    /// If the child cannot become the program, it exits with `temporary` or, if trying again
    /// does not help ([`errno::is_temporary`]), `permanent`. Without this: 111 both.
    pub fn failure_codes(mut self, temporary: u8, permanent: u8) -> Self {
        self.code_on_failure = (temporary, permanent);
        self
    }

    /// Starts it. An error means that there is no child; all later failures are the child's.
    pub fn start(&self) -> io::Result<Pid> {
        self.fork(None)
    }

    /// As [`Spawn::start`], but the child becomes the program only when the gate is opened. It
    /// ends without a word if this process ends before: so the child can be written down where
    /// others find it before it does anything.
    pub fn start_held(&self) -> io::Result<(Pid, Gate)> {
        let (read, write) = fd::pipe()?;
        let pid = self.fork(Some([read.as_raw_fd(), write.as_raw_fd()]))?;
        Ok((pid, Gate(write)))
    }

    /// `gate`: both ends of the pipe that the child waits on.
    fn fork(&self, gate: Option<[RawFd; 2]>) -> io::Result<Pid> {
        let [first, ..] = self.words else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let name = self.name.unwrap_or(first).as_bytes();
        let prepared = match self.env {
            Some(env) => Prepared::new(name, self.words, env)?,
            None => Prepared::inheriting(name, self.words)?,
        };
        let folder = match self.folder {
            Some(folder) => Some(CString::new(folder.as_os_str().as_bytes())?),
            None => None,
        };
        let mut moved = Vec::with_capacity(self.fds.len());
        let held = Held::all()?;
        // SAFETY: one thread. The child calls only what is safe after fork: system calls, on
        // memory that was prepared above.
        match check(unsafe { super::fork::fork() })? {
            0 => {
                let why = match self.become_child(folder.as_ref(), &mut moved, gate, &held) {
                    Ok(()) => prepared.exec(),
                    Err(why) => why,
                };
                self.give_up(&why)
            }
            pid => Ok(pid),
        }
    }

    /// In the child: everything up to exec.
    fn become_child(
        &self,
        folder: Option<&CString>,
        moved: &mut Vec<RawFd>,
        gate: Option<[RawFd; 2]>,
        held: &Held,
    ) -> io::Result<()> {
        if self.session {
            // SAFETY: setsid has no preconditions.
            check(unsafe { libc::setsid() })?;
        }
        let gate = match gate {
            Some([read, write]) => {
                // The end of the pipe is seen only if nobody has it open for writing.
                fd::close(write);
                Some(self.move_away(read)?)
            }
            None => None,
        };
        self.place_descriptors(moved)?;
        if let Some(mask) = self.umask {
            // SAFETY: umask has no preconditions.
            unsafe { libc::umask(mask) };
        }
        if let Some((soft, hard)) = self.open_files {
            let limit = libc::rlimit { rlim_cur: soft, rlim_max: hard };
            // SAFETY: the kernel reads one value of this frame.
            check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) })?;
        }
        if let Some(user) = &self.user {
            ids::become_user(user)?;
        }
        if let Some(folder) = folder {
            // SAFETY: a NUL-ended string.
            check(unsafe { libc::chdir(folder.as_ptr()) })?;
        }
        held.release_in_child();
        if self.unblocked {
            super::signal::unblock_all()?;
        }
        match gate.map(|gate| fd::read(fd::number(gate), &mut [0])) {
            None | Some(Ok(1)) => Ok(()),
            Some(_) => exit_at_once(111),
        }
    }

    /// First every source moves out of the way of the wanted numbers, then each is copied to its
    /// own. A number that is both wanted and to be closed is wanted.
    fn place_descriptors(&self, moved: &mut Vec<RawFd>) -> io::Result<()> {
        for (from, _) in &self.fds {
            moved.push(self.move_away(from.as_raw_fd())?);
        }
        for &number in &self.closed {
            fd::close(number);
        }
        for ((_, to), from) in self.fds.iter().zip(&*moved) {
            fd::copy_to(fd::number(*from), *to)?;
        }
        Ok(())
    }

    /// A copy above all wanted numbers.
    fn move_away(&self, from: RawFd) -> io::Result<RawFd> {
        let above = self.fds.iter().map(|(_, to)| to + 1).max().unwrap_or(0).max(10);
        // SAFETY: duplicates an open descriptor; no memory is involved.
        check(unsafe { libc::fcntl(from, libc::F_DUPFD_CLOEXEC, above) })
    }

    /// In the child: the last words, without allocation, and the end.
    fn give_up(&self, why: &io::Error) -> ! {
        if let Some(text) = &self.words_on_failure {
            let reason = why.raw_os_error().and_then(errno::text).unwrap_or("unknown error");
            let parts = [text.as_bytes(), b": ", reason.as_bytes(), b"\n"];
            let parts = parts.map(|part| libc::iovec {
                iov_base: part.as_ptr().cast_mut().cast(),
                iov_len: part.len(),
            });
            // SAFETY: four slices that live until the call returns; writev only reads them.
            unsafe { libc::writev(2, parts.as_ptr(), 4) };
        }
        let (temporary, permanent) = self.code_on_failure;
        exit_at_once(if errno::is_temporary(why) { temporary } else { permanent })
    }
}
