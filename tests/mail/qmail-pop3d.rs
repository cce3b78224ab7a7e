//! qmail-pop3d on pipes, as qmail-popup and checkpassword start it.

use crate::mailbox::{Mailbox, mailbox};
use std::time::{Duration, SystemTime};
use tests::{LIMIT, Random, fed, killed, program, ran, redirected, root, shown, skip, start};

/// What is answered to these commands (LF stands for CR LF, in the answers too). It must end with
/// 0, and must say nothing else.
#[track_caller]
fn answers(mail: &Mailbox, commands: &str) -> String {
    let output = fed(&mut mail.pop3d(), commands.replace('\n', "\r\n"));
    let (code, out, err) = ran(&output);
    assert_eq!((code, err), (Some(0), String::new()));
    out.replace("\r\n", "\n")
}

/// The same without the greeting.
#[track_caller]
fn replies(mail: &Mailbox, commands: &str) -> String {
    answers(mail, commands).strip_prefix("+OK \n").unwrap().to_owned()
}

fn three() -> Mailbox {
    let mail = mailbox();
    mail.message("new/2.b", "B: 2\n\nb\n").message("cur/1.a:2,S", "A: 1\n\n.a\n\n..\nlast");
    mail.message("cur/3.c", "");
    mail
}

#[test]
fn messages_are_listed_by_age() {
    let mail = three();
    let expected = "+OK 3 25\n+OK \n1 17\n2 8\n3 0\n.\n+OK 2 8\n+OK \n1 1.a\n2 2.b\n3 3.c\n.\n\
        +OK 1 1.a\n+OK \n";
    let said = replies(&mail, "stat\nLIST\nlist 2\nUIDL\nuidl 1x\nNOOP ignored\n");
    assert_eq!(said, expected);
}

#[test]
fn a_message_is_sent_with_dots_doubled() {
    if tests::original() {
        return; // The originals put an empty line at the end.
    }
    let mail = three();
    let first = "+OK \nA: 1\n\n..a\n\n...\nlast\n.\n";
    assert_eq!(replies(&mail, "RETR 1\ntop 1\n"), first.repeat(2));
    assert_eq!(replies(&mail, "RETR 3\nTOP 3 7\n"), "+OK \n.\n".repeat(2));
    let some = ["+OK \nA: 1\n\n.\n", "+OK \nA: 1\n\n..a\n.\n", "+OK \nA: 1\n\n..a\n\n.\n", first];
    // RETR with a second number is TOP, as ever
    assert_eq!(
        replies(&mail, "TOP 1 0\nTOP 1  1\nretr 1 2\ntop 1 99999999999999999999\n"),
        some.concat()
    );
}

#[test]
fn quit_removes_and_moves_and_nothing_else_does() {
    let mail = three();
    let before = mail.files();
    let commands = "DELE 2\nDELE 1\nLAST\nSTAT\nLIST\nRETR 1\nDELE 1\nUIDL 2\n";
    let no = "-ERR already deleted\n";
    let expected = format!("+OK \n+OK \n+OK 2\n+OK 3 0\n+OK \n3 0\n.\n{no}{no}{no}");
    assert_eq!(replies(&mail, commands), expected);
    assert_eq!(mail.files(), before);
    let said = replies(&mail, "DELE 1\nRSET\nLAST\nSTAT\nDELE 3\nQUIT\nSTAT\n");
    assert_eq!(said, "+OK \n+OK \n+OK 0\n+OK 3 25\n+OK \n+OK \n");
    assert_eq!(mail.files(), ["cur/1.a:2,S", "cur/2.b:2,"]);
    assert_eq!(replies(&mail, "UIDL\n"), "+OK \n1 1.a\n2 2.b\n.\n");
}

#[test]
fn what_is_wrong_is_said() {
    let mail = three();
    for (command, why) in [
        ("RETR", "syntax error"),
        ("DELE x", "syntax error"),
        ("LIST -1", "syntax error"),
        ("TOP 0 1", "messages are counted from 1"),
        ("UIDL 4", "not that many messages"),
        ("RETR 99999999999999999999999", "not that many messages"),
        ("USER joe", "unimplemented"),
        ("", "unimplemented"),
        ("STATUS", "unimplemented"),
    ] {
        let said = replies(&mail, &format!("{command}\n"));
        assert_eq!((command, said), (command, format!("-ERR {why}\n")));
    }
    let long = replies(&mail, &format!("{}\nNOOP\n", "x".repeat(100_000)));
    assert_eq!(long, "-ERR command line too long\n+OK \n");
}

#[test]
fn capabilities_are_told() {
    if tests::original() {
        return; // CAPA is ours.
    }
    let said = replies(&mailbox(), "CAPA\n");
    assert_eq!(said, "+OK \nTOP\nUSER\nUIDL\nPIPELINING\nIMPLEMENTATION catena\n.\n");
}

