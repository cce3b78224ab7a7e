//! The queue on disk, and what its programs say to each other.

use super::{formats, halves, name};
use base::sys::socket;
use base::sys::wait::Status;
use mail::control::{Map, Names};
use mail::queue_files::Name;
use mail::runner::{self, Order, Runner};
use mail::send::records::Records;
use mail::send::reports::Reports;
use mail::send::rewrite::{Rules, sender_for};
use mail::spawner::Orders;
use mail::tcpto;
use queue::envelope::Envelope;
use std::fs;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;

formats! {
    envelope ["Fme@a.example\0Tyou@b.example\0Tshe@c.example\0\0", "F\0Ta@b\0\0junk"]
        [b"\0", b"F", b"T", b"\0T", b"\0\0", b"\0F"]

    queue_records ["Ta@b\0D\0Tc@d\0", "u1000\0p77\0Fme@a\0Tyou@b\0"] [b"\0", b"T", b"D", b"F", b"\0\0"]

    queue_names ["12345", "0/12345", "18446744073709551615"]
        [b"0", b"/", b"-1", b"99999999999999999999", b"\0", b" "]

    spawner_orders ["\x0123/123\0me@a\0you@b\0\x027\0\0x@y@z\0", "\0\0\0\0"]
        [b"\0", b"@", b"/", b"..", b"\0\0\0", b"123"]

    spawner_reports ["\x01Kdone\n\0\x02Znot now\0\x00Dno\n\0\x03\0", "\x05"]
        [b"\0", b"K", b"Z", b"D", b"\0K", b"\n"]

    runner_orders ["\x05alias\0/home\0a\0-\0b\0a.example\0me@b.example\0./Mailbox\0", "\0\0\0\0\0\0\0\0"]
        [b"\0", b"\0\0", b"/", b"-"]

    runner_answers ["\x05\0", "\x05\x6f\x06\0"] [b"\0", b"\x6f", b"\xff"]

    recipients ["a@local.example", "b%c@percent.example", "x@.virtual.example", "list-@[]", "nohost"]
        [b"@", b"%", b".", b"[]", b"virtual.example", b"percent.example", b"-@[]", b"\0", b"-"]

    tcpto [[&[127, 0, 0, 1, 3, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0][..]; 64].concat(), vec![0; 1024]]
        [b"\x7f\0\0\x01", b"\xff\xff\xff\xff", b"\0\0\0\0"]
}

fn envelope(bytes: &[u8]) {
    let taken = |pieces: &[&[u8]]| {
        let (mut envelope, mut count) = (Envelope::default(), 0);
        for piece in pieces {
            match envelope.take(piece) {
                Ok(taken) => count += taken,
                Err(wrong) => return Err(wrong),
            }
        }
        Ok((count, envelope.is_complete()))
    };
    let whole = taken(&[bytes]);
    assert_eq!(taken(&halves(bytes)), whole);
    if let Ok((count, true)) = whole {
        let kept = &bytes[..count];
        assert!(kept.starts_with(b"F") && kept.ends_with(b"\0") && bytes[count] == 0);
        let mut addresses = kept[1..count - 1].split(|byte| *byte == 0);
        assert!(addresses.all(|address| address.len() <= 1003));
    }
}

fn queue_records(bytes: &[u8]) {
    let mut records = Records::new(bytes);
    let mut end = 0;
    while let Ok(Some(record)) = records.next() {
        assert_eq!(record.at, end);
        let length = record.text.len() as u64 + u64::from(bytes[record.at as usize] != 0);
        end += length + 1;
        assert!(!record.text.contains(&0));
    }
    assert!(end <= bytes.len() as u64);
}

fn queue_names(bytes: &[u8]) {
    if queue::paths::number(bytes).is_some() {
        assert!(!bytes.is_empty() && bytes.iter().all(u8::is_ascii_digit));
    }
    Name::of(&String::from_utf8_lossy(bytes));
}

fn spawner_orders(bytes: &[u8]) {
    let all = |pieces: &[&[u8]]| {
        let (mut orders, mut seen) = (Orders::default(), Vec::new());
        for piece in pieces {
            let mut rest = *piece;
            while let Some(order) = orders.next(&mut rest) {
                assert!(order.objection().is_some() || order.recipient.contains(&b'@'));
                let plain = !order.message.windows(2).any(|two| two == b"..");
                assert!(order.objection().is_some() || plain);
                seen.push((order.message, order.sender, order.recipient));
            }
        }
        seen
    };
    assert_eq!(all(&halves(bytes)), all(&[bytes]));
}

