use std::time::Instant;
use tests::{LIMIT, program, ran, scratch, start, until};

fn fghack(words: &[&str]) -> (Option<i32>, String, String) {
    ran(&program("fghack").args(words).output().unwrap())
}

#[test]
fn without_a_child_it_shows_its_usage() {
    assert_eq!(fghack(&[]), (Some(100), String::new(), "fghack: usage: fghack child\n".into()));
}

#[test]
fn a_missing_child_is_a_temporary_failure() {
    let said = "fghack: fatal: unable to run /nonexistent: file does not exist\n";
    assert_eq!(fghack(&["/nonexistent"]), (Some(111), String::new(), said.into()));
}

#[test]
fn the_exit_code_is_the_childs() {
    assert_eq!(fghack(&["sh", "-c", "echo out; echo err >&2; exit 42"]), {
        (Some(42), "out\n".into(), "err\n".into())
    });
}

#[test]
fn a_killed_child_has_crashed() {
    let said = "fghack: fatal: child crashed\n";
    assert_eq!(fghack(&["sh", "-c", "kill -9 $$"]), (Some(111), String::new(), said.into()));
}

#[test]
fn it_waits_for_what_the_child_leaves_in_the_background() {
    let place = scratch();
    place.fifo("gate");
    let mut command = program("fghack");
    // closes everything up to 9, as daemons do
    let daemon =
        "(exec <&- >&- 2>&- 3<&- 4<&- 5<&- 6<&- 7<&- 8<&- 9<&-; read x <gate) & echo up; exit 3";
    let waiting = start(command.args(["sh", "-c", daemon]).current_dir(place.path()));
    waiting.wait_out("up\n");
    let children = format!("/proc/{0}/task/{0}/children", waiting.pid());
    // the child has ended, but its own child has not: it is nobody's here and a zombie is left
    until(LIMIT, "the end of the child", || {
        let children = std::fs::read_to_string(&children).unwrap();
        let state = |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        children.split_whitespace().all(|pid| state(pid).contains(") Z "))
    });
    assert_eq!(waiting.ended(), None);
    place.write("gate", "go\n");
    assert_eq!(ran(&waiting.finish(LIMIT)).0, Some(3));
}

#[test]
fn the_child_inherits_thirty_copies_and_no_more_than_the_writing_end() {
    let (code, out, err) = fghack(&["sh", "-c", "for f in /proc/self/fd/*; do readlink $f; done"]);
    let pipes = |link: &&str| out.lines().filter(|other| other == link).count() > 2;
    let most = out.lines().find(pipes).unwrap_or_default();
    let count = out.lines().filter(|link| *link == most).count();
    assert_eq!((code, count, err), (Some(0), 31, String::new()));
}

#[test]
fn a_quick_child_costs_no_time() {
    let start = Instant::now();
    assert_eq!(fghack(&["true"]).0, Some(0));
    assert!(start.elapsed() < LIMIT / 4);
}
