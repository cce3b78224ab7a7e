//! bouncesaying: bounce a message, perhaps.

use tests::{fed, program, ran};

fn bouncesaying(words: &[&str]) -> (Option<i32>, String, String) {
    ran(&fed(program("bouncesaying").args(words), "message"))
}

fn said(code: i32, err: &str) -> (Option<i32>, String, String) {
    (Some(code), String::new(), err.into())
}

#[test]
fn without_a_program_every_message_bounces() {
    assert_eq!(bouncesaying(&["Gone away. (#5.1.1)"]), said(100, "Gone away. (#5.1.1)\n"));
    assert_eq!(bouncesaying(&[""]), said(100, "\n"));
}

#[test]
fn a_program_decides() {
    assert_eq!(bouncesaying(&["no", "grep", "-q", "mess"]), said(100, "no\n"));
    for command in ["exit 1", "exit 99", "exit 100"] {
        assert_eq!(bouncesaying(&["no", "sh", "-c", command]), said(0, ""));
    }
    assert_eq!(bouncesaying(&["no", "/nonexistent"]), said(0, ""));
    let later = "bouncesaying: fatal: temporary child error\n";
    assert_eq!(bouncesaying(&["no", "sh", "-c", "exit 111"]), said(111, later));
    let crashed = "bouncesaying: fatal: child crashed\n";
    assert_eq!(bouncesaying(&["no", "sh", "-c", "kill -9 $$"]), said(111, crashed));
}

#[test]
fn a_text_is_needed() {
    let usage = "bouncesaying: usage: bouncesaying error [ program [ arg ... ] ]\n";
    assert_eq!(bouncesaying(&[]), said(100, usage));
}
