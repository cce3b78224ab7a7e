//! Stands between a program and the kernel: counts its system calls, and has one of them fail,
//! do only a part, or be the last.
//!
//! By ptrace, as the programs are static. A program and all that it starts are stopped at every
//! call; the thread that starts them is their tracer, so tests may run side by side. Their calls
//! are counted together, in the order in which they begin.

use libc::{c_long, user_regs_struct};
use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::collections::HashMap;
use std::process::Command;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;
use tests::behind;

/// How long a program may take once it has been tampered with.
const LIMIT: Duration = Duration::from_secs(20);

/// What happens to one system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It does nothing and fails with this error.
    Error(Errno),
    /// It reads or writes one byte, though more could be.
    Short,
    /// It does not happen any more: the process that would make it is killed.
    Kill,
}

/// What came of a program.
#[derive(Debug)]
pub struct Outcome {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// It did not end in time, and was killed.
    pub hung: bool,
    /// The numbers of all calls, in the order in which they began.
    pub calls: Vec<c_long>,
}

/// A command that waits for its tracer before it becomes what it is. Standard input and output
/// and the user are set on it, not on the original.
pub fn held(command: &Command) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "kill -STOP $$; exec \"$0\" \"$@\""]);
    behind(shell, command)
}

/// Runs a command that is [`held`], and all that it starts to the end, with this fault at its call
/// number `at`, counted from 0. Its input and output must be files: nobody reads from it.
#[track_caller]
#[allow(clippy::zombie_processes)] // the tracer waits for it, and for all others
pub fn run(command: &mut Command, fault: Option<(usize, Fault)>) -> Outcome {
    let child = command.spawn().unwrap();
    let first = Pid::from_raw(child.id().try_into().unwrap());
    let stopped = waitpid(first, Some(WaitPidFlag::WUNTRACED)).unwrap();
    assert_eq!(stopped, WaitStatus::Stopped(first, Signal::SIGSTOP));
    let follow = Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACEVFORK
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_EXITKILL;
    ptrace::seize(first, follow).unwrap();
    kill(first, Signal::SIGCONT).unwrap();
    let (over, ended) = channel::<()>();
    std::thread::scope(|scope| {
        let watch = scope.spawn(move || {
            let hung = ended.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout);
            hung && kill(first, Signal::SIGKILL).is_ok()
        });
        let inside = HashMap::new();
        let tracer = Tracer { first, fault, begun: false, calls: Vec::new(), inside };
        let (code, calls) = tracer.follow();
        drop(over);
        Outcome { code, hung: watch.join().unwrap(), calls }
    })
}

/// What to do when a call ends.
#[derive(Clone, Copy)]
enum AtEnd {
    Nothing,
    Fail(Errno),
}

struct Tracer {
    first: Pid,
    fault: Option<(usize, Fault)>,
    /// The shell has become the program.
    begun: bool,
    calls: Vec<c_long>,
    /// The processes that are inside a call.
    inside: HashMap<Pid, AtEnd>,
}

impl Tracer {
    /// Goes from stop to stop until nobody is left.
    fn follow(mut self) -> (Option<i32>, Vec<c_long>) {
        let mut code = None;
        loop {
            // children of other threads are those of other tests
            let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
            match waitpid(None, Some(flags)) {
                Ok(WaitStatus::Exited(pid, number)) if pid == self.first => code = Some(number),
                Ok(WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..)) => {
                    self.inside.remove(&pid);
                }
                Ok(WaitStatus::PtraceSyscall(pid)) => self.stopped(pid),
                Ok(WaitStatus::Stopped(pid, signal)) => go_on(pid, Some(signal)),
                Ok(WaitStatus::PtraceEvent(pid, _, event)) => {
                    self.begun |= event == libc::PTRACE_EVENT_EXEC;
                    go_on(pid, None);
                }
                Ok(_) | Err(Errno::EINTR) => {}
                Err(_) => return (code, self.calls),
            }
        }
    }

    /// A call begins or ends.
    fn stopped(&mut self, pid: Pid) {
        match self.inside.remove(&pid) {
            None if !self.begun => {
                self.inside.insert(pid, AtEnd::Nothing);
                go_on(pid, None);
            }
            None => self.begins(pid),
            Some(AtEnd::Nothing) => go_on(pid, None),
            Some(AtEnd::Fail(error)) => {
                change(pid, |registers| registers.rax = (-(error as i64)).cast_unsigned());
                go_on(pid, None);
            }
        }
    }

    fn begins(&mut self, pid: Pid) {
        let Ok(registers) = ptrace::getregs(pid) else { return };
        let number = registers.orig_rax.cast_signed();
        // nobody waits for a program that sleeps after a failure
        let skipped = [libc::SYS_nanosleep, libc::SYS_clock_nanosleep].contains(&number);
        let here = self.fault.filter(|(at, _)| *at == self.calls.len());
        self.calls.push(number);
        let mut end = AtEnd::Nothing;
        match here {
            Some((_, Fault::Kill)) => {
                let _ = kill(pid, Signal::SIGKILL);
                return;
            }
            Some((_, Fault::Error(error))) => end = AtEnd::Fail(error),
            Some((_, Fault::Short)) => {
                change(pid, |registers| registers.rdx = registers.rdx.min(1))
            }
            None if skipped => end = AtEnd::Fail(Errno::UnknownErrno),
            None => {}
        }
        // a descriptor is closed even if that fails
        if matches!(end, AtEnd::Fail(_)) && number != libc::SYS_close {
            change(pid, |registers| registers.orig_rax = u64::MAX);
        }
        self.inside.insert(pid, end);
        go_on(pid, None);
    }
}

fn go_on(pid: Pid, signal: Option<Signal>) {
    // a process that was killed meanwhile is gone
    let _ = ptrace::syscall(pid, signal);
}

fn change(pid: Pid, how: impl FnOnce(&mut user_regs_struct)) {
    if let Ok(mut registers) = ptrace::getregs(pid) {
        how(&mut registers);
        let _ = ptrace::setregs(pid, registers);
    }
}
