//! qmail-start: who is started, as whom, with what.

use crate::installation::{Installation, installation};
use std::fs;
use std::path::Path;
use std::process::Command;
use tests::{LIMIT, Running, fed, ran, root, shown, skip, start, until};

/// An installation whose qmail-lspawn is a qmail-rspawn.
fn with_spawner() -> Installation {
    let home = installation();
    home.link("qmail-lspawn", "qmail-rspawn")
        .script("qmail-remote", "printf 'r\\0Kto %s\\n\\0' \"$3\"");
    home
}

/// The processes whose parent is this one, by name; among them is its own name.
fn family(pid: i32) -> Vec<(String, i32)> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(number) = entry.file_name().to_string_lossy().parse::<i32>() else { continue };
        let status = |name| status(number, name);
        if number == pid || status("PPid") == pid.to_string() {
            found.push((status("Name"), number));
        }
    }
    found.sort();
    found
}

/// A field of /proc/PID/status.
fn status(pid: i32, name: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_default().trim().into()
}

/// The open descriptors of a process up to 6.
fn descriptors(pid: i32) -> Vec<i32> {
    let mut numbers: Vec<i32> = fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().parse().unwrap())
        .filter(|number| *number <= 6)
        .collect();
    numbers.sort();
    numbers
}

/// Waits until all names are in the family of a process; gives them with their process ids.
#[track_caller]
fn wait_family(pid: i32, names: &[&str]) -> Vec<(String, i32)> {
    let mut found = Vec::new();
    until(LIMIT, &format!("{names:?}"), || {
        found = family(pid);
        found.iter().map(|(name, _)| name.as_str()).eq(names.iter().copied())
    });
    found
}

const ALL: [&str; 4] = ["qmail-clean", "qmail-lspawn", "qmail-rspawn", "qmail-send"];

#[test]
fn mail_is_delivered_and_everything_ends_with_qmail_send() {
    if tests::original() {
        return; // That one user is everybody is ours.
    }
    let home = with_spawner();
    let running = start(home.program("qmail-start").arg("./Mailbox"));
    running.wait_out("status: local 0/10 remote 0/20\n");
    let family = wait_family(running.pid(), &ALL);
    assert!(family.contains(&("qmail-send".into(), running.pid())));
    home.send("text\n", "", &["a@a.example", "b@b.example"]);
    running.wait_out("end msg ");
    let log = running.out();
    assert!(log.contains(": success: to_a@a.example/\n"), "{log}");
    assert!(log.contains(": success: to_b@b.example/\n"), "{log}");
    running.signal(libc::SIGTERM);
    let output = running.finish(LIMIT);
    assert_eq!((output.status.code(), shown(&output.stderr)), (Some(0), String::new()));
    assert!(shown(&output.stdout).ends_with("status: exiting\n"));
    let gone = |(_, pid): &(String, i32)| !Path::new(&format!("/proc/{pid}")).exists();
    until(LIMIT, "the others have gone", || family.iter().all(gone));
}

#[test]
fn the_default_delivery_and_the_environment_reach_the_spawner() {
    if tests::original() {
        return; // That one user is everybody is ours.
    }
    for (words, expected) in [(&[][..], "./Mailbox"), (&["|cat"], "|cat"), (&[""], "")] {
        let home = with_spawner();
        let script = "echo \"$# $1 $MARK $(pwd) $(umask)\" >\"$QMAILHOME/said\"; printf '\\1'; cat";
        home.script("qmail-lspawn", script);
        let running = start(home.program("qmail-start").args(words).env("MARK", "seen"));
        running.wait_out("status: ");
        assert_eq!(home.place().text("said"), format!("1 {expected} seen / 0077\n"));
    }
}

#[test]
fn a_logger_gets_the_log() {
    if tests::original() {
        return; // That one user is everybody is ours.
    }
    let home = with_spawner();
    home.script(
        "logger",
        "printf '%s|' \"$@\" >\"$QMAILHOME/words\"; exec cat >\"$QMAILHOME/log\"",
    );
    let running = start(home.program("qmail-start").args(["./Mailbox", "logger", "a b", "c"]));
    let log = || fs::read_to_string(home.join("log")).unwrap_or_default();
    until(LIMIT, "the log", || log() == "status: local 0/10 remote 0/20\n");
    assert_eq!(home.place().text("words"), "a b|c|");
    running.signal(libc::SIGTERM);
    assert_eq!(running.wait(LIMIT).code(), Some(0));
    until(LIMIT, "the end of the log", || log().ends_with("status: exiting\n"));
    assert_eq!((running.out(), running.err()), (String::new(), String::new()));
}

