//! The first try of a message with one recipient. It begins before the message has files of ours:
//! `todo/N` says all that they would, and is on disk. Most messages never get any: they are
//! served, and gone. The others get theirs when the try has failed, or takes longer than a moment,
//! and are like all others from then on.

use super::channel::Delivery;
use super::clean::Request;
use super::draft::Single;
use super::log;
use super::manager::Manager;
use super::pass::{Pass, Recipient};
use super::reports::{Report, Verdict};
use super::rewrite::Side;
use super::schedule::{SYSTEM_FAILURE, Schedule};
use super::todo::{BATCH, Job};
use base::sys::clock;
use std::collections::{HashMap, VecDeque};

/// Messages that may wait for their first try on each side. Those that come then get files first.
const LINE: usize = 128;

/// Seconds after which a message gets files, whatever goes on: others want to see it.
const MOMENT: u64 = 2;

/// The messages that are tried, or are to be tried, without files of ours.
#[derive(Default)]
pub struct FirstTries {
    messages: HashMap<u64, FirstTry>,
    /// Those that wait for a slot, on each side; and some that do not wait any more.
    lines: [VecDeque<u64>; 2],
    /// When they get files. Messages that have ended before are among them.
    limits: Schedule,
    /// Those that get files with the writer's next job.
    to_keep: Vec<u64>,
}

struct FirstTry {
    single: Single,
    stage: Stage,
    /// It gets files, or has them.
    kept: bool,
}

enum Stage {
    /// For a slot.
    Waiting,
    /// The delivery is going on.
    Going,
    /// The delivery has ended, and not well or not soon: what is to be done once there are files.
    Ended(Delivery, Report),
    /// Everything of it is to be removed.
    Served,
}

impl FirstTries {
    /// Whether this message is one of them.
    pub fn has(&self, message: u64) -> bool {
        self.messages.contains_key(&message)
    }

    /// Whether no message needs files that the writer does not know of.
    pub fn is_settled(&self) -> bool {
        self.to_keep.is_empty()
    }

    /// How many more may wait on this side.
    pub fn room(&self, side: Side) -> usize {
        LINE.saturating_sub(self.lines[side as usize].len())
    }

    /// When the next one gets files.
    pub fn next_time(&self) -> Option<u64> {
        self.limits.next()
    }

    /// Adds a message.
    pub fn add(&mut self, single: Single) {
        let message = single.message;
        self.lines[single.side as usize].push_back(message);
        self.limits.add(clock::seconds() + MOMENT, message);
        self.messages.insert(message, FirstTry { single, stage: Stage::Waiting, kept: false });
    }

    /// Takes the next message that waits on this side: its delivery begins.
    fn take(&mut self, side: Side) -> Option<Single> {
        while let Some(message) = self.lines[side as usize].pop_front() {
            let first = self.messages.get_mut(&message);
            if let Some(FirstTry { single, stage: stage @ Stage::Waiting, kept: false }) = first {
                *stage = Stage::Going;
                return Some(single.clone());
            }
        }
        None
    }

    /// Has files made for a message that is not served yet.
    fn keep(&mut self, message: u64) {
        match self.messages.get_mut(&message) {
            None | Some(FirstTry { kept: true, .. } | FirstTry { stage: Stage::Served, .. }) => {}
            Some(first) => {
                first.kept = true;
                self.to_keep.push(message);
            }
        }
    }
}

impl Manager {
    /// Begins the next first try on this side. False: nobody waits for one.
    pub(super) fn begin_first_try(&mut self, side: Side) -> bool {
        let Some(single) = self.first_tries.take(side) else { return false };
        let recipient = Recipient { at: 0, address: single.recipient };
        self.begin_delivery(side, single.message, &single.sender, recipient);
        true
    }

    /// The delivery has ended.
    pub(super) fn first_try_ended(&mut self, delivery: Delivery, report: Report) {
        let message = delivery.message;
        let Some(first) = self.first_tries.messages.get_mut(&message) else { return };
        if report.verdict == Verdict::Done && !first.kept {
            log::delivery(delivery.number, "success", &report.text);
            first.stage = Stage::Served;
            self.log_status();
            return self.cleaner.ask(Request::Todo(message));
        }
        first.stage = Stage::Ended(delivery, report);
        self.first_tries.keep(message);
    }

    /// Has files made for those that need them, or have been tried for long: many at a time, as
    /// soon as the writer has time.
    pub(super) fn keep_first_tries(&mut self, now: u64) {
        while let Some(message) = self.first_tries.limits.take_due(now) {
            self.first_tries.keep(message);
        }
        if self.todo.writer.is_idle() && !self.first_tries.is_settled() {
            let FirstTries { messages, to_keep, .. } = &mut self.first_tries;
            let batch = to_keep.drain(..to_keep.len().min(BATCH));
            let kept = batch.filter_map(|message| messages.get(&message));
            self.todo.writer.ask(Job::keep(kept.map(|first| first.single.clone()).collect()));
        }
    }

    /// The files could not be made. Whoever is served, or may be, must not be served again; all
    /// others stay in `todo` as if nothing had been done.
    pub(super) fn not_kept(&mut self, message: u64) {
        let Some(mut first) = self.first_tries.messages.remove(&message) else { return };
        first.kept = false;
        let end = match first.stage {
            Stage::Going => None,
            Stage::Ended(by, report) if report.verdict == Verdict::Done => Some((by, report)),
            _ => return,
        };
        first.stage = Stage::Going;
        self.first_tries.messages.insert(message, first);
        match end {
            Some((delivery, report)) => self.first_try_ended(delivery, report),
            None => self.first_tries.limits.add(clock::seconds() + SYSTEM_FAILURE, message),
        }
    }

    /// `todo/N` is gone: the message is, too, or it has files. Or `todo/N` is not gone.
    pub(super) fn first_try_over(&mut self, message: u64, gone: bool) {
        let now = clock::seconds();
        if !gone {
            return self.finishing.add(now + SYSTEM_FAILURE, message);
        }
        let Some(first) = self.first_tries.messages.remove(&message) else { return };
        let side = first.single.side;
        match first.stage {
            Stage::Served => {
                log::line(format_args!("end msg {message}"));
                return self.cleaner.ask(Request::Message(message));
            }
            Stage::Waiting => return self.channels[side as usize].schedule.add(now, message),
            Stage::Going | Stage::Ended(..) => {}
        }
        match Pass::resume(&self.paths, side, message, now, self.controls.lifetime) {
            Ok(pass) => drop(self.channels[side as usize].passes.insert(message, pass)),
            Err(trouble) => {
                trouble.log();
                self.finishing.add(now + SYSTEM_FAILURE, message);
                return drop(self.first_tries.messages.insert(message, first));
            }
        }
        if let Stage::Ended(delivery, report) = first.stage {
            self.delivery_ended(side, &delivery, report);
        }
    }

    /// Removes `todo/N` again, or goes on where that was all that could be done some time ago.
    /// False: this message is none of them.
    pub(super) fn first_try_again(&mut self, message: u64) -> bool {
        let is_one = self.first_tries.has(message);
        if is_one {
            self.cleaner.ask(Request::Todo(message));
        }
        is_one
    }
}
