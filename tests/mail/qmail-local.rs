//! qmail-local: deliver or forward a message as its recipient's .qmail file says.

use crate::home::{Home, MESSAGE, done, home, refused, undated};
use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;
use tests::{Random, as_user, program, ran, redirected, root, shown, skip};

#[test]
fn eight_words_and_an_absolute_home_are_needed() {
    let usage = "qmail-local: usage: qmail-local [ -nN ] user homedir local dash ext domain sender \
                 aliasempty";
    let run = |words: &[&str]| ran(&program("qmail-local").args(words).output().unwrap());
    for words in [
        &["u", "/", "l", "", "", "h", "s"][..],
        &["u", "/", "l", "", "", "h", "s", "d", "more"],
        &["u", "home", "l", "", "", "h", "s", "d"],
        &["u", "", "l", "", "", "h", "s", "d"],
        &[],
    ] {
        assert_eq!(run(words), refused(100, usage));
    }
    let illegal = format!("qmail-local: illegal option -- x\n{usage}");
    assert_eq!(run(&["-x"]), refused(100, &illegal));
}

#[test]
fn a_home_that_is_away_or_unsafe_defers() {
    let home = home();
    home.file(".qmail", "./Mailbox\n");
    let run = || ran(&home.run(home.command("", "")));
    home.place.chmod("home", 0o757);
    assert_eq!(run(), refused(111, "Uh-oh: home directory is writable. (#4.7.0)"));
    home.place.chmod("home", 0o1755);
    let sticky = "Home directory is sticky: user is editing his .qmail file. (#4.2.1)";
    assert_eq!(run(), refused(111, sticky));
    let warned = "Warning: home directory is sticky.\n".to_owned();
    assert_eq!(
        ran(&home.run(home.dry("", ""))),
        (Some(0), "mbox ./Mailbox\ndid 1+0+0\n".into(), warned)
    );
    home.place.chmod("home", 0o775);
    assert_eq!(run(), done("did 1+0+0\n"));
    fs::rename(home.place.join("home"), home.place.join("away")).unwrap();
    let path = home.place.join("home");
    let away = format!("Unable to switch to {}: file does not exist. (#4.3.0)", path.display());
    assert_eq!(run(), refused(111, &away));
}

#[test]
fn a_message_that_was_here_before_is_refused() {
    let home = home();
    let looping = "This message is looping: it already has my Delivered-To line. (#5.4.6)";
    let deliver = |message: &str| {
        home.place.write("message", message);
        home.deliver("#\n")
    };
    let long = "x".repeat(200_000);
    for message in [
        "Delivered-To: joe@a.b.example\n".to_owned(),
        "A: b\nDelivered-To: joe@a.b.example\n\n".to_owned(),
        format!("A: {long}\n {long}\nDelivered-To: joe@a.b.example\n"),
    ] {
        assert_eq!(deliver(&message), refused(100, looping));
    }
    for message in [
        "\nDelivered-To: joe@a.b.example\n",
        "Delivered-To: joe@a.b.example",
        "Delivered-To: joe@a.b.example \n",
        "Delivered-To:  joe@a.b.example\n",
        "delivered-to: joe@a.b.example\n",
        "Delivered-To: Joe@a.b.example\n",
        " Delivered-To: joe@a.b.example\n",
        "X-Delivered-To: joe@a.b.example\n",
        "",
    ] {
        assert_eq!(deliver(message), done("did 0+0+0\n"), "{message}");
    }
    home.place.write("message", "Delivered-To: joe@a.b.example\n");
    assert_eq!(ran(&home.run(home.dry("", ""))), done("did 0+0+0\n"));
}

#[test]
fn the_message_must_be_a_file() {
    let home = home();
    home.file(".qmail", "#\n");
    let o = tests::fed(&mut home.command("", ""), MESSAGE);
    assert_eq!(ran(&o), refused(111, "Unable to rewind message. (#4.3.0)"));
    let o = redirected("<&-", &home.command("", "")).output().unwrap();
    assert_eq!(ran(&o), refused(111, "Unable to rewind message. (#4.3.0)"));
    let o = redirected("<&-", &home.dry("", "")).output().unwrap();
    assert_eq!(ran(&o), done("did 0+0+0\n"));
}

/// What -n says for an address when each file forwards to its own name.
fn answering(home: &Home, dash: &str, ext: &str) -> String {
    let (code, out, err) = ran(&home.run(home.dry(dash, ext)));
    match code {
        Some(0) => out.split_once('\n').unwrap().0.replace("forward ", ""),
        _ => err.trim_end().into(),
    }
}

