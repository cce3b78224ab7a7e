//! Files of tables: rules, users, aliases, control files, and the cdb files made from them.

use super::{file, formats, named};
use base::cdb::{Reader, Record, Writer};
use mail::assign::{self, Assignment};
use mail::control::{Control, Map, Names};
use mail::forwarding::{self, Item, list_text, table_text};
use mail::passwd::{Assignments, Homes, Rules as PasswdRules};
use mail::{aliases, default_hosts::DefaultHosts, rcpthosts, routes};
use rules::compile::Compiler;
use rules::dump::Dump;
use rules::lint::Lint;
use rules::network::Network;
use rules::{Peer, Rules, lookup};
use std::path::Path;

const RULES: &str = "# comment\n127.0.0.1:allow,RELAYCLIENT=\"\"\n10.1.0-3:deny\n10.0.0.0/8:allow,X=/a b/\n\
    joe@1.2.3.4:deny\n=host.example:allow\n=.example:deny\n2001:db8::/32:allow\n:deny\n";

formats! {
    cdb_file [cdb(&[(b"a", b"1"), (b"b", b"22"), (b"", b"333")]), cdb(&[]), cdb(&[(b"a", &[b'x'; 70_000])])]
        [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\x08\0\0", b"\x01\0\0\0", b"\xf0\xff\xff\xff", b"\0\0\0\x80"]

    rules_text [RULES] [b":", b"allow", b"deny", b",", b"=", b"\"", b"-", b"/", b".", b"\n", b"#", b"[", b"]",
        b"0-255.0-255.", b"@", b"::", b"/33", b"\0"]

    compiled_rules [compiled(RULES)] [b"\xff\xff\xff\xff", b"\0\0\0\0", b"D", b"+", b"=", b"\0"]

    users_assign ["=joe:joe:1000:1000:/home/joe:::\n+joe-:joe:1000:1000:/home/joe:-::\n.\n", "+:a:1:2:/:-:x:\n"]
        [b":", b"=", b"+", b".", b"\n", b"\0", b"-1", b"4294967296", b"/"]

    users_cdb [cdb(&[(b"!joe\0", b"joe\x001000\x001000\0/home/joe\0\0\0"), (b"!", b"a\x001\x002\0/\0-\0\0"), (b"", b"j-")])]
        [b"\0", b"!", b"\xff\xff\xff\xff", b"\0\0\0\0", b"4294967296"]

    passwd ["joe:x:1000:1000:Joe:/home/joe:/bin/sh\nroot:x:0:0::/root:\nAnn:x:7:7::/:\n"]
        [b":", b"\n", b"alias", b"0", b"/", b"\0", b"4294967296"]

    aliases_text ["list: a, b@c, \"|prog x\"\n", "root: joe, :include:/file\n", "owner-x: <y@z>\n", "a@b: /mbox\n"]
        [b":", b",", b"\"", b"<", b">", b"|", b":include:", b"(", b"\\", b"@", b"\0", b"#", b"\n "]

    forwarding_table ["a@b: c@d, |prog \\, x, !cmd, ./list;\n?o@b: e@f;\n# comment\nx: y;"]
        [b":", b";", b",", b"\\", b"#", b"\n", b"?", b"|", b"!", b"&", b"./", b"\0", b"@"]

    mailing_list ["a@b\n&c@d\n# x\n./list\n/list\n |x\n"] [b"\n", b"&", b"#", b"./", b"/", b"\0", b" ", b"\t"]

    forwarding_items [b"&a@b\0|prog\0!cmd\0./list\0/x\0".to_vec()] [b"\0", b"&", b"|", b"!", b"./", b"/"]

    control_file ["a.example\n.b.example\n#c\n d \nx:y\n:z:25\n", "10\n", "\n", ""]
        [b"\n", b":", b"#", b" ", b"\t", b"\0", b"\r", b"99999999999999999999", b"[", b"]", b"[::1]:26"]

    morercpthosts ["A.example \n#x\n\n.b.example\t\n"] [b"\n", b"#", b" ", b"\t", b"\0", b"\r"]
}

/// A file of these records.
fn cdb(records: &[(&[u8], &[u8])]) -> Vec<u8> {
    named(b"", |path| {
        let mut writer = Writer::create(path).unwrap();
        records.iter().for_each(|(key, data)| writer.add(key, data).unwrap());
        writer.finish().unwrap();
        std::fs::read(path).unwrap()
    })
}

/// The records of a rules text. `None` if it has a bad line.
fn records(text: &[u8]) -> Option<Vec<Record>> {
    let mut records = Vec::new();
    let mut add = |key: &[u8], data: &[u8]| {
        // a rule may stand for many thousand keys; that is its right
        if records.len() < 2000 {
            records.push(Record { key: key.to_vec(), data: data.to_vec() });
            return Ok(());
        }
        Err(())
    };
    let mut compiler = Compiler::default();
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        if compiler.line(line, &mut add) == Ok(false) {
            return None;
        }
    }
    let _ = compiler.finish(&mut add);
    Some(records)
}

fn compiled(text: &str) -> Vec<u8> {
    let records = records(text.as_bytes()).unwrap();
    let pairs: Vec<_> = records.iter().map(|record| (&record.key[..], &record.data[..])).collect();
    cdb(&pairs)
}

fn cdb_reader(bytes: &[u8]) -> Option<Reader> {
    Reader::new(file(bytes)).ok()
}

fn each_cdb_record(reader: &Reader) {
    assert!(reader.records().take(100_000).count() < 100_000);
    let mut keys = 0;
    let _ = reader.each_key(|_| keys += 1);
    assert!(keys < 100_000);
}

