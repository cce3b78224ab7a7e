//! qmail-showctl: a sentence for every control file.

use crate::installation::installation;
use std::fs::{self, FileTimes};
use std::time::{Duration, SystemTime};
use tests::{fed, original, ran, shown, tree};

#[test]
fn defaults_and_settings_are_explained() {
    let installation = installation();
    installation.control("locals", "a.example\nb.example\n").control("databytes", "1000\n");
    installation.control("smtproutes", "").control("rcpthosts", "a.example").control("odd", "x");
    installation.control("morercpthosts", "c.example\n");
    let out = shown(&fed(&mut installation.program("qmail-showctl"), "").stdout);
    let (uid, gid) = installation.user();
    let home = installation.home().display();
    let start = format!(
        "qmail home directory: {home}.\nuser-ext delimiter: -.\npaternalism (in decimal): 2.\n\
         silent concurrency limit: 120.\nsubdirectory split: 23.\n\
         user ids: {uid}, {uid}, {uid}, 0, {uid}, {uid}, {uid}, {uid}.\ngroup ids: {gid}, {gid}.\n\n\
         badmailfrom: (Default.) Any MAIL FROM is allowed.\n\n"
    );
    assert!(out.starts_with(&start), "{out}");
    let sentences = [
        "\nbouncehost: (Default.) Bounce host name is a.example.\n",
        "\ndatabytes: SMTP DATA limit is 1000 bytes.\n",
        "\nlocals: \nMessages for a.example are delivered locally.\nMessages for b.example are delivered locally.\n",
        "\nme: My name is a.example.\n",
        "\nrcpthosts: \nSMTP clients may send messages to recipients at a.example.\n",
        "\nmorercpthosts: \nSMTP clients may send messages to recipients at c.example.\n",
        "\nmorercpthosts.cdb: Oops! morercpthosts exists but morercpthosts.cdb doesn't.\n",
        "\nsmtproutes: \n",
        "\nqueuelifetime: (Default.) Message lifetime in the queue is 604800 seconds.\n",
        "\nodd: I have no idea what this file does.\n",
    ];
    let missing: Vec<_> = sentences.iter().filter(|sentence| !out.contains(**sentence)).collect();
    assert!(missing.is_empty(), "{missing:?} in {out}");
}

#[test]
fn numbers_are_shown_as_they_count_and_odd_bytes_as_question_marks() {
    let home = installation();
    home.control("databytes", "10M\n").control("timeoutsmtpd", "soon\n").control("me", "a\x1b[\n");
    home.control("rcpthosts", "b.example\r\n").control("queuelifetime", "007\n");
    let out = shown(&fed(&mut home.program("qmail-showctl"), "").stdout);
    for sentence in [
        "\ndatabytes: SMTP DATA limit is 10 bytes.\n",
        "\ntimeoutsmtpd: (Default.) SMTP server data timeout is 1200 seconds.\n",
        "\nqueuelifetime: Message lifetime in the queue is 7 seconds.\n",
        "\nme: My name is a?[.\n",
        "\nidhost: (Default.) Message-ID host name is a?[.\n",
        "\nSMTP clients may send messages to recipients at b.example?.\n",
    ] {
        assert!(out.contains(sentence), "{sentence} in {out}");
    }
}

#[test]
fn a_missing_home_is_a_temporary_failure() {
    let installation = installation();
    let output = fed(installation.program("qmail-showctl").env("QMAILHOME", "/nonexistent"), "");
    let said = "qmail-showctl: fatal: unable to read control: file does not exist\n";
    assert_eq!(ran(&output), (Some(111), String::new(), said.into()));
}

#[test]
fn a_compiled_list_is_to_be_as_new_as_its_source() {
    let installation = installation();
    let said = |sentence: &str| {
        let out = shown(&fed(&mut installation.program("qmail-showctl"), "").stdout);
        assert!(out.contains(&format!("\nmorercpthosts.cdb: {sentence}\n")), "{out}");
    };
    said("(Default.) No effect.");
    installation.control("morercpthosts.cdb", "");
    said("Oops! morercpthosts.cdb exists but morercpthosts doesn't.");
    installation.control("morercpthosts", "c.example\n").control("morercpthosts.cdb", "");
    said("Modified recently enough; hopefully up to date.");
    let cdb = fs::File::open(installation.join("control/morercpthosts.cdb")).unwrap();
    let then = SystemTime::now() - Duration::from_secs(60);
    cdb.set_times(FileTimes::new().set_modified(then)).unwrap();
    said("Oops! morercpthosts.cdb is older than morercpthosts.");
}

#[test]
fn every_control_file_is_known() {
    if original() {
        return; // Some are ours.
    }
    let page = |name: &str| fs::read_to_string(tree().join("man").join(name)).unwrap();
    let (_, table) = page("qmail-control.5").split_once("\n.It Em file").map(own).unwrap();
    let (table, _) = table.split_once("\n.El").map(own).unwrap();
    let tls = page("qmail-smtpd.8");
    let names = table.lines().filter_map(|line| line.strip_prefix(".It ")?.split(' ').next());
    let pem = ["servercert.pem", "servercerts", "clientca.pem", "clientcrl.pem", "tlsticketkey"];
    assert!(pem.iter().all(|name| tls.contains(name)));
    let installation = installation();
    let all: Vec<&str> = names.chain(pem).collect();
    assert!(all.contains(&"me") && all.contains(&"virtualdomains"), "{all:?}");
    for name in &all {
        installation.control(name, "7\n");
    }
    let out = shown(&fed(&mut installation.program("qmail-showctl"), "").stdout);
    let unexplained: Vec<_> =
        all.iter().filter(|name| !out.contains(&format!("\n{name}: "))).collect();
    assert!(unexplained.is_empty() && !out.contains("no idea"), "{unexplained:?} {out}");
}

fn own((before, after): (&str, &str)) -> (String, String) {
    (before.into(), after.into())
}