#[test]
fn the_file_of_the_longest_name_answers() {
    let home = home();
    let none = "Sorry, no mailbox here by that name. (#5.1.1)";
    assert_eq!(answering(&home, "-", "a"), none);
    assert_eq!(answering(&home, "-", ""), none);
    assert_eq!(answering(&home, "", ""), "mbox ./Mailbox");
    for name in ["a-b-default", "a-default", "default", "a-b", "x:y", "A", "sub/box"] {
        home.file(&format!(".qmail-{name}"), format!("{name}\n"));
    }
    let cases = [
        ("a-b", "a-b"),
        ("A-B", "a-b"),
        ("a-b-c", "a-b-default"),
        ("a-c-d", "a-default"),
        ("a-", "a-default"),
        ("a", "default"),
        ("", "default"),
        ("x.y", "x:y"),
        ("X.Y", "x:y"),
        ("x.z", "default"),
        ("sub/box", "sub/box"),
        ("sub/none", "default"),
    ];
    let seen = cases.map(|(ext, _)| answering(&home, "-", ext));
    assert_eq!(seen, cases.map(|(_, name)| name));
    // nothing but DASH keeps a user's own extensions apart
    home.place.dir("home/.qmail-");
    home.file(".qmail-/default", "below\n").file(".qmaildefault", "plain default\n");
    assert_eq!(answering(&home, "-/", "any"), "below");
    assert_eq!(answering(&home, "", ""), "plain default");
    home.file(".qmail", "plain\n");
    assert_eq!(answering(&home, "", ""), "plain");
    assert_eq!(answering(&home, "", "ext"), "plain default");
}

#[test]
fn what_is_no_file_is_passed_over() {
    let home = home();
    home.file(".qmail-default", "default\n");
    home.place.dir("home/.qmail-folder").fifo("home/.qmail-fifo");
    symlink("loop", home.place.join("home/loop")).unwrap();
    symlink("loop", home.place.join("home/.qmail-loop")).unwrap();
    symlink("nowhere", home.place.join("home/.qmail-dangling")).unwrap();
    symlink(".qmail-default", home.place.join("home/.qmail-link")).unwrap();
    let long = "x".repeat(900);
    for ext in ["folder", "fifo", "loop", "dangling", "link", "folder/x/y", &long, "../../etc"] {
        assert_eq!(answering(&home, "-", ext), "default", "{ext}");
    }
}

#[test]
fn a_file_that_others_may_write_defers() {
    let home = home();
    home.file(".qmail", "./Mailbox\n");
    home.place.chmod("home/.qmail", 0o646);
    let run = || ran(&home.run(home.command("", "")));
    assert_eq!(run(), refused(111, "Uh-oh: .qmail file is writable. (#4.7.0)"));
    home.place.chmod("home/.qmail", 0o664);
    assert_eq!(run(), done("did 1+0+0\n"));
}

#[test]
fn a_file_that_cannot_be_opened_defers() {
    if !root() {
        return skip("needs root to be somebody else");
    }
    let home = home();
    home.file(".qmail-secret", "./Mailbox\n").file(".qmail-default", "./Mailbox\n");
    home.place.chmod("home/.qmail-secret", 0o600).chmod("message", 0o644);
    let mut command = home.command("-", "secret");
    as_user(65534, 65534, &mut command);
    let why = "Unable to open .qmail-secret: access denied. (#4.3.0)";
    assert_eq!(ran(&home.run(command)), refused(111, why));
}

#[test]
fn without_instructions_the_default_delivery_counts() {
    let mut home = home();
    assert_eq!(answering(&home, "", ""), "mbox ./Mailbox");
    home.file(".qmail", "");
    assert_eq!(answering(&home, "", ""), "mbox ./Mailbox");
    home.place.chmod("home/.qmail", 0o755);
    assert_eq!(answering(&home, "", ""), "mbox ./Mailbox");
    home.file(".qmail-ext", "");
    assert_eq!(answering(&home, "-", "ext"), "mbox ./Mailbox");
    home.default_delivery = "#c\n./a/\n|b";
    let out = "maildir ./a/\nprogram b\ndid 1+0+1\n";
    assert_eq!(ran(&home.run(home.dry("", ""))), done(out));
    home.default_delivery = "";
    let blank = "Uh-oh: first line of .qmail file is blank. (#4.2.1)";
    assert_eq!(ran(&home.run(home.dry("", ""))), refused(111, blank));
    home.file(".qmail", "#\n");
    assert_eq!(ran(&home.run(home.dry("", ""))), done("did 0+0+0\n"));
}

