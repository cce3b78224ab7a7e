//! What qmail-local leaves in mboxes and Maildirs, also when it fails or is killed.

use crate::home::{Home, MESSAGE, done, home, refused, undated};
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tests::{
    LIMIT, Random, Running, as_user, calls, failing, killed, ran, redirected, root, skip, start_on,
    until,
};

/// The mbox entry of a message, with this in the place of the date.
const ENTRY: &str = "From me@far.example DATE\nReturn-Path: <me@far.example>\n\
    Delivered-To: joe@a.b.example\n";

#[test]
fn an_mbox_gets_separators_and_quotes() {
    let home = home();
    let entry = format!("{ENTRY}Subject: hello\n>From x\n\n>>From y\nlast\n\n");
    assert_eq!(home.deliver("./Mailbox\n"), done("did 1+0+0\n"));
    assert_eq!(undated(&home.text("Mailbox")), entry);
    assert_eq!(home.place.mode("home/Mailbox"), 0o600);
    home.place.chmod("home/Mailbox", 0o640);
    assert_eq!(home.deliver("./Mailbox\n./Mailbox"), done("did 2+0+0\n"));
    assert_eq!(undated(&home.text("Mailbox")), entry.repeat(3));
    assert_eq!(home.place.mode("home/Mailbox"), 0o640);
}

#[test]
fn a_message_that_was_torn_off_does_not_swallow_the_next() {
    if tests::original() {
        return; // The originals go on where it ends.
    }
    let home = home();
    let entry = format!("{ENTRY}Subject: hello\n>From x\n\n>>From y\nlast\n\n");
    for torn in ["torn: of", "x", "torn off\n", "torn\0\0"] {
        home.file("Mailbox", torn);
        assert_eq!(home.deliver("./Mailbox\n"), done("did 1+0+0\n"));
        let before = format!("{}\n\n", torn.trim_end_matches('\n'));
        assert_eq!(undated(&home.text("Mailbox")), before + &entry);
    }
}

#[test]
fn closed_outputs_are_no_way_into_an_mbox() {
    if tests::original() {
        return; // Not looked at by the originals.
    }
    let home = home();
    home.file(".qmail", "./Mailbox\n|echo out; echo err >&2\n|kill -9 $$\n");
    for closed in [">&-", "2>&-", ">&- 2>&-"] {
        let mut command = redirected(&format!("{closed} <message"), &home.command("", ""));
        let code = command.current_dir(home.place.path()).output().unwrap().status.code();
        assert_eq!(code, Some(111));
    }
    let entry = format!("{ENTRY}Subject: hello\n>From x\n\n>>From y\nlast\n\n");
    assert_eq!(undated(&home.text("Mailbox")), entry.repeat(3));
}

#[test]
fn the_from_line_has_no_blank_in_its_sender() {
    let mut home = home();
    home.sender = "a b\tc\nd@e";
    assert_eq!(home.deliver("./Mailbox\n"), done("did 1+0+0\n"));
    let text = home.text("Mailbox");
    assert!(text.starts_with("From a-b-c-d@e "), "{text}");
    assert!(text.contains("\nReturn-Path: <\"a b\tc\\_d\"@e>\n"), "{text}");
    home.sender = "";
    assert_eq!(home.deliver("./Mailbox2\n"), done("did 1+0+0\n"));
    let text = home.text("Mailbox2");
    assert!(text.starts_with("From MAILER-DAEMON "), "{text}");
    assert!(text.contains("\nReturn-Path: <>\n"), "{text}");
}

#[test]
fn any_bytes_go_through_an_mbox_of_any_size() {
    let home = home();
    let mut random = Random::new(1);
    let mut message = b"\nFro".to_vec();
    while message.len() < 500_000 {
        let part = random.pick(&["From ", ">From ", ">>>", "\n", "x", "\0", "\r\n", "From", " "]);
        message.extend(part.bytes());
    }
    home.place.write("message", &message);
    assert_eq!(home.deliver("./Mailbox\n"), done("did 1+0+0\n"));
    let text = home.place.read("home/Mailbox");
    let start = text.windows(2).position(|pair| pair == b"\n\n").unwrap() + 1;
    let mut expected = Vec::new();
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        let arrows = line.iter().take_while(|byte| **byte == b'>').count();
        if line[arrows..].starts_with(b"From ") {
            expected.push(b'>');
        }
        expected.extend_from_slice(line);
    }
    expected.extend(if message.ends_with(b"\n") { &b"\n"[..] } else { b"\n\n" });
    assert!(text[start..] == expected);
}

