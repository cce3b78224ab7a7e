//! setlock: run a program while holding a lock on a file.
#![cfg_attr(not(test), no_main)]

use base::opt::Opts;
use base::sys::clock::pause;
use base::sys::{exec::exec, fd, lock};
use base::{Args, Code, Result, Unable, files, number};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

base::program!("setlock", run);

const USAGE: &str = "setlock [ -nNxX ] file program [ arg ... ]";

/// How long a limited wait sleeps between two attempts.
const TURN: Duration = Duration::from_millis(10);

struct Options {
    /// How long to wait for the lock; `None` is for ever.
    limit: Option<Duration>,
    /// Many may hold it at the same time.
    shared: bool,
    /// No lock is no failure: end silently.
    quiet: bool,
}

fn run(words: Args) -> Result<Code> {
    let mut opts = Opts::new(words, "nNxXst:", USAGE);
    let options = options(&mut opts)?;
    let bad_usage = opts.bad_usage();
    let words = opts.rest();
    let [file, child @ ..] = &words[..] else {
        return Err(bad_usage);
    };
    let [name, ..] = child else {
        return Err(bad_usage);
    };
    let lock = match locked(file, &options) {
        Err(_) if options.quiet => return Ok(Code::DONE),
        other => other?,
    };
    fd::keep_across_exec(lock.as_fd()).unable(format_args!("keep {}", file.display()))?;
    match exec(child).unable(format_args!("run {}", name.display()))? {}
}

/// Later letters win.
fn options(opts: &mut Opts) -> Result<Options> {
    let mut options = Options { limit: None, shared: false, quiet: false };
    while let Some(letter) = opts.next()? {
        match letter {
            b'n' => options.limit = Some(Duration::ZERO),
            b'N' => options.limit = None,
            b't' => {
                let milliseconds = number::decimal(opts.argument().as_bytes());
                let milliseconds = milliseconds.ok_or_else(|| opts.bad_usage())?;
                options.limit = Some(Duration::from_millis(milliseconds));
            }
            b's' => options.shared = true,
            b'x' => options.quiet = true,
            _ => options.quiet = false,
        }
    }
    Ok(options)
}

fn locked(file: &OsStr, options: &Options) -> Result<File> {
    let lock = files::open_append(Path::new(file), true);
    let lock = lock.unable(format_args!("open {}", file.display()))?;
    take(lock.as_fd(), options).unable(format_args!("lock {}", file.display()))?;
    Ok(lock)
}

fn take(file: BorrowedFd, options: &Options) -> io::Result<()> {
    let Some(limit) = options.limit else {
        return if options.shared { lock::shared(file) } else { lock::exclusive(file) };
    };
    let start = Instant::now();
    loop {
        let attempt =
            if options.shared { lock::try_shared(file) } else { lock::try_exclusive(file) };
        let left = limit.saturating_sub(start.elapsed());
        match attempt {
            Err(why) if why.kind() == io::ErrorKind::WouldBlock && !left.is_zero() => {
                pause(left.min(TURN));
            }
            other => return other,
        }
    }
}
