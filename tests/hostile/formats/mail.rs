//! Messages, addresses, mailboxes, POP3 and netstrings.

use super::{formats, halves};
use mail::alias_line::{self, Includes};
use mail::compose::{Header, Setting};
use mail::control::Names;
use mail::dot_qmail::{self, Instruction};
use mail::hops::Hops;
use mail::host_rules::HostRules;
use mail::mbox::Quoter;
use mail::netstring::{self, Fault, Reader};
use mail::pop3::command;
use mail::pop3::text::Encoder;
use mail::{address, address_list, field, token};
use std::io::BufReader;

formats! {
    header [
        "From: \"Joe \\\"S\" <joe@a.b>\nTo: a, b@c (x (y)), g: d@e, f;\nDate: x\nMessage-ID: <a@b>\n\
         Cc: <@x,@y:z@[1.2.3.4]>\nResent-To: me\nResent-From: you\nReturn-Path: <a@b>\nX: y\n z\n",
        "Bcc: nobody\nResent-Bcc: a\nMail-Followup-To: l\nApparently-To: x@y\nContent-Length: 3\n",
    ] [b"\n", b"\n ", b"<", b">", b"@", b",", b";", b":", b"(", b")", b"\\", b"\"", b"[", b"]", b".",
       b"+", b"\r", b"\0", b"To:", b"Resent-", b"From:", b"\xff"]

    address_list ["To: \"joe\\\" smith\" <j @ h . x>, a (one (two)), g: b, c;", "Cc: <@x:y@z>;"]
        [b"<", b">", b"@", b",", b";", b":", b"(", b")", b"\\", b"\"", b"[", b"]", b".", b" ", b"\n"]

    mail_address ["joe@a.example", "\"a b\"@[127.0.0.1]", "a@b@.c..d", "x@[IPv6:::1]"]
        [b"@", b".", b"[", b"]", b"\"", b"\\", b" ", b"\0", b"\n", b"IPv6:", b":"]

    hops ["Received: a\nDelivered-To: b\nX: c\n\nReceived: d\n", "received\nDELIVERED: x\n"]
        [b"\n", b"Received", b"delivered", b":", b"\n\n", b"\r"]

    mbox_text ["From a\n>From b\nFrom", "\n\n>>From \nFro\nm "] [b"From ", b"\n", b">", b"F", b"\nFrom "]

    dot_qmail ["# comment\n&a@b\n|program x\n./Maildir/\n/mbox\n+list\n\njoe\n", "&\n|\n\n&a@b  \t\n"]
        [b"\n", b"&", b"|", b"./", b"/", b"#", b"+", b" ", b"\t", b"\0", b"\r\n", b"&<a@b>"]

    dot_qmail_name ["joe-list-default", "a..b-UP.per", "../../etc/passwd"]
        [b".", b"-", b"/", b"default", b"..", b"\0", b":", b"A"]

    alias_line ["list: a, b@c, \"|prog x\", :include:/file, /box\n", "owner-x: <y@z>, g: h;\n"]
        [b":", b",", b"\"", b"<", b">", b"|", b":include:", b"(", b")", b"\\", b"@", b";", b"\0"]

    netstrings ["5:hello,0:,3:abc,12:hello world!,", "200000000:x,", "11:3:abc,1:d,,"]
        [b":", b",", b"0:,", b"1:a,", b"99999999999999999999:", b"-1:", b"01:", b"200000000:"]

    pop3_command ["USER joe\r\nPASS a b\r\nTOP 1 0\nLIST\r\nDELE 2\r\nUIDL 1\r\nRETR 18446744073709551616\r\n",
        "APOP joe 0123456789abcdef0123456789abcdef\r\nQUIT\r\n"]
        [b"\r\n", b"\n", b" ", b"\0", b"TOP ", b"-1", b"99999999999999999999", b"UIDL"]

    pop3_text ["a: b\n\n.\n\r\n.\r\n..\n.\n\nlast\n.", "\n", ""] [b"\n", b".", b"\r", b"\n.\n", b"\n.\r\n"]
}

fn setting() -> Setting {
    Setting {
        hosts: HostRules::new(b"default.example", b"domain.example", b"plus.example").unwrap(),
        id_host: b"id.example".into(),
        now: 951_868_799,
        pid: 7,
        user: b"me".into(),
        host: None,
        name: Some(b"My \"Name".into()),
        sender_user: b"me".into(),
        sender_host: None,
        lists: Some(Names::of(&[b"l@default.example".into()])),
        comment: false,
        ignore_return_path: false,
        delete_from: false,
        delete_id: false,
        per_recipient: true,
        per_message: true,
    }
}

fn header(bytes: &[u8]) {
    let mut header = Header::new(setting(), None).unwrap();
    let mut whole = Vec::new();
    let mut fields = Vec::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n")) {
        if field::continues(line) && !whole.is_empty() {
            whole.extend_from_slice(line);
        } else {
            fields.push(std::mem::replace(&mut whole, line.to_vec()));
        }
    }
    fields.push(whole);
    for field in fields.into_iter().filter(|line| field::name(line).is_some()) {
        if header.field(field).is_err() {
            return;
        }
    }
    let Ok(text) = header.text() else { return };
    // no empty line: the header does not end before its end
    assert!(!text.starts_with(b"\n") && memchr::memmem::find(&text, b"\n\n").is_none());
    assert!(header.recipients().len() <= bytes.len() + 1);
}