#[test]
fn a_maildir_gets_the_message_as_it_is() {
    let home = home();
    home.maildir("Maildir").maildir("other");
    let abs = home.place.join("home/other");
    let lines = format!("./Maildir/\n{}/\n./Maildir/\n", abs.display());
    assert_eq!(home.deliver(&lines), done("did 3+0+0\n"));
    let expected =
        format!("Return-Path: <me@far.example>\nDelivered-To: joe@a.b.example\n{MESSAGE}");
    assert_eq!(home.mail("Maildir"), [&*expected, &*expected]);
    assert_eq!(home.mail("other"), [&*expected]);
    let names = home.place.names("home/Maildir/new");
    assert_eq!(home.place.mode(Path::new("home/Maildir/new").join(&names[0])), 0o600);
    // TIME.PID.HOST, and a count from the second delivery of one process on
    let parts: Vec<Vec<&str>> = names.iter().map(|name| name.splitn(3, '.').collect()).collect();
    let counts: Vec<&str> =
        parts.iter().filter_map(|part| Some(part[1].split_once('_')?.1)).collect();
    assert_eq!(counts, ["3"]);
    assert!(parts.iter().all(|part| part[0].parse::<u64>().is_ok() && !part[2].contains(':')));
}

#[test]
fn a_maildir_that_is_not_one_defers() {
    let home = home();
    let none = "Unable to chdir to maildir. (#4.2.1)";
    let other = "Temporary error on maildir delivery. (#4.3.0)";
    assert_eq!(home.deliver("./Maildir/\n"), refused(111, none));
    home.file("Maildir", "");
    assert_eq!(home.deliver("./Maildir/\n"), refused(111, none));
    fs::remove_file(home.place.join("home/Maildir")).unwrap();
    home.place.dir("home/Maildir");
    assert_eq!(home.deliver("./Maildir/\n"), refused(111, other));
    home.place.dir("home/Maildir/tmp");
    assert_eq!(home.deliver("./Maildir/\n"), refused(111, other));
    assert_eq!(home.place.names("home/Maildir/tmp"), [""; 0]);
}

#[test]
fn a_maildir_may_be_a_link_but_what_is_in_it_may_not() {
    if tests::original() {
        return; // The originals follow links.
    }
    let home = home();
    home.maildir("real").maildir("trap");
    symlink("real", home.place.join("home/link")).unwrap();
    assert_eq!(home.deliver("./link/\n"), done("did 1+0+0\n"));
    assert_eq!(home.mail("real").len(), 1);
    let other = "Temporary error on maildir delivery. (#4.3.0)";
    home.place.dir("elsewhere");
    for folder in ["tmp", "new"] {
        let path = home.place.join("home/trap").join(folder);
        fs::remove_dir(&path).unwrap();
        symlink(home.place.join("elsewhere"), &path).unwrap();
        assert_eq!(home.deliver("./trap/\n"), refused(111, other));
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
    }
    assert_eq!(home.place.names("elsewhere"), [""; 0]);
}

/// A shell that writes names of Maildir files which its own process would use in the next
/// seconds, as dangling links, and then becomes qmail-local.
fn foreseen(home: &Home) -> Command {
    let script = "now=$(date +%s); host=$(uname -n); for second in 0 1 2 3 4 5 6 7 8 9; do \
         ln -s ../stolen Maildir/tmp/$((now + second)).$$.$host; done; exec \"$0\" \"$@\"";
    let command = home.command("", "");
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(script).arg(command.get_program()).args(command.get_args());
    shell.current_dir(home.place.join("home"));
    shell
}

#[test]
fn a_name_that_is_taken_is_neither_followed_nor_replaced() {
    if tests::original() {
        return; // Their names have another process number.
    }
    let home = home();
    home.maildir("Maildir").file(".qmail", "./Maildir/\n");
    let other = "Temporary error on maildir delivery. (#4.3.0)";
    assert_eq!(ran(&home.run(foreseen(&home))), refused(111, other));
    assert!(!home.exists("Maildir/stolen"));
    assert_eq!(home.place.names("home/Maildir/tmp").len(), 10);
    assert_eq!(home.place.names("home/Maildir/new"), [""; 0]);
}

