//! Calendar dates of Unix times, in UTC, proleptic Gregorian.

/// English names of the months, as mail shows them.
pub const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// English names of the days of the week, from Sunday.
pub const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

/// A moment taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date {
    /// The year, say 2026.
    pub year: i64,
    /// 0 is January.
    pub month: usize,
    /// Day of the month, from 1.
    pub day: u32,
    /// 0 is Sunday.
    pub weekday: usize,
    /// 0..=23.
    pub hour: u32,
    /// 0..=59.
    pub minute: u32,
    /// 0..=59.
    pub second: u32,
}

impl Date {
    /// The UTC date of a Unix time.
    pub fn utc(seconds: i64) -> Self {
        let days = seconds.div_euclid(86400);
        let second = seconds.rem_euclid(86400) as u32;
        // Years are counted from March, so that the leap day is the last one. 146097 days are
        // 400 years; 719468 days lie between 0000-03-01 and 1970-01-01.
        let era = (days + 719_468).div_euclid(146_097);
        let day = (days + 719_468).rem_euclid(146_097);
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        Date {
            year: era * 400 + year + i64::from(month >= 10),
            month: ((month + 2) % 12) as usize,
            day: (day - (153 * month + 2) / 5 + 1) as u32,
            weekday: (days + 4).rem_euclid(7) as usize,
            hour: second / 3600,
            minute: second / 60 % 60,
            second: second % 60,
        }
    }

    /// As mail headers of this family show it: `7 Nov 2026 09:05:03 -0000`.
    pub fn mail(&self) -> String {
        let Date { year, day, hour, minute, second, .. } = *self;
        let month = MONTHS[self.month];
        format!("{day} {month} {year} {hour:02}:{minute:02}:{second:02} -0000")
    }

    /// As mbox separators show it (asctime): `Sat Nov 07 09:05:03 2026`.
    pub fn mbox(&self) -> String {
        let Date { year, day, hour, minute, second, .. } = *self;
        let (weekday, month) = (DAYS[self.weekday], MONTHS[self.month]);
        format!("{weekday} {month} {day:02} {hour:02}:{minute:02}:{second:02} {year}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_dates() {
        let shown = |seconds| (Date::utc(seconds).mail(), Date::utc(seconds).mbox());
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(shown(0), pair("1 Jan 1970 00:00:00 -0000", "Thu Jan 01 00:00:00 1970"));
        let leap = pair("29 Feb 2000 23:59:59 -0000", "Tue Feb 29 23:59:59 2000");
        assert_eq!(shown(951868799), leap);
        assert_eq!(shown(-1), pair("31 Dec 1969 23:59:59 -0000", "Wed Dec 31 23:59:59 1969"));
        let last = pair("31 Dec 2100 00:00:00 -0000", "Fri Dec 31 00:00:00 2100");
        assert_eq!(shown(4133894400), last);
    }
}
