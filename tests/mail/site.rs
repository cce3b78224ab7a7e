//! A mail host for tests of programs that look for files at fixed places: a scratch folder has its
//! /etc and its /var/lib/qmail, where the originals of Debian have their home. They lie over the
//! real ones in a mount namespace.

use std::process::{Command, Output};
use tests::{Scratch, behind, bin, fed, program, ran, root, scratch, skip};

/// Keeps what it is given.
const QUEUE: &str = "cat >message\ntr '\\000' '|' <&1 >envelope\n";

/// Stands for preline where the originals have none.
const PRELINE: &str = "{ printf %s \"$UFLINE$RPLINE$DTLINE\"; cat; } | \"$@\"\n";

const BIND: &str =
    "mount --bind \"$0/etc\" /etc && mount --bind \"$0/lib\" /var/lib && exec \"$@\"";

pub struct Site {
    pub place: Scratch,
}

/// Makes a host; none, after saying so, where namespaces cannot be had.
pub fn site() -> Option<Site> {
    let place = scratch();
    place.dir("etc").script("lib/qmail/bin/qmail-queue", QUEUE).script("bin/preline", PRELINE);
    for (name, host) in
        [("me", "me.example"), ("defaulthost", "dh"), ("plusdomain", "plus.example")]
    {
        place.write(format!("lib/qmail/control/{name}"), format!("{host}\n"));
    }
    place.write("lib/qmail/control/defaultdomain", "dom.example\n");
    let site = Site { place };
    let probe = site.namespace().arg("true").output().unwrap();
    if probe.status.success() {
        return Some(site);
    }
    skip(&format!("needs a mount namespace: {}", ran(&probe).2));
    None
}

impl Site {
    fn namespace(&self) -> Command {
        let mut unshare = Command::new("unshare");
        unshare.args([if root() { "-m" } else { "-rm" }, "sh", "-c", BIND]).arg(self.place.path());
        unshare
    }

    /// A program of this host, in the scratch folder, ready for words.
    #[track_caller]
    pub fn program(&self, name: &str) -> Command {
        self.inside(&self.plain(name))
    }

    /// A command, run on this host.
    pub fn inside(&self, command: &Command) -> Command {
        behind(self.namespace(), command)
    }

    /// As [`Site::program`], to be run [`Site::inside`].
    #[track_caller]
    pub fn plain(&self, name: &str) -> Command {
        // its real name: a link may lead to what is hidden now
        let mut command = Command::new(bin(name).canonicalize().unwrap());
        command.current_dir(self.place.path()).env_clear();
        let plain = program(name);
        let path = plain.get_envs().find(|(name, _)| *name == "PATH").and_then(|(_, path)| path);
        let path =
            [self.place.join("bin").as_os_str(), path.unwrap_or_default()].join(":".as_ref());
        command.env("PATH", path).env("QMAILHOME", "/var/lib/qmail");
        command
    }

    /// What was queued: the envelope with `|` for NUL, and the message; none if nothing was.
    pub fn queued(&self) -> Option<(String, String)> {
        let home = self.place.path().join("lib/qmail");
        if !home.join("envelope").exists() {
            return None;
        }
        let seen = (self.place.text("lib/qmail/envelope"), self.place.text("lib/qmail/message"));
        std::fs::remove_file(home.join("envelope")).unwrap();
        Some(seen)
    }

    /// Makes a forwarding table of this text.
    #[track_caller]
    pub fn table(&self, name: &str, text: &str) -> &Site {
        let mut set = program("setforward");
        set.args([name, "table.tmp"]).current_dir(self.place.path());
        assert_eq!(ran(&fed(&mut set, text)), (Some(0), String::new(), String::new()));
        self
    }
}

/// The exit code and messages of a program whose lines are not numbered by the originals.
pub fn unnumbered(output: &Output) -> (Option<i32>, String, String) {
    let (code, out, err) = ran(output);
    let Some((start, rest)) = err.split_once(": line ") else { return (code, out, err) };
    let rest = rest.trim_start_matches(|letter: char| letter.is_ascii_digit());
    (code, out, format!("{start}{rest}"))
}
