//! qmail-send's state, and what it waits for. Each event has a method, here or in the files
//! `todo`, `deliver`, `finish` and `sweep`.

use super::channel::Channel;
use super::clean::Cleaner;
use super::controls::Controls;
use super::finish::{self, Remover};
use super::first_try::FirstTries;
use super::log;
use super::rewrite::Side;
use super::schedule::Schedule;
use super::sweep::Sweep;
use super::todo::{self, Todo};
use crate::control::Control;
use base::sys::clock;
use base::sys::poll::{Wait, poll};
use base::sys::signal::{self, Signals};
use queue::paths::Paths;
use std::collections::HashSet;
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

/// The queue manager. The current folder is `queue`.
pub struct Manager {
    pub(super) paths: Paths,
    pub(super) control: Control,
    pub(super) controls: Controls,
    pub(super) channels: [Channel; 2],
    pub(super) cleaner: Cleaner,
    pub(super) cleaner_alive: bool,
    pub(super) todo: Todo,
    pub(super) first_tries: FirstTries,
    pub(super) sweep: Sweep,
    /// Messages that nobody has to be served of any more, and that could not be finished.
    pub(super) finishing: Schedule,
    /// Removes the files of messages that end.
    pub(super) remover: Remover,
    /// Messages of which it removes, or has removed, what a side had.
    pub(super) ending: HashSet<u64>,
    /// Deliveries that have been started.
    pub(super) started: u64,
    /// No new deliveries.
    pub(super) leaving: bool,
}

/// What has happened while we waited.
#[derive(Default)]
struct Events {
    signals: bool,
    cleaner: bool,
    written: bool,
    removed: bool,
    trigger: bool,
    reports: [bool; 2],
}

impl Manager {
    /// A manager for this queue, with nothing in it yet, and this many deliveries at once.
    pub fn new(
        paths: Paths,
        control: Control,
        controls: Controls,
        most: [usize; 2],
    ) -> io::Result<Self> {
        let [local, remote] = most;
        Ok(Manager {
            paths,
            control,
            controls,
            channels: [Channel::new(Side::Local, local), Channel::new(Side::Remote, remote)],
            cleaner: Cleaner::new(),
            cleaner_alive: true,
            todo: Todo::new(todo::writer(paths)?),
            first_tries: FirstTries::default(),
            sweep: Sweep::default(),
            finishing: Schedule::default(),
            remover: finish::remover(paths)?,
            ending: HashSet::new(),
            started: 0,
            leaving: false,
        })
    }

    /// Delivers until it is told to stop, and everything that goes on has ended.
    pub fn run(&mut self, signals: &Signals) {
        self.log_status();
        while !self.may_stop() {
            self.work();
            self.say();
            let events = self.wait(signals);
            if events.signals {
                signals.take().for_each(|signal| self.signal_came(signal));
            }
            if events.cleaner {
                self.answers_came();
            }
            if events.written {
                self.batch_written();
            }
            if events.removed {
                self.files_removed();
            }
            for side in Side::BOTH {
                if events.reports[side as usize] {
                    self.reports_came(side);
                }
            }
            if events.trigger {
                self.trigger_pulled();
            }
        }
        self.save_schedules();
        log::line("status: exiting");
        log::flush();
    }

    /// Whether nothing goes on that is worth waiting for.
    fn may_stop(&self) -> bool {
        let idle = |channel: &Channel| !channel.alive || channel.busy == 0;
        let clean = !self.cleaner_alive || self.cleaner.is_idle();
        let clean = clean && self.todo.writer.is_idle() && self.remover.is_idle();
        let clean = clean && self.first_tries.is_settled();
        self.leaving && clean && self.channels.iter().all(idle)
    }

    /// Begins whatever can begin: deliveries first, then new messages, a batch at a time, so that
    /// neither keeps the other waiting.
    fn work(&mut self) {
        let now = clock::seconds();
        self.keep_first_tries(now);
        if self.leaving {
            return;
        }
        Side::BOTH.into_iter().for_each(|side| self.deliver(side, now));
        self.finish_due(now);
        self.scan_todo(now);
        self.sweep(now);
    }