#[test]
fn nobody_holds_a_descriptor_of_the_others() {
    if tests::original() {
        return; // That one user is everybody is ours.
    }
    let home = with_spawner();
    home.script("logger", "exec sleep 100");
    let mut command = home.program("qmail-start");
    let mut command = tests::redirected("3</dev/null 4</dev/null 5</dev/null 6</dev/null", {
        command.args(["./Mailbox", "logger"])
    });
    let running = start(home.as_its_user(&mut command));
    let names = ["qmail-clean", "qmail-lspawn", "qmail-rspawn", "qmail-send", "sleep"];
    let family = wait_family(running.pid(), &names);
    // the logger cannot help it; ours fill 2 with /dev/null and open files of their own
    let own = |name: &str| descriptors(family.iter().find(|(n, _)| n == name).unwrap().1);
    // while it starts it reads files of its own
    until(LIMIT, "the logger has 0 and 1", || own("sleep") == [0, 1]);
    assert_eq!(own("qmail-send"), [0, 1, 2, 3, 4, 5, 6]);
    let pipes = |pid: i32| {
        let links = (0..64).filter_map(|n| fs::read_link(format!("/proc/{pid}/fd/{n}")).ok());
        let links = links.map(|link| link.to_string_lossy().into_owned());
        links.filter(|link| link.starts_with("pipe:")).collect::<Vec<_>>()
    };
    let ours = pipes(running.pid());
    for name in ["qmail-clean", "qmail-lspawn", "qmail-rspawn"] {
        let theirs = pipes(family.iter().find(|(n, _)| n == name).unwrap().1);
        let shared = theirs.iter().filter(|pipe| ours.contains(pipe)).count();
        assert_eq!(shared, 2, "{name}: {theirs:?}");
    }
}

#[test]
fn a_missing_program_shows_in_the_log() {
    if tests::original() {
        return; // That one user is everybody is ours.
    }
    for missing in ["qmail-lspawn", "qmail-rspawn"] {
        let home = with_spawner();
        fs::remove_file(home.join("bin").join(missing)).unwrap();
        let mut command = home.program("qmail-start");
        let output = fed(command.env("PATH", home.join("bin")), "");
        let said = "alert: cannot start: hath the daemon spawn no fire?\n";
        assert_eq!(ran(&output), (Some(111), said.into(), String::new()), "{missing}");
    }
    let home = with_spawner();
    fs::remove_file(home.join("bin/qmail-send")).unwrap();
    let mut command = home.program("qmail-start");
    let output = fed(command.env("PATH", home.join("bin")), "");
    assert_eq!(ran(&output), (Some(111), String::new(), String::new()));
}

#[test]
fn somebody_elses_installation_is_not_run() {
    if tests::original() {
        return; // That one user is everybody is ours.
    }
    if nix::unistd::User::from_name("qmails").is_ok_and(|user| user.is_some()) {
        return skip("the qmail users exist");
    }
    let home = with_spawner();
    let mut command = home.program("qmail-start");
    if root() {
        home.place().chown("queue", 0, 0);
    } else {
        command.env("QMAILHOME", "/");
    }
    let said = "qmail-start: fatal: unable to find user alias\n";
    assert_eq!(ran(&fed(&mut command, "")), (Some(111), String::new(), said.into()));
}

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n\
    alias:x:7790:2108::/var/qmail/alias:/bin/true\n\
    qmaild:x:7791:2108::/var/qmail:/bin/true\n\
    qmaill:x:7792:2108::/var/qmail:/bin/true\n\
    qmailp:x:7793:2108::/var/qmail:/bin/true\n\
    qmailq:x:7794:2107::/var/qmail:/bin/true\n\
    qmailr:x:7795:2107::/var/qmail:/bin/true\n\
    qmails:x:7796:2107::/var/qmail:/bin/true\n";
const GROUPS: &str = "root:x:0:\nqmail:x:2107:\nnofiles:x:2108:\nkeys:x:2109:other,qmailr\n";

