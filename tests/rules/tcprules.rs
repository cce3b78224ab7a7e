//! tcprules: compile rules for tcpserver.

use crate::{CLASSIC, compile};
use base::cdb::{Reader, Record};
use std::path::Path;
use std::process::{Command, Stdio};
use tests::{
    Random, Scratch, calls, failing, fed, fed_within, killed, original, program, ran, scratch, skip,
};

/// The original, to be compared with.
const ORIGINAL: &str = "/usr/bin/tcprules";

/// `tcprules cdb tmp` in the scratch folder.
fn tcprules(place: &Scratch) -> Command {
    let mut tcprules = program("tcprules");
    tcprules.args(["cdb", "tmp"]).current_dir(place.path());
    tcprules
}

fn done() -> (Option<i32>, String, String) {
    (Some(0), String::new(), String::new())
}

/// All records of a file, `key data` each, NULs as `|`.
fn records(path: &Path) -> Vec<String> {
    let text = |record: Record| [&record.key[..], b" ", &record.data].concat();
    let reader = Reader::open(path).unwrap();
    let all = reader.records().map(|record| tests::shown(&text(record.unwrap())));
    all.map(|record| record.replace('\0', "|")).collect()
}

/// What becomes of these rules.
#[track_caller]
fn compiled(rules: &str) -> Vec<String> {
    let place = scratch();
    compile(&place, "cdb", rules);
    records(&place.join("cdb"))
}

#[test]
fn rules_become_records_in_their_order() {
    let expected = [
        "127. +RELAYCLIENT=|",
        "10.1.2.3 +RELAYCLIENT=@fix.me|+A=\"|",
        "10.1.2.4 +RELAYCLIENT=@fix.me|+A=\"|",
        "10.2. D|",
        "10.3. D|",
        "joe@127.0.0.1 +WHO=joe|",
        "=.example.com ",
        "=bad.example.com D|",
        "= +NAMED=1|",
        " D|",
    ];
    assert_eq!(compiled(&CLASSIC.replace("37-53", "3-4")), expected);
}

#[test]
fn no_rules_are_a_database_of_2048_bytes() {
    for rules in ["", "\n", "# comment\n", "no colon", "1.2.3.9-4:allow\n"] {
        let place = scratch();
        compile(&place, "cdb", rules);
        assert_eq!(place.read("cdb"), [0, 8, 0, 0, 0, 0, 0, 0].repeat(256), "{rules:?}");
        assert_eq!((place.names(""), place.mode("cdb")), (vec!["cdb".into()], 0o644));
    }
}

#[test]
fn odd_lines_are_read_as_ever() {
    assert_eq!(compiled(" #x:allow \t\n"), [" #x "]);
    assert_eq!(compiled("1.2.3.4 :allow"), ["1.2.3.4  "]);
    assert_eq!(compiled(":deny, B=\"x\",=,y,,B=\"\""), [" D|+ B=x|+=y|+B=|"]);
    assert_eq!(
        compiled("1.2.3-:allow\n1.-2:allow\n7-09:deny\n254-300.:allow"),
        ["1.0 ", "1.1 ", "1.2 ", "7 D|", "8 D|", "9 D|", "254. ", "255. "]
    );
    assert_eq!(
        compiled("a-b@1.2.3.4:allow\n=a-b.x:deny\na/b@=x:allow"),
        ["a-b@1.2.3.4 ", "=a-b.x D|", "a/b@=x "]
    );
    assert_eq!(compiled("1:allow\n1:deny"), ["1 ", "1 D|"]);
}

