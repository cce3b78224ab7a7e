//! tcprulescheck: say what compiled rules do with a connection.

use crate::{CLASSIC, compile};
use base::cdb::Writer;
use std::path::Path;
use std::process::Command;
use tests::{Random, Scratch, original, program, ran, scratch, skip};

/// What it says of a file in the scratch folder, with these variables, `NAME=VALUE` each.
#[track_caller]
fn says(place: &Scratch, file: &str, variables: &[&str]) -> String {
    let mut command = program("tcprulescheck");
    command.arg(place.join(file));
    command.envs(variables.iter().map(|variable| variable.split_once('=').unwrap()));
    let (code, out, err) = ran(&command.output().unwrap());
    assert_eq!((code, &err[..]), (Some(0), ""));
    out
}

/// The first line.
fn rule(place: &Scratch, variables: &[&str]) -> String {
    says(place, "cdb", variables).lines().next().unwrap().into()
}

#[test]
fn the_rule_and_what_it_does_are_told() {
    let place = scratch();
    compile(&place, "cdb", CLASSIC);
    let relay = "set environment variable RELAYCLIENT=";
    let seen = [
        &["TCPREMOTEIP=127.0.0.1"][..],
        &["TCPREMOTEIP=10.1.2.40"],
        &["TCPREMOTEIP=10.3.0.1"],
        &["TCPREMOTEIP=127.0.0.1", "TCPREMOTEINFO=joe"],
        &["TCPREMOTEIP=4.4.4.4", "TCPREMOTEHOST=good.example.com"],
        &["TCPREMOTEIP=4.4.4.4", "TCPREMOTEHOST=bad.example.com"],
        &["TCPREMOTEHOST=elsewhere"],
        &[],
    ]
    .map(|variables| says(&place, "cdb", variables));
    let expected = [
        format!("rule 127.:\n{relay}\nallow connection\n"),
        format!(
            "rule 10.1.2.40:\n{relay}@fix.me\nset environment variable A=\"\nallow connection\n"
        ),
        "rule 10.3.:\ndeny connection\n".into(),
        "rule joe@127.0.0.1:\nset environment variable WHO=joe\nallow connection\n".into(),
        "rule =.example.com:\nallow connection\n".into(),
        "rule =bad.example.com:\ndeny connection\n".into(),
        "rule =:\nset environment variable NAMED=1\nallow connection\n".into(),
        "rule :\ndeny connection\n".into(),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn without_a_rule_everybody_is_allowed() {
    let place = scratch();
    for rules in ["", "1.2.3:deny\n"] {
        compile(&place, "cdb", rules);
        let allowed = "default:\nallow connection\n";
        assert_eq!(says(&place, "cdb", &["TCPREMOTEIP=1.2.3.4", "TCPREMOTEHOST=a.b"]), allowed);
    }
}

#[test]
fn the_first_key_of_the_order_decides_alone() {
    let order = [
        "me@86.75.30.9",
        "me@=one.two.three",
        "86.75.30.9",
        "=one.two.three",
        "86.75.30.",
        "86.75.",
        "86.",
        "=.two.three",
        "=.three",
        "=",
        "",
    ];
    let who = ["TCPREMOTEIP=86.75.30.9", "TCPREMOTEHOST=one.two.three", "TCPREMOTEINFO=me"];
    let place = scratch();
    for first in 0..order.len() {
        let rules: String =
            order[first..].iter().rev().map(|key| format!("{key}:allow\n")).collect();
        compile(&place, "cdb", format!("=.one.two.three:deny\n{rules}"));
        assert_eq!(rule(&place, &who), format!("rule {}:", order[first]));
    }
}

#[test]
fn a_variable_that_is_set_but_empty_counts() {
    let place = scratch();
    compile(&place, "cdb", "@:allow\n@1.2.3.4:deny\n=:deny\n:allow\n0.0.0.0:deny\n");
    let empty = ["TCPREMOTEIP=1.2.3.4", "TCPREMOTEINFO="];
    let seen = [
        &empty[..],
        &["TCPREMOTEINFO=", "TCPREMOTEIP="],
        &["TCPREMOTEIP="],
        &[],
        &["TCPREMOTEHOST=", "TCPREMOTEIP=1.1.1.1"],
    ]
    .map(|variables| rule(&place, variables));
    assert_eq!(seen, ["rule @1.2.3.4:", "rule @:", "rule :", "rule 0.0.0.0:", "rule =:"]);
}

#[test]
fn odd_data_is_read_item_by_item() {
    let place = scratch();
    let mut writer = Writer::create(&place.join("cdb")).unwrap();
    writer.add(b"1.1.1.1", b"X\0+A=b\0+odd\0Deny\0+C=d\0").unwrap();
    writer.add(b"2.2.2.2", b"+A=b\0\0D").unwrap();
    writer.finish().unwrap();
    let set = "set environment variable ";
    let seen = ["TCPREMOTEIP=1.1.1.1", "TCPREMOTEIP=2.2.2.2"].map(|ip| says(&place, "cdb", &[ip]));
    let expected = [
        format!("rule 1.1.1.1:\n{set}A=b\n{set}odd\ndeny connection\n"),
        format!("rule 2.2.2.2:\n{set}A=b\nallow connection\n"),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn a_missing_argument_is_wrong_usage() {
    let said = "tcprulescheck: usage: tcprulescheck rules.cdb\n";
    let o = program("tcprulescheck").output().unwrap();
    assert_eq!(ran(&o), (Some(100), String::new(), said.into()));
}

#[test]
fn a_file_that_is_missing_or_damaged_is_named() {
    let place = scratch();
    compile(&place, "cdb", CLASSIC);
    place.write("empty", "").write("zeros", [0; 4096]).write("short", &place.read("cdb")[..1000]);
    place.write("shorter", &place.read("cdb")[..2100]);
    // The original dies of a signal at a folder, calls an empty file an invalid argument, and
    // takes zeros, which a crash may leave, for a file without rules.
    let odd = [("empty", "protocol error"), ("zeros", "protocol error"), ("", "is a directory")];
    let files =
        [("short", "protocol error"), ("shorter", "protocol error"), ("no", "file does not exist")];
    for (file, why) in files.iter().chain(&odd[if original() { 3 } else { 0 }..]) {
        let file = place.join(file);
        let o = program("tcprulescheck").arg(&file).output().unwrap();
        let said = format!("tcprulescheck: fatal: unable to read {}: {why}\n", file.display());
        assert_eq!(ran(&o), (Some(111), String::new(), said));
    }
}

#[test]
fn a_file_that_may_not_be_read_is_named() {
    if !tests::root() {
        return skip("needs root");
    }
    let place = scratch();
    compile(&place, "cdb", CLASSIC);
    place.chmod("cdb", 0o600);
    let file = place.join("cdb");
    let mut command = program("tcprulescheck");
    // a copy that everybody may run
    place.copy(command.get_program(), "tcprulescheck");
    command = Command::new(place.join("tcprulescheck"));
    let o = tests::as_user(1234, 2345, command.arg(&file)).output().unwrap();
    let said = format!("tcprulescheck: fatal: unable to read {}: access denied\n", file.display());
    assert_eq!(ran(&o), (Some(111), String::new(), said));
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    // The original does not look.
    if original() {
        return;
    }
    let place = scratch();
    compile(&place, "cdb", CLASSIC);
    for redirection in [">/dev/full", ">&-"] {
        let mut command = program("tcprulescheck");
        let o = tests::redirected(redirection, command.arg(place.join("cdb"))).output().unwrap();
        assert_eq!((o.status.code(), o.stderr.is_empty()), (Some(111), false));
    }
}

#[test]
fn damaged_files_give_an_answer_or_one_line() {
    // The original may die of a signal.
    if original() {
        return;
    }
    let place = scratch();
    compile(&place, "cdb", "10.:allow,A=\"b\"\n1.2.3.4:deny\n:deny\n");
    let (good, mut random) = (place.read("cdb"), Random::new(5));
    for _ in 0..200 {
        place.write("bad", random.damaged(&good));
        let o =
            program("tcprulescheck").arg(place.join("bad")).env("TCPREMOTEIP", "10.1.1.1").output();
        let (code, out, err) = ran(&o.unwrap());
        let failed = code == Some(111) && out.is_empty() && err.lines().count() == 1;
        assert!(failed || (code == Some(0) && err.is_empty()), "{code:?} {out} {err}");
    }
}

#[test]
fn what_the_original_made_is_read() {
    let original_rules = Path::new("/usr/bin/tcprules");
    if !original_rules.exists() {
        return skip("needs the original");
    }
    let place = scratch();
    let mut tcprules = Command::new(original_rules);
    tcprules.args(["cdb", "tmp"]).current_dir(place.path());
    let o = tests::fed(&mut tcprules, CLASSIC);
    assert_eq!(o.status.code(), Some(0));
    assert_eq!(rule(&place, &["TCPREMOTEIP=10.1.2.53"]), "rule 10.1.2.53:");
}

// What follows is new.

#[test]
fn words_replace_the_variables() {
    if original() {
        return;
    }
    let place = scratch();
    compile(&place, "cdb", "me@=h:allow\n=h:allow\n1.2.3.4:allow\n9.:allow\n:deny\n");
    let rule = |words: &[&str]| {
        let mut command = program("tcprulescheck");
        command.arg(place.join("cdb")).args(words);
        command.envs([("TCPREMOTEIP", "9.9.9.9"), ("TCPREMOTEHOST", "h"), ("TCPREMOTEINFO", "me")]);
        ran(&command.output().unwrap()).1.lines().next().unwrap().to_owned()
    };
    let words =
        [&[][..], &["1.2.3.4", "x"], &["", "", ""], &["9.9.9.9", ""], &["1.1.1.1", "h", "you"]];
    let expected = ["rule me@=h:", "rule 1.2.3.4:", "rule :", "rule 9.:", "rule =h:"];
    assert_eq!(words.map(rule), expected);
}

#[test]
fn networks_and_ipv6_addresses_are_shown_as_they_are_written() {
    if original() {
        return;
    }
    let place = scratch();
    let mut writer = Writer::create(&place.join("cdb")).unwrap();
    let keys: [&[u8]; 4] = [
        b"_0000e0g000000000l",
        b"^00`000000000000a0000bc0de0fgh000",
        b"1::2:3:4:5:6:7",
        b"me@2001:0DB8:0000:0000:0000:0000:0000:0001",
    ];
    keys.iter().for_each(|key| writer.add(key, b"").unwrap());
    writer.finish().unwrap();
    assert_eq!(rule(&place, &["TCPREMOTEIP=10.1.77.1"]), "default:");
    let seen = [
        &["TCPREMOTEIP=2001:db8::1"][..],
        &["TCPREMOTEIP=2001:DB8::1", "TCPREMOTEINFO=me"],
        &["TCPREMOTEIP=1:0:2:3:4:5:6:7"],
    ]
    .map(|variables| rule(&place, variables));
    assert_eq!(seen, ["rule 2001:db8::/32:", "rule me@2001:db8::1:", "rule 1:0:2:3:4:5:6:7:"]);
}

#[test]
fn the_longest_network_wins_and_a_mapped_address_is_ipv4() {
    if original() {
        return;
    }
    let place = scratch();
    let rules = "2001:db8::/32:deny\n2001:db8:7::/48:allow\n::/0:deny\n10.0.0.0/8:deny\n10.1.0.0/17:allow\n";
    compile(&place, "cdb", rules);
    let seen = ["2001:db8:7::9", "2001:db8:8::9", "::1", "::ffff:10.1.127.1", "::ffff:10.1.128.1"]
        .map(|ip| says(&place, "cdb", &[&format!("TCPREMOTEIP={ip}")]));
    let expected = [
        "rule 2001:db8:7::/48:\nallow connection\n",
        "rule 2001:db8::/32:\ndeny connection\n",
        "rule ::/0:\ndeny connection\n",
        "rule 10.1.127.:\nallow connection\n",
        "rule 10.:\ndeny connection\n",
    ];
    assert_eq!(seen, expected);
}

#[test]
fn every_key_that_is_tried_can_be_seen() {
    if original() {
        return;
    }
    let place = scratch();
    compile(&place, "cdb", "=.b:allow\n2001:db8::/32:deny\n");
    let seen = |words: &[&str]| {
        let mut command = program("tcprulescheck");
        ran(&command.arg("-v").arg(place.join("cdb")).args(words).output().unwrap())
    };
    let four = "try me@1.2.3.4\ntry me@=a.b\ntry 1.2.3.4\ntry =a.b\ntry 1.2.3.\ntry 1.2.\ntry 1.\ntry =.b\n\
                rule =.b:\nallow connection\n";
    assert_eq!(seen(&["1.2.3.4", "a.b", "me"]), (Some(0), four.into(), String::new()));
    let six = "try 2001:db8::1\ntry 2001:0DB8:0000:0000:0000:0000:0000:0001\ntry 2001:db8::\ntry 2001:db8:\n\
               try 2001:\ntry 2001:db8::/32\nrule 2001:db8::/32:\ndeny connection\n";
    assert_eq!(seen(&["2001:db8::1"]), (Some(0), six.into(), String::new()));
    let none = "try 9.9.9.9\ntry 9.9.9.\ntry 9.9.\ntry 9.\ntry \ndefault:\nallow connection\n";
    assert_eq!(seen(&["9.9.9.9"]), (Some(0), none.into(), String::new()));
}
