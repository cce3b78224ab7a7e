//! qmail-queue: what it leaves in the queue, and how it says so.

use crate::installation::{Installation, envelope, installation};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::SystemTime;
use tests::{LIMIT, Random, ran, redirected, root, shown, skip, start, until};

/// The exit code alone; nothing must be said.
#[track_caller]
fn code(home: &Installation, message: &[u8], envelope: &[u8]) -> Option<i32> {
    let (code, out, err) = ran(&home.queue(message, envelope));
    assert_eq!((out, err), (String::new(), String::new()));
    code
}

/// All files of all messages.
fn files(home: &Installation) -> Vec<(&'static str, Vec<u64>)> {
    let folders = ["mess", "intd", "todo"];
    let found = folders.map(|folder| (folder, home.numbers(folder)));
    found.into_iter().filter(|(_, numbers)| !numbers.is_empty()).collect()
}

/// Whether a message in the queue is whole: a text whose inode is its number, and an envelope
/// under both names.
fn is_whole(home: &Installation, number: u64, text: &[u8], envelope: &[u8]) -> bool {
    let read = |folder| fs::read(home.join(home.file(folder, number))).unwrap_or_default();
    let about = fs::metadata(home.join(home.file("mess", number)));
    let (mess, todo) = (read("mess"), read("todo"));
    about.is_ok_and(|about| about.ino() == number)
        && mess.ends_with(text)
        && mess.starts_with(b"Received: (qmail ")
        && todo.ends_with(envelope.strip_suffix(b"\0").unwrap())
}

#[test]
fn a_message_is_queued_byte_for_byte_behind_a_received_line() {
    let home = installation();
    let text = b"Subject: x\r\n\n\0\xff no newline at the end";
    home.write("envelope", b"Fme@a.example\0Tyou@b.example\0T@\0\0 and more");
    let mut command = redirected("1<\"$QMAILHOME\"/envelope", &home.program("qmail-queue"));
    let mut child = start(home.as_its_user(&mut command));
    let pid = child.pid();
    child.write(text);
    assert_eq!(ran(&child.finish(LIMIT)), (Some(0), String::new(), String::new()));
    let number = home.numbers("mess")[0];
    let mess = home.place().read(home.file("mess", number));
    let end = mess.iter().position(|byte| *byte == b'\n').unwrap();
    let uid = home.user().0;
    let received = shown(&mess[..end]);
    let (start, date) = received.split_once("; ").unwrap();
    assert_eq!(start, format!("Received: (qmail {pid} invoked by uid {uid})"));
    assert!(date.ends_with(" -0000") && date.split(' ').count() == 5, "{date}");
    assert!(&mess[end + 1..] == text);
    let record = format!("u{uid}\0p{pid}\0Fme@a.example\0Tyou@b.example\0T@\0");
    for folder in ["intd", "todo"] {
        assert_eq!(home.place().text(home.file(folder, number)), record);
    }
    let about = |folder| fs::metadata(home.join(home.file(folder, number))).unwrap();
    assert_eq!(about("mess").ino(), number);
    assert_eq!(about("intd").ino(), about("todo").ino());
    let modes = ["mess", "intd"].map(|folder| about(folder).permissions().mode() & 0o7777);
    assert_eq!(modes, [0o644; 2]);
    assert_eq!(home.place().names("queue/pid"), [""; 0]);
}

#[test]
fn messages_of_any_size_go_through() {
    let home = installation();
    for size in [0, 1, 65_000, 65_536, 1_000_000] {
        let text = Random::new(size as u64).bytes(size);
        let before = home.numbers("todo");
        home.send(&text, "", &[]);
        let number = home.numbers("todo").into_iter().find(|n| !before.contains(n)).unwrap();
        let mess = home.place().read(home.file("mess", number));
        let end = mess.iter().position(|byte| *byte == b'\n').unwrap();
        assert!(mess[end + 1..] == text, "{size}");
    }
}

