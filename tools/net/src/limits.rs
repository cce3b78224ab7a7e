//! Limits on the connections from one place, and the count of them.

use base::number::{decimal, digits};
use base::sys::wait::Pid;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Instant;

/// So many connections are remembered for [`Limits::rate`], from all places together.
const REMEMBERED: usize = 4096;

/// The variable of [`Limits::rate`].
pub const RATE: &str = "RATEIP";

/// Where a connection comes from: an IPv4 address, or an IPv6 network of 64 bits, which is what
/// one customer has. The number is the address, or those 64 bits, which are never so small: the
/// networks below 2^32 are reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(u64);

impl Place {
    /// Of this peer.
    pub fn of(peer: IpAddr) -> Self {
        match peer.to_canonical() {
            IpAddr::V4(v4) => Place(u32::from(v4).into()),
            IpAddr::V6(v6) => Place((u128::from(v6) >> 64) as u64),
        }
    }

    /// The neighbourhood: an IPv4 network of 24 bits, an IPv6 network of 48.
    fn around(self) -> Self {
        let six = self.0 > u32::MAX.into();
        Place(if six { self.0 & !0xffff } else { self.0 & !0xff })
    }
}

/// Limits, as variables give them. No limit without the variable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// MAXCONNIP: at so many other connections from the same place, this one is refused.
    pub from_place: Option<u64>,
    /// MAXCONNC: the same for its neighbourhood.
    pub from_around: Option<u64>,
    /// MAXLOAD: the load of the last minute times 100, above which all are refused; 0 is none.
    pub load: Option<u64>,
    /// RATEIP: more than so many connections from the same place in so many seconds are refused.
    pub rate: Option<(u64, u64)>,
}

/// What is counted, for one new connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Other connections from the same place that are open.
    pub from_place: u64,
    /// And from its neighbourhood.
    pub from_around: u64,
    /// The load of the last minute times 100.
    pub load: u64,
    /// Connections from the same place within the time of [`Limits::rate`], this one included.
    pub recent: u64,
}

impl Limits {
    /// Reads them from variables. An error is the variable, `NAME=VALUE`, that is no limit.
    pub fn read<'a>(get: impl Fn(&str) -> Option<&'a [u8]>) -> Result<Self, Vec<u8>> {
        let wrong = |name: &str, value: &[u8]| [name.as_bytes(), b"=", value].concat();
        let number = |name| {
            let read = |value| decimal(value).ok_or_else(|| wrong(name, value));
            get(name).map(read).transpose()
        };
        let read_rate = |value| rate(value).ok_or_else(|| wrong(RATE, value));
        Ok(Limits {
            from_place: number("MAXCONNIP")?,
            from_around: number("MAXCONNC")?,
            load: number("MAXLOAD")?.filter(|load| *load > 0),
            rate: get(RATE).map(read_rate).transpose()?,
        })
    }

    /// The first limit that a connection exceeds, as logs have it: `MAXCONNIP:2`.
    pub fn exceeded(&self, counts: Counts) -> Option<String> {
        if let Some(most) = self.from_place
            && counts.from_place >= most
        {
            return Some(format!("MAXCONNIP:{most}"));
        }
        if let Some(most) = self.from_around
            && counts.from_around >= most
        {
            return Some(format!("MAXCONNC:{most}"));
        }
        if self.load.is_some_and(|most| counts.load > most) {
            return Some(format!("LOAD:{}", counts.load));
        }
        match self.rate {
            Some((most, seconds)) if counts.recent > most => {
                Some(format!("{RATE}:{most}/{seconds}"))
            }
            _ => None,
        }
    }
}

/// `N/SECONDS`.
fn rate(text: &[u8]) -> Option<(u64, u64)> {
    let (most, rest) = digits(text)?;
    Some((most, decimal(rest.strip_prefix(b"/")?)?))
}

/// The load of the last minute times 100, from the text of /proc/loadavg.
pub fn load(text: &[u8]) -> Option<u64> {
    let (whole, rest) = digits(text)?;
    let (hundredths, _) = digits(rest.strip_prefix(b".")?)?;
    whole.checked_mul(100)?.checked_add(hundredths)
}

/// The children that serve connections, and when connections came.
pub struct Tally {
    children: Vec<(Pid, Place)>,
    /// In milliseconds since the start.
    recent: VecDeque<(u64, Place)>,
    start: Instant,
}

impl Tally {
    /// Counting starts now.
    pub fn new(start: Instant) -> Self {
        // All at once: memory that is not used yet costs nothing, and growing leaves holes.
        Tally { children: Vec::new(), recent: VecDeque::with_capacity(REMEMBERED), start }
    }

    /// A connection has come.
    pub fn came(&mut self, now: Instant, place: Place) {
        if self.recent.len() == REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back((self.milliseconds(now), place));
    }