/// An installation with the owners of qmail.md, section 3.
fn with_owners() -> Installation {
    let home = with_spawner();
    home.write("passwd", PASSWD).write("group", GROUPS);
    home.script("logger", "exec sleep 100");
    let script = "cd \"$1\"; chmod 755 .; chown -hR 0:2107 .; chmod 644 passwd group control/*; \
        cd queue; chown -R 7794:2107 .; chmod 750 . mess mess/* todo lock; \
        chown -R 7796:2107 bounce info local remote; chmod 700 bounce info local remote pid intd; \
        chown 7796:2107 lock/sendmutex lock/trigger; chown 7795:2107 lock/tcpto; \
        chmod 600 lock/sendmutex; chmod 622 lock/trigger; chmod 644 lock/tcpto";
    let done = Command::new("sh").args(["-c", script, "sh"]).arg(home.home()).status();
    assert!(done.unwrap().success());
    home
}

/// Starts it as root in a mount namespace where the seven users exist.
fn start_as_root(home: &Installation) -> Option<Running> {
    let script = "mount --bind \"$QMAILHOME/passwd\" /etc/passwd && \
        mount --bind \"$QMAILHOME/group\" /etc/group && exec qmail-start ./Mailbox logger";
    let mut unshare = Command::new("unshare");
    unshare.args(["-m", "sh", "-c", script]).env_clear();
    for (name, value) in home.program("qmail-start").get_envs() {
        unshare.env(name, value.unwrap());
    }
    let running = start(&mut unshare);
    until(LIMIT, "it runs or cannot", || {
        running.ended().is_some() || family(running.pid()).len() >= 5
    });
    if running.ended().is_some() && running.err().contains("unshare failed") {
        skip("may not make a mount namespace");
        return None;
    }
    Some(running)
}

#[test]
fn root_starts_each_program_as_its_user() {
    if tests::original() {
        return; // That one user is everybody is ours.
    }
    if !root() {
        return skip("needs root");
    }
    let home = with_owners();
    let Some(running) = start_as_root(&home) else { return };
    let names = ["qmail-clean", "qmail-lspawn", "qmail-rspawn", "qmail-send", "sleep"];
    let family = wait_family(running.pid(), &names);
    let seen: Vec<_> = family
        .iter()
        .map(|(name, pid)| {
            let ids = ["Uid", "Gid", "Groups"].map(|field| status(*pid, field));
            (name.as_str(), ids.map(|field| field.replace('\t', " ")))
        })
        .collect();
    let all = |id: &str| [id; 4].join(" ");
    let expected = [
        ("qmail-clean", "7794", "2107", "2107"),
        ("qmail-lspawn", "0", "2107", "2107"),
        ("qmail-rspawn", "7795", "2107", "2107 2109"),
        ("qmail-send", "7796", "2107", "2107"),
        ("sleep", "7792", "2108", "2108"),
    ];
    let expected =
        expected.map(|(name, uid, gid, groups)| (name, [all(uid), all(gid), groups.into()]));
    assert_eq!(seen, expected);
}

#[test]
fn mail_goes_through_an_installation_of_eight_owners() {
    if tests::original() {
        return; // That one user is everybody is ours.
    }
    if !root() {
        return skip("needs root");
    }
    let home = with_owners();
    home.script("logger", "exec cat >\"$QMAILHOME/log\"");
    fs::write(home.join("log"), "").unwrap();
    home.place().chown("log", 7792, 2108);
    home.place().chmod("bin/logger", 0o755);
    home.place().copy(tests::bin("qmail-queue"), "bin/setuid-queue");
    home.place().chown("bin/setuid-queue", 7794, 2107).chmod("bin/setuid-queue", 0o4711);
    let Some(running) = start_as_root(&home) else { return };
    let envelope = home.join("envelope");
    fs::write(&envelope, "Fme@a.example\0Ta@a.example\0Tb@b.example\0\0").unwrap();
    let script = "exec \"$QMAILHOME/bin/setuid-queue\" </dev/null 1<\"$QMAILHOME/envelope\"";
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).env("QMAILHOME", home.home());
    assert_eq!(tests::as_user(1234, 1234, &mut shell).status().unwrap().code(), Some(0));
    until(LIMIT, "the end of the message", || home.place().text("log").contains("end msg "));
    let log = home.place().text("log");
    assert!(log.contains(" uid 1234\n") && log.contains(": success: to_a@a.example/\n"), "{log}");
    until(LIMIT, "an empty queue", || home.numbers("mess").is_empty());
    running.signal(libc::SIGTERM);
    assert_eq!(running.wait(LIMIT).code(), Some(0));
}