#[test]
fn thousands_of_recipients_are_an_envelope() {
    let home = installation();
    let names: Vec<String> = (0..20_000).map(|n| format!("user{n}@b.example")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    home.send("x\n", "me@a.example", &names);
    let number = home.numbers("todo")[0];
    assert!(is_whole(&home, number, b"x\n", &envelope("me@a.example", &names)));
}

#[test]
fn an_address_of_1002_bytes_is_accepted_and_of_1003_refused() {
    if tests::original() {
        return; // The originals leave files behind.
    }
    let home = installation();
    let of = |count| "x".repeat(count);
    assert_eq!(code(&home, b"", &envelope(&of(1003), &[])), Some(11));
    assert_eq!(code(&home, b"", &envelope("", &["a@b", &of(1003)])), Some(11));
    assert_eq!(files(&home), []);
    assert_eq!(code(&home, b"", &envelope(&of(1002), &[&of(1002)])), Some(0));
}

#[test]
fn what_is_no_envelope_is_refused() {
    if tests::original() {
        return; // The originals leave files behind after some of these.
    }
    let home = installation();
    for bad in ["Ta@b\0\0", "\0", "Fa\0Fb\0\0", "Fa\0Cb\0\0", "fa\0\0"] {
        assert_eq!(code(&home, b"text", bad.as_bytes()), Some(91), "{bad:?}");
    }
    for short in ["", "F", "Fa", "Fa\0", "Fa\0Tb", "Fa\0Tb\0"] {
        assert_eq!(code(&home, b"text", short.as_bytes()), Some(54), "{short:?}");
    }
    assert_eq!(files(&home), []);
}

#[test]
fn closed_descriptors_are_no_input_and_no_file_takes_their_place() {
    let home = installation();
    home.write("envelope", envelope("", &[]));
    for (how, expected) in [
        ("<&- 1<\"$QMAILHOME\"/envelope", Some(54)),
        (">&-", Some(54)),
        ("<&- >&- 2>&-", Some(54)),
        ("1<\"$QMAILHOME\"/envelope 2>&-", Some(0)),
    ] {
        let mut command = redirected(how, &home.program("qmail-queue"));
        let output = home.as_its_user(&mut command).output().unwrap();
        assert_eq!(ran(&output), (expected, String::new(), String::new()), "{how}");
    }
    assert_eq!(home.numbers("todo").len(), 1);
}

#[test]
fn each_missing_folder_has_its_code() {
    if tests::original() {
        return; // The originals leave files behind after some of these.
    }
    let home = installation();
    for (folder, expected) in [("todo", 66), ("intd", 65), ("mess", 64), ("pid", 63), ("", 62)] {
        let folder = home.join("queue").join(folder);
        fs::rename(&folder, home.join("away")).unwrap();
        assert_eq!(code(&home, b"text", b"F\0\0"), Some(expected), "{folder:?}");
        fs::rename(home.join("away"), &folder).unwrap();
        assert_eq!((files(&home), home.place().names("queue/pid")), (vec![], vec![]), "{folder:?}");
    }
    let mut homeless = home.program("qmail-queue");
    homeless.env("QMAILHOME", "/nonexistent").stdout(fs::File::open("/dev/null").unwrap());
    assert_eq!(homeless.status().unwrap().code(), Some(61));
}

#[test]
fn nine_taken_names_in_pid_are_enough() {
    let home = installation();
    home.write("envelope", "F\0\0");
    let script = "t=$(date +%s); for s in 1 2 3 4 5 6 7 8 9; do for d in 0 1 2 3 4 5; do \
                  : >\"$QMAILHOME/queue/pid/$$.$((t+d)).$s\"; done; done; \
                  exec qmail-queue </dev/null 1<\"$QMAILHOME/envelope\"";
    let mut shell = home.program("qmail-queue");
    let mut shell = shell_like(&mut shell, script);
    assert_eq!(home.as_its_user(&mut shell).status().unwrap().code(), Some(63));
    assert_eq!(home.place().names("queue/pid").len(), 54);
}

/// A shell with the environment of a program.
fn shell_like(program: &mut Command, script: &str) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", script]).env_clear().stdin(Stdio::null());
    for (name, value) in program.get_envs() {
        shell.env(name, value.unwrap());
    }
    shell
}

