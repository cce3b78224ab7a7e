//! Who hands messages to the queue: exit 0 means that it took them, wholly.

use crate::installation::{Installation, installation};
use crate::sweep::{Case, sweep};
use crate::tamper::held;
use std::fs::{self, File};
use std::process::{Command, Stdio};

const MESSAGE: &str = "To: you@b.example, she@c.example\nSubject: sweep\n\nText.\n";

fn new() -> Installation {
    let home = installation();
    home.write("message", MESSAGE);
    home
}

fn renew(home: &Installation) {
    for number in home.numbers("todo") {
        fs::remove_file(home.join(home.file("todo", number))).unwrap();
    }
}

fn command(home: &Installation, words: &[&str]) -> Command {
    let mut command = held(home.program(words[0]).args(&words[1..]));
    home.as_its_user(&mut command).stdin(File::open(home.join("message")).unwrap());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn check(home: &Installation, code: Option<i32>) -> Result<(), String> {
    let queued = home.numbers("todo");
    let read = |folder, number| fs::read_to_string(home.join(home.file(folder, number)));
    for number in &queued {
        let to = "\0Tshe@c.example\0Tyou@b.example\0";
        let whole = read("todo", *number).is_ok_and(|envelope| envelope.ends_with(to))
            && read("mess", *number).is_ok_and(|text| text.ends_with("Subject: sweep\n\nText.\n"));
        if !whole {
            return Err("queued, but not wholly".into());
        }
    }
    match (code, queued.len()) {
        (Some(0), 0) => Err("taken, it says, but nothing is queued".into()),
        (_, 2..) => Err("queued twice".into()),
        (None | Some(0 | 111 | 127), _) => Ok(()),
        (Some(other), _) => Err(format!("no temporary failure: {other}")),
    }
}

struct Inject(Installation);

impl Case for Inject {
    fn new() -> Self {
        Inject(new())
    }

    fn renew(&self) {
        renew(&self.0);
    }

    fn command(&self) -> Command {
        command(&self.0, &["qmail-inject"])
    }

    fn check(&self, code: Option<i32>) -> Result<(), String> {
        check(&self.0, code)
    }
}

struct Sendmail(Installation);

impl Case for Sendmail {
    fn new() -> Self {
        Sendmail(new())
    }

    fn renew(&self) {
        renew(&self.0);
    }

    fn command(&self) -> Command {
        command(&self.0, &["sendmail", "-t", "-i"])
    }

    fn check(&self, code: Option<i32>) -> Result<(), String> {
        check(&self.0, code)
    }
}

#[test]
fn qmail_inject_says_done_only_when_it_is() {
    sweep::<Inject>("qmail-inject");
}

#[test]
fn sendmail_says_done_only_when_it_is() {
    sweep::<Sendmail>("sendmail");
}
