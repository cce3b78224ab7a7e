//! Queues whose `intd` and `todo` are split, as the big-todo patch has them.

use crate::installation::{Installation, installation};
use crate::sending::{CLEAN, REMOTE, sending_uncleaned};
use crate::staying::Session;
use std::fs;
use std::os::unix::fs::MetadataExt;
use tests::{LIMIT, fed, original, ran, until};

/// An installation with such a queue, that delivers to one Maildir.
fn patched() -> Installation {
    with_maildir().big_todo()
}

fn with_maildir() -> Installation {
    let home = installation();
    home.maildir("alias/Maildir").write("alias/.qmail-default", "./Maildir/\n");
    home
}

/// Delivered so far.
fn mails(home: &Installation) -> usize {
    home.place().names("alias/Maildir/new").len()
}

/// An envelope that somebody has put beside the folders.
fn beside(folder: &str, message: u64) -> String {
    format!("queue/{folder}/{message}")
}

/// Moves the envelope of a message there.
fn put_beside(home: &Installation, message: u64) {
    for folder in ["intd", "todo"] {
        let file = home.join(home.file(folder, message));
        fs::rename(file, home.join(beside(folder, message))).unwrap();
    }
}

#[test]
fn an_envelope_is_in_the_folders_of_its_number() {
    if original() {
        return; // Ours find out.
    }
    let home = patched();
    home.send("text\n", "me@b.example", &["you@a.example"]);
    let number = home.only("mess");
    let inode = |folder: &str| {
        let name = format!("queue/{folder}/{}/{number}", number % 23);
        fs::metadata(home.join(name)).unwrap().ino()
    };
    assert_eq!(inode("intd"), inode("todo"));
    assert!(!["intd", "todo"].iter().any(|folder| home.place().exists(beside(folder, number))));
}

#[test]
fn the_recipients_of_a_message_that_has_ended_get_no_new_one() {
    if original() {
        return; // Ours find out.
    }
    let home = patched();
    for name in [Installation::file, |_: &Installation, folder: &str, n| beside(folder, n)] {
        for folder in ["intd", "todo"] {
            // the next file gets this number, where numbers are given anew
            home.write("queue/pid/x", "");
            let number = fs::metadata(home.join("queue/pid/x")).unwrap().ino();
            fs::remove_file(home.join("queue/pid/x")).unwrap();
            home.write(name(&home, folder, number), "old");
            home.send("text\n", "me@b", &["you@b"]);
            assert!(!home.place().exists(home.file("mess", number)));
        }
    }
}

#[test]
fn messages_go_through_such_a_queue() {
    if original() {
        return; // Ours find out.
    }
    let home = patched();
    let send = |count| {
        for number in 0..count {
            let one = format!("r{number}@a.example");
            let recipients = [one.as_str(), "more@a.example"];
            home.send("text\n", "me@b.example", &recipients[..1 + number % 2]);
        }
    };
    send(100);
    let running = home.start();
    send(20);
    home.wait_empty();
    assert_eq!(mails(&home), 180, "{}", running.out());
}

#[test]
fn envelopes_beside_the_folders_are_found_too() {
    if original() {
        return; // The originals look into the folders alone.
    }
    let home = with_maildir();
    (0..3).for_each(|_| home.send("text\n", "", &["one@a.example"]));
    let home = home.big_todo();
    (0..3).for_each(|_| home.send("text\n", "", &["two@a.example", "three@a.example"]));
    // in both places at once
    let is_in_folder = |number: &u64| home.place().exists(home.file("todo", *number));
    let number = home.numbers("todo").into_iter().find(is_in_folder).unwrap();
    fs::hard_link(home.join(home.file("todo", number)), home.join(beside("todo", number))).unwrap();
    let running = home.start();
    home.wait_empty();
    let files = ["intd", "todo"].map(|folder| {
        let names = home.place().names(format!("queue/{folder}"));
        names.iter().filter(|name| name.parse::<u64>().unwrap() >= 23).count()
    });
    assert_eq!((files, mails(&home)), ([0, 0], 9), "{}", running.out());
}

#[test]
fn a_message_may_be_called_like_a_folder() {
    if original() {
        return; // Ours find out.
    }
    let home = patched();
    home.put("mess", 12, "text\n").put("todo", 12, "u1\0p1\0F\0Tone@a.example\0");
    let running = home.start();
    home.wait_empty();
    let folders = home.place().names("queue/todo").len();
    assert_eq!((mails(&home), folders), (1, 23), "{}", running.out());
}

#[test]
fn of_a_message_that_is_new_still_the_envelope_counts() {
    if original() {
        return; // Ours find out.
    }
    for is_beside in [false, true] {
        let home = patched();
        home.send("text\n", "", &["one@a.example"]);
        let number = home.only("mess");
        home.put("info", number, "F\0").put("remote", number, "Ttwo@b.example\0");
        if is_beside {
            put_beside(&home, number);
        }
        let running = home.start();
        home.wait_empty();
        assert_eq!(mails(&home), 1, "{}", running.out());
    }
}

#[test]
fn a_folder_that_cannot_be_read_keeps_nobody_in_the_others() {
    if original() {
        return; // The originals stop there.
    }
    let home = patched();
    let running = home.start();
    running.wait_out("status: ");
    for number in [69, 70, 71] {
        home.put("mess", number, "text\n").put("todo", number, "u1\0p1\0F\0Tone@a.example\0");
    }
    fs::rename(home.join("queue/todo/1"), home.join("away")).unwrap();
    home.pull_trigger();
    running.wait_out("alert: unable to opendir todo/1, sleeping...\n");
    until(LIMIT, "two are delivered", || mails(&home) == 2);
    fs::rename(home.join("away"), home.join("queue/todo/1")).unwrap();
    home.wait_empty();
    assert_eq!(mails(&home), 3, "{}", running.out());
}

