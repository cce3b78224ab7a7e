//! What processes cost.

use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

/// CPU time of a process so far; none if it is gone.
pub fn cpu(pid: i32) -> Duration {
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap_or_default();
    let nanoseconds = text.split(' ').next().and_then(|word| word.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or(0))
}

/// Bytes of memory that a process has for itself, and its part of what it shares.
pub fn pss(pid: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kilobytes.unwrap_or(0) * 1024
}

/// Feeds a program with so many copies of a block by a pipe, and gives its CPU time.
pub fn fed(command: &mut Command, block: &[u8], times: usize) -> Duration {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    (0..times).for_each(|_| stdin.write_all(block).unwrap());
    drop(stdin);
    let pid = child.id() as i32;
    // not reaped yet: its figures are still there
    waitid(Id::Pid(Pid::from_raw(pid)), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).unwrap();
    let cpu = cpu(pid);
    assert!(child.wait().unwrap().success(), "{command:?}");
    cpu
}