#[test]
fn each_line_is_shown_without_being_followed() {
    let home = home();
    let long = "x".repeat(20_000);
    let lines = format!(
        "# comment\n./mbox \t\n/abs/maildir/\n|prog  arg \n&a@b\n&\n c d\nplain\n+other\n\n\t\n{long}\n./last"
    );
    home.file(".qmail", lines);
    let out = format!(
        "mbox ./mbox\nmaildir /abs/maildir/\nprogram prog  arg\nforward a@b\nforward \nforward  c d\n\
         forward plain\nforward {long}\nmbox ./last\ndid 3+5+1\n"
    );
    assert_eq!(ran(&home.run(home.dry("", ""))), done(&out));
    assert_eq!(home.place.names("home"), [".qmail"]);
    assert!(!home.place.exists("forwarded"));
}

#[test]
fn minus_capital_n_delivers_after_all() {
    let home = home();
    home.file(".qmail", "./Mailbox\n");
    let mut command = program("qmail-local");
    command.arg("-nN").args(home.command("", "").get_args());
    assert_eq!(ran(&home.run(command)), done("did 1+0+0\n"));
    assert!(home.exists("Mailbox"));
}

#[test]
fn what_would_be_done_must_be_heard_of() {
    if tests::original() {
        return; // The originals do not look.
    }
    let home = home();
    home.file(".qmail", "./Mailbox\n");
    let o = redirected(">/dev/full", &home.dry("", "")).output().unwrap();
    let why = "qmail-local: fatal: unable to write output: out of disk space";
    assert_eq!(ran(&o), refused(111, why));
    // what is done is done
    let o = redirected(">/dev/full <message", home.command("", "").current_dir(home.place.path()));
    assert_eq!(ran(&{ o }.output().unwrap()), done(""));
    assert!(home.exists("Mailbox"));
}

#[test]
fn a_blank_first_line_defers() {
    let home = home();
    let blank = "Uh-oh: first line of .qmail file is blank. (#4.2.1)";
    for start in ["\n./Mailbox\n", " \t \n./Mailbox\n", "\n", " "] {
        assert_eq!(home.deliver(start), refused(111, blank));
    }
    assert!(!home.exists("Mailbox"));
    assert_eq!(home.deliver("#\n\n \n./Mailbox\n"), done("did 1+0+0\n"));
}

#[test]
fn a_list_does_nothing_but_forward() {
    let home = home();
    let program = "Uh-oh: .qmail has prog delivery but has x bit set. (#4.7.0)";
    let file = "Uh-oh: .qmail has file delivery but has x bit set. (#4.7.0)";
    let with_bit = |text: &str| {
        home.file(".qmail", text);
        home.place.chmod("home/.qmail", 0o744);
        ran(&home.run(home.command("", "")))
    };
    assert_eq!(with_bit("a@b\n|true\n"), refused(111, program));
    assert_eq!(with_bit("a@b\n./Mailbox\n"), refused(111, file));
    assert_eq!(with_bit("a@b\n./Maildir/\n"), refused(111, file));
    assert!(!home.place.exists("forwarded"));
    home.place.chmod("home/.qmail", 0o655);
    assert_eq!(home.deliver("./one\n+list\n./two\n"), refused(111, file));
    assert_eq!(home.deliver("+list \n|true\n"), refused(111, program));
    assert_eq!(home.deliver("+lists\n+list x\n+\n./three\n"), done("did 1+0+0\n"));
    // lines before the one that is refused have been followed
    assert_eq!(home.place.names("home"), [".qmail", "one", "three"]);
}

#[test]
fn a_programs_exit_code_is_what_becomes_of_the_message() {
    let home = home();
    home.file(".qmail", "|exit $DEFAULT_CODE\n");
    let code = |code: u32| {
        let mut command = home.command("", "");
        command.env("DEFAULT_CODE", code.to_string());
        home.run(command).status.code().unwrap()
    };
    let expected = |code: u32| match code {
        0 | 99 => 0,
        100 | 64 | 65 | 70 | 76 | 77 | 78 | 112 => 100,
        _ => 111,
    };
    let wrong: Vec<u32> = (0..256).filter(|number| code(*number) != expected(*number)).collect();
    assert_eq!(wrong, [0; 0]);
}

#[test]
fn a_program_that_crashes_defers() {
    let home = home();
    let crashed = "Aack, child crashed. (#4.3.0)";
    assert_eq!(home.deliver("|kill -9 $$\n./Mailbox\n"), refused(111, crashed));
    assert!(!home.exists("Mailbox"));
}

