//! qmail-send in a storm: messages, reports, signals, stops and kills in any order. Everybody gets
//! his message once, and who sent it hears of everybody who did not.

use crate::installation::{Installation, installation};
use crate::sending::{CLEAN, LOCAL, Order, REMOTE, Sending, sending, sending_uncleaned};
use std::collections::BTreeMap;
use std::fs;
use tests::{LIMIT, Random, until};

/// Who hears of failures.
const SENDER: &str = "me@bounces.example";

/// What happens to qmail-send now and then.
#[derive(Clone, Copy, PartialEq)]
enum Blow {
    /// It is told to stop, and waits for its deliveries.
    Term,
    /// It is killed, and its deliveries are cut off.
    Kill,
    /// qmail-clean cannot remove something.
    Stuck,
    /// Folders of the queue cannot be used.
    Denied,
}

struct Storm {
    home: Installation,
    sending: Sending,
    blow: Blow,
    random: Random,
    /// Orders without a report.
    held: Vec<(usize, Order)>,
    /// The last word on each recipient, in order: `K` or `D`.
    words: BTreeMap<String, String>,
    /// How often a bounce has named each recipient.
    named: BTreeMap<String, usize>,
}

impl Storm {
    fn new(blow: Blow) -> Storm {
        let home = installation();
        let sending = if blow == Blow::Stuck { sending_uncleaned(&home) } else { sending(&home) };
        let random = Random::new(1);
        let (held, words, named) = Default::default();
        Storm { home, sending, blow, random, held, words, named }
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

    /// Does what qmail-clean is asked for; one request of so many is not carried out.
    fn clean(&mut self, failing: usize) {
        while self.blow == Blow::Stuck && !self.sending.is_silent(CLEAN) {
            let request = self.sending.request();
            let (what, number) = request.split_once('/').unwrap();
            let number = number.parse().unwrap();
            let fails = self.random.below(failing) == 1;
            for folder in ["intd", if what == "foop" { "mess" } else { what }] {
                if !fails {
                    let _ = fs::remove_file(self.home.join(self.home.file(folder, number)));
                }
            }
            self.sending.say(CLEAN, if fails { "!" } else { "+" });
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

    /// Has some folders be of no use to qmail-send, or none.
    fn deny(&mut self, some: usize) {
        for folder in ["info", "local", "remote", "bounce"] {
            let mode = if self.random.below(some) == 1 { 0 } else { 0o700 };
            self.home.place().chmod(format!("queue/{folder}"), mode);
        }
    }

    /// Ends qmail-send, and starts another one.
    fn restart(&mut self) {
        match self.blow {
            Blow::Stuck => return,
            Blow::Denied => return self.deny(2),
            Blow::Kill => {
                self.sending.run.signal(libc::SIGKILL);
                self.sending.run.wait(LIMIT);
                self.held.clear();
            }
            Blow::Term => {
                self.sending.run.signal(libc::SIGTERM);
                until(LIMIT, "qmail-send has ended", || {
                    self.listen();
                    self.report(&["K", "Z", "D"]);
                    self.held.is_empty() && self.sending.run.ended().is_some()
                });
            }
        }
        self.sending = sending(&self.home);
    }

    /// Lets it happen, then has everything come to its end.
    fn rage(&mut self) {
        for number in 0..40 {
            match self.random.below(12) {
                0 => self.restart(),
                1 => self.sending.run.signal(libc::SIGALRM),
                2 => self.sending.run.signal(libc::SIGHUP),
                _ => {}
            }
            self.queue(number);
            self.listen();
            for _ in 0..self.random.below(8) {
                self.report(&["K", "Z", "D"]);
            }
            self.clean(3);
        }
        self.deny(0);
        // a text of nobody may be left, to be removed after 36 hours
        let may_stay = if self.blow == Blow::Term { &[][..] } else { &["mess", "intd"] };
        until(LIMIT * 3, "nobody waits for anything", || {
            self.listen();
            (0..self.held.len()).for_each(|_| self.report(&["K", "D"]));
            self.clean(0);
            self.home.pull_trigger();
            self.sending.run.signal(libc::SIGALRM);
            self.home.folders().iter().all(|folder| may_stay.contains(folder))
        });
    }
}

/// A storm that is over.
#[track_caller]
fn raged(blow: Blow) -> Storm {
    let mut storm = Storm::new(blow);
    storm.rage();
    storm
}

/// Everybody has one last word, and is named in one bounce if that was a bad one.
#[track_caller]
fn served_once(blow: Blow) {
    let storm = raged(blow);
    for (recipient, words) in &storm.words {
        assert!(["K", "D"].contains(&words.as_str()), "{recipient} {words:?}");
        let named = storm.named.get(recipient).copied().unwrap_or_default();
        assert_eq!(named, usize::from(words == "D"), "{recipient} {words}");
    }
}

#[test]
fn everybody_is_served_once_or_named_in_one_bounce() {
    served_once(Blow::Term);
}

#[test]
fn nobody_is_served_twice_because_something_cannot_be_removed_for_now() {
    served_once(Blow::Stuck);
}

/// A delivery whose report is not heard is made again: its last report counts.
#[test]
fn whoever_is_not_served_is_named_however_often_it_is_killed() {
    let storm = raged(Blow::Kill);
    for (recipient, words) in &storm.words {
        let named = storm.named.contains_key(recipient);
        assert!(words.ends_with('K') || words.ends_with('D') && named, "{recipient} {words}");
    }
}

/// A failure that cannot be noted is no failure yet.
#[test]
fn nobody_is_forgotten_because_folders_cannot_be_used_for_a_while() {
    let storm = raged(Blow::Denied);
    for (recipient, words) in &storm.words {
        let last = words.trim_start_matches('D');
        let named = storm.named.contains_key(recipient);
        assert!(last == "K" && !named || last.is_empty() && named, "{recipient} {words}");
    }
}
