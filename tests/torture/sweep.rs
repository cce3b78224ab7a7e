//! A sweep: each system call of a program fails in each way that it can, one run each, and after
//! each run the same must hold.

use crate::faults::{all, is_harmless, named, shown};
use crate::tamper::{Call, Outcome, Progress, Strike, run_beside};
use std::collections::BTreeMap;
use std::process::Command;
use std::{env, thread};
use tests::Random;

/// What is swept: a program in surroundings that are as new for each run.
pub trait Case: Sized + Sync {
    /// Runs at once. More than processors for a program that waits after a failure.
    const AT_ONCE: usize = 2;
    /// What it starts goes on without it, and is not swept; nor is what it becomes.
    const LEAVE: bool = false;

    /// The surroundings of the first run.
    fn new() -> Self;
    /// Makes them what they were before a run.
    fn renew(&self);
    /// The program, with files or /dev/null for input and output.
    fn command(&self) -> Command;
    /// What goes on while it runs, for one that does not end by itself.
    fn accompany(&self, _progress: &Progress) {}
    /// Whether all was done that was to be done: it must be after a fault that does no harm.
    fn is_done(&self, code: Option<i32>) -> bool {
        code == Some(0)
    }
    /// Whether this fault may end with this complaint, for a reason that the case names.
    fn excused(_strike: &Strike, _complaint: &str) -> bool {
        false
    }
    /// What must hold after a run with this end; the complaint otherwise.
    fn check(&self, code: Option<i32>) -> Result<(), String>;
}

/// Runs it with every fault at every call, prints what was done, and complains of all runs after
/// which it does not hold.
#[track_caller]
pub fn sweep<C: Case>(name: &str) {
    sampled::<C>(name, 1);
}

/// As [`sweep`], with one fault of so many.
#[track_caller]
pub fn sampled<C: Case>(name: &str, one_of: usize) {
    let swept = swept::<C>(one_of);
    println!("{name}: {}", swept.count());
    assert!(swept.complaints.is_empty(), "{name}:\n{}", swept.complaints.join("\n"));
}

/// What a sweep has found.
pub struct Swept {
    calls: Vec<Call>,
    strikes: Vec<Strike>,
    /// What came out wrong.
    pub complaints: Vec<String>,
}

impl Swept {
    /// `12 system calls of 5 kinds, 30 faults (EIO 10, kill 12, short 8), 0 wrong`
    fn count(&self) -> String {
        let mut kinds: Vec<_> = self.calls.iter().map(|call| call.number).collect();
        kinds.sort();
        kinds.dedup();
        let mut faults = BTreeMap::<String, usize>::new();
        for strike in &self.strikes {
            *faults.entry(shown(strike.fault)).or_default() += 1;
        }
        let faults: Vec<_> = faults.iter().map(|(name, count)| format!("{name} {count}")).collect();
        format!(
            "{} system calls of {} kinds, {} faults ({}), {} wrong",
            self.calls.len(),
            kinds.len(),
            self.strikes.len(),
            faults.join(", "),
            self.complaints.len()
        )
    }
}

/// Tries one fault of so many, of all that the program can meet; or the one that `$FAULT` names.
pub fn swept<C: Case>(one_of: usize) -> Swept {
    let whole = whole::<C>();
    let first = Random::new(whole.calls.len() as u64).below(one_of);
    let strikes = whole.calls.iter().flat_map(all);
    let strikes: Vec<_> = match env::var("FAULT") {
        Ok(only) => strikes.filter(|strike| told(strike) == only).collect(),
        Err(_) => strikes.skip(first).step_by(one_of).collect(),
    };
    let complaints = thread::scope(|scope| {
        // by turns, as neighbours are alike: if one takes long, so does the next one
        let part = |nth| strikes.iter().skip(nth).step_by(C::AT_ONCE);
        let one = |nth| scope.spawn(move || tried::<C>(part(nth)));
        let parts: Vec<_> = (0..C::AT_ONCE).map(one).collect();
        parts.into_iter().flat_map(|part| part.join().unwrap()).collect()
    });
    Swept { calls: whole.calls, strikes, complaints }
}

/// A run without a fault, after which all must hold too.
fn whole<C: Case>() -> Outcome {
    let case = C::new();
    let outcome = once(&case, None);
    case.check(outcome.code).unwrap_or_else(|why| panic!("without a fault: {why}"));
    assert!(case.is_done(outcome.code), "not done without a fault: {:?}", outcome.code);
    outcome
}

fn once<C: Case>(case: &C, strike: Option<&Strike>) -> Outcome {
    case.renew();

    run_beside(&mut case.command(), strike, C::LEAVE, |progress| case.accompany(progress)).0
}

/// Tries faults in surroundings of their own, and complains.
fn tried<'a, C: Case>(strikes: impl Iterator<Item = &'a Strike>) -> Vec<String> {
    let case = C::new();
    let complaint = |strike: &'a Strike| {
        let Outcome { code, hung, struck, .. } = once(&case, Some(strike));
        let held = match case.check(code) {
            _ if hung => Err("it hangs".into()),
            // 127 is a start that the C library gives up
            Ok(()) if code == Some(127) => Ok(()),
            Ok(()) if struck && is_harmless(strike) && !case.is_done(code) => {
                Err("that is no failure".into())
            }
            held => held,
        };
        let why = held.err().filter(|why| !C::excused(strike, why))?;
        Some(format!("{}: {code:?}: {why}", told(strike)))
    };
    strikes.filter_map(complaint).collect()
}

/// `[2, 0] call 17 (read), EIO`
fn told(Strike { call: Call { who, at, number, .. }, fault }: &Strike) -> String {
    format!("{who:?} call {at} ({}), {}", named(*number), shown(*fault))
}
