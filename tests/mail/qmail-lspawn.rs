//! qmail-lspawn: schedule local deliveries.

use crate::accounts::{SEVEN, with_accounts};
use crate::installation::{Installation, installation};
use std::process::Command;
use std::time::{Duration, Instant};
use tests::{LIMIT, Random, Scratch, fed, program, ran, root, scratch, skip, start, until};

/// An installation with a message, whose qmail-local is this script.
fn spawning(script: &str) -> Installation {
    let installation = installation();
    installation.script("qmail-local", script).write("queue/mess/1/24", "the message\n");
    installation
}

fn lspawn(installation: &Installation) -> Command {
    let mut command = installation.program("qmail-lspawn");
    command.arg("./Default");
    command
}

/// An order for the message.
fn order(number: u8, sender: &str, recipient: &str) -> Vec<u8> {
    named(number, "1/24", sender, recipient)
}

fn named(number: u8, message: &str, sender: &str, recipient: &str) -> Vec<u8> {
    [&[number][..], format!("{message}\0{sender}\0{recipient}\0").as_bytes()].concat()
}

/// The reports that answer orders, by number. qmail-lspawn must say 120 and end well.
#[track_caller]
fn reports(command: &mut Command, orders: &[u8]) -> Vec<(u8, String)> {
    let o = fed(command, orders);
    assert_eq!((o.status.code(), tests::shown(&o.stderr)), (Some(0), String::new()));
    let (first, mut rest) = o.stdout.split_first().unwrap();
    assert_eq!(*first, 120);
    let mut reports = Vec::new();
    while let [number, tail @ ..] = rest {
        let end = tail.iter().position(|byte| *byte == 0).unwrap();
        reports.push((*number, tests::shown(&tail[..end])));
        rest = &tail[end + 1..];
    }
    reports.sort();
    reports
}

/// The report of one order.
#[track_caller]
fn report(installation: &Installation, recipient: &str) -> String {
    let reports = reports(&mut lspawn(installation), &order(0, "s@x", recipient));
    assert_eq!(reports.len(), 1);
    reports[0].1.clone()
}

#[test]
fn a_default_delivery_and_an_installation_are_needed() {
    if tests::original() {
        return; // That one user is everybody is ours.
    }
    let installation = spawning("exit 0");
    let o = installation.program("qmail-lspawn").output().unwrap();
    assert_eq!(ran(&o), (Some(100), String::new(), String::new()));
    let mut lost = program("qmail-lspawn");
    lost.arg("./Default").env("QMAILHOME", "/nonexistent");
    let o = lost.output().unwrap();
    assert_eq!((o.status.code(), o.stdout), (Some(111), Vec::new()));
}

#[test]
fn qmail_local_gets_the_message_and_eight_words() {
    if tests::original() {
        return; // That one user is everybody is ours.
    }
    let installation = spawning("for word; do echo \"$word\"; done; cat; pwd; echo $MARK >&2");
    let mut command = lspawn(&installation);
    let orders = order(7, "me@far.example", "Some-Body@else@A.example");
    let reports = reports(command.env("MARK", "inherited"), &orders);
    let home = installation.home().display();
    let text = format!(
        "K--\nalias\n{home}/alias\nSome-Body@else\n-\nSome-Body@else\nA.example\nme@far.example\n\
         ./Default\nthe message\n{home}\ninherited\n"
    );
    assert_eq!(reports, [(7, text)]);
}

#[test]
fn an_empty_local_part_is_thrown_away_with_success() {
    if tests::original() {
        return; // That one user is everybody is ours.
    }
    let installation = spawning("echo never");
    assert_eq!(report(&installation, "@a.example"), "K");
}

