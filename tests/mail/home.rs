//! A user's home for tests of qmail-local.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Output};
use tests::{LIMIT, Scratch, program, ran, scratch, start_on};

/// A message with everything that an mbox treats in its own way.
pub const MESSAGE: &str = "Subject: hello\nFrom x\n\n>From y\nlast";

/// A user's home, with a message for him and a queue program that keeps what it is given.
pub struct Home {
    pub place: Scratch,
    pub sender: &'static str,
    pub default_delivery: &'static str,
}

pub fn home() -> Home {
    let place = scratch();
    place.write("message", MESSAGE).dir("home");
    place.script("queue", "cat >forwarded\ntr '\\000' '|' <&1 >envelope\n");
    Home { place, sender: "me@far.example", default_delivery: "./Mailbox" }
}

impl Home {
    /// qmail-local for joe, or for joe-EXT, at a.b.example.
    pub fn command(&self, dash: &str, ext: &str) -> Command {
        let mut command = program("qmail-local");
        let local = if dash.is_empty() { "joe".into() } else { format!("joe-{ext}") };
        command.args(["--", "joe"]).arg(self.place.join("home"));
        command.args([&local, dash, ext, "a.b.example", self.sender, self.default_delivery]);
        command.env("QMAILHOME", self.place.path()).env("QMAILQUEUE", self.place.join("queue"));
        command
    }

    /// The same with -n.
    pub fn dry(&self, dash: &str, ext: &str) -> Command {
        let command = self.command(dash, ext);
        let mut dry = program("qmail-local");
        dry.arg("-n").args(command.get_args());
        dry
    }

    pub fn run(&self, mut command: Command) -> Output {
        let message = File::open(self.place.join("message")).unwrap();
        start_on(message, &mut command).finish(LIMIT)
    }

    /// Delivers to joe with this .qmail file.
    #[track_caller]
    pub fn deliver(&self, instructions: &str) -> (Option<i32>, String, String) {
        self.file(".qmail", instructions);
        ran(&self.run(self.command("", "")))
    }

    /// Writes a file in the home, mode 644.
    pub fn file(&self, name: &str, text: impl AsRef<[u8]>) -> &Home {
        let name = Path::new("home").join(name);
        self.place.write(&name, text).chmod(&name, 0o644);
        self
    }

    pub fn maildir(&self, name: &str) -> &Home {
        for folder in ["tmp", "new", "cur"] {
            self.place.dir(Path::new("home").join(name).join(folder));
        }
        self
    }

    /// The messages of a Maildir; its tmp must be empty.
    #[track_caller]
    pub fn mail(&self, name: &str) -> Vec<String> {
        let folder = Path::new("home").join(name);
        assert_eq!(self.place.names(folder.join("tmp")), [""; 0]);
        let names = self.place.names(folder.join("new"));
        names.iter().map(|name| self.place.text(folder.join("new").join(name))).collect()
    }

    pub fn text(&self, name: &str) -> String {
        self.place.text(Path::new("home").join(name))
    }

    pub fn exists(&self, name: &str) -> bool {
        self.place.exists(Path::new("home").join(name))
    }
}

pub fn done(out: &str) -> (Option<i32>, String, String) {
    (Some(0), out.into(), String::new())
}

pub fn refused(code: i32, err: &str) -> (Option<i32>, String, String) {
    (Some(code), String::new(), format!("{err}\n"))
}

/// An mbox with the dates of its From lines replaced.
#[track_caller]
pub fn undated(mbox: &str) -> String {
    let line = |line: &str| match line.strip_prefix("From me@far.example ") {
        // Www Mmm DD HH:MM:SS YYYY
        Some(date) if date.len() == 24 => "From me@far.example DATE\n".to_owned(),
        _ => format!("{line}\n"),
    };
    mbox.lines().map(line).collect()
}
