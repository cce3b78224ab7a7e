//! New messages: when `todo` is looked through, and how its entries become messages of ours.

use super::clean::Request;
use super::draft::{self, Draft};
use super::log;
use super::manager::Manager;
use super::rewrite::Side;
use base::files;
use base::sys::clock;
use queue::paths;
use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

/// Messages that are taken over together. They share the waits for the disk; deliveries wait
/// meanwhile.
const BATCH: usize = 64;

/// Seconds between two looks if nobody pulls the trigger.
const INTERVAL: u64 = 1500;

/// Seconds until `todo` is opened again if that failed.
const PAUSE: u64 = 10;

/// How far we are with new messages.
#[derive(Default)]
pub struct Todo {
    trigger: Option<File>,
    /// The rest of a look that is going on.
    entries: Option<fs::ReadDir>,
    /// When to look next; at once, to begin with.
    next: u64,
    /// Messages whose `todo/N` is being removed, and the sides where they go then.
    cleaning: HashMap<u64, [bool; 2]>,
    /// Messages in `todo` that had files of ours when we started, and were not taken over yet.
    pub(super) doubtful: HashSet<u64>,
}

impl Todo {
    /// What is to be waited for, unless new messages are being looked at anyway.
    pub fn trigger(&self) -> Option<&File> {
        self.trigger.as_ref().filter(|_| self.entries.is_none() && self.cleaning.is_empty())
    }

    /// When there is work; `None` as long as qmail-clean has to do its part first.
    pub fn next_time(&self) -> Option<u64> {
        let next = if self.entries.is_some() { 0 } else { self.next };
        self.cleaning.is_empty().then_some(next)
    }

    /// Begins to look. The trigger is opened anew before, so that a message which comes meanwhile
    /// pulls it again.
    fn look(&mut self, now: u64) {
        // Closed first: only without a reader does the FIFO forget what was written to it, and a
        // byte that stays would wake us for ever.
        self.trigger = None;
        self.trigger = open_trigger();
        self.next = now + INTERVAL;
        self.entries = fs::read_dir("todo").ok();
        if self.entries.is_none() {
            log::alert("unable to opendir todo, sleeping...");
            self.trigger = None;
            self.next = now + PAUSE;
        }
    }

    /// The next messages of this look.
    fn batch(&mut self) -> Vec<u64> {
        let mut batch = Vec::new();
        while let Some(entries) = &mut self.entries
            && batch.len() < BATCH
        {
            match entries.next() {
                Some(Ok(entry)) => batch.extend(paths::number(entry.file_name().as_bytes())),
                Some(Err(_)) | None => self.entries = None,
            }
        }
        batch
    }
}

/// The FIFO that qmail-queue writes to. Without it, we look from time to time.
fn open_trigger() -> Option<File> {
    let file = files::open_read(Path::new("lock/trigger")).ok()?;
    // Anything else could always be read.
    file.metadata().is_ok_and(|about| about.file_type().is_fifo()).then_some(file)
}

impl Manager {
    /// Somebody has queued a message.
    pub(super) fn trigger_pulled(&mut self) {
        self.todo.next = 0;
    }

    /// Takes over a batch of new messages: their files are written, everything is put on disk,
    /// and only then qmail-clean removes what we no longer need. A crash before that begins again.
    pub(super) fn scan_todo(&mut self, now: u64) {
        if self.todo.next_time().is_none_or(|next| next > now) {
            return;
        }
        if self.todo.entries.is_none() {
            self.todo.look(now);
        }
        let mut drafts = Vec::new();
        for message in self.todo.batch() {
            match Draft::write(&self.paths, &self.controls.rules, message) {
                Ok(draft) => {
                    self.todo.doubtful.remove(&message);
                    drafts.push(draft);
                }
                Err(trouble) => trouble.log(),
            }
        }
        let drafts = draft::sync(drafts);
        for draft in &drafts {
            draft.log();
            self.todo.cleaning.insert(draft.message, draft.sides);
        }
        let requests: Vec<_> = drafts.iter().map(|draft| Request::Todo(draft.message)).collect();
        if !requests.is_empty() && self.cleaner.ask(&requests).is_err() {
            self.cleaner_lost();
        }
        if self.todo.entries.is_none() {
            self.load_doubtful();
        }
    }

    /// qmail-clean has done what it was asked for, or not, or is gone.
    pub(super) fn answers_came(&mut self) {
        let Ok(answers) = self.cleaner.answers() else { return self.cleaner_lost() };
        for (request, done) in answers {
            if !done {
                log::warning(format_args!("qmail-clean unable to clean up {}", request.words()));
            }
            if let Request::Todo(message) = request {
                let sides = self.todo.cleaning.remove(&message).filter(|_| done);
                sides.into_iter().for_each(|sides| self.taken_over(message, sides));
            }
        }
    }

    /// A message has left `todo` and is ours now.
    fn taken_over(&mut self, message: u64, sides: [bool; 2]) {
        let now = clock::seconds();
        for side in Side::BOTH {
            if sides[side as usize] {
                self.channels[side as usize].schedule.add(now, message);
            }
        }
        if sides == [false; 2] {
            self.finish(message);
        }
    }
}