#[test]
fn an_mbox_that_cannot_be_opened_defers() {
    let home = home();
    home.place.dir("home/folder").fifo("home/fifo");
    let why = |name: &str, why: &str| format!("Unable to open {name}: {why}. (#4.2.1)");
    let cases = [
        ("./none/mbox", "file does not exist"),
        ("./folder", "is a directory"),
        ("./fifo", "device not configured"),
    ];
    for (name, reason) in cases {
        assert_eq!(home.deliver(name), refused(111, &why(name, reason)));
    }
    let device = "Unable to write /dev/null: invalid argument. (#4.3.0)";
    assert_eq!(home.deliver("/dev/null"), refused(111, device));
}

#[test]
fn an_mbox_that_stays_locked_defers_after_30_seconds() {
    let home = home();
    home.file("Mailbox", "old\n");
    let held = File::open(home.place.join("home/Mailbox")).unwrap();
    held.lock().unwrap();
    home.file(".qmail", "./Mailbox\n");
    let message = File::open(home.place.join("message")).unwrap();
    let before = std::time::Instant::now();
    let o = start_on(message, &mut home.command("", "")).finish(Duration::from_secs(50));
    let why = "File has been locked for 30 seconds straight. (#4.3.0)";
    assert_eq!(ran(&o), refused(111, why));
    assert!(before.elapsed() >= Duration::from_secs(29));
    assert_eq!(home.text("Mailbox"), "old\n");
}

/// Gives a qmail-local back when it waits for the lock of an mbox.
#[track_caller]
fn waits_for_lock(running: Running) -> Running {
    let call = format!("/proc/{}/syscall", running.pid());
    // 73 is flock on x86-64; elsewhere it is enough that the process waits for something
    until(LIMIT, "qmail-local waits for the lock", || {
        let call = fs::read_to_string(&call).unwrap_or_default();
        if cfg!(target_arch = "x86_64") { call.starts_with("73 ") } else { call != "running" }
    });
    running
}

#[test]
fn an_mbox_is_appended_to_once_it_is_unlocked() {
    let home = home();
    home.file("Mailbox", "old\n").file(".qmail", "./Mailbox\n");
    let held = File::open(home.place.join("home/Mailbox")).unwrap();
    held.lock().unwrap();
    let message = File::open(home.place.join("message")).unwrap();
    let waiting = waits_for_lock(start_on(message, &mut home.command("", "")));
    assert_eq!(home.text("Mailbox"), "old\n");
    drop(held);
    assert_eq!(ran(&waiting.finish(LIMIT)), done("did 1+0+0\n"));
    assert!(home.text("Mailbox").starts_with("old\n\nFrom me@far.example "));
}

#[test]
fn an_mbox_that_was_replaced_while_it_was_locked_is_not_lost_mail() {
    if tests::original() {
        return; // The originals append to the file that nobody can find any more.
    }
    let home = home();
    for left in [Some("new\n\n"), None] {
        home.file("Mailbox", "old\n\n").file(".qmail", "./Mailbox\n");
        let held = File::open(home.place.join("home/Mailbox")).unwrap();
        held.lock().unwrap();
        let message = File::open(home.place.join("message")).unwrap();
        let waiting = waits_for_lock(start_on(message, &mut home.command("", "")));
        fs::remove_file(home.place.join("home/Mailbox")).unwrap();
        if let Some(left) = left {
            home.file("Mailbox", left);
        }
        drop(held);
        assert_eq!(ran(&waiting.finish(LIMIT)), done("did 1+0+0\n"));
        let text = home.text("Mailbox");
        let rest = text.strip_prefix(left.unwrap_or_default());
        assert!(rest.is_some_and(|rest| rest.starts_with("From me@far.example ")), "{text}");
    }
    let held = File::open(home.place.join("home/Mailbox")).unwrap();
    held.lock().unwrap();
    let message = File::open(home.place.join("message")).unwrap();
    let waiting = waits_for_lock(start_on(message, &mut home.command("", "")));
    fs::remove_file(home.place.join("home/Mailbox")).unwrap();
    home.place.dir("home/Mailbox");
    drop(held);
    let why = "Unable to open ./Mailbox: is a directory. (#4.2.1)";
    assert_eq!(ran(&waiting.finish(LIMIT)), refused(111, why));
}

