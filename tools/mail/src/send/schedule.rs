//! When messages are tried: the next try of each, and a queue by time.

use super::rewrite::Side;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Seconds until something is tried again that failed for a reason of this host.
pub const SYSTEM_FAILURE: u64 = 123;

/// When the next try comes after one that begins now. A message is tried ever more seldom: the
/// square root of its age grows by 10 (local) or 20 (remote) from try to try.
pub fn next_try(birth: u64, now: u64, side: Side) -> u64 {
    let step = match side {
        Side::Local => 10,
        Side::Remote => 20,
    };
    let root = now.saturating_sub(birth).isqrt() + step;
    birth.saturating_add(root.saturating_mul(root))
}

/// Messages by the time at which something is to be done about them; 16 bytes each.
#[derive(Debug, Default)]
pub struct Schedule(BinaryHeap<Reverse<(u64, u64)>>);

impl Schedule {
    /// Adds a message for a time in seconds.
    pub fn add(&mut self, time: u64, message: u64) {
        self.0.push(Reverse((time, message)));
    }

    /// The earliest time.
    pub fn next(&self) -> Option<u64> {
        self.0.peek().map(|Reverse((time, _))| *time)
    }

    /// Takes the message with the earliest time, if that has come.
    pub fn take_due(&mut self, now: u64) -> Option<u64> {
        if self.next()? > now {
            return None;
        }
        self.0.pop().map(|Reverse((_, message))| message)
    }

    /// Makes everything due, for instance after the network has come back.
    pub fn all_due(&mut self, now: u64) {
        let all = std::mem::take(&mut self.0).into_vec();
        let due = all.into_iter().map(|Reverse((time, message))| Reverse((time.min(now), message)));
        self.0 = due.collect();
    }

    /// All times and messages, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.iter().map(|Reverse(entry)| *entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gaps_between_tries_grow() {
        let after = |age: u64, side| next_try(1000, 1000 + age, side) - 1000;
        assert_eq!([0, 400, 1600].map(|age| after(age, Side::Remote)), [400, 1600, 3600]);
        assert_eq!([0, 100, 400].map(|age| after(age, Side::Local)), [100, 400, 900]);
        assert_eq!(after(86_400, Side::Remote), 313 * 313);
        assert_eq!(after(86_400, Side::Local), 303 * 303);
        assert_eq!(next_try(5000, 1000, Side::Remote), 5400);
        assert_eq!(next_try(u64::MAX, 0, Side::Remote), u64::MAX);
    }

    #[test]
    fn the_earliest_message_comes_first_and_none_before_its_time() {
        let mut schedule = Schedule::default();
        for (time, message) in [(30, 3), (10, 1), (20, 2)] {
            schedule.add(time, message);
        }
        assert_eq!((schedule.next(), schedule.take_due(9)), (Some(10), None));
        assert_eq!((schedule.take_due(10), schedule.take_due(19)), (Some(1), None));
        schedule.all_due(19);
        assert_eq!([19; 3].map(|now| schedule.take_due(now)), [Some(2), Some(3), None]);
    }
}
