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
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
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
    ///
    /// It has our memory until it is the program ([`Spawn::start_after`]), unless it becomes
    /// another user before: he could stop it for good there, and us with it.
    pub fn start(&self) -> io::Result<Pid> {
        if self.user.is_none() {
            return self.start_after(|| {});
        }
        let mut errand = self.errand()?;
        // SAFETY: one thread. The child calls only what is safe after fork: system calls, on
        // memory that was prepared above.
        match check(unsafe { super::fork::fork() })? {
            0 => errand.run(),
            pid => Ok(pid),
        }
    }

    /// As [`Spawn::start`], and always in our memory: no page of ours is copied, and this process
    /// stands still until the child is the program. `first` is what the child does before anything
    /// else: it can write itself down where others find it. It must not allocate: if the child is
    /// killed meanwhile, what it has begun stays half done here.
    pub fn start_after(&self, first: impl FnOnce()) -> io::Result<Pid> {
        let mut errand = self.errand()?;
        super::fork::child_in_our_memory(|| {
            first();
            errand.run()
        })
    }

    /// Everything that needs memory. Signals are held back from here on.
    fn errand(&self) -> io::Result<Errand<'_>> {
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
        let moved = Vec::with_capacity(self.fds.len());
        Ok(Errand { spawn: self, prepared, folder, moved, held: Held::all()? })
    }
}

/// What a child does.
struct Errand<'a> {
    spawn: &'a Spawn<'a>,
    prepared: Prepared,
    folder: Option<CString>,
    /// Descriptors on their way, with room for all.
    moved: Vec<RawFd>,
    held: Held,
}

impl Errand<'_> {
    /// In the child: becomes the program, or gives up.
    fn run(&mut self) -> ! {
        let why = match self.become_child() {
            Ok(()) => self.prepared.exec(),
            Err(why) => why,
        };
        self.give_up(&why)
    }

    /// In the child: everything up to exec.
    fn become_child(&mut self) -> io::Result<()> {
        let spawn = self.spawn;
        if spawn.session {
            // SAFETY: setsid has no preconditions.
            check(unsafe { libc::setsid() })?;
        }
        self.place_descriptors()?;
        if let Some(mask) = spawn.umask {
            // SAFETY: umask has no preconditions.
            unsafe { libc::umask(mask) };
        }
        if let Some((soft, hard)) = spawn.open_files {
            let limit = libc::rlimit { rlim_cur: soft, rlim_max: hard };
            // SAFETY: the kernel reads one value of this frame.
            check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) })?;
        }
        if let Some(user) = &spawn.user {
            ids::become_user(user)?;
        }
        if let Some(folder) = &self.folder {
            // SAFETY: a NUL-ended string.
            check(unsafe { libc::chdir(folder.as_ptr()) })?;
        }
        self.held.release_in_child();
        if spawn.unblocked {
            super::signal::unblock_all()?;
        }
        Ok(())
    }

    /// First every source moves out of the way of the wanted numbers, then each is copied to its
    /// own. A number that is both wanted and to be closed is wanted.
    fn place_descriptors(&mut self) -> io::Result<()> {
        let spawn = self.spawn;
        for (from, _) in &spawn.fds {
            let away = self.move_away(from.as_raw_fd())?;
            self.moved.push(away);
        }
        for &number in &spawn.closed {
            fd::close(number);
        }
        for ((_, to), from) in spawn.fds.iter().zip(&self.moved) {
            fd::copy_to(fd::number(*from), *to)?;
        }
        Ok(())
    }

    /// A copy above all wanted numbers.
    fn move_away(&self, from: RawFd) -> io::Result<RawFd> {
        let above = self.spawn.fds.iter().map(|(_, to)| to + 1).max().unwrap_or(0).max(10);
        // SAFETY: duplicates an open descriptor; no memory is involved.
        check(unsafe { libc::fcntl(from, libc::F_DUPFD_CLOEXEC, above) })
    }

    /// In the child: the last words, without allocation, and the end.
    fn give_up(&self, why: &io::Error) -> ! {
        if let Some(text) = &self.spawn.words_on_failure {
            let reason = why.raw_os_error().and_then(errno::text).unwrap_or("unknown error");
            let parts = [text.as_bytes(), b": ", reason.as_bytes(), b"\n"];
            let parts = parts.map(|part| libc::iovec {
                iov_base: part.as_ptr().cast_mut().cast(),
                iov_len: part.len(),
            });
            // SAFETY: four slices that live until the call returns; writev only reads them.
            unsafe { libc::writev(2, parts.as_ptr(), 4) };
        }
        let (temporary, permanent) = self.spawn.code_on_failure;
        exit_at_once(if errno::is_temporary(why) { temporary } else { permanent })
    }
}