#[test]
fn a_command_that_is_too_long_defers() {
    if tests::original() {
        return; // Our limit.
    }
    let home = home();
    let long = "x".repeat(200_000);
    let why = "Unable to run /bin/sh: argument list too long. (#4.3.0)";
    assert_eq!(home.deliver(&format!("|{long}\n")), refused(111, why));
}

#[test]
fn a_program_reads_the_message_and_is_heard() {
    let home = home();
    let path = home.place.join("home");
    let lines = "|read first; echo \"$first\"\n|cat\n|echo >&2 oops; pwd; umask\n";
    let out = format!("Subject: hello\n{MESSAGE}{}\n0077\ndid 0+0+3\n", path.display());
    assert_eq!(home.deliver(lines), (Some(0), out, "oops\n".into()));
    // whatever our own caller ignored, a pipe that breaks ends its writer
    home.file(".qmail", "|sh -c 'kill -PIPE $$; echo alive'\n");
    let mut command = home.command("", "");
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "trap '' PIPE; exec \"$0\" \"$@\""]);
    shell.arg(command.get_program()).args(command.get_args());
    command = shell;
    assert_eq!(home.run(command).status.code(), Some(111));
}

#[test]
fn after_99_no_more_lines_count_but_addresses_before_do() {
    let home = home();
    let (code, out, err) = home.deliver("a@b\n|exit 99\n./Mailbox\nc@d\n");
    assert_eq!((code, err), (Some(0), String::new()));
    assert!(out.starts_with("did 0+1+1\nqp ") && !home.exists("Mailbox"), "{out}");
    assert_eq!(home.place.text("envelope"), "Fme@far.example|Ta@b||");
}

#[test]
fn addresses_are_served_last_and_all_at_once() {
    let home = home();
    let (code, out, err) = home.deliver("&a@b\n./Mailbox\nc d\n&a@b\n&\n");
    assert_eq!((code, err), (Some(0), String::new()));
    let number = out.strip_prefix("did 1+4+0\nqp ").unwrap().trim_end();
    assert!(number.parse::<u32>().is_ok(), "{out}");
    assert_eq!(home.place.text("envelope"), "Fme@far.example|Ta@b|Tc d|Ta@b|T||");
    assert_eq!(home.place.text("forwarded"), format!("Delivered-To: joe@a.b.example\n{MESSAGE}"));
}

#[test]
fn the_queue_program_is_told_what_programs_are_told() {
    let home = home();
    home.place.script("queue", "cat >/dev/null; cat <&1 >/dev/null; echo $USER $RECIPIENT >told\n");
    let (code, _, err) = home.deliver("a@b\n");
    assert_eq!((code, err), (Some(0), String::new()));
    assert_eq!(home.place.text("told"), "joe joe@a.b.example\n");
}

#[test]
fn nothing_is_forwarded_if_a_line_failed() {
    let home = home();
    assert_eq!(home.deliver("a@b\n|exit 100\n"), (Some(100), String::new(), String::new()));
    assert_eq!(home.deliver("a@b\n|exit 1\n"), (Some(111), String::new(), String::new()));
    assert!(!home.place.exists("envelope"));
}

#[test]
fn a_refusal_of_the_queue_is_passed_on() {
    let home = home();
    let deliver = |script: &str| {
        home.place.script("queue", script);
        home.deliver("a@b\n")
    };
    let all = "cat >/dev/null; cat <&1 >/dev/null; ";
    let cases = [
        ("exit 11", 100, "envelope address too long for qq (#5.1.3)"),
        ("exit 31", 100, "mail server permanently rejected message (#5.3.0)"),
        ("exit 53", 111, "qq write error or disk full (#4.3.0)"),
        ("kill -9 $$", 111, "qq crashed (#4.3.0)"),
        ("echo 'Dno thanks (#5.7.1)' | tr -d '\\n' >&6; exit 82", 100, "no thanks (#5.7.1)"),
    ];
    for (end, code, text) in cases {
        let why = format!("Unable to forward message: {text}.");
        assert_eq!(deliver(&format!("{all}{end}")), refused(code, &why));
    }
    fs::remove_file(home.place.join("queue")).unwrap();
    let why = "Unable to forward message: unable to exec qq (#4.3.0).";
    assert_eq!(home.deliver("a@b\n"), refused(111, why));
}

