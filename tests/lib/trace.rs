//! System calls of a program: seen in their order, failing, and the last before death.
//!
//! By strace, which is told which calls to look at: `"fsync,link,rename"`. Names are the kernel's:
//! what C calls `open` is `openat`; `"/^fsync|rename"` is a pattern. Children are followed.
//! Every function gives `None`, after [`skip`], where there is no strace.

use crate::program::behind;
use crate::{fed, scratch, skip};
use std::collections::HashMap;
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

/// Runs a command with this input, and gives what it did and its calls of these kinds, in the
/// order of their ends: `fsync(3) = 0`.
#[track_caller]
pub fn calls(kinds: &str, command: &Command, input: &str) -> Option<(Output, Vec<String>)> {
    let place = scratch();
    let mut strace = strace(kinds)?;
    strace.args(["-s", "256", "-o"]).arg(place.join("trace"));
    let output = fed(&mut behind(strace, command), input);
    Some((output, place.text("trace").lines().filter_map(call).collect()))
}

/// A line of a trace without the process id and the padding. `None` for what is no whole call:
/// its first half, a signal, an end.
fn call(line: &str) -> Option<String> {
    let (_, call) = line.split_once(' ')?;
    let (call, result) = call.rsplit_once(" = ")?;
    Some(format!("{} = {result}", call.trim()))
}

/// The same command, but its call number `number` of these kinds, counted from 1 in each of its
/// processes, fails with this error and does nothing: `failing("fsync", "EIO", 2, &command)`.
pub fn failing(kinds: &str, error: &str, number: u32, command: &Command) -> Option<Command> {
    injected(kinds, &format!("error={error}"), number, command)
}

/// The same command, all of whose calls of these kinds fail with this error, as on a kernel that
/// does not have them.
pub fn without(kinds: &str, error: &str, command: &Command) -> Option<Command> {
    let mut strace = strace(kinds)?;
    strace.args(["-o", "/dev/null", "-e", &format!("inject={kinds}:error={error}")]);
    Some(behind(strace, command))
}

/// The same command, killed by SIGKILL when it comes to its call number `number` of these kinds,
/// counted from 1 in each of its processes. That call does not happen any more.
pub fn killed(kinds: &str, number: u32, command: &Command) -> Option<Command> {
    injected(kinds, "signal=KILL", number, command)
}

/// One of the system calls of a program: its name, and its number among those of the name.
pub type Step = (String, u32);

/// Runs a command with this input and gives all its system calls in their order, those of its
/// children not included.
#[track_caller]
pub fn steps(command: &Command, input: &str) -> Option<Vec<Step>> {
    let place = scratch();
    let mut strace = alone()?;
    strace.arg("-o").arg(place.join("trace"));
    fed(&mut behind(strace, command), input);
    let mut counts = HashMap::new();
    let mut step = |line: &str| {
        let (name, _) = line.split_once('(')?;
        let count = counts.entry(name.to_owned()).or_insert(0);
        *count += 1;
        Some((name.to_owned(), *count))
    };
    Some(place.text("trace").lines().filter_map(&mut step).collect())
}

/// The same command, killed by SIGKILL when it comes to this system call, which does not happen any
/// more. Its children are not touched.
pub fn killed_at((name, number): &Step, command: &Command) -> Option<Command> {
    let mut strace = alone()?;
    strace.args(["-o", "/dev/null", "-e", &format!("inject={name}:signal=KILL:when={number}")]);
    Some(behind(strace, command))
}

/// strace that looks at one process alone.
fn alone() -> Option<Command> {
    let mut strace = Command::new("strace");
    strace.args(["-qq", "-e", "signal=none"]);
    may_trace().then_some(strace)
}

fn injected(kinds: &str, what: &str, number: u32, command: &Command) -> Option<Command> {
    let mut strace = strace(kinds)?;
    strace.args(["-o", "/dev/null", "-e", &format!("inject={kinds}:{what}:when={number}")]);
    Some(behind(strace, command))
}

/// strace for these calls, of children too.
fn strace(kinds: &str) -> Option<Command> {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-e", &format!("trace={kinds}"), "-e", "signal=none"]);
    may_trace().then_some(strace)
}

/// Whether strace is installed and may trace; it is tried once.
fn may_trace() -> bool {
    static MAY: LazyLock<bool> = LazyLock::new(|| {
        let mut trial = Command::new("strace");
        trial.args(["-o", "/dev/null", "true"]).stdout(Stdio::null()).stderr(Stdio::null());
        trial.status().is_ok_and(|status| status.success())
    });
    if !*MAY {
        skip("needs strace");
    }
    *MAY
}
