//! The queue when everything goes wrong: killed programs, full disks, damaged files, and every
//! state that they leave.

use crate::installation::{Installation, installation};
use crate::sending::{CLEAN, LOCAL, REMOTE, connected, sending, sending_uncleaned};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, FileTimes};
use std::io::Write;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant, SystemTime};
use tests::{LIMIT, Random, root, shown, skip, start, until};

/// The text of the message number `n` of [`nothing_is_lost_however_often_all_is_killed`].
fn text_of(n: u32) -> Vec<u8> {
    let mut random = Random::new(n.into());
    let size = random.below(20_000);
    random.bytes(size)
}

#[test]
fn nothing_is_lost_however_often_all_is_killed() {
    if tests::original() {
        return; // That one user is everybody is ours.
    }
    let home = installation();
    let script = "cat >\"$QMAILHOME/got/.$3.$$\" && mv \"$QMAILHOME/got/.$3.$$\" \
                  \"$QMAILHOME/got/$3\" && printf 'r\\0Kgot it\\n\\0'";
    home.script("qmail-remote", script).write("got/.hidden", "");
    home.link("qmail-lspawn", "qmail-rspawn");
    home.place().chmod("got", 0o777);
    let accepted = thread::scope(|scope| {
        let injector = scope.spawn(|| inject(&home, 80));
        let mut random = Random::new(5);
        while !injector.is_finished() {
            let running = home.start();
            let started = Instant::now();
            let patience = Duration::from_millis(random.below(300) as u64);
            until(LIMIT, "the moment", || started.elapsed() >= patience);
            // qmail-send alone, or with its helpers when the test lets go of it
            running.signal(libc::SIGKILL);
            running.wait(LIMIT);
        }
        injector.join().unwrap()
    });
    assert!(accepted.len() > 20, "{}", accepted.len());
    let running = home.start();
    running.wait_out("status: ");
    let missing = || accepted.iter().filter(|n| !home.place().exists(format!("got/{n}@b"))).count();
    until(LIMIT * 2, "all accepted messages are delivered", || missing() == 0);
    let waiting = ["todo", "info", "remote", "local", "bounce"];
    until(LIMIT, "nothing waits", || waiting.iter().all(|f| home.numbers(f).is_empty()));
    running.signal(libc::SIGTERM);
    assert_eq!(running.wait(LIMIT).code(), Some(0));
    for n in accepted {
        let got = home.place().read(format!("got/{n}@b"));
        assert!(got.starts_with(b"Received: ") && got.ends_with(&text_of(n)), "{n}");
    }
}

/// Queues `count` messages one after another, and kills qmail-queue now and then. Gives the numbers
/// of those that it accepted.
fn inject(home: &Installation, count: u32) -> Vec<u32> {
    let mut accepted = Vec::new();
    let mut random = Random::new(6);
    for n in 0..count {
        let envelope = format!("Fme@a.example\0T{n}@b\0\0");
        home.write(format!("{n}.text"), text_of(n)).write(format!("{n}.envelope"), envelope);
        let files = format!("<\"$QMAILHOME/{n}.text\" 1<\"$QMAILHOME/{n}.envelope\"");
        let mut queue = tests::redirected(&files, &home.program("qmail-queue"));
        let mut queue = home.as_its_user(&mut queue).spawn().unwrap();
        if random.below(4) == 0 {
            let started = Instant::now();
            let patience = Duration::from_micros(random.below(8000) as u64);
            until(LIMIT, "the moment", || started.elapsed() >= patience);
            let _ = queue.kill();
        }
        if queue.wait().unwrap().success() {
            accepted.push(n);
        }
    }
    accepted
}

