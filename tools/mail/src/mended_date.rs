//! Dates as people and old programs write them: `Sun, 14 nov 99 22:13 EST`.

use crate::token::Token::{Atom, Colon, Comma, Comment, Semicolon};
use crate::token::parse;
use base::date::MONTHS;
use base::number::decimal;

/// Zones with names, in minutes.
const ZONES: [(&str, i32); 22] = [
    ("UT", 0),
    ("GMT", 0),
    ("Z", 0),
    ("BST", 60),
    ("CDT", -300),
    ("CET", 60),
    ("CEST", 120),
    ("CST", -360),
    ("EDT", -240),
    ("EET", 120),
    ("EST", -300),
    ("HKT", 480),
    ("IST", 120),
    ("JST", 540),
    ("MDT", -360),
    ("MET", 60),
    ("METDST", 120),
    ("MST", -420),
    ("PDT", -420),
    ("PST", -480),
    ("UTC", 0),
    ("WET", 0),
];

/// The date of a Date field, name and colon included, as `14 Nov 1999 22:13:00 -0500`. A zone that
/// nobody knows is `-0000`: RFC 5322, section 4.3. `None` if this is no date.
pub fn mended(field: &[u8]) -> Option<String> {
    let mut words: Vec<_> = parse(field)?.into_iter().skip(2).collect();
    words.retain(|token| !matches!(token, Comment(_)));
    let start = words.iter().rposition(|token| matches!(token, Comma | Semicolon));
    let words = &words[start.map_or(0, |at| at + 1)..];
    let [Atom(day), Atom(month), Atom(year), Atom(hour), Colon, Atom(minute), rest @ ..] = words
    else {
        return None;
    };
    let (second, rest) = match rest {
        [Colon, Atom(second), rest @ ..] => (up_to(second, 60)?, rest),
        rest => (0, rest),
    };
    let [Atom(zone), rest @ ..] = rest else { return None };
    let summer = matches!(rest, [Atom(word), ..] if word.eq_ignore_ascii_case(b"DST"));
    let day = up_to(day, 31).filter(|day| *day > 0)?;
    let month = MONTHS.iter().find(|name| name.as_bytes().eq_ignore_ascii_case(month))?;
    let year = match up_to(year, 9999)? {
        year @ 0..50 => year + 2000,
        year @ 50..999 => year + 1900,
        year => year,
    };
    let (hour, minute) = (up_to(hour, 23)?, up_to(minute, 59)?);
    let zone = offset(zone, summer);
    Some(format!("{day} {month} {year} {hour:02}:{minute:02}:{second:02} {zone}"))
}

fn up_to(digits: &[u8], limit: u64) -> Option<u64> {
    decimal(digits).filter(|number| *number <= limit)
}

/// `+0100`; with DST behind it, an hour more.
fn offset(zone: &[u8], summer: bool) -> String {
    let known = ZONES.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(zone));
    let Some(minutes) = known.map(|(_, minutes)| *minutes).or_else(|| numeric(zone)) else {
        return "-0000".into();
    };
    let minutes = minutes + if summer { 60 } else { 0 };
    let (sign, size) = (if minutes < 0 { '-' } else { '+' }, minutes.abs());
    format!("{sign}{:02}{:02}", size / 60, size % 60)
}

/// Minutes of `+hhmm` or `-hhmm`. `-0000` says that nobody knows.
fn numeric(zone: &[u8]) -> Option<i32> {
    let (sign, digits) = zone.split_first()?;
    let number = i32::try_from(decimal(digits).filter(|number| *number < 2400)?).ok()?;
    let minutes = number / 100 * 60 + number % 100;
    match sign {
        b'+' => Some(minutes),
        b'-' if number > 0 => Some(-minutes),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::tests::Random;

    #[test]
    fn dates_are_mended() {
        let cases = [
            ("14 nov 99 22:13 EST", Some("14 Nov 1999 22:13:00 -0500")),
            ("Sun, 14 Nov 1999 22:13:07 +0130", Some("14 Nov 1999 22:13:07 +0130")),
            ("1 jan 26 0:00 gmt", Some("1 Jan 2026 00:00:00 +0000")),
            ("1 Jan 126 0:00 PST DST", Some("1 Jan 2026 00:00:00 -0700")),
            ("1 Jan 2026 0:00 -0000", Some("1 Jan 2026 00:00:00 -0000")),
            ("1 Jan 2026 0:00 (here) XYZ", Some("1 Jan 2026 00:00:00 -0000")),
            ("1 Jan 2026 0:00", None),
            ("Jan 1 2026 0:00 UT", None),
            ("0 Jan 2026 0:00 UT", None),
            ("1 Jan 2026 24:00 UT", None),
            ("", None),
            ("(", None),
        ];
        for (text, expected) in cases {
            assert_eq!(mended(format!("Date: {text}").as_bytes()).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_mended_date_is_one_that_stays() {
        let mut random = Random::new(37);
        for _ in 0..10_000 {
            let bad = random.damaged(b"Date: Sun, 14 nov 99 22:13:59 -0130 (x) DST");
            if let Some(date) = mended(&bad) {
                assert_eq!(mended(format!("Date: {date}").as_bytes()), Some(date));
            }
        }
    }
}
