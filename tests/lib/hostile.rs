//! Hostile bytes: damaged copies of good samples, the same in every run, tried one after the other
//! on a check that panics where they do harm. What does is made as small as it can be.
//!
//! `$SEED` is another sequence of them.

use crate::Random;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, Once};
use std::time::{Duration, Instant};
use std::{env, process, thread};

/// A check that takes longer hangs.
const HANG: Duration = Duration::from_secs(60);
/// How often a check is run to make a case smaller.
const ATTEMPTS: usize = 5_000;
/// No more time is spent on that.
const SHRINKING: Duration = Duration::from_secs(120);
/// Bytes of the longest run of one piece.
const RUN: usize = 10_000;

/// Good input, and words that matter in it.
pub struct Hostile<'a> {
    /// Of what format the bytes are; it is named when they do harm.
    pub name: &'a str,
    /// Good input. There may be none.
    pub samples: Vec<Vec<u8>>,
    /// What is put in here and there: delimiters, keywords, numbers at limits.
    pub words: &'a [&'a [u8]],
}

/// The number in a variable of the environment.
pub fn set(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().unwrap())
}

impl Hostile<'_> {
    /// Tries this many cases. Panics for the first one that makes `check` panic, with
    /// the seed and the smallest case that still does. Ends the process if `check` hangs.
    #[track_caller]
    pub fn attack(&self, cases: u64, check: impl Fn(&[u8])) {
        let seed = set("SEED").unwrap_or(1);
        let mut random = Random::new(seed);
        let watch = Watch::new(self.name);
        let harm = |bytes: &[u8]| watch.over(bytes, || said(&check, bytes));
        for sample in &self.samples {
            assert_eq!(harm(sample), None, "{}: b\"{}\"", self.name, sample.escape_ascii());
        }
        for case in 0..cases {
            let bytes = self.case(&mut random);
            if let Some(why) = harm(&bytes) {
                let small = shrunk(&bytes, |bytes| harm(bytes).is_some());
                let why = harm(&small).unwrap_or(why);
                let (name, from, to) = (self.name, bytes.len(), small.len());
                let small = small.escape_ascii();
                panic!(
                    "{name}, seed {seed}, case {case}, shrunk from {from} to {to} bytes: \
                     b\"{small}\"\n{why}"
                );
            }
        }
    }

    /// The next case: a damaged sample, or words and bytes without any sense.
    pub fn case(&self, random: &mut Random) -> Vec<u8> {
        if self.samples.is_empty() || random.below(16) == 0 {
            let pieces = random.below(40);
            return (0..pieces).flat_map(|_| self.piece(random)).collect();
        }
        let mut bytes = self.samples[random.below(self.samples.len())].clone();
        for _ in 0..=random.below(6) {
            self.damage(&mut bytes, random);
        }
        bytes
    }

    fn damage(&self, bytes: &mut Vec<u8>, random: &mut Random) {
        let at = random.below(bytes.len() + 1);
        let end = at + random.below(40).min(bytes.len() - at);
        match random.below(12) {
            0 | 1 => *bytes = random.damaged(bytes),
            2 | 3 => drop(bytes.splice(at..at, self.piece(random))),
            4 => drop(bytes.splice(at..end, self.piece(random))),
            5 => drop(bytes.drain(at..end)),
            6 => {
                let piece = bytes[at..end].to_vec();
                let to = random.below(bytes.len() + 1);
                bytes.splice(to..to, piece);
            }
            7 => {
                let other = &self.samples[random.below(self.samples.len())];
                let from = random.below(other.len() + 1);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            // a number that counts something
            8 => {
                let number = random.pick(&["0", "1", "255", "65536", "4294967295", "9"]).repeat(2);
                bytes.splice(at..at, number.into_bytes());
            }
            9 => {
                let byte = [0, 0x7f, 0x80, 0xff][random.below(4)];
                bytes[at..end.min(at + 4)].fill(byte);
            }
            10 if random.below(8) == 0 => {
                let piece = self.piece(random);
                let count = random.below(RUN) / piece.len().max(1);
                bytes.splice(at..at, piece.repeat(count));
            }
            _ => bytes.truncate(end.max(1)),
        }
    }

    /// A word, or a byte.
    fn piece(&self, random: &mut Random) -> Vec<u8> {
        match self.words {
            [_, ..] if random.below(3) > 0 => self.words[random.below(self.words.len())].to_vec(),
            _ => random.bytes(1),
        }
    }
}

/// A smaller case that is `bad` too: pieces are left out, then bytes made to be `a`.
fn shrunk(bytes: &[u8], bad: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let (mut best, mut left) = (bytes.to_vec(), ATTEMPTS);
    let end = Instant::now() + SHRINKING;
    let mut tried = |case: &[u8]| {
        left = left.saturating_sub(1);
        left > 0 && Instant::now() < end && bad(case)
    };
    let mut size = best.len().div_ceil(2);
    while size > 0 {
        let (before, mut at) = (best.len(), 0);
        while at < best.len() {
            let mut case = best.clone();
            case.drain(at..(at + size).min(best.len()));
            if tried(&case) { best = case } else { at += size }
        }
        if size == 1 && best.len() == before {
            break;
        }
        size = if best.len() < before { size.min(best.len()) } else { size / 2 };
    }
    for at in 0..best.len() {
        let was = std::mem::replace(&mut best[at], b'a');
        if was != b'a' && !tried(&best) {
            best[at] = was;
        }
    }
    best
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// What a check says in its panic about these bytes; nothing if they do no harm.
fn said(check: &impl Fn(&[u8]), bytes: &[u8]) -> Option<String> {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                before(info);
            }
        }));
    });
    QUIET.set(true);
    let done = catch_unwind(AssertUnwindSafe(|| check(bytes)));
    QUIET.set(false);
    let why = done.err()?;
    let text = why.downcast_ref::<String>().cloned();
    Some(text.or(why.downcast_ref::<&str>().map(|text| text.to_string())).unwrap_or_default())
}

/// Looks whether a case takes too long.
struct Watch {
    present: Arc<Mutex<Option<(Instant, Vec<u8>)>>>,
    /// Its end is the end of the watch.
    _end: Sender<()>,
}

impl Watch {
    fn new(name: &str) -> Watch {
        let name = name.to_owned();
        let (end, over) = channel();
        let present: Arc<Mutex<Option<(Instant, Vec<u8>)>>> = Arc::default();
        let theirs = Arc::clone(&present);
        thread::spawn(move || {
            while over.recv_timeout(HANG / 4) == Err(RecvTimeoutError::Timeout) {
                if let Some((start, bytes)) = &*theirs.lock().unwrap()
                    && start.elapsed() > HANG
                {
                    eprintln!("{name} hangs: b\"{}\"", bytes.escape_ascii());
                    process::abort();
                }
            }
        });
        Watch { present, _end: end }
    }

    fn over<T>(&self, bytes: &[u8], work: impl FnOnce() -> T) -> T {
        *self.present.lock().unwrap() = Some((Instant::now(), bytes.to_vec()));
        let done = work();
        *self.present.lock().unwrap() = None;
        done
    }
}