#[test]
fn lines_may_end_in_lf_and_an_end_is_no_quit() {
    let mail = three();
    let before = mail.files();
    let said = ran(&fed(&mut mail.pop3d(), "STAT\nDELE 1\nQUIT"));
    assert_eq!(said, (Some(0), "+OK \r\n+OK 3 25\r\n+OK \r\n".into(), String::new()));
    assert_eq!(mail.files(), before);
}

#[test]
fn a_missing_maildir_is_an_answer() {
    let mail = mailbox();
    let no = "-ERR this user has no $HOME/Maildir\r\n";
    let mut lost = mail.pop3d();
    lost.current_dir("/");
    assert_eq!(ran(&fed(&mut lost, "")), (Some(0), no.into(), String::new()));
    let mut none = program("qmail-pop3d");
    if root() {
        tests::as_user(65534, 65534, &mut none);
    }
    assert_eq!(ran(&fed(&mut none, "")), (Some(0), no.into(), String::new()));
    std::fs::remove_dir(mail.place.join("Maildir/cur")).unwrap();
    assert_eq!(answers(&mail, ""), "-ERR unable to scan $HOME/Maildir\n");
}

#[test]
fn root_has_no_mail() {
    if !root() {
        return skip("needs root");
    }
    let mail = three();
    let mut command = program("qmail-pop3d");
    command.arg("Maildir").current_dir(mail.place.path());
    let said = "qmail-pop3d invoked as uid 0, terminating\n";
    assert_eq!(ran(&fed(&mut command, "STAT\r\n")), (Some(1), String::new(), said.into()));
}

#[test]
fn messages_of_now_and_files_that_are_none_are_left_out() {
    let mail = mailbox();
    mail.message("new/1.a", "x").message("new/.2.b", "x").message("new/3.c", "x");
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    mail.set_time("Maildir/new/3.c", (now + Duration::from_secs(3600)).as_secs());
    mail.place.dir("Maildir/cur/4.d").fifo("Maildir/cur/5.e");
    std::os::unix::fs::symlink("nowhere", mail.place.join("Maildir/cur/6.f")).unwrap();
    std::os::unix::fs::symlink("../new/1.a", mail.place.join("Maildir/cur/7.g")).unwrap();
    mail.give();
    assert_eq!(replies(&mail, "UIDL\n"), "+OK \n1 1.a\n2 7.g\n.\n");
    mail.age();
    assert_eq!(replies(&mail, "STAT\n"), "+OK 3 3\n");
}

#[test]
fn the_order_within_a_second_is_that_of_names() {
    if tests::original() {
        return; // The originals have none.
    }
    let mail = mailbox();
    let names = ["cur/5.a:2,", "new/5.b", "cur/5.c:2,FS", "new/5.d"];
    for name in names.iter().rev() {
        mail.message(name, "x");
    }
    let listed = "+OK \n1 5.a\n2 5.b\n3 5.c\n4 5.d\n.\n";
    assert_eq!(replies(&mail, "UIDL\nQUIT\n"), format!("{listed}+OK \n"));
    assert_eq!(replies(&mail, "UIDL\n"), listed);
}

#[test]
fn odd_names_do_not_break_the_protocol() {
    if tests::original() {
        return; // The originals show them as they are.
    }
    let mail = mailbox();
    mail.message("new/1.a b\nc\u{7f}", "x").message("new/2.\u{e4}%", "x");
    mail.message("cur/3.c:1,x:y", "x");
    let expected = "+OK \n1 1.a%20b%0Ac%7F\n2 2.%C3%A4%\n3 3.c\n.\n";
    assert_eq!(replies(&mail, "UIDL\n"), expected);
}

#[test]
fn another_reader_may_change_names_meanwhile() {
    if tests::original() {
        return; // The originals do not find it again.
    }
    let mail = three();
    let mut session = start(&mut mail.pop3d());
    session.wait_out("+OK \r\n");
    let path = |name: &str| mail.place.join("Maildir").join(name);
    std::fs::rename(path("new/2.b"), path("cur/2.b:2,S")).unwrap();
    std::fs::rename(path("cur/1.a:2,S"), path("cur/1.a:2,FS")).unwrap();
    std::fs::remove_file(path("cur/3.c")).unwrap();
    session.write("RETR 2\r\nRETR 3\r\nDELE 1\r\nDELE 3\r\nQUIT\r\n");
    let output = session.finish(LIMIT);
    let no = "-ERR unable to open that message\n";
    let expected = format!("+OK \n+OK \nB: 2\n\nb\n.\n{no}+OK \n+OK \n+OK \n");
    assert_eq!(ran(&output).1.replace("\r\n", "\n"), expected);
    assert_eq!(mail.files(), ["cur/2.b:2,S"]);
}

