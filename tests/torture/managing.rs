//! qmail-send: whatever fails, no recipient is lost, and none is marked as done who was not
//! served. The test stands for both spawners; qmail-clean is ours.

use crate::installation::{Installation, installation_of};
use crate::sweep::{Case, sampled, sweep};
use crate::tamper::{Progress, held_with, run_beside};
use nix::sys::signal::Signal;
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, chown};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tests::{LIMIT, comes_true};

/// A message that has just come: two local recipients and two remote ones. `later` is served at
/// the second try only, `never` not at all, of which the sender is to be told.
const NEW: u64 = 46;
const ENVELOPE: &str = "Fme@a.example\0Tann@a.example\0Tlater@a.example\0Tbob@b.example\0\
    Tnever@b.example\0";

/// A message that has been tried already: one recipient is served, one is not.
const OLD: u64 = 47;

/// Who has to be served in the end. `me` gets the bounce.
const ALL: [&str; 5] =
    ["ann@a.example", "bob@b.example", "last@b.example", "later@a.example", "me@a.example"];

/// Which connection.
const REMOTE: usize = 1;
const CLEAN: usize = 2;

const REDIRECTED: &str = "0>log 1>from0 2<to0 3>from1 4<to1 5>from2 6<to2";

struct Manage<const BIG_TODO: bool> {
    home: Installation,
    cleaner: Mutex<Cleaner>,
    seen: Mutex<Seen>,
}

/// A qmail-clean that lives as long as the case.
struct Cleaner {
    child: Child,
    to: ChildStdin,
    from: ChildStdout,
}

/// What the spawners have seen and said.
#[derive(Default)]
struct Seen {
    /// Who was served, or told to be no recipient at all.
    done: BTreeSet<String>,
    /// Who was put off once.
    deferred: BTreeSet<String>,
    /// The bounce came, and names who is not served.
    bounced: bool,
}

impl<const BIG_TODO: bool> Case for Manage<BIG_TODO> {
    fn new() -> Self {
        let home = installation_of(BIG_TODO);
        for name in ["to0", "to1", "to2", "from0", "from1", "from2"] {
            home.place().fifo(format!("wires/{name}"));
        }
        home.give("wires");
        let mut clean = home.program("qmail-clean");
        let mut child = clean.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (to, from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Manage { home, cleaner: Cleaner { child, to, from }.into(), seen: Mutex::default() }
    }

    fn renew(&self) {
        for folder in ["mess", "info", "local", "remote", "intd", "todo", "bounce", "pid"] {
            self.empty(folder);
        }
        self.put("mess", NEW, "Subject: new\n\nText.\n");
        self.put("intd", NEW, &format!("u1\0p2\0{ENVELOPE}"));
        self.put("todo", NEW, &format!("u1\0p2\0{ENVELOPE}"));
        self.put("mess", OLD, "Subject: old\n\nText.\n");
        self.put("info", OLD, "Fyou@c.example\0");
        self.put("remote", OLD, "Dfirst@b.example\0Tlast@b.example\0");
        *self.seen() = Seen::default();
    }

    fn command(&self) -> Command {
        self.home.write("wires/log", "");
        let send = self.home.program("qmail-send");
        let mut command = held_with(REDIRECTED, &send);
        command.current_dir(self.home.join("wires"));
        self.home.as_its_user(&mut command);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Until everything is done, or nothing goes on any more after the fault.
    fn accompany(&self, progress: &Progress) {
        let (mut wires, mut alarmed) = (Wires::new(&self.home), false);
        let ended = comes_true(LIMIT * 5, || {
            let mut busy = false;
            while self.serve(&mut wires) {
                busy = true;
            }
            let settled = !busy && progress.is_quiet();
            let ready = settled && self.home.place().text("wires/log").contains("status: ");
            if settled && (self.is_empty() || (alarmed || !ready) && progress.is_struck()) {
                progress.signal(Signal::SIGTERM);
            } else if ready {
                // whoever was put off is due now
                progress.signal(Signal::SIGALRM);
                alarmed = true;
            }
            progress.is_over()
        });
        if !ended {
            progress.signal(Signal::SIGKILL);
        }
    }

    fn is_done(&self, code: Option<i32>) -> bool {
        code == Some(0)
    }

    fn check(&self, code: Option<i32>) -> Result<(), String> {
        if ![None, Some(0), Some(111), Some(127)].contains(&code) {
            return Err("no temporary failure".into());
        }
        self.marks()?;
        // more than once if the machine is so slow that we gave up too early
        for _ in 0..5 {
            if !self.is_empty() {
                self.again()?;
            }
        }
        let seen = self.seen();
        let lost: Vec<_> = ALL.iter().filter(|name| !seen.done.contains(**name)).collect();
        match lost[..] {
            [] if !self.is_empty() => Err(format!("the queue still has {:?}", self.home.folders())),
            [] if !seen.bounced => Err("the sender is not told".into()),
            [] => Ok(()),
            _ => Err(format!("lost: {lost:?}")),
        }
    }
}

impl<const BIG_TODO: bool> Manage<BIG_TODO> {
    /// Runs it without a fault.
    fn again(&self) -> Result<(), String> {
        let begun = Instant::now();
        let send = |progress: &_| self.accompany(progress);
        let outcome = run_beside(&mut self.command(), None, false, send).0;
        if outcome.code != Some(0) {
            let log = self.home.place().text("wires/log");
            return Err(format!(
                "afterwards it ends with {:?} after {:?}: {log}",
                outcome.code,
                begun.elapsed()
            ));
        }
        self.marks()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn empty(&self, folder: &str) {
        let folder = self.home.join("queue").join(folder);
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                fs::read_dir(path).unwrap().for_each(|entry| {
                    fs::remove_file(entry.unwrap().path()).unwrap();
                });
            } else {
                fs::remove_file(path).unwrap();
            }
        }
    }

    fn put(&self, folder: &str, number: u64, text: &str) {
        let file = self.home.join(self.home.file(folder, number));
        fs::write(&file, text).unwrap();
        let (user, group) = self.home.user();
        chown(file, Some(user), Some(group)).unwrap();
    }

    /// Nobody waits. A text that is left alone is removed by the next qmail-send after 36 hours.
    fn is_empty(&self) -> bool {
        let waiting = ["todo", "info", "local", "remote", "bounce"];
        waiting.iter().all(|folder| self.home.numbers(folder).is_empty())
    }

    /// Whoever is marked was served.
    fn marks(&self) -> Result<(), String> {
        let seen = self.seen();
        for (folder, number) in [("local", NEW), ("remote", NEW), ("remote", OLD)] {
            let text = fs::read_to_string(self.home.join(self.home.file(folder, number)));
            for record in text.unwrap_or_default().split_terminator('\0') {
                let name = record.strip_prefix('D').filter(|name| *name != "first@b.example");
                if let Some(name) = name
                    && !seen.done.contains(name)
                {
                    return Err(format!("{name} is marked, but was not served"));
                }
            }
        }
        Ok(())
    }

    /// Does what qmail-send asks for. Whether it asked for anything.
    fn serve(&self, wires: &mut Wires) -> bool {
        let mut busy = false;
        for side in 0..=REMOTE {
            while let Some([order, sender, recipient]) = wires.order(side) {
                busy = true;
                let report = self.report(&order[1..], &sender, &recipient);
                let said = [&order.as_bytes()[..1], report.as_bytes(), b"\0"].concat();
                wires.to[side].write_all(&said).unwrap();
            }
        }
        while let Some(request) = wires.string(CLEAN) {
            busy = true;
            let mut cleaner = self.cleaner.lock().unwrap_or_else(PoisonError::into_inner);
            let mut answer = [0];
            cleaner.to.write_all(&[request.as_bytes(), b"\0"].concat()).unwrap();
            cleaner.from.read_exact(&mut answer).unwrap();
            wires.to[CLEAN].write_all(&answer).unwrap();
        }
        busy
    }

    /// What comes of a delivery.
    fn report(&self, message: &str, sender: &str, recipient: &str) -> &'static str {
        let mut seen = self.seen();
        if recipient.starts_with("later") && seen.deferred.insert(recipient.into()) {
            return "Zlater\n";
        }
        seen.done.insert(recipient.into());
        if sender.is_empty() {
            let file = self.home.join("queue/mess").join(message);
            let text = fs::read_to_string(file).unwrap_or_default();
            seen.bounced |= text.contains("<never@b.example>:\nno such");
        }
        if recipient.starts_with("never") { "Dno such box\n" } else { "Kdone\n" }
    }
}