#[test]
fn orders_that_are_none_are_refused() {
    if tests::original() {
        return; // That one user is everybody is ours.
    }
    let installation = spawning("exit 0");
    installation.place().dir("queue/mess/2/25").fifo("queue/mess/2/26");
    let long = "1".repeat(101);
    let cases = [
        ("1/24", "nobody", "DSorry, address must include host name. (#5.1.3)\n"),
        ("1/25", "a@b", "Zqmail-spawn unable to open message. (#4.3.0)\n"),
        ("2/25", "a@b", "ZSorry, message has wrong type. (#4.3.5)\n"),
        ("2/26", "a@b", "ZSorry, message has wrong type. (#4.3.5)\n"),
        ("../1/24", "a@b", "DInternal error: messid has nonnumerics. (#5.3.5)\n"),
        ("/1/24", "a@b", "DInternal error: messid has nonnumerics. (#5.3.5)\n"),
        (&long, "a@b", "DInternal error: messid too long. (#5.3.5)\n"),
        ("", "a@b", "DInternal error: messid too short. (#5.3.5)\n"),
    ];
    let ask = |(message, recipient, _): (&str, &str, &str)| {
        let orders = named(3, message, "s", recipient);
        reports(&mut lspawn(&installation), &orders)
    };
    let expected = cases.map(|(_, _, report)| vec![(3, report.to_owned())]);
    if root() {
        installation.place().chmod("queue/mess/2/26", 0o644);
    }
    assert_eq!(cases.map(ask), expected);
    let too_big = "ZInternal error: delnum too big. (#4.3.5)\n".to_owned();
    assert_eq!(reports(&mut lspawn(&installation), &order(120, "s", "a@b")), [(120, too_big)]);
}

#[test]
fn a_message_of_somebody_else_is_refused() {
    if tests::original() {
        return; // That one user is everybody is ours.
    }
    if !root() {
        return skip("needs root to give files away");
    }
    let installation = spawning("exit 0");
    installation.place().chown("queue/mess/1/24", 1, 1).chmod("queue/mess/1/24", 0o644);
    let wrong = "ZSorry, message has wrong owner. (#4.3.5)\n";
    assert_eq!(report(&installation, "a@b"), wrong);
}

/// What a report is for an exit code of qmail-local that prints `text`.
fn expected(code: u8) -> String {
    let own = match code {
        112 => "ZInternal qmail-lspawn bug.",
        113 => "ZNot allowed to perform deliveries as root.",
        115 => "ZNFS failure in qmail-local.",
        116 => "ZUnable to find alias user!",
        117 => "ZTrouble reading users/cdb in qmail-lspawn.",
        118 => "ZTemporary failure in qmail-lspawn.",
        119 => "ZOut of memory in qmail-lspawn.",
        120 => "ZUnable to run qmail-local.",
        121 => "ZUnable to run qmail-getpw.",
        126 => "DUnable to run qmail-local.",
        0 => "Ktext",
        111 | 71 | 74 | 75 => "Ztext",
        _ => "Dtext",
    };
    format!("{own}\n")
}

#[test]
fn exit_codes_become_reports() {
    if tests::original() {
        return; // That one user is everybody is ours.
    }
    let installation = spawning("echo text; exit $3");
    // $3 of the script is the home: let it be the local part, which is also the extension
    installation.script("qmail-local", "echo text; exit \"$4\"");
    for codes in [0..=119, 120..=239, 240..=255u8] {
        let number = |code: u8| code % 120;
        let orders: Vec<u8> =
            codes.clone().flat_map(|code| order(number(code), "s", &format!("{code}@h"))).collect();
        let wanted: Vec<_> = codes.map(|code| (number(code), expected(code))).collect();
        assert_eq!(reports(&mut lspawn(&installation), &orders), wanted);
    }
    installation.script("qmail-local", "kill -9 $$");
    assert_eq!(report(&installation, "a@b"), "Zqmail-local crashed.\n");
}

#[test]
fn a_report_ends_at_a_nul_and_is_not_too_long() {
    if tests::original() {
        return; // That one user is everybody is ours.
    }
    let installation = spawning("printf 'one\\0two'");
    assert_eq!(report(&installation, "a@b"), "Kone");
    installation.script("qmail-local", "yes | head -c 3000; exit 100");
    let text = report(&installation, "a@b");
    assert_eq!(text, format!("D{}", "y\n".repeat(1500)));
    installation.script("qmail-local", "yes | head -c 300000; exit 100");
    let text = report(&installation, "a@b");
    assert_eq!(text, format!("D{}\nError report too long, sorry.\n", "y\n".repeat(1483)));
}

