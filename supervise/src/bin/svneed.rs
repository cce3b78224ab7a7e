//! svneed: run a program once the services that it needs are ready.
#![cfg_attr(not(test), no_main)]

use base::number::decimal;
use base::opt::Opts;
use base::sys::exec::exec;
use base::{Args, Code, Die, Result, Unable};
use std::ffi::OsString;
use std::time::{Duration, Instant};
use supervise::folder::Folder;
use supervise::view::View;
use supervise::vigil::{LOOK, Vigil};

base::program!("svneed", run);

const USAGE: &str = "svneed [ -t milliseconds ] dir ... -- child";

fn run(words: Args) -> Result<Code> {
    let mut opts = Opts::new(words, "t:", USAGE);
    let mut until = None;
    while opts.next()?.is_some() {
        let limit = decimal(opts.argument().as_encoded_bytes());
        let limit = limit.ok_or_else(|| opts.bad_usage())?;
        until = Instant::now().checked_add(Duration::from_millis(limit));
    }
    let usage = opts.bad_usage();
    let words = opts.rest();
    let Some(between) = words.iter().position(|word| word == "--") else {
        return Err(usage);
    };
    let (names, child) = (&words[..between], &words[between + 1..]);
    let ([_, ..], [name, ..]) = (names, child) else {
        return Err(usage);
    };
    wait(names, until)?;
    match exec(child).unable(format_args!("run {}", name.display()))? {}
}

/// Waits until all are ready. One that is not supervised yet may be so later: at boot, nobody knows
/// who comes first.
fn wait(names: &[OsString], until: Option<Instant>) -> Result<()> {
    for name in names {
        Folder::enter(name).unable(format_args!("chdir to {}", name.display()))?;
    }
    let mut vigil = Vigil::new(names);
    loop {
        let mut unseen = false;
        let mut is_ready = |name: &&OsString| match View::of(name) {
            Ok(view) => view.is_ready(),
            Err(hidden) => {
                unseen |= !hidden.is_unsupervised();
                false
            }
        };
        let Some(missing) = names.iter().find(|name| !is_ready(name)) else {
            return Ok(());
        };
        if until.is_some_and(|until| until <= Instant::now()) {
            return Err(Die::later(format_args!("{} is not ready in time", missing.display())));
        }
        // nothing need happen to a service before it can be seen again
        let again = unseen.then(|| Instant::now() + LOOK);
        vigil.sleep(until.into_iter().chain(again).min()).unable("wait for services")?;
    }
}
