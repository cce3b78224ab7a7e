//! The start of a static program (tools/base/src/sys/quick_start.rs), instruction by instruction.

use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::env;
use std::process::Command;
use tests::{behind, bin, ran, scratch, skip, tree};

/// The two bytes of the instruction CPUID, as a little-endian word.
const CPUID: u16 = 0xa20f;

/// Whether `make` gives static programs our start, which it does for C libraries that it knows.
fn quick() -> bool {
    let mut make = Command::new("make");
    make.args(["-n", "all"]).current_dir(tree());
    env::var_os("BUILT").is_some() && ran(&make.output().unwrap()).1.contains("quick_start")
}

/// How many instructions a program takes from its exec to its end, and how many of them ask the
/// processor what it can do.
fn steps(command: &mut Command) -> (usize, usize) {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "kill -STOP $$; exec \"$0\" \"$@\" </dev/null >/dev/null 2>&1"]);
    let mut child = behind(shell, command).spawn().unwrap();
    let pid = Pid::from_raw(child.id().try_into().unwrap());
    waitpid(pid, Some(WaitPidFlag::WUNTRACED)).unwrap();
    ptrace::seize(pid, ptrace::Options::PTRACE_O_TRACEEXEC).unwrap();
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGCONT).unwrap();
    let is_exec = |status| matches!(status, WaitStatus::PtraceEvent(_, _, libc::PTRACE_EVENT_EXEC));
    while !is_exec(waitpid(pid, None).unwrap()) {
        ptrace::cont(pid, None).unwrap();
    }
    let (mut all, mut questions) = (0, 0);
    while child_stops(pid) {
        let at = ptrace::getregs(pid).unwrap().rip as ptrace::AddressType;
        let word = ptrace::read(pid, at).unwrap() as u16;
        (all, questions) = (all + 1, questions + usize::from(word == CPUID));
    }
    child.wait().unwrap();
    (all, questions)
}

/// Takes one step. False once the program has ended.
fn child_stops(pid: Pid) -> bool {
    ptrace::step(pid, None).unwrap();
    // left to be waited for by who started it
    let look = WaitPidFlag::WNOWAIT | WaitPidFlag::WEXITED | WaitPidFlag::WSTOPPED;
    let status = nix::sys::wait::waitid(nix::sys::wait::Id::Pid(pid), look).unwrap();
    match status {
        WaitStatus::Exited(..) | WaitStatus::Signaled(..) => false,
        _ => waitpid(pid, None).is_ok(),
    }
}

#[test]
fn no_program_asks_the_processor_anything_at_its_start() {
    if !quick() {
        return skip("the programs have the C library's own start");
    }
    let place = scratch();
    for name in ["tcprulescheck", "setuidgid", "multilog", "qmail-queue", "qmail-smtpd"] {
        let (all, questions) = steps(Command::new(bin(name)).current_dir(place.path()));
        assert!(all > 1000, "{name}: {all}");
        assert_eq!(questions, 0, "{name}: of {all} instructions");
    }
}
