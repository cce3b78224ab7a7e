//! When a service may be started again.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A service is not started more often than once in this time.
const PACE: Duration = Duration::from_secs(1);
/// A run of this length has been a success: the next delay is the first again.
const SUCCESS: Duration = Duration::from_secs(60);

/// What is remembered of starts and deaths.
#[derive(Default)]
pub struct Pace {
    started: Option<Instant>,
    /// Seconds of the last delay.
    delay: u64,
    /// The latest deaths, as far as `max-restarts` asks.
    deaths: VecDeque<Instant>,
}

impl Pace {
    /// It has been started.
    pub fn started(&mut self, now: Instant) {
        self.started = Some(now);
    }

    /// The soonest start that anybody can ask for.
    pub fn soonest(&self, now: Instant) -> Instant {
        self.started.map_or(now, |started| started + PACE).max(now)
    }

    /// It has died. When it may start again by itself: after 1, 2, 4 ... seconds, at most
    /// `longest`, if that is given.
    pub fn died(&mut self, now: Instant, longest: Option<u64>) -> Instant {
        let Some(longest) = longest else {
            return self.soonest(now);
        };
        let lived = self.started.map_or(Duration::ZERO, |started| now - started);
        self.delay = if lived < SUCCESS { (self.delay * 2).clamp(1, longest) } else { 1 };
        self.soonest(now).max(now + Duration::from_secs(self.delay))
    }

    /// To be called after each death: there have been more than `most` in this time.
    pub fn too_often(&mut self, now: Instant, most: usize, time: Duration) -> bool {
        self.deaths.push_back(now);
        while self.deaths.len() > most + 1 {
            self.deaths.pop_front();
        }
        let oldest = self.deaths.front().filter(|_| self.deaths.len() > most);
        oldest.is_some_and(|oldest| now - *oldest <= time)
    }

    /// Somebody wants it up: what was before does not count.
    pub fn forget(&mut self) {
        self.delay = 0;
        self.deaths.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(number: u64) -> Duration {
        Duration::from_secs(number)
    }

    #[test]
    fn a_second_lies_between_two_starts() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        assert_eq!(pace.soonest(now), now);
        pace.started(now);
        assert_eq!(pace.died(now, None), now + second(1));
        assert_eq!(pace.died(now + second(7), None), now + second(7));
    }

    #[test]
    fn delays_double_until_a_run_succeeds() {
        let (mut pace, mut now) = (Pace::default(), Instant::now());
        let mut delay = |lived: u64| {
            pace.started(now);
            now += second(lived);
            let next = pace.died(now, Some(5));
            let delay = next - now;
            now = next;
            delay.as_secs()
        };
        let lives = [0, 0, 59, 0, 0, 60, 0, 0];
        assert_eq!(lives.map(&mut delay), [1, 2, 4, 5, 5, 1, 2, 4]);
        pace.forget();
        assert_eq!(pace.died(now, Some(5)) - now, second(1));
    }

    #[test]
    fn more_deaths_than_allowed_are_too_many() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        let mut die = |at: u64| pace.too_often(now + second(at), 2, second(10));
        assert_eq!([0, 1, 11, 12, 20].map(&mut die), [false, false, false, false, true]);
        assert!(pace.too_often(now, 0, second(0)));
    }
}
