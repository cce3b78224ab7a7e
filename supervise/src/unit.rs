//! One thing that supervise keeps running, `run` or `log`, with the scripts around it.
//!
//! `start` before the first `run`; `finish` after each death of `run`; `stop` after the last.
//! A process that is about to become a script writes itself into `supervise/state`, and has the
//! lock until it is the script. So whenever supervise is killed, the next one, which waits for the
//! lock, finds the script written down and adopts it.

use crate::book::Book;
use crate::contain::Container;
use crate::draft::Draft;
use crate::order::Order;
use crate::pace::Pace;
use crate::readiness::{Gift, Readiness};
use crate::running::Running;
use crate::settings;
use crate::state::{Record, Script, Stamp};
use crate::status::{State, Status, Want};
use base::sys::poll::Wait;
use base::sys::signal::Signal;
use base::sys::spawn::Spawn;
use base::sys::wait::{self, Pid};
use base::sys::{clock, fd};
use base::{say, tai64};
use libc::{SIGCONT, SIGKILL, SIGSTOP, SIGTERM};
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How long to wait for the system when it has no room for a process.
const NO_PROCESS: Duration = Duration::from_secs(60);
/// How often to look at an adopted process on a kernel that does not tell of its death.
const LOOK: Duration = Duration::from_secs(1);
/// How long `finish` may take unless `timeout-finish` says otherwise.
const FINISH: Duration = Duration::from_secs(5);
/// How long what `run` has left behind may take to end unless `timeout-kill` says otherwise.
const CLEAR: Duration = Duration::from_secs(5);
/// How often what has not ended is killed again.
const KILL: Duration = Duration::from_secs(1);
/// A `run` that ends with this code has failed for good.
const RUN_FAILED: u8 = 100;
/// A `finish` that ends with this code says so of its `run`.
const FINISH_FAILED: u8 = 125;

/// Something that is kept running.
pub struct Unit {
    /// The service directory as the caller named it.
    name: String,
    /// Supervise's lock. A child that is not written down lets go of it at once.
    lock: RawFd,
    /// Where what runs is written down.
    book: Rc<Book>,
    /// The log script, which has no other scripts around it.
    is_log: bool,
    /// The end of the pipe between service and log script that is its own, and its number there.
    pub pipe: Option<(RawFd, OwnedFd)>,
    want: Want,
    /// It is not started again.
    exiting: bool,
    paused: bool,
    failed: bool,
    phase: Phase,
    pace: Pace,
    /// `start` has not been run since it was down.
    fresh: bool,
    /// `stop` has not been run since it was up.
    unstopped: bool,
    /// When whatever runs is killed.
    kill_at: Option<Instant>,
    /// When a log script that meets the end of its input is asked to end.
    ask_at: Option<Instant>,
    /// When to look at a process whose death nobody tells.
    look_at: Option<Instant>,
    /// Stamp of the last start or death.
    since: Stamp,
    past: Past,
    readiness: Readiness,
    /// What `run` is given to tell that it is ready, when it is started.
    gift: Gift,
    /// What holds everything that `run` has started, if it is contained.
    container: Option<Container>,
    /// The log script.
    pub log: Option<Pid>,
    /// `notify` scripts that run.
    notices: Vec<Pid>,
}

/// What is going on.
enum Phase {
    /// Nothing.
    Down,
    /// It is to be started at this time.
    Due(Instant),
    /// `start` has been run, and there is no `run`.
    Started,
    /// A script runs.
    Up(Script, Running),
    /// `run` has ended, but not all that it has started.
    Clearing,
}

/// What has been, for `supervise/state`.
#[derive(Default)]
struct Past {
    restarts: u64,
    exit: Option<u8>,
    signal: Option<Signal>,
    start: Option<Stamp>,
    death: Option<Stamp>,
    /// Seconds from the last death to the next start.
    delay: Option<u64>,
}

impl Past {
    /// What an earlier supervise has written.
    fn of(record: &Record) -> Past {
        Past {
            restarts: record.restarts,
            exit: record.last_exit,
            signal: record.last_signal,
            start: record.last_start,
            death: record.last_death,
            delay: None,
        }
    }
}

