//! qmail-send in a storm: messages, reports, signals, stops and kills in any order. Everybody gets
//! his message once, and who sent it hears of everybody who did not.

use crate::installation::{Installation, installation};
use crate::sending::{LOCAL, Order, REMOTE, Sending, sending};
use std::collections::BTreeMap;
use tests::{LIMIT, Random, until};

/// Who hears of failures.
const SENDER: &str = "me@bounces.example";

/// How a run of qmail-send ends.
#[derive(Clone, Copy, PartialEq)]
enum End {
    /// It is told to stop, and waits for its deliveries.
    Term,
    /// It is killed, and its deliveries are cut off.
    Kill,
}

struct Storm {
    home: Installation,
    sending: Sending,
    random: Random,
    /// Orders without a report.
    held: Vec<(usize, Order)>,
    /// The last word on each recipient, in order: `K` or `D`.
    words: BTreeMap<String, String>,
    /// How often a bounce has named each recipient.
    named: BTreeMap<String, usize>,
}

impl Storm {
    fn new(seed: u64) -> Storm {
        let home = installation();
        let sending = sending(&home);
        let random = Random::new(seed);
        let (held, words, named) = Default::default();
        Storm { home, sending, random, held, words, named }
    }

    /// Queues a message to some recipients nobody else has, on both sides.
    fn queue(&mut self, number: usize) {
        let domains = ["a.example", "far.example"];
        let count = 1 + self.random.below(5);
        let recipients: Vec<String> =
            (0..count).map(|n| format!("m{number}r{n}@{}", self.random.pick(&domains))).collect();
        let shown: Vec<&str> = recipients.iter().map(String::as_str).collect();
        self.home.send("text\n", SENDER, &shown);
        self.words.extend(recipients.into_iter().map(|recipient| (recipient, String::new())));
    }

    /// Takes the orders that have come.
    fn listen(&mut self) {
        for side in [LOCAL, REMOTE] {
            while !self.sending.is_silent(side) {
                self.held.push((side, self.sending.order(side)));
            }
        }
    }

    /// Reports about one of the orders that are held; `Z`, too, if everything may take longer.
    fn report(&mut self, letters: &[&str]) {
        if self.held.is_empty() {
            return;
        }
        let (side, order) = self.held.swap_remove(self.random.below(self.held.len()));
        let letter = self.random.pick(letters).to_owned();
        if order.recipient == SENDER {
            self.bounce_came(&order);
            return self.sending.report(side, order.number, "K");
        }
        if letter != "Z" {
            self.words.get_mut(&order.recipient).unwrap().push_str(&letter);
        }
        self.sending.report(side, order.number, &letter);
    }

    fn bounce_came(&mut self, order: &Order) {
        assert_eq!(order.sender, "");
        let text = self.home.place().text(format!("queue/mess/{}", order.message));
        let (failures, _) = text.split_once("--- Below this line").unwrap();
        let entries = failures.lines().filter_map(|line| line.strip_prefix('<'));
        for recipient in entries.filter_map(|line| line.strip_suffix(">:")) {
            *self.named.entry(recipient.into()).or_default() += 1;
        }
    }

    /// Ends qmail-send, and starts another one.
    fn restart(&mut self, end: End) {
        if end == End::Kill {
            self.sending.run.signal(libc::SIGKILL);
            self.sending.run.wait(LIMIT);
            self.held.clear();
        } else {
            self.sending.run.signal(libc::SIGTERM);
            until(LIMIT, "qmail-send has ended", || {
                self.listen();
                self.report(&["K", "Z", "D"]);
                self.held.is_empty() && self.sending.run.ended().is_some()
            });
        }
        self.sending = sending(&self.home);
    }

    /// Lets it happen, then has everything come to its end.
    fn rage(&mut self, end: End) {
        for number in 0..60 {
            match self.random.below(12) {
                0 => self.restart(end),
                1 => self.sending.run.signal(libc::SIGALRM),
                2 => self.sending.run.signal(libc::SIGHUP),
                _ => {}
            }
            self.queue(number);
            self.listen();
            for _ in 0..self.random.below(8) {
                self.report(&["K", "Z", "D"]);
            }
        }
        // whoever is killed may leave a text of nobody, to be removed after 36 hours
        let may_stay = if end == End::Kill { &["mess", "intd"][..] } else { &[] };
        until(LIMIT * 3, "nobody waits for anything", || {
            self.listen();
            self.report(&["K", "D"]);
            self.sending.run.signal(libc::SIGALRM);
            self.home.folders().iter().all(|folder| may_stay.contains(folder))
        });
    }
}

#[test]
fn everybody_is_served_once_or_named_in_one_bounce() {
    for seed in 0..2 {
        let mut storm = Storm::new(seed);
        storm.rage(End::Term);
        for (recipient, words) in &storm.words {
            assert!(["K", "D"].contains(&words.as_str()), "{seed}: {recipient} {words:?}");
            let named = storm.named.get(recipient).copied().unwrap_or_default();
            assert_eq!(named, usize::from(words == "D"), "{seed}: {recipient} {words}");
        }
    }
}

/// A delivery whose report is not heard is made again: its last report counts.
#[test]
fn whoever_is_not_served_is_named_however_often_it_is_killed() {
    for seed in 0..2 {
        let mut storm = Storm::new(seed);
        storm.rage(End::Kill);
        for (recipient, words) in &storm.words {
            let named = storm.named.contains_key(recipient);
            assert!(words.ends_with('K') || words.ends_with('D') && named, "{seed}: {recipient}");
        }
    }
}
