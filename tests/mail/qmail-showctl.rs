//! qmail-showctl: a sentence for every control file.

use crate::installation::installation;
use tests::{fed, ran, shown};

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
fn a_missing_home_is_a_temporary_failure() {
    let installation = installation();
    let output = fed(installation.program("qmail-showctl").env("QMAILHOME", "/nonexistent"), "");
    let said = "qmail-showctl: fatal: unable to read control: file does not exist\n";
    assert_eq!(ran(&output), (Some(111), String::new(), said.into()));
}
