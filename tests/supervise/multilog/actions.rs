//! What happens to each line.

use super::{everything, log, logged, multilog};
use base::{sys::clock, tai64};
use tests::{LIMIT, fed, original, ran, scratch, shown, start, until};

#[test]
fn lines_pass_as_they_are() {
    let input = b"one\n\n\r\nnul\0 and \xff\x80\n last\n";
    assert_eq!(logged(&[], input), shown(input));
}

#[test]
fn a_last_line_gets_its_newline() {
    assert_eq!(logged(&[], "one\ntwo"), "one\ntwo\n");
    assert_eq!(logged(&[], "x".repeat(5000)), "x".repeat(5000) + "\n");
}

#[test]
fn patterns_select_and_deselect_in_order() {
    let input = "a\nb\nab\nfoo bar\n";
    for (words, expected) in [
        (&["-a"][..], "b\nab\nfoo bar\n"),
        (&["-a*"], "b\nfoo bar\n"),
        (&["-*"], ""),
        (&["-*", "+a"], "a\n"),
        (&["-*", "+*b*"], "b\nab\nfoo bar\n"),
        (&["-*", "+*b*", "-ab"], "b\nfoo bar\n"),
        (&["+a"], input),
        (&["-"], input),
        (&["-* *"], "a\nb\nab\n"),
        (&["-*", "+foo"], ""),
    ] {
        assert_eq!(logged(words, input), expected, "{words:?}");
    }
}

#[test]
fn patterns_have_no_way_back() {
    for (pattern, matching, other) in [
        ("a*bc", "abc\naxbc\n", "abbc\nabc \nxabc\n"),
        ("*b*", "b\nabba\n", "a\n\n"),
        ("**", "*\nx*y\n", "x\n\n"),
        ("", "\n", "x\n"),
        ("*", "x\n\n", ""),
        ("*x", "x\nax\n", "axx\nxa\n"),
        ("a?[b]\\", "a?[b]\\\n", "axb\n"),
        ("a**c", "ab*xc\na*c\n", "abc\n"),
    ] {
        let words = ["-*", &format!("+{pattern}")];
        assert_eq!(logged(&words, format!("{matching}{other}")), matching, "{pattern}");
    }
}

#[test]
fn patterns_can_be_those_of_the_shell() {
    // F and S are of daemontools-encore
    if original() {
        return;
    }
    let input = "abbc\nabc\n4 lines\nError: x\nan error: y\n";
    for (words, expected) in [
        (&["F", "-*", "+a*bc"][..], "abbc\nabc\n"),
        (&["F", "-*", "S", "+a*bc"], "abc\n"),
        (&["-*", "F", "+*[eE]rror: ?"], "Error: x\nan error: y\n"),
        (&["F", "-[!0-9]*"], "4 lines\n"),
        (&["F", "-[[:digit:]]*", "S", "-ab*"], "Error: x\nan error: y\n"),
    ] {
        assert_eq!(logged(words, input), expected, "{words:?}");
    }
}

#[test]
fn patterns_see_a_thousand_bytes() {
    let line = |count: usize, end: &str| "x".repeat(count) + end + "\n";
    let input = line(999, "y") + &line(1000, "y") + &line(1000, "") + &line(3000, "z");
    // the last byte that is seen is an x, or a y
    let expected = line(1000, "y") + &line(1000, "") + &line(3000, "z");
    assert_eq!(logged(&["-*y"], &input), expected);
    assert_eq!(logged(&["-*", "+*y"], &input), line(999, "y"));
    assert_eq!(logged(&["-*z"], &input), input);
}

#[test]
fn the_time_in_front_belongs_to_the_line() {
    let before = clock::now();
    let text = logged(&["t"], "one\n\ntwo");
    let after = clock::now();
    let mut lines = text.split_inclusive('\n').map(|line| {
        let (label, rest) = line.split_at(26);
        let seconds = tai64::hex(&label.as_bytes()[1..17]).unwrap() - tai64::EPOCH;
        let inside = (before.as_secs()..=after.as_secs()).contains(&seconds);
        assert!(label.starts_with('@') && label.ends_with(' ') && inside, "{line}");
        rest
    });
    assert_eq!(
        [lines.next(), lines.next(), lines.next()],
        [Some("one\n"), Some("\n"), Some("two\n")]
    );
    assert_eq!(logged(&["t", "-@4*one", "+*fatal: *"], "one\nfatal: two\n").len(), 37);
    assert_eq!(logged(&["t", "-*", "+* one"], "one\ntwo\n").len(), 30);
    assert_eq!(logged(&["tail"], "one\n").len(), 30);
    assert_eq!(logged(&["-x", "t"], "one\n"), "one\n");
}

