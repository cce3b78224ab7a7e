//! Stands between a program and the kernel: counts its system calls, and has one of them fail,
//! do only a part, or be the last.
//!
//! By ptrace, as the programs are static. A program and all that it starts are stopped at every
//! call; the thread that starts them is their tracer, so tests may run side by side. The calls of
//! each process and thread are counted for themselves, so that it does not matter who is faster.

use libc::{c_long, user_regs_struct};
use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tests::{LIMIT, behind};

/// How long a program may take once it has been tampered with, its companion's waits included.
const PATIENCE: Duration = LIMIT.saturating_mul(10);

/// How long there is no call, and nobody has work, before nothing is going on any more. If it is
/// wrong, some faults are not met, and no test fails.
const QUIET: Duration = Duration::from_millis(15);

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

/// A process or thread: the first is `[]`, its second child `[1]`, the first child of that `[1, 0]`.
pub type Who = Vec<usize>;

/// A system call: who makes it, how many were made before by the same, its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub who: Who,
    pub at: usize,
    pub number: c_long,
    /// What its first argument is, if that is a descriptor.
    pub file: Kind,
}

/// A kind of open file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// On a disk, or none at all.
    Any,
    /// A pipe, a FIFO or a socket.
    Pipe,
    /// A socket of packets, which come whole or not at all.
    Packets,
    /// One that nobody waits for.
    Nonblocking,
}

/// A fault at a call. If the program does something else there this time, it is met by the next
/// call of that number.
#[derive(Clone, Debug)]
pub struct Strike {
    pub call: Call,
    pub fault: Fault,
}

/// What came of a program.
#[derive(Debug)]
pub struct Outcome {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// It did not end in time, and was killed.
    pub hung: bool,
    /// The fault was met.
    pub struck: bool,
    /// All calls, in the order in which they began.
    pub calls: Vec<Call>,
}

/// What can be seen of a program that is being run.
pub struct Progress {
    /// The program.
    pub pid: Pid,
    struck: AtomicBool,
    over: AtomicBool,
    last: Mutex<Instant>,
    /// Who is traced.
    alive: Mutex<HashSet<Pid>>,
}

impl Progress {
    /// The fault has been met.
    pub fn is_struck(&self) -> bool {
        self.struck.load(Ordering::Relaxed)
    }

    /// The program has ended. Others that it started may still be there.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// There was no call for some time, and everybody waits inside of one. Whoever is only slow,
    /// as others have the processor, is none of these.
    pub fn is_quiet(&self) -> bool {
        let waits = |pid: &Pid| {
            let about = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            about.contains(") S ")
        };
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.elapsed() > QUIET && self.all().iter().all(waits)
    }

    /// Sends the program a signal, if it is still there.
    pub fn signal(&self, signal: Signal) {
        if !self.is_over() {
            let _ = kill(self.pid, signal);
        }
    }

    fn all(&self) -> std::sync::MutexGuard<'_, HashSet<Pid>> {
        self.alive.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A command that waits for its tracer before it becomes what it is. Standard input and output
/// and the user are set on it, not on the original.
pub fn held(command: &Command) -> Command {
    held_with("", command)
}

/// As [`held`], with a shell's redirections: `3>orders 4<reports`.
pub fn held_with(redirections: &str, command: &Command) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &format!("kill -STOP $$; exec \"$0\" \"$@\" {redirections}")]);
    behind(shell, command)
}

/// Starts a command that is [`held`]. This thread is told of all its calls and of whoever it
/// starts, and has to wait for them.
#[track_caller]
#[allow(clippy::zombie_processes)] // as a tracer waits, not as a parent
pub fn seized(command: &mut Command) -> Pid {
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
    first
}

/// Runs a command that is [`held`], and all that it starts to the end, with this fault. Its input
/// and output must be files: nobody reads from it.
#[track_caller]
pub fn run(command: &mut Command, strike: Option<&Strike>) -> Outcome {
    run_beside(command, strike, false, |_| ()).0
}

