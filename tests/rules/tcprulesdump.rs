//! tcprulesdump: turn compiled rules back into text.
//!
//! There is no original.

use crate::{CLASSIC, compile};
use base::cdb::Writer;
use tests::{Random, original, program, ran, redirected, scratch, shown};

#[test]
fn every_record_becomes_a_line_of_rules() {
    if original() {
        return;
    }
    let place = scratch();
    compile(&place, "cdb", CLASSIC.replace("37-53", "37-38"));
    let lines = "\
127.:allow,RELAYCLIENT=\"\"
10.1.2.37:allow,RELAYCLIENT=\"@fix.me\",A='\"'
10.1.2.38:allow,RELAYCLIENT=\"@fix.me\",A='\"'
10.2.:deny
10.3.:deny
joe@127.0.0.1:allow,WHO=\"joe\"
=.example.com:allow
=bad.example.com:deny
=:allow,NAMED=\"1\"
:deny
";
    let o = program("tcprulesdump").arg(place.join("cdb")).output().unwrap();
    assert_eq!(ran(&o), (Some(0), lines.into(), String::new()));
}

#[test]
fn compiled_again_it_is_the_same_file() {
    if original() {
        return;
    }
    let values = ["\"\"", "xabcx", "/\"'/", "\"a b\t\"", "'\"/|!%^~+'"];
    let place = scratch();
    let mut random = Random::new(9);
    for _ in 0..30 {
        let line = |_| {
            let keys = [
                "10.",
                "1.2.3.4",
                "=h",
                "=.x",
                "a@1.1.1.1",
                "2001:db8::7",
                "a@::1",
                "fe80:",
                " #",
                "a\u{1}",
            ];
            let value = random.pick(&values);
            let verb = random.pick(&["allow", "deny"]);
            format!("{}:{verb},V={value}\n", random.pick(&keys))
        };
        compile(&place, "cdb", (0..20).map(line).collect::<String>());
        let text = program("tcprulesdump").arg(place.join("cdb")).output().unwrap().stdout;
        compile(&place, "again", &text);
        assert!(place.read("cdb") == place.read("again"), "{}", shown(&text));
    }
}

#[test]
fn networks_are_shown_in_usual_notation() {
    if original() {
        return;
    }
    let place = scratch();
    let mut writer = Writer::create(&place.join("cdb")).unwrap();
    writer.add(b"_0000e0g0", b"D\0").unwrap();
    writer.add(b"^00`000000000000a0000bc0de0fgh000", b"").unwrap();
    writer.add(b"2001:0DB8:0000:0000:0000:0000:0000:0001", b"").unwrap();
    writer.finish().unwrap();
    let o = program("tcprulesdump").arg(place.join("cdb")).output().unwrap();
    let lines = "10.0.0.0/8:deny\n2001:db8::/32:allow\n2001:db8::1:allow\n";
    assert_eq!(ran(&o), (Some(0), lines.into(), String::new()));
}

#[test]
fn a_record_that_no_rule_makes_is_a_comment() {
    if original() {
        return;
    }
    let place = scratch();
    let mut writer = Writer::create(&place.join("cdb")).unwrap();
    writer.add(b"1.2.0.0/16", b"D\0").unwrap();
    writer.add(b"a\nb", b"+A=\n\0").unwrap();
    writer.finish().unwrap();
    let o = program("tcprulesdump").arg(place.join("cdb")).output().unwrap();
    let lines = "# 1.2.0.0/16:deny\n# a?b:allow,A=\"?\"\n";
    assert_eq!(ran(&o), (Some(0), lines.into(), String::new()));
}

#[test]
fn anything_but_one_argument_is_wrong_usage() {
    if original() {
        return;
    }
    for words in [&[][..], &["a", "b"]] {
        let o = program("tcprulesdump").args(words).output().unwrap();
        let said = "tcprulesdump: usage: tcprulesdump rules.cdb\n";
        assert_eq!(ran(&o), (Some(100), String::new(), said.into()));
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    if original() {
        return;
    }
    let place = scratch();
    compile(&place, "cdb", CLASSIC);
    place.write("empty", "").write("short", &place.read("cdb")[..2100]).fifo("fifo");
    let files = [
        ("empty", "protocol error"),
        ("short", "protocol error"),
        ("no", "file does not exist"),
        ("", "is a directory"),
        ("fifo", "unseekable descriptor"),
    ];
    for (file, why) in files {
        let file = place.join(file);
        let (code, _, err) = ran(&program("tcprulesdump").arg(&file).output().unwrap());
        let said = format!("tcprulesdump: fatal: unable to read {}: {why}\n", file.display());
        assert_eq!((code, err), (Some(111), said));
    }
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    if original() {
        return;
    }
    let place = scratch();
    compile(&place, "cdb", CLASSIC);
    for (redirection, why) in
        [(">/dev/full", "out of disk space"), (">&-", "file descriptor not open")]
    {
        let mut command = program("tcprulesdump");
        let o = redirected(redirection, command.arg(place.join("cdb"))).output().unwrap();
        let said = format!("tcprulesdump: fatal: unable to write output: {why}\n");
        assert_eq!(ran(&o), (Some(111), String::new(), said));
    }
}

#[test]
fn damaged_files_give_lines_or_one_message() {
    if original() {
        return;
    }
    let place = scratch();
    compile(&place, "cdb", "10.:allow,A=\"b\"\n1.2.3.4:deny\n2001:db8::/32:deny\n");
    let (good, mut random) = (place.read("cdb"), Random::new(6));
    for _ in 0..200 {
        place.write("bad", random.damaged(&good));
        let o = program("tcprulesdump").arg(place.join("bad")).output().unwrap();
        let (code, _, err) = ran(&o);
        let failed = code == Some(111) && err.lines().count() == 1;
        assert!(failed || (code == Some(0) && err.is_empty()), "{code:?} {err}");
    }
}
