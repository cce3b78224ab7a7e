//! Accounts of a test's own: a command that sees another /etc/passwd.

use std::process::Command;
use tests::{Scratch, root, skip};

/// The seven users of qmail; qmailq is nobody, who owns the files of an `Installation`.
pub const SEVEN: &str = "alias:x:7790:2108::ALIAS:/bin/true\n\
    qmaild:x:7791:2108::/:/bin/true\nqmaill:x:7792:2108::/:/bin/true\n\
    qmailp:x:7793:2108::/:/bin/true\nqmailq:x:65534:65534::/:/bin/true\n\
    qmailr:x:7795:2107::/:/bin/true\nqmails:x:7796:2107::/:/bin/true\n";

/// The command, as root, in a name space where /etc/passwd has root and these lines only. `None`,
/// after [`skip`], where the tests may not do that.
pub fn with_accounts(place: &Scratch, lines: &str, command: &Command) -> Option<Command> {
    if !root() || !may_mount() {
        skip("needs root to have an /etc/passwd of its own");
        return None;
    }
    place.write("passwd", format!("root:x:0:0::/root:/bin/sh\n{lines}")).chmod("passwd", 0o644);
    let script = "mount --bind \"$0\" /etc/passwd && exec \"$@\"";
    let mut unshare = Command::new("unshare");
    unshare.env_clear().args(["-m", "/bin/sh", "-c", script]).arg(place.join("passwd"));
    unshare.arg(command.get_program()).args(command.get_args());
    unshare.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.get_current_dir().map(|folder| unshare.current_dir(folder));
    Some(unshare)
}

fn may_mount() -> bool {
    let mut trial = Command::new("unshare");
    trial.args(["-m", "mount", "--bind", "/etc/passwd", "/etc/passwd"]);
    trial.output().is_ok_and(|output| output.status.success())
}