#[test]
fn an_owner_gets_the_bounces_of_what_is_forwarded() {
    let mut home = home();
    home.file(".qmail-default", "|echo $NEWSENDER\n").file(".qmail-l", "x@y\n");
    let new_sender = |home: &Home, ext: &str| {
        let (code, out, err) = ran(&home.run(home.command("-", ext)));
        assert_eq!((code, err), (Some(0), String::new()));
        out.lines().next().unwrap().to_owned()
    };
    assert_eq!(new_sender(&home, "list"), "me@far.example");
    home.file(".qmail-list-owner", "x\n");
    assert_eq!(new_sender(&home, "List"), "joe-List-owner@a.b.example");
    home.place.dir("home/.qmail-list-owner-default");
    assert_eq!(new_sender(&home, "list"), "joe-list-owner-@a.b.example-@[]");
    assert_eq!(new_sender(&home, "list-other"), "me@far.example");
    home.file(".qmail-l-owner", "x\n");
    assert!(new_sender(&home, "l").starts_with("did 0+1+0"));
    assert_eq!(home.place.text("envelope"), "Fjoe-l-owner@a.b.example|Tx@y||");
    for sender in ["", "#@[]"] {
        home.sender = sender;
        assert_eq!(new_sender(&home, "list"), sender);
    }
}

#[test]
fn programs_are_told_who_where_and_what() {
    let home = home();
    let names = "SENDER NEWSENDER RECIPIENT USER HOME HOST HOST2 HOST3 HOST4 LOCAL EXT EXT2 EXT3 \
                 EXT4 DTLINE RPLINE UFLINE DEFAULT";
    let script =
        "for name in $NAMES; do eval \"value=\\${$name-unset}\"; echo \"$name=$value.\"; done";
    home.file(".qmail-a-default", format!("|{script}\n"));
    let mut command = home.command("-", "a-B.c-D-e");
    command.env("NAMES", names).env("EXT4", "inherited");
    let (code, out, err) = ran(&home.run(command));
    assert_eq!((code, err), (Some(0), String::new()));
    let expected = format!(
        "SENDER=me@far.example.\nNEWSENDER=me@far.example.\n\
         RECIPIENT=joe-a-B.c-D-e@a.b.example.\nUSER=joe.\nHOME={}.\nHOST=a.b.example.\n\
         HOST2=a.b.\nHOST3=a.\nHOST4=a.\nLOCAL=joe-a-B.c-D-e.\nEXT=a-B.c-D-e.\nEXT2=B.c-D-e.\n\
         EXT3=D-e.\nEXT4=e.\nDTLINE=Delivered-To: joe-a-B.c-D-e@a.b.example\n.\n\
         RPLINE=Return-Path: <me@far.example>\n.\nUFLINE=From me@far.example DATE\n.\n\
         DEFAULT=B.c-D-e.\ndid 0+0+1\n",
        home.place.join("home").display()
    );
    let out = out.replace("UFLINE=From me@far", "UFLINE=\nFrom me@far");
    assert_eq!(undated(&out).replace("UFLINE=\n", "UFLINE="), expected);
}

#[test]
fn default_is_what_a_default_file_stands_for() {
    let home = home();
    home.file(".qmail-a-default", "|echo \"${DEFAULT-unset}\"\n");
    home.file(".qmail-default", "|echo \"${DEFAULT-unset}\"\n");
    home.file(".qmail-x", "|echo \"${DEFAULT-unset}\"\n");
    let said =
        |ext: &str| ran(&home.run(home.command("-", ext))).1.lines().next().unwrap().to_owned();
    let exts = ["a-B-c", "a-", "Other-x", "", "default", "a-Default", "x"];
    let expected = ["B-c", "", "Other-x", "", "default", "Default", "unset"];
    assert_eq!(exts.map(said), expected);
    let mut command = home.command("-", "x");
    command.env("DEFAULT", "inherited");
    assert_eq!(ran(&home.run(command)), done("inherited\ndid 0+0+1\n"));
}

#[test]
fn damaged_files_give_deliveries_or_refusals() {
    if tests::original() {
        return; // To the originals a NUL is none of a line's ends.
    }
    let home = home();
    home.maildir("Maildir");
    let good = b"# list\n./Maildir/\n|true\n&a@b.example\n+list\nc@d\n\n./mbox\n";
    let mut random = Random::new(7);
    // the parser alone is fed 10,000 of them, in mail::dot_qmail
    for case in 0..200 {
        let bad = random.damaged(good);
        home.file(".qmail", &bad);
        let o = home.run(home.dry("", ""));
        let (code, out, err) = ran(&o);
        let fine = match code {
            Some(0) => out.contains("did ") && err.is_empty(),
            Some(111) => err.starts_with("Uh-oh: "),
            _ => false,
        };
        assert!(fine, "case {case}: {} gave {code:?} {out} {err}", shown(&bad));
    }
}
