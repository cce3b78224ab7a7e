//! svscan: run a supervise for every service in a directory, and for its log.
//!
//! It sleeps until a child dies, a name in the directory changes, or a signal comes. It reads the
//! directory every few seconds only where the kernel cannot tell of changes.
#![cfg_attr(not(test), no_main)]

use base::files;
use base::opt::Opts;
use base::sys::fd;
use base::sys::poll::{Wait, poll};
use base::sys::signal::{self, Signal, Signals};
use base::sys::spawn::Spawn;
use base::sys::wait;
use base::{Args, Code, Result, Unable, say};
use libc::{SIGALRM, SIGCHLD, SIGHUP, SIGINT, SIGPIPE, SIGPWR, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};
use supervise::folder::Identity;
use supervise::main_service::MainService;
use supervise::newcomer::Newcomer;
use supervise::seat::Seat;
use supervise::service::{Log, Service};
use supervise::watch::{Change, Mark, Watch};

base::program!("svscan", run);

/// How often to look at what cannot be watched, and to try again what has failed.
const LOOK: Duration = Duration::from_secs(5);
/// How often to look at a main service that cannot be watched.
const LOOK_AT_MAIN: Duration = Duration::from_millis(200);
/// A directory that changed within this time may change again without looking different.
const STAMP: Duration = Duration::from_secs(2);

const USAGE: &str = "svscan [ -1 ] [ -x service ] [ dir ]";

fn run(words: Args) -> Result<Code> {
    let options = options(words)?;
    if let Some(folder) = &options.folder {
        std::env::set_current_dir(folder).unable(format_args!("chdir to {}", folder.display()))?;
    }
    fd::fill_standard_until_exec().unable("open /dev/null")?;
    let signals = caught(options.first).unable("catch signals")?;
    // Without it, orphans of a killed supervise go to process 1, and nothing else changes.
    let _ = wait::adopt_orphans();
    let main = match options.main {
        Some(name) => {
            let shown = name.display().to_string();
            Some(MainService::new(name).unable(format_args!("chdir to {shown}"))?)
        }
        None => None,
    };
    Scan::new(raise_open_files(), options.first, main).go_on(&signals)
}

/// What is asked for.
struct Options {
    /// This is process 1, or behaves so: every request to end stops everything.
    first: bool,
    /// The service with which everything ends.
    main: Option<OsString>,
    /// The scan directory.
    folder: Option<OsString>,
}

fn options(words: Args) -> Result<Options> {
    let mut opts = Opts::new(words, "1x:", USAGE);
    let (mut first, mut main) = (std::process::id() == 1, None);
    while let Some(letter) = opts.next()? {
        match letter {
            b'1' => first = true,
            _ => main = Some(opts.argument().to_owned()),
        }
    }
    Ok(Options { first, main, folder: opts.rest().into_iter().next() })
}

/// The requests to end that process 1 of a container may get besides TERM and INT: PWR, and
/// SIGRTMIN+3 as the C library counts.
const STOPS: [Signal; 2] = [SIGPWR, 37];

/// The signals that mean something. A hang-up that the caller has ignored, as nohup does, stays
/// ignored.
fn caught(first: bool) -> io::Result<Signals> {
    signal::unblock_all()?;
    signal::ignore(SIGPIPE)?;
    let mut meant = vec![SIGCHLD, SIGTERM, SIGINT, SIGQUIT, SIGALRM];
    meant.extend(Some(SIGHUP).filter(|_| !signal::is_ignored(SIGHUP)));
    if first {
        meant.extend(STOPS);
        [SIGUSR1, SIGUSR2].into_iter().try_for_each(signal::ignore)?;
    }
    Signals::catch(&meant)
}

/// Allows this process, which holds two descriptors for each log, as many as possible. Gives the
/// limits that it had.
fn raise_open_files() -> Option<(u64, u64)> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).ok()?;
    Some((soft, hard))
}

/// What svscan knows.
struct Scan {
    /// The limits on open files for children.
    open_files: Option<(u64, u64)>,
    watch: Watch,
    /// The scan directory, if it can be watched.
    mark: Option<Mark>,
    services: Vec<Service>,
    newcomers: Vec<Newcomer>,
    /// When to read the directory again.
    rescan: Option<Instant>,
    /// The directory's time of change when it was read, if that tells it from every later state.
    stamp: Option<SystemTime>,
    /// The directory is read for the first time.
    starting: bool,
    /// Everything is being stopped.
    ending: bool,
    /// This is process 1.
    first: bool,
    /// The service with which everything ends.
    main: Option<MainService>,
    /// The exit code.
    code: Code,
}

impl Scan {
    fn new(open_files: Option<(u64, u64)>, first: bool, main: Option<MainService>) -> Scan {
        let watch = Watch::new();
        Scan {
            open_files,
            mark: watch.names(Path::new(".")),
            watch,
            services: Vec::new(),
            newcomers: Vec::new(),
            rescan: None,
            stamp: None,
            starting: true,
            ending: false,
            first,
            main,
            code: Code::DONE,
        }
    }

