//! qmail-send: rewriting, deliveries, retries, bounces, and the queue after any accident.

use crate::installation::{Installation, installation};
use crate::sending::{CLEAN, LOCAL, Order, REMOTE, connected, sending, sending_uncleaned};
use std::fs::{self, FileTimes};
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};
use tests::{LIMIT, shown, until};

/// The only message in a folder of the queue.
#[track_caller]
fn only(home: &Installation, folder: &str) -> u64 {
    let numbers = home.numbers(folder);
    assert_eq!(numbers.len(), 1, "{folder}: {numbers:?}");
    numbers[0]
}

/// The folders in which any message has files.
fn folders(home: &Installation) -> Vec<&'static str> {
    let all = ["mess", "intd", "todo", "info", "local", "remote", "bounce"];
    all.into_iter().filter(|folder| !home.numbers(folder).is_empty()).collect()
}

#[track_caller]
fn wait_empty(home: &Installation) {
    until(LIMIT, "the queue is empty", || folders(home).is_empty());
}

/// Makes a file of a message.
fn put(home: &Installation, folder: &str, number: u64, text: &str) {
    home.write(home.file(folder, number), text);
}

/// Sets when a file was read and changed last, in seconds before now.
fn set_age(home: &Installation, folder: &str, number: u64, age: u64) {
    let then = SystemTime::now() - Duration::from_secs(age);
    let file = fs::File::open(home.join(home.file(folder, number))).unwrap();
    file.set_times(FileTimes::new().set_accessed(then).set_modified(then)).unwrap();
}

