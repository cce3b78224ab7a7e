//! qmail-queue: exit 0 means wholly queued; otherwise nothing is visible, and nothing is left that
//! qmail-clean does not remove.

use crate::installation::{Installation, installation_of};
use crate::sweep::{Case, sweep};
use crate::tamper::held;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};
use tests::fed;

const ENVELOPE: &[u8] = b"Fme@a.example\0Tyou@b.example\0Tshe@c.example\0\0";

/// A message of some blocks.
fn text() -> String {
    "Subject: sweep\n\n".to_owned() + &"A line of a message.\n".repeat(7000)
}

struct Queue<const BIG_TODO: bool> {
    home: Installation,
}

impl<const BIG_TODO: bool> Case for Queue<BIG_TODO> {
    fn new() -> Self {
        let home = installation_of(BIG_TODO);
        home.write("message", text()).write("envelope", ENVELOPE);
        Queue { home }
    }

    fn renew(&self) {
        for folder in ["mess", "intd", "todo"] {
            for number in self.home.numbers(folder) {
                fs::remove_file(self.home.join(self.home.file(folder, number))).unwrap();
            }
        }
        for name in self.home.place().names("queue/pid") {
            fs::remove_file(self.home.join("queue/pid").join(name)).unwrap();
        }
    }

    fn command(&self) -> Command {
        let open = |name| File::open(self.home.join(name)).unwrap();
        let mut command = held(&self.home.program("qmail-queue"));
        self.home.as_its_user(&mut command);
        // it reads the envelope from its standard output
        command.stdin(open("message")).stdout(open("envelope")).stderr(Stdio::null());
        command
    }

    fn check(&self, code: Option<i32>) -> Result<(), String> {
        let queued = self.home.numbers("todo");
        match (code, &queued[..]) {
            (Some(0), []) => return Err("accepted, but not queued".into()),
            // killed, or told to wait for what was done: it comes twice, at worst
            (_, []) => {}
            (_, [number]) => self.whole(*number)?,
            _ => return Err("queued twice".into()),
        }
        match code {
            None | Some(0 | 51..=54 | 61..=66 | 81 | 111 | 127) => self.cleaned(&queued),
            Some(other) => Err(format!("no temporary failure: {other}")),
        }
    }
}

impl<const BIG_TODO: bool> Queue<BIG_TODO> {
    fn whole(&self, number: u64) -> Result<(), String> {
        let read = |folder| fs::read(self.home.join(self.home.file(folder, number)));
        let mess = read("mess").map_err(|_| "no text")?;
        let inode = File::open(self.home.join(self.home.file("mess", number)))
            .and_then(|file| file.metadata())
            .map(|found| found.ino());
        let (todo, intd) = (read("todo").map_err(|_| "no envelope")?, read("intd"));
        let fine = mess.ends_with(text().as_bytes())
            && mess.starts_with(b"Received: (qmail ")
            && todo.ends_with(&ENVELOPE[..ENVELOPE.len() - 1])
            && intd.is_ok_and(|intd| intd == todo)
            && inode.is_ok_and(|inode| inode == number);
        if fine { Ok(()) } else { Err("queued, but not whole".into()) }
    }

    /// What is not queued is gone once qmail-clean has been asked to clean up after 36 hours.
    fn cleaned(&self, queued: &[u64]) -> Result<(), String> {
        let left: Vec<_> = ["mess", "intd"]
            .into_iter()
            .flat_map(|folder| self.home.numbers(folder))
            .filter(|number| !queued.contains(number))
            .collect();
        for number in left {
            let mut clean = self.home.program("qmail-clean");
            let asked = format!("foop/{number}\0");
            let done = fed(&mut clean, asked);
            if done.stdout != b"+" {
                return Err(format!("qmail-clean leaves {number}"));
            }
            let gone =
                ["mess", "intd"].iter().all(|folder| !self.home.numbers(folder).contains(&number));
            if !gone {
                return Err(format!("{number} is left"));
            }
        }
        Ok(())
    }
}

#[test]
fn qmail_queue_accepts_wholly_or_not_at_all() {
    sweep::<Queue<false>>("qmail-queue");
    sweep::<Queue<true>>("qmail-queue with big-todo");
}