#[test]
fn a_size_limit_is_a_write_error_and_leaves_nothing() {
    if tests::original() {
        return; // in-home.sh may not write either.
    }
    let home = installation();
    home.write("envelope", "F\0\0").write("text", [b'x'; 100_000]);
    let script = "ulimit -f 8; exec qmail-queue <\"$QMAILHOME/text\" 1<\"$QMAILHOME/envelope\"";
    let mut shell = shell_like(&mut home.program("qmail-queue"), script);
    assert_eq!(home.as_its_user(&mut shell).status().unwrap().code(), Some(53));
    assert_eq!(files(&home), []);
}

#[test]
fn without_memory_nothing_is_queued() {
    if tests::original() {
        return; // in-home.sh needs memory too.
    }
    let home = installation();
    home.write("envelope", "F\0\0");
    // from what is not enough to load the program to what is enough to run it
    for kilobytes in (500..6000).step_by(250) {
        let script = format!(
            "ulimit -v {kilobytes}; exec qmail-queue </dev/null 1<\"$QMAILHOME/envelope\" 2>&1"
        );
        let mut shell = shell_like(&mut home.program("qmail-queue"), &script);
        let status = home.as_its_user(&mut shell).stdout(Stdio::null()).status().unwrap();
        if status.success() {
            assert_eq!(home.numbers("todo").len(), 1);
            return;
        }
        // 51 from us; 81 if the C library gives up; the rest from the loader or the shell
        let code = status.code().unwrap_or(127);
        assert!([51, 81, 126, 127, 2].contains(&code), "{kilobytes}: {code}");
        assert_eq!(home.numbers("todo"), [0; 0]);
    }
    panic!("6 MB are not enough");
}

/// A qmail-queue that waits for its message, with a file in `mess` already.
fn waiting(home: &Installation) -> tests::Running {
    home.write("envelope", "F\0\0");
    let mut command = redirected("1<\"$QMAILHOME\"/envelope", &home.program("qmail-queue"));
    let child = start(home.as_its_user(&mut command));
    until(LIMIT, "a file in mess", || home.numbers("mess").len() == 1);
    until(LIMIT, "no file in pid", || home.place().names("queue/pid").is_empty());
    child
}

#[test]
fn the_timer_and_crashes_have_codes_and_leave_what_is_there() {
    for (signal, expected) in [
        (libc::SIGALRM, 52),
        (libc::SIGSEGV, 81),
        (libc::SIGBUS, 81),
        (libc::SIGILL, 81),
        (libc::SIGABRT, 81),
        (libc::SIGFPE, 81),
        (libc::SIGSYS, 81),
    ] {
        let home = installation();
        let child = waiting(&home);
        child.signal(signal);
        assert_eq!(child.wait(LIMIT).code(), Some(expected));
        assert_eq!((home.numbers("mess").len(), home.numbers("todo").len()), (1, 0));
    }
}

#[test]
fn hang_ups_and_interrupts_do_not_stop_it_and_term_does() {
    let home = installation();
    let child = waiting(&home);
    for signal in [
        libc::SIGHUP,
        libc::SIGINT,
        libc::SIGQUIT,
        libc::SIGPIPE,
        libc::SIGVTALRM,
        libc::SIGPROF,
        libc::SIGXCPU,
        libc::SIGXFSZ,
    ] {
        child.signal(signal);
    }
    assert_eq!(ran(&child.finish(LIMIT)), (Some(0), String::new(), String::new()));
    assert_eq!(home.numbers("todo").len(), 1);
    let other = installation();
    let child = waiting(&other);
    child.signal(libc::SIGTERM);
    assert_eq!(child.wait(LIMIT).signal(), Some(libc::SIGTERM));
    assert_eq!(other.numbers("todo"), [0; 0]);
}