    fn milliseconds(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.start).as_millis() as u64
    }

    /// A child serves it.
    pub fn started(&mut self, pid: Pid, place: Place) {
        self.children.push((pid, place));
    }

    /// A child has ended.
    pub fn ended(&mut self, pid: Pid) {
        if let Some(at) = self.children.iter().position(|(known, _)| *known == pid) {
            self.children.swap_remove(at);
        }
    }

    /// How many children there are.
    pub fn children(&self) -> usize {
        self.children.len()
    }

    /// The counts for a connection that has come and has no child yet, but for the load.
    pub fn counts(&self, now: Instant, place: Place, limits: &Limits) -> Counts {
        let others = || self.children.iter().map(|(_, place)| *place);
        let span = limits.rate.map_or(0, |(_, seconds)| seconds.saturating_mul(1000));
        let since = self.milliseconds(now).saturating_sub(span);
        let recent = self.recent.iter().filter(|(at, from)| *from == place && *at >= since);
        Counts {
            from_place: others().filter(|other| *other == place).count() as u64,
            from_around: others().filter(|o| o.around() == place.around()).count() as u64,
            load: 0,
            recent: recent.count() as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn limits(variables: &[(&str, &str)]) -> Result<Limits, String> {
        let value = |name: &str| variables.iter().find(|(known, _)| *known == name);
        Limits::read(|name| value(name).map(|(_, value)| value.as_bytes()))
            .map_err(|wrong| String::from_utf8(wrong).unwrap())
    }

    #[test]
    fn limits_are_read_or_named() {
        let all = [("MAXCONNIP", "1"), ("MAXCONNC", "2"), ("MAXLOAD", "3"), ("RATEIP", "4/5")];
        let expected =
            Limits { from_place: Some(1), from_around: Some(2), load: Some(3), rate: Some((4, 5)) };
        assert_eq!(limits(&all), Ok(expected));
        assert_eq!(limits(&[("MAXLOAD", "0")]), Ok(Limits::default()));
        for wrong in [("MAXCONNIP", ""), ("MAXCONNC", "3x"), ("RATEIP", "4"), ("RATEIP", "4/")] {
            assert_eq!(limits(&[wrong]), Err(format!("{}={}", wrong.0, wrong.1)));
        }
    }

    #[test]
    fn the_first_exceeded_limit_is_named() {
        let limits = Limits {
            from_place: Some(2),
            from_around: Some(3),
            load: Some(150),
            rate: Some((5, 60)),
        };
        let exceeded = |from_place, from_around, load, recent| {
            limits.exceeded(Counts { from_place, from_around, load, recent }).unwrap_or_default()
        };
        assert_eq!(exceeded(1, 2, 150, 5), "");
        assert_eq!(exceeded(2, 9, 999, 9), "MAXCONNIP:2");
        assert_eq!(exceeded(1, 3, 999, 9), "MAXCONNC:3");
        assert_eq!(exceeded(1, 2, 151, 9), "LOAD:151");
        assert_eq!(exceeded(1, 2, 150, 6), "RATEIP:5/60");
        let never = Limits { from_place: Some(0), ..Limits::default() };
        assert_eq!(never.exceeded(Counts::default()).unwrap(), "MAXCONNIP:0");
    }

    #[test]
    fn connections_are_counted_by_place_and_neighbourhood() {
        let place = |ip: &str| Place::of(ip.parse().unwrap());
        let mut tally = Tally::new(Instant::now());
        let ips = ["1.2.3.4", "::ffff:1.2.3.4", "1.2.3.5", "1.2.4.4", "1:2:3:4::1", "1:2:3:5::1"];
        for (pid, ip) in (1..).zip(ips) {
            tally.started(pid, place(ip));
        }
        let counted = |tally: &Tally, ip: &str| {
            let counts = tally.counts(Instant::now(), place(ip), &Limits::default());
            (counts.from_place, counts.from_around)
        };
        assert_eq!(counted(&tally, "1.2.3.4"), (2, 3));
        assert_eq!(counted(&tally, "1:2:3:4:5:6:7:8"), (1, 2));
        tally.ended(1);
        tally.ended(99);
        assert_eq!((counted(&tally, "1.2.3.4"), tally.children()), ((1, 2), 5));
    }

    #[test]
    fn rates_count_this_connection_and_forget_old_ones() {
        let start = Instant::now();
        let mut tally = Tally::new(start);
        let (here, there) = (Place(1), Place(1 << 32));
        let limits = Limits { rate: Some((1, 10)), ..Limits::default() };
        for second in [0, 5, 12] {
            tally.came(start + Duration::from_secs(second), here);
            tally.came(start + Duration::from_secs(second), there);
        }
        let recent =
            |second| tally.counts(start + Duration::from_secs(second), here, &limits).recent;
        assert_eq!((recent(12), recent(22), recent(23)), (2, 1, 0));
        let mut full = Tally::new(Instant::now());
        (0..2 * REMEMBERED).for_each(|_| full.came(start, here));
        assert_eq!(full.counts(start, here, &limits).recent, REMEMBERED as u64);
    }

    #[test]
    fn the_load_is_the_first_number() {
        assert_eq!(load(b"0.52 0.58 0.59 1/1 1"), Some(52));
        assert_eq!((load(b"12.05 "), load(b""), load(b"x")), (Some(1205), None, None));
    }
}
