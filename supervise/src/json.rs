//! Services as JSON: one object in one line.

use crate::state::signal_name;
use crate::status::{Status, Want};
use crate::view::{Hidden, View, is_up, word};
use base::tai64;
use std::fmt::Write;
use std::time::Duration;

/// An object that is being written.
pub struct Object(String);

impl Object {
    /// One with this service's name first.
    pub fn of_service(name: &[u8]) -> Object {
        let mut object = Object(String::from("{"));
        object.text("service", name);
        object
    }

    /// Adds a text. Bytes that are not UTF-8 are replaced.
    pub fn text(&mut self, key: &str, text: &[u8]) {
        let text = quoted(text);
        self.value(key, text);
    }

    /// Adds another object.
    pub fn object(&mut self, key: &str, object: Object) {
        self.value(key, object.end());
    }

    /// Adds a number, a word, or what is JSON already.
    fn value(&mut self, key: &str, value: impl std::fmt::Display) {
        let between = if self.0.len() > 1 { "," } else { "" };
        // Writing to a string does not fail.
        let _ = write!(self.0, "{between}\"{key}\":{value}");
    }

    /// Its text, without newline.
    pub fn end(self) -> String {
        self.0 + "}"
    }
}

/// Adds what is seen of a service, or why nothing is.
pub fn put(object: &mut Object, seen: &Result<View, Hidden>, now: Duration) {
    let view = match seen {
        Ok(view) => view,
        Err(hidden) => {
            object.value("supervised", !hidden_supervise(hidden));
            return object.text("error", hidden.reason().as_bytes());
        }
    };
    object.value("supervised", true);
    put_status(object, &view.status, view.word(), now);
    object.value("normally", if view.normally_up { "\"up\"" } else { "\"down\"" });
    object.value("paused", view.status.paused);
    let record = view.record.as_ref();
    object.value("ready", or_null(view.ready()));
    object.value("restarts", or_null(record.map(|record| record.restarts)));
    object.value("last_exit", or_null(record.and_then(|record| record.last_exit)));
    let signal = record.and_then(|record| record.last_signal).map(signal_name);
    object.value("last_signal", or_null(signal.map(|name| quoted(name.as_bytes()))));
    object.value("adopted", record.is_some_and(|record| record.adopted));
    if let Some(log) = &view.log {
        let mut inner = Object(String::from("{"));
        put_status(&mut inner, log, word(log), now);
        inner.value("paused", log.paused);
        object.object("log", inner);
    }
}

/// Whether it is the supervise that is missing, or the whole service.
fn hidden_supervise(hidden: &Hidden) -> bool {
    hidden.is_unsupervised() || matches!(hidden, Hidden::Unable("chdir" | "stat down", _))
}

fn put_status(object: &mut Object, status: &Status, word: &str, now: Duration) {
    object.text("state", word.as_bytes());
    object.value("up", is_up(status));
    object.value("pid", or_null((status.pid != 0).then_some(status.pid)));
    object.value("seconds", status.age(now));
    let since = tai64::unpack(&status.since).map(tai64::label);
    object.value("since", or_null(since.map(|label| quoted(&label))));
    let want = match status.want {
        Want::Up => "up",
        Want::Down => "down",
        Want::Once => "once",
    };
    object.text("want", want.as_bytes());
}

fn or_null(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "null".to_owned(), |value| value.to_string())
}

/// A JSON string.
fn quoted(text: &[u8]) -> String {
    let mut quoted = String::from("\"");
    for letter in String::from_utf8_lossy(text).chars() {
        match letter {
            '"' => quoted += "\\\"",
            '\\' => quoted += "\\\\",
            '\n' => quoted += "\\n",
            '\t' => quoted += "\\t",
            '\u{fffd}' => quoted += "\\ufffd",
            '\0'..' ' | '\x7f' => {
                // Writing to a string does not fail.
                let _ = write!(quoted, "\\u{:04x}", u32::from(letter));
            }
            _ => quoted.push(letter),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::State;

    #[test]
    fn strings_are_quoted() {
        for (text, expected) in [
            (&b"plain"[..], "\"plain\""),
            (b"a\"b\\c\nd\te", r#""a\"b\\c\nd\te""#),
            (b"\x01\x1f\x7f", r#""\u0001\u001f\u007f""#),
            (b"\xff\xc3\xa9", "\"\\ufffd\u{e9}\""),
            (b"", "\"\""),
        ] {
            assert_eq!(quoted(text), expected);
        }
    }

    #[test]
    fn any_name_is_a_string() {
        let mut random = ::tests::Random::new(8);
        for count in 0..10_000 {
            let text = quoted(&random.bytes(count % 50));
            let inside = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap();
            assert!(!inside.replace("\\\\", "").replace("\\\"", "").contains('"'), "{text}");
            assert!(!text.contains(|letter: char| letter < ' '), "{text}");
        }
    }

    #[test]
    fn a_service_is_one_line() {
        let now = Duration::from_secs(1_800_000_005);
        let status = Status {
            since: tai64::pack(Duration::from_secs(1_800_000_000)),
            pid: 123,
            paused: false,
            want: Want::Up,
            state: Some(State::Running),
        };
        let (log, record) = (None, None);
        let view = View { status, log, normally_up: true, record, between: false };
        let line = |seen: Result<View, Hidden>| {
            let mut object = Object::of_service(b"a");
            put(&mut object, &seen, now);
            object.end()
        };
        let expected = r#"{"service":"a","supervised":true,"state":"running","up":true,"pid":123,"seconds":5,"since":"@400000006b49d20a00000000","want":"up","normally":"up","paused":false,"ready":null,"restarts":null,"last_exit":null,"last_signal":null,"adopted":false}"#;
        assert_eq!(line(Ok(view.clone())), expected);
        let with_log = line(Ok(View { log: Some(status), ..view }));
        assert!(
            with_log.contains(r#","log":{"state":"running","up":true,"pid":123,"#),
            "{with_log}"
        );
        let expected = r#"{"service":"a","supervised":false,"error":"supervise not running"}"#;
        assert_eq!(line(Err(Hidden::NotRunning)), expected);
    }
}
