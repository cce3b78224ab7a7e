//! New messages: when `todo` is looked through, and how its entries become messages of ours.

use super::aside::Aside;
use super::clean::Request;
use super::draft::{self, Draft, Single};
use super::first_try::FirstTries;
use super::log;
use super::manager::Manager;
use super::rewrite::{Rules, Side};
use super::trouble::later;
use base::files;
use base::sys::{clock, fd};
use queue::paths::{self, Paths, is_absent};
use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::vec;

/// Messages that are taken over together. They share the waits for the disk.
pub(super) const BATCH: usize = 64;

/// Seconds between two looks if nobody pulls the trigger.
const INTERVAL: u64 = 1500;

/// Between two looks at least, however often somebody does. A message that comes alone is found at
/// once; of many, those of a moment are taken over, delivered and removed together, and share the
/// waits for the disk.
const APART: Duration = Duration::from_millis(10);

/// Seconds until `todo` is opened again if that failed.
const PAUSE: u64 = 10;

/// What is to be put on disk together.
#[derive(Default)]
pub struct Job {
    /// New messages, and the rules for their recipients.
    new: Vec<u64>,
    rules: Arc<Rules>,
    /// How many of them may be tried at once on each side, without files of ours.
    room: [usize; 2],
    /// Messages that were tried so, and need files after all.
    kept: Vec<Single>,
}

/// What has become of a job.
#[derive(Default)]
pub struct Written {
    /// Messages that are ours now, with the sides where they go.
    ours: Vec<(u64, [bool; 2])>,
    /// Messages to be tried at once.
    singles: Vec<Single>,
    /// Messages whose files could not be written.
    not_kept: Vec<u64>,
}

/// A thread that writes the files of messages.
pub type Writer = Aside<Job, Written>;

/// What writes the files of messages. A crash before they are on disk begins again.
pub fn writer(paths: Paths) -> io::Result<Writer> {
    Aside::new(move |job: Job| job.carry_out(&paths))
}

impl Job {
    /// Files for messages that have been tried without.
    pub(super) fn keep(kept: Vec<Single>) -> Self {
        Job { kept, ..Job::default() }
    }

    fn carry_out(mut self, paths: &Paths) -> Written {
        let (mut drafts, mut singles) = (Vec::new(), Vec::new());
        for message in std::mem::take(&mut self.new) {
            match Draft::read(paths, &self.rules, message).transpose() {
                // It has been served since its name was read.
                None => {}
                Some(Ok(draft)) => match self.single(&draft) {
                    Some(single) => singles.push(single),
                    None => drafts.push(Ok(draft)),
                },
                Some(trouble) => drafts.push(trouble),
            }
        }
        drafts.extend(self.kept.iter().map(|single| Draft::of(paths, single)));
        let written = drafts.into_iter().filter_map(|draft| {
            draft.and_then(Draft::write).inspect_err(|trouble| trouble.log()).ok()
        });
        let drafts = draft::sync(written.collect());
        drafts.iter().for_each(Draft::log);
        let ours: Vec<_> = drafts.iter().map(|draft| (draft.message, draft.sides)).collect();
        let is_ours = |message| ours.iter().any(|(other, _)| *other == message);
        let kept = self.kept.iter().map(|single| single.message);
        let not_kept = kept.filter(|message| !is_ours(*message)).collect();
        Written { ours, singles, not_kept }
    }

    /// The message, if it can be tried at once.
    fn single(&mut self, draft: &Draft) -> Option<Single> {
        let single = draft.single()?;
        let room = &mut self.room[single.side as usize];
        *room = room.checked_sub(1)?;
        draft.log();
        Some(single)
    }
}

