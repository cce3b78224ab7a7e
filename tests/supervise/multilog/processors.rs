//! Commands that every finished file goes through.

use super::{everything, lines, log, multilog, old};
use std::time::{Duration, Instant};
use tests::{LIMIT, fed, original, ran, scratch, start, until};

/// Enough for one rotation, and not for two wherever in its last 2000 bytes a file ends.
fn one_file_and_more() -> String {
    lines(4110)
}

#[test]
fn finished_files_are_what_the_processor_writes() {
    let place = scratch();
    log(&place, &["s4096", "n100", "!tr a-z A-Z", "./m"], lines(20_000));
    let names = old(&place);
    let current = place.text("m/current");
    let processed = everything(&place);
    assert!(names.len() >= 4 && names.iter().all(|name| name.ends_with(".s")), "{names:?}");
    assert_eq!(processed.to_lowercase(), lines(20_000));
    assert!(processed[..processed.len() - current.len()].starts_with("LINE"));
    assert!(current.is_empty() || current.starts_with("line"));
    assert_eq!(names.iter().map(|name| place.mode(format!("m/{name}"))).max(), Some(0o744));
    let mut others = place.names("m");
    others.retain(|name| !name.starts_with('@'));
    assert_eq!(others, ["current", "lock", "state"]);
}

#[test]
fn the_state_goes_from_one_run_to_the_next() {
    let place = scratch();
    let count = "!cat; read n <&4; echo \"$((n + 1))\" >&5";
    log(&place, &["s4096", "n100", count, "./m"], lines(20_000));
    assert_eq!(place.text("m/state"), format!("{}\n", old(&place).len()));
    assert_eq!((everything(&place), place.exists("m/newstate")), (lines(20_000), false));
}

#[test]
fn an_empty_command_empties_every_old_file() {
    let place = scratch();
    log(&place, &["s4096", "!", "./m"], one_file_and_more());
    assert_eq!(old(&place).len(), 1);
    assert!(one_file_and_more().ends_with(&everything(&place)));
}

#[test]
fn it_runs_in_the_folder_of_the_log_with_signals_as_usual() {
    let place = scratch();
    let command = "!pwd >&2; trap >&2; kill -TERM $$; echo not reached >&2";
    let o = {
        let mut running = start(&mut multilog(&place, &["s4096", command, "./m"]));
        running.write(one_file_and_more());
        running.wait_err("crashed");
        running.err()
    };
    let said = format!(
        "{}\nmultilog: warning: processor crashed in ./m, pausing: ",
        place.join("m").display()
    );
    assert!(o.starts_with(&said) && !o.contains("not reached"), "{o}");
}

#[test]
fn logs_have_their_own_processors() {
    let place = scratch();
    log(&place, &["s4096", "./plain", "!tr a-z A-Z", "./m", "!cat", "./n"], one_file_and_more());
    let old = |log: &str| {
        let name = place.names(log).into_iter().find(|name| name.starts_with('@')).unwrap();
        place.text(format!("{log}/{name}"))[..4].to_owned()
    };
    assert_eq!(["plain", "m", "n"].map(old), ["line", "LINE", "line"]);
}

#[test]
fn a_failed_processor_is_run_again() {
    let place = scratch();
    let command = "!cat; test -e ../tried || { touch ../tried; exit 7; }";
    let began = Instant::now();
    let o = fed(&mut multilog(&place, &["s4096", command, "./m"]), one_file_and_more());
    let said = "multilog: warning: processor failed in ./m, pausing\n";
    assert_eq!(ran(&o), (Some(0), String::new(), said.into()));
    assert!(began.elapsed() >= Duration::from_secs(5));
    assert_eq!((old(&place).len(), everything(&place)), (1, one_file_and_more()));
}

#[test]
fn a_crashed_processor_is_run_again() {
    let place = scratch();
    let command = "!cat; test -e ../tried || { touch ../tried; kill -9 $$; }";
    let o = fed(&mut multilog(&place, &["s4096", command, "./m"]), one_file_and_more());
    let (code, _, err) = ran(&o);
    assert!(err.starts_with("multilog: warning: processor crashed in ./m, pausing: "), "{err}");
    assert_eq!((code, old(&place).len(), everything(&place)), (Some(0), 1, one_file_and_more()));
    // the original complains and pauses twice
    assert!(original() || err.ends_with("killed by signal 9\n"), "{err}");
}

#[test]
fn logging_goes_on_while_it_works_and_while_it_fails() {
    // the original does not read meanwhile
    if original() {
        return;
    }
    let place = scratch();
    place.fifo("gate");
    let words = ["s4096", "n100", "!read x <../gate; cat; test $x = good", "./m"];
    let mut running = start(&mut multilog(&place, &words));
    let seen = || std::fs::read_to_string(place.join("m/current")).unwrap_or_default();
    running.write(one_file_and_more());
    until(LIMIT, "the rotation", || place.exists("m/processed"));
    running.write("while it works\n");
    until(LIMIT, "a line", || seen().ends_with("while it works\n"));
    place.write("gate", "bad\n");
    running.wait_err("multilog: warning: processor failed in ./m, pausing\n");
    running.write("while it pauses\n");
    until(LIMIT, "a line", || seen().ends_with("while it pauses\n"));
    // blocks until the second attempt, which comes without further input
    place.write("gate", "good\n");
    until(LIMIT, "the old file", || old(&place).len() == 1 && !place.exists("m/processed"));
    assert!(everything(&place).ends_with("while it works\nwhile it pauses\n"));
    assert_eq!(running.finish(LIMIT).status.code(), Some(0));
}

#[test]
fn the_next_rotation_waits_for_it() {
    // the original waits for every rotation
    if original() {
        return;
    }
    let place = scratch();
    place.fifo("gate");
    let words = ["s4096", "n100", "!read x <../gate; cat", "./m"];
    let mut running = start(&mut multilog(&place, &words));
    running.write(lines(9000));
    until(LIMIT, "the first rotation", || place.exists("m/processed"));
    until(LIMIT, "a full file", || {
        place.exists("m/current") && place.read("m/current").len() > 2096
    });
    assert_eq!(old(&place).len(), 0);
    place.write("gate", "\n");
    until(LIMIT, "an old file", || old(&place).len() == 1);
    place.write("gate", "\n");
    until(LIMIT, "another", || old(&place).len() == 2);
    assert_eq!(running.finish(LIMIT).status.code(), Some(0));
    assert_eq!(everything(&place), lines(9000));
}

#[test]
fn the_end_waits_for_it() {
    let place = scratch();
    place.fifo("gate");
    let words = ["s4096", "!read x <../gate; cat", "./m"];
    let mut running = start(&mut multilog(&place, &words));
    running.write(one_file_and_more());
    running.close();
    until(LIMIT, "the rotation", || place.exists("m/processed"));
    // not yet: a restart would forget previous
    assert_eq!((running.ended(), place.mode("m/current")), (None, 0o644));
    place.write("gate", "\n");
    assert_eq!(running.wait(LIMIT).code(), Some(0));
    assert_eq!((everything(&place), place.mode("m/current")), (one_file_and_more(), 0o744));
}