fn address_list(bytes: &[u8]) {
    let Some(tokens) = token::parse(bytes) else { return };
    let again = token::parse(&token::text(&tokens)).unwrap();
    assert_eq!(token::unquoted(&again), token::unquoted(&tokens));
    let rules = HostRules::new(b"default.example", b"domain.example", b"plus.example").unwrap();
    let mut addresses = Vec::new();
    let done = address_list::rewrite(tokens, |address| {
        rules.complete(address);
        addresses.push(token::unquoted(address));
    });
    if let Some(done) = done {
        assert!(token::parse(&token::text(&done)).is_some());
    }
    assert!(addresses.len() <= bytes.len());
}

fn mail_address(bytes: &[u8]) {
    let (local, domain) = address::split(bytes);
    assert_eq!(local.len() + domain.map_or(0, |domain| domain.len() + 1), bytes.len());
    assert!(address::suffixes(bytes).all(|suffix| bytes.ends_with(suffix)));
    domain.map(address::literal);
    let quoted = address::quote(bytes);
    if !bytes.contains(&0) && domain.is_some_and(|domain| !domain.contains(&b'>')) {
        // read as SMTP servers do, it is this address
        let command = [b"<", &quoted[..], b">"].concat();
        let read = mail::smtp::command::address(&command);
        let plain = !domain.unwrap_or_default().iter().any(|byte| b"\"\\".contains(byte));
        let long = bytes.len() >= 900;
        assert!(long || !plain || local.starts_with(b"@") || read.as_deref() == Some(bytes));
    }
}

fn hops(bytes: &[u8]) {
    let count = |pieces: &[&[u8]]| {
        let mut hops = Hops::default();
        pieces.iter().for_each(|piece| hops.look(piece));
        hops.count()
    };
    assert_eq!(count(&halves(bytes)), count(&[bytes]));
    assert!(count(&[bytes]) <= bytes.len());
}

fn mbox_text(bytes: &[u8]) {
    let quoted = |pieces: &[&[u8]]| {
        let (mut quoter, mut quoted) = (Quoter::default(), Vec::new());
        pieces.iter().for_each(|piece| quoter.quote(piece, &mut quoted));
        quoter.end(&mut quoted);
        quoted
    };
    let text = quoted(&[bytes]);
    assert_eq!(quoted(&halves(bytes)), text);
    assert!(!text.starts_with(b"From ") && memchr::memmem::find(&text, b"\nFrom ").is_none());
    assert!(text.is_empty() || text.ends_with(b"\n"));
}

fn dot_qmail(bytes: &[u8]) {
    for instruction in dot_qmail::instructions(bytes) {
        if let Instruction::Forward(text) = instruction {
            assert!(!text.contains(&b'\n') && !text.contains(&0));
        }
    }
}

fn dot_qmail_name(bytes: &[u8]) {
    for (dash, ext) in [(&b"-"[..], bytes), (b"", b""), (bytes, b"")] {
        let name = dot_qmail::name(dash, ext);
        // the file is below the home: no dots that lead upwards
        assert!(name.starts_with(b".qmail"));
        assert!(ext.is_empty() || !name.windows(3).any(|part| part == b"/.."));
        assert!(dot_qmail::candidates(dash, ext).count() <= bytes.len() + 2);
    }
}

fn alias_line(bytes: &[u8]) {
    for includes in [Includes::Known, Includes::Unknown] {
        let entries = alias_line::entries(bytes, includes).unwrap_or_default();
        assert!(entries.len() <= bytes.len() + 1);
    }
}

fn netstrings(bytes: &[u8]) {
    let all = |size: usize| {
        let mut reader = Reader::new(BufReader::with_capacity(size, bytes));
        let mut seen = Vec::new();
        loop {
            match reader.string(1000) {
                Ok(string) => seen.push(string),
                Err(Fault::End) => return (seen, "end"),
                Err(Fault::TooLong) => return (seen, "long"),
                Err(_) => return (seen, "no netstring"),
            }
        }
    };
    let (seen, end) = all(8192);
    assert_eq!(all(1), (seen.clone(), end));
    let written: Vec<u8> = seen.iter().flatten().flat_map(|text| netstring::of(text)).collect();
    assert!(seen.contains(&None) || bytes.starts_with(&written));
    let mut reader = Reader::new(bytes);
    let _ = reader.enter().and_then(|()| {
        while reader.more() {
            reader.string(10)?;
        }
        reader.leave()
    });
}

fn pop3_command(bytes: &[u8]) {
    let (mut from, mut line) = (bytes, Vec::new());
    loop {
        match command::read(&mut from, &mut line).unwrap() {
            command::Heard::End => return,
            command::Heard::TooLong => {}
            command::Heard::Line => {
                let (_, argument) = command::parse(&line);
                assert!(!argument.contains(&0) && !argument.contains(&b'\n'));
                assert!(!argument.starts_with(b" "));
            }
        }
    }
}

fn pop3_text(bytes: &[u8]) {
    let sent = |pieces: &[&[u8]], body| {
        let (mut encoder, mut to) = (Encoder::new(body), Vec::new());
        pieces.iter().for_each(|piece| encoder.pass(piece, &mut to));
        encoder.end(&mut to);
        to
    };
    for body in [None, Some(0), Some(2), Some(u64::MAX)] {
        let whole = sent(&[bytes], body);
        assert_eq!(sent(&halves(bytes), body), whole);
        let end = memchr::memmem::find(&whole, b"\r\n.\r\n").map(|at| at + 5);
        assert!(whole == b".\r\n" || end == Some(whole.len()), "{whole:?}");
    }
}