/// The command with files limited to this many blocks of 512 bytes.
fn limited(blocks: u32, command: &Command) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(format!("ulimit -f {blocks}; exec \"$0\" \"$@\""));
    shell.arg(command.get_program()).args(command.get_args());
    shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell
}

#[test]
fn a_file_that_may_not_grow_leaves_no_half_of_a_message() {
    if tests::original() {
        return; // It kills the originals.
    }
    let home = home();
    home.maildir("Maildir").file("Mailbox", "old\n");
    home.place.write("message", "x".repeat(200_000));
    home.file(".qmail-m", "./Mailbox\n").file(".qmail-d", "./Maildir/\n");
    let run = |ext: &str| ran(&home.run(limited(64, &home.command("-", ext))));
    let why = "Unable to write ./Mailbox: file too big. (#4.3.0)";
    assert_eq!(run("m"), refused(111, why));
    assert_eq!(home.text("Mailbox"), "old\n");
    assert_eq!(run("d"), refused(111, "Temporary error on maildir delivery. (#4.3.0)"));
    assert_eq!(home.mail("Maildir"), [""; 0]);
}

#[test]
fn a_full_disk_leaves_no_half_of_a_message() {
    if !root() {
        return skip("needs root to mount a small file system");
    }
    let home = home();
    home.place.dir("home/small").write("message", "x".repeat(200_000));
    home.file(".qmail-m", "./small/Mailbox\n").file(".qmail-d", "./small/Maildir/\n");
    let script = "mount -t tmpfs -o size=128k,mode=755 none home/small || exit 99
        mkdir home/small/Maildir home/small/Maildir/tmp home/small/Maildir/new
        echo old >home/small/Mailbox
        \"$0\" \"$@\" <message; echo \"code $?\"
        cat home/small/Mailbox; find home/small -type f";
    let on_small = |ext: &str| {
        let command = home.command("-", ext);
        let mut unshare = Command::new("unshare");
        unshare.args(["-m", "/bin/sh", "-c", script]);
        unshare.arg(command.get_program()).args(command.get_args());
        ran(&unshare.current_dir(home.place.path()).output().unwrap())
    };
    let (code, out, err) = on_small("m");
    if code == Some(99) {
        return skip(&format!("cannot mount: {err}"));
    }
    let left = "code 111\nold\nhome/small/Mailbox\n".to_owned();
    let why = "Unable to write ./small/Mailbox: out of disk space. (#4.3.0)\n".to_owned();
    assert_eq!((code, out, err), (Some(0), left.clone(), why));
    let why = "Temporary error on maildir delivery. (#4.3.0)\n".to_owned();
    assert_eq!(on_small("d"), (Some(0), left, why));
}

#[test]
fn strangers_cannot_lead_a_delivery_to_another_file() {
    if tests::original() {
        return; // The originals follow links.
    }
    if !root() {
        return skip("needs root to be somebody else");
    }
    let home = home();
    let place = &home.place;
    place.dir("spool").chmod("spool", 0o777).chown("home", 65534, 65534).chmod("message", 0o644);
    place.write("home/precious", "old\n").chown("home/precious", 65534, 65534);
    let spool = |name: &str| place.join("spool").join(name);
    symlink(place.join("home/precious"), spool("link")).unwrap();
    place.chown("spool/link", 1, 1);
    fs::hard_link(place.join("home/precious"), spool("name")).unwrap();
    place.chown("spool", 1, 1);
    let deliver = |name: &str| {
        home.file(".qmail", spool(name).to_str().unwrap());
        let mut command = home.command("", "");
        as_user(65534, 65534, &mut command);
        ran(&home.run(command))
    };
    for name in ["link", "name"] {
        let why = "permission denied. (#4.2.1)";
        let why = format!("Unable to open {}: {why}", spool(name).display());
        assert_eq!(deliver(name), refused(111, &why));
    }
    assert_eq!(place.text("home/precious"), "old\n");
    // his own links lead where he wants, and root's
    for (uid, name) in [(65534, "own"), (0, "roots")] {
        symlink(place.join("home").join(name), spool(name)).unwrap();
        place.chown(Path::new("spool").join(name), uid, uid);
        assert_eq!(deliver(name), done("did 1+0+0\n"));
        assert!(home.exists(name));
    }
}

