use super::*;

/// Numbers that are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end.max(1) as u64) as usize
    }
}

/// Reads a header off a stream that comes in pieces of random length. Gives the last step and
/// how many bytes were taken.
fn taken(stream: &[u8], versions: Versions, random: &mut Random) -> (Step, usize) {
    let mut count = 0;
    loop {
        match read(&stream[..count], versions) {
            Step::More(more) if count < stream.len() => {
                let most = more.min(stream.len() - count);
                count += if random.below(3) == 0 { 1 + random.below(most) } else { most };
            }
            step => return (step, count),
        }
    }
}

/// What a header says, as text; it must be taken to the last byte and no further.
#[track_caller]
fn shown(header: &[u8]) -> String {
    let mut random = Random(88172645463325252);
    for follows in [&b""[..], b"E", b"EHLO a.example\r\n", header] {
        let stream = [header, follows].concat();
        for _ in 0..20 {
            let (step, count) = taken(&stream, Versions::Both, &mut random);
            assert!(matches!(step, Step::Invalid(_)) || count == header.len(), "{count}");
        }
    }
    let (step, _) = taken(header, Versions::Both, &mut random);
    match step {
        Step::More(_) => "more".into(),
        Step::Invalid(why) => why.into(),
        Step::Done(Header::Nothing) => "nothing".into(),
        Step::Done(Header::Caller { remote, local, facts }) => {
            let fact = |(name, value): (&str, Vec<u8>)| {
                format!(" {name}={}", String::from_utf8_lossy(&value))
            };
            let facts: String = facts.into_iter().map(fact).collect();
            format!("{remote} {local}{facts}")
        }
    }
}

/// A header of version 2 whose length is right.
fn two_of(command: u8, protocol: u8, block: &[u8]) -> Vec<u8> {
    let [high, low] = (block.len() as u16).to_be_bytes();
    [TWO, &[command, protocol, high, low], block].concat()
}

fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    let [high, low] = (value.len() as u16).to_be_bytes();
    [&[kind, high, low], value].concat()
}

const FOUR: [u8; 12] = [1, 2, 3, 4, 5, 6, 7, 8, 4, 0, 0, 25];

#[test]
fn version_1_tells_both_ends() {
    let four = shown(b"PROXY TCP4 1.2.3.4 5.6.7.8 1024 25\r\n");
    assert_eq!(four, "1.2.3.4:1024 5.6.7.8:25");
    let least = shown(b"PROXY TCP6 :: ::1 0 1\r\n");
    assert_eq!(least, "[::]:0 [::1]:1");
    let long = ["ffff"; 8].join(":");
    let most = format!("PROXY TCP6 {long} {long} 65535 65535\r\n");
    let end = "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535";
    assert_eq!(shown(most.as_bytes()), format!("{end} {end}"));
}

#[test]
fn version_1_may_know_nothing() {
    let long = format!("PROXY UNKNOWN{}\r\n", "\r".repeat(ONE_MOST - ONE_LEAST));
    let rest = b"PROXY UNKNOWN a \r b\n \0\xff\r\r\n";
    for header in [&b"PROXY UNKNOWN\r\n"[..], rest, long.as_bytes()] {
        assert_eq!(shown(header), "nothing");
    }
}

#[test]
fn version_1_is_strict() {
    let cases = [
        ("PROXY TCP4 1.2.3.4 5.6.7.8 1024\r\n", BAD_LINE),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 1024 25 1\r\n", BAD_LINE),
        ("PROXY  TCP4 1.2.3.4 5.6.7.8 1024 25\r\n", BAD_LINE),
        ("PROXY TCP4 1.2.3.4  5.6.7.8 1024 25\r\n", BAD_LINE),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 1024 25 \r\n", BAD_LINE),
        ("PROXY UDP4 1.2.3.4 5.6.7.8 1024 25\r\n", BAD_LINE),
        ("PROXY tcp4 1.2.3.4 5.6.7.8 1024 25\r\n", BAD_LINE),
        ("PROXY X\r\nEHLO a\r\n", BAD_LINE),
        ("PROXY \r\n", BAD_LINE),
        ("PROXY TCP4 1.2.3.4 5.6.7 1024 25\r\n", BAD_ADDRESS),
        ("PROXY TCP4 1.2.3.04 5.6.7.8 1024 25\r\n", BAD_ADDRESS),
        ("PROXY TCP4 ::1 ::1 1024 25\r\n", BAD_ADDRESS),
        ("PROXY TCP6 1.2.3.4 5.6.7.8 1024 25\r\n", BAD_ADDRESS),
        ("PROXY TCP6 fe80::1%lo ::1 1024 25\r\n", BAD_ADDRESS),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 65536 25\r\n", BAD_PORT),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 1024 025\r\n", BAD_PORT),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 1024 +25\r\n", BAD_PORT),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 1024 25\r\r\n", BAD_PORT),
        ("PROXYTCP4", NO_SIGNATURE),
        ("EHLO a\r\n", NO_SIGNATURE),
        ("\r\n\r\nQUIT\r\n", NO_SIGNATURE),
    ];
    for (header, said) in cases {
        assert_eq!(shown(header.as_bytes()), said, "{header:?}");
    }
    let long = format!("PROXY UNKNOWN{}\r\n", "x".repeat(ONE_MOST - ONE_LEAST + 1));
    assert_eq!(shown(long.as_bytes()), LONG_LINE);
}