#[test]
fn a_bad_line_is_named_and_leaves_the_old_rules_alone() {
    let bad = [
        "1:allowed",
        "1:DENY",
        "1:",
        "1: allow",
        "1:allow,",
        "1:allow,A",
        "1:allow,A=",
        "1:allow,A=x",
        "1:allow,A=\"x\"y",
        "1:allow;A=\"x\"",
        "1:allow\r",
        "host-1.example:allow",
        "1.2.3.4-6-8:allow",
        "x-1.:deny",
        "a:b:c",
    ];
    for line in bad {
        let place = scratch();
        place.write("cdb", "old");
        let o = fed(&mut tcprules(&place), format!("{CLASSIC}{line} \t \n1:bad too\n"));
        let said = format!("tcprules: fatal: unable to parse this line: {line}\n");
        assert_eq!(ran(&o), (Some(100), String::new(), said));
        assert_eq!((place.text("cdb"), place.exists("tmp")), ("old".into(), true));
    }
}

#[test]
fn a_bad_line_is_shown_in_its_own_bytes_up_to_a_nul() {
    let place = scratch();
    let o = fed(&mut tcprules(&place), b"\xff\x01 x:bad\0rest\n");
    assert_eq!(o.stderr, b"tcprules: fatal: unable to parse this line: \xff\x01 x:bad\n");
    assert_eq!(o.status.code(), Some(100));
}

#[test]
fn a_missing_argument_is_wrong_usage() {
    let said = "tcprules: usage: tcprules rules.cdb rules.tmp\n";
    for words in [&[][..], &["cdb"]] {
        let o = fed(program("tcprules").args(words), CLASSIC);
        assert_eq!(ran(&o), (Some(100), String::new(), said.into()));
    }
    let place = scratch();
    assert_eq!(ran(&fed(tcprules(&place).arg("more"), CLASSIC)), done());
}

#[test]
fn an_unknown_option_is_wrong_usage() {
    // The original has no options.
    if original() {
        return;
    }
    let said = "tcprules: illegal option -- x\ntcprules: usage: tcprules rules.cdb rules.tmp\n";
    let o = fed(program("tcprules").args(["-x", "a", "b"]), "");
    assert_eq!(ran(&o), (Some(100), String::new(), said.into()));
}

#[test]
fn what_cannot_be_made_read_written_or_moved_is_named() {
    let place = scratch();
    place.dir("dir");
    let run = |words: [&str; 2], input: Stdio| {
        let o = program("tcprules").args(words).current_dir(place.path()).stdin(input).output();
        ran(&o.unwrap())
    };
    let rules = || {
        place.write("rules", CLASSIC);
        std::fs::File::open(place.join("rules")).unwrap().into()
    };
    let folder = || std::fs::File::open(place.path()).unwrap().into();
    let fatal =
        |what: &str| (Some(111), String::new(), format!("tcprules: fatal: unable to {what}\n"));
    assert_eq!(run(["cdb", "dir"], rules()), fatal("create dir: is a directory"));
    assert_eq!(run(["cdb", "no/tmp"], rules()), fatal("create no/tmp: file does not exist"));
    assert_eq!(run(["cdb", "tmp"], folder()), fatal("read input: is a directory"));
    assert_eq!(run(["dir", "tmp"], rules()), fatal("move tmp to dir: is a directory"));
    assert_eq!(run(["cdb", "/dev/full"], rules()), fatal("write to /dev/full: out of disk space"));
    assert!(!place.exists("cdb"));
}

#[test]
fn the_file_is_on_disk_before_it_has_its_name_and_the_name_before_the_end() {
    let place = scratch();
    let Some((o, calls)) = calls("fsync,/^rename", &tcprules(&place), CLASSIC) else { return };
    assert_eq!(ran(&o), done());
    let names: Vec<_> = calls.iter().map(|call| call.split('(').next().unwrap()).collect();
    // The original does not sync the folder.
    let expected =
        if original() { &["fsync", "rename"][..] } else { &["fsync", "rename", "fsync"] };
    assert_eq!(names, expected);
}

