//! qmail-clean: what it removes, and what it answers.

use crate::installation::{Installation, installation};
use std::fs::{self, File, FileTimes};
use std::time::{Duration, SystemTime};
use tests::{LIMIT, Random, fed, ran, redirected, start, until};

/// What it answers to these commands; nothing else must be said, and it must end well.
#[track_caller]
fn answers(home: &Installation, commands: &[u8]) -> String {
    let (code, out, err) = ran(&fed(&mut home.program("qmail-clean"), commands));
    assert_eq!((code, err), (Some(0), String::new()));
    out
}

/// Puts files of a message into the queue.
fn put(home: &Installation, number: u64, folders: &[&str]) {
    for folder in folders {
        home.write(home.file(folder, number), "x");
    }
}

/// The folders in which a message has files.
fn left(home: &Installation, number: u64) -> Vec<&'static str> {
    let folders = ["mess", "intd", "todo", "info", "local", "remote", "bounce"];
    folders.into_iter().filter(|folder| home.place().exists(home.file(folder, number))).collect()
}

#[test]
fn each_command_removes_its_two_files() {
    let home = installation();
    let all = ["mess", "intd", "todo", "info", "local", "remote", "bounce"];
    put(&home, 46, &all);
    put(&home, 47, &all);
    assert_eq!(answers(&home, b"todo/46\0foop/0047\0"), "++");
    assert_eq!(left(&home, 46), ["mess", "info", "local", "remote", "bounce"]);
    assert_eq!(left(&home, 47), ["todo", "info", "local", "remote", "bounce"]);
    assert_eq!(answers(&home, b"foop/46\0foop/46\0todo/46\0"), "+++");
    assert_eq!(left(&home, 46), ["info", "local", "remote", "bounce"]);
}

#[test]
fn what_is_no_command_gets_one_x_and_has_no_effect() {
    if tests::original() {
        return; // The originals answer once for each wrong byte.
    }
    let home = installation();
    put(&home, 1, &["mess", "intd", "todo"]);
    let long = "0".repeat(93) + "1";
    for bad in ["", "foop/", "foop", "1", "foop/1x", "foop/x1", "mess/1", "foop//1", "foop/-1"] {
        assert_eq!(answers(&home, &[bad.as_bytes(), b"\0"].concat()), "x", "{bad:?}");
    }
    assert_eq!(answers(&home, format!("foop/{long}1\0").as_bytes()), "x");
    assert_eq!(answers(&home, &[b"foop/1".repeat(100_000), vec![0]].concat()), "x");
    assert_eq!(answers(&home, b"foop/99999999999999999999999\0"), "x");
    assert_eq!(left(&home, 1), ["mess", "intd", "todo"]);
    assert_eq!(answers(&home, format!("foop/{long}\0").as_bytes()), "+");
    assert_eq!(left(&home, 1), ["todo"]);
}

#[test]
fn a_file_that_cannot_be_removed_is_an_exclamation_mark() {
    let home = installation();
    home.place().dir(home.file("intd", 7)).dir(home.file("todo", 8));
    put(&home, 7, &["mess"]);
    put(&home, 8, &["intd"]);
    assert_eq!(answers(&home, b"foop/7\0todo/8\0"), "!!");
    assert_eq!((left(&home, 7), left(&home, 8)), (vec!["mess", "intd"], vec!["todo"]));
}

#[test]
fn damaged_commands_get_one_answer_each_and_harm_nobody() {
    if tests::original() {
        return; // The originals answer once for each wrong byte.
    }
    let home = installation();
    put(&home, 5, &["mess", "intd", "todo", "info"]);
    let mut random = Random::new(3);
    let mut commands = Vec::new();
    for _ in 0..10_000 {
        let good = [&b"foop/77\0"[..], b"todo/123456\0"][random.below(2)];
        commands.extend(random.damaged(good).into_iter().filter(|byte| *byte != b'5'));
    }
    let wanted = commands.iter().filter(|byte| **byte == 0).count();
    let said = answers(&home, &commands);
    assert!(said.len() == wanted && said.contains('x') && said.contains('+'));
    assert_eq!(left(&home, 5), ["mess", "intd", "todo", "info"]);
}

#[test]
fn an_end_in_a_command_is_the_end() {
    let home = installation();
    put(&home, 1, &["mess"]);
    assert_eq!(answers(&home, b"foop/1"), "");
    assert_eq!(left(&home, 1), ["mess"]);
}

#[test]
fn each_command_is_answered_at_once() {
    let home = installation();
    let mut clean = start(&mut home.program("qmail-clean"));
    clean.write("foop/1\0todo/1");
    clean.wait_out("+");
    clean.write("\0x\0");
    clean.wait_out("++x");
    assert_eq!(ran(&clean.finish(LIMIT)), (Some(0), "++x".into(), String::new()));
}

#[test]
fn old_files_in_pid_go_at_the_start_and_after_thirty_commands() {
    let home = installation();
    let make = |name: &str, hours: u64| {
        home.write(format!("queue/pid/{name}"), "");
        let then = SystemTime::now() - Duration::from_secs(hours * 3600);
        let file = File::open(home.join("queue/pid").join(name)).unwrap();
        file.set_times(FileTimes::new().set_accessed(then)).unwrap();
    };
    make("old", 37);
    make("young", 35);
    let mut clean = start(&mut home.program("qmail-clean"));
    until(LIMIT, "the old one goes", || home.place().names("queue/pid") == ["young"]);
    make("later", 37);
    clean.write(b"x\0".repeat(29));
    clean.wait_out(&"x".repeat(29));
    assert_eq!(home.place().names("queue/pid"), ["later", "young"]);
    clean.write("x\0");
    clean.wait_out(&"x".repeat(30));
    assert_eq!(home.place().names("queue/pid"), ["young"]);
}

#[test]
fn without_a_queue_or_an_output_it_fails() {
    let home = installation();
    home.write("commands", "x\0");
    let clean = home.program("qmail-clean");
    let mut command = redirected("<\"$QMAILHOME\"/commands >/dev/full", &clean);
    assert_eq!(home.as_its_user(&mut command).status().unwrap().code(), Some(100));
    let mut command = redirected("<\"$QMAILHOME\"/commands >&-", &home.program("qmail-clean"));
    assert_eq!(home.as_its_user(&mut command).status().unwrap().code(), Some(0));
    fs::rename(home.join("queue"), home.join("away")).unwrap();
    let said = "qmail-clean: fatal: unable to switch to queue directory: file does not exist\n";
    let output = home.program("qmail-clean").output().unwrap();
    assert_eq!(ran(&output), (Some(111), String::new(), said.into()));
    fs::create_dir(home.join("queue")).unwrap();
    let said = "qmail-clean: fatal: unable to read mess: file does not exist\n";
    let output = home.program("qmail-clean").output().unwrap();
    assert_eq!(ran(&output), (Some(111), String::new(), said.into()));
}