#[test]
fn the_trigger_gets_one_byte_and_need_not_be_there() {
    use std::io::Read;
    use std::os::unix::fs::OpenOptionsExt;
    let home = installation();
    let trigger = home.join("queue/lock/trigger");
    let mut options = fs::OpenOptions::new();
    let mut reader = options.read(true).custom_flags(libc::O_NONBLOCK).open(&trigger).unwrap();
    reader.set_times(fs::FileTimes::new().set_modified(SystemTime::UNIX_EPOCH)).unwrap();
    home.send("x\n", "a@b", &["c@d"]);
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes.len(), 1);
    // Or it would wait for a journal.
    let noted = reader.metadata().unwrap().modified().unwrap() != SystemTime::UNIX_EPOCH;
    assert_eq!(noted, tests::original());
    fs::remove_file(&trigger).unwrap();
    home.send("x\n", "a@b", &["c@d"]);
}

#[test]
fn the_environment_changes_nothing() {
    let home = installation();
    let mut command = home.program("qmail-queue");
    for name in ["TZ", "LANG", "RUST_BACKTRACE", "QMAILQUEUE", "USER", "LD_BIND_NOW"] {
        command.env(name, "/nonexistent\u{1f4a9}");
    }
    command.env("PATH", "");
    assert_eq!(home.queue_by(&mut command, "x", "F\0\0").status.code(), Some(0));
}

#[test]
fn the_recipients_of_a_message_that_has_ended_get_no_new_one() {
    if tests::original() {
        return; // The originals fail, and meanwhile qmail-send may see a new text with old recipients.
    }
    let home = installation();
    for folder in ["intd", "todo"] {
        // the next file gets this number, where numbers are given anew
        home.write("queue/pid/x", "");
        let number = fs::metadata(home.join("queue/pid/x")).unwrap().ino();
        fs::remove_file(home.join("queue/pid/x")).unwrap();
        home.put(folder, number, "old");
        home.send("text\n", "me@b", &["you@b"]);
        let new = home.numbers("mess").into_iter().find(|new| *new != number).unwrap();
        assert!(!home.place().exists(home.file("mess", number)));
        assert_eq!(home.place().text(home.file(folder, number)), "old");
        assert!(home.place().exists(home.file("todo", new)));
        assert_eq!(home.place().names("queue/pid"), [""; 0]);
    }
}

#[test]
fn many_at_once_get_numbers_of_their_own() {
    let home = installation();
    std::thread::scope(|scope| {
        for sender in 0..8 {
            let home = &home;
            scope.spawn(move || {
                for count in 0..5 {
                    let queue = home.program("qmail-queue");
                    let file = format!("envelope-{sender}");
                    let name = format!("{sender}.{count}@a.example");
                    home.write(&file, envelope(&name, &[]));
                    let redirection = format!("1<\"$QMAILHOME\"/{file}");
                    let mut queue = redirected(&redirection, &queue);
                    let output = tests::fed(home.as_its_user(&mut queue), name);
                    assert_eq!(output.status.code(), Some(0));
                }
            });
        }
    });
    let mut senders: Vec<String> = Vec::new();
    for number in home.numbers("todo") {
        let text = home.place().text(home.file("mess", number));
        let name = text.split('\n').next_back().unwrap();
        assert!(is_whole(&home, number, name.as_bytes(), &envelope(name, &[])));
        senders.push(name.into());
    }
    senders.sort();
    senders.dedup();
    assert_eq!(senders.len(), 40);
}

