//! multicat: print the lines of multilog's directories.
#![cfg_attr(not(test), no_main)]

use base::number::decimal;
use base::opt::Opts;
use base::out::Out;
use base::sys::clock;
use base::sys::fd;
use base::sys::poll::{Wait, poll};
use base::{Args, Code, Result, Unable, say};
use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;
use supervise::log_files::{LogFiles, look};
use supervise::log_follower::{Follower, Lost};
use supervise::log_range::Times;
use supervise::log_reader::LogReader;
use supervise::log_time::{self, Moment};
use supervise::watch::{Mark, Watch};

base::program!("multicat", run);

const USAGE: &str = "multicat [ -f ] [ -s from ] [ -u until ] [ -n lines ] dir ...";

/// Bytes that are written at once.
const SIZE: usize = 65536;

/// Where changes are not told, how often to look for them.
const LOOK: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Options {
    times: Times,
    /// Print the last lines only.
    last: Option<usize>,
    /// Go on with what comes.
    follow: bool,
}

fn run(words: Args) -> Result<Code> {
    let (options, folders) = options(words)?;
    let mut out = Out::with_size(fd::STDOUT, SIZE);
    let watch = Watch::new();
    let mut logs = Vec::new();
    for folder in folders.into_iter().map(PathBuf::from) {
        // Watched first: what changes after the look is told.
        let mark = if options.follow { watch.contents(&folder) } else { None };
        let files = look(&folder).unable(reading(&folder))?;
        let mut reader = LogReader::new(folder.clone(), &files, options.times);
        if let (Ok(reader), Some(last)) = (&mut reader, options.last) {
            reader.skip_to_last(last).unable(reading(&folder))?;
        }
        let reader = reader.unable(reading(&folder))?;
        logs.push(Log { folder, mark, files, reader, rest: Vec::new() });
    }
    match &mut logs[..] {
        [log] if options.last.is_none() && !options.follow => copy(log, &mut out)?,
        logs => merge(logs, &options, &mut out)?,
    }
    out.flush().unable("write output")?;
    if options.follow {
        follow(logs, &watch, &options.times, &mut out)?;
    }
    Ok(Code::DONE)
}

fn options(words: Args) -> Result<(Options, Vec<OsString>)> {
    let mut opts = Opts::new(words, "fs:u:n:", USAGE);
    let mut options = Options::default();
    while let Some(letter) = opts.next()? {
        let word = opts.argument().as_encoded_bytes();
        let time = || log_time::parse(word, clock::now()).ok_or_else(|| opts.bad_usage());
        match letter {
            b's' => options.times.from = Some(time()?),
            b'u' => options.times.until = Some(time()?),
            b'n' => {
                let number = decimal(word).ok_or_else(|| opts.bad_usage())?;
                options.last = Some(usize::try_from(number).unwrap_or(usize::MAX));
            }
            _ => options.follow = true,
        }
    }
    let usage = opts.bad_usage();
    let folders = opts.rest();
    if folders.is_empty() { Err(usage) } else { Ok((options, folders)) }
}

/// A log directory whose lines are printed.
struct Log {
    folder: PathBuf,
    mark: Option<Mark>,
    files: LogFiles,
    reader: LogReader,
    /// The start of a line that is still written.
    rest: Vec<u8>,
}

impl Log {
    /// Goes to the next line that is whole, or, if nothing is to follow, to the last one.
    fn advance(&mut self, follow: bool) -> Result<bool> {
        let more = self.reader.advance().unable(reading(&self.folder))?;
        if more && follow && !self.reader.line().ends_with(b"\n") {
            self.rest = self.reader.line().to_vec();
            return Ok(false);
        }
        Ok(more)
    }
}

fn reading(folder: &Path) -> String {
    format!("read {}", folder.display())
}

/// One directory: bytes as they come.
fn copy(log: &mut Log, out: &mut Out) -> Result<()> {
    let mut block = vec![0; SIZE];
    loop {
        let count = log.reader.read(&mut block).unable(reading(&log.folder))?;
        if count == 0 {
            return Ok(());
        }
        out.put(&block[..count]).unable("write output")?;
    }
}

/// Several directories: the earliest line first; of equals, that of the first directory.
fn merge(logs: &mut [Log], options: &Options, out: &mut Out) -> Result<()> {
    let mut last = VecDeque::new();
    let mut ready: Vec<bool> = Vec::new();
    for log in logs.iter_mut() {
        ready.push(log.advance(options.follow)?);
    }
    let earliest = |logs: &[Log], ready: &[bool]| {
        let ready = (0..logs.len()).filter(|index| ready[*index]);
        ready.min_by_key(|index| logs[*index].reader.moment())
    };
    while let Some(index) = earliest(logs, &ready) {
        let line = logs[index].reader.line();
        match options.last {
            None => out.put(line).unable("write output")?,
            Some(count) => {
                last.push_back(line.to_vec());
                last.drain(..last.len().saturating_sub(count));
            }
        }
        ready[index] = logs[index].advance(options.follow)?;
    }
    last.iter().try_for_each(|line| out.put(line)).unable("write output")
}

/// Prints what comes, until all directories have lines after the wanted time.
fn follow(logs: Vec<Log>, watch: &Watch, times: &Times, out: &mut Out) -> Result<()> {
    let mut followed = Vec::new();
    for log in logs.into_iter().filter(|log| !log.reader.over()) {
        let Log { folder, mark, files, reader, rest } = log;
        let follower = Follower::new(folder.clone(), &files, &reader, rest);
        followed.push((mark, follower.unable(reading(&folder))?, folder));
    }
    let limit = followed.iter().any(|(mark, ..)| mark.is_none()).then_some(LOOK);
    let mut come: Vec<(Mark, OsString)> = Vec::new();
    loop {
        // Taken before the reading: what happens after it wakes us again.
        come.extend(watch.take_names());
        let mut index = 0;
        while let Some((mark, follower, folder)) = followed.get_mut(index) {
            let mut over = false;
            let mut print = |moment: &Moment, line: &[u8]| {
                over |= times.are_over_at(moment);
                if times.contain(moment) { out.put(line) } else { Ok(()) }
            };
            let mut names = || {
                come.extend(watch.take_names());
                let here = come.extract_if(.., |(place, _)| Some(*place) == *mark);
                here.map(|(_, name)| name).collect()
            };
            for Lost(name) in follower.read(&mut names, &mut print).unable(reading(folder))? {
                let name = folder.join(name);
                say::warning(format_args!("{} is gone before it could be read", name.display()));
            }
            if over { drop(followed.remove(index)) } else { index += 1 }
        }
        out.flush().unable("write output")?;
        if followed.is_empty() {
            return Ok(());
        }
        wait(watch, limit).unable("wait for lines")?;
    }
}

/// Waits for a change; where there is no watching, for some time.
fn wait(watch: &Watch, limit: Option<Duration>) -> std::io::Result<()> {
    let mut waits: Vec<Wait> = watch.fd().map(Wait::read).into_iter().collect();
    let limit = limit.or(waits.is_empty().then_some(LOOK));
    poll(&mut waits, limit).map(drop)
}