#[test]
fn version_2_tells_both_ends() {
    assert_eq!(shown(&two_of(0x21, 0x11, &FOUR)), "1.2.3.4:1024 5.6.7.8:25");
    let mut six = [0; 36];
    (six[0], six[15], six[31], six[35]) = (0x20, 1, 2, 25);
    assert_eq!(shown(&two_of(0x21, 0x21, &six)), "[2000::1]:0 [::2]:25");
}

#[test]
fn version_2_may_know_nothing() {
    let junk = [0xff; 300];
    let cases = [
        two_of(0x20, 0x00, b""),
        two_of(0x20, 0x11, &FOUR),
        two_of(0x20, 0xff, b"junk"),
        two_of(0x21, 0x00, &junk),
        two_of(0x21, 0x01, &junk),
        two_of(0x21, 0x10, &junk),
        two_of(0x21, 0x12, &FOUR),
        two_of(0x21, 0x22, &[0; 36]),
        two_of(0x21, 0x31, &[b'/'; 216]),
        two_of(0x20, 0x00, &[7; 65535]),
    ];
    for header in cases {
        assert_eq!(shown(&header), "nothing", "{:x?}", &header[12..]);
    }
}

#[test]
fn version_2_brings_facts() {
    let inner =
        [tlv(0x21, b"TLSv1.3"), tlv(0x22, b"me"), tlv(0x23, b"AES"), tlv(0x7f, b"")].concat();
    let ssl = [&[1, 0, 0, 0, 0][..], &inner].concat();
    let block = [&FOUR[..], &tlv(0x01, b"h2"), &tlv(0x20, &ssl), &tlv(0x02, b"a.example")].concat();
    let facts = "SSL_PROTOCOL=TLSv1.3 SSL_PEER_CERT_CN=me SSL_CIPHER=AES \
        SSL_TLS_SNI_SERVERNAME=a.example";
    assert_eq!(shown(&two_of(0x21, 0x11, &block)), format!("1.2.3.4:1024 5.6.7.8:25 {facts}"));
    let padded = [&FOUR[..], &tlv(0x04, &[0; 60_000])].concat();
    assert_eq!(shown(&two_of(0x21, 0x11, &padded)), "1.2.3.4:1024 5.6.7.8:25");
}

#[test]
fn version_2_is_strict() {
    let broken = |tlvs: &[u8]| two_of(0x21, 0x11, &[&FOUR[..], tlvs].concat());
    let cases = [
        (two_of(0x22, 0x11, &FOUR), BAD_COMMAND),
        (two_of(0x11, 0x11, &FOUR), BAD_COMMAND),
        (two_of(0x21, 0x41, &FOUR), BAD_FAMILY),
        (two_of(0x21, 0x13, &FOUR), BAD_FAMILY),
        (two_of(0x21, 0x11, &FOUR[..11]), SHORT_BLOCK),
        (two_of(0x21, 0x21, &FOUR), SHORT_BLOCK),
        (two_of(0x21, 0x31, &[0; 215]), SHORT_BLOCK),
        (broken(&[1]), BROKEN_TLV),
        (broken(&[1, 0, 1]), BROKEN_TLV),
        (broken(&tlv(0x20, &[0; 4])), BROKEN_TLV),
        (broken(&tlv(0x20, &[0, 0, 0, 0, 0, 0x21, 0, 1])), BROKEN_TLV),
        ([&TWO[..11], b"\r"].concat(), NO_SIGNATURE),
    ];
    for (header, said) in cases {
        assert_eq!(shown(&header), said, "{header:x?}");
    }
}

