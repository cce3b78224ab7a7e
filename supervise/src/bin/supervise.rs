//! supervise: start a service, watch it, and start it again.
//!
//! One process for each service. It waits for signals, orders in `supervise/control`, and the
//! time of the next start, and shows what it knows in `supervise/status` and `supervise/state`.
//! What becomes of the service is decided in [`supervise::unit`].
#![cfg_attr(not(test), no_main)]

use base::sys::fd;
use base::sys::pending::Pending;
use base::sys::poll::{Wait, poll};
use base::sys::signal::{self, Signal};
use base::sys::wait;
use base::{Args, Code, Die, Result, Unable, say};
use libc::{SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGPIPE, SIGQUIT, SIGTERM, SIGTSTP};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};
use supervise::book::Book;
use supervise::home::Home;
use supervise::order::Order;
use supervise::pipe::Pipe;
use supervise::replaced::{Failure, Step};
use supervise::settings;
use supervise::state::Life;
use supervise::status::{SIZE, Status, Want};
use supervise::unit::Unit;

base::program!("supervise", run);

const USAGE: &str = "supervise dir";

/// How long to wait for the disk when something cannot be written.
const NO_DISK: Duration = Duration::from_secs(5);
/// How long a log script may take to write what is left in its pipe.
const DRAIN: Duration = Duration::from_secs(10);

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
    let lock = home.lock().unable(format_args!("acquire {name}/supervise/lock"))?;
    let control = home.read_end("control");
    let control = control.unable(format_args!("read {name}/supervise/control"))?;
    let writer = home.write_end("control");
    let _writer = writer.unable(format_args!("write {name}/supervise/control"))?;
    let mut supervise = Supervise::new(name, home, lock.as_raw_fd(), want)?;
    supervise.show();
    let ok = supervise.book.home.read_end("ok");
    let _ok = ok.unable(format_args!("read {}/supervise/ok", supervise.name))?;
    supervise.watch(&signals, &control)
}

/// The signals that are orders, and the death of children. They are held back and read, so that the
/// kernel keeps the last one of TSTP and CONT. A hang-up that the caller has ignored, as nohup does,
/// stays ignored.
fn caught() -> io::Result<Pending> {
    signal::unblock_all()?;
    signal::ignore(SIGPIPE)?;
    let orders = [SIGTERM, SIGINT, SIGTSTP, SIGCONT, SIGQUIT, SIGCHLD, SIGHUP];
    let orders = if signal::is_ignored(SIGHUP) { &orders[..6] } else { &orders };
    // Whoever ignores SIGCHLD is not told of deaths.
    orders.iter().try_for_each(|order| signal::default(*order))?;
    Pending::hold(orders)
}

/// The service and its log script, if it has one.
struct Supervise {
    /// As the caller named it, for messages.
    name: String,
    /// What `supervise/state` and `supervise/status` say.
    book: Rc<Book>,
    service: Unit,
    log: Option<Unit>,
    /// It ends as soon as nothing runs.
    exiting: bool,
    /// Whom the orders that are being read concern.
    addressee: Addressee,
    /// When to try again to write the book, after that has failed.
    show_again: Option<Instant>,
}

/// Whom orders concern.
#[derive(Clone, Copy, Default)]
struct Addressee {
    /// Signals go to the whole process group.
    group: bool,
    /// The log script.
    log: bool,
}

impl Supervise {
    /// Takes over what an earlier supervise has left. Nothing is started yet.
    fn new(name: String, home: Home, lock: RawFd, want: Want) -> Result<Supervise> {
        let life = Life::now();
        let left = home.read_state().filter(|left| left.is_of_kernel(life.boot));
        let shown = home.read_status();
        let book = Rc::new(Book::new(home, life));
        let mut service = Unit::service(name.clone(), lock, want, &book);
        let mut log = settings::is_script("log").then(|| Unit::log(name.clone(), lock, &book));
        if let Some(left) = left {
            let (first, second) = shown.split_at(shown.len().min(SIZE));
            // Killed, or ended with something running, in this life of the system.
            let cut_off = left.supervisor.is_some() && left.life == life;
            service.adopt(&left, Status::parse(first), cut_off);
            if let Some(log) = &mut log {
                log.adopt(&left, Status::parse(second), cut_off);
            }
        }
        service.contain();
        if let Some(log) = &mut log {
            let pipe = join(&service, log).unable(format_args!("create pipe for {name}"))?;
            service.pipe = Some((1, pipe.write));
            log.pipe = Some((0, pipe.read));
        }
        let (exiting, addressee) = (false, Addressee::default());
        Ok(Supervise { name, book, service, log, exiting, addressee, show_again: None })
    }

