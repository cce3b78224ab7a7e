//! Hostile bytes from a spawner, on qmail-send while it waits for three deliveries.

use crate::installation::{Installation, installation};
use crate::programs::runs;
use crate::sending::{LOCAL, REMOTE, sending};
use std::fs;
use tests::{Hostile, LIMIT};

const RECIPIENTS: [&str; 3] = ["ann@a.example", "bob@a.example", "joe@a.example"];

/// Nobody counts as done of whom it was not said, and everybody of whom it was.
#[test]
fn qmail_send() {
    let home = installation();
    let hostile = Hostile {
        name: "qmail-send",
        samples: vec![
            b"\0Kdid 1+0+0\n\0\x01Zlater\n\0\x02Dnever\n\0".into(),
            b"\x02K\0\x01D\0\0Z\0".into(),
        ],
        words: &[b"\0", b"K", b"D", b"Z", b"\0K\0", b"\x01D\0", b"\x02Z\0", b"\x77K\0", b"\xffD\0"],
    };
    hostile.attack(runs(), |bytes| {
        home.send("Subject: x\n\n", "me@b.example", &RECIPIENTS);
        let number = home.only("todo");
        let mut sending = sending(&home);
        assert_eq!(sending.orders(LOCAL, 3), [0, 1, 2].map(|n| (n, RECIPIENTS[n as usize].into())));
        // no more than a pipe holds
        let bytes = &bytes[..bytes.len().min(60_000)];
        sending.say(LOCAL, bytes);
        sending.hang_up(LOCAL);
        sending.hang_up(REMOTE);
        let code = sending.run.wait(LIMIT).code();
        let log = sending.run.out();
        assert!(log.bytes().all(|byte| byte == b'\n' || (32..127).contains(&byte)), "{log}");
        assert!(
            matches!(code, Some(0 | 111)) && !log.contains("fatal: internal"),
            "{code:?}: {log}"
        );
        let done = done(bytes);
        match fs::read_to_string(home.join(home.file("local", number))) {
            Ok(records) => assert_eq!(records, marked(done), "{log}"),
            Err(_) => assert_eq!(done, [true; 3], "{log}"),
        }
        drop(sending);
        empty(&home);
    });
}

/// Of whom a spawner has said, the first time that it said anything, that he is done or never
/// will be.
fn done(mut bytes: &[u8]) -> [bool; 3] {
    let mut reports = [None; 3];
    while let [number, rest @ ..] = bytes {
        let Some(end) = memchr::memchr(0, rest) else { break };
        if let Some(report) = reports.get_mut(usize::from(*number)) {
            report.get_or_insert(rest.first());
        }
        bytes = &rest[end + 1..];
    }
    reports.map(|letter| matches!(letter, Some(Some(b'K' | b'D'))))
}

/// The file of recipients.
fn marked(done: [bool; 3]) -> String {
    let mark = |(name, done)| format!("{}{name}\0", if done { 'D' } else { 'T' });
    RECIPIENTS.into_iter().zip(done).map(mark).collect()
}

/// The queue, bounces and all.
fn empty(home: &Installation) {
    for folder in ["mess", "intd", "todo", "info", "local", "remote", "bounce"] {
        for number in home.numbers(folder) {
            fs::remove_file(home.join(home.file(folder, number))).unwrap();
        }
    }
}
