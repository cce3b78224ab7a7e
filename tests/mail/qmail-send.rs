//! qmail-send: rewriting, deliveries, retries, signals, starting. See also `bounces` and `accidents`.

use crate::installation::{Installation, installation};
use crate::sending::{CLEAN, LOCAL, Order, REMOTE, connected, logging, sending, sending_uncleaned};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use std::fs::{self, File, FileTimes, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::time::{Duration, Instant, SystemTime};
use tests::{LIMIT, shown, start, until};

#[test]
fn a_message_goes_through_the_queue() {
    let home = installation();
    home.send("text\n", "me@b.example", &["you@a.example", "he@c.example", "she@d.example"]);
    let number = home.only("todo");
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
    assert_eq!(home.folders(), ["mess", "info", "local", "remote"]);
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
    home.wait_empty();
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
    home.wait_empty();
}

#[test]
fn whoever_keeps_the_trigger_pulled_does_not_keep_us_busy() {
    let home = installation();
    let mut sending = sending(&home);
    let trigger = home.join("queue/lock/trigger");
    let mut slow = File::options().write(true).open(trigger).unwrap();
    slow.write_all(b"\0").unwrap();
    home.send("text\n", "", &["you@a.example"]);
    assert_eq!(sending.answer(LOCAL, "K"), "you@a.example");
    home.wait_empty();
    let ran = || fs::read_to_string(format!("/proc/{}/schedstat", sending.run.pid())).unwrap();
    let (mut before, mut still) = (String::new(), 0);
    until(LIMIT, "it rests", || {
        let now = ran();
        still = if now == before { still + 1 } else { 0 };
        before = now;
        still == 100
    });
}

#[test]
fn looks_into_todo_are_a_hundredth_of_a_second_apart() {
    let home = installation();
    let _sending = sending(&home);
    let (start, mut looks) = (Instant::now(), 0);
    let seen = Inotify::init(InitFlags::IN_NONBLOCK).unwrap();
    seen.add_watch(&home.join("queue/todo"), AddWatchFlags::IN_OPEN).unwrap();
    until(LIMIT, "it looks twenty times", || {
        home.pull_trigger();
        looks += seen.read_events().map_or(0, |events| events.len() as u128);
        looks >= 20
    });
    // One more each at its beginning and at its end.
    let most = start.elapsed().as_millis() / 10 + 2;
    assert!(looks <= most, "{looks} looks, {most} at most");
}

#[test]
fn a_message_to_nobody_ends_at_once() {
    let home = installation();
    home.send("text\n", "me@a.example", &[]);
    let sending = sending(&home);
    sending.log("end msg ");
    home.wait_empty();
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
    home.wait_empty();
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
    home.wait_folders(&["mess", "info", "local"]);
}

#[test]
fn hundreds_of_deliveries_run_at_once() {
    if tests::original() {
        return; // The originals have a limit built in.
    }
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
    home.wait_empty();
}

#[test]
fn what_has_failed_for_now_is_tried_again_and_the_time_is_kept() {
    let home = installation();
    home.send("text\n", "", &["a@b", "c@a.example"]);
    let mut first = sending(&home);
    let number = home.only("mess");
    assert_eq!(first.answer(REMOTE, "Znot now\n"), "a@b");
    assert_eq!(first.answer(LOCAL, "Znot now\n"), "c@a.example");
    first.log("delivery 1: deferral: not_now/");
    first.log("delivery 2: deferral: not_now/");
    assert!(first.is_silent(REMOTE));
    first.stop();
    let time = |folder| fs::metadata(home.join(home.file(folder, number))).unwrap().mtime();
    let birth = time("info");
    // The second of its birth may be over when it is tried.
    assert!([20 * 20, 21 * 21].contains(&(time("remote") - birth)));
    assert!([10 * 10, 11 * 11].contains(&(time("local") - birth)));
    let mut second = sending(&home);
    assert!(second.is_silent(REMOTE) && second.is_silent(LOCAL));
    second.run.signal(libc::SIGALRM);
    assert_eq!(second.answer(REMOTE, "K"), "a@b");
    assert_eq!(second.answer(LOCAL, "K"), "c@a.example");
    home.wait_empty();
}

#[test]
fn a_message_that_is_due_is_tried_at_the_start() {
    let home = installation();
    for (number, text) in [(46, "Ta@b\0Dc@d\0Te@f\0"), (47, "Tlater@b\0")] {
        home.put("mess", number, "text\n");
        home.put("info", number, "Fme@b\0");
        home.put("remote", number, text);
    }
    home.set_age("info", 46, 86_400);
    home.set_age("remote", 46, 10);
    let tomorrow = FileTimes::new().set_modified(SystemTime::now() + Duration::from_secs(86_400));
    let file = fs::File::open(home.join(home.file("remote", 47))).unwrap();
    file.set_times(tomorrow).unwrap();
    let mut sending = sending(&home);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
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

#[test]
fn term_waits_for_deliveries_and_begins_no_others() {
    let home = installation();
    home.control("concurrencyremote", "1\n");
    home.send("text\n", "", &["a@b", "c@d"]);
    let mut sending = sending(&home);
    let number = home.only("mess");
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
    assert_eq!(home.folders(), ["mess", "info", "remote"]);
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
    home.send("text\n", "", &["a@b", "b@b"]);
    let number = home.only("todo");
    let mut sending = sending_uncleaned(&home);
    assert_eq!(sending.request(), format!("todo/{number}"));
    sending.say(CLEAN, "!");
    sending.log(&format!("warning: qmail-clean unable to clean up todo/{number}"));
    assert!(sending.is_silent(REMOTE));
    // the next message has both looked at
    home.send("text\n", "", &["c@d", "d@d"]);
    let requests = [sending.request(), sending.request()];
    assert!(requests.contains(&format!("todo/{number}")), "{requests:?}");
    for other in home.numbers("todo") {
        fs::remove_file(home.join(home.file("todo", other))).unwrap();
    }
    sending.say(CLEAN, "++");
    (0..4).for_each(|_| drop(sending.answer(REMOTE, "K")));
    assert!(sending.request().starts_with("foop/"));
    sending.say(CLEAN, "!");
    sending.log("warning: qmail-clean unable to clean up foop/");
}

#[test]
fn many_messages_are_taken_over_in_batches() {
    if tests::original() {
        return; // Batches are ours.
    }
    let home = installation();
    home.control("concurrencyremote", "120\n");
    for n in 0..150 {
        home.send("text\n", "me@a.example", &[&format!("{n}@b"), &format!("{n}@c")]);
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
    if tests::original() {
        return; // The originals take their digits.
    }
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
fn an_alert_is_one_write() {
    if tests::original() {
        return; // The originals write in pieces.
    }
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

/// Whoever reads the log after a crash finds every delivery in it that has begun.
#[test]
fn a_delivery_is_in_the_log_before_it_is_ordered() {
    let home = installation();
    home.place().fifo("log").chmod("log", 0o666);
    let open = |options: &mut OpenOptions| {
        options.custom_flags(libc::O_NONBLOCK).open(home.join("log")).unwrap()
    };
    let mut reader = open(File::options().read(true));
    let mut filler = open(File::options().write(true));
    while filler.write(&[b'x'; 4096]).is_ok() {}
    for (folder, text) in [("mess", "text\n"), ("info", "F\0"), ("local", "Tyou@a.example\0")] {
        home.put(folder, 46, text);
    }
    let mut sending = logging(&home, true, "log");
    sending.say(LOCAL, [1]);
    sending.say(REMOTE, [1]);
    let writing = format!("{} 0x0 ", libc::SYS_write);
    until(LIMIT, "it waits for the logger", || {
        let call = fs::read_to_string(format!("/proc/{}/syscall", sending.run.pid()));
        call.unwrap().starts_with(&writing)
    });
    assert!(sending.is_silent(LOCAL));
    let mut log = vec![0; 1 << 20];
    until(LIMIT, "it has ordered", || {
        let _ = reader.read(&mut log);
        !sending.is_silent(LOCAL)
    });
    assert_eq!(sending.answer(LOCAL, "K"), "you@a.example");
}

/// Several threads write to it, and a pipe that is nearly full takes only a part of a long line.
#[test]
fn lines_stay_whole_when_the_logger_is_slow() {
    let home = installation();
    home.script("qmail-remote", "printf 'r\\0K'; printf '%09000d' 0; printf '\\0'");
    let run = start(home.program("qmail-start").args(["./Mailbox", "dd", "bs=1", "status=none"]));
    for _ in 0..40 {
        home.send("text\n", "me@b", &["you@b", "he@b"]);
    }
    home.wait_empty();
    run.signal(libc::SIGTERM);
    let log = run.wait_out("status: exiting\n");
    let known = ["status: ", "new msg ", "info msg ", "starting delivery ", "end msg "];
    let is_report = |line: &str| {
        let report = line.strip_prefix("delivery ").and_then(|rest| rest.split_once(": success: "));
        report.is_some_and(|(_, text)| text == "0".repeat(9000))
    };
    for line in log.lines() {
        assert!(known.iter().any(|start| line.starts_with(start)) || is_report(line), "{line}");
    }
    assert_eq!(log.lines().filter(|line| is_report(line)).count(), 80);
}
