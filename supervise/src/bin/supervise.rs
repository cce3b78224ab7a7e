//! supervise: start a service, watch it, and start it again.
//!
//! One process for each service. It waits for signals, orders in `supervise/control`, and the
//! time of the next start, and shows what it knows in `supervise/status`.
#![cfg_attr(not(test), no_main)]

use base::sys::poll::{Wait, poll};
use base::sys::signal::{self, Signal, Signals};
use base::sys::spawn::Spawn;
use base::sys::wait::{self, Pid};
use base::sys::{clock, fd};
use base::{Args, Code, Die, Result, Unable, say, tai64};
use libc::{
    SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGKILL, SIGPIPE, SIGQUIT, SIGSTOP, SIGTERM, SIGTSTP,
};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};
use supervise::home::{Failure, Home};
use supervise::order::Order;
use supervise::status::{self, State, Status, Want};

base::program!("supervise", run);

const USAGE: &str = "supervise dir";

/// The service is not started more often than once in this time.
const PACE: Duration = Duration::from_secs(1);
/// How long to wait for the system when it has no room for a process.
const NO_PROCESS: Duration = Duration::from_secs(60);
/// How long to wait for the disk when the status cannot be written.
const NO_DISK: Duration = Duration::from_secs(5);

fn run(words: Args) -> Result<Code> {
    let [folder] = &words[..] else {
        return Err(Die::usage(USAGE));
    };
    let name = folder.display().to_string();
    fd::fill_standard_until_exec().unable("open /dev/null")?;
    let signals = caught().unable(format_args!("create pipe for {name}"))?;
    std::env::set_current_dir(folder).unable(format_args!("chdir to {name}"))?;
    let want = match fs::metadata("down") {
        Ok(_) => Want::Down,
        Err(why) if why.kind() == io::ErrorKind::NotFound => Want::Up,
        Err(why) => return Err(Die::temp(format_args!("stat {name}/down"), &why)),
    };
    let home = Home::here().unable(format_args!("find {name}/supervise"))?;
    home.make();
    let _lock = home.lock().unable(format_args!("acquire {name}/supervise/lock"))?;
    let control = home.read_end("control");
    let control = control.unable(format_args!("read {name}/supervise/control"))?;
    let writer = home.write_end("control");
    let _writer = writer.unable(format_args!("write {name}/supervise/control"))?;
    let mut service = Service::new(name, home, want);
    service.show();
    let ok = service.home.read_end("ok");
    let _ok = ok.unable(format_args!("read {}/supervise/ok", service.name))?;
    service.watch(&signals, &control)
}

/// The signals that are orders, and the death of children. A hang-up that the caller has ignored,
/// as nohup does, stays ignored.
fn caught() -> io::Result<Signals> {
    signal::unblock_all()?;
    signal::ignore(SIGPIPE)?;
    let orders = [SIGTERM, SIGINT, SIGTSTP, SIGCONT, SIGQUIT, SIGCHLD, SIGHUP];
    let nohup = signal::is_ignored(SIGHUP);
    Signals::catch(if nohup { &orders[..6] } else { &orders })
}

/// The service and what is wanted of it.
struct Service {
    /// As the caller named it, for messages.
    name: String,
    home: Home,
    want: Want,
    /// Supervise ends as soon as nothing runs.
    exiting: bool,
    paused: bool,
    phase: Phase,
    /// The service is not started before.
    not_before: Instant,
    /// Stamp of the last start or death.
    since: [u8; 12],
    /// Whom the orders that are being read concern.
    addressee: Addressee,
    /// What `supervise/status` says.
    shown: Option<[u8; status::SIZE]>,
    /// When to try again to write it, after that has failed.
    show_again: Option<Instant>,
}

/// What is going on.
enum Phase {
    /// Nothing.
    Down,
    /// `run` is to be started at this time.
    Due(Instant),
    /// `run` runs.
    Up(Process),
}

/// A running `run`.
struct Process {
    pid: Pid,
    /// It leads a process group.
    leader: bool,
}

/// Whom orders concern.
#[derive(Clone, Copy, Default)]
struct Addressee {
    /// Signals go to the whole process group.
    group: bool,
    /// The log script, which this service does not have.
    log: bool,
}

impl Service {
    fn new(name: String, home: Home, want: Want) -> Service {
        let now = Instant::now();
        Service {
            name,
            home,
            want,
            exiting: false,
            paused: false,
            phase: if want == Want::Up { Phase::Due(now) } else { Phase::Down },
            not_before: now,
            since: tai64::pack(clock::now()),
            addressee: Addressee::default(),
            shown: None,
            show_again: None,
        }
    }

    /// Until it is to end.
    fn watch(mut self, signals: &Signals, control: &File) -> Result<Code> {
        loop {
            self.start_if_due();
            self.show();
            if self.exiting && !matches!(self.phase, Phase::Up(_)) {
                return Ok(Code::DONE);
            }
            let mut waits = [Wait::read(signals.fd()), Wait::read(control.as_fd())];
            poll(&mut waits, self.next_event()).unable(format_args!("watch {}", self.name))?;
            let [signal_came, order_came] = waits.map(|wait| wait.ready);
            if signal_came {
                for signal in signals.take() {
                    if signal == SIGQUIT {
                        return Ok(Code::TEMP);
                    }
                    self.signal_came(signal);
                }
            }
            if order_came {
                self.orders_came(control);
            }
        }
    }

    /// How long nothing happens unless somebody wants it.
    fn next_event(&self) -> Option<Duration> {
        let start = match self.phase {
            Phase::Due(time) => Some(time),
            _ => None,
        };
        let next = start.into_iter().chain(self.show_again).min();
        next.map(|time| time.saturating_duration_since(Instant::now()))
    }

