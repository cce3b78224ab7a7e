//! The program under test, and what it did.

use crate::{LIMIT, running::Running, tree};
use base::sys::signal;
use std::env;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::Once;
use std::time::Duration;

/// Where the tree keeps programs that are shell scripts; cargo does not copy them.
const SCRIPTS: [&str; 4] = [
    "supervise/src/scripts",
    "rules/src/scripts",
    "tools/net/src/scripts",
    "tools/mail/src/scripts",
];

/// The originals are under test (`$UNDER_TEST` is their folder), not our own programs.
pub fn original() -> bool {
    env::var_os("UNDER_TEST").is_some()
}

/// The folder of the programs under test: `$UNDER_TEST`, else `$BUILT`, else where cargo put the
/// debug build (`target/debug`).
fn folder() -> PathBuf {
    let named = env::var_os("UNDER_TEST").or_else(|| env::var_os("BUILT"));
    named.map_or_else(beside_this_test, |folder| tree().join(folder))
}

fn beside_this_test() -> PathBuf {
    let me = env::current_exe().unwrap();
    me.ancestors().nth(2).unwrap().to_path_buf()
}

/// The path of the program under test. Panics if it is not there, saying what to build.
#[track_caller]
pub fn bin(name: &str) -> PathBuf {
    let built = folder().join(name);
    if built.exists() {
        return built;
    }
    assert!(!original(), "{} is missing: the originals have no {name}", built.display());
    let script = SCRIPTS.iter().map(|place| tree().join(place).join(name)).find(|p| p.exists());
    script.unwrap_or_else(|| panic!("{} is missing: {}", built.display(), advice(name)))
}

/// How to build a program that is missing.
fn advice(name: &str) -> String {
    let source = format!("src/bin/{name}.rs");
    let packages = ["supervise", "rules", "tools/net", "tools/mail", "tools/queue", "tools/list"];
    match packages.iter().find(|p| tree().join(p).join(&source).exists()) {
        Some(p) => format!("cargo build -p {}", p.trim_start_matches("tools/")),
        None => format!("no package has {source}"),
    }
}

/// The program under test, ready for arguments. Its environment is empty but for PATH, which
/// starts with the program's own folder; no signal is ignored.
#[track_caller]
pub fn program(name: &str) -> Command {
    static HEARD: Once = Once::new();
    HEARD.call_once(hear_signals);
    let mut command = Command::new(bin(name));
    command.env_clear().env("PATH", path()).stdin(Stdio::null());
    command
}

/// Signals that whoever runs the tests ignores, as nohup does and a shell in the background, have
/// their defaults in what is started: a handler here, even one that does nothing, is none there.
fn hear_signals() {
    let ignored = (1..32).filter(|number| *number != signal::PIPE && signal::is_ignored(*number));
    ignored.for_each(|number| signal::interrupt_on(number).unwrap());
}

fn path() -> std::ffi::OsString {
    let rest = env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    env::join_paths([folder()].into_iter().chain(env::split_paths(&rest))).unwrap()
}

/// The same command with a shell's redirections, for descriptors above 2 and closed ones:
/// `redirected("3<secret <&-", program("checkpassword").arg("true"))`.
pub fn redirected(redirections: &str, command: &Command) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &format!("exec \"$0\" \"$@\" {redirections}")]);
    behind(shell, command)
}

/// The same command under a limit of the shell's: `limited("-n 7", &command)` leaves it seven
/// descriptors.
pub fn limited(limit: &str, command: &Command) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &format!("ulimit {limit}; exec \"$0\" \"$@\"")]);
    behind(shell, command)
}

/// A command that starts with SIGCHLD ignored, as daemons and Perl scripts leave it to what they run.
pub fn with_children_ignored(command: &Command) -> Command {
    let mut env = Command::new("env");
    env.arg("--ignore-signal=CHLD");
    behind(env, command)
}

/// One command in front of another: its words, then the other's, in the other's environment and
/// folder. Its standard input is empty until it is fed.
pub fn behind(mut front: Command, command: &Command) -> Command {
    front.env_clear().stdin(Stdio::null());
    front.arg(command.get_program()).args(command.get_args());
    front.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.get_current_dir().map(|folder| front.current_dir(folder));
    front
}

/// What a program did: its exit code (none if a signal ended it), its output, its messages.
pub fn ran(output: &Output) -> (Option<i32>, String, String) {
    (output.status.code(), shown(&output.stdout), shown(&output.stderr))
}

/// Bytes as text: UTF-8 as it is, every other byte as `\xNN`.
pub fn shown(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    text
}

/// Runs a command with this standard input, of any size, to its end. Panics with what was printed
/// if that takes longer than [`LIMIT`].
#[track_caller]
pub fn fed(command: &mut Command, input: impl AsRef<[u8]>) -> Output {
    fed_within(LIMIT, command, input)
}

/// As [`fed`], with another limit.
#[track_caller]
pub fn fed_within(limit: Duration, command: &mut Command, input: impl AsRef<[u8]>) -> Output {
    Running::alone(command, input.as_ref().to_vec()).finish(limit)
}
