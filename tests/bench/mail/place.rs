//! Where it all happens: namespaces of our own, so that nothing of it stays.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;
use tests::{root, shown, tree};

/// Says that we are inside.
const INSIDE: &str = "BENCH_MAIL_INSIDE";

/// A folder of the memory file system that is mounted on it, inside.
const HERE: &str = "/srv";

/// Users of qmail and Postfix, with the groups of their name and one of the others.
const USERS: [(&str, &str); 9] = [
    ("alias", "nofiles"),
    ("qmaild", "nofiles"),
    ("qmaill", "nofiles"),
    ("qmailp", "nofiles"),
    ("qmailq", "qmail"),
    ("qmailr", "qmail"),
    ("qmails", "qmail"),
    ("postfix", "postfix"),
    ("box", "box"),
];

/// The groups, with numbers that count from [`FIRST`].
const GROUPS: [&str; 5] = ["nofiles", "qmail", "postfix", "box", "postdrop"];
const FIRST: usize = 7200;

/// A file system with room for queues and Maildirs.
pub struct Place {
    /// As tables call it.
    pub name: &'static str,
    pub in_memory: bool,
    pub folder: PathBuf,
}

impl Place {
    /// In memory: what programs cost.
    pub fn memory() -> Place {
        Place::at("memory", true)
    }

    /// Where `$DISK` is, or the tree: what the disk adds.
    pub fn disk() -> Place {
        Place::at("disk", false)
    }

    fn at(name: &'static str, in_memory: bool) -> Place {
        Place { name, in_memory, folder: Path::new(HERE).join(name) }
    }

    /// A name for the folder of a server that no run before had: ext4 chooses by the name where
    /// on the disk the files are, and they are not to come where others were deleted just now.
    pub fn fresh(&self, server: &str) -> PathBuf {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        self.folder.join(format!("{server}.{}", now.as_nanos()))
    }
}

/// Postfix's package, unpacked.
pub fn oracles() -> PathBuf {
    tree().join("target/oracles")
}

/// Becomes a process in namespaces of its own, with what a mail server needs. False, with a word
/// about it, if that cannot be; also outside, once all is over.
pub fn enter() -> bool {
    if std::env::var_os(INSIDE).is_some() {
        furnish();
        return true;
    }
    if !root() || !postfix_runs() {
        println!("skipped: needs root, and Postfix unpacked in target/oracles, as .ci/run does it");
        return false;
    }
    let mut unshare = Command::new("unshare");
    unshare.args(["-mnp", "--fork", "--kill-child", "--mount-proc"]);
    unshare.arg(std::env::current_exe().unwrap()).args(std::env::args().skip(1)).env(INSIDE, "1");
    let status = unshare.status().unwrap();
    // What was on the disk, if the process inside could not remove it.
    let _ = fs::remove_dir_all(disk());
    assert!(status.success(), "{status}");
    false
}

/// Whether Postfix is there, with the libraries of others that it needs.
fn postfix_runs() -> bool {
    let libraries = oracles().join("usr/lib/postfix");
    let mut ldd = Command::new("ldd");
    ldd.arg(libraries.join("sbin/smtpd")).env("LD_LIBRARY_PATH", &libraries);
    let output = ldd.output();
    output.is_ok_and(|o| o.status.success() && !shown(&o.stdout).contains("not found"))
}

fn disk() -> PathBuf {
    let folder = std::env::var_os("DISK").unwrap_or(env!("CARGO_TARGET_TMPDIR").into());
    Path::new(&folder).join("bench-mail")
}

/// File systems, accounts, Postfix's libraries, and a network with nobody on it.
fn furnish() {
    run("ip link set lo up");
    let oracles = oracles();
    let libraries = oracles.join("usr/lib");
    let libraries = libraries.display();
    run(&format!("mount -t overlay none -o lowerdir={libraries}:/usr/lib /usr/lib"));
    run(&format!("mount -t tmpfs -o mode=755 none {HERE}"));
    let _ = fs::remove_dir_all(disk());
    fs::create_dir_all(disk()).unwrap();
    fs::create_dir(Place::memory().folder).unwrap();
    fs::create_dir(Place::disk().folder).unwrap();
    run(&format!("mount --bind {} {}", disk().display(), Place::disk().folder.display()));
    // ext4 puts the folders of the servers far from each other then, as their own disks would.
    run(&format!("chattr +T {} 2>/dev/null || :", disk().display()));
    accounts();
}

fn accounts() {
    let number = |group: &str| FIRST + GROUPS.iter().position(|name| *name == group).unwrap();
    let mut users = fs::read_to_string("/etc/passwd").unwrap();
    let mut groups = fs::read_to_string("/etc/group").unwrap();
    for (uid, (user, group)) in (FIRST..).zip(USERS) {
        users.push_str(&format!("{user}:x:{uid}:{}::/:/bin/false\n", number(group)));
    }
    for group in GROUPS {
        groups.push_str(&format!("{group}:x:{}:\n", number(group)));
    }
    for (name, text) in [("passwd", users), ("group", groups)] {
        fs::write(Path::new(HERE).join(name), text).unwrap();
        run(&format!("mount --bind {HERE}/{name} /etc/{name}"));
    }
}

/// The number of one of our users.
pub fn uid(user: &str) -> usize {
    FIRST + USERS.iter().position(|(name, _)| *name == user).unwrap()
}

/// Runs a command that must work.
#[track_caller]
pub fn run(script: &str) {
    let output = Command::new("sh").args(["-euc", script]).output().unwrap();
    let said = shown(&output.stderr);
    assert!(output.status.success(), "{script}: {said}");
}
