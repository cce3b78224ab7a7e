//! qmail-inject: what happens to headers, recipients and envelope senders.

use crate::installation::{Installation, installation};
use std::process::Command;
use tests::{Random, fed, original, ran, shown, with_children_ignored};

/// An installation whose queue program writes down what it gets.
fn recording() -> Installation {
    let installation = installation();
    installation.control("defaultdomain", "dd.test\n").control("defaulthost", "dh.test\n");
    installation.control("plusdomain", "plus.test\n").control("idhost", "id.test\n");
    installation.script("qmail-queue", "cat >message || exit 53\ncat <&1 >envelope\n");
    installation
}

fn inject(installation: &Installation, arguments: &[&str]) -> Command {
    let mut command = installation.program("qmail-inject");
    command.args(arguments).env("USER", "me");
    command
}

/// The message with -n, without the fields that tell the time.
fn printed(input: &str, arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let installation = recording();
    let mut command = inject(&installation, arguments);
    command.arg("-n").envs(variables.iter().copied());
    let output = fed(&mut command, input);
    assert_eq!((output.status.code(), shown(&output.stderr)), (Some(0), String::new()));
    without_times(&shown(&output.stdout))
}

fn without_times(text: &str) -> String {
    let (header, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let kept = header.split_inclusive('\n').filter(|line| {
        let line = line.trim_start_matches("Resent-");
        !line.starts_with("Date: ") && !line.starts_with("Message-ID: ")
    });
    let body = if text.contains("\n\n") { format!("\n\n{body}") } else { String::new() };
    kept.collect::<String>() + &body
}

/// The queued message without times, and the envelope with `/` for NUL.
fn queued(installation: &Installation) -> (String, String) {
    let message = without_times(&installation.place().text("message"));
    (message, installation.place().text("envelope").replace('\0', "/"))
}

#[test]
fn hosts_are_completed_and_lists_get_their_commas() {
    let cases = [
        ("fred", "fred@dh.test"),
        ("fred@host", "fred@host.dd.test"),
        ("x@mac+", "x@mac.plus.test"),
        ("<@a,@b:joe@c.d>", "<joe@c.d>"),
        ("joe smith@a.b", "joe@dh.test, smith@a.b"),
        ("a@b.c.", "a@b.c"),
        ("friends: a@b.c, d;, e", "friends: a@b.c, d@dh.test;, e@dh.test"),
        ("nobody:;", "nobody: ;"),
        ("\"joe smith\"@a.b (hi (there))", "\"joe smith\"@a.b (hi \\(there\\))"),
        ("a@[1.2.3.4], x@[]", "a@[1.2.3.4], x@[]"),
        ("(unfinished", "(unfinished"),
    ];
    for (given, expected) in cases {
        let text = printed(&format!("To : {given}\n\n"), &[], &[]);
        let name = if given == expected && given.starts_with('(') { "To :" } else { "To:" };
        let rest = format!("From: me@dh.test\n{name} {expected}");
        assert_eq!(text, format!("Return-Path: <me@dh.test>\n{rest}\n\n"), "{given}");
    }
}

#[test]
fn recipients_come_from_the_command_line_or_the_header() {
    let installation = recording();
    let input = "To: t\nCc: c@c.test, d@d.test\nBcc: b\nApparently-To: p\n\nbody\n";
    let header = "Tt@dh.test/Td@d.test/Tc@c.test/Tb@dh.test/Tp@dh.test/";
    let cases: [(&[&str], &str); 6] = [
        (&[], header),
        (&["x y"], "Tx y@dh.test/"),
        (&["-a"], ""),
        (&["-h", "x"], header),
        (&["-H", "x"], &format!("Tx@dh.test/{header}")),
        (&["-A", "--", "-x", "<q@r.s>"], "T-x@dh.test/T<q@r.s>/"),
    ];
    for (arguments, recipients) in cases {
        let output = fed(&mut inject(&installation, arguments), input);
        assert_eq!(ran(&output), (Some(0), String::new(), String::new()));
        let message = "From: me@dh.test\nTo: t@dh.test\nCc: c@c.test, d@d.test\n\
                       Apparently-To: p@dh.test\n\nbody\n";
        let expected = (message.to_owned(), format!("Fme@dh.test/{recipients}/"));
        assert_eq!(queued(&installation), expected, "{arguments:?}");
    }
}

#[test]
fn a_resent_message_goes_to_its_resent_recipients_only() {
    let installation = recording();
    let input = "To: t\nResent-To: r\nResent-Bcc: b\n\n";
    assert!(fed(&mut inject(&installation, &[]), input).status.success());
    let message = "Resent-From: me@dh.test\nTo: t@dh.test\nResent-To: r@dh.test\n\n";
    assert_eq!(
        queued(&installation),
        (message.into(), "Fme@dh.test/Tr@dh.test/Tb@dh.test//".into())
    );
}

#[test]
fn the_envelope_sender_has_five_sources() {
    let verp = [("QMAILINJECT", "r")];
    let cases: [(&str, &[&str], &[(&str, &str)], &str); 8] = [
        ("", &[], &[], "me@dh.test"),
        ("", &["-fs@t.test"], &[], "s@t.test"),
        ("Return-Path: <p>, <q>\n", &[], &[], "q@dh.test"),
        ("Return-Path: <p>\n", &["-fs"], &[], "s@dh.test"),
        ("Return-Path: <p>\n", &[], &[("QMAILINJECT", "s")], "me@dh.test"),
        ("", &[], &[("QMAILSUSER", "u"), ("QMAILSHOST", "h.test")], "u@h.test"),
        ("", &[], &verp, "\"me-@dh.test-\"@[]"),
        ("Return-Path: <p@q.r>\n", &[], &verp, "\"p@q.r-\"@[]"),
    ];
    for (header, arguments, variables, sender) in cases {
        let text = printed(&format!("{header}To: t\n"), arguments, variables);
        let expected = format!("Return-Path: <{sender}>\nFrom: me@dh.test\nTo: t@dh.test\n");
        assert_eq!(text, expected, "{header}{arguments:?}{variables:?}");
    }
}

#[test]
fn a_message_may_have_an_envelope_sender_of_its_own() {
    let sender = |letters: &str, header: &str, arguments: &[&str]| {
        let text = printed(&format!("{header}To: t\n"), arguments, &[("QMAILINJECT", letters)]);
        let path = text.lines().next().unwrap().to_owned();
        let (start, rest) = path.split_once("me-").unwrap_or((&path, ""));
        let time = rest.find(['@', '-']).unwrap_or(0);
        let digits = rest[..time].split('.').all(|part| part.parse::<u64>().is_ok());
        assert!(time == 0 || digits && rest[..time].contains('.'), "{path}");
        format!(
            "{start}{}",
            if time > 0 { format!("me-TIME.PID{}", &rest[time..]) } else { "".into() }
        )
    };
    assert_eq!(sender("m", "", &[]), "Return-Path: <me-TIME.PID@dh.test>");
    assert_eq!(sender("rm", "", &[]), "Return-Path: <\"me-TIME.PID-@dh.test-\"@[]>");
    assert_eq!(sender("m", "Return-Path: <p@q.r>\n", &[]), "Return-Path: <p@q.r>");
    assert_eq!(sender("m", "", &["-fs@t.test"]), "Return-Path: <s@t.test>");
}

#[test]
fn the_author_is_made_of_variables() {
    let cases: [(&[(&str, &str)], &str); 6] = [
        (&[("QMAILUSER", "a b")], "\"a b\"@dh.test"),
        (&[("MAILHOST", "h")], "me@h.dd.test"),
        (&[("NAME", "A. B")], "\"A. B\" <me@dh.test>"),
        (&[("NAME", "A. B"), ("QMAILINJECT", "c")], "me@dh.test (A. B)"),
        (&[("NAME", "n"), ("MAILNAME", "m")], "\"m\" <me@dh.test>"),
        (&[("QMAILHOST", "x+")], "me@x.plus.test"),
    ];
    for (variables, from) in cases {
        let text = printed("To: t\n", &["-fs@t.test"], variables);
        assert_eq!(text, format!("Return-Path: <s@t.test>\nFrom: {from}\nTo: t@dh.test\n"));
    }
}

#[test]
fn a_header_ends_at_the_first_line_that_is_no_field() {
    let start = "Return-Path: <me@dh.test>\nFrom: me@dh.test\n";
    let hidden = "Cc: recipient list not shown: ;\n";
    let cases = [
        ("", hidden.to_owned()),
        ("To: t", "To: t@dh.test\n".into()),
        ("To: t\n\n", "To: t@dh.test\n\n".into()),
        ("To: t\nhello", "To: t@dh.test\n\nhello\n".into()),
        ("X: 1\n  2\nTo: t\n\na\0b\r\n", "X: 1\n  2\nTo: t@dh.test\n\na\0b\r\n".into()),
        ("From joe Sat\nTo: t\n\nx", "MBOX-Line: From joe Sat\nTo: t@dh.test\n\nx\n".into()),
        ("\nTo: t\n", format!("{hidden}\nTo: t\n")),
        (" To: t\n", format!("{hidden}\n To: t\n")),
        ("Content-Length: 5\nBcc: b\n\nx\n", format!("{hidden}\nx\n")),
    ];
    for (given, expected) in cases {
        assert_eq!(printed(given, &[], &[]), format!("{start}{expected}"), "{given:?}");
    }
}

#[test]
fn letters_delete_from_and_message_id() {
    let installation = recording();
    let mut command = inject(&installation, &["-n"]);
    command.env("QMAILINJECT", "fi");
    let output = fed(&mut command, "From: other\nMessage-ID: <old>\nTo: t\n");
    let text = shown(&output.stdout);
    assert!(
        text.contains("From: me@dh.test\n") && !text.contains("other") && !text.contains("old")
    );
    assert!(text.contains(".qmail@id.test>\n"), "{text}");
}

#[test]
fn mail_to_a_list_gets_a_followup_field() {
    let installation = recording();
    installation.write("lists", "# mine\nlist@a.test\n");
    let mut command = inject(&installation, &["-n"]);
    command.env("QMAILMFTFILE", installation.join("lists"));
    let text = without_times(&shown(&fed(&mut command, "To: LIST@a.test, x\nCc: y\n").stdout));
    let followup = "Mail-Followup-To: y@dh.test,\n  LIST@a.test,\n  x@dh.test\n";
    let expected = "To: LIST@a.test, x@dh.test\nCc: y@dh.test\n";
    let start = "Return-Path: <me@dh.test>\nFrom: me@dh.test\n";
    assert_eq!(text, format!("{start}{followup}{expected}"));
}

#[test]
fn trouble_is_one_line_and_the_right_code() {
    let installation = recording();
    let cases: [(&[&str], &str, i32, &str); 4] = [
        (&["-x"], "", 100, "illegal option -- x\n"),
        (&[], "From: (\n", 100, "fatal: unable to parse this line:\nqmail-inject: From: (\n"),
        (&[], "Sender: a;;\n", 100, "fatal: unable to parse this line:\n"),
        (&["-f"], "", 100, "option requires an argument -- f\n"),
    ];
    for (arguments, input, code, text) in cases {
        let (got, out, err) = ran(&fed(&mut inject(&installation, arguments), input));
        let first = text.lines().next().unwrap();
        assert_eq!((got, out.as_str()), (Some(code), ""));
        assert!(err.starts_with(&format!("qmail-inject: {first}\n")), "{err}");
    }
    for (exit, code, text) in [
        ("exit 31", 100, "mail server permanently rejected message (#5.3.0)"),
        ("exit 53", 111, "qq write error or disk full (#4.3.0)"),
        ("cat >/dev/null; printf 'Dno thanks' >&6; exit 82", 100, "no thanks"),
        ("kill -9 $$", 111, "qq crashed (#4.3.0)"),
    ] {
        installation.script("qmail-queue", exit);
        let output = fed(&mut inject(&installation, &["r"]), "\n");
        let said = format!("qmail-inject: fatal: {text}\n");
        assert_eq!(ran(&output), (Some(code), String::new(), said));
    }
    let mut missing = inject(&installation, &["r"]);
    missing.env("QMAILHOME", "/nonexistent");
    let said = "qmail-inject: fatal: internal bug\n".to_owned();
    assert_eq!(ran(&fed(&mut missing, "")), (Some(111), String::new(), said));
}

#[test]
fn a_caller_who_ignores_children_hears_the_truth_too() {
    if original() {
        return; // The originals call a message refused that is queued.
    }
    let installation = recording();
    for (end, code, said) in [
        ("exit 0", 0, ""),
        ("exit 53", 111, "qmail-inject: fatal: qq write error or disk full (#4.3.0)\n"),
    ] {
        installation.script("qmail-queue", &format!("cat >/dev/null; cat <&1 >/dev/null; {end}"));
        let mut command = with_children_ignored(&inject(&installation, &["a@b.example"]));
        let output = fed(installation.as_its_user(&mut command), "\n");
        assert_eq!(ran(&output), (Some(code), String::new(), said.into()));
    }
}

#[test]
fn the_real_queue_takes_it() {
    let installation = installation();
    let output = fed(&mut inject(&installation, &[]), "To: someone@b.example\n\nhello\n");
    assert_eq!(ran(&output), (Some(0), String::new(), String::new()));
    let number = installation.numbers("todo")[0];
    let envelope = installation.place().text(installation.file("todo", number));
    assert!(envelope.ends_with("Fme@a.example\0Tsomeone@b.example\0"), "{envelope}");
}

#[test]
fn any_bytes_are_a_message_or_refused() {
    if tests::original() {
        return; // Our limits.
    }
    let installation = recording();
    let mut random = Random::new(9);
    for _ in 0..60 {
        let words: [&[u8]; 12] = [
            b"To: ", b"From: ", b"\n", b"\n ", b"<", b">", b"@", b"(", b"\"", b"\xff\0", b"a", b";",
        ];
        let parts = (0..random.below(200)).map(|_| words[random.below(words.len())]);
        let input = parts.collect::<Vec<_>>().concat();
        let output = fed(&mut inject(&installation, &["-n"]), &input);
        assert!(matches!(output.status.code(), Some(0 | 100)), "{}", shown(&output.stderr));
    }
}
