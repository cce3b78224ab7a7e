//! Times as people name them to look into a log, and as labels say them.

use crate::label::{self, Start};
use base::date::Date;
use base::number::{decimal, digits};
use base::sys::clock;
use base::tai64;
use std::time::Duration;

/// The digits of a label, which sort by time.
pub type Moment = [u8; 24];

/// Before all labels.
pub const FIRST: Moment = [b'0'; 24];

const DAY: u64 = 86400;

/// The time of a line's label. A label of 16 digits has no nanoseconds.
pub fn of_line(line: &[u8]) -> Option<Moment> {
    match label::start(line, true) {
        Start::Label { nanoseconds: Some(_), .. } => line.get(1..)?.first_chunk().copied(),
        Start::Label { second, nanoseconds: None, .. } => {
            let mut moment = FIRST;
            moment[..16].copy_from_slice(second);
            Some(moment)
        }
        _ => None,
    }
}

/// The time in the name of an old log file.
pub fn of_name(name: &[u8]) -> Option<Moment> {
    let digits: &Moment = name.strip_prefix(b"@")?.first_chunk()?;
    digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')).then_some(*digits)
}

/// Reads `@LABEL`, `YYYY-MM-DD`, `YYYY-MM-DD HH:MM`, `YYYY-MM-DD HH:MM:SS`, `today`, or `-15m`: so
/// many seconds, minutes, hours, days or weeks (s m h d w) before `now`. Dates are local.
pub fn parse(text: &[u8], now: Duration) -> Option<Moment> {
    match text {
        [b'@', ..] => of_line(text).filter(|_| matches!(text.len(), 17 | 25)),
        [b'-', ago @ ..] => Some(moment(now.saturating_sub(interval(ago)?))),
        b"today" => {
            let today = clock::local(i64::try_from(now.as_secs()).ok()?).ok()?;
            local(today.year, today.month.into(), today.day.into(), 0).map(at_second)
        }
        _ => calendar(text).map(at_second),
    }
}

/// `15m`, `2h`.
fn interval(text: &[u8]) -> Option<Duration> {
    let (number, unit) = digits(text)?;
    let seconds = match unit {
        b"s" => 1,
        b"m" => 60,
        b"h" => 3600,
        b"d" => DAY,
        b"w" => 7 * DAY,
        _ => return None,
    };
    number.checked_mul(seconds).map(Duration::from_secs)
}

/// `2026-11-22`, with a time of day or without.
fn calendar(text: &[u8]) -> Option<u64> {
    let (date, time) = text.split_at_checked(10)?;
    let ([year, month, day], []) = (numbers::<3>(date, b'-', [4, 2, 2])?, &[][..] as &[u8]) else {
        return None;
    };
    let second = match time {
        [] => 0,
        [b' ' | b'T', time @ ..] if time.len() == 5 => {
            let [hour, minute] = numbers(time, b':', [2, 2])?;
            (hour < 24 && minute < 60).then_some(hour * 3600 + minute * 60)?
        }
        [b' ' | b'T', time @ ..] => {
            let [hour, minute, second] = numbers(time, b':', [2, 2, 2])?;
            let good = hour < 24 && minute < 60 && second <= 60;
            good.then_some(hour * 3600 + minute * 60 + second)?
        }
        _ => return None,
    };
    local(i64::try_from(year).ok()?, month, day, second)
}

/// Numbers of so many digits each, with a separator in between.
fn numbers<const N: usize>(text: &[u8], between: u8, lengths: [usize; N]) -> Option<[u64; N]> {
    let mut parts = text.split(|byte| *byte == between);
    let mut found = [0; N];
    for (number, length) in found.iter_mut().zip(lengths) {
        *number = decimal(parts.next().filter(|part| part.len() == length)?)?;
    }
    parts.next().is_none().then_some(found)
}

/// The Unix time of a local date and a second of that day. In an hour that a change of the clock
/// skips or repeats, it is one of those that may be meant.
fn local(year: i64, month: u64, day: u64, second: u64) -> Option<u64> {
    let days = days(year, i64::try_from(month).ok()?, i64::try_from(day).ok()?);
    let date = Date::utc(days * DAY as i64);
    // February 30 is none.
    let same = (date.year, date.month as u64 + 1, u64::from(date.day)) == (year, month, day);
    let utc = same.then_some(days * DAY as i64 + i64::try_from(second).ok()?)?;
    let nearly = utc - clock::local(utc).ok()?.offset;
    u64::try_from(utc - clock::local(nearly).ok()?.offset).ok()
}

/// Days from 1970-01-01 to a date; years are counted from March, as in [`Date::utc`].
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let before = 365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    before + (153 * month + 2) / 5 + day - 1 - 719_468
}

fn at_second(second: u64) -> Moment {
    moment(Duration::from_secs(second))
}

fn moment(time: Duration) -> Moment {
    let mut moment = FIRST;
    moment.copy_from_slice(&tai64::label(time)[1..]);
    moment
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_800_000_000);

    /// Seconds since 1970.
    fn seconds(text: &str) -> Option<u64> {
        let moment = parse(text.as_bytes(), NOW)?;
        tai64::hex(&moment[..16])?.checked_sub(tai64::EPOCH)
    }

    #[test]
    fn times_are_labels_or_intervals() {
        assert_eq!(seconds("@4000000037c219bf2ef02e94"), Some(935467445));
        assert_eq!(seconds("@4000000037c219bf"), Some(935467445));
        assert_eq!(seconds("-15m"), Some(1_800_000_000 - 900));
        assert_eq!(seconds("-2h"), Some(1_800_000_000 - 7200));
        assert_eq!(seconds("-3d"), Some(1_800_000_000 - 3 * 86400));
        assert_eq!(seconds("-1w"), Some(1_800_000_000 - 7 * 86400));
        assert_eq!(seconds("-99999999999s"), Some(0));
    }

    #[test]
    fn dates_are_local() {
        for text in ["2026-11-22", "2026-11-22 00:00", "2024-02-29 23:59:59", "2026-07-01T12:30"] {
            let local = clock::local(seconds(text).unwrap() as i64).unwrap();
            let clock::Local { year, month, day, hour, minute, second, .. } = local;
            let shown = format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}");
            assert!(shown.starts_with(&text.replace('T', " ")), "{text} {shown}");
        }
        let midnight = seconds("today").unwrap();
        let local = clock::local(midnight as i64).unwrap();
        assert_eq!((local.hour, local.minute, local.second), (0, 0, 0));
        assert!((0..=86400).contains(&(NOW.as_secs() - midnight)));
    }

    #[test]
    fn everything_else_is_no_time() {
        for text in [
            "",
            "@",
            "@4000",
            "now",
            "-",
            "-5",
            "-m",
            "-5y",
            "2026",
            "2026-1-1",
            "2026-13-01",
            "2026-02-29",
            "2026-00-10",
            "2026-11-22 ",
            "2026-11-22 24:00",
            "2026-11-22 1:00",
            "2026-11-22 12:60",
            "2026-11-22 12:00:61",
            "2026-11-22x12:00",
            "1960-01-01",
            "@4000000037c219bf2ef02e94 ",
            "-99999999999999999999d",
            "\u{e9}026-11-22",
        ] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    #[test]
    fn any_bytes_are_a_time_or_none() {
        let mut random = ::tests::Random::new(3);
        for case in 0..10_000 {
            let texts = [&b"2026-11-22 12:34:56"[..], b"@4000000037c219bf2ef02e94", b"-15m"];
            parse(&random.damaged(texts[case % 3]), NOW);
        }
    }
}