/// How far we are with new messages.
pub struct Todo {
    /// Takes a batch at a time.
    pub(super) writer: Writer,
    trigger: Option<File>,
    /// The rest of a look that is going on, and the folders that come then.
    entries: Option<fs::ReadDir>,
    folders: vec::IntoIter<String>,
    /// When to look next if nobody pulls the trigger; at once, to begin with.
    next: u64,
    /// When the last look began, if there was one.
    looked: Option<Instant>,
    /// Somebody has pulled the trigger since.
    pulled: bool,
    /// Messages whose `todo/N` is being removed, and the sides where they go then.
    cleaning: HashMap<u64, [bool; 2]>,
    /// Messages in `todo` that had files of ours when we started, and were not taken over yet.
    pub(super) doubtful: HashSet<u64>,
    /// Messages in `todo` that have no text, and when that is said again.
    textless: HashMap<u64, u64>,
}

impl Todo {
    /// Nothing has been looked at yet.
    pub fn new(writer: Writer) -> Self {
        Todo {
            writer,
            trigger: None,
            entries: None,
            folders: Vec::new().into_iter(),
            next: 0,
            looked: None,
            pulled: false,
            cleaning: HashMap::new(),
            doubtful: HashSet::new(),
            textless: HashMap::new(),
        }
    }

    /// Whether a batch is on its way.
    fn is_busy(&self) -> bool {
        !self.writer.is_idle() || !self.cleaning.is_empty()
    }

    /// What is to be waited for, unless new messages are being looked at anyway.
    pub fn trigger(&self) -> Option<&File> {
        self.trigger.as_ref().filter(|_| self.entries.is_none() && !self.is_busy())
    }

    /// How long until there is work; `None` as long as others have to do their part first.
    pub fn patience(&self) -> Option<Duration> {
        if self.is_busy() {
            return None;
        }
        if self.entries.is_some() {
            return Some(Duration::ZERO);
        }
        let left = Duration::from_secs(self.next).saturating_sub(clock::now());
        let moment =
            self.looked.map_or(Duration::ZERO, |look| APART.saturating_sub(look.elapsed()));
        Some(if self.pulled { left.min(moment) } else { left })
    }

    /// Begins to look. The trigger is opened anew before, so that a message which comes meanwhile
    /// pulls it again.
    fn look(&mut self, paths: &Paths, now: u64) {
        // Closed first: without a reader and a writer the FIFO forgets what was written to it, and
        // that a writer has gone.
        self.trigger = None;
        self.trigger = open_trigger();
        self.pulled = false;
        self.looked = Some(Instant::now());
        self.next = now + INTERVAL;
        self.folders = paths.todo_folders().into_iter();
        self.open_next(now);
    }

    /// Goes on with the next folder of this look, if there is one. All wait for a while for one
    /// that cannot be read.
    fn open_next(&mut self, now: u64) {
        self.entries = None;
        while self.entries.is_none()
            && let Some(folder) = self.folders.next()
        {
            self.entries = files::entries(&folder).ok();
            if self.entries.is_none() {
                log::alert(format_args!("unable to opendir {folder}, sleeping..."));
                self.trigger = None;
                self.next = now + PAUSE;
            }
        }
    }

    /// The next messages of this look, but for those that are tried already.
    fn batch(&mut self, paths: &Paths, tried: &FirstTries, now: u64) -> Vec<u64> {
        let mut batch: Vec<u64> = Vec::new();
        while let Some(entries) = &mut self.entries
            && batch.len() < BATCH
        {
            let Some(Ok(entry)) = entries.next() else {
                self.open_next(now);
                continue;
            };
            if paths.splits_todo && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            let message = paths::number(entry.file_name().as_bytes());
            // It may lie in a folder and beside it.
            let message = message.filter(|n| !tried.has(*n) && !batch.contains(n));
            batch.extend(message);
        }
        batch
    }
}

/// The FIFO that qmail-queue writes to. Without it, we look from time to time.
fn open_trigger() -> Option<File> {
    let file = files::open_read(Path::new("lock/trigger")).ok()?;
    // Anything else could always be read.
    if !file.metadata().is_ok_and(|about| about.file_type().is_fifo()) {
        return None;
    }
    // A writer may be slow to close: its write waits until the file system has committed the time
    // of it. A byte that stays meanwhile would have us look over and over.
    let _ = fd::read(file.as_fd(), &mut [0; 512]);
    Some(file)
}

