//! qmail-rspawn: orders in, reports out, qmail-remote in between.

use crate::installation::{Installation, installation};
use std::fs;
use std::os::unix::fs::symlink;
use tests::{LIMIT, Running, fed, ran, root, shown, start, until};

/// An installation with message 30, and this script as qmail-remote.
fn with_remote(script: &str) -> Installation {
    let home = installation();
    home.write("queue/mess/7/30", "Subject: hello\n\ntext\n");
    home.script("qmail-remote", script);
    home
}

fn order(number: u8, message: &str, sender: &str, recipient: &str) -> Vec<u8> {
    [&[number], format!("{message}\0{sender}\0{recipient}\0").as_bytes()].concat()
}

/// The reports to these orders, in order of their numbers, NUL as a newline. The first byte, the
/// number of deliveries at once, must be 120.
#[track_caller]
fn reports(home: &Installation, orders: &[Vec<u8>]) -> Vec<(u8, String)> {
    let output = fed(&mut home.program("qmail-rspawn"), orders.concat());
    assert_eq!((output.status.code(), shown(&output.stderr)), (Some(0), String::new()));
    let [120, reports @ ..] = &output.stdout[..] else { panic!("{:?}", output.stdout) };
    let mut rest = reports;
    let mut seen = Vec::new();
    while let [number, tail @ ..] = rest {
        let end = tail.iter().position(|byte| *byte == 0).unwrap();
        seen.push((*number, shown(&tail[..end])));
        rest = &tail[end + 1..];
    }
    seen.sort();
    seen
}

/// The report to one order.
#[track_caller]
fn report(home: &Installation, message: &str, recipient: &str) -> String {
    let [(0, report)] = &reports(home, &[order(0, message, "me@a.example", recipient)])[..] else {
        panic!("not one report");
    };
    report.clone()
}

#[test]
fn qmail_remote_gets_host_sender_recipient_and_the_message() {
    if tests::original() {
        return; // That one user is everybody is ours.
    }
    let script = "text=$(cat); printf 'r\\0K%s|%s|%s|%s|' \"$#\" \"$1\" \"$2\" \"$3\"\n\
                  printf '%s|%s|%s\\0' \"$text\" \"$(pwd)\" \"$QMAILHOME\"";
    let home = with_remote(script);
    let path = home.home().display();
    let expected =
        format!("K3|b.example||a@b@b.example|Subject: hello\n\ntext|{path}/queue/mess|{path}");
    assert_eq!(reports(&home, &[order(9, "7/30", "", "a@b@b.example")]), [(9, expected)]);
}

#[test]
fn the_exit_code_counts_before_the_output() {
    if tests::original() {
        return; // That one user is everybody is ours.
    }
    for (script, expected) in [
        ("printf 'r\\0Kfine\\n\\0'", "Kfine\n"),
        ("printf 'hno\\n\\0Dbad\\n\\0'", "Dno\nbad\n"),
        ("printf 'snot now\\n\\0Zlater\\n\\0' >&2", "Znot now\nlater\n"),
        ("printf 'r\\0Kfine\\n\\0'; exit 111", "ZUnable to run qmail-remote.\n"),
        ("printf 'r\\0Kfine\\n\\0'; exit 1", "DUnable to run qmail-remote.\n"),
        ("printf 'r\\0Kfine\\n\\0'; exit 100", "DUnable to run qmail-remote.\n"),
        ("printf 'r\\0Kfine\\n\\0'; kill -9 $$", "Zqmail-remote crashed.\n"),
        ("", "Zqmail-remote produced no output.\n"),
    ] {
        assert_eq!(report(&with_remote(script), "7/30", "a@b"), expected, "{script}");
    }
}

#[test]
fn a_qmail_remote_that_cannot_be_run_is_a_temporary_failure() {
    if tests::original() {
        return; // That one user is everybody is ours.
    }
    let home = with_remote("");
    let later = "ZUnable to run qmail-remote.\n";
    home.place().chmod("bin/qmail-remote", 0o644);
    for name in [home.join("bin/qmail-remote"), "/nonexistent".into()] {
        let mut command = home.program("qmail-rspawn");
        let output = fed(command.env("QMAILREMOTE", name), order(0, "7/30", "", "a@b"));
        assert_eq!(shown(&output.stdout), format!("x\0{later}\0"));
    }
}

#[test]
fn another_program_may_be_named() {
    if tests::original() {
        return; // That one user is everybody is ours.
    }
    let home = with_remote("exit 1");
    home.script("other", "printf 'r\\0Kother %s\\0' \"$0\"");
    let mut other = home.program("qmail-rspawn");
    other.env("QMAILREMOTE", home.join("bin/other"));
    let output = fed(&mut other, order(0, "7/30", "", "a@b"));
    let expected = format!("x\0Kother {}\0", home.join("bin/other").display());
    assert_eq!(shown(&output.stdout), expected);
}