#[test]
fn a_failing_disk_is_temporary_and_leaves_the_old_rules() {
    let place = scratch();
    let faults = [
        ("fsync", 1, "write to tmp: input/output error", "old"),
        ("rename", 1, "move tmp to cdb: input/output error", "old"),
        ("write,pwrite64", 1, "write to tmp: input/output error", "old"),
    ];
    for (call, number, what, left) in faults {
        place.write("cdb", "old");
        let Some(mut command) = failing(call, "EIO", number, &tcprules(&place)) else { return };
        let said = format!("tcprules: fatal: unable to {what}\n");
        assert_eq!(ran(&fed(&mut command, CLASSIC)), (Some(111), String::new(), said));
        assert_eq!(place.text("cdb"), left);
    }
}

#[test]
fn killed_at_any_call_it_leaves_the_old_rules_or_the_new() {
    let place = scratch();
    compile(&place, "new", CLASSIC);
    let new = place.read("new");
    for number in 1..20 {
        place.write("cdb", "old");
        let kinds = "openat,read,write,pwrite64,lseek,fsync,rename,close";
        let Some(mut command) = killed(kinds, number, &tcprules(&place)) else { return };
        let o = fed(&mut command, CLASSIC);
        let left = place.read("cdb");
        assert!(left == b"old" || left == new, "{number}: {}", tests::shown(&left));
        if o.status.success() {
            return assert_eq!(left, new);
        }
    }
}

/// A line of classic rules, with its newline; one in forty has a mistake.
fn classic_line(random: &mut Random) -> String {
    let number = random.below(300).to_string();
    let addresses = [
        "",
        "=",
        "=.example.com",
        "=a-b.x",
        "10.",
        "10.1",
        "192.168.",
        "172.16.4.1",
        "me@10.0.0.1",
        "x-y@=h",
        "7-9",
        "-3.",
        "10.7-12.",
        "10.1.5-",
        "1.2.3.250-300",
        "4.9-7.",
        " x",
        "a b ",
    ];
    let mut line = random.pick(&addresses).to_owned();
    if line.ends_with('.') && random.below(2) == 0 {
        line.push_str(&number);
    }
    line.push_str(random.pick(&[":allow", ":deny"]));
    let names = ["A", "RELAYCLIENT", "", " B"];
    let values = ["\"\"", "\"x y\"", "/a=b/", ",,", "xabcx", "=:=", "\"a\0D\0\"", "'\"'", "1#1"];
    for _ in 0..random.below(4) {
        line.push_str(&format!(",{}={}", random.pick(&names), random.pick(&values)));
    }
    if random.below(40) == 0 {
        let at = random.below(line.len());
        line.replace_range(at..=at, random.pick(&["", "x", "-", "=", ",", "."]));
    }
    line + random.pick(&["\n", " \n", "\t \n", "\n#:bad\n", "\n\n"])
}

#[test]
fn the_original_makes_the_same_bytes() {
    if original() || !Path::new(ORIGINAL).exists() {
        return skip("needs the original beside ours");
    }
    let mut random = Random::new(33);
    let place = scratch();
    let of = |command: &mut Command, rules: &str| {
        place.write("cdb", "old");
        let o = fed(command.args(["cdb", "tmp"]).current_dir(place.path()), rules);
        (ran(&o), place.read("cdb"))
    };
    let (mut good, mut bad) = (0, 0);
    for _ in 0..150 {
        let count = random.below(40);
        let mut rules: String = (0..count).map(|_| classic_line(&mut random)).collect();
        if random.below(2) == 0 {
            rules.truncate(rules.trim_end().len());
        }
        let theirs = of(&mut Command::new(ORIGINAL), &rules);
        let ours = of(&mut program("tcprules"), &rules);
        assert!(ours == theirs, "{:?}\n{:?}\n{rules}", ours.0, theirs.0);
        *if theirs.0.0 == Some(0) { &mut good } else { &mut bad } += 1;
    }
    assert!(good > 30 && bad > 10, "{good} good, {bad} bad");
}