#[test]
fn killed_at_any_moment_it_has_queued_all_or_nothing() {
    if tests::original() {
        return; // Traced from its first call: that is one of in-home.sh.
    }
    let home = installation();
    let mut random = Random::new(7);
    let (text, envelope) = (Random::new(8).bytes(300_000), envelope("me@a.example", &["a@b"]));
    home.write("text", &text).write("envelope", &envelope);
    for _ in 0..60 {
        let how = "<\"$QMAILHOME\"/text 1<\"$QMAILHOME\"/envelope";
        let mut command = redirected(how, &home.program("qmail-queue"));
        let mut child = home.as_its_user(&mut command).spawn().unwrap();
        let patience = std::time::Duration::from_micros(random.below(9000) as u64);
        let started = std::time::Instant::now();
        until(LIMIT, "the moment", || started.elapsed() >= patience);
        let before = home.numbers("todo");
        let _ = child.kill();
        let status = child.wait().unwrap();
        let accepted = home.numbers("todo");
        assert!(!status.success() || !accepted.is_empty());
        assert!(before.iter().all(|number| accepted.contains(number)));
        assert!(accepted.iter().all(|number| is_whole(&home, *number, &text, &envelope)));
        for number in accepted {
            for folder in ["todo", "intd", "mess"] {
                fs::remove_file(home.join(home.file(folder, number))).unwrap();
            }
        }
    }
}

#[test]
fn whichever_system_call_fails_the_exit_code_tells_it() {
    if tests::original() {
        return; // Traced from its first call: that is one of in-home.sh.
    }
    if Command::new("strace").arg("-V").output().is_err() {
        return skip("strace is not installed");
    }
    // call, how many of them came before, code
    for (call, time, expected) in [
        ("chdir", 1, 61),
        ("chdir", 2, 62),
        ("linkat", 1, 64),
        ("unlink", 1, 63),
        ("write", 1, 53),
        ("write", 2, 53),
        ("fsync", 1, 65),
        ("fsync", 2, 53),
        ("fsync", 3, 53),
        ("fsync", 4, 64),
        ("linkat", 2, 66),
        ("fsync", 5, 66),
        ("sync_file_range", 1, 0),
        ("vmsplice", 1, 0),
        ("fsync", 6, 0),
    ] {
        let home = installation();
        let mut strace = home.program("qmail-queue");
        let mut strace = shell_like(&mut strace, "exec strace \"$@\" 1<\"$QMAILHOME\"/envelope");
        strace.args(["sh", "-f", "-qq", "-o", "/dev/null", "-e"]);
        strace.arg(format!("inject={call}:error=EIO:when={time}")).arg(tests::bin("qmail-queue"));
        home.write("envelope", envelope("me@a.example", &["a@b"]));
        let status = home.as_its_user(&mut strace).status().unwrap();
        assert_eq!(status.code(), Some(expected), "{call} {time}");
        assert_eq!(home.numbers("todo").len(), usize::from(expected == 0), "{call} {time}");
    }
}