    /// Writes the log, and then tells others what they have to do: what is done on our word is in
    /// the log before.
    fn say(&mut self) {
        log::flush();
        for side in Side::BOTH {
            let channel = &mut self.channels[side as usize];
            if channel.alive && channel.send().is_err() {
                self.spawner_lost(side);
            }
        }
        if self.cleaner.send().is_err() {
            self.cleaner_lost();
        }
    }

    /// Waits for an event, or until there is work.
    fn wait(&self, signals: &Signals) -> Events {
        let mut waits = vec![Wait::read(signals.fd())];
        let add = |waits: &mut Vec<_>, wait, wanted: bool| {
            wanted.then(|| {
                waits.push(wait);
                waits.len() - 1
            })
        };
        let cleaner = add(&mut waits, Wait::read(self.cleaner.from), self.cleaner_alive);
        let written = add(&mut waits, Wait::read(self.todo.writer.bell()), true);
        let removed = add(&mut waits, Wait::read(self.remover.bell()), true);
        let reports = self.channels.each_ref();
        let reports = reports.map(|c| add(&mut waits, Wait::read(c.from), c.alive));
        for channel in self.channels.iter().filter(|channel| channel.is_stuck()) {
            waits.push(Wait::write(channel.to));
        }
        let trigger = match self.todo.trigger() {
            Some(fifo) if !self.leaving => add(&mut waits, Wait::read(fifo.as_fd()), true),
            _ => None,
        };
        if poll(&mut waits, self.patience()).is_err() {
            log::warning("trouble in select");
            clock::pause(Duration::from_secs(1));
            return Events::default();
        }
        let came = |at: Option<usize>| at.is_some_and(|at| waits[at].ready);
        Events {
            signals: waits[0].ready,
            cleaner: came(cleaner),
            written: came(written),
            removed: came(removed),
            trigger: came(trigger),
            reports: reports.map(came),
        }
    }

    /// How long until there is work without an event.
    fn patience(&self) -> Option<Duration> {
        if self.leaving {
            return None;
        }
        let tries = self.channels.iter().filter(|channel| channel.has_room());
        let tries = tries.filter_map(|channel| channel.next_time());
        let others =
            [self.finishing.next(), self.first_tries.next_time(), Some(self.sweep.next_time())];
        let next = tries.chain(others.into_iter().flatten()).min();
        let left = next.map(|next| Duration::from_secs(next).saturating_sub(clock::now()));
        left.into_iter().chain(self.todo.patience()).min()
    }

    /// A signal came: stop, try everything now, or read the rules again.
    pub(super) fn signal_came(&mut self, signal: signal::Signal) {
        match signal {
            signal::TERM => self.leaving = true,
            signal::ALARM => {
                let now = clock::seconds();
                self.channels.iter_mut().for_each(|channel| channel.schedule.all_due(now));
                self.finishing.all_due(now);
            }
            signal::HANGUP => {
                if let Err(name) = self.controls.reread(&self.control) {
                    log::alert(format_args!("unable to reread control/{name}"));
                }
            }
            _ => {}
        }
    }

    /// Nobody hears our orders any more, or tells us what came of them.
    pub(super) fn spawner_lost(&mut self, side: Side) {
        log::alert("oh no! lost spawn connection! dying...");
        self.channels[side as usize].alive = false;
        self.leaving = true;
    }

    /// Nothing can be removed any more.
    pub(super) fn cleaner_lost(&mut self) {
        if self.cleaner_alive {
            log::alert("oh no! lost qmail-clean connection! dying...");
        }
        self.cleaner_alive = false;
        self.leaving = true;
    }

    /// `status: local 1/10 remote 0/20`
    pub(super) fn log_status(&self) {
        let [local, remote] = self.channels.each_ref().map(|c| (c.busy, c.most()));
        let leaving = if self.leaving { " exitasap" } else { "" };
        log::line(format_args!(
            "status: local {}/{} remote {}/{}{leaving}",
            local.0, local.1, remote.0, remote.1
        ));
    }
}
