//! multilog's arguments: what happens to every line, and where lines can go.

use crate::pattern::Pattern;
use base::number;
use base::sys::clock;
use base::tai64;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::time::Duration;

/// Sizes that a log file can be limited to.
const SIZES: (u64, u64) = (4096, 16_777_215);

/// Seconds, a hundred years: with more, times would not fit.
const LONGEST_AGE: u64 = 3_155_760_000;

/// All arguments, understood.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// What is put in front of every line.
    pub stamp: Option<Stamp>,
    /// What happens to every line, in this order.
    pub actions: Vec<Action>,
    /// Status files that [`Action::Status`] means.
    pub statuses: Vec<PathBuf>,
    /// Log directories that [`Action::Log`] means.
    pub logs: Vec<(PathBuf, Settings)>,
}

/// One thing that happens to a line. A line starts selected.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Deselects a line that matches this pattern.
    Deselect(Pattern),
    /// Selects a line that matches this pattern.
    Select(Pattern),
    /// Prints a selected line to stderr.
    Alert,
    /// Puts a selected line into the status file of this number.
    Status(usize),
    /// Appends a selected line to the log of this number.
    Log(usize),
}

/// How a log directory is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Bytes that no file exceeds.
    pub size: u64,
    /// Files, current included.
    pub number: u64,
    /// Bytes that all old files together do not exceed, unless the last of them does.
    pub total: u64,
    /// After this time, current is finished even if it is not full.
    pub age: Option<Duration>,
    /// Old files that a full disk does not cost.
    pub spared: Option<u64>,
    /// What is put between the time stamp and the line.
    pub prefix: Vec<u8>,
    /// What every finished file goes through: a command for the shell.
    pub processor: Option<OsString>,
    /// The end of the names of finished files.
    pub code: OsString,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            size: 99_999,
            number: 10,
            total: u64::MAX,
            age: None,
            spared: None,
            prefix: Vec::new(),
            processor: None,
            code: "s".into(),
        }
    }
}

impl Script {
    /// Words that mean nothing are ignored; nothing is wrong.
    pub fn parse(words: &[OsString]) -> Self {
        let mut script = Script::default();
        let mut settings = Settings::default();
        let mut pattern: fn(&[u8]) -> Pattern = Pattern::simple;
        for (index, word) in words.iter().enumerate() {
            match word.as_bytes() {
                [b't', ..] if index == 0 => script.stamp = Some(Stamp::Tai64n),
                [b'T', ..] if index == 0 => script.stamp = Some(Stamp::Unix),
                [b'F', ..] => pattern = Pattern::glob,
                [b'S', ..] => pattern = Pattern::simple,
                [b'-', text @ ..] => script.actions.push(Action::Deselect(pattern(text))),
                [b'+', text @ ..] => script.actions.push(Action::Select(pattern(text))),
                [b'e', ..] => script.actions.push(Action::Alert),
                [b'=', file @ ..] => {
                    script.actions.push(Action::Status(script.statuses.len()));
                    script.statuses.push(path(file));
                }
                [b's', size @ ..] => settings.size = leading(size).clamp(SIZES.0, SIZES.1),
                [b'n', number @ ..] => settings.number = leading(number).max(2),
                [b'b', total @ ..] => settings.total = leading(total),
                [b'r', seconds @ ..] => settings.age = age(leading(seconds)),
                [b'm', number @ ..] => settings.spared = Some(leading(number)),
                [b'p', prefix @ ..] => settings.prefix = prefix.to_vec(),
                [b'!', command @ ..] => settings.processor = Some(text(command)),
                [b'w', code @ ..] => settings.code = text(code),
                [b'.' | b'/', ..] => {
                    script.actions.push(Action::Log(script.logs.len()));
                    script.logs.push((PathBuf::from(word), settings.clone()));
                }
                _ => {}
            }
        }
        script
    }
}

impl Action {
    /// It may make a difference to one of these lines.
    pub fn concerns(&self, lines: &[u8]) -> bool {
        match self {
            Action::Deselect(pattern) | Action::Select(pattern) => pattern.may_match_in(lines),
            Action::Alert | Action::Status(_) | Action::Log(_) => true,
        }
    }
}

impl Script {
    /// A log puts something in front of each line.
    pub fn prefixed(&self) -> bool {
        self.logs.iter().any(|(_, settings)| !settings.prefix.is_empty())
    }
}

fn leading(digits: &[u8]) -> u64 {
    number::leading(digits).unwrap_or(0)
}

/// 0 seconds are no limit.
fn age(seconds: u64) -> Option<Duration> {
    (seconds > 0).then(|| Duration::from_secs(seconds.min(LONGEST_AGE)))
}