impl Manager {
    /// Somebody has queued a message. Until we look, nobody needs to say so again.
    pub(super) fn trigger_pulled(&mut self) {
        self.todo.pulled = true;
        self.todo.trigger = None;
    }

    /// Takes over a batch of new messages: their files are written, everything is put on disk,
    /// and only then qmail-clean removes what we no longer need.
    pub(super) fn scan_todo(&mut self, now: u64) {
        if self.todo.patience() != Some(Duration::ZERO) {
            return;
        }
        if self.todo.entries.is_none() {
            self.todo.look(&self.paths, now);
        }
        let mut new = self.todo.batch(&self.paths, &self.first_tries, now);
        new.retain(|message| self.has_text(*message, now));
        match new {
            new if new.is_empty() => self.look_ended(),
            new => {
                let rules = Arc::clone(&self.controls.rules);
                let room = Side::BOTH.map(|side| self.room(side));
                self.todo.writer.ask(Job { new, rules, room, kept: Vec::new() });
            }
        }
    }

    /// Whether a new message has a text, if it is there still: it may have been served since its
    /// name was read. One without text is what a power cut has left, or a repair: that is said once
    /// in an interval, however often the trigger is pulled meanwhile.
    fn has_text(&mut self, message: u64, now: u64) -> bool {
        let mess = self.paths.split("mess", message);
        if !is_absent(&mess) || is_absent(&self.paths.todo(message)) {
            self.todo.textless.remove(&message);
            return true;
        }
        if self.todo.textless.get(&message).is_none_or(|next| *next <= now) {
            self.todo.textless.insert(message, now + INTERVAL);
            later("unable to stat", &mess)(ErrorKind::NotFound.into()).log();
        }
        false
    }

    /// How many messages may be tried at once.
    fn room(&self, side: Side) -> usize {
        let channel = &self.channels[side as usize];
        if channel.most() == 0 { 0 } else { self.first_tries.room(side) }
    }

    /// A batch is on disk, or need not be.
    pub(super) fn batch_written(&mut self) {
        for Written { ours, singles, not_kept } in self.todo.writer.results() {
            for (message, sides) in ours {
                self.todo.doubtful.remove(&message);
                self.todo.cleaning.insert(message, sides);
                self.cleaner.ask(Request::Todo(message));
            }
            singles.into_iter().for_each(|single| self.first_tries.add(single));
            not_kept.into_iter().for_each(|message| self.not_kept(message));
        }
        self.look_ended();
    }

    fn look_ended(&mut self) {
        if self.todo.entries.is_none() {
            self.load_doubtful();
        }
    }

    /// qmail-clean has done what it was asked for, or not, or is gone.
    pub(super) fn answers_came(&mut self) {
        let Ok(answers) = self.cleaner.answers() else { return self.cleaner_lost() };
        for (request, done) in answers {
            let done = done && self.is_removed(request);
            if !done {
                log::warning(format_args!("qmail-clean unable to clean up {}", request.words()));
            }
            if let Request::Todo(message) = request {
                let sides = self.todo.cleaning.remove(&message);
                match sides {
                    _ if self.first_tries.has(message) => self.first_try_over(message, done),
                    Some(sides) if done => self.taken_over(message, sides),
                    _ => {}
                }
            }
        }
    }

    /// Whether what qmail-clean says is so: where `todo` is split, the original removes nothing that
    /// lies beside the folders.
    fn is_removed(&self, request: Request) -> bool {
        match request {
            Request::Todo(message) if self.paths.splits_todo => {
                is_absent(&self.paths.todo(message))
            }
            _ => true,
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
            self.end(message, None);
        }
    }
}
