//! System calls of a server for each visit, its children's up to exec among them.

use crate::load::visits;
use crate::servers::Server;
use std::collections::BTreeMap;
use std::process::Command;
use tests::{LIMIT, Scratch, until};

/// By name, the calls for each of so many visits. Empty without strace.
pub fn calls(
    server: &Server,
    place: &Scratch,
    child: &str,
    (count, at_once): (usize, usize),
) -> BTreeMap<String, f64> {
    let trace = place.join("trace");
    let traced = |visited: usize| {
        let mut command = Command::new("strace");
        command.args(["-D", "-f", "-o"]).arg(&trace).arg(&server.program);
        let mut working = server.start_behind(command, place, child, &[]);
        visits(working.to(), visited, at_once);
        working.end();
        until(LIMIT, "the end of the trace", || place.text("trace").contains("killed by SIGKILL"));
        counted(&place.text("trace"))
    };
    let idle = traced(0);
    let mut calls = traced(count);
    for (name, number) in &mut calls {
        *number = (*number - idle.get(name).unwrap_or(&0.0)) / count as f64;
    }
    calls.retain(|_, number| *number >= 0.01);
    calls
}

/// The calls in a trace. Those of a process that has become another program do not count.
fn counted(trace: &str) -> BTreeMap<String, f64> {
    let mut gone = std::collections::BTreeSet::new();
    let mut calls = BTreeMap::new();
    let server = trace.split(' ').next().unwrap_or_default();
    for line in trace.lines() {
        let (pid, rest) = line.split_once(' ').unwrap_or((line, ""));
        let rest = rest.trim_start();
        if gone.contains(pid) {
            continue;
        }
        if let Some((name, _)) = rest.split_once('(')
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        {
            *calls.entry(name.to_owned()).or_insert(0.0) += 1.0;
        }
        if pid != server && rest.contains("execve") && rest.ends_with("= 0") {
            gone.insert(pid);
        }
    }
    calls
}