    /// Until a signal ends it.
    fn go_on(mut self, signals: &Signals) -> Result<Code> {
        self.read_folder();
        self.starting = false;
        loop {
            self.act();
            if self.ending && self.services.is_empty() {
                return Ok(self.code);
            }
            for signal in self.wait(signals)? {
                if signal == SIGQUIT && !self.first {
                    return Ok(Code::DONE);
                }
                self.signal_came(signal);
            }
        }
    }

    /// Waits for an event and takes note of it; gives the signals.
    fn wait(&mut self, signals: &Signals) -> Result<Vec<Signal>> {
        let strangers = self.services.iter().flat_map(Service::seats);
        let strangers = strangers.filter_map(Seat::end_of_stranger).map(Wait::read);
        let mut waits: Vec<Wait> = strangers.collect();
        waits.push(Wait::read(signals.fd()));
        waits.extend(self.watch.fd().map(Wait::read));
        let limit = self.next_event();
        let limit = limit.map(|time| time.saturating_duration_since(Instant::now()));
        poll(&mut waits, limit).unable("wait for changes")?;
        let ready: Vec<bool> = waits.iter().map(|wait| wait.ready).collect();
        let mut ready = ready.into_iter();
        for seat in self.services.iter_mut().flat_map(Service::seats_mut) {
            if seat.end_of_stranger().is_some() && ready.next() == Some(true) {
                seat.stranger_left();
            }
        }
        let signal_came = ready.next() == Some(true);
        if ready.next() == Some(true) {
            self.folders_changed();
        }
        Ok(if signal_came { signals.take().collect() } else { Vec::new() })
    }

    fn next_event(&self) -> Option<Instant> {
        let services = self.services.iter().filter_map(Service::due);
        let newcomers = self.newcomers.iter().filter_map(Newcomer::due);
        let main = self.main.as_ref().filter(|main| main.is_unwatched());
        let look = main.map(|_| Instant::now() + LOOK_AT_MAIN);
        services.chain(newcomers).chain(self.rescan).chain(look).min()
    }

    fn signal_came(&mut self, signal: Signal) {
        match signal {
            SIGCHLD => self.children_died(),
            SIGTERM | SIGINT => self.end(),
            // Only process 1 comes here with it.
            SIGQUIT => self.end(),
            SIGALRM => self.look_now(),
            SIGHUP => {
                self.look_now();
                self.act();
                self.services.iter_mut().filter(|one| !one.present).for_each(Service::leave);
            }
            stop if STOPS.contains(&stop) => self.end(),
            _ => {}
        }
    }

    /// Orphans of a supervise that was killed die as our children, too: they mean nothing.
    fn children_died(&mut self) {
        while let Some((pid, _)) = wait::any() {
            let seats = self.services.iter_mut().flat_map(Service::seats_mut);
            seats.for_each(|seat| seat.child_died(pid));
        }
    }

    /// Stops everything, loggers last.
    fn end(&mut self) {
        self.ending = true;
        self.main = None;
        self.rescan = None;
        self.newcomers.clear();
        self.services.iter_mut().for_each(Service::leave);
    }

    fn look_now(&mut self) {
        if !self.ending {
            self.rescan = Some(Instant::now());
            self.stamp = None;
            self.newcomers.iter_mut().for_each(Newcomer::look_now);
        }
    }

    fn folders_changed(&mut self) {
        for change in self.watch.take() {
            match change {
                Change::Anywhere => self.look_now(),
                Change::In(mark) if Some(mark) == self.mark => {
                    self.rescan = Some(Instant::now()).filter(|_| !self.ending);
                }
                Change::In(mark) => self.newcomers.iter_mut().for_each(|one| one.changed(mark)),
            }
        }
    }

    /// Does everything that is due.
    fn act(&mut self) {
        let now = Instant::now();
        self.look_at_main();
        if self.rescan.is_some_and(|time| time <= now) {
            self.read_folder();
        }
        self.admit(now);
        let mut moved = false;
        for service in &mut self.services {
            service.look();
            service.see_off();
            if service.start_due().is_some_and(|time| time <= now) {
                start(service, self.open_files);
                moved |= !service.present;
            }
        }
        let before = self.services.len();
        self.services.retain(|service| !service.is_over());
        // One that is not where it was may have another name. One that came back while it was
        // being stopped is new.
        if (moved || self.services.len() < before) && !self.ending {
            self.rescan = Some(now);
            self.stamp = None;
        }
    }

    /// Once the main service has ended, everything ends, with its exit code.
    fn look_at_main(&mut self) {
        let code = self.main.as_mut().and_then(|main| main.look(&self.watch));
        if let Some(code) = code {
            self.code = code;
            self.main = None;
            self.end();
        }
    }