#[test]
fn an_unfinished_header_asks_for_no_more_than_its_rest() {
    let more = |bytes: &[u8]| read(bytes, Versions::Both);
    assert_eq!(more(b"PROXY TCP4 1.2.3.4 5.6.7.8 1024 25"), Step::More(2));
    assert_eq!(more(b"PROXY TCP4 1.2.3.4 5.6.7.8 1024 25\r"), Step::More(1));
    assert_eq!(more(b"PROXY TCP4 1.2.3.4 5.6.7.8 1024 25\n"), Step::More(2));
    assert_eq!(more(b"PROXY TCP4 1.2.3.4"), Step::More(8));
    assert_eq!(more(&two_of(0x21, 0x11, &FOUR)[..27]), Step::More(1));
}

#[test]
fn only_the_wanted_version_is_read() {
    let (one, two) = (one(None), two(None));
    let no = Step::Invalid(NO_SIGNATURE);
    let nothing = Step::Done(Header::Nothing);
    let said = |versions| [read(&one, versions), read(&two, versions)];
    assert_eq!(said(Versions::Both), [nothing.clone(), nothing.clone()]);
    assert_eq!(said(Versions::One), [nothing.clone(), no.clone()]);
    assert_eq!(said(Versions::Two), [no, nothing]);
    let first = [Versions::Both, Versions::One, Versions::Two].map(|v| read(b"", v));
    assert_eq!(first, [Step::More(15), Step::More(15), Step::More(16)]);
}

#[test]
fn what_is_made_is_read() {
    let end = |text: &str| text.parse::<SocketAddr>().unwrap();
    let cases = [
        ("1.2.3.4:5", "6.7.8.9:10", "1.2.3.4:5 6.7.8.9:10"),
        ("[::1]:5", "[::2]:10", "[::1]:5 [::2]:10"),
        ("1.2.3.4:5", "[::2]:10", "[::ffff:1.2.3.4]:5 [::2]:10"),
    ];
    for (remote, local, said) in cases {
        let ends = Some((end(remote), end(local)));
        assert_eq!([shown(&one(ends)), shown(&two(ends))], [said, said]);
    }
    assert_eq!([shown(&one(None)), shown(&two(None))], ["nothing", "nothing"]);
    assert_eq!(
        one(Some((end("1.2.3.4:5"), end("6.7.8.9:10")))),
        b"PROXY TCP4 1.2.3.4 6.7.8.9 5 10\r\n"
    );
}

#[test]
fn damaged_headers_do_no_harm() {
    let block =
        [&FOUR[..], &tlv(0x20, &[&[1, 0, 0, 0, 0][..], &tlv(0x22, b"me")].concat())].concat();
    let good = [
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1024 25\r\nEHLO a\r\n".to_vec(),
        b"PROXY TCP6 2001:db8::1 ::1 1024 25\r\nEHLO a\r\n".to_vec(),
        b"PROXY UNKNOWN x\r\nEHLO a\r\n".to_vec(),
        [&two_of(0x21, 0x11, &block)[..], b"EHLO a\r\n"].concat(),
        [&two_of(0x21, 0x21, &[0; 40])[..], b"EHLO a\r\n"].concat(),
    ];
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let mut seen = [0; 3];
    for _ in 0..100_000 {
        let mut bad = good[random.below(good.len())].clone();
        for _ in 0..1 + random.below(4) {
            let at = random.below(bad.len());
            match random.below(4) {
                0 => bad[at] = random.below(256) as u8,
                1 => bad[at] ^= 1 << random.below(8),
                2 => drop(bad.remove(at)),
                _ => bad.insert(at, bad[at]),
            }
        }
        let (step, count) = taken(&bad, Versions::Both, &mut random);
        let most = if bad.starts_with(ONE) { ONE_MOST } else { TWO_LEAST + 65535 };
        assert!(count <= most);
        match step {
            Step::Invalid(_) => seen[0] += 1,
            Step::More(more) => {
                assert!(count == bad.len() && more > 0 && count + more <= most);
                seen[1] += 1;
            }
            Step::Done(_) => seen[2] += 1,
        }
    }
    assert!(seen.iter().all(|count| *count > 1000), "{seen:?}");
}