#[test]
fn deliveries_run_at_once_and_numbers_are_used_once_at_a_time() {
    if tests::original() {
        return; // That one user is everybody is ours.
    }
    let installation = spawning("[ \"$4\" = slow ] && read line <\"$QMAILHOME/gate\"; echo \"$4\"");
    installation.place().fifo("gate").chmod("gate", 0o666);
    let mut running = start(&mut lspawn(&installation));
    running.write(order(0, "s", "slow@h"));
    running.write(order(1, "s", "fast@h"));
    running.wait_out("Kfast\n");
    running.write(order(0, "s", "other@h"));
    running.wait_out("ZInternal error: delnum in use. (#4.3.5)\n");
    // the last delivery is waited for after the last order, half a one does not count
    running.write("\x022/2");
    running.close();
    assert!(running.ended().is_none());
    installation.place().write("gate", "open\n");
    let out = running.wait_out("Kslow\n");
    assert_eq!(running.wait(LIMIT).code(), Some(0));
    assert_eq!(out.matches('K').count(), 2);
}

#[test]
fn damaged_orders_are_answered() {
    if tests::original() {
        return; // That one user is everybody is ours.
    }
    let installation = spawning("exit 0");
    let mut random = Random::new(11);
    for case in 0..20 {
        let mut orders = Vec::new();
        for number in 0..60 {
            let good = order(number, "me@far.example", "you@a.example");
            let bad = random.below(3) > 0;
            orders.extend(if bad { random.damaged(&good) } else { good });
        }
        let o = fed(&mut lspawn(&installation), &orders);
        assert_eq!((o.status.code(), &*o.stderr), (Some(0), &b""[..]), "case {case}");
        let (first, mut rest) = o.stdout.split_first().unwrap();
        assert_eq!(*first, 120);
        while let [_, b'K' | b'Z' | b'D', tail @ ..] = rest {
            rest = &tail[tail.iter().position(|byte| *byte == 0).unwrap() + 1..];
        }
        assert_eq!(rest, b"", "case {case}");
    }
}

/// Puts these lines into users/assign, and makes users/cdb of them.
fn assign(installation: &Installation, lines: &str) {
    installation.write("users/assign", format!("{lines}.\n"));
    let o = installation.program("qmail-newu").output().unwrap();
    assert_eq!(ran(&o), (Some(0), String::new(), String::new()));
}

/// A script that shows user, home, local part, dash and extension.
const SHOW: &str = "echo \"$2:$3:$4:$5:$6\"";

#[test]
fn the_table_of_users_decides_first() {
    if tests::original() {
        return; // That one user is everybody is ours.
    }
    let installation = spawning(SHOW);
    let (uid, gid) = installation.user();
    assign(
        &installation,
        &format!(
            "=joe:exact:{uid}:{gid}:/joe:::\n+joe-:wild:{uid}:{gid}:/joe:-::\n\
             +joe-x-:longer:{uid}:{gid}:/x:-:pre.:\n"
        ),
    );
    let cases = [
        ("JOE", "Kexact:/joe:JOE::\n"),
        ("joe-A", "Kwild:/joe:joe-A:-:A\n"),
        ("joe-X-Y", "Klonger:/x:joe-X-Y:-:pre.Y\n"),
        ("joe-", "Kwild:/joe:joe-:-:\n"),
    ];
    assert_eq!(
        cases.map(|(local, _)| report(&installation, &format!("{local}@h"))),
        cases.map(|(_, report)| report.to_owned())
    );
    let home = installation.home().display();
    assert_eq!(report(&installation, "jo@h"), format!("Kalias:{home}/alias:jo:-:jo\n"));
    assign(&installation, &format!("+:all:{uid}:{gid}:/all:-::\n"));
    assert_eq!(report(&installation, "Any@h"), "Kall:/all:Any:-:Any\n");
}

#[test]
fn trouble_with_the_table_defers() {
    if tests::original() {
        return; // That one user is everybody is ours.
    }
    let installation = spawning("echo delivered");
    let trouble = "ZTrouble reading users/cdb in qmail-lspawn.\n";
    let (uid, gid) = installation.user();
    // alone, a table for others is one for another kind of installation
    assign(&installation, &format!("=a:u:{uid}:{gid}:/:::\n=b:u:{}:{gid}:/:::\n", uid + 1));
    assert_eq!(report(&installation, "a@h"), trouble);
    assign(&installation, &format!("=a:u:{uid}:{gid}:/:::\n"));
    assert_eq!(report(&installation, "a@h"), "Kdelivered\n");
    installation.write("users/cdb", "");
    assert_eq!(report(&installation, "a@h"), trouble);
    assign(&installation, &format!("=a:u:{uid}x:{gid}:/:::\n"));
    assert_eq!(report(&installation, "a@h"), trouble);
    std::fs::remove_file(installation.join("users/cdb")).unwrap();
    installation.place().dir("users/cdb");
    assert_eq!(report(&installation, "a@h"), trouble);
}