    /// Takes note of which directories there are, unless it is certain that nothing has changed.
    fn read_folder(&mut self) {
        let blind = self.mark.is_none();
        let changed = fs::metadata(".").and_then(|found| found.modified()).ok();
        self.rescan = blind.then(|| Instant::now() + LOOK);
        if blind && changed.is_some() && changed == self.stamp {
            return;
        }
        self.stamp = changed.filter(|time| time.elapsed().is_ok_and(|age| age > STAMP));
        let names = match names() {
            Ok(names) => names,
            Err(why) => return self.trouble("read directory", &why),
        };
        self.services.iter_mut().for_each(|service| service.present = false);
        self.newcomers.iter_mut().for_each(|newcomer| newcomer.present = false);
        for name in names {
            match fs::metadata(&name) {
                Ok(found) if !found.is_dir() => {}
                Ok(found) => self.found(name, Identity::of(&found)),
                Err(why) => self.lost_sight(&name, &why),
            }
        }
        for gone in self.newcomers.extract_if(.., |newcomer| !newcomer.present) {
            gone.forget(&self.watch);
        }
    }

    /// A service that cannot be seen for another reason than that it is gone is still there.
    fn lost_sight(&mut self, name: &OsStr, why: &io::Error) {
        if why.kind() != io::ErrorKind::NotFound {
            let known = self.services.iter_mut().filter(|service| service.name() == name);
            known.for_each(|service| service.present = true);
        }
        self.trouble(format_args!("stat {}", name.display()), why);
    }

    /// Complains, and looks again later.
    fn trouble(&mut self, what: impl Display, why: &io::Error) {
        say::unable(what, why);
        self.stamp = None;
        self.rescan = Some(Instant::now() + LOOK);
    }

    /// A directory under several names is one service.
    fn found(&mut self, name: OsString, identity: Identity) {
        if let Some(service) = self.services.iter_mut().find(|one| one.identity == identity) {
            service.seen_as(name);
        } else if let Some(known) = self.newcomers.iter_mut().find(|one| one.identity == identity) {
            known.present = true;
            known.name = name;
        } else {
            let newcomer = match self.starting {
                true => Newcomer::old(name, identity),
                false => Newcomer::new(name, identity, &self.watch),
            };
            self.newcomers.push(newcomer);
        }
    }

    /// Makes services of the newcomers that are ready.
    fn admit(&mut self, now: Instant) {
        let due = |one: &mut Newcomer| one.due().is_some_and(|time| time <= now);
        let candidates: Vec<Newcomer> = self.newcomers.extract_if(.., due).collect();
        for mut newcomer in candidates {
            let name = newcomer.name.display().to_string();
            match newcomer.judge(&self.watch) {
                Ok(Some(service)) => {
                    self.services.push(service);
                    newcomer.forget(&self.watch);
                    continue;
                }
                Ok(None) if newcomer.told => {}
                Ok(None) => {
                    newcomer.told = true;
                    say::line(format_args!("info: {name} has no file run yet"));
                }
                Err(why) => say::unable(format_args!("stat {name}/log"), &why),
            }
            self.newcomers.push(newcomer);
        }
    }
}

/// The names in the scan directory but those that start with a dot.
fn names() -> io::Result<Vec<OsString>> {
    let names = files::entries(".")?.map(|entry| Ok(entry?.file_name()));
    let mut names: Vec<OsString> = names.collect::<io::Result<_>>()?;
    names.retain(|name| name.as_bytes().first() != Some(&b'.'));
    Ok(names)
}

/// Starts what is due of a service, unless somebody else has started it already.
fn start(service: &mut Service, open_files: Option<(u64, u64)>) {
    let name = service.name().to_owned();
    if Identity::at(&name) != Some(service.identity) {
        // It is gone, or another directory has its name: reading the scan directory will tell.
        service.present = false;
        return;
    }
    for seat in service.seats_mut().filter(|seat| seat.is_due()) {
        if seat.find_stranger() {
            say::line(format_args!("info: {} already supervised", seat.path.display()));
        }
    }
    if let Err(why) = service.join() {
        say::unable(format_args!("create pipe for {}", name.display()), &why);
        return service.seats_mut().for_each(Seat::postpone);
    }
    let Service { main, log, .. } = service;
    let words = ["supervise".into(), name.clone()];
    let supervise = Spawn::new(&words);
    let Some(Log { seat, pipe: Some(pipe), .. }) = log else {
        return fill(main, supervise, open_files);
    };
    fill(main, supervise.fd(1, pipe.write.as_fd()), open_files);
    let words = ["supervise".into(), "log".into()];
    let supervise = Spawn::new(&words).folder(Path::new(&name));
    if seat.is_free() {
        seat.given = pipe.identity();
    }
    fill(seat, supervise.fd(0, pipe.read.as_fd()), open_files);
}

/// Starts a supervise, if its place is free and due.
fn fill(seat: &mut Seat, supervise: Spawn, open_files: Option<(u64, u64)>) {
    if !seat.is_free() || !seat.is_due() {
        return;
    }
    let name = seat.path.display().to_string();
    let mut supervise =
        supervise.last_words(format!("svscan: warning: unable to start supervise {name}"));
    if let Some((soft, hard)) = open_files {
        supervise = supervise.open_files(soft, hard);
    }
    if let Err(why) = seat.fill(&supervise) {
        say::unable(format_args!("fork for {name}"), &why);
    }
}