fn spawner_reports(bytes: &[u8]) {
    let all = |pieces: &[&[u8]]| {
        let (mut reports, mut seen) = (Reports::default(), Vec::new());
        for piece in pieces {
            let mut rest = *piece;
            seen.extend(std::iter::from_fn(|| reports.next(&mut rest)));
        }
        seen
    };
    let whole = all(&[bytes]);
    assert_eq!(all(&halves(bytes)), whole);
    assert!(whole.iter().all(|report| report.text.len() <= 10_000 && !report.text.contains(&0)));
}

/// From qmail-lspawn to a qmail-local that stays.
fn runner_orders(bytes: &[u8]) {
    let (theirs, ours) = socket::packet_pair().unwrap();
    let null = fs::File::open("/dev/null").unwrap();
    let bytes = &bytes[..bytes.len().min(16384)];
    socket::send_with(theirs.as_fd(), bytes, [null.as_fd(), null.as_fd()]).unwrap();
    drop(theirs);
    match Order::next(ours.as_fd()) {
        Ok(Some(Order { number, words, .. })) => {
            assert!(words.iter().all(|word| !word.as_bytes().contains(&0)));
            // a last NUL may be missing, and more may follow
            let packet = runner::packet(number, &words);
            assert!(packet.is_none_or(|packet| bytes.starts_with(&packet[..packet.len() - 1])));
        }
        // without a byte there is nothing to tell it from an end
        Ok(None) => assert!(bytes.is_empty()),
        Err(_) => assert!(bytes.iter().skip(1).filter(|byte| **byte == 0).count() < 7),
    }
}

/// From a qmail-local whose user has taken it over.
fn runner_answers(bytes: &[u8]) {
    let mut theirs = None;
    let null = fs::File::open("/dev/null").unwrap();
    let ours = Runner::new((1, 1), b"\0", [null.as_fd(); 2], |end| {
        theirs = Some(end.try_clone_to_owned()?);
        Ok(0)
    });
    let (mut ours, theirs) = (ours.unwrap(), theirs.unwrap());
    // packets of one byte, of two, of several, and of none; some find no room
    let packets = bytes.chunks(2).take(50).chain(halves(bytes)).chain(bytes.chunks(1).take(50));
    let sent = packets.filter(|packet| socket::send_now(theirs.as_fd(), packet).is_ok());
    let sent: Vec<&[u8]> = sent.collect();
    drop(theirs);
    // each of two is an answer, until there are no more, or one that is none
    for answer in sent.iter().take_while(|packet| packet.len() == 2) {
        assert!(ours.socket().is_some());
        assert_eq!(ours.answer(), Some((answer[0], Status(i32::from(answer[1]) << 8))));
    }
    assert_eq!(ours.answer(), None);
    assert!(ours.socket().is_none());
}

fn recipients(bytes: &[u8]) {
    let rules = Rules {
        envnoathost: b"none.example".into(),
        percenthack: Names::of(&[b"percent.example".into()]),
        locals: Names::of(&[b"local.example".into()]),
        virtual_domains: Map::of(&[b".virtual.example:joe".into(), b"local.example:".into()]),
    };
    let (_, address) = rules.route(bytes);
    assert!(address.contains(&b'@') && address.len() <= bytes.len() + 20);
    rules.without_prefix(&address);
    assert!(sender_for(bytes, &address).len() <= 2 * (bytes.len() + address.len()));
}

fn tcpto(bytes: &[u8]) {
    let ips: [IpAddr; 2] = [[127, 0, 0, 1].into(), std::net::Ipv6Addr::LOCALHOST.into()];
    let folder = name();
    fs::create_dir_all(&folder).unwrap();
    for name in ["tcpto", "tcpto6"] {
        fs::write(folder.join(name), bytes).unwrap();
    }
    for ip in ips {
        for now in [0, 951_868_799, u64::MAX] {
            tcpto::look(&folder, ip, now);
        }
        tcpto::timed_out(&folder, ip, 951_868_799);
        tcpto::answered(&folder, ip);
    }
    let _ = tcpto::all(&folder);
    let size = |name| fs::metadata(folder.join(name)).unwrap().len();
    assert!(size("tcpto").max(size("tcpto6")) <= bytes.len().max(1024) as u64);
    fs::remove_dir_all(folder).unwrap();
}