#[test]
fn damaged_tables_defer_or_answer() {
    if tests::original() {
        return; // That one user is everybody is ours.
    }
    let installation = spawning("echo delivered");
    let (uid, gid) = installation.user();
    assign(&installation, &format!("=joe:u:{uid}:{gid}:/:::\n+joe-:u:{uid}:{gid}:/:-::\n"));
    let good = installation.place().read("users/cdb");
    let orders: Vec<u8> =
        (0..).zip(["joe@h", "joe-x@h", "no@h"]).flat_map(|(n, to)| order(n, "s", to)).collect();
    let mut random = Random::new(5);
    // the reader alone is fed 10,000 of them, in mail::assign
    for case in 0..100 {
        installation.write("users/cdb", random.damaged(&good));
        for (_, report) in reports(&mut lspawn(&installation), &orders) {
            let fine = ["Kdelivered\n", "ZTrouble reading users/cdb in qmail-lspawn.\n"];
            assert!(fine.contains(&&*report), "case {case}: {report}");
        }
    }
}

#[test]
fn alone_everybodys_mail_is_the_one_users() {
    if tests::original() {
        return; // That one user is everybody is ours.
    }
    let installation = installation();
    installation.write("queue/mess/1/24", "Subject: x\n\ntext\n").maildir("alias/Maildir");
    installation.write("alias/.qmail-default", "./Maildir/\n");
    installation.write("alias/.qmail-prog", "|id -u; echo $LOCAL $USER\n");
    installation.write("alias/.qmail-v-default", "|echo $LOCAL $EXT $DEFAULT\n");
    assert_eq!(report(&installation, "somebody-else@h"), "Kdid 1+0+0\n");
    // a virtual domain whose prefix is alias-v
    assert_eq!(report(&installation, "Alias-v-Ann@h"), "KAlias-v-Ann v-Ann Ann\ndid 0+0+1\n");
    let names = installation.place().names("alias/Maildir/new");
    let mail = installation.place().text(format!("alias/Maildir/new/{}", names[0]));
    assert_eq!(mail, "Return-Path: <s@x>\nDelivered-To: somebody-else@h\nSubject: x\n\ntext\n");
    let (uid, _) = installation.user();
    assert_eq!(report(&installation, "prog@h"), format!("K{uid}\nprog alias\ndid 0+0+1\n"));
    std::fs::remove_file(installation.join("alias/.qmail-default")).unwrap();
    let none = "DSorry, no mailbox here by that name. (#5.1.1)\n";
    assert_eq!(report(&installation, "somebody-else@h"), none);
}

#[test]
fn alone_the_users_own_name_is_his_home() {
    if tests::original() {
        return; // That one user is everybody is ours.
    }
    let installation = spawning(SHOW);
    let (uid, gid) = installation.user();
    installation.maildir("house").maildir("bin-of-joe");
    let house = installation.join("house");
    let line = format!("joe:x:{uid}:{gid}::{}:/bin/sh\n", house.display());
    let as_joe = |line: &str, recipient: &str| {
        let inner = lspawn(&installation);
        // setpriv becomes the user in the name space that root has made
        let mut command = Command::new("setpriv");
        command.args([format!("--reuid={uid}"), format!("--regid={gid}"), "--clear-groups".into()]);
        command.arg(inner.get_program()).args(inner.get_args());
        command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let place = scratch();
        let mut command = with_accounts(&place, line, &command)?;
        Some(reports(&mut command, &order(0, "s", recipient))[0].1.clone())
    };
    let Some(report) = as_joe(&line, "Joe@h") else { return };
    assert_eq!(report, format!("Kjoe:{}:Joe::\n", house.display()));
    let report = as_joe(&line, "joe-Ext-x@h").unwrap();
    assert_eq!(report, format!("Kjoe:{}:joe-Ext-x:-:Ext-x\n", house.display()));
    let alias = installation.join("alias");
    for (line, local) in [(&*line, "joey"), ("joe:x:65534:65534::/:/bin/sh\n", "joe"), ("", "joe")]
    {
        let report = as_joe(line, &format!("{local}@h")).unwrap();
        assert_eq!(report, format!("Kalias:{}:{local}:-:{local}\n", alias.display()));
    }
}