#[test]
fn other_readers_find_what_we_write() {
    let place = scratch();
    let rules: String = (0..3000).map(|n| format!("{n}.1.:allow,N=\"{n}\"\n")).collect();
    compile(&place, "cdb", &rules);
    let crate_reader = cdb::CDB::open(place.join("cdb")).unwrap();
    for n in 0..3000 {
        let found = crate_reader.get(format!("{n}.1.").as_bytes()).unwrap().unwrap();
        assert_eq!(found, format!("+N={n}\0").into_bytes());
    }
    assert!(crate_reader.get(b"3000.1.").is_none());
    let Ok(o) = Command::new("cdb").arg("-d").arg(place.join("cdb")).output() else {
        return skip("needs tinycdb");
    };
    let expected: String = (0..3000)
        .map(|n| (format!("{n}.1."), format!("+N={n}\0")))
        .map(|(key, data)| format!("+{},{}:{key}->{data}\n", key.len(), data.len()))
        .collect();
    assert_eq!(tests::shown(&o.stdout), expected + "\n");
}

#[test]
fn ten_thousand_damaged_lines_are_compiled_or_named() {
    // The original reads no lines of this kind, and has no -n.
    if original() {
        return;
    }
    let good = [
        &b"10.1.2.3-7:deny,A=\"b\""[..],
        b"2001:db8::/32:allow",
        b"me@=x.example:allow,B=/c/",
        b"10.1.0.0/17:allow",
        b"::ffff:1.2.3.4:deny",
        b"1.2.3.4:allow,A=\"b\",C='d'",
        b":deny",
    ];
    let mut random = Random::new(7);
    let mut lines: Vec<Vec<u8>> = Vec::new();
    while lines.len() < 10_000 {
        let line = {
            let line = random.pick(&good);
            random.damaged(line)
        };
        lines.extend((!line.contains(&b'\n')).then_some(line));
    }
    let limit = tests::LIMIT;
    let o = fed_within(limit, program("tcprules").arg("-n"), lines.join(&b'\n'));
    let said = tests::shown(&o.stderr);
    let bad: Vec<usize> = said
        .lines()
        .filter(|line| line.contains(": unable to parse this line: "))
        .map(|line| line["tcprules: line ".len()..].split(':').next().unwrap().parse().unwrap())
        .collect();
    assert_eq!((o.status.code(), o.stdout.len()), (Some(100), 0));
    let place = scratch();
    let mut left = lines.clone();
    bad.iter().rev().for_each(|number| drop(left.remove(number - 1)));
    assert!(left.len() > 1000 && bad.len() > 1000, "{} bad", bad.len());
    compile(&place, "cdb", left.join(&b'\n'));
    for number in bad.iter().step_by(bad.len() / 50) {
        let o = fed(&mut tcprules(&place), &lines[number - 1]);
        assert_eq!(o.status.code(), Some(100), "{}", tests::shown(&lines[number - 1]));
    }
}

// What follows is new: the original has no networks, no IPv6 and no -n.

#[test]
fn networks_become_keys_after_all_others() {
    if original() {
        return;
    }
    let rules = "192.168.0.0/15:deny\n10.9.8.7/32:allow\n2001:db8:ff::/32:allow,A=\"b\"\n192.168.:allow\n\
                 1.2.3.252/30:deny\n";
    let expected = [
        "192.168. ",
        "10.9.8.7 ",
        "^00`000000000000a0000bc0de0fgh000 +A=b|",
        "1.2.3.252 D|",
        "1.2.3.253 D|",
        "1.2.3.254 D|",
        "1.2.3.255 D|",
        "192.168. D|",
        "192.169. D|",
    ];
    // by length: /32 twice in the order of lines, /30, /15
    assert_eq!(compiled(rules), expected);
    let all: Vec<_> = (0..256).map(|n| format!("{n}. D|")).collect();
    assert_eq!(compiled("0.0.0.0/0:deny"), all);
}

