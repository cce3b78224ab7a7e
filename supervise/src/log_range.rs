//! Which bytes of a log file lie between two times.

use crate::log_time::{self, Moment};
use base::files::read_at;
use std::fs::File;
use std::io;
use std::ops::Range;

/// Bytes that are looked at together. Smaller ranges are searched from their start on.
const BLOCK: usize = 8192;

/// The times that are asked for: `from` <= label < `until`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    /// Nothing means from the start on.
    pub from: Option<Moment>,
    /// Nothing means to the end.
    pub until: Option<Moment>,
}

impl Times {
    /// Whether a line of this time is asked for.
    pub fn contain(&self, moment: &Moment) -> bool {
        self.from.is_none_or(|from| *moment >= from) && !self.are_over_at(moment)
    }

    /// Whether neither this line nor a later one is asked for.
    pub fn are_over_at(&self, moment: &Moment) -> bool {
        self.until.is_some_and(|until| *moment >= until)
    }
}

/// The bytes of a file that are asked for, and whether later lines than these are in it.
///
/// Lines without a label belong to the label before them. `going_on`: the lines before the first
/// label belong to one that is asked for.
pub fn range(file: &File, times: &Times, going_on: bool) -> io::Result<(Range<u64>, bool)> {
    let length = file.metadata()?.len();
    let start = match &times.from {
        Some(from) if !going_on => first_at(file, length, from)?,
        _ => 0,
    };
    let end = match &times.until {
        Some(until) => first_at(file, length, until)?,
        None => length,
    };
    Ok((start.min(end)..end, end < length))
}

/// Where the first line with this label or a later one starts; `length` if there is none.
fn first_at(file: &File, length: u64, moment: &Moment) -> io::Result<u64> {
    let mut block = [0; BLOCK];
    let count = read_at(file, &mut block, 0)?;
    if log_time::of_line(&block[..count]).is_some_and(|found| found >= *moment) {
        return Ok(0);
    }
    // Every labelled line up to the one at `low` is earlier. No labelled line at or behind the
    // first newline from `high` on is earlier.
    let (mut low, mut high) = (0, length);
    while high - low > BLOCK as u64 {
        let middle = low + (high - low) / 2;
        match next_label(file, middle, high, &mut block)? {
            Some((at, found)) if found < *moment => low = at,
            _ => high = middle,
        }
    }
    while let Some((at, found)) = next_label(file, low, length, &mut block)? {
        if found >= *moment {
            return Ok(at);
        }
        low = at;
    }
    Ok(length)
}

/// The first labelled line behind the first newline from `at` on, if that newline stands before
/// `end`.
fn next_label(
    file: &File,
    mut at: u64,
    end: u64,
    block: &mut [u8; BLOCK],
) -> io::Result<Option<(u64, Moment)>> {
    'blocks: while at < end {
        let count = read_at(file, block, at)?;
        let bytes = &block[..count];
        let wanted = bytes.len().min(usize::try_from(end - at).unwrap_or(usize::MAX));
        for newline in memchr::memchr_iter(b'\n', &bytes[..wanted]) {
            let line = &bytes[newline + 1..];
            if line.len() <= crate::label::DECISIVE && count == BLOCK {
                at += newline as u64;
                continue 'blocks;
            }
            if let Some(moment) = log_time::of_line(line) {
                return Ok(Some((at + newline as u64 + 1, moment)));
            }
        }
        if count == 0 {
            break;
        }
        at += count as u64;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::tests::{Random, scratch};
    use base::tai64;
    use std::time::Duration;

    fn label(second: u64) -> String {
        String::from_utf8_lossy(&tai64::label(Duration::from_secs(second))).into_owned()
    }

    fn moment(second: u64) -> Moment {
        log_time::of_line(label(second).as_bytes()).unwrap()
    }

    /// The same by going through all lines.
    fn slowly(text: &str, moment: &Moment) -> u64 {
        let mut at = 0;
        for line in text.split_inclusive('\n') {
            if log_time::of_line(line.as_bytes()).is_some_and(|found| found >= *moment) {
                break;
            }
            at += line.len();
        }
        at as u64
    }

    #[test]
    fn the_start_is_found_in_any_file() {
        let place = scratch();
        let mut random = Random::new(5);
        for _ in 0..60 {
            let mut text = String::new();
            let mut second = 1_000_000;
            let most = *random.pick(&[&3, &100, &20_000]);
            for _ in 0..random.below(2000) {
                second += random.below(3) as u64;
                if random.below(10) < 7 {
                    text += &label(second);
                }
                text += &"x".repeat(random.below(most).min(random.below(most)));
                text += "\n";
            }
            place.write("log", &text);
            let file = File::open(place.join("log")).unwrap();
            for wanted in [0, 1_000_000, 1_000_500, second, second + 1] {
                let wanted = moment(wanted);
                let found = first_at(&file, text.len() as u64, &wanted).unwrap();
                assert_eq!(found, slowly(&text, &wanted));
            }
        }
    }

    #[test]
    fn lines_without_label_belong_to_the_one_before() {
        let place = scratch();
        let text = format!("0\n{} 1\nmore\n{} 2\nmore\n{} 3\n", label(1), label(2), label(3));
        place.write("log", &text);
        let file = File::open(place.join("log")).unwrap();
        let cut = |from: Option<u64>, until: Option<u64>, going_on| {
            let times = Times { from: from.map(moment), until: until.map(moment) };
            let (range, over) = range(&file, &times, going_on).unwrap();
            (text[range.start as usize..range.end as usize].replace(&label(2), "L"), over)
        };
        assert_eq!(cut(Some(2), Some(3), false), ("L 2\nmore\n".to_owned(), true));
        assert_eq!(cut(None, Some(1), false), ("0\n".to_owned(), true));
        assert_eq!(cut(Some(4), None, false), (String::new(), false));
        assert_eq!(cut(Some(4), Some(2), false), (String::new(), true));
        assert!(cut(Some(1), None, true).0.starts_with("0\n"));
        assert!(cut(Some(1), None, false).0.starts_with('@'));
    }

    #[test]
    fn damaged_files_are_searched_too() {
        let place = scratch();
        let mut random = Random::new(6);
        let text: String = (0..500).map(|second| label(second) + " line\n").collect();
        for _ in 0..300 {
            place.write("log", random.damaged(text.as_bytes()));
            let file = File::open(place.join("log")).unwrap();
            let times = Times { from: Some(moment(100)), until: Some(moment(200)) };
            range(&file, &times, false).unwrap();
        }
    }
}
