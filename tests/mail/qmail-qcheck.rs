//! qmail-qcheck: check a queue, and repair it.

use crate::installation::{Installation, installation};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use tests::{LIMIT, killed, ran, until};

const FINE: (Option<i32>, String, String) = (Some(0), String::new(), String::new());

fn qcheck(home: &Installation, words: &[&str]) -> (Option<i32>, String, String) {
    ran(&home.program("qmail-qcheck").args(words).output().unwrap())
}

/// An installation with messages in all states, and a copy in the place of its queue.
fn restored() -> Installation {
    let home = prepared();
    let mut copy = Command::new("sh");
    // what is copied first gets the lowest numbers: the names are mixed up among themselves
    copy.args(["-c", "mv queue old && cp -a old queue && rm -r old"]).current_dir(home.home());
    assert!(copy.status().unwrap().success());
    home.give("");
    home
}

/// Three messages in todo, three that qmail-send knows.
fn prepared() -> Installation {
    let home = installation();
    home.maildir("alias/Maildir").write("alias/.qmail-default", "./Maildir/\n");
    for number in 0..6 {
        let recipient = format!("r{number}@a.example");
        home.send(format!("Subject: {number}\n\n"), "me@a.example", &[&recipient]);
        if number == 2 {
            for message in home.numbers("todo") {
                let recipient = message_of(&home, message);
                fs::remove_file(home.join(format!("queue/todo/{message}"))).unwrap();
                fs::remove_file(home.join(format!("queue/intd/{message}"))).unwrap();
                home.put("info", message, "Fme@a.example\0");
                home.put("local", message, &format!("Tr{recipient}@a.example\0"));
            }
        }
    }
    home
}

/// What stands in a message's subject.
fn message_of(home: &Installation, message: u64) -> String {
    let text = home.place().text(home.file("mess", message));
    text.split("Subject: ").nth(1).unwrap().trim().to_owned()
}

/// Everything is named after its inode, and every message has its own company.
#[track_caller]
fn assert_whole(home: &Installation) {
    let mut subjects = Vec::new();
    for message in home.numbers("mess") {
        let file = home.join(home.file("mess", message));
        assert_eq!(fs::metadata(file).unwrap().ino(), message);
        let subject = message_of(home, message);
        let envelopes = ["todo", "local"].map(|folder| home.join(home.file(folder, message)));
        let envelope: Vec<u8> =
            envelopes.iter().flat_map(|file| fs::read(file).unwrap_or_default()).collect();
        assert!(tests::shown(&envelope).contains(&format!("Tr{subject}@a.example\0")), "{subject}");
        subjects.push(subject);
    }
    subjects.sort();
    assert_eq!(subjects, ["0", "1", "2", "3", "4", "5"]);
}

#[test]
fn a_queue_that_is_whole_is_left_alone() {
    let home = prepared();
    qcheck(&home, &["-N"]); // modes of a scratch folder are not a queue's
    let before = home.numbers("mess");
    assert_eq!((qcheck(&home, &[]), qcheck(&home, &["-N"])), (FINE, FINE));
    assert_eq!(home.numbers("mess"), before);
    assert_whole(&home);
}

#[test]
fn a_copy_gets_its_names_back_and_is_delivered() {
    let home = restored();
    let (code, out, err) = qcheck(&home, &[]);
    assert_eq!(
        (code, out.matches(": wrong name\n").count() >= 6, &*err),
        (Some(100), true, ""),
        "{out}"
    );
    let (code, out, err) = qcheck(&home, &["-N"]);
    assert_eq!(
        (code, out.contains(": wrong name: now mess/"), &*err),
        (Some(0), true, ""),
        "{out}"
    );
    assert_whole(&home);
    assert_eq!((qcheck(&home, &[]), home.place().exists("queue/lost")), (FINE, false));
    let running = home.start();
    home.wait_empty();
    assert_eq!(home.place().names("alias/Maildir/new").len(), 6, "{}", running.out());
}

#[test]
fn a_repair_that_is_interrupted_anywhere_is_finished_by_the_next() {
    for number in (1..40).step_by(3) {
        let home = restored();
        let Some(mut dying) = killed("rename", number, home.program("qmail-qcheck").arg("-N"))
        else {
            return;
        };
        dying.output().unwrap();
        let (code, _, err) = qcheck(&home, &["-N"]);
        assert_eq!((code, &*err), (Some(0), ""), "{number}");
        assert_whole(&home);
        assert!(!home.place().exists("queue/lost"), "{number}");
    }
}