    fn signal_came(&mut self, signal: Signal) {
        match signal {
            SIGCHLD => self.children_died(),
            SIGTERM | SIGINT => {
                self.obey(Order::Down);
                self.obey(Order::Exit);
            }
            SIGHUP => self.obey(Order::Exit),
            SIGTSTP => self.obey(Order::Pause),
            SIGCONT => self.obey(Order::Continue),
            _ => {}
        }
    }

    /// Also children of the program that became supervise may have died: they mean nothing.
    fn children_died(&mut self) {
        while let Some((pid, _)) = wait::any() {
            if matches!(&self.phase, Phase::Up(process) if process.pid == pid) {
                self.service_died();
            }
        }
    }

    fn service_died(&mut self) {
        self.since = tai64::pack(clock::now());
        self.phase = match self.want {
            Want::Up if !self.exiting => Phase::Due(self.not_before),
            _ => Phase::Down,
        };
    }

    /// Obeys what is in the FIFO, one buffer at a time, so that a flood of letters does not keep
    /// the dead from being noticed. Whom letters concern is forgotten when the FIFO is empty.
    fn orders_came(&mut self, control: &File) {
        let mut letters = [0; 512];
        let Ok(count) = fd::read(control.as_fd(), &mut letters) else {
            return;
        };
        for order in letters[..count].iter().filter_map(|letter| Order::of(*letter)) {
            if !self.addressee.log || matches!(order, Order::ToLog(_)) {
                self.obey(order);
            }
        }
        if count < letters.len() {
            self.addressee = Addressee::default();
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Up => self.wish(Want::Up),
            Order::Once => self.wish(Want::Once),
            Order::Down => {
                self.want = Want::Down;
                self.terminate();
                if let Phase::Due(_) = self.phase {
                    self.phase = Phase::Down;
                }
            }
            Order::Exit => self.exiting = true,
            Order::Pause => {
                self.paused = true;
                self.send(SIGSTOP);
            }
            Order::Continue => {
                self.paused = false;
                self.send(SIGCONT);
            }
            Order::Restart => self.terminate(),
            Order::Send(signal) => self.send(signal),
            Order::KillAll => {
                let whom = self.addressee;
                self.addressee.group = true;
                self.send(SIGKILL);
                self.addressee = whom;
            }
            Order::ToGroup(group) => self.addressee.group = group,
            Order::ToLog(log) => self.addressee.log = log,
        }
    }

    /// Starts the service if it is down, now or as soon as its pace allows.
    fn wish(&mut self, want: Want) {
        self.want = want;
        if let Phase::Down | Phase::Due(_) = self.phase {
            self.phase = Phase::Due(self.not_before);
            self.start_if_due();
        }
    }

    /// Asks the service to end. A stopped process hears of it only after it is continued.
    fn terminate(&mut self) {
        if let Phase::Up(_) = self.phase {
            self.send(SIGTERM);
            self.send(SIGCONT);
            self.paused = false;
        }
    }

    /// Sends a signal to the process, or to its group if that was said and it leads one. Nobody
    /// else can have its number, since its death has not been waited for.
    fn send(&self, signal: Signal) {
        let Phase::Up(process) = &self.phase else {
            return;
        };
        let group = self.addressee.group && process.leader;
        if !group || signal::send(-process.pid, signal).is_err() {
            // Also if it has just been started and does not lead its group yet.
            let _ = signal::send(process.pid, signal);
        }
    }

    fn start_if_due(&mut self) {
        if let Phase::Due(time) = self.phase
            && time <= Instant::now()
            && !self.exiting
        {
            self.start();
        }
    }

    fn start(&mut self) {
        let words = [OsString::from("./run")];
        let mut child = Spawn::new(&words)
            .last_words(format!("supervise: fatal: unable to start {}/run", self.name));
        let leader = fs::symlink_metadata("no-setsid").is_err();
        if leader {
            child = child.session();
        }
        let now = Instant::now();
        match child.start() {
            Ok(pid) => {
                self.phase = Phase::Up(Process { pid, leader });
                self.paused = false;
                self.not_before = now + PACE;
                self.since = tai64::pack(clock::now());
            }
            Err(why) => {
                say::unable(format_args!("fork for {}, sleeping 60 seconds", self.name), &why);
                self.phase = Phase::Due(now + NO_PROCESS);
            }
        }
    }

    fn status(&self) -> Status {
        let pid = match &self.phase {
            Phase::Up(process) => process.pid.unsigned_abs(),
            _ => 0,
        };
        let state = if pid == 0 { State::Stopped } else { State::Running };
        let (since, paused, want) = (self.since, self.paused, self.want);
        Status { since, pid, paused, want, state: Some(state) }
    }

    /// Brings `supervise/status` up to date. A failure is told once, and tried again.
    fn show(&mut self) {
        let status = self.status().pack();
        let now = Instant::now();
        if self.shown == Some(status) || self.show_again.is_some_and(|time| now < time) {
            return;
        }
        match self.home.write_status(&status) {
            Ok(()) => {
                self.shown = Some(status);
                self.show_again = None;
            }
            Err((failure, why)) => {
                if self.show_again.replace(now + NO_DISK).is_none() {
                    self.cannot_show(failure, &why);
                }
            }
        }
    }

    fn cannot_show(&self, failure: Failure, why: &io::Error) {
        let new = format!("{}/supervise/status.new", self.name);
        match failure {
            Failure::Open => say::unable(format_args!("open {new}"), why),
            Failure::Write => say::unable(format_args!("write {new}"), why),
            Failure::Rename => say::unable(format_args!("rename {new} to status"), why),
        }
    }
}