#[test]
fn ipv6_addresses_have_two_keys() {
    if original() {
        return;
    }
    let full = "2001:0DB8:0000:0000:0000:0000:0000:0001";
    let rules = "2001:DB8:0::1:deny\nme@2001:db8::1:allow\n::ffff:1.2.3.4:allow\n2001:db8::allow\n";
    let expected = [
        "2001:db8::1 D|".to_owned(),
        format!("{full} D|"),
        "me@2001:db8::1 ".into(),
        format!("me@{full} "),
        "1.2.3.4 ".into(),
        "2001:db8: ".into(),
    ];
    assert_eq!(compiled(rules), expected);
}

#[test]
fn what_is_no_address_and_no_network_is_a_bad_line() {
    if original() {
        return;
    }
    let bad = [
        "1.2.3.4/33",
        "10/8",
        "1.2.3.0/",
        "1.2.3.0/x",
        "x/8",
        "2001:db8::/129",
        "2001:db8::g",
        "1:2",
        "a:b@1.2.3.4",
        "=x:y",
        "me@10.0.0.0/8",
        "=10.0.0.0/8",
        "010.0.0.0/8",
        "1.2-3.0.0/16",
    ];
    let place = scratch();
    for address in bad {
        let said = format!("tcprules: fatal: unable to parse this line: {address}:allow\n");
        let o = fed(&mut tcprules(&place), format!("{address}:allow\n"));
        assert_eq!(ran(&o), (Some(100), String::new(), said));
    }
}

#[test]
fn the_original_obeys_ipv4_networks() {
    let check = Path::new("/usr/bin/tcprulescheck");
    if original() || !check.exists() {
        return skip("needs the original beside ours");
    }
    let place = scratch();
    compile(
        &place,
        "cdb",
        "10.16.0.0/12:deny\n10.17.3.0/24:allow,A=\"b\"\n0.0.0.0/0:allow,B=\"c\"\n",
    );
    let says = |ip: &str| {
        let o = Command::new(check).arg(place.join("cdb")).env("TCPREMOTEIP", ip).output().unwrap();
        ran(&o).1
    };
    let seen = ["10.16.0.1", "10.31.255.255", "10.17.3.9", "10.32.0.1", "255.0.0.1"].map(says);
    let allow = |rule: &str, variable: &str| {
        format!("rule {rule}:\nset environment variable {variable}\nallow connection\n")
    };
    let deny = |rule: &str| format!("rule {rule}:\ndeny connection\n");
    let expected = [
        deny("10.16."),
        deny("10.31."),
        allow("10.17.3.", "A=b"),
        allow("10.", "B=c"),
        allow("255.", "B=c"),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn a_check_tells_everything_at_once_and_writes_nothing() {
    if original() {
        return;
    }
    assert_eq!(ran(&fed(program("tcprules").arg("-n"), CLASSIC)), done());
    let rules =
        "1:bad\n1.2.3:allow\n10.:allow\nallow\n10.:deny\n2:worse \n1.2.3.9-4:deny\nhost:deny\n";
    let said = "\
tcprules: line 1: unable to parse this line: 1:bad
tcprules: line 2: warning: no peer matches 1.2.3
tcprules: line 4: warning: no colon, so it is ignored
tcprules: line 5: warning: line 3 comes first
tcprules: line 6: unable to parse this line: 2:worse
tcprules: line 7: warning: nothing is in this range
tcprules: line 8: warning: no peer matches host
";
    let place = scratch();
    let mut command = program("tcprules");
    let o = fed(command.args(["-n", "cdb", "tmp"]).current_dir(place.path()), rules);
    assert_eq!(ran(&o), (Some(100), String::new(), said.into()));
    assert_eq!(place.names(""), [""; 0]);
    let o = fed(program("tcprules").arg("-n"), "1.2.3:allow\n");
    let said = "tcprules: line 1: warning: no peer matches 1.2.3\n";
    assert_eq!(ran(&o), (Some(0), String::new(), said.into()));
}
