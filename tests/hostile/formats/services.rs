//! What supervise, multilog and their readers find in files, and time labels.

use super::{file, formats};
use base::date::Date;
use base::{number, tai64};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;
use supervise::json::Object;
use supervise::label::{self, Start};
use supervise::log_range::{Times, range};
use supervise::log_script::Script;
use supervise::order::Order;
use supervise::state::{self, Record};
use supervise::status::Status;
use supervise::{elf, glob, log_time, pattern};

formats! {
    supervise_status [b"\x40\0\0\0\x4a\x32\xf0\xf8\x0c\x5d\x7f\x14\x07\0\0\0\0u\x02\x01".to_vec()]
        [b"u", b"d", b"\0", b"\xff\xff\xff\xff"]

    supervise_state ["pid 5271\nstart 98765\nscript run\nlog_pid 7\nlog_start 8\n\
        boot 01234567-89ab-cdef-0123-456789abcdef\nsupervisor 9\nwant up\npaused yes\nadopted yes\nready yes\n\
        ready_since @400000004a32f0f80c5d7f14\nnotify_socket x\nrestarts 3\nlast_exit 1\nlast_signal SIGTERM\n\
        last_start @400000004a32f0f80c5d7f14\nlast_death @400000004a32f0f80c5d7f14\ndelay 4\nfailed yes\n"]
        [b"\n", b" ", b"pid ", b"0", b"-1", b"4294967296", b"SIG", b"SIGRTMIN+1", b"@", b"\0", b"\xff"]

    time_label ["@400000004a32f0f80c5d7f14 text\n", "@400000004a32f0f8\n", "@ffffffffffffffffffffffff x"]
        [b"@", b"f", b"0", b"g", b" ", b"\n", b"3b9aca00", b"ffffffff"]

    log_time ["@400000004a32f0f80c5d7f14", "2026-11-22 13:54:52", "-15m", "today", "2026-11-22"]
        [b"-", b":", b" ", b"99999999999999999999", b"0", b"@", b"s", b"w"]

    log_file ["@400000004a32f0f80c5d7f14 one\nmore\n@400000004a32f0f90c5d7f14 two\n".repeat(300)]
        [b"@", b"\n", b"@400000004a32f0f90c5d7f14", b"@ffffffffffffffff\n"]

    log_script ["t\0s99999\0n20\0+a*\0-*\0!gzip\0=status\0./log\0F\0e\0b5\0r6\0m7\0p8\0w9\0/x"]
        [b"\0", b"s", b"n", b"99999999999999999999", b"=", b"*", b"!", b"F", b"./"]

    log_pattern ["a*b[a-z]?\\*[[:digit:]]x\naab1*7x", "*a*a*a*a*b\naaaaaaaaaaaaaaaaaaaa"]
        [b"*", b"?", b"[", b"]", b"[!", b"\\", b"\n", b"-", b"[[:alpha:]]", b"a"]

    interpreter [b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0\x01\0\0\0\0\0\0\0\0\0\0\0\x40\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
        \0\0\0\0\x40\0\x38\0\x01\0\0\0\0\0\0\0\x03\0\0\0\x04\0\0\0\x78\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
        \x08\0\0\0\0\0\0\0\x08\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0/lib/ld\0".to_vec(), "#!/bin/sh -e\n"]
        [b"\xff\xff\xff\xff", b"\0\0\0\0", b"#!", b"\n", b" "]

    numbers ["0", "18446744073709551615", "-1", "007x", "1e9", "40000000deadbeef"]
        [b"0", b"9", b"-", b"+", b" ", b"f", b"99999999999999999999"]

    shown_text ["a \"b\" \\ \u{e9}\n\t", b"\xff\xfe\0\x1f".to_vec()] [b"\"", b"\\", b"\n", b"\0", b"\xe9", b"\xed\xa0\x80"]
}

fn supervise_status(bytes: &[u8]) {
    let read = Status::parse(bytes);
    assert_eq!(read.is_some(), bytes.len() >= 18);
    if let Some(status) = read {
        status.age(Duration::ZERO);
        status.age(Duration::MAX);
        status.age(Duration::from_secs(1_800_000_000));
        let again = Status::parse(&status.pack()).unwrap();
        assert_eq!((again.since, again.pid, again.want), (status.since, status.pid, status.want));
    }
    for letter in bytes {
        Order::of(*letter);
    }
}

fn supervise_state(bytes: &[u8]) {
    let record = Record::parse(bytes);
    assert!(record.process.is_none_or(|process| process.pid > 0));
    assert_eq!(Record::parse(record.text().as_bytes()), record);
    state::signal_number(bytes);
}

fn time_label(bytes: &[u8]) {
    for whole in [false, true] {
        if let Start::Label { nanoseconds, rest, .. } = label::start(bytes, whole) {
            assert!(nanoseconds.is_none_or(|number| number < 1_000_000_000));
            assert!(bytes.ends_with(rest) && matches!(bytes.len() - rest.len(), 17 | 25));
        }
    }
    tai64::hex(bytes);
    if let Some(stamp) = bytes.first_chunk::<12>()
        && let Some(time) = tai64::unpack(stamp)
    {
        assert_eq!(tai64::pack(time), *stamp);
        tai64::label(time);
    }
    if let Some(seconds) = bytes.first_chunk::<8>() {
        let date = Date::utc(i64::from_be_bytes(*seconds));
        let _ = (date.mail(), date.mbox());
    }
    log_time::of_line(bytes);
    log_time::of_name(bytes);
}

fn log_time(bytes: &[u8]) {
    for now in [Duration::ZERO, Duration::from_secs(1_800_000_000), Duration::MAX] {
        log_time::parse(bytes, now);
    }
}

fn log_file(bytes: &[u8]) {
    let (from, until) = (*b"400000004a32f0f900000000", *b"400000004a32f0fa00000000");
    let log = file(bytes);
    for (from, until) in [(Some(from), Some(until)), (None, Some(from)), (Some(until), None)] {
        for going_on in [false, true] {
            let (range, _) = range(&log, &Times { from, until }, going_on).unwrap();
            assert!(range.start <= range.end && range.end <= bytes.len() as u64);
        }
    }
}

fn log_script(bytes: &[u8]) {
    let words = bytes.split(|byte| *byte == 0).map(|word| OsString::from_vec(word.to_vec()));
    let words: Vec<_> = words.collect();
    let script = Script::parse(&words);
    assert!(script.logs.len() + script.statuses.len() <= words.len());
    script.prefixed();
}

fn log_pattern(bytes: &[u8]) {
    let mut parts =
        bytes.splitn(2, |byte| *byte == b'\n').map(|part| &part[..part.len().min(2000)]);
    let (pattern, line) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    glob::matches(pattern, line);
    pattern::matches(pattern, line);
    assert!(glob::matches(b"*", line) && pattern::matches(b"*", line));
}

fn interpreter(bytes: &[u8]) {
    if let Some(name) = elf::interpreter(bytes) {
        assert!(name.len() <= bytes.len() && !name.contains(&0));
    }
}

fn numbers(bytes: &[u8]) {
    if let Some(number) = number::decimal(bytes) {
        let digits = String::from_utf8_lossy(bytes);
        assert_eq!(digits.trim_start_matches('0'), number.to_string().trim_start_matches('0'));
    }
    number::leading(bytes);
    if let Some((_, rest)) = number::digits(bytes) {
        assert!(bytes.ends_with(rest) && !rest.first().is_some_and(u8::is_ascii_digit));
    }
}

fn shown_text(bytes: &[u8]) {
    let mut object = Object::of_service(bytes);
    object.text("text", bytes);
    let text = object.end();
    assert!(text.bytes().all(|byte| byte >= 32) && text.starts_with('{') && text.ends_with('}'));
}
