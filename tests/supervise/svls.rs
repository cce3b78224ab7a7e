//! svls: a line for each service, as a table, as JSON, with colours and log lines; and its code.

use crate::pretender::{DOWN, FAILED, Pretender, UP, pretend, stamp};
use crate::services::{Services, services};
use std::process::Command;
use tests::{fed, original, ran};

/// svls in a locale of UTF-8.
fn svls(place: &Services, words: &[&str]) -> Command {
    let mut command = place.command("svls");
    command.args(words).env("LANG", "C.UTF-8");
    command
}

/// What it exits with and prints.
#[track_caller]
fn listed(place: &Services, words: &[&str]) -> (i32, String) {
    let (code, out, err) = ran(&fed(&mut svls(place, words), ""));
    assert_eq!(err, "");
    (code.unwrap(), out)
}

/// A scan directory with a service in each state.
fn all_states(place: &Services) -> Vec<Pretender<'_>> {
    place.dir("s/zzz").dir("s/.hidden").write("s/file", "");
    let names = ["up", "down", "failed", "waits", "ready", "starts", "logged", "logged/log"];
    let services: Vec<_> = names.iter().map(|name| pretend(place, &format!("s/{name}"))).collect();
    let [up, down, failed, waits, ready, starts, logged, log] = &services[..] else {
        unreachable!()
    };
    up.says(7, UP, "restarts=1\nlast_exit=3\n");
    down.says(0, DOWN, "restarts=0\n");
    failed.says(0, FAILED, "restarts=4\nlast_exit=100\nfailed=yes\n");
    waits.says(0, b"\0u\0\0", "restarts=2\nlast_signal=SIGKILL\ndelay=4\n");
    ready.says(8, b"\x01d\x03\x01", "ready=yes\n");
    starts.says(9, b"\0u\x01\x01", "script=start\n");
    logged.says(10, b"\0u", "").forget_state();
    log.says(11, UP, "");
    services
}

#[test]
fn every_service_has_a_line_in_columns() {
    if original() {
        return;
    }
    let place = services();
    let _services = all_states(&place);
    let expected = "\
\u{25cb}  down    stopped                     -  0s  0 restarts  -
\u{2717}  failed  failed                      -  0s  4 restarts  exit 100
\u{25cf}  logged  running                    10  0s  -           -         log running
\u{25cf}  ready   running, ready, paused, want down   8  0s  0 restarts  -
\u{25d0}  starts  starting                    9  0s  0 restarts  -
\u{25cf}  up      running                     7  0s  1 restart   exit 3
\u{2717}  waits   backoff                     -  0s  2 restarts  SIGKILL
\u{2717}  zzz     unsupervised                -  -   -           -
";
    let words = |text: &str| -> Vec<Vec<String>> {
        text.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
    };
    let (code, out) = listed(&place, &["s"]);
    assert_eq!((code, words(&out)), (1, words(expected)));
    // columns are columns
    let at = |text: &str| out.lines().filter_map(|line| line.find(text)).collect::<Vec<_>>();
    assert!(at("restart").windows(2).all(|pair| pair[0].abs_diff(pair[1]) <= 2), "{out}");
    let (_, plain) = listed_in(&place, "C");
    let dots: String = plain.lines().filter_map(|line| line.chars().next()).collect();
    assert_eq!(dots, "o!**~*!!");
}

fn listed_in(place: &Services, locale: &str) -> (Option<i32>, String) {
    let (code, out, _) = ran(&fed(svls(place, &["s"]).env("LANG", locale), ""));
    (code, out)
}

#[test]
fn the_code_says_whether_all_is_as_wanted() {
    if original() {
        return;
    }
    let place = services();
    let code = |words: &[&str]| listed(&place, words).0;
    place.dir("s");
    assert_eq!(code(&["s"]), 0);
    let a = pretend(&place, "s/a");
    for (pid, status, expected) in [
        (7, UP, 0),
        (0, DOWN, 0),
        (0, FAILED, 1),
        (0, b"\0u\0\0", 1),
        (0, b"\0\0\x02\0", 0),
        (7, b"\x01d\x03\x01", 0),
    ] {
        a.says(pid, status, "");
        assert_eq!(code(&["s"]), expected, "{status:?}");
    }
    a.says(7, UP, "");
    let log = pretend(&place, "s/a/log");
    assert_eq!(code(&["s"]), 0);
    log.says(0, b"\0u\0\0", "");
    assert_eq!(code(&["s"]), 1);
    drop(log);
    assert_eq!(code(&["s"]), 1);
}

