//! multilog: write lines to logs that rotate by themselves.
#![cfg_attr(not(test), no_main)]

use base::sys::poll::{Wait, poll};
use base::sys::signal::{self, Signals};
use base::sys::{clock, fd, umask};
use base::{Args, Code, Result, Unable, say};
use std::io::ErrorKind;
use std::time::Instant;
use supervise::log_dir::{Found, LogDir};
use supervise::log_script::{Action, Script, Stamper};
use supervise::patience::Patience;
use supervise::pieces::pieces;
use supervise::status_file::StatusFile;

base::program!("multilog", run);

/// Bytes read at once.
const SIZE: usize = 65536;

/// Bytes of a line, time stamp included, that patterns, alerts and status files see.
const WINDOW: usize = 1000;

/// Bytes of lines that are worth a look at all of them together.
const MANY: usize = 4096;

/// Bytes of a line that an alert shows.
const ALERT: usize = 200;

const PATIENCE: Patience = Patience { complain: |text| say::warning(text) };

fn run(words: Args) -> Result<Code> {
    clock::often();
    umask::set(0o022);
    // So that no log gets the number of what is closed, and messages with it.
    fd::fill_standard().unable("open /dev/null")?;
    let mut multilog = Multilog::open(Script::parse(&words))?;
    let mut input = vec![0; SIZE];
    loop {
        multilog.flush();
        let ready = multilog.wait();
        if multilog.leaving && multilog.between_lines() {
            break;
        }
        if ready && !multilog.read(&mut input) {
            break;
        }
    }
    multilog.close();
    Ok(Code::DONE)
}

struct Multilog {
    script: Script,
    statuses: Vec<StatusFile>,
    logs: Vec<LogDir>,
    signals: Signals,
    /// TERM has come.
    leaving: bool,
    /// The start of a line that is not decided on yet, with its time stamp; less than [`WINDOW`].
    head: Vec<u8>,
    /// Bytes of a time stamp.
    stamp: usize,
    /// The line has been decided on, and its rest follows.
    inside: bool,
    /// Numbers of the logs that the line goes to.
    chosen: Vec<usize>,
    /// And of those that the line before it went to.
    earlier: Vec<usize>,
    /// Lines with their time stamps.
    stamped: Vec<u8>,
}

impl Multilog {
    /// Opens everything that the script names: first the status files, then the logs.
    fn open(script: Script) -> Result<Self> {
        let signals = Signals::catch(&[signal::TERM, signal::ALARM, signal::CHILD])
            .unable("catch signals")?;
        signal::unblock_all().unable("unblock signals")?;
        let mut statuses = Vec::new();
        for name in &script.statuses {
            let file = StatusFile::open(name, PATIENCE);
            statuses.push(file.unable(format_args!("create {}", name.display()))?);
        }
        // All paths are looked up before taking over the first log leads away from here.
        let mut found = Vec::new();
        for (name, settings) in &script.logs {
            found.push(Found::open(name.clone(), settings.clone(), PATIENCE)?);
        }
        let logs = found.into_iter().map(Found::take_over).collect::<Result<Vec<LogDir>>>()?;
        let head = Vec::with_capacity(WINDOW);
        Ok(Multilog {
            script,
            statuses,
            logs,
            signals,
            leaving: false,
            head,
            stamp: 0,
            inside: false,
            chosen: Vec::new(),
            earlier: Vec::new(),
            stamped: Vec::new(),
        })
    }

    /// Waits for input, and handles what else happens first. `true`: there is input.
    fn wait(&mut self) -> bool {
        let due = self.logs.iter().filter_map(LogDir::due).min();
        let limit = due.map(|due| due.saturating_duration_since(Instant::now()));
        let mut waits = [Wait::read(fd::STDIN), Wait::read(self.signals.fd())];
        PATIENCE.insist("wait for input", || poll(&mut waits, limit));
        let [input, signal] = waits.map(|wait| wait.ready);
        if signal {
            self.signals_came();
        }
        self.logs.iter_mut().for_each(LogDir::attend);
        input
    }

    fn signals_came(&mut self) {
        for signal in self.signals.take() {
            match signal {
                signal::TERM => self.leaving = true,
                signal::ALARM => self.logs.iter_mut().for_each(LogDir::rotate_now),
                _ => {}
            }
        }
    }

    /// Reads and takes what is there; byte by byte up to the end of the line after TERM, so that
    /// the next multilog finds the rest. `false` at the end of the input.
    fn read(&mut self, input: &mut [u8]) -> bool {
        let size = if self.leaving { 1 } else { input.len() };
        match fd::read_once(fd::STDIN, &mut input[..size]) {
            Ok(count) => {
                self.take(&input[..count]);
                count > 0
            }
            // Anything else that cannot be read has ended.
            Err(why) => matches!(why.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock),
        }
    }

    fn between_lines(&self) -> bool {
        self.head.is_empty() && !self.inside
    }

