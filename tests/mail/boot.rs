//! The scripts in `boot`: what each starts qmail with.

use std::fs;
use std::process::Command;
use tests::{ran, scratch, tree};

/// The default delivery of each script, and of the one with `+df` behind `.forward`.
const DELIVERIES: [(&str, &str); 5] = [
    ("binm1", "|preline -f /usr/libexec/mail.local -r \"${SENDER:-MAILER-DAEMON}\" -d \"$USER\""),
    ("binm2", "|preline -f /bin/mail -r \"${SENDER:-MAILER-DAEMON}\" -d \"$USER\""),
    ("binm3", "|preline -f /bin/mail -f \"${SENDER:-MAILER-DAEMON}\" -d \"$USER\""),
    ("home", "./Mailbox"),
    ("proc", "|preline procmail"),
];

#[test]
fn each_script_has_its_default_delivery() {
    let folder = tree().join("tools/mail/boot");
    let entries = fs::read_dir(&folder).unwrap().map(Result::unwrap);
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    let both = |(name, _): (&str, &str)| [name.to_owned(), format!("{name}+df")];
    assert_eq!(names, DELIVERIES.map(both).concat());

    let place = scratch();
    place.script("home/bin/qmail-start", "printf '[%s]' \"$@\"; /usr/bin/env | sort\n");
    for name in names {
        let text = fs::read_to_string(folder.join(&name)).unwrap();
        place.script("rc", &text.replace("QMAILHOME", place.join("home").to_str().unwrap()));
        let mut rc = Command::new(place.join("rc"));
        let (code, out, err) = ran(&rc.env("NOISE", "x").output().unwrap());
        let (plain, start) = match name.strip_suffix("+df") {
            Some(plain) => (plain, "|dot-forward .forward\n"),
            None => (&*name, ""),
        };
        let (_, delivery) = DELIVERIES.iter().find(|(known, _)| *known == plain).unwrap();
        let words = format!("[{start}{delivery}][splogger][qmail]");
        assert!(out.starts_with(&words), "{name}: {out}");
        assert!(!out.contains("NOISE") && out.contains("/home/bin:"), "{name}: {out}");
        assert_eq!((code, &*err), (Some(0), ""));
    }
}