#[test]
fn a_full_disk_is_a_write_error_and_an_emptied_one_needs_no_help() {
    if tests::original() {
        return; // Traced from its first call: that is one of in-home.sh.
    }
    if !root() {
        return skip("needs root: mounts a small file system");
    }
    let home = installation();
    let (uid, gid) = home.user();
    home.write("envelope", "F\0\0").write("text", [b'x'; 300_000]);
    let script = format!(
        "set -e
        mount -t tmpfs -o size=400k,mode=755,uid={uid},gid={gid} none \"$QMAILHOME/alias\"
        cp -a \"$QMAILHOME/queue\" \"$QMAILHOME/control\" \"$QMAILHOME/alias\"
        cd \"$QMAILHOME\"
        export QMAILHOME=\"$QMAILHOME/alias\"
        q() {{ setpriv --reuid={uid} --regid={gid} --clear-groups qmail-queue <text 1<envelope; }}
        q && echo first
        q || echo \"second $?\"
        find alias/queue/mess alias/queue/intd -type f | wc -l
        rm alias/queue/mess/*/* alias/queue/intd/* alias/queue/todo/*
        q && echo third"
    );
    let shell = shell_like(&mut home.program("qmail-queue"), &script);
    let mut unshare = Command::new("unshare");
    unshare.args(["-m", "sh", "-c"]).arg(&script).env_clear();
    for (name, value) in shell.get_envs() {
        unshare.env(name, value.unwrap());
    }
    let output = unshare.output().unwrap();
    if shown(&output.stderr).contains("unshare failed") {
        return skip("may not unshare");
    }
    assert_eq!(ran(&output), (Some(0), "first\nsecond 53\n2\nthird\n".into(), String::new()));
}

/// Makes a setuid copy of qmail-queue for this user; `None` where that has no effect.
fn setuid(home: &Installation, owner: u32) -> Option<std::path::PathBuf> {
    let copy = home.join("setuid-queue");
    home.place().copy(tests::bin("qmail-queue"), &copy);
    home.place().chown(&copy, owner, owner).chmod(&copy, 0o4711);
    let mounts = Command::new("findmnt").args(["-no", "OPTIONS", "-T"]).arg(&copy).output();
    mounts.is_ok_and(|mounts| !shown(&mounts.stdout).contains("nosuid")).then_some(copy)
}

#[test]
fn setuid_it_goes_into_no_tree_of_its_callers() {
    if tests::original() {
        return; // $QMAILHOME is ours.
    }
    if !root() {
        return skip("needs root: makes a setuid program");
    }
    let (owner, stranger) = (7790, 7791);
    let home = installation();
    let Some(program) = setuid(&home, owner) else { return skip("set-uid has no effect here") };
    let queue = |home: &Installation| {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "exec \"$0\" 1<\"$QMAILHOME\"/envelope"]).arg(&program);
        command.env("QMAILHOME", home.home()).stdin(Stdio::null());
        tests::as_user(stranger, stranger, &mut command).status().unwrap().code()
    };
    let own = |home: &Installation, user: u32, what: &str| {
        let done =
            Command::new("chown").arg("-R").arg(user.to_string()).arg(home.join(what)).status();
        assert!(done.unwrap().success());
    };
    let built_in_exists = std::path::Path::new("/var/qmail/queue").exists();
    let home = installation();
    home.write("envelope", "F\0\0").place().chmod("envelope", 0o644);
    // the caller's own, the queue's owner right; root's, but writable; root's, the queue's wrong
    for (top, mode, queue_owner) in
        [(stranger, 0o755, owner), (0, 0o775, owner), (0, 0o757, owner), (0, 0o755, stranger)]
    {
        own(&home, queue_owner, "queue");
        home.place().chown("", top, 0).chmod("", mode);
        let refused = queue(&home);
        assert!(built_in_exists || refused == Some(61), "{top} {mode:o} {refused:?}");
        assert_eq!(files(&home), []);
    }
    own(&home, owner, "queue");
    home.place().chown("", 0, 0).chmod("", 0o755);
    assert_eq!(queue(&home), Some(0));
    let todo = home.place().text(home.file("todo", home.numbers("todo")[0]));
    assert!(todo.starts_with(&format!("u{stranger}\0p")), "{todo}");
}

#[test]
fn the_split_is_the_number_of_numbered_folders() {
    if tests::original() {
        return; // The originals have it built in.
    }
    let home = installation();
    home.place().dir("queue/mess/lost+found");
    home.send("x\n", "", &[]);
    let number = home.only("todo");
    assert!(home.place().exists(home.file("mess", number)));
    let other = installation();
    for folder in 5..23 {
        fs::remove_dir(other.join(format!("queue/mess/{folder}"))).unwrap();
    }
    other.send("x\n", "", &[]);
    let number = other.only("todo");
    assert!(other.place().exists(format!("queue/mess/{}/{number}", number % 5)));
}