    /// Takes what was read: lines that are whole together, the others piece by piece.
    fn take(&mut self, mut input: &[u8]) {
        while !input.is_empty() {
            let lines = if self.between_lines() { whole_lines(input) } else { b"" };
            let lines = if self.script.prefixed() { b"" } else { lines };
            self.take_lines(lines);
            input = &input[lines.len()..];
            let Some(piece) = pieces(input).next() else { return };
            if self.inside {
                self.pass(piece);
                self.inside = !piece.ends_with(b"\n");
            } else {
                self.begin(piece);
            }
            input = &input[piece.len()..];
        }
    }

    fn take_lines(&mut self, lines: &[u8]) {
        let Some(stamp) = self.script.stamp else { return self.select(lines) };
        let mut stamped = std::mem::take(&mut self.stamped);
        let mut stamper = Stamper::new(stamp);
        for line in pieces(lines) {
            stamper.put(&mut stamped);
            stamped.extend_from_slice(line);
        }
        self.select(&stamped);
        stamped.clear();
        self.stamped = stamped;
    }

    /// Decides on whole lines. Those in a row that go to the same logs are handed on together; all
    /// of them if no pattern is in the way.
    fn select(&mut self, lines: &[u8]) {
        let few = lines.len() < MANY;
        let actions = self.script.actions.iter();
        let actions: Vec<_> = actions.filter(|action| few || action.concerns(lines)).collect();
        if actions.iter().all(|action| matches!(action, Action::Log(_))) {
            return self.logs.iter_mut().for_each(|log| log.put(lines));
        }
        let (mut start, mut at) = (0, 0);
        for line in pieces(lines) {
            std::mem::swap(&mut self.chosen, &mut self.earlier);
            let seen = &line[..WINDOW.min(line.len() - 1)];
            decide(actions.iter().copied(), seen, &mut self.statuses, &mut self.chosen);
            if self.chosen != self.earlier {
                hand_on(&mut self.logs, &self.earlier, &lines[start..at]);
                start = at;
            }
            at += line.len();
        }
        hand_on(&mut self.logs, &self.chosen, &lines[start..]);
    }

    /// Takes a piece of a line that is not decided on yet, and decides if enough of it is there.
    fn begin(&mut self, piece: &[u8]) {
        if self.head.is_empty()
            && let Some(stamp) = self.script.stamp
        {
            stamp.put(&mut self.head);
            self.stamp = self.head.len();
        }
        let complete = piece.ends_with(b"\n");
        let seen = WINDOW.min(self.head.len() + piece.len() - usize::from(complete));
        if !complete && seen < WINDOW {
            return self.head.extend_from_slice(piece);
        }
        if self.head.is_empty() {
            self.decide(&piece[..seen]);
            self.pass_start(piece);
        } else {
            let mut line = std::mem::take(&mut self.head);
            line.extend_from_slice(piece);
            self.decide(&line[..seen]);
            self.pass_start(&line);
            line.clear();
            self.head = line;
        }
        self.inside = !complete;
    }

    fn decide(&mut self, line: &[u8]) {
        decide(self.script.actions.iter(), line, &mut self.statuses, &mut self.chosen);
    }

    /// Hands the start of the line, time stamp included, to its logs.
    fn pass_start(&mut self, start: &[u8]) {
        for number in &self.chosen {
            self.logs[*number].begin(start, self.stamp);
        }
    }

    /// Hands a later part of the line to its logs.
    fn pass(&mut self, part: &[u8]) {
        hand_on(&mut self.logs, &self.chosen, part);
    }

    fn flush(&mut self) {
        self.statuses.iter_mut().for_each(StatusFile::flush);
        self.logs.iter_mut().for_each(LogDir::flush);
    }

    /// Ends a line without a newline, and all logs.
    fn close(mut self) {
        if !self.between_lines() {
            self.take(b"\n");
        }
        self.flush();
        self.logs.into_iter().for_each(LogDir::close);
    }
}

/// Goes through the actions for a line, of which this much is seen. `chosen`: the logs it goes to.
fn decide<'a>(
    actions: impl Iterator<Item = &'a Action>,
    line: &[u8],
    statuses: &mut [StatusFile],
    chosen: &mut Vec<usize>,
) {
    let mut selected = true;
    chosen.clear();
    for action in actions {
        match action {
            Action::Deselect(pattern) => selected = selected && !pattern.matches(line),
            Action::Select(pattern) => selected = selected || pattern.matches(line),
            _ if !selected => {}
            Action::Alert => alert(line),
            Action::Status(number) => statuses[*number].put(line),
            Action::Log(number) => chosen.push(*number),
        }
    }
}

/// What `input` begins with, up to the end of the last line that is whole.
fn whole_lines(input: &[u8]) -> &[u8] {
    &input[..memchr::memrchr(b'\n', input).map_or(0, |at| at + 1)]
}

fn hand_on(logs: &mut [LogDir], chosen: &[usize], part: &[u8]) {
    for number in chosen {
        logs[*number].put(part);
    }
}

fn alert(line: &[u8]) {
    let (shown, rest) = line.split_at(line.len().min(ALERT));
    let end: &[u8] = if rest.is_empty() { b"\n" } else { b"...\n" };
    say::raw(&[shown, end].concat());
}
