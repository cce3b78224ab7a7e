//! When and how current becomes an old file.

use super::{everything, lines, log, logged, multilog, old};
use tests::{LIMIT, Scratch, calls, original, ran, scratch, start, until};

/// The lengths of the old files.
fn lengths(place: &Scratch) -> Vec<usize> {
    old(place).iter().map(|name| place.read(format!("m/{name}")).len()).collect()
}

fn is_label(name: &str, code: &str) -> bool {
    let digits = name.strip_prefix('@').and_then(|rest| rest.strip_suffix(code));
    digits.is_some_and(|digits| {
        digits.len() == 24 && digits.bytes().all(|digit| b"0123456789abcdef".contains(&digit))
    })
}

#[test]
fn a_new_log_has_these_files() {
    let place = scratch();
    log(&place, &["./m"], "line\n");
    assert_eq!(place.names("m"), ["current", "lock", "state"]);
    let modes = ["m", "m/current", "m/lock", "m/state"].map(|name| place.mode(name));
    assert_eq!(modes, [0o700, 0o744, 0o600, 0o644]);
    assert_eq!((place.text("m/lock"), place.text("m/state")), (String::new(), String::new()));
}

#[test]
fn current_shows_that_it_is_written_to() {
    let place = scratch();
    log(&place, &["./m"], "one\n");
    assert_eq!(place.mode("m/current"), 0o744);
    let mut running = start(&mut multilog(&place, &["./m"]));
    running.write("two\n");
    until(LIMIT, "the second line", || everything(&place) == "one\ntwo\n");
    assert_eq!(place.mode("m/current"), 0o644);
    running.finish(LIMIT);
    assert_eq!(place.mode("m/current"), 0o744);
}

#[test]
fn files_end_with_a_line_near_their_size() {
    for size in [4096, 5000, 99999, 200_000] {
        let place = scratch();
        let input = lines(size * 7);
        log(&place, &[&format!("s{size}"), "n100", "./m"], &input);
        assert!(everything(&place) == input);
        let lengths = lengths(&place);
        assert!(lengths.iter().all(|length| (size - 2000..=size).contains(length)), "{lengths:?}");
        assert!((7..=14).contains(&lengths.len()), "{lengths:?}");
        for name in old(&place) {
            assert!(place.text(format!("m/{name}")).ends_with('\n') && is_label(&name, ".s"));
            assert_eq!(place.mode(format!("m/{name}")), 0o744);
        }
    }
}

#[test]
fn sizes_and_numbers_have_limits() {
    let sizes = |words: &[&str]| {
        let place = scratch();
        log(&place, &[words, &["./m"]].concat(), lines(50_000));
        (lengths(&place).iter().all(|length| (2096..=4096).contains(length)), old(&place).len())
    };
    assert_eq!(sizes(&["s1", "n3"]), (true, 2));
    assert_eq!(sizes(&["s10k", "n0"]), (true, 1));
    assert_eq!(sizes(&["s", "n"]), (true, 1));
    assert_eq!(sizes(&["n5", "s4096x", "n2x"]), (true, 1));
    assert_eq!(sizes(&[]), (true, 0));
    assert_eq!(sizes(&["./n", "s4096", "n6"]), (true, 5));
}

#[test]
fn a_line_longer_than_a_file_is_split_and_nothing_is_added() {
    let input = "x".repeat(10_000) + "\n" + &"y".repeat(4096) + "\nz\n";
    let place = scratch();
    log(&place, &["s4096", "n100", "./m"], &input);
    assert_eq!(everything(&place), input);
    let lengths = lengths(&place);
    assert_eq!(lengths[..2], [4096, 4096]);
    assert!(lengths.iter().all(|length| *length <= 4096), "{lengths:?}");
}

#[test]
fn any_mixture_of_lines_is_whole_and_in_order() {
    let mut random = tests::Random::new(6);
    let mut input = Vec::new();
    while input.len() < 1_000_000 {
        let most = *random.pick(&[&1, &80, &80, &2000, &2001, &5000, &70_000]);
        let length = random.below(most);
        input.extend((0..length).map(|_| b'a' + random.below(26) as u8));
        input.push(b'\n');
    }
    let place = scratch();
    log(&place, &["s4096", "n10000", "./m"], &input);
    assert!(everything(&place).as_bytes() == input);
    assert!(lengths(&place).iter().all(|length| *length <= 4096));
}