#[test]
fn orders_that_cannot_be_carried_out_are_refused() {
    if tests::original() {
        return; // That one user is everybody is ours.
    }
    let home = with_remote("printf 'r\\0Kfine\\0'");
    for (message, recipient, expected) in [
        ("7/x", "a@b", "DInternal error: messid has nonnumerics. (#5.3.5)\n"),
        ("../30", "a@b", "DInternal error: messid has nonnumerics. (#5.3.5)\n"),
        ("", "a@b", "DInternal error: messid too short. (#5.3.5)\n"),
        (&"7/30".repeat(26), "a@b", "DInternal error: messid too long. (#5.3.5)\n"),
        ("7/30", "nobody", "DSorry, address must include host name. (#5.1.3)\n"),
        ("7/31", "a@b", "Zqmail-spawn unable to open message. (#4.3.0)\n"),
        ("7", "a@b", "ZSorry, message has wrong type. (#4.3.5)\n"),
        ("7/30", "@b", "Kfine"),
    ] {
        assert_eq!(report(&home, message, recipient), expected, "{message} {recipient}");
    }
    home.place().fifo("queue/mess/7/53").chmod("queue/mess/7/53", 0o666);
    assert_eq!(report(&home, "7/53", "a@b"), "ZSorry, message has wrong type. (#4.3.5)\n");
    if root() {
        home.place().chown("queue/mess/7/30", 0, 0).chmod("queue/mess/7/30", 0o644);
        let expected = "ZSorry, message has wrong owner. (#4.3.5)\n";
        assert_eq!(report(&home, "7/30", "a@b"), expected);
    }
}

#[test]
fn numbers_are_checked_and_reports_come_in_any_order() {
    if tests::original() {
        return; // That one user is everybody is ours.
    }
    let home = with_remote(
        "read line; while test -f \"$QMAILHOME/$2\"; do sleep 0.01; done\n\
                            printf 'r\\0K%s\\0' \"$3\"",
    );
    home.write("control/spawn", "3\n").write("slow", "");
    let mut rspawn = start(&mut home.program("qmail-rspawn"));
    rspawn.write(order(2, "7/30", "slow", "first@b"));
    rspawn.write(order(2, "7/30", "", "second@b"));
    rspawn.write(order(3, "7/30", "", "third@b"));
    rspawn.write(order(0, "7/30", "", "fourth@b"));
    rspawn.wait_out("Kfourth@b");
    fs::remove_file(home.join("slow")).unwrap();
    let output = rspawn.finish(LIMIT);
    let expected = "\x03\x02ZInternal error: delnum in use. (#4.3.5)\n\0\
                    \x03ZInternal error: delnum too big. (#4.3.5)\n\0\
                    \0Kfourth@b\0\x02Kfirst@b\0";
    assert_eq!(ran(&output), (Some(0), expected.into(), String::new()));
}

#[test]
fn hundreds_of_deliveries_run_at_once() {
    if tests::original() {
        return; // That one user is everybody is ours.
    }
    let home = with_remote("printf 'r\\0K%s\\0' \"$3\"");
    home.control("spawn", "255");
    let orders = (0..255).map(|n| order(n, "7/30", "", &format!("{n}@b")));
    let output = fed(&mut home.program("qmail-rspawn"), orders.collect::<Vec<_>>().concat());
    assert_eq!((output.status.code(), output.stdout[0]), (Some(0), 255));
    let reports = output.stdout[1..].split(|byte| *byte == 0).filter(|text| text.contains(&b'K'));
    assert_eq!(reports.count(), 255);
}

#[test]
fn a_grandchild_that_holds_the_output_holds_the_report() {
    if tests::original() {
        return; // That one user is everybody is ours.
    }
    let home =
        with_remote("printf 'r\\0Kfine'; { read line <\"$QMAILHOME/go\"; printf ' late\\0'; } &");
    home.place().fifo("go").chmod("go", 0o666);
    let mut rspawn = start(&mut home.program("qmail-rspawn"));
    rspawn.write(order(0, "7/30", "", "a@b"));
    fs::write(home.join("go"), "\n").unwrap();
    rspawn.wait_out("Kfine late");
}

#[test]
fn it_waits_for_the_last_delivery_and_forgets_time_outs_at_the_start() {
    if tests::original() {
        return; // That one user is everybody is ours.
    }
    let home = with_remote("read line <\"$QMAILHOME/go\"; printf 'r\\0Kdone\\0'");
    home.place().fifo("go").chmod("go", 0o666);
    home.write("queue/lock/tcpto", [1; 1040]);
    let mut rspawn: Running = start(&mut home.program("qmail-rspawn"));
    rspawn.write(order(0, "7/30", "", "a@b"));
    rspawn.close();
    until(LIMIT, "the table is cleared", || home.place().read("queue/lock/tcpto")[0] == 0);
    assert_eq!(home.place().read("queue/lock/tcpto"), [[0; 1024].to_vec(), vec![1; 16]].concat());
    fs::write(home.join("go"), "\n").unwrap();
    assert_eq!(ran(&rspawn.finish(LIMIT)), (Some(0), "x\0Kdone\0".into(), String::new()));
    fs::remove_file(home.join("queue/lock/tcpto")).unwrap();
    assert_eq!(reports(&home, &[]), []);
}

#[test]
fn without_an_installation_it_fails() {
    if tests::original() {
        return; // That one user is everybody is ours.
    }
    let home = installation();
    fs::remove_dir_all(home.join("queue/mess")).unwrap();
    let output = fed(&mut home.program("qmail-rspawn"), "");
    let said = "qmail-rspawn: fatal: unable to switch to queue directory: file does not exist\n";
    assert_eq!(ran(&output), (Some(111), String::new(), said.into()));
    let elsewhere = installation();
    fs::rename(elsewhere.join("queue"), elsewhere.join("away")).unwrap();
    symlink("/", elsewhere.join("queue")).unwrap();
    let output = fed(&mut elsewhere.program("qmail-rspawn"), "");
    if nix::unistd::User::from_name("alias").is_ok_and(|alias| alias.is_none()) {
        let said = "qmail-rspawn: fatal: unable to find user alias\n";
        assert_eq!(ran(&output), (Some(111), String::new(), said.into()));
    }
}