#[test]
fn what_cannot_be_removed_is_told() {
    if tests::original() {
        return; // The originals say +OK too.
    }
    if root() {
        // the owner may not write his own folder
        let mail = three();
        mail.place.chmod("Maildir/cur", 0o500);
        let said = replies(&mail, "DELE 1\nDELE 2\nQUIT\n");
        assert_eq!(said, "+OK \n+OK \n-ERR unable to unlink all deleted messages\n");
        assert_eq!(mail.files(), ["cur/1.a:2,S", "cur/3.c"]);
    }
}

#[test]
fn deliveries_that_died_are_swept_away() {
    let mail = mailbox();
    mail.message("tmp/1.old", "x").message("tmp/.2.old", "x").message("tmp/3.young", "x");
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    mail.set_time("Maildir/tmp/1.old", now - 130_000);
    mail.set_time("Maildir/tmp/3.young", now - 129_000);
    assert_eq!(replies(&mail, "STAT\n"), "+OK 0 0\n");
    assert_eq!(mail.files(), ["tmp/.2.old", "tmp/3.young"]);
}

#[test]
fn death_at_any_call_of_a_session_loses_nothing_that_was_kept() {
    if tests::original() {
        return; // Traced from its first call: that is one of in-home.sh.
    }
    // a killed session that deletes 2 must leave 1 and 3, whole
    let commands = "RETR 1\r\nDELE 2\r\nQUIT\r\n";
    for kind in ["/^(rename|unlink)", "write", "read"] {
        for number in 1..=6 {
            let mail = three();
            let Some(mut command) = killed(kind, number, &mail.pop3d()) else { return };
            if root() {
                tests::as_user(65534, 65534, &mut command);
            }
            let _ = fed(command.current_dir(mail.place.path()), commands);
            let mut kept = mail.files();
            kept.retain(|name| !name.contains("2.b"));
            assert_eq!(
                (kind, number, kept),
                (kind, number, vec!["cur/1.a:2,S".into(), "cur/3.c".into()])
            );
            assert_eq!(mail.place.text("Maildir/cur/1.a:2,S"), "A: 1\n\n.a\n\n..\nlast");
        }
    }
}

#[test]
fn any_commands_are_answered_and_lose_nothing_without_quit() {
    if tests::original() {
        return; // Our limits.
    }
    let mail = three();
    let before = mail.files();
    let mut random = Random::new(23);
    let good = b"STAT\r\nLIST 1\r\nTOP 1 2\r\nDELE 2\r\nRSET\r\nUIDL\r\nRETR 3\r\n";
    for case in 0..150 {
        let bad = random.damaged(good);
        let output = fed(&mut mail.pop3d(), &bad);
        assert_eq!((case, output.status.code()), (case, Some(0)), "{}", shown(&bad));
        let text = shown(&output.stdout);
        let answered = text.matches("+OK").count() + text.matches("-ERR").count();
        let asked = bad.iter().filter(|byte| **byte == b'\n').count();
        assert_eq!((case, answered), (case, asked + 1), "{}", shown(&bad));
        assert_eq!(mail.files(), before);
    }
}

#[test]
fn closed_and_full_descriptors_end_it() {
    if tests::original() {
        return; // The originals go on.
    }
    let mail = three();
    let before = mail.files();
    for redirections in ["<&-", ">&-", ">/dev/full", "2>&-"] {
        let mut command = redirected(redirections, &mail.pop3d());
        if root() {
            tests::as_user(65534, 65534, &mut command);
        }
        let code = fed(&mut command, "DELE 1\r\n").status.code();
        assert_eq!((redirections, code), (redirections, Some(0)));
        assert_eq!(mail.files(), before);
    }
}

#[test]
fn ten_thousand_messages_are_served_in_order() {
    let mail = mailbox();
    let text = "Subject: x\n\n".to_owned() + &"line\n".repeat(20);
    for number in 0..10_000 {
        let folder = ["new", "cur"][number % 2];
        mail.place.write(format!("Maildir/{folder}/{}.x", 10_000 + number), &text);
    }
    mail.age();
    mail.give();
    let commands: String = (1..=10_000).map(|number| format!("RETR {number}\n")).collect();
    let said = replies(&mail, &format!("STAT\nUIDL\n{commands}"));
    let sent = format!("+OK \n{text}.\n");
    let names: String = (0..10_000).map(|n| format!("{} {}.x\n", n + 1, 10_000 + n)).collect();
    let expected = format!("+OK 10000 {}\n+OK \n{names}.\n", 10_000 * text.len());
    assert!(said == expected + &sent.repeat(10_000));
}