#[test]
fn what_nobody_can_deliver_is_kept_aside() {
    let home = prepared();
    home.put("todo", 99, "u0\0p0\0Fx\0Ty\0").put("bounce", 98, "text");
    let headless = home.numbers("local")[0];
    fs::remove_file(home.join(home.file("info", headless))).unwrap();
    let (code, out, _) = qcheck(&home, &[]);
    for line in ["todo/99: no message\n", "bounce/98: no message\n", ": no sender\n"] {
        assert!(out.contains(line), "{out}");
    }
    assert_eq!((code, home.place().exists("queue/lost")), (Some(100), false));
    assert_eq!(qcheck(&home, &["-N"]).0, Some(0));
    let local = format!("local.{headless}");
    let mut kept = ["bounce.98".to_owned(), local, format!("mess.{headless}"), "todo.99".into()];
    kept.sort();
    assert_eq!(home.place().names("queue/lost"), kept);
    assert_eq!(qcheck(&home, &[]), FINE);
}

#[test]
fn folders_and_special_files_that_are_missing_are_made() {
    let home = prepared();
    for name in ["info/22", "local/21", "todo", "intd", "bounce", "pid", "lock"] {
        fs::remove_dir_all(home.join("queue").join(name)).unwrap();
    }
    let (code, out, err) = qcheck(&home, &["-N"]);
    assert_eq!((code, &*err), (Some(0), ""), "{out}");
    assert!(out.contains("info/22: missing: made\n"), "{out}");
    assert_eq!(qcheck(&home, &[]), FINE);
    let place = home.place();
    let modes =
        ["intd", "todo", "lock/sendmutex", "lock/tcpto", "lock/trigger", "mess/7", "info/22"];
    let modes = modes.map(|name| place.mode(format!("queue/{name}")));
    assert_eq!(modes, [0o700, 0o750, 0o600, 0o644, 0o622, 0o750, 0o700]);
    assert_eq!(place.read("queue/lock/tcpto"), [0; 1024]);
}

#[test]
fn a_table_of_time_outs_that_is_too_short_is_filled() {
    let home = prepared();
    qcheck(&home, &["-N"]);
    home.write("queue/lock/tcpto", [1; 32]).place().chmod("queue/lock/tcpto", 0o644);
    let said = (Some(0), "lock/tcpto: too short: filled\n".into(), String::new());
    assert_eq!(qcheck(&home, &["-N"]), said);
    let table = home.place().read("queue/lock/tcpto");
    assert_eq!((&table[..32], &table[32..]), (&[1; 32][..], &[0; 992][..]));
}

#[test]
fn the_table_for_ipv6_is_checked_if_it_is_there() {
    let home = prepared();
    qcheck(&home, &["-N"]);
    assert!(!home.join("queue/lock/tcpto6").exists());
    home.write("queue/lock/tcpto6", [1; 32]);
    let said = "lock/tcpto6: too short: filled\nlock/tcpto6: wrong mode: 644\n";
    assert_eq!(qcheck(&home, &["-N"]), (Some(0), said.into(), String::new()));
    let table = home.place().read("queue/lock/tcpto6");
    assert_eq!((&table[..32], &table[32..]), (&[1; 32][..], &[0; 992][..]));
    assert_eq!(qcheck(&home, &["-n"]), FINE);
}

#[test]
fn a_running_system_is_looked_at_but_not_touched() {
    let home = prepared();
    qcheck(&home, &["-N"]);
    home.write("alias/.qmail-default", "|exit 111\n");
    let _running = home.start();
    until(LIMIT, "all is preprocessed", || home.numbers("todo").is_empty());
    let running = "qmail-qcheck: fatal: qmail-send is running: stop it first\n";
    assert_eq!(qcheck(&home, &["-N"]), (Some(111), String::new(), running.into()));
    assert_eq!(qcheck(&home, &["-n"]), FINE);
}

#[test]
fn wrong_usage_is_told() {
    let home = installation();
    let usage = "qmail-qcheck: usage: qmail-qcheck [ -nN ]\n";
    assert_eq!(qcheck(&home, &["x"]), (Some(100), String::new(), usage.into()));
    let none = tests::program("qmail-qcheck").env("QMAILHOME", "/nonexistent").output().unwrap();
    assert_eq!(none.status.code(), Some(111));
}