/// What qmail-lspawn looks for in a qmail-getpw.
const MARK: &str = "qmail-getpw: answers that may be kept, form 1";

/// Root's qmail-lspawn, with the seven users and joe.
fn roots(installation: &Installation, place: &Scratch) -> Option<Command> {
    roots_with(installation, place, "./Default")
}

/// The same with this as the default delivery.
fn roots_with(installation: &Installation, place: &Scratch, default: &str) -> Option<Command> {
    let mut command = program("qmail-lspawn");
    command.arg(default).env("QMAILHOME", installation.home());
    let joe = format!("joe:x:1234:100::{}:/bin/sh\n", installation.join("joe").display());
    with_accounts(place, &(SEVEN.to_owned() + &joe), &command)
}

/// What it reports.
fn by_root(installation: &Installation, recipient: &str) -> Option<String> {
    let place = scratch();
    let mut command = roots(installation, &place)?;
    Some(reports(&mut command, &order(0, "s", recipient))[0].1.clone())
}

/// A script that shows who it is besides.
const WHO: &str = "echo \"$2:$5:$6 $(id -u) $(id -g) $(id -G)\"; grep -c Groups /proc/self/status";

#[test]
fn root_becomes_the_user_whom_qmail_getpw_names() {
    if tests::original() {
        return; // That one user is everybody is ours.
    }
    let installation = spawning(WHO);
    installation.place().dir("joe");
    if root() {
        installation.place().chown("joe", 1234, 100).chown("queue", 65534, 65534);
    }
    let Some(report) = by_root(&installation, "Joe-Ext@h") else { return };
    assert_eq!(report, "Kjoe:-:Ext 1234 100 100\n1\n");
    assert_eq!(by_root(&installation, "joe@h").unwrap(), "Kjoe:: 1234 100 100\n1\n");
    assert_eq!(by_root(&installation, "jim@h").unwrap(), "Kalias:-:jim 7790 2108 2108\n1\n");
    assert_eq!(by_root(&installation, "root@h").unwrap(), "Kalias:-:root 7790 2108 2108\n1\n");
}

#[test]
fn root_becomes_the_user_of_the_table_but_never_stays_root() {
    if tests::original() {
        return; // That one user is everybody is ours.
    }
    let installation = spawning(WHO);
    let (high, root_line) = ("=high:u:4000000000:7:/:::\n", "=root:root:0:0:/root:::\n");
    assign(&installation, &format!("=daemon:u:1:7:/:::\n{root_line}{high}"));
    let Some(report) = by_root(&installation, "daemon@h") else { return };
    assert_eq!(report, "Ku:: 1 7 7\n1\n");
    assert_eq!(by_root(&installation, "high@h").unwrap(), "Ku:: 4000000000 7 7\n1\n");
    let never = "ZNot allowed to perform deliveries as root.\n";
    assert_eq!(by_root(&installation, "root@h").unwrap(), never);
}