impl Drop for Cleaner {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The other ends of qmail-send's connections. They are open both ways: nobody ever hangs up.
struct Wires {
    from: [File; 3],
    to: [File; 3],
    heard: [Vec<u8>; 3],
}

impl Wires {
    /// Empty ones, on which the spawners have said how much they can do.
    fn new(home: &Installation) -> Self {
        let open = |name: &str, side: usize| {
            let mut options = OpenOptions::new();
            options.read(true).write(true).custom_flags(libc::O_NONBLOCK);
            options.open(home.join(format!("wires/{name}{side}"))).unwrap()
        };
        let [from, to] = ["from", "to"].map(|name| [0, 1, 2].map(|side| open(name, side)));
        let mut wires = Wires { from, to, heard: [(); 3].map(|()| Vec::new()) };
        for side in 0..=REMOTE {
            wires.to[side].write_all(&[10]).unwrap();
        }
        wires
    }

    /// The next string, if all of it is there.
    fn string(&mut self, side: usize) -> Option<String> {
        self.strings(side, 1).map(|mut strings| strings.remove(0))
    }

    /// An order's number and message, its sender, its recipient.
    fn order(&mut self, side: usize) -> Option<[String; 3]> {
        self.strings(side, 3).and_then(|strings| strings.try_into().ok())
    }

    fn strings(&mut self, side: usize, count: usize) -> Option<Vec<String>> {
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = self.from[side].read(&mut bytes) {
            self.heard[side].extend(&bytes[..count]);
        }
        // the number of a delivery may be 0 and is the first byte: it is one of the string here
        let heard = &self.heard[side];
        let from = usize::from(side != CLEAN);
        let ends = (from..heard.len()).filter(|at| heard[*at] == 0).take(count);
        let ends: Vec<_> = ends.collect();
        let end = *ends.get(count - 1)?;
        let all: Vec<u8> = self.heard[side].drain(..=end).collect();
        let starts = [0].into_iter().chain(ends.iter().map(|end| end + 1));
        let strings = starts.zip(&ends).map(|(start, end)| &all[start..*end]);
        Some(strings.map(|text| String::from_utf8_lossy(text).into_owned()).collect())
    }
}

#[test]
fn qmail_send_loses_nobody() {
    sampled::<Manage<false>>("qmail-send", 16);
    sampled::<Manage<true>>("qmail-send with big-todo", 64);
}

#[test]
#[ignore = "torture"]
fn qmail_send_loses_nobody_whatever_fails() {
    sweep::<Manage<false>>("qmail-send");
    sweep::<Manage<true>>("qmail-send with big-todo");
}
