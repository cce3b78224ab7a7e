//! datemail: send a message, with a Date field in local time.

use crate::installation::installation;
use std::process::Command;
use tests::{fed, ran};

#[test]
fn a_message_is_sent_with_the_local_date() {
    let home = installation();
    let mut command = home.program("datemail");
    command.args(["-f", "me@a.example", "you@b.example"]).env("TZ", "XXX-02");
    let o = fed(&mut command, "Subject: x\n\nbody\n");
    assert_eq!(ran(&o), (Some(0), String::new(), String::new()));
    let message = home.place().text(home.file("mess", home.only("todo")));
    let dates: Vec<&str> = message.lines().filter(|line| line.starts_with("Date: ")).collect();
    assert!(dates.len() == 1 && dates[0].ends_with(" +0200"), "{message}");
}

#[test]
fn what_sendmail_says_counts() {
    if tests::original() {
        return; // The script lies beside its program, not beside in-home.sh.
    }
    let home = installation();
    // the script's own folder comes before PATH
    home.place().copy(tests::bin("datemail"), "bin2/datemail");
    for code in [100, 111] {
        home.script("sendmail", &format!("cat >/dev/null; exit {code}\n"));
        let mut command = Command::new(home.join("bin2/datemail"));
        command.env_clear().env("PATH", format!("{}:/usr/bin:/bin", home.join("bin").display()));
        assert_eq!(fed(&mut command, "").status.code(), Some(code));
    }
}
