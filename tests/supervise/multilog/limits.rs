//! Age, bytes of all files and room on the disk: the words r, b and m. And the prefix, p.
//!
//! The originals know none of them.

use super::{everything, lines, log, logged, multilog, old};
use tests::{LIMIT, failing, fed, original, ran, scratch, start, until};

#[test]
fn a_file_that_is_too_old_is_finished_without_input() {
    if original() {
        return;
    }
    let place = scratch();
    let mut running = start(&mut multilog(&place, &["r1", "./m"]));
    running.write("first\n");
    until(LIMIT, "an old file", || old(&place).len() == 1 && place.exists("m/current"));
    assert_eq!(
        (place.text(format!("m/{}", old(&place)[0])), place.text("m/current")),
        ("first\n".to_owned(), String::new())
    );
    running.write("second\n");
    until(LIMIT, "the second old file", || old(&place).len() == 2);
    assert_eq!(ran(&running.finish(LIMIT)), (Some(0), String::new(), String::new()));
    assert_eq!(everything(&place), "first\nsecond\n");
}

#[test]
fn a_file_that_was_found_has_its_age() {
    if original() {
        return;
    }
    let place = scratch();
    log(&place, &["./m"], "found\n");
    let running = start(&mut multilog(&place, &["r1", "./m"]));
    until(LIMIT, "an old file", || old(&place).len() == 1);
    assert_eq!(running.finish(LIMIT).status.code(), Some(0));
    assert_eq!(everything(&place), "found\n");
}

#[test]
fn no_age_and_other_logs_rotate_by_size_alone() {
    if original() {
        return;
    }
    let place = scratch();
    let mut running = start(&mut multilog(&place, &["./n", "r1", "./o", "r0", "./m"]));
    running.write("line\n");
    until(LIMIT, "an old file", || place.exists("o/current") && place.names("o").len() == 4);
    assert_eq!((place.names("m").len(), place.names("n").len()), (3, 3));
    running.finish(LIMIT);
}

#[test]
fn an_old_file_waits_for_the_processor_and_input_does_not() {
    if original() {
        return;
    }
    let place = scratch();
    place.fifo("gate");
    let words = ["r1", "!read x <../gate; cat", "./m"];
    let mut running = start(&mut multilog(&place, &words));
    let current = || std::fs::read_to_string(place.join("m/current")).unwrap_or_default();
    running.write("first\n");
    until(LIMIT, "the processor", || place.exists("m/processed"));
    running.write("second\n");
    until(LIMIT, "the second line", || current() == "second\n");
    // as long as the first is processed, whatever its age
    place.write("gate", "\n");
    until(LIMIT, "the first old file", || old(&place).len() == 1);
    place.write("gate", "\n");
    until(LIMIT, "the second old file", || old(&place).len() == 2);
    assert_eq!(running.finish(LIMIT).status.code(), Some(0));
    assert_eq!(everything(&place), "first\nsecond\n");
}

#[test]
fn old_files_have_no_more_bytes_than_wanted() {
    if original() {
        return;
    }
    let left = |words: &[&str]| {
        let place = scratch();
        let input = lines(60_000);
        log(&place, &[&["s4096", "n1000"], words, &["./m"]].concat(), &input);
        assert!(input.ends_with(&everything(&place)));
        let bytes = old(&place).into_iter().map(|name| place.read(format!("m/{name}")).len());
        (bytes.sum::<usize>(), old(&place).len())
    };
    let (bytes, number) = left(&["b20000"]);
    assert!((16_000..=20_000).contains(&bytes) && number > 3, "{bytes} in {number}");
    assert_eq!(left(&["b1"]).1, 1);
    assert_eq!(left(&["b"]).1, 1);
    assert_eq!(left(&["b20000", "n3"]).1, 2);
    assert!(left(&[]).1 > 10);
}

#[test]
fn the_prefix_stands_behind_the_time() {
    if original() {
        return;
    }
    assert_eq!(logged(&["phost: "], "one\n\ntwo"), "host: one\nhost: \nhost: two\n");
    let long = "x".repeat(70_000) + "\n";
    assert_eq!(logged(&["p> "], &long), format!("> {long}"));
    let stamped = logged(&["t", "phost: "], "one\n");
    assert_eq!(stamped.split_at(25).1, " host: one\n");
    let place = scratch();
    // patterns see the line, not the prefix of a log
    log(&place, &["pa ", "-a*", "./m", "p", "./n"], "one\na two\n");
    assert_eq!((everything(&place), place.text("n/current")), ("a one\n".into(), "one\n".into()));
}

#[test]
fn a_full_disk_costs_the_oldest_file_and_no_time() {
    if original() {
        return;
    }
    let place = scratch();
    log(&place, &["s4096", "n100", "./m"], lines(13_000));
    let before = old(&place);
    let words = ["s4096", "n100", "m1", "./m"];
    let Some(mut command) = failing("write", "ENOSPC", 1, &multilog(&place, &words)) else {
        return;
    };
    let said = format!(
        "multilog: warning: unable to write to ./m/current, removing ./m/{}: out of disk space\n",
        before[0]
    );
    assert_eq!(ran(&fed(&mut command, "line\n")), (Some(0), String::new(), said));
    assert_eq!(old(&place), before[1..]);
    assert!(everything(&place).ends_with("\nline\n"));
}

#[test]
fn spared_files_stay_on_a_full_disk() {
    if original() {
        return;
    }
    let place = scratch();
    log(&place, &["s4096", "n100", "./m"], lines(13_000));
    let before = old(&place);
    let words = ["s4096", "n100", &format!("m{}", before.len()), "./m"];
    let Some(mut command) = failing("write", "ENOSPC", 1, &multilog(&place, &words)) else {
        return;
    };
    let said = "multilog: warning: unable to write to ./m/current, pausing: out of disk space\n";
    assert_eq!(ran(&fed(&mut command, "line\n")), (Some(0), String::new(), said.into()));
    assert_eq!(old(&place), before);
}