#[test]
fn a_full_disk_stops_nothing_for_good() {
    if !root() {
        return skip("needs root: mounts a small file system");
    }
    let home = installation();
    let (uid, gid) = home.user();
    home.script("qmail-remote", "printf 'r\\0Kgot it\\n\\0'");
    home.link("qmail-lspawn", "qmail-rspawn");
    home.write("envelope", "Fme@b\0Tyou@b\0The@b\0\0");
    // the messages fit, what qmail-send makes of them does not, until the ballast goes
    let script = format!(
        "set -e
        mount -t tmpfs -o size=600k,mode=755,uid={uid},gid={gid} none \"$QMAILHOME/alias\"
        cp -a \"$QMAILHOME/queue\" \"$QMAILHOME/control\" \"$QMAILHOME/bin\" \"$QMAILHOME/alias\"
        cd \"$QMAILHOME\"
        export QMAILHOME=\"$QMAILHOME/alias\"
        as='setpriv --reuid={uid} --regid={gid} --clear-groups'
        for n in 1 2 3; do $as qmail-queue </dev/null 1<envelope; done
        dd if=/dev/zero of=alias/ballast bs=1k 2>/dev/null || : >log
        $as qmail-start >>log &
        until grep -q 'warning: trouble writing to' log; do sleep 0.01; done
        rm alias/ballast
        $as qmail-queue </dev/null 1<envelope
        until [ \"$(grep -c 'end msg' log)\" = 4 ]; do sleep 0.01; done
        kill $!; wait $!
        find alias/queue -type f | grep -v lock || echo empty"
    );
    let mut unshare = Command::new("unshare");
    unshare.args(["-m", "sh", "-c"]).arg(&script).env_clear();
    for (name, value) in home.program("qmail-queue").get_envs() {
        unshare.env(name, value.unwrap());
    }
    let running = start(&mut unshare);
    let output = running.finish(LIMIT);
    if shown(&output.stderr).contains("unshare failed") {
        return skip("may not make a mount namespace");
    }
    assert_eq!(tests::ran(&output), (Some(0), "empty\n".into(), String::new()));
}

#[test]
fn damaged_files_are_named_and_nothing_is_lost() {
    if tests::original() {
        return; // The originals have other words for some of these.
    }
    let home = installation();
    let todo =
        [(46, "u1\0p2\0Fa@b\0Xc@d\0Te@f\0"), (47, "u1\0p2\0Fa@b\0Tc"), (45, ""), (44, "u1\0p2\0")];
    for (number, todo) in todo {
        home.put("mess", number, "text\n");
        home.put("todo", number, todo);
    }
    home.put("todo", 48, "u1\0p2\0Fa@b\0Tc@d\0");
    for (number, remote, info) in
        [(50, "Ta@b\0Qc@d\0", "Fme\0"), (51, "Ta@b\0", "Gme\0"), (52, "Ta@b\0", "")]
    {
        home.put("mess", number, "text\n");
        home.put("info", number, info);
        home.put("remote", number, remote);
    }
    let mut sending = sending(&home);
    assert_eq!(sending.answer(REMOTE, "Kfine\n"), "a@b");
    for line in [
        "warning: unknown record type in todo/46!",
        "warning: trouble reading todo/47",
        "warning: trouble reading todo/45",
        "warning: trouble reading todo/44",
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
    assert_eq!(home.numbers("todo"), [44, 45, 46, 47, 48]);
    assert_eq!(home.numbers("mess"), [44, 45, 46, 47, 50, 51, 52]);
    assert_eq!(home.numbers("info"), [50, 51, 52]);
}

#[test]
fn what_cannot_be_used_is_named_and_tried_again() {
    if tests::original() {
        return; // The originals have other words for some of these.
    }
    let home = installation();
    let allow = |name: &str, mode| {
        home.place().chmod(format!("queue/{name}"), mode);
    };
    home.put("mess", 46, "text\n").put("info", 46, "Fme@b\0").put("remote", 46, "Ta@b\0");
    allow("info/0", 0);
    allow("remote/0/46", 0);
    let mut sending = connected(&home, true);
    [LOCAL, REMOTE].iter().for_each(|side| sending.say(*side, [120]));
    sending.log("alert: unable to opendir info/0, sleeping...");
    allow("info/0", 0o700);
    sending.run.signal(libc::SIGALRM);
    sending.log("warning: trouble opening remote/0/46; will try again later");
    allow("remote/0/46", 0o600);
    allow("remote/0", 0o500);
    sending.run.signal(libc::SIGALRM);
    assert_eq!(sending.answer(REMOTE, "K"), "a@b");
    sending.log("warning: unable to unlink remote/0/46; will try again later");
    allow("remote/0", 0o700);
    until(LIMIT, "the message ends", || {
        sending.run.signal(libc::SIGALRM);
        home.folders().is_empty()
    });

    (0..23).for_each(|n| allow(&format!("info/{n}"), 0o500));
    home.send("text\n", "me@b", &["one@b", "two@b"]);
    let number = home.only("todo");
    let info = home.file("info", number).replace("queue/", "");
    sending.log(&format!("warning: unable to create {info}; will try again later"));
    home.wait_folders(&["mess", "intd", "todo"]);
    (0..23).for_each(|n| allow(&format!("info/{n}"), 0o700));
    home.pull_trigger();
    assert_eq!(sending.answer(REMOTE, "Znot now\n"), "one@b");
    assert_eq!(sending.answer(REMOTE, "Znot now\n"), "two@b");
    sending.log("delivery 3: deferral: ");
    fs::remove_file(home.join(home.file("remote", number))).unwrap();

    allow("todo", 0);
    home.pull_trigger();
    sending.log("alert: unable to opendir todo, sleeping...");
    let log = sending.stop();
    let gone = home.file("remote", number).replace("queue/", "");
    let end = format!(
        "warning: unable to utime {gone}; message will be retried too soon\nstatus: exiting\n"
    );
    assert!(log.ends_with(&end), "{log}");
}

/// As a power cut leaves them where folders reach the disk each for itself: the rest of messages
/// that have ended.
#[test]
fn what_has_no_text_is_named_once_and_not_delivered() {
    if tests::original() {
        return; // The originals say it again and again, and would send a new text to old recipients.
    }
    let home = installation();
    home.put("todo", 48, "u1\0p2\0Fa@b\0Told@b\0");
    home.put("info", 50, "Fme\0").put("remote", 50, "Told@b\0").put("bounce", 51, "text");
    let mut sending = sending(&home);
    for recipient in ["one@b", "two@b", "three@b"] {
        home.send("text\n", "", &[recipient]);
        assert_eq!(sending.answer(REMOTE, "Kfine\n"), recipient);
    }
    // a text that comes back is delivered, when the trigger is pulled
    home.put("mess", 48, "text\n").send("text\n", "", &["four@b"]);
    let mut last = [sending.answer(REMOTE, "Kfine\n"), sending.answer(REMOTE, "Kfine\n")];
    last.sort();
    assert_eq!(last, ["four@b", "old@b"]);
    let log = sending.stop();
    let times = |line: &str| log.lines().filter(|found| *found == line).count();
    let todo = "warning: unable to stat mess/2/48; will try again later";
    let info = "warning: mess/4/50 is missing; qmail-qcheck -N puts the rest aside";
    assert_eq!((times(todo), times(info)), (1, 1), "{log}");
    let qcheck = home.program("qmail-qcheck").arg("-N").output().unwrap();
    assert_eq!(qcheck.status.code(), Some(0));
    assert_eq!(home.place().names("queue/lost"), ["bounce.51", "info.50", "remote.50"]);
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
            home.put(folder, number, "text\n");
            home.set_age(folder, number, age);
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
        home.put("mess", number, "text\n");
        home.put("todo", number, envelope);
        home.set_age("mess", number, old);
        for folder in left {
            let text = if *folder == "intd" { envelope } else { "Tgarbage@" };
            home.put(folder, number, text);
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
        home.put("mess", number, "text\n");
        home.put("info", number, "F#@[]\0");
        for folder in left {
            home.put(folder, number, &format!("T{number}@{folder}\0"));
        }
        home.set_age("mess", number, old);
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
    assert_eq!(home.folders(), ["mess", "intd"]);
    assert!(sending.is_silent(REMOTE) && sending.is_silent(LOCAL));
}

#[test]
fn only_one_request_is_open_for_a_number() {
    let home = installation();
    home.put("mess", 46, "text\n");
    home.put("info", 46, "Fme@b\0");
    home.set_age("mess", 46, 37 * 3600);
    // the end of the message and the sweep at the start both want it gone
    let mut sending = sending_uncleaned(&home);
    assert_eq!(sending.request(), "foop/46");
    home.send("text\n", "", &["a@b"]);
    let number = home.only("todo");
    assert_eq!(sending.request(), format!("todo/{number}"));
    sending.say(CLEAN, "++");
    assert_eq!(sending.order(REMOTE).recipient, "a@b");
}

#[test]
fn a_message_that_leaves_todo_behind_our_back_is_not_forgotten() {
    if tests::original() {
        return; // Batches are ours.
    }
    let home = installation();
    // its files are complete, and qmail-clean was asked to remove todo/N by somebody who was
    // killed; a folder has the effect of a file that goes away while we look
    home.put("mess", 46, "text\n").put("info", 46, "Fme@b\0").put("remote", 46, "Ta@b\0");
    home.place().dir(home.file("todo", 46));
    let mut sending = sending(&home);
    sending.log("warning: trouble reading todo/46");
    assert!(sending.is_silent(REMOTE));
    std::fs::remove_dir(home.join(home.file("todo", 46))).unwrap();
    home.send("text\n", "", &["other@b"]);
    let mut recipients = [sending.answer(REMOTE, "K"), sending.answer(REMOTE, "K")];
    recipients.sort();
    assert_eq!(recipients, ["a@b", "other@b"]);
    home.wait_empty();
}

#[test]
fn what_becomes_ours_is_on_disk_before_it_leaves_todo() {
    if tests::original() {
        return; // The originals leave folders to the file system.
    }
    if Command::new("strace").arg("-V").output().is_err() {
        return skip("strace is not installed");
    }
    let home = installation();
    home.control("concurrencylocal", "0\n").control("concurrencyremote", "0\n");
    home.send("text\n", "me@a.example", &["a@a.example", "b@b"]);
    let number = home.only("todo");
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-y", "-e", "trace=fsync,unlink", "-e", "signal=none", "-o"]);
    command.arg(home.join("trace")).args(["sh", "-c", "echo $$; exec qmail-start ./Mailbox"]);
    for (name, value) in home.program("qmail-start").get_envs() {
        command.env(name, value.unwrap());
    }
    home.write("trace", "");
    let running = start(home.as_its_user(&mut command));
    until(LIMIT, "the message is ours", || home.numbers("todo").is_empty());
    let pid = running.out().lines().next().unwrap().parse().unwrap();
    kill(Pid::from_raw(pid), Signal::SIGTERM).unwrap();
    assert_eq!(running.wait(LIMIT).code(), Some(0));
    let trace = home.place().text("trace");
    let at = |call: String| {
        let place = trace.lines().position(|line| line.contains(&call));
        place.unwrap_or_else(|| panic!("no {call} in {trace}"))
    };
    let removed = at(format!("unlink(\"todo/{number}\""));
    for folder in ["info", "local", "remote"] {
        let file = home.join(home.file(folder, number));
        assert!(at(format!("<{}>", file.display())) < removed, "{trace}");
        assert!(at(format!("<{}>", file.parent().unwrap().display())) < removed, "{trace}");
    }
    assert!(at(format!("unlink(\"intd/{number}\"")) < removed, "{trace}");
}

#[test]
#[ignore = "torture"]
fn a_hundred_thousand_waiting_messages_slow_nothing_down_and_need_little_memory() {
    if tests::original() {
        return; // The originals take over one message at a time.
    }
    const WAITING: u64 = 100_000;
    // private kilobytes of qmail-send
    let cost = |home: &Installation| {
        let running = home.start();
        running.wait_out("status: ");
        let about = fs::read_to_string(format!("/proc/{}/smaps_rollup", running.pid())).unwrap();
        let used = about.lines().filter(|line| line.starts_with("Private_"));
        let used = used.map(|line| line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap());
        for n in 0..100 {
            home.send("text\n", "me@a.example", &[&format!("box-{n}@a.example")]);
        }
        let gone = || ["todo", "local"].iter().all(|folder| home.numbers(folder).is_empty());
        until(LIMIT, "all are delivered", gone);
        assert_eq!(running.out().matches(": success: ").count(), 100);
        used.sum::<u64>()
    };
    let holding = || {
        let home = installation();
        home.maildir("alias/Maildir").write("alias/.qmail-default", "./Maildir/\n");
        home
    };
    let before = cost(&holding());
    let full = holding();
    let due = FileTimes::new().set_modified(SystemTime::now() + Duration::from_secs(86_400));
    // numbers that no inode has
    for number in (1 << 40..).take(WAITING as usize) {
        for (folder, text) in [("mess", "text\n"), ("info", "Fme@b\0"), ("remote", "Tyou@b\0")] {
            let file = fs::File::create(full.join(full.file(folder, number))).unwrap();
            (&file).write_all(text.as_bytes()).unwrap();
            file.set_times(due).unwrap();
        }
    }
    full.give("queue");
    let each = (cost(&full) - before) * 1024 / WAITING;
    assert!(each <= 32, "{each} bytes for a waiting message");
    assert_eq!(full.numbers("remote").len() as u64, WAITING);
}