fn cdb_file(bytes: &[u8]) {
    let Some(reader) = cdb_reader(bytes) else { return };
    for key in [&b"a"[..], b"b", b"", b"missing"] {
        if let Ok(Some(data)) = reader.find(key) {
            assert!(data.len() <= bytes.len());
        }
    }
    each_cdb_record(&reader);
}

fn rules_text(bytes: &[u8]) {
    let mut lint = Lint::default();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        lint.line(line);
        Network::parse(line.strip_suffix(b"\n").unwrap_or(line));
    }
    lint.finish();
    let Some(records) = records(bytes) else { return };
    for record in records.iter().take(20) {
        rules::keys::shown(&record.key);
        let mut variables = rules::item::variables(&record.data);
        assert!(variables.all(|(name, value)| !name.contains(&b'=') && !value.contains(&0)));
    }
}

fn compiled_rules(bytes: &[u8]) {
    let peers = ["10.1.2.3", "127.0.0.1", "2001:db8::1", "::ffff:1.2.3.4", "nonsense"];
    named(bytes, |path: &Path| {
        let Ok(mut rules) = Rules::open(path) else { return };
        for learned in [false, true] {
            for ip in peers.map(str::as_bytes) {
                let peer = Peer { ip, host: Some(b"a.host.example"), info: Some(b"joe") };
                if let Ok(Some(decision)) = lookup(&rules, &peer) {
                    assert!(decision.set.iter().all(|(name, _)| !name.contains(&b'=')));
                }
            }
            if !learned {
                rules.learn();
            }
        }
    });
    let Some(reader) = cdb_reader(bytes) else { return };
    each_cdb_record(&reader);
    if let Ok(dump) = Dump::new(&reader) {
        for record in reader.records().map_while(Result::ok) {
            if let Ok(Some(line)) = dump.line(&record) {
                assert!(!line.strip_suffix(b"\n").unwrap_or(&line).contains(&b'\n'));
            }
        }
    }
}

fn users_assign(bytes: &[u8]) {
    for line in bytes.split(|byte| *byte == b'\n') {
        if let Some(record) = assign::record(line) {
            assert!(record.key.starts_with(b"!"));
            let read = Assignment::parse(&record.data);
            assert!(read.is_none_or(|read| read.fields().len() <= record.data.len() + 20));
        }
    }
}

fn users_cdb(bytes: &[u8]) {
    let Some(users) = cdb_reader(bytes) else { return };
    for local in [&b"joe"[..], b"joe-list-x", b"", b"JOE", &[b'a'; 300]] {
        let _ = assign::find(&users, local);
        assert!(assign::accounts(local).count() <= local.len() + 1);
    }
    let _ = assign::all_belong_to(&users, 1000);
}

fn passwd(bytes: &[u8]) {
    let rules = PasswdRules {
        homes: Homes::Ignored,
        capitals: false,
        dash: Some(b'-'),
        slash: false,
        include: None,
        exclude: Names::of(&[b"root".into()]),
        names: Map::of(&[b"ann:a:b::c".into()]),
    };
    let mut assignments = Assignments::default();
    for line in bytes.split(|byte| *byte == b'\n') {
        let _ = assignments.account(line, &rules);
    }
    for line in assignments.text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        assert!(assign::record(line).is_some(), "{}", line.escape_ascii());
    }
    let users = assignments.users();
    for line in bytes.split(|byte| *byte == b'\n') {
        let _ = assignments.subuser(line, &users, &rules);
    }
}

fn aliases_text(bytes: &[u8]) {
    let control = Control::of(Path::new("/nonexistent"));
    let hosts = DefaultHosts::of(&control).unwrap();
    for record in aliases::records(bytes, &hosts).unwrap_or_default() {
        assert!(forwarding::is_whole(&record.data) || record.key.starts_with(b"?"));
    }
    if let Ok(items) = aliases::items(bytes, &hosts) {
        assert!(forwarding::is_whole(&items));
    }
}

fn forwarding_table(bytes: &[u8]) {
    let mut parser = table_text::Parser::new();
    let Ok(mut records) = parser.read(bytes) else { return };
    if parser.end().is_err() {
        records.clear();
    }
    for record in records {
        if let Some(text) = table_text::text(&record) {
            let again = table_text::Parser::new().read(&text).unwrap();
            assert!(
                matches!(&again[..], [one] if one.key == record.key && one.data == record.data)
            );
        }
    }
}

fn mailing_list(bytes: &[u8]) {
    for line in bytes.split(|byte| *byte == b'\n') {
        if let Ok(item) = list_text::item(line) {
            assert!(forwarding::is_whole(&item) && item.len() <= line.len() + 2);
        }
    }
}

fn forwarding_items(bytes: &[u8]) {
    for item in forwarding::items(bytes) {
        if let Item::Address(address) = Item::of(item) {
            assert!(address.len() < 900 && !address.contains(&0));
        }
        list_text::line(item);
    }
}

fn control_file(bytes: &[u8]) {
    named(bytes, |path| {
        let control = Control::of(Path::new("/nonexistent"));
        let name = path.to_str().unwrap();
        let items = control.items(name).unwrap().unwrap();
        assert!(items.iter().all(|item| !item.is_empty() && !item.contains(&b'\n')));
        let line = control.line(name).unwrap().unwrap();
        assert!(!line.contains(&b'\n') && bytes.starts_with(&line));
        let _ = control.number(name);
        let routes = control.map(name).unwrap().unwrap();
        for host in [&b"a.example"[..], b"", b"x.b.example", bytes] {
            let _ = routes::find(&routes, host);
            control.names(name).unwrap().unwrap().has(host);
        }
    });
}

fn morercpthosts(bytes: &[u8]) {
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        if let Some(key) = rcpthosts::key(line) {
            assert!(!key.is_empty() && !key.starts_with(b"#") && key.len() <= line.len());
        }
    }
}
