//! Signals: ignored, default, as an exit, or as events of a poll loop. No work in a handler.

use super::check;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

/// A signal's number.
pub type Signal = libc::c_int;

pub use libc::{
    SIGALRM as ALARM, SIGCHLD as CHILD, SIGCONT as CONTINUE, SIGHUP as HANGUP, SIGINT as INTERRUPT,
    SIGKILL as KILL, SIGPIPE as PIPE, SIGQUIT as QUIT, SIGSTOP as STOP, SIGTERM as TERM,
    SIGXFSZ as FILE_SIZE,
};

/// Signals whose disposition this process has changed, as bits: a child gets the default back.
static CHANGED: AtomicU64 = AtomicU64::new(0);

/// Exit codes for [`exit_on`].
static EXITS: [AtomicU8; 65] = [const { AtomicU8::new(0) }; 65];

fn bit(signal: Signal) -> u64 {
    1u64.checked_shl(signal as u32).unwrap_or(0)
}

fn dispose(signal: Signal, action: libc::sighandler_t) -> io::Result<()> {
    CHANGED.fetch_or(bit(signal), Relaxed);
    set(signal, action)
}

fn set(signal: Signal, action: libc::sighandler_t) -> io::Result<()> {
    // SAFETY: an all-zero sigaction is a value: no flags, an empty mask.
    let mut new: libc::sigaction = unsafe { std::mem::zeroed() };
    new.sa_sigaction = action;
    // SAFETY: `new` is complete; the old action is not asked for.
    check(unsafe { libc::sigaction(signal, &new, std::ptr::null_mut()) }).map(drop)
}

/// Ignores a signal; children get its default.
pub fn ignore(signal: Signal) -> io::Result<()> {
    dispose(signal, libc::SIG_IGN)
}

/// Gives a signal its default effect, also for what this process becomes.
pub fn default(signal: Signal) -> io::Result<()> {
    dispose(signal, libc::SIG_DFL)
}

/// Whether our caller had the signal ignored, as nohup has SIGHUP, or this process has.
pub fn is_ignored(signal: Signal) -> bool {
    // SAFETY: an all-zero sigaction is a value; the kernel fills it and changes nothing.
    unsafe {
        let mut now: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &mut now) == 0
            && now.sa_sigaction == libc::SIG_IGN
    }
}

/// Ends the process with this code, and nothing else, when the signal comes.
pub fn exit_on(signal: Signal, code: u8) -> io::Result<()> {
    extern "C" fn handler(signal: Signal) {
        let code = EXITS.get(signal as usize).map_or(111, |code| code.load(Relaxed));
        super::start::exit_at_once(code);
    }
    if let Some(slot) = EXITS.get(signal as usize) {
        slot.store(code, Relaxed);
    }
    dispose(signal, handler as extern "C" fn(Signal) as libc::sighandler_t)
}

/// As [`exit_on`], after writing these words to stderr, which should end in a newline. For one
/// signal of a program only.
pub fn exit_saying(signal: Signal, code: u8, words: &'static str) -> io::Result<()> {
    static WORDS: OnceLock<&str> = OnceLock::new();
    extern "C" fn handler(signal: Signal) {
        let words = WORDS.get().copied().unwrap_or_default();
        // SAFETY: a constant string; write is safe in a handler.
        unsafe { libc::write(2, words.as_ptr().cast(), words.len()) };
        let code = EXITS.get(signal as usize).map_or(111, |code| code.load(Relaxed));
        super::start::exit_at_once(code);
    }
    let _ = WORDS.set(words);
    if let Some(slot) = EXITS.get(signal as usize) {
        slot.store(code, Relaxed);
    }
    dispose(signal, handler as extern "C" fn(Signal) as libc::sighandler_t)
}

/// Interrupts a blocking call with EINTR when the signal comes, and does nothing else.
pub fn interrupt_on(signal: Signal) -> io::Result<()> {
    extern "C" fn handler(_: Signal) {}
    dispose(signal, handler as extern "C" fn(Signal) as libc::sighandler_t)
}

/// SIGALRM after this many seconds; 0 cancels.
pub fn alarm(seconds: u32) {
    // SAFETY: alarm has no preconditions.
    unsafe { libc::alarm(seconds) };
}

/// Sends a signal to a process, or to the group of its negative number.
pub fn send(pid: libc::pid_t, signal: Signal) -> io::Result<()> {
    // SAFETY: kill has no memory preconditions.
    check(unsafe { libc::kill(pid, signal) }).map(drop)
}