fn text(bytes: &[u8]) -> OsString {
    OsString::from_vec(bytes.to_vec())
}

fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}

/// The time in front of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// A TAI64N label.
    Tai64n,
    /// Seconds since 1970, with microseconds.
    Unix,
}

impl Stamp {
    /// Appends the present time and a space.
    pub fn put(self, line: &mut Vec<u8>) {
        let now = clock::now();
        match self {
            Stamp::Tai64n => {
                line.extend_from_slice(&tai64::label(now));
                line.push(b' ');
            }
            Stamp::Unix => {
                let text = format!("{}.{:06} ", now.as_secs(), now.subsec_micros());
                line.extend_from_slice(text.as_bytes());
            }
        }
    }
}

/// A stamp for many lines in a row: what stays the same from one to the next is kept.
pub struct Stamper {
    stamp: Stamp,
    second: u64,
    label: [u8; tai64::LABEL],
}

impl Stamper {
    /// For stamps of this kind.
    pub fn new(stamp: Stamp) -> Stamper {
        let now = clock::now();
        Stamper { stamp, second: now.as_secs(), label: tai64::label(now) }
    }

    /// As [`Stamp::put`].
    pub fn put(&mut self, line: &mut Vec<u8>) {
        if self.stamp != Stamp::Tai64n {
            return self.stamp.put(line);
        }
        let now = clock::now();
        if now.as_secs() == self.second {
            tai64::set_nanoseconds(&mut self.label, now.subsec_nanos());
        } else {
            *self = Stamper { stamp: self.stamp, second: now.as_secs(), label: tai64::label(now) };
        }
        line.extend_from_slice(&self.label);
        line.push(b' ');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Script {
        Script::parse(&words.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn words_are_actions_in_their_order() {
        let script = parse(&["ti", "-*", "+a*", "e", "=file", "./x", "t", "", "T", "?", "/y"]);
        let expected = [
            Action::Deselect(Pattern::simple(b"*")),
            Action::Select(Pattern::simple(b"a*")),
            Action::Alert,
            Action::Status(0),
            Action::Log(0),
            Action::Log(1),
        ];
        let logs: Vec<_> = script.logs.iter().map(|(path, _)| path.to_str().unwrap()).collect();
        assert_eq!((script.stamp, &script.actions[..]), (Some(Stamp::Tai64n), &expected[..]));
        assert_eq!((script.statuses, logs), (vec![PathBuf::from("file")], vec!["./x", "/y"]));
        assert_eq!(parse(&["./x", "t"]).stamp, None);
    }

    #[test]
    fn patterns_are_of_the_kind_that_was_named_last() {
        let script = parse(&["-a", "F", "-b", "+c", "S", "+d"]);
        let expected = [
            Action::Deselect(Pattern::simple(b"a")),
            Action::Deselect(Pattern::glob(b"b")),
            Action::Select(Pattern::glob(b"c")),
            Action::Select(Pattern::simple(b"d")),
        ];
        assert_eq!(script.actions, expected);
    }

    #[test]
    fn logs_have_limits_of_age_and_room_and_a_prefix() {
        let script =
            parse(&["./a", "r60", "b1000", "m3", "phost: ", "./b", "r0", "b", "m", "p", "./c"]);
        let settings: Vec<_> = script
            .logs
            .iter()
            .map(|(_, of)| (of.age.map(|age| age.as_secs()), of.total, of.spared, &of.prefix[..]))
            .collect();
        let expected = [
            (None, u64::MAX, None, &b""[..]),
            (Some(60), 1000, Some(3), b"host: "),
            (None, 0, Some(0), b""),
        ];
        assert_eq!(settings, expected);
    }

    #[test]
    fn settings_hold_for_later_logs_and_within_limits() {
        let words = ["./a", "s5000", "n3", "!gzip", "wz", "./b", "s10k", "n0", "!", "./c"];
        let script =
            parse(&[&words[..], &["s99999999999999999999", "n99", "./d", "s", "./e"]].concat());
        let settings: Vec<_> = script
            .logs
            .iter()
            .map(|(_, of)| (of.size, of.number, of.processor.as_deref().and_then(OsStr::to_str)))
            .collect();
        let expected = [
            (99999, 10, None),
            (5000, 3, Some("gzip")),
            (4096, 2, Some("")),
            (16777215, 99, Some("")),
            (4096, 99, Some("")),
        ];
        assert_eq!(settings, expected);
        assert_eq!(
            (script.logs[0].1.code.to_str(), script.logs[1].1.code.to_str()),
            (Some("s"), Some("z"))
        );
    }
}
