//! svwait: wait until services are up, ready, down or restarted.
#![cfg_attr(not(test), no_main)]

use base::number::decimal;
use base::opt::Opts;
use base::{Args, Code, Die, Result, Unable, say};
use std::time::{Duration, Instant};
use supervise::view::{Hidden, View};
use supervise::vigil::{Vigil, Watched};

base::program!("svwait", run);

const USAGE: &str = "svwait [ -uUdDrR ] [ -ao ] [ -t milliseconds ] dir ...";

/// The time is over.
const TIMEOUT: Code = Code(99);
/// A supervise has ended.
const SUPERVISE_ENDED: Code = Code(102);
/// At most this many failed services are counted.
const MOST: usize = 98;

/// What is waited for.
#[derive(Clone, Copy)]
enum Goal {
    Up,
    Ready,
    Down,
    Over,
    Restarted,
    RestartedAndReady,
}

fn run(words: Args) -> Result<Code> {
    let mut opts = Opts::new(words, "uUdDrRaot:", USAGE);
    let (mut goal, mut any, mut until) = (Goal::Up, false, None);
    while let Some(letter) = opts.next()? {
        match letter {
            b'u' => goal = Goal::Up,
            b'U' => goal = Goal::Ready,
            b'd' => goal = Goal::Down,
            b'D' => goal = Goal::Over,
            b'r' => goal = Goal::Restarted,
            b'R' => goal = Goal::RestartedAndReady,
            b'a' | b'o' => any = letter == b'o',
            _ => {
                let limit = decimal(opts.argument().as_encoded_bytes());
                let limit = limit.ok_or_else(|| opts.bad_usage())?;
                until = Instant::now().checked_add(Duration::from_millis(limit));
            }
        }
    }
    let usage = opts.bad_usage();
    let names = opts.rest();
    if names.is_empty() {
        return Err(usage);
    }
    wait(Vigil::new(&names), goal, any, until)
}

fn wait(mut vigil: Vigil, goal: Goal, any: bool, until: Option<Instant>) -> Result<Code> {
    // First of all, because it may end at any time.
    vigil.notice_ends();
    let mut before = Vec::new();
    for service in &vigil.services {
        match service.look() {
            Ok(view) => before.push(view.status.pid),
            Err(hidden) => return Err(unseen(service, &hidden)),
        }
    }
    loop {
        let (mut reached, mut failed) = (0, 0);
        for (service, before) in vigil.services.iter().zip(&before) {
            let view = match service.look() {
                Ok(view) if !service.has_ended() => view,
                Ok(_) | Err(Hidden::NotRunning) => {
                    let name = service.name.display();
                    say::line(format_args!("fatal: the supervise of {name} has ended"));
                    return Ok(SUPERVISE_ENDED);
                }
                Err(hidden) => return Err(unseen(service, &hidden)),
            };
            reached += usize::from(goal.is_reached(&view, *before));
            failed += usize::from(goal.cannot_be_reached(&view));
        }
        let all = vigil.services.len();
        if reached == all || any && reached > 0 {
            return Ok(Code::DONE);
        }
        // The rest is waited for, unless nothing can come of it.
        if failed == all || !any && failed > 0 && reached + failed == all {
            return Ok(Code(u8::try_from(failed.min(MOST)).unwrap_or(u8::MAX)));
        }
        if until.is_some_and(|until| until <= Instant::now()) {
            return Ok(TIMEOUT);
        }
        vigil.sleep(until).unable("wait for services")?;
    }
}

/// Why a service that cannot be seen cannot be waited for.
fn unseen(service: &Watched, hidden: &Hidden) -> Die {
    let text = format!("{}: {}", service.name.display(), hidden.text());
    if hidden.is_unsupervised() { Die::perm(text) } else { Die::later(text) }
}

impl Goal {
    /// `before`: the process at the start.
    fn is_reached(self, view: &View, before: u32) -> bool {
        let restarted = view.status.pid != before;
        match self {
            Goal::Up => view.is_up(),
            Goal::Ready => view.is_ready(),
            Goal::Down => view.is_down(),
            Goal::Over => view.is_over(),
            Goal::Restarted => restarted && view.is_up(),
            Goal::RestartedAndReady => restarted && view.is_ready(),
        }
    }

    /// A failed service does not start before somebody says so.
    fn cannot_be_reached(self, view: &View) -> bool {
        view.has_failed() && !matches!(self, Goal::Down | Goal::Over)
    }
}