/// As [`run`], with a companion who sees how far it is, and talks to it. With `leave`, what it
/// starts is left alone, and outlives it, once it has become another program; so is the program
/// itself, but it is waited for.
#[track_caller]
pub fn run_beside<T: Send>(
    command: &mut Command,
    strike: Option<&Strike>,
    leave: bool,
    companion: impl FnOnce(&Progress) -> T + Send,
) -> (Outcome, T) {
    let first = seized(command);
    let progress = Progress {
        pid: first,
        struck: false.into(),
        over: false.into(),
        last: Instant::now().into(),
        alive: HashSet::from([first]).into(),
    };
    let (over, ended) = channel::<()>();
    std::thread::scope(|scope| {
        let progress = &progress;
        let watch = scope.spawn(move || {
            let hung = ended.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout);
            if hung {
                for pid in progress.all().iter() {
                    let _ = kill(*pid, Signal::SIGKILL);
                }
            }
            hung
        });
        let companion = scope.spawn(move || companion(progress));
        let (code, calls) = Tracer::new(progress, strike, leave).follow();
        drop(over);
        let (hung, struck) = (watch.join().unwrap(), progress.is_struck());
        (Outcome { code, hung, struck, calls }, companion.join().unwrap())
    })
}

/// What to do when a call ends.
#[derive(Clone, Copy)]
enum AtEnd {
    Nothing,
    Fail(Errno),
}

/// A process or thread that is traced.
struct Traced {
    who: Who,
    /// Calls so far.
    calls: usize,
    /// Children and threads so far.
    children: usize,
    /// It is inside a call.
    inside: Option<AtEnd>,
}

impl Traced {
    fn new(who: Who) -> Self {
        Traced { who, calls: 0, children: 0, inside: None }
    }
}

struct Tracer<'a> {
    progress: &'a Progress,
    strike: Option<&'a Strike>,
    leave: bool,
    /// The shell has become the program.
    begun: bool,
    calls: Vec<Call>,
    traced: HashMap<Pid, Traced>,
    /// Newborns whose parents have not been heard of: they wait.
    early: HashSet<Pid>,
}

impl<'a> Tracer<'a> {
    fn new(progress: &'a Progress, strike: Option<&'a Strike>, leave: bool) -> Self {
        let traced = HashMap::from([(progress.pid, Traced::new(Who::new()))]);
        let (calls, early) = (Vec::new(), HashSet::new());
        Tracer { progress, strike, leave, begun: false, calls, traced, early }
    }

    /// Goes from stop to stop until nobody is left.
    fn follow(mut self) -> (Option<i32>, Vec<Call>) {
        let mut code = None;
        while !self.traced.is_empty() {
            // children of other threads are those of other tests
            let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
            match waitpid(None, Some(flags)) {
                Ok(WaitStatus::Exited(pid, number)) => {
                    code = if pid == self.progress.pid { Some(number) } else { code };
                    self.ended(pid);
                }
                Ok(WaitStatus::Signaled(pid, ..)) => self.ended(pid),
                Ok(WaitStatus::PtraceSyscall(pid)) => self.stopped(pid),
                Ok(WaitStatus::Stopped(pid, signal)) => go_on(pid, Some(signal)),
                Ok(WaitStatus::PtraceEvent(pid, _, event)) => self.event(pid, event),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(why) => panic!("wait: {why}"),
            }
        }
        // their parents were killed before they had told of them
        for pid in &self.early {
            let _ = kill(*pid, Signal::SIGKILL);
        }
        (code, self.calls)
    }

    fn ended(&mut self, pid: Pid) {
        self.traced.remove(&pid);
        self.progress.all().remove(&pid);
        if pid == self.progress.pid {
            self.progress.over.store(true, Ordering::Relaxed);
        }
    }

    /// Somebody is born, or becomes another program.
    fn event(&mut self, pid: Pid, event: i32) {
        match event {
            libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK | libc::PTRACE_EVENT_CLONE => {
                self.born(pid);
            }
            libc::PTRACE_EVENT_EXEC if self.leave && self.begun => {
                // the first one is waited for as a child
                if pid != self.progress.pid {
                    self.ended(pid);
                }
                let _ = ptrace::detach(pid, None);
                return;
            }
            libc::PTRACE_EVENT_EXEC => self.begun = true,
            _ if !self.traced.contains_key(&pid) => {
                self.early.insert(pid);
                return;
            }
            _ => {}
        }
        go_on(pid, None);
    }

    fn born(&mut self, parent: Pid) {
        let Ok(child) = ptrace::getevent(parent) else { return };
        let child = Pid::from_raw(child as i32);
        let Some(parent) = self.traced.get_mut(&parent) else { return };
        let who = [&parent.who[..], &[parent.children]].concat();
        parent.children += 1;
        self.traced.insert(child, Traced::new(who));
        self.progress.all().insert(child);
        if self.early.remove(&child) {
            go_on(child, None);
        }
    }