impl Unit {
    /// The service, wanted up or down.
    pub fn service(name: String, lock: RawFd, want: Want, book: &Rc<Book>) -> Unit {
        let now = Instant::now();
        Unit {
            name,
            lock,
            book: Rc::clone(book),
            is_log: false,
            pipe: None,
            want,
            exiting: false,
            paused: false,
            failed: false,
            phase: if want == Want::Up { Phase::Due(now) } else { Phase::Down },
            pace: Pace::default(),
            fresh: true,
            unstopped: true,
            kill_at: None,
            ask_at: None,
            look_at: None,
            since: tai64::pack(clock::now()),
            past: Past::default(),
            readiness: Readiness::down(),
            gift: Gift::default(),
            container: None,
            log: None,
            notices: Vec::new(),
        }
    }

    /// Its log script.
    pub fn log(name: String, lock: RawFd, book: &Rc<Book>) -> Unit {
        let readiness = Readiness::default();
        let service = Unit::service(name, lock, Want::Up, book);
        Unit { is_log: true, fresh: false, unstopped: false, readiness, ..service }
    }

    /// Goes on where an earlier supervise has left off: with the process that it has written down,
    /// if that still runs. `shown` is what the status said. `cut_off`: that supervise has not ended
    /// in order, so that what was wanted stays wanted even if nothing runs.
    pub fn adopt(&mut self, record: &Record, shown: Option<Status>, cut_off: bool) {
        let process = if self.is_log { record.log } else { record.process };
        let running = process.and_then(Running::adopt);
        let script = record.script.filter(|_| !self.is_log);
        self.phase = match running {
            Some(running) => Phase::Up(script.unwrap_or(Script::Run), running),
            None if script == Some(Script::Start) && process.is_none() => Phase::Started,
            None if cut_off => return self.stay(record, shown),
            None => return,
        };
        let shown = shown.filter(|shown| process.is_some_and(|p| p.pid as u32 == shown.pid));
        let (want, paused) = match self.is_log {
            false => (record.want, record.paused),
            true => (shown.map(|shown| shown.want), shown.is_some_and(|shown| shown.paused)),
        };
        self.want = want.unwrap_or(self.want);
        self.paused = paused;
        self.since = shown.map(|shown| shown.since).or(record.last_start).unwrap_or(self.since);
        self.fresh = false;
        self.past = Past::of(record);
        if let Phase::Up(Script::Run, running) = &self.phase
            && !self.is_log
        {
            self.readiness = Readiness::adopt(record, running.pid());
        }
        self.watch_adopted();
    }

    /// Nothing runs: it is started only if that was wanted, whatever the file `down` says.
    fn stay(&mut self, record: &Record, shown: Option<Status>) {
        let down = shown.filter(|shown| shown.pid == 0);
        let (want, failed) = match self.is_log {
            false => (record.want, record.failed),
            true => (
                shown.map(|shown| shown.want),
                down.is_some_and(|shown| shown.state == Some(State::Failed)),
            ),
        };
        self.want = want.unwrap_or(self.want);
        self.failed = failed;
        // A single run that has not begun yet is waiting for its time.
        let due = match self.want {
            Want::Up => true,
            Want::Down => false,
            Want::Once => record.delay.is_some() && !self.is_log,
        };
        self.phase = if due { Phase::Due(Instant::now()) } else { Phase::Down };
        self.since = down.map_or(self.since, |shown| shown.since);
        self.past = Past::of(record);
    }

    /// Goes on to contain what an earlier supervise has contained.
    pub fn contain(&mut self) {
        self.container = settings::exists("contain").then(Container::left).flatten();
        if self.container.is_some() && !matches!(self.phase, Phase::Up(..)) {
            self.clear();
        }
    }

    /// The process that runs.
    pub fn pid(&self) -> Option<Pid> {
        self.running().map(Running::pid)
    }

    /// The process that it has taken over from an earlier supervise.
    pub fn adopted(&self) -> Option<Pid> {
        self.running().filter(|running| running.is_adopted()).map(Running::pid)
    }