    /// Until it is to end.
    fn watch(mut self, signals: &Pending, control: &File) -> Result<Code> {
        loop {
            self.act();
            self.show();
            if self.exiting && self.units().all(|unit| unit.is_down()) {
                // If that fails, the next one takes it for killed.
                let _ = self.book.close();
                return Ok(Code::DONE);
            }
            let (signal_came, order_came) = self.wait(signals, control)?;
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

    /// Both, the log script first.
    fn units(&mut self) -> impl Iterator<Item = &mut Unit> {
        self.log.iter_mut().chain([&mut self.service])
    }

    /// What is due. Once the service is down for good, its log script meets the end of its input.
    fn act(&mut self) {
        self.service.log = self.log.as_ref().and_then(Unit::pid);
        self.units().for_each(Unit::act);
        if let Some(log) = &mut self.log
            && self.exiting
            && self.service.is_down()
        {
            self.service.pipe = None;
            log.close(DRAIN);
        }
    }

    /// Waits for an event; whether there are signals, and orders.
    fn wait(&self, signals: &Pending, control: &File) -> Result<(bool, bool)> {
        let mut waits = vec![Wait::read(signals.fd()), Wait::read(control.as_fd())];
        let units = || [Some(&self.service), self.log.as_ref()].into_iter().flatten();
        waits.extend(units().flat_map(Unit::waits));
        let next = units().filter_map(Unit::next_event).chain(self.show_again).min();
        let limit = next.map(|time| time.saturating_duration_since(Instant::now()));
        poll(&mut waits, limit).unable(format_args!("watch {}", self.name))?;
        Ok((waits[0].ready, waits[1].ready))
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

    /// Also notices die, and children of the program that became supervise: they mean nothing.
    fn children_died(&mut self) {
        while let Some((pid, status)) = wait::any() {
            self.units().any(|unit| unit.child_died(pid, status));
        }
    }

    /// Obeys what is in the FIFO, one buffer at a time, so that a flood of letters does not keep
    /// the dead from being noticed. Whom letters concern is forgotten when the FIFO is empty.
    fn orders_came(&mut self, control: &File) {
        let mut letters = [0; 512];
        let Ok(count) = fd::read(control.as_fd(), &mut letters) else {
            return;
        };
        for order in letters[..count].iter().filter_map(|letter| Order::of(*letter)) {
            match order {
                Order::ToGroup(group) => self.addressee.group = group,
                Order::ToLog(log) => self.addressee.log = log,
                _ if !self.addressee.log => self.obey(order),
                Order::Exit => {}
                _ => {
                    if let Some(log) = &mut self.log {
                        log.obey(order, self.addressee.group);
                    }
                }
            }
        }
        if count < letters.len() {
            self.addressee = Addressee::default();
        }
    }

    fn obey(&mut self, order: Order) {
        self.exiting |= order == Order::Exit;
        self.service.obey(order, self.addressee.group);
    }

    /// Brings `supervise/state` and then `supervise/status` up to date. A failure is told once, and
    /// tried again.
    fn show(&mut self) {
        let state = self.book.write_state(|record| self.each(|unit| unit.record(record)));
        let mut status = Vec::new();
        self.each(|unit| status.extend(unit.status().pack()));
        let status = self.book.write_status(status);
        match state.and(status) {
            Ok(()) => self.show_again = None,
            Err(failure) => {
                if self.show_again.replace(Instant::now() + NO_DISK).is_none() {
                    self.cannot_show(failure);
                }
            }
        }
    }

    /// The service first.
    fn each(&self, look: impl FnMut(&Unit)) {
        [Some(&self.service), self.log.as_ref()].into_iter().flatten().for_each(look);
    }

    fn cannot_show(&self, Failure { step, file, why }: Failure) {
        let new = format!("{}/supervise/{file}.new", self.name);
        match step {
            Step::Open => say::unable(format_args!("open {new}"), &why),
            Step::Write => say::unable(format_args!("write {new}"), &why),
            Step::Rename => say::unable(format_args!("rename {new} to {file}"), &why),
        }
    }
}

/// The pipe between the two: the one that a logger reads or a service writes to already, or a new
/// one.
fn join(service: &Unit, log: &Unit) -> io::Result<Pipe> {
    let entry = |unit: &Unit, number| {
        let pid = unit.adopted()?;
        Pipe::behind(Path::new(&format!("/proc/{pid}/fd/{number}")))
    };
    entry(log, 0).or_else(|| entry(service, 1)).map_or_else(Pipe::new, Ok)
}
