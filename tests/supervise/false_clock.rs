//! A wall clock that a test sets for one process.
//!
//! By ptrace, as the programs are static: the process does not find the kernel's page for asking
//! the time without a system call, and what the system call answers is changed.

use nix::errno::Errno;
use nix::libc::{self, c_long, c_void};
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};
use std::thread;
use tests::{Running, behind, start};

/// Bytes of a word of memory.
const WORD: u64 = 8;
/// AT_SYSINFO_EHDR, where the kernel's page is, and AT_IGNORE: getauxval(3).
const PAGE: c_long = 33;
const IGNORE: c_long = 1;

/// Seconds that the clock is ahead.
pub struct Clock(Arc<AtomicI64>);

impl Clock {
    /// It is so many seconds ahead from now on, or behind.
    pub fn set(&self, seconds: i64) {
        self.0.store(seconds, SeqCst);
    }
}

/// Starts a program with a clock that is right so far. Its children have the true one.
#[track_caller]
pub fn start_with_clock(command: &Command) -> (Running, Clock) {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "kill -STOP $$; exec \"$0\" \"$@\""]);
    let running = start(&mut behind(shell, command));
    let (pid, clock) = (Pid::from_raw(running.pid()), Arc::new(AtomicI64::new(0)));
    waitpid(pid, Some(WaitPidFlag::WUNTRACED)).unwrap();
    let ours = Clock(Arc::clone(&clock));
    // the thread that takes it is the one that is told of its stops
    thread::spawn(move || {
        let options = Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_TRACEEXEC;
        ptrace::seize(pid, options).unwrap();
        kill(pid, Signal::SIGCONT).unwrap();
        Tracer { pid, clock, begun: false, inside: false }.follow();
    });
    (running, ours)
}

struct Tracer {
    pid: Pid,
    clock: Arc<AtomicI64>,
    /// The shell has become the program.
    begun: bool,
    inside: bool,
}

impl Tracer {
    /// To its end, which is left for the test to see.
    fn follow(mut self) {
        let all = WaitPidFlag::WEXITED | WaitPidFlag::WSTOPPED | WaitPidFlag::__WALL;
        loop {
            match waitid(Id::Pid(self.pid), all | WaitPidFlag::WNOWAIT) {
                Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..)) => return,
                Err(Errno::EINTR) => continue,
                Err(_) => return,
                Ok(_) => {}
            }
            let stop = WaitPidFlag::WSTOPPED | WaitPidFlag::__WALL | WaitPidFlag::WNOHANG;
            match waitid(Id::Pid(self.pid), stop) {
                Ok(WaitStatus::PtraceSyscall(_)) => {
                    self.inside = !self.inside;
                    if self.begun && !self.inside {
                        self.answered();
                    }
                    self.go_on(None);
                }
                Ok(WaitStatus::PtraceEvent(_, _, libc::PTRACE_EVENT_EXEC)) => {
                    self.begun = true;
                    self.hide_page();
                    self.go_on(None);
                }
                Ok(WaitStatus::PtraceEvent(_, signal, 0)) => self.go_on(Some(signal)),
                _ => self.go_on(None),
            }
        }
    }

    fn go_on(&self, signal: Option<Signal>) {
        // it may have been killed meanwhile
        let _ = ptrace::syscall(self.pid, signal);
    }

    fn read(&self, address: u64) -> c_long {
        ptrace::read(self.pid, address as *mut c_void).unwrap_or(0)
    }

    fn write(&self, address: u64, word: c_long) {
        let _ = ptrace::write(self.pid, address as *mut c_void, word);
    }

    /// A new program's stack: the number of words, the words and a zero, the environment and a
    /// zero, then pairs of a kind and a value.
    fn hide_page(&self) {
        let Ok(registers) = ptrace::getregs(self.pid) else { return };
        let mut at = registers.rsp + WORD;
        for _ in 0..2 {
            while self.read(at) != 0 {
                at += WORD;
            }
            at += WORD;
        }
        while self.read(at) != 0 {
            if self.read(at) == PAGE {
                self.write(at, IGNORE);
            }
            at += 2 * WORD;
        }
    }

    /// A system call has ended.
    fn answered(&self) {
        let Ok(registers) = ptrace::getregs(self.pid) else { return };
        let asked = registers.orig_rax == libc::SYS_clock_gettime as u64;
        if asked && registers.rdi == libc::CLOCK_REALTIME as u64 {
            self.write(registers.rsi, self.read(registers.rsi) + self.clock.load(SeqCst));
        }
    }
}
