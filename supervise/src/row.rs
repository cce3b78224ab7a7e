//! The line of a service in a list of all of them.

use crate::state::signal_name;
use crate::status::{State, Want};
use crate::view::{Hidden, View, word};
use std::time::Duration;

/// Columns between the dot and the end.
const COLUMNS: usize = 7;

/// How lines look.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// With the escape sequences of a terminal.
    pub color: bool,
    /// With dots that are not ASCII.
    pub symbols: bool,
}

/// What a service's dot says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    /// It is up.
    Up,
    /// It is on its way.
    Between,
    /// It is down, and is meant to be.
    Down,
    /// It is not as it is meant to be.
    Wrong,
}

/// One service.
pub struct Row {
    mood: Mood,
    cells: [String; COLUMNS],
}

impl Row {
    /// The row of a service, of which this is seen, and this of its log, if it has one.
    pub fn new(
        name: &[u8],
        seen: &Result<View, Hidden>,
        log: Option<&Result<View, Hidden>>,
        well: bool,
        now: Duration,
    ) -> Row {
        let name = printable(name);
        let log_word = |log: &Result<View, Hidden>| match log {
            Ok(view) => format!("log {}", view.word()),
            Err(hidden) => format!("log {}", word_without(hidden)),
        };
        let mut log_cell = log.map(log_word).unwrap_or_default();
        let view = match seen {
            Ok(view) => view,
            Err(hidden) => {
                let empty = || "-".to_owned();
                let state = word_without(hidden).to_owned();
                let cells = [name, state, empty(), empty(), empty(), empty(), log_cell];
                return Row { mood: Mood::Wrong, cells };
            }
        };
        if let Some(log) = view.log.as_ref().filter(|_| log.is_none()) {
            log_cell = format!("log {}", word(log));
        }
        let pid = view.status.pid;
        let pid = if pid == 0 { "-".to_owned() } else { pid.to_string() };
        let restarts = view.record.as_ref().map(|record| record.restarts);
        let restarts = restarts.map_or("-".to_owned(), |number| format!("{number} restarts"));
        let cells = [
            name,
            state(view),
            pid,
            compact(view.status.age(now)),
            restarts.replace("1 restarts", "1 restart"),
            last_end(view),
            log_cell,
        ];
        Row { mood: mood(view, well), cells }
    }

    /// The widths of the columns of these rows.
    pub fn widths(rows: &[Row]) -> [usize; COLUMNS] {
        std::array::from_fn(|column| {
            rows.iter().map(|row| row.cells[column].chars().count()).max().unwrap_or(0)
        })
    }

    /// Its line, and one more with the last line of its log, if that is given.
    pub fn text(&self, widths: &[usize; COLUMNS], style: Style, line: Option<&[u8]>) -> String {
        let (start, end) = if style.color { (self.mood.color(), "\x1b[0m") } else { ("", "") };
        let mut text = format!("{start}{}{end}", self.mood.dot(style.symbols));
        for (column, (cell, width)) in self.cells.iter().zip(widths).enumerate() {
            let width = *width;
            if width > 0 {
                // Numbers and times to the right.
                let right = matches!(column, 2 | 3);
                text +=
                    &if right { format!("  {cell:>width$}") } else { format!("  {cell:<width$}") };
            }
        }
        let mut text = text.trim_end().to_owned() + "\n";
        if let Some(line) = line {
            text += &format!("   {}\n", printable(line));
        }
        text
    }
}

/// One word for the state of a service that cannot be seen.
fn word_without(hidden: &Hidden) -> &'static str {
    if hidden.is_unsupervised() { "unsupervised" } else { "unknown" }
}

impl Mood {
    fn dot(self, symbols: bool) -> &'static str {
        match (self, symbols) {
            (Mood::Up, true) => "\u{25cf}",
            (Mood::Between, true) => "\u{25d0}",
            (Mood::Down, true) => "\u{25cb}",
            (Mood::Wrong, true) => "\u{2717}",
            (Mood::Up, false) => "*",
            (Mood::Between, false) => "~",
            (Mood::Down, false) => "o",
            (Mood::Wrong, false) => "!",
        }
    }

    /// Green, yellow, dark, red.
    fn color(self) -> &'static str {
        match self {
            Mood::Up => "\x1b[32m",
            Mood::Between => "\x1b[33m",
            Mood::Down => "\x1b[2m",
            Mood::Wrong => "\x1b[31m",
        }
    }
}

fn mood(view: &View, well: bool) -> Mood {
    let between = matches!(view.status.state, Some(State::Starting | State::Stopping));
    match well {
        false => Mood::Wrong,
        true if between || view.ready() == Some(false) && view.is_up() => Mood::Between,
        true if view.is_up() => Mood::Up,
        true => Mood::Down,
    }
}

/// One word, and what more there is to say about it.
fn state(view: &View) -> String {
    let status = &view.status;
    let remarks = [
        (view.ready() == Some(true), ", ready"),
        (view.ready() == Some(false) && view.is_up(), ", not ready"),
        (status.paused && status.pid != 0, ", paused"),
        (status.want == Want::Down && status.pid != 0, ", want down"),
        (status.want == Want::Up && status.pid == 0 && !view.is_backing_off(), ", want up"),
        (status.want == Want::Once && status.pid != 0, ", once"),
    ];
    let told = remarks.iter().filter(|(holds, _)| *holds).map(|(_, remark)| *remark);
    view.word().to_owned() + &told.collect::<String>()
}

/// How the last run has ended.
fn last_end(view: &View) -> String {
    let Some(record) = &view.record else { return "-".to_owned() };
    match (record.last_signal, record.last_exit) {
        (Some(signal), _) => signal_name(signal),
        (None, Some(code)) => format!("exit {code}"),
        (None, None) => "-".to_owned(),
    }
}

/// `5s`, `3m`, `2h`, `4d`.
fn compact(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// Without what a terminal would obey.
fn printable(text: &[u8]) -> String {
    let visible = |letter: char| if letter.is_control() { '?' } else { letter };
    String::from_utf8_lossy(text).chars().map(visible).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_compact() {
        let shown = [0, 59, 60, 3599, 3600, 86_399, 86_400, 400_000].map(compact);
        assert_eq!(shown, ["0s", "59s", "1m", "59m", "1h", "23h", "1d", "4d"]);
    }

    #[test]
    fn nothing_reaches_the_terminal_but_text() {
        assert_eq!(printable(b"\x1b[2J\x07\xffx\n\xc2\x9b"), "?[2J?\u{fffd}x??");
    }
}