    /// A call begins or ends.
    fn stopped(&mut self, pid: Pid) {
        *self.progress.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        let begun = self.begun;
        let Some(traced) = self.traced.get_mut(&pid) else { return go_on(pid, None) };
        match traced.inside.take() {
            None if begun => return self.begins(pid),
            None => traced.inside = Some(AtEnd::Nothing),
            Some(AtEnd::Nothing) => {}
            Some(AtEnd::Fail(error)) => {
                change(pid, |registers| registers.rax = (-(error as i64)).cast_unsigned());
            }
        }
        go_on(pid, None);
    }

    fn begins(&mut self, pid: Pid) {
        let Ok(registers) = ptrace::getregs(pid) else { return };
        let Some(traced) = self.traced.get_mut(&pid) else { return };
        let number = registers.orig_rax.cast_signed();
        // nobody asks about it once there is a fault to be met
        let ask = self.strike.is_none();
        let file = if ask { kind(pid, registers.rdi) } else { Kind::Any };
        let call = Call { who: traced.who.clone(), at: traced.calls, number, file };
        traced.calls += 1;
        let open = self.strike.filter(|_| !self.progress.is_struck());
        let fault = open.filter(|strike| meets(strike, &call, || kind(pid, registers.rdi)));
        self.calls.push(call);
        if fault.is_some() {
            self.progress.struck.store(true, Ordering::Relaxed);
        }
        // nobody waits for a program that sleeps after a failure
        let sleeps = [libc::SYS_nanosleep, libc::SYS_clock_nanosleep].contains(&number);
        let end = match fault.map(|strike| strike.fault) {
            Some(Fault::Kill) => {
                let _ = kill(pid, Signal::SIGKILL);
                return;
            }
            Some(Fault::Error(error)) => AtEnd::Fail(error),
            Some(Fault::Short) => {
                change(pid, |registers| registers.rdx = registers.rdx.min(1));
                AtEnd::Nothing
            }
            None if sleeps && self.progress.is_struck() => AtEnd::Fail(Errno::UnknownErrno),
            None => AtEnd::Nothing,
        };
        // a descriptor is closed even if that fails
        if matches!(end, AtEnd::Fail(_)) && number != libc::SYS_close {
            change(pid, |registers| registers.orig_rax = u64::MAX);
        }
        traced.inside = Some(end);
        go_on(pid, None);
    }
}

/// Whether a fault is for this call. Of a signal, a program may hear later than last time, by
/// another pipe: what can happen to one need not be possible at the other.
fn meets(strike: &Strike, call: &Call, kind: impl Fn() -> Kind) -> bool {
    let Call { who, at, number, file } = &strike.call;
    *who == call.who && *at <= call.at && *number == call.number && *file == kind()
}

fn kind(pid: Pid, descriptor: u64) -> Kind {
    let found = fs::metadata(format!("/proc/{pid}/fd/{descriptor}")).map(|file| file.file_type());
    if !found.is_ok_and(|kind| kind.is_fifo() || kind.is_socket()) {
        return Kind::Any;
    }
    if is_of_packets(pid, descriptor) {
        return Kind::Packets;
    }
    let about = fs::read_to_string(format!("/proc/{pid}/fdinfo/{descriptor}")).unwrap_or_default();
    let flags = about.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|flags| i32::from_str_radix(flags.trim(), 8).ok());
    match flags.unwrap_or(0) & libc::O_NONBLOCK {
        0 => Kind::Pipe,
        _ => Kind::Nonblocking,
    }
}

/// Whether it is a socket between processes that keeps packets apart.
fn is_of_packets(pid: Pid, descriptor: u64) -> bool {
    let link = fs::read_link(format!("/proc/{pid}/fd/{descriptor}")).unwrap_or_default();
    let link = link.to_string_lossy();
    let Some(number) = link.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']')) else {
        return false;
    };
    let packets = format!("{:04}", libc::SOCK_SEQPACKET);
    let sockets = fs::read_to_string(format!("/proc/{pid}/net/unix")).unwrap_or_default();
    sockets.lines().any(|line| {
        // Num RefCount Protocol Flags Type St Inode Path
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        fields.get(4) == Some(&packets.as_str()) && fields.get(6) == Some(&number)
    })
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