/// Sends a signal to the process behind a pidfd ([`super::wait::end_of`]), which cannot be taken
/// for another one, or to the process group that it leads. A kernel older than Linux 6.9 knows no
/// groups here and says EINVAL.
pub fn send_through(pidfd: BorrowedFd, signal: Signal, group: bool) -> io::Result<()> {
    const GROUP: libc::c_uint = 4;
    let flags = if group { GROUP } else { 0 };
    let (nothing, pidfd) = (std::ptr::null::<libc::siginfo_t>(), pidfd.as_raw_fd());
    // SAFETY: a null pointer asks for the usual signal information.
    let sent = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd, signal, nothing, flags) };
    if sent == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Holds a signal back, for good. What this process becomes finds it held back.
pub fn block(signal: Signal) -> io::Result<()> {
    let mut held = empty_set();
    // SAFETY: adds to a set of this frame.
    check(unsafe { libc::sigaddset(&mut held, signal) })?;
    mask(libc::SIG_BLOCK, &held).map(drop)
}

/// Blocks nothing any more, whatever the caller of this program had blocked.
pub fn unblock_all() -> io::Result<()> {
    mask(libc::SIG_SETMASK, &empty_set()).map(drop)
}

/// Holds all signals back until dropped: around fork, so that a handler never runs in a child.
pub(crate) struct Held(libc::sigset_t);

impl Held {
    pub(crate) fn all() -> io::Result<Self> {
        let mut all = empty_set();
        // SAFETY: fills a set of this frame.
        unsafe { libc::sigfillset(&mut all) };
        mask(libc::SIG_SETMASK, &all).map(Held)
    }

    /// In a child, instead of dropping: every signal that this process had changed gets its
    /// default back, before any held one is let through. Memory stays as it is: it may be ours.
    pub(crate) fn release_in_child(&self) {
        let changed = CHANGED.load(Relaxed);
        for signal in (1..=64).filter(|signal| changed & bit(*signal) != 0) {
            let _ = set(signal, libc::SIG_DFL);
        }
        let _ = mask(libc::SIG_SETMASK, &self.0);
    }
}

/// In a child that goes on with this program, once every signal has its default.
pub(super) fn forget_changes() {
    CHANGED.store(0, Relaxed);
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = mask(libc::SIG_SETMASK, &self.0);
    }
}

pub(super) fn empty_set() -> libc::sigset_t {
    // SAFETY: an all-zero set is a value, and sigemptyset makes it the empty one.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        set
    }
}

pub(super) fn mask(how: libc::c_int, set: &libc::sigset_t) -> io::Result<libc::sigset_t> {
    let mut old = empty_set();
    // SAFETY: one thread; both sets are values of this process.
    check(unsafe { libc::sigprocmask(how, set, &mut old) })?;
    Ok(old)
}

#[cfg(feature = "daemon")]
pub use events::Signals;

#[cfg(feature = "daemon")]
mod events {
    use super::{CHANGED, Signal, bit};
    use crate::sys::fd;
    use std::io;
    use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
    use std::sync::atomic::{AtomicU64, Ordering};

    /// Signals that have come and were not taken yet, as bits.
    static CAME: AtomicU64 = AtomicU64::new(0);

    /// Signals as events of a poll loop.
    pub struct Signals {
        wake: OwnedFd,
        _handlers_write_here: OwnedFd,
    }

    impl Signals {
        /// Catches these signals from now on. Children get their defaults.
        pub fn catch(signals: &[Signal]) -> io::Result<Self> {
            let (wake, write) = fd::pipe()?;
            fd::set_nonblocking(wake.as_fd(), true)?;
            fd::set_nonblocking(write.as_fd(), true)?;
            let number = write.as_raw_fd();
            for &signal in signals {
                let note = move || {
                    CAME.fetch_or(bit(signal), Ordering::SeqCst);
                    // SAFETY: one byte of a constant. A full pipe has been woken already.
                    unsafe { libc::write(number, b"!".as_ptr().cast(), 1) };
                };
                CHANGED.fetch_or(bit(signal), Ordering::Relaxed);
                // SAFETY: the action only sets an atomic and writes to a descriptor, both
                // async-signal-safe; the descriptor is open as long as the process uses Signals.
                unsafe { signal_hook::low_level::register(signal, note)? };
            }
            Ok(Signals { wake, _handlers_write_here: write })
        }

        /// Readable when a signal has come.
        pub fn fd(&self) -> BorrowedFd<'_> {
            self.wake.as_fd()
        }

        /// The signals that came since the last call, in order of their numbers.
        pub fn take(&self) -> impl Iterator<Item = Signal> + use<> {
            let mut bytes = [0; 64];
            while matches!(fd::read(self.wake.as_fd(), &mut bytes), Ok(64)) {}
            let came = CAME.swap(0, Ordering::SeqCst);
            (1..=64).filter(move |signal| came & bit(*signal) != 0)
        }
    }
}