    /// Nothing runs, and nothing is about to be done.
    pub fn is_down(&self) -> bool {
        match self.phase {
            Phase::Down => true,
            Phase::Due(_) => self.exiting,
            Phase::Started | Phase::Up(..) | Phase::Clearing => false,
        }
    }

    /// It is not started again. It is expected to end by itself, and asked to when that takes
    /// longer than this.
    pub fn close(&mut self, patience: Duration) {
        if !self.exiting {
            self.exiting = true;
            self.want = Want::Down;
            self.ask_at = Some(Instant::now() + patience);
        }
    }

    /// Waits for what nobody tells this process by a signal.
    pub fn waits(&self) -> impl Iterator<Item = Wait<'_>> {
        let clearing = self.container.as_ref().filter(|_| matches!(self.phase, Phase::Clearing));
        let changes = [
            self.running().and_then(Running::end).map(Wait::read),
            clearing.and_then(Container::change).map(Wait::read),
            self.readiness.wait(),
        ];
        changes.into_iter().flatten()
    }

    /// When to call [`Unit::act`] at the latest.
    pub fn next_event(&self) -> Option<Instant> {
        let due = match self.phase {
            Phase::Due(time) if !self.exiting => Some(time),
            _ => None,
        };
        let check = self.readiness.next_event();
        [due, self.kill_at, self.ask_at, self.look_at, check].into_iter().flatten().min()
    }

    /// Does what is due.
    pub fn act(&mut self) {
        let now = Instant::now();
        if self.running().is_some_and(|running| running.is_adopted() && running.has_ended()) {
            self.ended(None);
        }
        self.watch_adopted();
        if let Phase::Up(Script::Run, running) = &self.phase {
            self.readiness.act(running, &self.name);
        }
        if matches!(self.phase, Phase::Clearing) && self.is_clear() {
            self.cleared();
        }
        if self.ask_at.take_if(|time| *time <= now).is_some() {
            self.terminate(false);
        }
        if self.kill_at.take_if(|time| *time <= now).is_some() {
            self.kill();
        }
        self.start_if_due();
    }

    fn start_if_due(&mut self) {
        if let Phase::Due(time) = self.phase
            && time <= Instant::now()
            && !self.exiting
        {
            self.begin();
        }
    }

    fn kill(&mut self) {
        self.send(SIGKILL, false);
        if let Phase::Clearing = self.phase {
            self.send_all(SIGKILL);
            self.kill_at = Some(Instant::now() + KILL);
        }
    }

    fn watch_adopted(&mut self) {
        let blind = |running: &Running| running.is_adopted() && running.end().is_none();
        self.look_at = self.running().is_some_and(blind).then(|| Instant::now() + LOOK);
    }

    fn running(&self) -> Option<&Running> {
        match &self.phase {
            Phase::Up(_, running) => Some(running),
            _ => None,
        }
    }

    /// Obeys. `group`: signals go to the whole process group.
    pub fn obey(&mut self, order: Order, group: bool) {
        match order {
            Order::Up => self.wish(Want::Up),
            Order::Once => self.wish(Want::Once),
            Order::Down => self.down(),
            Order::Exit => {
                self.exiting = true;
                if let Phase::Due(_) | Phase::Started = self.phase {
                    self.stop();
                }
            }
            Order::Pause => {
                self.paused = true;
                self.send(SIGSTOP, group);
            }
            Order::Continue => {
                self.paused = false;
                self.send(SIGCONT, group);
            }
            Order::Restart => self.terminate(group),
            Order::Send(signal) => self.send(signal, group),
            Order::KillAll => {
                self.send(SIGKILL, true);
                self.send_all(SIGKILL);
            }
            Order::ToGroup(_) | Order::ToLog(_) => {}
        }
    }

    /// Starts it if it is down, now or as soon as its pace allows.
    fn wish(&mut self, want: Want) {
        if let Phase::Started = self.phase {
            return;
        }
        self.want = want;
        self.failed = false;
        self.pace.forget();
        if let Phase::Down | Phase::Due(_) = self.phase {
            self.start_again(self.pace.soonest(Instant::now()));
            self.start_if_due();
        }
    }

    fn down(&mut self) {
        self.want = Want::Down;
        self.failed = false;
        match self.phase {
            Phase::Up(..) | Phase::Clearing => self.terminate(false),
            Phase::Down | Phase::Due(_) | Phase::Started => self.stop(),
        }
    }

    /// Asks `start` or `run` to end. A stopped process hears of it only after it is continued.
    fn terminate(&mut self, group: bool) {
        if let Phase::Up(Script::Start | Script::Run, _) = self.phase {
            self.send(settings::down_signal(), group);
            self.send(SIGCONT, group);
            self.paused = false;
            let patience = settings::timeout("timeout-kill").filter(|time| !time.is_zero());
            self.kill_at = self.kill_at.or(patience.map(|time| Instant::now() + time));
        }
    }

    fn send(&self, signal: Signal, group: bool) {
        if let Some(running) = self.running() {
            running.send(signal, group);
        }
    }

    /// Sends a signal to everything that is contained.
    fn send_all(&self, signal: Signal) {
        if let Some(container) = &self.container {
            container.send(signal, &self.others());
        }
    }

    /// `start`, unless it was run before, then `run`.
    fn begin(&mut self) {
        self.past.delay = None;
        self.unstopped = !self.is_log;
        if std::mem::take(&mut self.fresh) && settings::is_script("start") {
            self.launch(Script::Start, &[]);
        } else {
            self.start_run();
        }
    }

    fn start_run(&mut self) {
        if !self.is_log && !settings::exists("run") && settings::exists("start") {
            self.phase = Phase::Started;
            self.want = Want::Once;
            return;
        }
        self.pace.started(Instant::now());
        if !self.is_log {
            self.container = settings::exists("contain").then(Container::make);
            let (readiness, gift) = Readiness::start();
            self.readiness = readiness;
            self.gift = gift;
        }
        self.launch(Script::Run, &[]);
    }

    /// The file that a script is.
    fn file(&self, script: Script) -> &'static str {
        if self.is_log { "log" } else { script.name() }
    }

    /// Starts a script. Where the system has no room for it, it is put off if the service cannot
    /// do without, else passed over.
    fn launch(&mut self, script: Script, words: &[String]) {
        let file = self.file(script);
        let words: Vec<OsString> =
            [format!("./{file}")].iter().chain(words).map(Into::into).collect();
        let mut child = Spawn::new(&words)
            .unblocked()
            .last_words(format!("supervise: fatal: unable to start {}/{file}", self.name));
        let leader = !settings::exists("no-setsid");
        if leader {
            child = child.session();
        }
        let gift = std::mem::take(&mut self.gift);
        for (number, end) in self.pipe.iter().chain(&gift.pipe) {
            child = child.fd(*number, end.as_fd());
        }
        if let Some(env) = &gift.env {
            child = child.env(env);
        }
        let now = tai64::pack(clock::now());
        let mut draft = self.draft(script, now);
        let door = self.door(script);
        let mut entered = Ok(());
        // In the child, which must not allocate.
        let first = || {
            if let Ok(Some(door)) = &door {
                entered = fd::write(door.as_fd(), b"0").map(drop);
            }
            draft.write(&self.book.home);
        };
        match child.start_after(first) {
            Ok(pid) => {
                if let Err(why) = door.and(entered) {
                    say::unable(format_args!("contain {}", self.name), &why);
                }
                self.phase = Phase::Up(script, Running::child(pid, leader));
                self.paused = false;
                self.changed(script, now);
                self.notify(script, "start", pid, 0);
            }
            Err(why) => {
                let name = &self.name;
                say::unable(format_args!("fork for {name}, sleeping 60 seconds"), &why);
                self.not_launched(script);
            }
        }
    }

    /// What the process that is to be this script has to write to in order to be contained.
    fn door(&self, script: Script) -> io::Result<Option<File>> {
        let container = self.container.as_ref().filter(|_| script == Script::Run);
        container.map_or(Ok(None), Container::door)
    }

    /// The state once this script runs.
    fn draft(&self, script: Script, now: Stamp) -> Draft {
        self.book.draft(self.is_log, |record| {
            if self.is_log {
                return;
            }
            self.record(record);
            record.script = Some(script);
            (record.paused, record.adopted) = (false, false);
            if script == Script::Run {
                record.last_start = Some(now);
            }
        })
    }

    /// A start or death has to be dated. The scripts after a death do not date it anew.
    fn changed(&mut self, script: Script, now: Stamp) {
        if script != Script::Finish {
            self.since = now;
        }
        if script == Script::Run {
            self.past.start = Some(now);
        }
    }

    fn not_launched(&mut self, script: Script) {
        match script {
            Script::Start => {
                self.fresh = true;
                self.start_again(Instant::now() + NO_PROCESS);
            }
            Script::Run => self.start_again(Instant::now() + NO_PROCESS),
            Script::Finish => self.clear(),
            Script::Stop => self.stopped(),
        }
    }

    fn start_again(&mut self, time: Instant) {
        self.phase = Phase::Due(time);
        let delay = time.saturating_duration_since(Instant::now()).as_secs_f64().ceil() as u64;
        self.past.delay = Some(delay).filter(|delay| *delay > 0);
    }

    /// A child has died. `true` if it was the one here.
    pub fn child_died(&mut self, pid: Pid, status: wait::Status) -> bool {
        self.notices.retain(|notice| *notice != pid);
        if self.readiness.child_died(pid, status) {
            return true;
        }
        let mine = |running: &Running| running.pid() == pid && !running.is_adopted();
        let mine = self.running().is_some_and(mine);
        if mine {
            self.ended(Some(status));
        }
        mine
    }

    /// The script has ended; how is unknown if it was adopted.
    fn ended(&mut self, status: Option<wait::Status>) {
        let Phase::Up(script, running) = std::mem::replace(&mut self.phase, Phase::Down) else {
            return;
        };
        self.kill_at = None;
        self.paused = false;
        let (code, signal) = (status.and_then(|s| s.code()), status.and_then(|s| s.signal()));
        match signal {
            Some(signal) => self.notify(script, "killed", running.pid(), signal),
            None => self.notify(script, "exit", running.pid(), code.unwrap_or(0).into()),
        }
        match script {
            Script::Start => self.start_ended(code == Some(0)),
            Script::Run => self.run_ended(code, signal),
            Script::Finish => {
                self.failed |= code == Some(FINISH_FAILED);
                self.clear();
            }
            Script::Stop => self.stopped(),
        }
    }

    fn start_ended(&mut self, well: bool) {
        self.since = tai64::pack(clock::now());
        if self.exiting || self.want == Want::Down {
            self.stop();
        } else if well {
            self.start_run();
        } else {
            self.failed = true;
            self.settle();
        }
    }

    fn run_ended(&mut self, code: Option<u8>, signal: Option<Signal>) {
        self.since = tai64::pack(clock::now());
        self.past.death = Some(self.since);
        (self.past.exit, self.past.signal) = (code, signal);
        self.readiness = if self.is_log { Readiness::default() } else { Readiness::down() };
        self.failed = code == Some(RUN_FAILED) || self.dies_too_often();
        if !self.is_log && settings::is_script("finish") {
            let limit = settings::timeout("timeout-finish").unwrap_or(FINISH);
            self.kill_at = Some(Instant::now() + limit).filter(|_| !limit.is_zero());
            let code = code.map_or(256, u16::from).to_string();
            let words = [code, signal.unwrap_or(0).to_string(), self.name.clone()];
            self.launch(Script::Finish, &words);
        } else {
            self.clear();
        }
    }

    /// Ends what `run` has left behind.
    fn clear(&mut self) {
        if self.is_clear() {
            return self.cleared();
        }
        self.phase = Phase::Clearing;
        self.send_all(SIGTERM);
        self.send_all(SIGCONT);
        let patience = settings::timeout("timeout-kill").unwrap_or(CLEAR);
        self.kill_at = Some(Instant::now() + patience).filter(|_| !patience.is_zero());
    }

    fn is_clear(&self) -> bool {
        self.container.as_ref().is_none_or(|container| container.is_empty(&self.others()))
    }

    /// Children of supervise that `run` has not started.
    fn others(&self) -> Vec<Pid> {
        self.notices.iter().copied().chain(self.log).collect()
    }

    fn cleared(&mut self) {
        self.container = None;
        self.kill_at = None;
        self.settle();
    }

    fn dies_too_often(&mut self) -> bool {
        let limit = settings::max_restarts().filter(|_| !self.is_log);
        limit.is_some_and(|(most, time)| self.pace.too_often(Instant::now(), most, time))
    }

    /// After a death: what is next.
    fn settle(&mut self) {
        self.phase = Phase::Down;
        if self.exiting || self.want == Want::Down {
            self.stop();
        } else if self.failed {
            self.want = Want::Down;
            self.fresh = !self.is_log;
        } else if self.want == Want::Up {
            let longest = settings::backoff().filter(|_| !self.is_log);
            let time = self.pace.died(Instant::now(), longest);
            self.past.restarts += 1;
            self.start_again(time);
        } else {
            self.fresh = !self.is_log;
        }
    }

    /// Goes down, by the script `stop` if that has not been run yet.
    fn stop(&mut self) {
        self.phase = Phase::Down;
        self.failed = false;
        self.past.delay = None;
        self.fresh = !self.is_log;
        if std::mem::take(&mut self.unstopped) && settings::is_script("stop") {
            self.launch(Script::Stop, &[]);
        }
    }

    fn stopped(&mut self) {
        self.since = tai64::pack(clock::now());
        if !self.exiting && self.want != Want::Down {
            self.start_again(self.pace.soonest(Instant::now()));
        }
    }

    /// `./notify SCRIPT EVENT PID CODE`, if there is that script. Nobody waits for it.
    fn notify(&mut self, script: Script, event: &str, pid: Pid, code: i32) {
        if !settings::is_script("notify") {
            return;
        }
        let (pid, code) = (pid.to_string(), code.to_string());
        let words = ["./notify", self.file(script), event, &pid, &code].map(OsString::from);
        let text = format!("supervise: warning: unable to start {}/notify", self.name);
        // A notice that finds no room in the system is lost.
        let notice = Spawn::new(&words).unblocked().close(self.lock).last_words(text).start();
        self.notices.extend(notice);
    }

    /// What `supervise/status` says.
    pub fn status(&self) -> Status {
        let (pid, state) = match &self.phase {
            Phase::Up(Script::Finish, _) | Phase::Clearing => (0, State::Stopped),
            Phase::Up(script, running) => (
                running.pid().unsigned_abs(),
                match script {
                    Script::Start => State::Starting,
                    Script::Stop => State::Stopping,
                    _ => State::Running,
                },
            ),
            Phase::Started => (0, State::Started),
            Phase::Down | Phase::Due(_) if self.failed => (0, State::Failed),
            Phase::Down | Phase::Due(_) => (0, State::Stopped),
        };
        let (since, paused, want) = (self.since, self.paused, self.want);
        Status { since, pid, paused, want, state: Some(state) }
    }

    /// Writes into the record what it knows.
    pub fn record(&self, record: &mut Record) {
        let process = self.running().and_then(Running::process);
        if self.is_log {
            record.log = process;
            return;
        }
        record.process = process;
        record.script = match &self.phase {
            Phase::Up(script, _) => Some(*script),
            Phase::Started => Some(Script::Start),
            Phase::Clearing => Some(Script::Finish),
            Phase::Down | Phase::Due(_) => None,
        };
        record.want = Some(self.want);
        record.paused = self.paused;
        record.adopted = self.running().is_some_and(Running::is_adopted);
        record.restarts = self.past.restarts;
        record.last_exit = self.past.exit;
        record.last_signal = self.past.signal;
        record.last_start = self.past.start;
        record.last_death = self.past.death;
        record.delay = self.past.delay;
        record.failed = self.failed;
        self.readiness.record(record);
    }
}