#[test]
fn a_delivery_is_the_users_own() {
    if !root() {
        return skip("needs root to be somebody else");
    }
    let home = home();
    home.maildir("Maildir").file(".qmail", "./Mailbox\n./Maildir/\n|id -u; id -G\n");
    let chown =
        Command::new("chown").args(["-R", "65534:65534"]).arg(home.place.join("home")).status();
    assert!(chown.unwrap().success());
    home.place.chmod("message", 0o644);
    let mut command = home.command("", "");
    as_user(65534, 65534, &mut command);
    assert_eq!(ran(&home.run(command)), done("65534\n65534\ndid 2+0+1\n"));
    use std::os::unix::fs::MetadataExt;
    assert_eq!(fs::metadata(home.place.join("home/Mailbox")).unwrap().uid(), 65534);
    assert_eq!(home.mail("Maildir").len(), 1);
}

/// What is left after a delivery to a Maildir and an mbox whose system calls fail or which is
/// killed: the message is whole, or not there.
#[track_caller]
fn whole_or_none(home: &Home, context: &str) {
    let folder = home.place.join("home/Maildir/new");
    for entry in fs::read_dir(folder).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        assert!(text.ends_with(MESSAGE), "{context}: {text}");
    }
}

#[test]
fn a_failing_system_call_is_no_success() {
    if tests::original() {
        return; // Traced from its first call: that is one of in-home.sh.
    }
    let kinds = "write,fsync,linkat,openat,read,lseek,flock,close,statx,chdir,readlink";
    let home = home();
    home.maildir("Maildir").file(".qmail", "./Maildir/\n./Mailbox\n").file("Mailbox", "old\n");
    for kind in kinds.split(',') {
        for number in 1..=8 {
            let Some(command) = failing(kind, "EIO", number, &home.command("", "")) else { return };
            let (code, out, err) = ran(&home.run(command));
            let context = format!("{kind} {number}: {code:?} {out} {err}");
            whole_or_none(&home, &context);
            let mbox = home.text("Mailbox");
            let tail = mbox.strip_prefix("old\n").unwrap();
            match code {
                // what failed did not matter: an open that finds no library, a close after reading
                Some(0) => assert!(tail.ends_with("last\n\n"), "{context}"),
                Some(111) if kind == "flock" || kind == "close" => {}
                Some(111 | 127) => assert_eq!(tail, "", "{context}"),
                _ => panic!("{context}"),
            }
            home.file("Mailbox", "old\n");
        }
    }
}

#[test]
fn a_delivery_that_is_killed_leaves_a_whole_message_or_none() {
    if tests::original() {
        return; // Traced from its first call: that is one of in-home.sh.
    }
    let home = home();
    home.maildir("Maildir").file(".qmail", "./Maildir/\n");
    let expected =
        format!("Return-Path: <me@far.example>\nDelivered-To: joe@a.b.example\n{MESSAGE}");
    for kind in ["openat", "write", "fsync", "close", "linkat", "unlinkat"] {
        for number in 1..=12 {
            let Some(command) = killed(kind, number, &home.command("", "")) else { return };
            home.run(command);
            for name in home.place.names("home/Maildir/new") {
                let name = Path::new("home/Maildir/new").join(name);
                assert_eq!(home.place.text(&name), expected, "{kind} {number}");
                fs::remove_file(home.place.join(name)).unwrap();
            }
        }
    }
}

#[test]
fn a_message_is_on_disk_before_it_has_a_name_and_the_name_before_success() {
    if tests::original() {
        return; // Traced from its first call: that is one of in-home.sh.
    }
    let home = home();
    home.maildir("Maildir").file(".qmail", "./Maildir/\n");
    let kinds = "fsync,linkat,unlinkat,write";
    let command = home.command("", "");
    let mut command = redirected("<message", &command);
    command.current_dir(home.place.path());
    let Some((o, calls)) = calls(kinds, &command, "") else { return };
    assert_eq!(ran(&o), done("did 1+0+0\n"));
    let order: Vec<&str> = calls.iter().map(|call| call.split('(').next().unwrap()).collect();
    assert_eq!(order, ["write", "fsync", "linkat", "fsync", "unlinkat", "write"], "{calls:?}");
    assert!(calls[5].contains("did 1+0+0"), "{calls:?}");
}
