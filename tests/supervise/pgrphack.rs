use tests::{program, ran};

fn pgrphack(words: &[&str]) -> (Option<i32>, String, String) {
    ran(&program("pgrphack").args(words).output().unwrap())
}

#[test]
fn without_a_child_it_shows_its_usage() {
    let said = "pgrphack: usage: pgrphack child\n";
    assert_eq!(pgrphack(&[]), (Some(100), String::new(), said.into()));
}

#[test]
fn a_missing_child_is_a_temporary_failure() {
    let said = "pgrphack: fatal: unable to run /nonexistent: file does not exist\n";
    assert_eq!(pgrphack(&["/nonexistent"]), (Some(111), String::new(), said.into()));
}

#[test]
fn the_child_leads_a_session_and_a_group() {
    // after the name in brackets: state, parent, group, session
    let script = "cut -d' ' -f1,5,6 /proc/$$/stat; exit 7";
    let (code, out, err) = pgrphack(&["sh", "-c", script]);
    let ids: Vec<&str> = out.split_whitespace().collect();
    assert_eq!((code, err), (Some(7), String::new()));
    assert!(matches!(ids[..], [pid, group, session] if pid == group && pid == session), "{out}");
}

#[test]
fn the_leader_of_a_group_runs_the_child_all_the_same() {
    let nested = ["sh", "-c", "exec \"$0\" echo done"];
    let pgrphack_again = tests::bin("pgrphack");
    let o = program("pgrphack").args(nested).arg(pgrphack_again).output().unwrap();
    assert_eq!(ran(&o), (Some(0), "done\n".into(), String::new()));
}