fn seconds(of: SystemTime) -> u64 {
    of.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn a_message_goes_through_the_queue() {
    let home = installation();
    home.send("text\n", "me@b.example", &["you@a.example", "he@c.example", "she@d.example"]);
    let number = only(&home, "todo");
    let envelope = home.place().text(home.file("todo", number));
    let mut fields = envelope.split('\0');
    let (uid, pid) = (&fields.next().unwrap()[1..], &fields.next().unwrap()[1..]);
    let size = home.place().read(home.file("mess", number)).len();
    let mut sending = sending(&home);
    let message = format!("{}/{number}", number % 23);
    let order = |number, recipient: &str| Order {
        number,
        message: message.clone(),
        sender: "me@b.example".into(),
        recipient: recipient.into(),
    };
    assert_eq!(sending.order(LOCAL), order(0, "you@a.example"));
    assert_eq!(sending.order(REMOTE), order(0, "he@c.example"));
    assert_eq!(sending.order(REMOTE), order(1, "she@d.example"));
    assert_eq!(folders(&home), ["mess", "info", "local", "remote"]);
    let of = |folder: &str| home.place().text(home.file(folder, number));
    assert_eq!(of("info"), "Fme@b.example\0");
    assert_eq!(of("local"), "Tyou@a.example\0");
    assert_eq!(of("remote"), "The@c.example\0Tshe@d.example\0");
    for folder in ["info", "local", "remote"] {
        assert_eq!(home.place().mode(home.file(folder, number)), 0o600);
    }
    sending.report(REMOTE, 1, "Ksent\n");
    until(LIMIT, "she is marked", || of("remote") == "The@c.example\0Dshe@d.example\0");
    sending.report(LOCAL, 0, "Kdid 1+0+0\n");
    sending.log("delivery 1: ");
    until(LIMIT, "local goes", || !home.place().exists(home.file("local", number)));
    sending.report(REMOTE, 0, "K");
    wait_empty(&home);
    let expected = format!(
        "status: local 0/10 remote 0/20\n\
         new msg {number}\n\
         info msg {number}: bytes {size} from <me@b.example> qp {pid} uid {uid}\n\
         starting delivery 1: msg {number} to local you@a.example\n\
         status: local 1/10 remote 0/20\n\
         starting delivery 2: msg {number} to remote he@c.example\n\
         status: local 1/10 remote 1/20\n\
         starting delivery 3: msg {number} to remote she@d.example\n\
         status: local 1/10 remote 2/20\n\
         delivery 3: success: sent/\n\
         status: local 1/10 remote 1/20\n\
         delivery 1: success: did_1+0+0/\n\
         status: local 0/10 remote 1/20\n\
         delivery 2: success: \n\
         status: local 0/10 remote 0/20\n\
         end msg {number}\n\
         status: exiting\n"
    );
    assert_eq!(sending.stop(), expected);
}

#[test]
fn a_message_that_comes_later_pulls_the_trigger() {
    let home = installation();
    let mut sending = sending(&home);
    for n in 0..3 {
        home.send("text\n", "", &[&format!("{n}@a.example")]);
        assert_eq!(sending.answer(LOCAL, "K"), format!("{n}@a.example"));
    }
    wait_empty(&home);
}

#[test]
fn a_message_to_nobody_ends_at_once() {
    let home = installation();
    home.send("text\n", "me@a.example", &[]);
    let sending = sending(&home);
    sending.log("end msg ");
    wait_empty(&home);
}

#[test]
fn recipients_are_rewritten_and_strangers_words_are_shown_safely() {
    let home = installation();
    home.control("envnoathost", "no-at.example\n").control("percenthack", "a.example\n");
    home.control("locals", "# mine\na.example\n\nb.example \t\n");
    home.control("virtualdomains", "v.example:vee\njoe@v.example:joe\n.v.example:sub\nbad\n");
    let recipients =
        ["plain", "x%y@a.example", "A B@B.example", "joe@V.example", "ann@x.v.example", "a\n%@c"];
    home.send("text\n", "me\x01too@b", &recipients);
    let mut sending = sending(&home);
    let local = sending.orders(LOCAL, 3).into_iter().map(|(_, recipient)| recipient);
    assert_eq!(
        local.collect::<Vec<_>>(),
        ["A B@B.example", "joe-joe@V.example", "sub-ann@x.v.example"]
    );
    let remote = sending.orders(REMOTE, 3).into_iter().map(|(_, recipient)| recipient);
    assert_eq!(remote.collect::<Vec<_>>(), ["plain@no-at.example", "x@y", "a\n%@c"]);
    assert!(sending.log("info msg ").contains(" from <me_too@b> "));
    sending.run.wait_out(" to remote a/_@c\n");
    sending.run.wait_out(" to local A_B@B.example\n");
}

#[test]
fn a_verp_sender_is_expanded_for_each_recipient() {
    let home = installation();
    home.send("text\n", "list-owner-@h-@[]", &["a.b@far.test", "c@a.example"]);
    let mut sending = sending(&home);
    assert_eq!(sending.order(REMOTE).sender, "list-owner-a.b=far.test@h");
    assert_eq!(sending.order(LOCAL).sender, "list-owner-c=a.example@h");
}

#[test]
fn deliveries_fill_the_lowest_free_slots_and_no_more() {
    let home = installation();
    home.control("concurrencyremote", "3 at once\n");
    let names: Vec<String> = (0..6).map(|n| format!("{n}@b")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    home.send("text\n", "", &names);
    let mut sending = sending(&home);
    let order = |number, name: &str| (number, name.to_owned());
    assert_eq!(sending.orders(REMOTE, 3), [order(0, "0@b"), order(1, "1@b"), order(2, "2@b")]);
    sending.report(REMOTE, 1, "K");
    assert_eq!(sending.orders(REMOTE, 1), [order(1, "3@b")]);
    sending.report(REMOTE, 2, "K");
    assert_eq!(sending.orders(REMOTE, 1), [order(2, "4@b")]);
    sending.report(REMOTE, 0, "K");
    assert_eq!(sending.orders(REMOTE, 1), [order(0, "5@b")]);
    assert!(sending.is_silent(REMOTE));
    for number in 0..3 {
        sending.report(REMOTE, number, "K");
    }
    wait_empty(&home);
    assert!(!sending.stop().contains("remote 4/3"));
}

#[test]
fn the_spawner_says_how_much_it_can_do() {
    let home = installation();
    home.control("concurrencylocal", "200\n");
    home.send("text\n", "", &["a@a.example", "b@a.example", "c@a.example"]);
    let mut sending = connected(&home, true);
    sending.say(LOCAL, [2]);
    sending.say(REMOTE, [255]);
    sending.log("status: local 0/2 remote 0/20");
    sending.orders(LOCAL, 2);
    sending.log("status: local 2/2 remote 0/20");
    assert!(sending.is_silent(LOCAL));
}

#[test]
fn a_concurrency_of_zero_holds_the_mail() {
    let home = installation();
    home.control("concurrencylocal", "0\n");
    home.send("text\n", "", &["a@a.example", "b@b.example"]);
    let mut sending = sending(&home);
    assert_eq!(sending.answer(REMOTE, "K"), "b@b.example");
    sending.log("status: local 0/0 remote 0/20");
    sending.log("delivery 1: success");
    assert!(sending.is_silent(LOCAL));
    assert_eq!(folders(&home), ["mess", "info", "local"]);
}

#[test]
fn hundreds_of_deliveries_run_at_once() {
    let home = installation();
    home.control("concurrencyremote", "1000\n");
    let names: Vec<String> = (0..300).map(|n| format!("{n}@b")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    home.send("text\n", "", &names);
    let mut sending = connected(&home, true);
    sending.say(LOCAL, [1]);
    sending.say(REMOTE, [255]);
    let orders = sending.orders(REMOTE, 255);
    assert!(orders.iter().zip(0..).all(|((number, _), n)| *number == n));
    for number in 0..255 {
        sending.report(REMOTE, number, "K");
    }
    for _ in 255..300 {
        sending.answer(REMOTE, "K");
    }
    wait_empty(&home);
}

#[test]
fn what_has_failed_for_now_is_tried_again_and_the_time_is_kept() {
    let home = installation();
    home.send("text\n", "", &["a@b", "c@a.example"]);
    let mut first = sending(&home);
    let number = only(&home, "mess");
    assert_eq!(first.answer(REMOTE, "Znot now\n"), "a@b");
    assert_eq!(first.answer(LOCAL, "Znot now\n"), "c@a.example");
    first.log("delivery 1: deferral: not_now/");
    first.log("delivery 2: deferral: not_now/");
    assert!(first.is_silent(REMOTE));
    first.stop();
    let time = |folder| fs::metadata(home.join(home.file(folder, number))).unwrap().mtime();
    let birth = time("info");
    assert_eq!((time("remote") - birth, time("local") - birth), (400, 100));
    let mut second = sending(&home);
    assert!(second.is_silent(REMOTE) && second.is_silent(LOCAL));
    second.run.signal(libc::SIGALRM);
    assert_eq!(second.answer(REMOTE, "K"), "a@b");
    assert_eq!(second.answer(LOCAL, "K"), "c@a.example");
    wait_empty(&home);
}

#[test]
fn a_message_that_is_due_is_tried_at_the_start() {
    let home = installation();
    for (number, text) in [(46, "Ta@b\0Dc@d\0Te@f\0"), (47, "Tlater@b\0")] {
        put(&home, "mess", number, "text\n");
        put(&home, "info", number, "Fme@b\0");
        put(&home, "remote", number, text);
    }
    set_age(&home, "info", 46, 86_400);
    set_age(&home, "remote", 46, 10);
    let tomorrow = FileTimes::new().set_modified(SystemTime::now() + Duration::from_secs(86_400));
    let file = fs::File::open(home.join(home.file("remote", 47))).unwrap();
    file.set_times(tomorrow).unwrap();
    let mut sending = sending(&home);
    let now = seconds(SystemTime::now());
    assert_eq!(sending.orders(REMOTE, 2), [(0, "a@b".into()), (1, "e@f".into())]);
    sending.report(REMOTE, 0, "K");
    sending.report(REMOTE, 1, "Z");
    sending.log("delivery 2: deferral");
    assert!(sending.is_silent(REMOTE));
    sending.stop();
    assert_eq!(home.place().text(home.file("remote", 46)), "Da@b\0Dc@d\0Te@f\0");
    let next = fs::metadata(home.join(home.file("remote", 46))).unwrap().mtime() as u64;
    let expected = now - 86_400 + 313 * 313;
    assert!(next.abs_diff(expected) <= 630, "{next} {expected}");
}

#[test]
fn odd_reports_do_no_harm() {
    let home = installation();
    home.send("text\n", "", &["a@b", "c@d"]);
    let mut sending = sending(&home);
    sending.orders(REMOTE, 2);
    sending.report(REMOTE, 7, "Kwho\n");
    sending.report(REMOTE, 255, "Kwho\n");
    sending.report(REMOTE, 0, "Huh\n");
    sending.log("delivery 1: report mangled, will defer");
    sending.report(REMOTE, 0, "Kagain\n");
    sending.report(REMOTE, 1, &format!("K{}\n", "x\n \u{e9}%".repeat(10_000)));
    let line = sending.log("delivery 2: success: x/___");
    assert!((9_000..=10_100).contains(&line.len()), "{}", line.len());
    let log = sending.stop();
    let warning = "warning: internal error: delivery report out of range\n";
    assert_eq!(log.matches(warning).count(), 3);
}

/// What is in the queue besides `number`, once its bounce has been taken over: sender and
/// recipients, and message without its first two lines.
#[track_caller]
fn bounced(home: &Installation, number: u64) -> (String, String) {
    until(LIMIT, "the bounce waits", || {
        home.numbers("info").len() == 1 && home.numbers("todo").is_empty()
    });
    let others: Vec<u64> = home.numbers("mess").into_iter().filter(|n| *n != number).collect();
    assert_eq!(others.len(), 1);
    let info = home.place().text(home.file("info", others[0]));
    let recipients = ["local", "remote"].map(|folder| home.file(folder, others[0]));
    let recipients = recipients.iter().filter(|file| home.place().exists(file));
    let recipients: String = recipients.map(|file| home.place().text(file)).collect();
    let text = home.place().text(home.file("mess", others[0]));
    let (received, rest) = text.split_once('\n').unwrap();
    let (date, rest) = rest.split_once('\n').unwrap();
    assert!(received.starts_with("Received: (qmail ") && date.starts_with("Date: "), "{text}");
    assert!(date.ends_with(" -0000"));
    (info + &recipients, rest.into())
}

/// Has a message bounce, and waits until the bounce waits for its delivery.
#[track_caller]
fn bounce(home: &Installation, sender: &str, recipients: &[(&str, &str)]) -> (String, String) {
    let names: Vec<&str> = recipients.iter().map(|(name, _)| *name).collect();
    home.send("Subject: hello\n\ntext\n", sender, &names);
    let number = only(home, "todo");
    let mut sending = sending(home);
    for (_, report) in recipients {
        sending.answer(REMOTE, report);
    }
    sending.log(&format!("bounce msg {number} qp "));
    sending.log(&format!("end msg {number}"));
    bounced(home, number)
}

/// An installation that holds local mail, which bounces are.
fn holding() -> Installation {
    let home = installation();
    home.control("concurrencylocal", "0\n").control("locals", "here.example\n");
    home
}

#[test]
fn a_bounce_is_qsbmf_byte_for_byte() {
    let home = holding();
    home.control("bouncefrom", "the mailer\n").control("bouncehost", "bounce.example\n");
    home.control("virtualdomains", "v.example:\n");
    let recipients = [
        ("a@b.example", "DSorry, no.\n\nReally\n"),
        ("good@b.example", "Kfine\n"),
        ("c d@b.example", "Dgone"),
    ];
    let (envelope, text) = bounce(&home, "me too@here.example", &recipients);
    assert_eq!(envelope, "F\0Tme too@here.example\0");
    let expected = "From: \"the mailer\"@bounce.example\n\
        To: \"me too\"@here.example\n\
        Subject: failure notice\n\
        \n\
        Hi. This is the qmail-send program at bounce.example.\n\
        I'm afraid I wasn't able to deliver your message to the following addresses.\n\
        This is a permanent error; I've given up. Sorry it didn't work out.\n\
        \n\
        <a@b.example>:\n\
        Sorry, no.\n\
        /Really\n\
        \n\
        <c d@b.example>:\n\
        gone\n\
        \n\
        --- Below this line is a copy of the message.\n\
        \n\
        Return-Path: <\"me too\"@here.example>\n";
    let (before, copy) = text.split_once("Received: ").unwrap();
    assert_eq!(before, expected);
    assert!(copy.starts_with("(qmail ") && copy.ends_with("\nSubject: hello\n\ntext\n"), "{copy}");
}

#[test]
fn a_double_bounce_goes_to_the_postmaster() {
    let home = holding();
    home.control("doublebouncehost", "here.example\n");
    let (envelope, text) = bounce(&home, "", &[("a@b", "Dno\n")]);
    assert_eq!(envelope, "F#@[]\0Tpostmaster@here.example\0");
    let expected = "From: MAILER-DAEMON@a.example\n\
        To: postmaster@here.example\n\
        Subject: failure notice\n\
        \n\
        Hi. This is the qmail-send program at a.example.\n\
        I tried to deliver a bounce message to this address, but the bounce bounced!\n\
        \n\
        <a@b>:\n\
        no\n\
        \n\
        --- Below this line is the original bounce.\n\
        \n\
        Return-Path: <>\n";
    assert_eq!(text.split_once("Received: ").unwrap().0, expected);
}

#[test]
fn bounces_that_nobody_wants_are_discarded() {
    for (sender, words) in [("#@[]", "triple"), ("", "double")] {
        let home = holding();
        home.control("doublebounceto", "\n");
        home.send("text\n", sender, &["a@b"]);
        let number = only(&home, "todo");
        let mut sending = sending(&home);
        sending.answer(REMOTE, "Dno\n");
        sending.log(&format!("{words} bounce: discarding bounce/{number}"));
        wait_empty(&home);
    }
}

#[test]
fn the_bounce_of_a_list_goes_to_its_owner() {
    let (envelope, text) = bounce(&holding(), "owner-@here.example-@[]", &[("a@b", "Dno\n")]);
    assert_eq!(envelope, "F\0Towner-@here.example\0");
    assert!(text.contains("\nReturn-Path: <\"owner-@here.example-\"@[]>\n"), "{text}");
}

#[test]
fn the_copy_in_a_bounce_may_be_cut() {
    let home = holding();
    home.control("bouncemaxbytes", "9\n");
    let (_, text) = bounce(&home, "me@here.example", &[("a@b", "Dno\n")]);
    assert!(text.ends_with("\nReceived:\n--- Rest of message truncated.\n"), "{text}");
}

#[test]
fn the_prefix_of_a_virtual_domain_is_not_shown_in_a_bounce() {
    let home = installation();
    home.control("locals", "here.example\n").control("concurrencyremote", "0\n");
    home.control("virtualdomains", "v.example:vee\nx@w.example:ex\n");
    home.send("text\n", "me@far.example", &["ann@v.example", "x@w.example"]);
    let number = only(&home, "todo");
    let mut sending = sending(&home);
    assert_eq!(sending.answer(LOCAL, "Dno\n"), "vee-ann@v.example");
    assert_eq!(sending.answer(LOCAL, "Dno\n"), "ex-x@w.example");
    sending.log(&format!("end msg {number}"));
    let text = bounced(&home, number).1;
    assert!(text.contains("\n<ann@v.example>:\nno\n\n<x@w.example>:\nno\n"), "{text}");
}

#[test]
fn a_message_that_is_too_old_is_tried_once_more_and_bounces() {
    let home = holding();
    home.control("queuelifetime", "1000\n");
    put(&home, "mess", 46, "text\n");
    put(&home, "info", 46, "Fme@here.example\0");
    put(&home, "remote", 46, "Ta@b\0");
    set_age(&home, "info", 46, 1010);
    let mut sending = sending(&home);
    sending.answer(REMOTE, "Znot now\n");
    let words = "I'm not going to try again; this message has been in the queue too long.\n";
    let shown = words.replace(' ', "_").replace('\n', "/");
    assert_eq!(sending.log("delivery 1: "), format!("delivery 1: failure: not_now/{shown}"));
    sending.log("end msg 46");
    assert!(bounced(&home, 46).1.contains(&format!("\n<a@b>:\nnot now\n{words}\n---")));
}

#[test]
fn a_bounce_that_cannot_be_queued_is_queued_later() {
    let home = holding();
    home.script("qmail-queue", "cat >/dev/null; exit 53");
    put(&home, "mess", 46, "text\n");
    put(&home, "info", 46, "Fme@here.example\0");
    put(&home, "bounce", 46, "<a@b>:\nno\n\n");
    let sending = sending(&home);
    sending.log("warning: trouble injecting bounce message, will try later");
    assert_eq!(folders(&home), ["mess", "info", "bounce"]);
    fs::remove_file(home.join("bin/qmail-queue")).unwrap();
    std::os::unix::fs::symlink(tests::bin("qmail-queue"), home.join("bin/qmail-queue")).unwrap();
    sending.run.signal(libc::SIGALRM);
    sending.log("bounce msg 46 qp ");
    sending.log("end msg 46");
}

#[test]
fn a_failure_that_cannot_be_noted_is_no_failure_yet() {
    let home = holding();
    home.send("text\n", "me@here.example", &["a@b"]);
    let number = only(&home, "todo");
    let bounces = home.join("queue/bounce");
    fs::rename(&bounces, home.join("away")).unwrap();
    let mut sending = sending(&home);
    sending.answer(REMOTE, "Dno\n");
    sending.log("alert: unable to append to bounce message; HELP! sleeping...");
    assert_eq!(home.place().text(home.file("remote", number)), "Ta@b\0");
    fs::rename(home.join("away"), &bounces).unwrap();
    sending.run.signal(libc::SIGALRM);
    sending.answer(REMOTE, "Dno\n");
    sending.log(&format!("bounce msg {number} qp "));
}

#[test]
fn term_waits_for_deliveries_and_begins_no_others() {
    let home = installation();
    home.control("concurrencyremote", "1\n");
    home.send("text\n", "", &["a@b", "c@d"]);
    let mut sending = sending(&home);
    let number = only(&home, "mess");
    sending.orders(REMOTE, 1);
    sending.run.signal(libc::SIGTERM);
    home.send("text\n", "", &["e@f"]);
    sending.report(REMOTE, 0, "Kfine\n");
    let log = sending.end(0);
    let end =
        "delivery 1: success: fine/\nstatus: local 0/10 remote 0/1 exitasap\nstatus: exiting\n";
    assert!(log.ends_with(end), "{log}");
    assert_eq!(home.place().text(home.file("remote", number)), "Da@b\0Tc@d\0");
    assert_eq!(home.numbers("todo").len(), 1);
}

#[test]
fn a_hang_up_has_the_rules_read_again() {
    let home = installation();
    let mut sending = sending(&home);
    home.send("text\n", "", &["one@b.example"]);
    assert_eq!(sending.answer(REMOTE, "K"), "one@b.example");
    home.control("locals", "b.example\n").control("virtualdomains", "c.example:vee\n");
    sending.run.signal(libc::SIGHUP);
    home.send("text\n", "", &["two@b.example", "three@c.example"]);
    assert_eq!(sending.answer(LOCAL, "K"), "two@b.example");
    assert_eq!(sending.answer(LOCAL, "K"), "vee-three@c.example");
    for name in ["locals", "virtualdomains"] {
        fs::rename(home.join("control").join(name), home.join("control/away")).unwrap();
        fs::create_dir(home.join("control").join(name)).unwrap();
        sending.run.signal(libc::SIGHUP);
        sending.log(&format!("alert: unable to reread control/{name}"));
        fs::remove_dir(home.join("control").join(name)).unwrap();
        fs::rename(home.join("control/away"), home.join("control").join(name)).unwrap();
    }
    home.send("text\n", "", &["four@b.example"]);
    assert_eq!(sending.answer(LOCAL, "K"), "four@b.example");
}

/// The log of a qmail-send that cannot start, and its exit code, which must be 111.
#[track_caller]
fn refusal(home: &Installation) -> String {
    let log = connected(home, true).end(111);
    let why = log.strip_prefix("alert: cannot start: ").unwrap_or_else(|| panic!("{log}"));
    why.into()
}

#[test]
fn what_keeps_it_from_starting_is_in_the_log() {
    let home = installation();
    fs::remove_file(home.join("control/me")).unwrap();
    assert_eq!(refusal(&home), "unable to read controls\n");
    home.control("me", "a.example\n");
    fs::rename(home.join("queue/lock/sendmutex"), home.join("away")).unwrap();
    assert_eq!(refusal(&home), "unable to open mutex\n");
    fs::rename(home.join("away"), home.join("queue/lock/sendmutex")).unwrap();
    fs::rename(home.join("queue"), home.join("away")).unwrap();
    assert_eq!(refusal(&home), "unable to switch to queue directory\n");
    fs::rename(home.join("away"), home.join("queue")).unwrap();
    let first = sending(&home);
    assert_eq!(refusal(&home), "qmail-send is already running\n");
    first.stop();
    let mut dumb = connected(&home, true);
    dumb.hang_up(REMOTE);
    dumb.say(LOCAL, [1]);
    assert_eq!(dumb.end(111), "alert: cannot start: hath the daemon spawn no fire?\n");
    let mut command = home.program("qmail-send");
    command.env("QMAILHOME", "/nonexistent").stdin(fs::File::create(home.join("log")).unwrap());
    assert_eq!(command.status().unwrap().code(), Some(111));
    let said = "alert: cannot start: unable to switch to home directory\n";
    assert_eq!(home.place().text("log"), said);
}

#[test]
fn a_lost_spawner_ends_it_and_the_other_one_may_finish() {
    let home = installation();
    home.send("text\n", "", &["a@b", "c@a.example"]);
    let mut sending = sending(&home);
    sending.orders(REMOTE, 1);
    sending.orders(LOCAL, 1);
    sending.hang_up(REMOTE);
    sending.log("alert: oh no! lost spawn connection! dying...");
    sending.report(LOCAL, 0, "Kfine\n");
    assert!(sending.end(0).ends_with("status: exiting\n"));
    assert_eq!(folders(&home), ["mess", "info", "remote"]);
}

#[test]
fn a_lost_qmail_clean_ends_it() {
    let home = installation();
    let mut sending = sending_uncleaned(&home);
    sending.hang_up(CLEAN);
    let end = "alert: oh no! lost qmail-clean connection! dying...\nstatus: exiting\n";
    let log = sending.end(0);
    assert!(log.ends_with(end), "{log}");
}

#[test]
fn a_failing_qmail_clean_is_a_warning_and_the_message_waits() {
    let home = installation();
    home.send("text\n", "", &["a@b"]);
    let number = only(&home, "todo");
    let mut sending = sending_uncleaned(&home);
    assert_eq!(sending.request(), format!("todo/{number}"));
    sending.say(CLEAN, "!");
    sending.log(&format!("warning: qmail-clean unable to clean up todo/{number}"));
    assert!(sending.is_silent(REMOTE));
    // the next message has both looked at
    home.send("text\n", "", &["c@d"]);
    let requests = [sending.request(), sending.request()];
    assert!(requests.contains(&format!("todo/{number}")), "{requests:?}");
    for other in home.numbers("todo") {
        fs::remove_file(home.join(home.file("todo", other))).unwrap();
    }
    sending.say(CLEAN, "++");
    sending.answer(REMOTE, "K");
    sending.answer(REMOTE, "K");
    assert!(sending.request().starts_with("foop/"));
    sending.say(CLEAN, "!");
    sending.log("warning: qmail-clean unable to clean up foop/");
}

#[test]
fn many_messages_are_taken_over_in_batches() {
    let home = installation();
    home.control("concurrencyremote", "120\n");
    for n in 0..150 {
        home.send("text\n", "me@a.example", &[&format!("{n}@b")]);
    }
    let mut sending = sending_uncleaned(&home);
    let mut sizes = Vec::new();
    let mut left = home.numbers("todo").len();
    while left > 0 {
        let first = sending.request();
        let mut batch = vec![first];
        while !sending.is_silent(CLEAN) {
            batch.push(sending.request());
        }
        assert!(batch.len() <= 64);
        // all of a batch is ours before anything of it is to be removed
        for request in &batch {
            let number = request.strip_prefix("todo/").unwrap().parse().unwrap();
            for folder in ["info", "remote"] {
                assert!(home.place().exists(home.file(folder, number)));
            }
            fs::remove_file(home.join(home.file("todo", number))).unwrap();
        }
        sending.say(CLEAN, "+".repeat(batch.len()));
        left -= batch.len();
        sizes.push(batch.len());
    }
    assert_eq!(sizes.iter().sum::<usize>(), 150);
    // deliveries began after the first batch, not after the last one
    let log = sending.run.wait_out("starting delivery 120:");
    let (first, last) = (log.find("starting delivery 1:"), log.rfind("new msg"));
    assert!(first.unwrap() < last.unwrap(), "{log}");
}

#[test]
fn names_that_are_no_numbers_are_left_alone() {
    let home = installation();
    home.write("queue/todo/12x", "").write("queue/todo/.hidden", "").write("queue/todo/-1", "");
    home.write("queue/mess/3/x3", "").write("queue/info/3/3x", "");
    home.send("text\n", "", &["a@b"]);
    let mut sending = sending(&home);
    assert_eq!(sending.answer(REMOTE, "K"), "a@b");
    sending.log("end msg ");
    assert!(!sending.stop().contains("warning"));
    assert_eq!(home.place().names("queue/todo"), ["-1", ".hidden", "12x"]);
}

#[test]
fn damaged_files_are_named_and_nothing_is_lost() {
    let home = installation();
    for (number, todo) in [(46, "u1\0p2\0Fa@b\0Xc@d\0Te@f\0"), (47, "u1\0p2\0Fa@b\0Tc")] {
        put(&home, "mess", number, "text\n");
        put(&home, "todo", number, todo);
    }
    put(&home, "todo", 48, "u1\0p2\0Fa@b\0Tc@d\0");
    for (number, remote, info) in
        [(50, "Ta@b\0Qc@d\0", "Fme\0"), (51, "Ta@b\0", "Gme\0"), (52, "Ta@b\0", "")]
    {
        put(&home, "mess", number, "text\n");
        put(&home, "info", number, info);
        put(&home, "remote", number, remote);
    }
    let mut sending = sending(&home);
    assert_eq!(sending.answer(REMOTE, "Kfine\n"), "a@b");
    for line in [
        "warning: unknown record type in todo/46!",
        "warning: trouble reading todo/47",
        "warning: unable to stat mess/2/48; will try again later",
        "warning: unknown record type in remote/4/50!",
        "warning: unknown record type in info/5/51!",
        "warning: unknown record type in info/6/52!",
    ] {
        sending.log(line);
    }
    sending.log("delivery 1: success");
    sending.stop();
    assert_eq!(home.place().text(home.file("remote", 50)), "Da@b\0Qc@d\0");
    assert_eq!(home.numbers("todo"), [46, 47, 48]);
    assert_eq!(home.numbers("info"), [50, 51, 52]);
}

#[test]
fn each_state_of_the_queue_goes_on_where_it_was() {
    let home = installation();
    let old = 37 * 3600;
    // S2 and S3, long ago and just now
    for (number, age, folders) in [
        (100, old, &["mess"][..]),
        (101, old, &["mess", "intd"]),
        (102, 0, &["mess"]),
        (103, 0, &["mess", "intd"]),
    ] {
        for folder in folders {
            put(&home, folder, number, "text\n");
            set_age(&home, folder, number, age);
        }
    }
    // S4, interrupted in any state of preprocessing
    let envelope = "u1\0p2\0Fme@b\0Tlocal@a.example\0";
    for (number, left) in [
        (110, &["intd"][..]),
        (111, &[]),
        (112, &["intd", "local"]),
        (113, &["intd", "info", "remote"]),
        (114, &["info", "local", "remote"]),
    ] {
        put(&home, "mess", number, "text\n");
        put(&home, "todo", number, envelope);
        set_age(&home, "mess", number, old);
        for folder in left {
            let text = if *folder == "intd" { envelope } else { "Tgarbage@" };
            put(&home, folder, number, text);
        }
    }
    // S5: waiting, done on one side, done on both, with failures
    for (number, left) in [
        (120, &["local", "remote"][..]),
        (121, &["remote"]),
        (122, &[]),
        (123, &["bounce"]),
        (124, &["intd", "local"]),
    ] {
        put(&home, "mess", number, "text\n");
        put(&home, "info", number, "F#@[]\0");
        for folder in left {
            put(&home, folder, number, &format!("T{number}@{folder}\0"));
        }
        set_age(&home, "mess", number, old);
    }
    let mut sending = sending(&home);
    let mut local: Vec<String> = (0..7).map(|_| sending.answer(LOCAL, "K")).collect();
    local.sort();
    let mut expected = vec!["120@local", "124@local"];
    expected.extend(["local@a.example"; 5]);
    assert_eq!(local, expected);
    let mut remote: Vec<String> = (0..2).map(|_| sending.answer(REMOTE, "K")).collect();
    remote.sort();
    assert_eq!(remote, ["120@remote", "121@remote"]);
    sending.log("triple bounce: discarding bounce/123");
    until(LIMIT, "only the young are left", || home.numbers("mess") == [102, 103]);
    assert_eq!(folders(&home), ["mess", "intd"]);
    assert!(sending.is_silent(REMOTE) && sending.is_silent(LOCAL));
}

#[test]
fn only_one_request_is_open_for_a_number() {
    let home = installation();
    put(&home, "mess", 46, "text\n");
    put(&home, "info", 46, "Fme@b\0");
    set_age(&home, "mess", 46, 37 * 3600);
    // the end of the message and the sweep at the start both want it gone
    let mut sending = sending_uncleaned(&home);
    assert_eq!(sending.request(), "foop/46");
    home.send("text\n", "", &["a@b"]);
    let number = only(&home, "todo");
    assert_eq!(sending.request(), format!("todo/{number}"));
    sending.say(CLEAN, "++");
    assert_eq!(sending.order(REMOTE).recipient, "a@b");
}

#[test]
fn the_log_is_one_write_a_line() {
    // a reader that takes one write at a time: a datagram socket keeps them apart
    use std::os::unix::net::UnixDatagram;
    let home = installation();
    let (ours, theirs) = UnixDatagram::pair().unwrap();
    ours.set_read_timeout(Some(LIMIT)).unwrap();
    fs::remove_file(home.join("control/me")).unwrap();
    let mut command = home.program("qmail-send");
    command.stdin(std::os::fd::OwnedFd::from(theirs));
    assert_eq!(command.status().unwrap().code(), Some(111));
    let mut bytes = [0; 1000];
    let count = ours.recv(&mut bytes).unwrap();
    assert_eq!(shown(&bytes[..count]), "alert: cannot start: unable to read controls\n");
}