#[test]
fn qmail_getpw_runs_as_its_own_user_and_its_failures_defer() {
    if tests::original() {
        return; // That one user is everybody is ours.
    }
    let installation = spawning("exit 0");
    let with = |script: &str| {
        installation.script("qmail-getpw", script);
        by_root(&installation, "any-body@h")
    };
    let fields = "printf 'u\\0001\\0001\\0/\\0-\\0'; printf \"$1 $(id -u) $(id -G)\"; printf '\\0'";
    installation.script("qmail-local", "echo \"$2 $5 $6\"");
    let Some(report) = with(fields) else { return };
    assert_eq!(report, "Ku - any-body 7793 2108\n");
    let cases = [
        ("exit 115", "ZNFS failure in qmail-local.\n"),
        ("exit 116", "ZUnable to find alias user!\n"),
        ("exit 118", "ZTemporary failure in qmail-lspawn.\n"),
        ("kill -9 $$", "ZTemporary failure in qmail-lspawn.\n"),
        ("printf 'half\\0'", "ZInternal qmail-lspawn bug.\n"),
        ("exec yes", "ZTemporary failure in qmail-lspawn.\n"),
        ("exit 100", "D"),
        ("exit 1", "ZTemporary failure in qmail-lspawn.\n"),
        ("exit 126", "ZTemporary failure in qmail-lspawn.\n"),
        ("exit 127", "ZTemporary failure in qmail-lspawn.\n"),
        ("printf 'u\\0one\\0001\\0/\\0-\\0x\\0'", "ZInternal qmail-lspawn bug.\n"),
    ];
    for (script, report) in cases {
        assert_eq!(with(script).unwrap(), report, "{script}");
    }
    std::fs::remove_file(installation.join("bin/qmail-getpw")).unwrap();
    assert_eq!(by_root(&installation, "any@h").unwrap(), "ZUnable to run qmail-getpw.\n");
}

#[test]
fn a_missing_qmail_local_is_told() {
    if tests::original() {
        return; // That one user is everybody is ours.
    }
    let installation = spawning("exit 0");
    std::fs::remove_file(installation.join("bin/qmail-local")).unwrap();
    assert_eq!(report(&installation, "a@b"), "DUnable to run qmail-local.\n");
}

#[test]
fn a_qmail_getpw_that_does_not_end_holds_up_one_delivery_alone() {
    if tests::original() {
        return; // That one user is everybody is ours.
    }
    let installation = spawning("echo \"$2\"");
    let script = "test \"$1\" != slow || exec sleep 1000
        printf 'u\\0001\\0001\\0/\\0-\\0x\\0'";
    installation.script("qmail-getpw", script);
    let place = scratch();
    let Some(mut command) = roots(&installation, &place) else { return };
    let mut lspawn = start(&mut command);
    lspawn.write([order(1, "s", "slow@h"), order(2, "s", "any@h")].concat());
    assert_eq!(lspawn.wait_out("\0"), "x\x02Ku\n\0");
}

#[test]
fn what_our_qmail_getpw_has_said_counts_for_a_moment() {
    if tests::original() {
        return; // The others ask for each delivery.
    }
    let (installation, place) = (installation(), scratch());
    installation.write("queue/mess/1/24", "the message\n").write("asked", "");
    installation.place().chmod("asked", 0o666).chmod("", 0o755);
    let getpw = format!(
        "echo \"$1\" >>{}; exec {} \"$1\"",
        installation.join("asked").display(),
        tests::bin("qmail-getpw").display()
    );
    installation.script("qmail-getpw", &format!("# {MARK}\n{getpw}"));
    for folder in ["joe", "joe/Maildir", "joe/Maildir/tmp", "joe/Maildir/new", "joe/Maildir/cur"] {
        installation.place().dir(folder);
        if root() {
            installation.place().chown(folder, 1234, 100);
        }
    }
    let Some(mut command) = roots_with(&installation, &place, "./Maildir/") else { return };
    let mut lspawn = start(&mut command);
    let (begun, mut orders) = (Instant::now(), 0);
    let mut asked_for = |recipients: &[&str]| {
        let before = installation.place().text("asked").lines().count();
        for recipient in recipients {
            orders += 1;
            lspawn.write(order(orders, "s@x", recipient));
            let reports = || lspawn.out().matches('\0').count();
            until(LIMIT, "it is reported", || reports() == usize::from(orders));
        }
        installation.place().text("asked").lines().count() - before
    };
    let kept = asked_for(&["joe@h", "joe@h", "joe@h"]);
    assert!(kept == 1 || begun.elapsed() > Duration::from_secs(4), "{kept} times");
    assert_eq!(asked_for(&["nobody@h", "nobody@h"]), 2);
    // there is another user now
    let accounts = place.text("passwd");
    place.write("passwd", accounts + "ann:x:1235:100::/:/bin/sh\n");
    assert_eq!(asked_for(&["joe@h"]), 1);
    // somebody's own
    installation.script("qmail-getpw", &getpw);
    assert_eq!(asked_for(&["joe@h", "joe@h"]), 2);
    assert_eq!(installation.place().names("joe/Maildir/new").len(), 6);
}
