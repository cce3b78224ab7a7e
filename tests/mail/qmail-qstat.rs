//! qmail-qstat: counts.

use crate::installation::installation;
use tests::{fed, ran};

#[test]
fn messages_and_unprocessed_messages_are_counted() {
    let installation = installation();
    installation.send("one\n", "s@b.example", &["r@a.example"]);
    installation.send("two\n", "s@b.example", &["r@a.example"]);
    installation.write("queue/mess/3/99", "").write("queue/mess/3/no number", "");
    let out = "messages in queue: 3\nmessages in queue but not yet preprocessed: 2\n";
    let output = fed(&mut installation.program("qmail-qstat"), "");
    assert_eq!(ran(&output), (Some(0), out.into(), String::new()));
}

#[test]
fn a_missing_queue_is_a_temporary_failure() {
    let installation = installation();
    let output = fed(installation.program("qmail-qstat").env("QMAILHOME", "/nonexistent"), "");
    let said = "qmail-qstat: fatal: unable to read queue/mess: file does not exist\n";
    assert_eq!(ran(&output), (Some(111), String::new(), said.into()));
}
