//! A sweep: each system call of a program fails in each way that it can, one run each, and after
//! each run the same must hold.

use crate::tamper::{Fault, Outcome, run};
use libc::c_long;
use nix::errno::Errno;
use std::collections::BTreeMap;
use std::process::Command;
use std::thread;

/// What is swept: a program in surroundings that are as new for each run.
pub trait Case: Sized {
    /// Runs at once. More than processors for a program that waits after a failure.
    const AT_ONCE: usize = 2;

    /// The surroundings of the first run.
    fn new() -> Self;
    /// Makes them what they were before a run.
    fn renew(&self);
    /// The program, with files or /dev/null for input and output.
    fn command(&self) -> Command;
    /// Whether this fault may end otherwise, for a reason that the case names.
    fn excused(_call: c_long, _fault: Fault) -> bool {
        false
    }
    /// What must hold after a run with this end; the complaint otherwise.
    fn check(&self, code: Option<i32>) -> Result<(), String>;
}

/// Runs it with every fault at every call, prints what was done, and complains of all runs after
/// which it does not hold.
#[track_caller]
pub fn sweep<C: Case>(name: &str) {
    let ([calls, faults], complaints) = complaints::<C>();
    println!("{name}: {calls} system calls, {faults} faults, {} wrong", complaints.len());
    assert!(complaints.is_empty(), "{name}:\n{}", complaints.join("\n"));
}

/// How many calls and faults were tried, and what came out wrong.
pub fn complaints<C: Case>() -> ([usize; 2], Vec<String>) {
    let calls = whole::<C>();
    let faults: Vec<_> = (0..).zip(&calls).flat_map(|(at, call)| all(at, *call)).collect();
    let part = faults.len().div_ceil(C::AT_ONCE);
    let complaints = thread::scope(|scope| {
        let parts: Vec<_> =
            faults.chunks(part).map(|part| scope.spawn(move || tried::<C>(part))).collect();
        parts.into_iter().flat_map(|part| part.join().unwrap()).collect()
    });
    ([calls.len(), faults.len()], complaints)
}

/// The calls of a run without a fault, after which all must hold too.
fn whole<C: Case>() -> Vec<c_long> {
    let case = C::new();
    case.renew();
    let outcome = run(&mut case.command(), None);
    case.check(outcome.code).unwrap_or_else(|why| panic!("without a fault: {why}"));
    outcome.calls
}

fn tried<C: Case>(faults: &[(usize, c_long, Fault)]) -> Vec<String> {
    let mut complaints = Vec::new();
    let case = C::new();
    for (at, call, fault) in faults {
        case.renew();
        let Outcome { code, hung, .. } = run(&mut case.command(), Some((*at, *fault)));
        let held = if hung { Err("it hangs".into()) } else { case.check(code) };
        if let Err(why) = held
            && !C::excused(*call, *fault)
        {
            complaints.push(format!("call {at} ({}), {fault:?}: {code:?}: {why}", named(*call)));
        }
    }
    complaints
}

/// All faults that a call can meet.
fn all(at: usize, call: c_long) -> Vec<(usize, c_long, Fault)> {
    let errors = errors(call).iter().map(|error| Fault::Error(*error));
    let short = SHORT.contains(&call).then_some(Fault::Short);
    errors.chain(short).chain([Fault::Kill]).map(|fault| (at, call, fault)).collect()
}

/// Calls that may do a part of what they are asked for.
const SHORT: [c_long; 4] = [libc::SYS_read, libc::SYS_write, libc::SYS_sendto, libc::SYS_recvfrom];

/// How a call may fail though the caller did nothing wrong.
fn errors(call: c_long) -> &'static [Errno] {
    use Errno::*;
    match call {
        libc::SYS_write | libc::SYS_writev | libc::SYS_pwrite64 => &[ENOSPC, EDQUOT, EIO, EINTR],
        libc::SYS_read | libc::SYS_readv | libc::SYS_pread64 => &[EIO, EINTR],
        libc::SYS_open | libc::SYS_openat | libc::SYS_creat => {
            &[ENOSPC, EIO, EMFILE, ENFILE, ENOMEM, EINTR]
        }
        libc::SYS_fsync | libc::SYS_fdatasync | libc::SYS_sync_file_range => &[EIO, ENOSPC, EINTR],
        libc::SYS_link
        | libc::SYS_linkat
        | libc::SYS_rename
        | libc::SYS_renameat
        | libc::SYS_renameat2
        | libc::SYS_mkdir
        | libc::SYS_mkdirat
        | libc::SYS_symlink => &[ENOSPC, EIO, ENOMEM],
        libc::SYS_pipe2
        | libc::SYS_socket
        | libc::SYS_dup
        | libc::SYS_dup2
        | libc::SYS_dup3
        | libc::SYS_fcntl => &[EMFILE, EIO],
        libc::SYS_fork | libc::SYS_vfork | libc::SYS_clone | libc::SYS_clone3 => &[EAGAIN, ENOMEM],
        libc::SYS_execve => &[ENOMEM, EIO],
        libc::SYS_mmap | libc::SYS_brk | libc::SYS_mremap | libc::SYS_mprotect => &[ENOMEM],
        libc::SYS_exit | libc::SYS_exit_group | libc::SYS_rt_sigreturn => &[],
        libc::SYS_wait4 | libc::SYS_poll | libc::SYS_ppoll => &[EINTR],
        _ => &[EIO],
    }
}

fn named(call: c_long) -> String {
    let names: BTreeMap<c_long, &str> = [
        (libc::SYS_brk, "brk"),
        (libc::SYS_chdir, "chdir"),
        (libc::SYS_close, "close"),
        (libc::SYS_execve, "execve"),
        (libc::SYS_fcntl, "fcntl"),
        (libc::SYS_fstat, "fstat"),
        (libc::SYS_fsync, "fsync"),
        (libc::SYS_link, "link"),
        (libc::SYS_linkat, "linkat"),
        (libc::SYS_mmap, "mmap"),
        (libc::SYS_openat, "openat"),
        (libc::SYS_read, "read"),
        (libc::SYS_rename, "rename"),
        (libc::SYS_renameat, "renameat"),
        (libc::SYS_sync_file_range, "sync_file_range"),
        (libc::SYS_unlink, "unlink"),
        (libc::SYS_unlinkat, "unlinkat"),
        (libc::SYS_write, "write"),
    ]
    .into();
    names.get(&call).map_or_else(|| format!("number {call}"), |name| (*name).to_owned())
}
