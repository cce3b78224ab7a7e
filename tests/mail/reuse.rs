//! Envelope files that a qmail-queue that stays uses again: queue::reuse.

use crate::installation::{Installation, installation};
use crate::staying::{Session, ends};
use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use tests::shown;

/// Sends a message of a session, and says which qmail-queue has taken it.
#[track_caller]
fn accepted(session: &mut Session, user: &str) -> i32 {
    let reply = session.send_to(user, "Text.");
    let qp = reply.trim_end().rsplit(' ').next().unwrap();
    qp.parse().unwrap_or_else(|_| panic!("{reply}"))
}

/// The envelopes in `todo`: the inodes of their files, and all recipients.
fn envelopes(home: &Installation) -> (Vec<u64>, Vec<String>) {
    let (mut inodes, mut recipients) = (Vec::new(), Vec::new());
    for number in home.numbers("todo") {
        let name = home.join(home.file("todo", number));
        inodes.push(fs::metadata(&name).unwrap().ino());
        let envelope = shown(&fs::read(name).unwrap());
        let (about, to) = envelope.split_once("\0Fme@b.example\0").unwrap();
        assert!(about.starts_with('u') && about.contains("\0p"), "{about:?}");
        let user = |to: &str| to.strip_prefix('T')?.strip_suffix("@a.example").map(String::from);
        let users = to.strip_suffix('\0').unwrap().split('\0').map(user);
        recipients.extend(users.collect::<Option<Vec<_>>>().expect("recipients alone"));
    }
    inodes.sort();
    recipients.sort();
    (inodes, recipients)
}

/// What qmail-send and qmail-clean do with all messages: the inode of the envelope and the
/// recipient of the only one.
#[track_caller]
fn deliver(home: &Installation) -> (u64, String) {
    let (inodes, recipients) = envelopes(home);
    for folder in ["intd", "todo", "mess"] {
        for number in home.numbers(folder) {
            fs::remove_file(home.join(home.file(folder, number))).unwrap();
        }
    }
    assert_eq!((inodes.len(), recipients.len()), (1, 1), "{recipients:?}");
    (inodes[0], recipients[0].clone())
}

/// The names that are kept.
fn kept(home: &Installation) -> Vec<String> {
    home.place().names("queue/pid")
}

#[test]
fn a_file_is_used_again_when_its_message_has_ended_and_another_one_is_queued() {
    let home = installation();
    let mut session = Session::of(&home);
    let mut files = Vec::new();
    let users = ["one", "two", "a-long-name-of-somebody", "four", "five", "six-is-longer"];
    let mut queue = 0;
    for user in users {
        queue = accepted(&mut session, user);
        let (file, recipient) = deliver(&home);
        assert_eq!(recipient, user);
        files.push(file);
    }
    // that of the second message may not be used for the third: a power cut could bring it back
    assert_ne!(files[1], files[2]);
    assert_eq!([files[3], files[4], files[5]], [files[1], files[2], files[1]]);
    assert_eq!(kept(&home).len(), 2);
    session.client.step("QUIT", 221);
    ends(queue);
    assert_eq!(kept(&home), [""; 0]);
}

#[test]
fn an_envelope_that_is_in_the_queue_stays_as_it_is() {
    let home = installation();
    let mut session = Session::of(&home);
    let users: Vec<_> = (10..30).map(|number| format!("user{number}")).collect();
    for user in &users {
        accepted(&mut session, user);
    }
    let (inodes, recipients) = envelopes(&home);
    assert_eq!(recipients, users);
    assert_eq!(kept(&home).len(), 8);
    // one name is left of each: this is not the one in `pid`
    for name in kept(&home) {
        fs::remove_file(home.join("queue/pid").join(name)).unwrap();
    }
    for number in home.numbers("intd") {
        fs::remove_file(home.join(home.file("intd", number))).unwrap();
    }
    let more = ["user30", "user31", "user32"];
    for user in more {
        accepted(&mut session, user);
    }
    let (after, recipients) = envelopes(&home);
    assert!(inodes.iter().all(|inode| after.contains(inode)));
    assert_eq!(recipients, [users, more.map(String::from).into()].concat());
}

/// A session with files that are free.
fn session_with_free_files(home: &Installation) -> Session {
    let mut session = Session::of(home);
    for user in ["one", "two", "three"] {
        accepted(&mut session, user);
        deliver(home);
    }
    session
}

/// Somebody else's file has come to the name of one that was free.
#[test]
fn a_name_in_pid_is_not_trusted() {
    let home = installation();
    let mut session = session_with_free_files(&home);
    for name in kept(&home) {
        let name = format!("queue/pid/{name}");
        fs::remove_file(home.join(&name)).unwrap();
        home.write(&name, "foreign").write("link", "");
        fs::remove_file(home.join("link")).unwrap();
        fs::hard_link(home.join(&name), home.join("link")).unwrap();
        accepted(&mut session, "four");
        assert_eq!(
            (deliver(&home).1, home.place().text("link")),
            ("four".into(), "foreign".into())
        );
    }
}

/// A backup has linked the files of the old queue.
#[test]
fn files_of_a_queue_that_a_copy_has_replaced_are_not_used() {
    let home = installation();
    let mut session = session_with_free_files(&home);
    let [queue, backup, old] = ["queue", "backup", "old"].map(|name| home.join(name));
    let copy = |how, from: &Path, to: &Path| {
        assert!(Command::new("cp").arg(how).args([from, to]).status().unwrap().success());
    };
    copy("-al", &queue, &backup);
    fs::rename(&queue, &old).unwrap();
    copy("-a", &old, &queue);
    for user in ["four", "five", "six"] {
        accepted(&mut session, user);
        assert_eq!(deliver(&home).1, user);
    }
}

#[test]
fn the_files_of_long_envelopes_are_not_kept() {
    let home = installation();
    let mut session = Session::of(&home);
    accepted(&mut session, "one");
    session.client.step("MAIL FROM:<me@b.example>", 250);
    for number in 0..300 {
        session.client.step(&format!("RCPT TO:<user-{number}@a.example>"), 250);
    }
    session.client.step("DATA", 354).step("Text.\r\n.", 250);
    assert_eq!(envelopes(&home).1.len(), 301);
    assert_eq!(kept(&home), [""; 0]);
}

/// The qmail-clean of one that was killed removes the envelope as the next one has opened it, and
/// then another message has its file.
#[test]
fn an_envelope_that_goes_away_as_qmail_send_reads_it_is_not_believed() {
    let home = installation();
    for user in ["right", "wrong"] {
        home.maildir(&format!("alias/{user}"));
        home.write(format!("alias/.qmail-{user}"), format!("./{user}/\n"));
    }
    home.give("alias").write("text", "Text.\n");
    let number = fs::metadata(home.join("text")).unwrap().ino();
    fs::rename(home.join("text"), home.join(home.file("mess", number))).unwrap();
    home.put("info", number, "F\0").put("local", number, "Tright@a.example\0");
    let todo = home.file("todo", number);
    home.place().fifo(&todo);
    home.give(&todo);
    let _send = home.start();
    let mut envelope = fs::OpenOptions::new().write(true).open(home.join(&todo)).unwrap();
    fs::remove_file(home.join(&todo)).unwrap();
    envelope.write_all(b"u1\0p1\0F\0Twrong@a.example\0").unwrap();
    drop(envelope);
    home.wait_empty();
    let mails = |user| home.place().names(format!("alias/{user}/new")).len();
    assert_eq!((mails("right"), mails("wrong")), (1, 0));
}