#[test]
fn a_log_script_counts_too() {
    if original() {
        return;
    }
    let place = services();
    let service = pretend(&place, "s/a");
    let both = |log: &[u8]| [UP, &stamp()[..], &[0; 4], log].concat();
    service.says(7, &both(DOWN), "");
    assert!(listed(&place, &["s"]).1.ends_with("  log stopped\n"));
    service.says(7, &both(b"\0u\0\0"), "");
    assert_eq!(listed(&place, &["s"]).0, 1);
}

#[test]
fn colours_are_for_terminals_or_if_wanted() {
    if original() {
        return;
    }
    let place = services();
    let service = pretend(&place, "s/a");
    service.says(7, UP, "");
    let plain = listed(&place, &["s"]).1;
    assert!(!plain.contains('\x1b'));
    let colored = listed(&place, &["--color=always", "s"]).1;
    assert!(colored.starts_with("\x1b[32m\u{25cf}\x1b[0m  a"), "{colored}");
    assert_eq!(listed(&place, &["--color=never", "s"]).1, plain);
    assert_eq!(listed(&place, &["--color=auto", "s"]).1, plain);
    // script gives it a terminal
    let on_terminal = |set: &str| {
        let mut script = Command::new("script");
        script.current_dir(place.path());
        let program = tests::bin("svls");
        script.args(["-qec", &format!("{set} {} s", program.display()), "/dev/null"]);
        ran(&fed(&mut script, "")).1
    };
    if Command::new("script").arg("-V").output().is_ok() {
        assert!(on_terminal("LANG=C").contains("\x1b[32m"));
        assert!(!on_terminal("NO_COLOR=1 LANG=C").contains("\x1b[32m"));
        assert!(on_terminal("NO_COLOR= LANG=C").contains("\x1b[32m"));
    }
}

#[test]
fn the_last_line_of_the_log_follows() {
    if original() {
        return;
    }
    let place = services();
    let (a, b, c) = (pretend(&place, "s/a"), pretend(&place, "s/b"), pretend(&place, "s/c"));
    for service in [&a, &b, &c] {
        service.says(7, UP, "");
    }
    place.write("s/a/log/main/current", "first\nlast \x1b[2J\n");
    let _log = pretend(&place, "s/a/log");
    // just rotated, and elsewhere
    place.write("s/b/main/@400000000000000000000001.s", "old\n").write("s/b/main/current", "");
    let (_, out) = listed(&place, &["-a", "s"]);
    let lines: Vec<&str> = out.lines().filter(|line| line.starts_with("   ")).collect();
    assert_eq!(lines, ["   last ?[2J", "   old"]);
    let (_, json) = listed(&place, &["-aj", "s"]);
    let json: Vec<&str> = json.lines().collect();
    assert!(json[0].ends_with(r#","last_line":"last \u001b[2J"}"#), "{}", json[0]);
    assert!(json[0].contains(r#","log":{"service":"log","supervised":true,"#), "{}", json[0]);
    assert!(json[2].ends_with(r#""adopted":false}"#), "{}", json[2]);
}

#[test]
fn json_has_an_object_per_line() {
    if original() {
        return;
    }
    let place = services();
    let _services = all_states(&place);
    let (code, out) = listed(&place, &["-j", "s"]);
    assert_eq!((code, out.lines().count()), (1, 8));
    assert!(out.lines().all(|line| line.starts_with("{\"service\":\"") && line.ends_with('}')));
    let last = r#"{"service":"zzz","supervised":false,"error":"file does not exist"}"#;
    assert!(out.ends_with(&format!("{last}\n")), "{out}");
}

#[test]
fn names_may_be_anything() {
    if original() {
        return;
    }
    let place = services();
    let _service = pretend(&place, "s/a \x1b[2J\n\"b\"");
    assert!(listed(&place, &["s"]).1.contains("  a ?[2J?\"b\"  stopped"));
    assert!(listed(&place, &["-j", "s"]).1.contains(r#""a \u001b[2J\n\"b\"""#));
}

#[test]
fn where_services_are() {
    if original() {
        return;
    }
    let place = services();
    let service = pretend(&place, "s/a");
    service.says(7, UP, "");
    let o = fed(svls(&place, &[]).env("SVDIR", place.join("s")), "");
    assert_eq!(ran(&o).1, listed(&place, &["s"]).1);
    let usage = "svls: usage: svls [ -aj ] [ --color=auto|always|never ] [ dir ]\n";
    for words in [&["s", "s"][..], &["--color=red", "s"]] {
        let o = fed(&mut svls(&place, words), "");
        assert_eq!(ran(&o), (Some(100), String::new(), usage.into()));
    }
    let said = "svls: fatal: unable to read gone: file does not exist\n";
    let o = fed(&mut svls(&place, &["gone"]), "");
    assert_eq!(ran(&o), (Some(111), String::new(), said.into()));
}
