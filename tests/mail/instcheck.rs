//! instcheck: what is wrong with an installation.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;
use tests::{Scratch, as_user, bin, program, ran, root, scratch, tree};

const USER: u32 = 1234;

fn as_owner(command: &mut Command) -> &mut Command {
    if root() { as_user(USER, USER, command) } else { command }
}

/// What `make install` makes for an ordinary user; the programs are empty files.
fn installed() -> Scratch {
    let place = scratch();
    let table = fs::read_to_string(tree().join("tools/install.table")).unwrap();
    for line in table.lines().filter(|line| line.contains(" program ")) {
        place.write(format!("built/{}", line.rsplit('/').next().unwrap()), "");
    }
    place.dir("home").dir("pages");
    if root() {
        place.chown("home", USER, USER).chown("pages", USER, USER);
    }
    install(&place);
    place
}

/// Has `make install` do its part.
#[track_caller]
fn install(place: &Scratch) {
    let mut install = Command::new("sh");
    install.arg(tree().join("tools/install.sh")).env("BUILT", place.join("built"));
    install.env("DESTDIR", "").env("PREFIX", place.join("pages")).env("SUBSET", "mail");
    install.env("QMAILHOME", place.join("home")).env("SPLIT", "3");
    let (code, _, err) = ran(&as_owner(&mut install).output().unwrap());
    assert_eq!(code, Some(0), "{err}");
}

/// What it says, with a shorter home.
#[track_caller]
fn said(place: &Scratch, words: &[&str]) -> String {
    let mut command = program("instcheck");
    command.args(words).env("QMAILHOME", place.join("home"));
    let (code, out, err) = ran(&as_owner(&mut command).output().unwrap());
    assert_eq!((code, &*out), (Some(0), ""));
    err.replace(place.join("home").to_str().unwrap(), "/h").replace("instcheck: warning: ", "")
}

#[test]
fn what_make_install_makes_is_right() {
    let place = installed();
    assert_eq!([said(&place, &[]), said(&place, &["queue-only"])], [""; 2]);
}

#[test]
fn everything_that_is_wrong_is_named() {
    let place = installed();
    place.chmod("home/bin/qmail-send", 0o755).chmod("home/queue/mess/2", 0o755);
    fs::remove_file(place.join("home/bin/sendmail")).unwrap();
    fs::remove_file(place.join("home/queue/lock/trigger")).unwrap();
    fs::remove_dir(place.join("home/boot/../queue/bounce")).unwrap();
    place.write("home/queue/bounce", "").chmod("home/queue/bounce", 0o700);
    let mut queue = vec![
        "/h/queue/bounce has wrong type",
        "/h/queue/lock/trigger does not exist",
        "/h/queue/mess/2 has wrong permissions",
    ];
    if root() {
        queue.insert(0, "/h/queue/bounce has wrong owner");
    }
    let lines = |text: String| text.lines().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(lines(said(&place, &["queue-only"])), queue);
    queue.push("/h/bin/qmail-send has wrong permissions");
    queue.push("/h/bin/sendmail does not exist");
    assert_eq!(lines(said(&place, &[])), queue);
}

#[test]
fn root_finds_what_is_not_of_the_users_of_qmail() {
    let place = installed();
    let etc = scratch();
    let names = ["alias", "qmaild", "qmaill", "qmailp", "qmailq", "qmailr", "qmails"];
    let users = names.iter().enumerate().map(|(n, name)| format!("{name}:x:{}:2:::\n", 7000 + n));
    etc.write("passwd", format!("root:x:0:0:::\n{}", users.collect::<String>()));
    etc.write("group", "root:x:0:\nqmail:x:2108:\n");
    if !root() {
        return tests::skip("needs root");
    }
    symlink(bin("instcheck"), etc.join("instcheck")).unwrap();
    let script = "mount --bind passwd /etc/passwd && mount --bind group /etc/group &&
        exec ./instcheck queue-only";
    let mut alone = Command::new("unshare");
    alone.args(["-m", "sh", "-c", script]).current_dir(etc.path());
    alone.env("QMAILHOME", place.join("home"));
    let (code, out, err) = ran(&alone.output().unwrap());
    if err.contains("unshare failed") {
        return tests::skip("needs a mount namespace");
    }
    assert_eq!((code, &*out), (Some(0), ""));
    let home = place.join("home").display().to_string();
    let line = |what: &str| format!("instcheck: warning: {home}/queue has wrong {what}\n");
    assert!(err.starts_with(&[line("owner"), line("group")].concat()), "{err}");
    assert!(!err.contains("permissions") && !err.contains("exist"), "{err}");
}

#[test]
fn without_an_installation_nothing_is_checked() {
    let usage = "instcheck: usage: instcheck [ queue-only ]\n";
    let o = program("instcheck").arg("x").output().unwrap();
    assert_eq!(ran(&o), (Some(100), String::new(), usage.into()));
    let mut command = program("instcheck");
    let (code, _, err) = ran(&command.env("QMAILHOME", "/nonexistent").output().unwrap());
    assert_eq!(code, Some(111), "{err}");
}

#[test]
fn a_queue_for_the_big_todo_patch_is_checked_and_kept() {
    let place = installed();
    place.dir("home/queue/todo/0");
    if root() {
        place.chown("home/queue/todo/0", USER, USER);
    }
    install(&place);
    assert_eq!(said(&place, &[]), "");
    place.chmod("home/queue/todo/2", 0o755);
    fs::remove_dir(place.join("home/queue/intd/1")).unwrap();
    let wrong = "/h/queue/intd/1 does not exist\n/h/queue/todo/2 has wrong permissions\n";
    assert_eq!(said(&place, &[]), wrong);
}