#[test]
fn patterns_see_974_bytes_behind_a_time() {
    let input = format!("{0}yz\n{0}xy\n", "x".repeat(973));
    assert_eq!(logged(&["t", "-*y"], input).len(), 26 + 976);
}

#[test]
fn seconds_and_microseconds_are_another_time() {
    // T is of daemontools-encore
    if original() {
        return;
    }
    let text = logged(&["T"], "one\n");
    let (seconds, rest) = text.split_once('.').unwrap();
    let (fraction, rest) = rest.split_once(' ').unwrap();
    assert!(clock::seconds() - seconds.parse::<u64>().unwrap() < 60);
    assert_eq!((fraction.len(), fraction.parse::<u32>().is_ok(), rest), (6, true, "one\n"));
}

#[test]
fn alerts_go_to_stderr() {
    let place = scratch();
    let long = "x".repeat(200);
    let input = format!("one\ntwo\n{long}\n{long}y\n\n{0}", "z".repeat(2000));
    let o = fed(&mut multilog(&place, &["-two", "e", "./m"]), input);
    let said = format!("one\n{long}\n{long}...\n\n{}...\n", "z".repeat(200));
    assert_eq!(ran(&o), (Some(0), String::new(), said));
}

#[test]
fn an_alert_comes_with_its_line() {
    let place = scratch();
    let mut running = start(&mut multilog(&place, &["e"]));
    running.write("one\n");
    running.wait_err("one\n");
    running.write("t");
    running.write("wo\n");
    assert_eq!(running.wait_err("two\n"), "one\ntwo\n");
}

#[test]
fn a_status_file_holds_the_latest_line() {
    let place = scratch();
    let padded = |line: &str| line.to_owned() + &"\n".repeat(1001 - line.len());
    log(&place, &["-two", "=status", "./m", "=again"], "one\ntwo\n");
    assert_eq!((place.text("status"), place.text("again")), (padded("one"), padded("one")));
    assert_eq!(place.mode("status"), 0o600);
    log(&place, &["=status"], format!("{}\n", "x".repeat(1000)));
    assert_eq!(place.text("status"), padded(&"x".repeat(1000)));
    log(&place, &["=status"], format!("{}yz\n", "x".repeat(999)));
    assert_eq!(place.text("status"), padded(&format!("{}y", "x".repeat(999))));
    log(&place, &["=status"], "");
    assert_eq!(place.text("status"), padded(&format!("{}y", "x".repeat(999))));
    place.write("status", "z".repeat(1500)).chmod("status", 0o640);
    log(&place, &["=status"], "\n");
    assert_eq!(place.text("status"), padded("") + &"z".repeat(499));
    assert_eq!(place.mode("status"), 0o640);
}

#[test]
fn a_status_line_has_its_time() {
    let place = scratch();
    log(&place, &["t", "=status"], "one\n");
    let text = place.text("status");
    assert!(text.starts_with('@') && text[25..].trim_end_matches('\n') == " one", "{text}");
}

#[test]
fn every_log_gets_what_is_selected_where_it_stands() {
    let place = scratch();
    log(&place, &["./m", "-a*", "./n", "-*", "./o", "+ab", "./p"], "a\nab\nb\n");
    let current = |log: &str| place.text(format!("{log}/current"));
    assert_eq!(["m", "n", "o", "p"].map(current), ["a\nab\nb\n", "b\n", "", "ab\n"]);
}

#[test]
fn an_absolute_path_is_a_log_too() {
    let place = scratch();
    log(&place, &[place.join("m").to_str().unwrap()], "line\n");
    assert_eq!(everything(&place), "line\n");
}

#[test]
fn lines_are_there_as_soon_as_they_are_complete() {
    let place = scratch();
    let mut running = start(&mut multilog(&place, &["./m"]));
    running.write("one\nhalf");
    until(LIMIT, "the first line", || place.exists("m/current") && everything(&place) == "one\n");
    running.write(" a line\n");
    until(LIMIT, "the second line", || everything(&place) == "one\nhalf a line\n");
    // the start of a long line too, when no pattern can want more of it
    running.write("x".repeat(999));
    running.write("\0");
    until(LIMIT, "a thousand bytes", || place.read("m/current").len() == 16 + 1000);
    running.write("y");
    until(LIMIT, "the rest", || place.read("m/current").len() == 16 + 1001);
    assert_eq!(ran(&running.finish(LIMIT)), (Some(0), String::new(), String::new()));
}

#[test]
fn long_lines_stream_through_where_their_start_sends_them() {
    let input = format!("a{0}\nb{0}\n", "x".repeat(300_000));
    let expected = format!("b{}\n", "x".repeat(300_000));
    assert_eq!(logged(&["s16777215", "-a*"], &input), expected);
    assert_eq!(logged(&["t", "s16777215", "-* a*"], &input).len(), 26 + expected.len());
}