/// The qmail-clean of the patch removes what is in the folders, and says that all is well.
#[test]
fn an_envelope_that_stays_beside_the_folders_keeps_its_message() {
    if original() {
        return; // The originals look into the folders alone.
    }
    let home = patched();
    home.send("text\n", "", &["one@b.example", "two@b.example"]);
    let number = home.only("mess");
    put_beside(&home, number);
    let mut sending = sending_uncleaned(&home);
    assert_eq!(sending.request(), format!("todo/{number}"));
    sending.say(CLEAN, "+");
    sending.log(&format!("warning: qmail-clean unable to clean up todo/{number}"));
    assert!(sending.is_silent(REMOTE));
    home.pull_trigger();
    assert_eq!(sending.request(), format!("todo/{number}"));
    fs::remove_file(home.join(beside("todo", number))).unwrap();
    sending.say(CLEAN, "+");
    assert_eq!(sending.order(REMOTE).recipient, "one@b.example");
}

#[test]
fn qmail_clean_removes_envelopes_wherever_they_are() {
    if original() {
        return; // Ours find out.
    }
    let home = patched();
    for number in [46, 47, 12] {
        home.put("mess", number, "").put("intd", number, "").put("todo", number, "");
    }
    home.write(beside("intd", 46), "").write(beside("todo", 46), "");
    home.write(beside("intd", 48), "").put("mess", 48, "");
    // the original qmail-send calls an envelope by its name; a wrong folder is no name
    let commands = "todo/0/46\0todo/47\0todo/12/12\0foop/48\0todo/2/46\0todo/0/0/46\0todo//46\0";
    let clean = fed(&mut home.program("qmail-clean"), commands);
    assert_eq!(ran(&clean), (Some(0), "++++xxx".into(), String::new()));
    assert_eq!((home.folders(), home.numbers("mess")), (vec!["mess"], vec![12, 46, 47]));
    let folders = ["intd", "todo"].map(|folder| home.place().names(format!("queue/{folder}")));
    assert!(folders.iter().all(|folders| folders.len() == 23), "{folders:?}");
    // where `todo` is not split, nobody says so
    let clean = fed(&mut installation().program("qmail-clean"), "todo/0/46\0");
    assert_eq!(ran(&clean), (Some(0), "x".into(), String::new()));
}

#[test]
fn qmail_qstat_counts_the_messages_and_no_folders() {
    let home = patched();
    home.put("mess", 46, "").put("todo", 46, "").put("mess", 47, "").write(beside("todo", 47), "");
    let out = "messages in queue: 2\nmessages in queue but not yet preprocessed: 2\n";
    let qstat = home.program("qmail-qstat").output().unwrap();
    assert_eq!(ran(&qstat), (Some(0), out.into(), String::new()));
}

#[test]
fn a_sync_of_one_folder_frees_no_envelope_of_another() {
    if original() {
        return; // Ours alone stays.
    }
    let home = patched();
    let mut session = Session::of(&home);
    for _ in 0..5 {
        assert!(session.send_to("you", "Text.").starts_with("250 "));
        assert_eq!(home.place().names("queue/pid"), [""; 0]);
    }
    assert_eq!(home.numbers("todo").len(), 5);
}

fn qcheck(home: &Installation, words: &[&str]) -> (Option<i32>, String) {
    let (code, out, err) = ran(&home.program("qmail-qcheck").args(words).output().unwrap());
    assert_eq!(err, "");
    (code, out)
}

#[test]
fn qmail_qcheck_keeps_such_a_queue_as_it_is() {
    let home = patched();
    home.send("text\n", "", &["one@a.example"]);
    qcheck(&home, &["-N"]); // modes of a scratch folder are not a queue's
    let place = home.place();
    assert_eq!([place.mode("queue/todo/3"), place.mode("queue/intd/3")], [0o750, 0o700]);
    assert_eq!(qcheck(&home, &[]), (Some(0), String::new()));
    let empty = (home.only("mess") + 1) % 23;
    fs::remove_dir(home.join(format!("queue/intd/{empty}"))).unwrap();
    place.chmod("queue/todo/7", 0o755);
    home.put("todo", 99, "");
    let wrong = format!(
        "intd/{empty}: missing: made\ntodo/7/99: no message: now lost/todo.99\n\
         todo/7: wrong mode: 750\n"
    );
    assert_eq!(qcheck(&home, &["-N"]), (Some(0), wrong));
    assert_eq!(qcheck(&home, &[]), (Some(0), String::new()));
}

#[test]
fn a_copy_gets_its_names_back_and_what_lies_beside_the_folders_goes_into_them() {
    let home = patched();
    (0..6).for_each(|_| home.send("text\n", "", &["one@a.example"]));
    home.numbers("mess").into_iter().take(2).for_each(|number| put_beside(&home, number));
    let number = home.numbers("mess")[0];
    let out = qcheck(&home, &[]).1;
    assert!(out.contains(&format!("todo/{number}: wrong name\n")), "{out}");
    let mut copy = std::process::Command::new("sh");
    copy.args(["-c", "mv queue old && cp -a old queue && rm -r old"]).current_dir(home.home());
    assert!(copy.status().unwrap().success());
    home.give("");
    assert_eq!(qcheck(&home, &["-N"]).0, Some(0));
    assert_eq!(qcheck(&home, &[]), (Some(0), String::new()));
    assert_eq!(home.numbers("todo"), home.numbers("mess"));
    let _running = home.start();
    until(LIMIT, "all is delivered", || mails(&home) == 6);
    home.wait_empty();
}