#[test]
fn the_oldest_files_go_first() {
    let place = scratch();
    let input = lines(100_000);
    log(&place, &["s4096", "n4", "./m"], &input);
    assert_eq!(old(&place).len(), 3);
    assert!(input.ends_with(&everything(&place)));
    let before = old(&place);
    log(&place, &["s4096", "n2", "./m"], lines(4096));
    assert!(old(&place).len() == 1 && !before.contains(&old(&place)[0]));
}

#[test]
fn only_names_like_those_of_old_files_are_removed() {
    let place = scratch();
    let short = "@4000000000000000000000";
    for name in ["@400000000000000000000000", "@400000000000000000000000.x", short, "z", ".x"] {
        place.write(format!("m/{name}"), "");
    }
    log(&place, &["s4096", "n3", "./m"], lines(20_000));
    let mut others = place.names("m");
    others.retain(|name| !is_label(name, ".s"));
    assert_eq!(others, [".x", short, "current", "lock", "state", "z"]);
    assert_eq!(old(&place).len(), 3);
}

#[test]
fn the_length_of_an_earlier_current_counts() {
    let place = scratch();
    log(&place, &["s4096", "./m"], lines(2000));
    assert_eq!(old(&place).len(), 0);
    log(&place, &["s4096", "./m"], "the end\n".repeat(100));
    assert_eq!(old(&place).len(), 1);
    assert_eq!(everything(&place), lines(2000) + &"the end\n".repeat(100));
}

#[test]
fn a_log_that_is_moved_is_still_written_to() {
    let place = scratch();
    let mut running = start(&mut multilog(&place, &["s4096", "./first", "./other"]));
    running.write("line\n");
    until(LIMIT, "the first line", || {
        place.exists("first/current") && !place.read("first/current").is_empty()
    });
    std::fs::rename(place.join("first"), place.join("m")).unwrap();
    running.write(lines(4110));
    assert_eq!(ran(&running.finish(LIMIT)), (Some(0), String::new(), String::new()));
    assert_eq!((everything(&place), old(&place).len()), (format!("line\n{}", lines(4110)), 1));
    assert!(!place.exists("first"));
}

#[test]
fn finished_files_can_have_another_end() {
    // wCODE is of daemontools-encore
    if original() {
        return;
    }
    let place = scratch();
    log(&place, &["wdone", "s4096", "./m"], lines(5000));
    let names = old(&place);
    assert!(names.len() == 1 && is_label(&names[0], ".done"), "{names:?}");
    assert!(logged(&["w"], "x\n") == "x\n");
}

#[test]
fn a_file_is_on_disk_before_it_gets_its_name() {
    let place = scratch();
    let kinds = "fsync,rename,/^f?chmod,link,unlink,linkat,renameat,unlinkat";
    let command = multilog(&place, &["s4096", "./m"]);
    let Some((output, calls)) = calls(kinds, &command, &lines(4097)) else { return };
    assert_eq!(ran(&output), (Some(0), String::new(), String::new()));
    // numbers of descriptors and labels differ, and the names of some calls
    let name = |call: &String| {
        let call = call.replace("linkat(AT_FDCWD,", "link(").replace(" AT_FDCWD,", "");
        let call = call.split_once('@').map_or(&call[..], |(start, _)| start);
        call.chars().filter(|letter| !"0123456789= ".contains(*letter)).collect::<String>()
    };
    let mut calls: Vec<String> = calls.iter().map(name).collect();
    calls.retain(|call| !call.contains("ENOENT"));
    let mut expected = vec![
        // the folder is new
        "fsync()",
        // and current
        "fchmod(,)",
        // the rotation
        "fsync()",
        "rename(\"current\",\"previous\")",
        "fchmod(,)",
        "chmod(\"previous\",)",
        "link(\"previous\",\"",
        "unlink(\"previous\")",
        "fsync()",
        // the end
        "fsync()",
        "fchmod(,)",
    ];
    if original() {
        // the original leaves the names to the file system
        expected.remove(8);
        expected.remove(0);
    }
    assert_eq!(calls, expected);
}
