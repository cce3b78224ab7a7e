//! From records back to lines.

use crate::address::{Address, ip, spellings};
use crate::item::{denied, variables};
use crate::line::{self, Line};
use crate::network::Network;
use base::cdb::{Reader, Record};
use std::io;

/// A compiled file, to be turned back into text.
pub struct Dump<'a> {
    file: &'a Reader,
    /// IPv4 networks stay keys of bits.
    keep_bits: bool,
}

impl<'a> Dump<'a> {
    /// Reads the file once. tcprules would make addresses of an IPv4 network of more than 24 bits,
    /// which come before host names, while bits come after them: if both occur, so that it might
    /// matter, all IPv4 networks stay as they are.
    pub fn new(file: &'a Reader) -> io::Result<Self> {
        let (mut names, mut small) = (false, false);
        for record in file.records() {
            match &record?.key[..] {
                [b'=', first, ..] if *first != b'.' => names = true,
                key => {
                    let network = Network::from_bits(key).filter(Network::is_four);
                    small |= network.is_some_and(|network| network.length() > 24);
                }
            }
        }
        Ok(Dump { file, keep_bits: names && small })
    }

    /// The line, with its newline, that says what this record of the file does. A record that
    /// decides nothing, and that no line makes, becomes a comment. `None`: it is a second spelling
    /// of an IPv6 address whose first one is in the file, and the line of that makes both.
    pub fn line(&self, record: &Record) -> io::Result<Option<Vec<u8>>> {
        let Record { key, data } = record;
        let written = match Network::from_bits(key) {
            Some(network) => self.network(key, network)?,
            None => self.spelled(key)?,
        };
        let line = match written {
            Written::As(address) => rule(&address, data),
            Written::ByAnother => return Ok(None),
            Written::Never => None,
        };
        Ok(Some(line.unwrap_or_else(|| comment(key, data))))
    }

    /// How a key of bits is written. A prefix in text comes before all networks, so one that
    /// covers a network leaves it without effect; written as CIDR it would become longer prefixes.
    fn network<'k>(&self, key: &'k [u8], network: Network) -> io::Result<Written<'k>> {
        let text = network.to_string();
        if network.is_four() {
            if self.keep_bits {
                return Ok(Written::As(Address::Literal(key)));
            }
            let shorter = (8..network.length()).step_by(8);
            let dots = text.match_indices('.').map(|(at, _)| &text[..=at]);
            for (_, prefix) in shorter.zip(dots) {
                if self.has(prefix.as_bytes())? {
                    return Ok(Written::Never);
                }
            }
        } else if Network::parse(text.as_bytes()) != Some(network) {
            // IPv4 in IPv6: such a peer is looked up as IPv4 only.
            return Ok(Written::Never);
        }
        Ok(Written::As(Address::Network(network)))
    }

    /// How a key that is not of bits is written.
    fn spelled<'k>(&self, key: &'k [u8]) -> io::Result<Written<'k>> {
        let start = key.iter().rposition(|byte| *byte == b'@').map_or(0, |at| at + 1);
        let (info, rest) = key.split_at(start);
        let Some(ip) = ip(rest).filter(|_| rest.contains(&b':')) else {
            return Ok(Written::As(Address::Literal(key)));
        };
        let texts = spellings(ip);
        let Some(place) = texts.iter().position(|text| text == rest) else {
            return Ok(Written::Never);
        };
        for better in &texts[..place] {
            if self.has(&[info, better].concat())? {
                return Ok(Written::ByAnother);
            }
        }
        // Canonical text that ends in a colon is a prefix, too, which the others are not.
        let whole = [&texts[0][..], b"/128"].concat();
        let alone = place > 0 && info.is_empty() && texts[0].ends_with(b":");
        let alone = Network::parse(&whole).filter(|_| alone);
        Ok(Written::As(alone.map_or(Address::Full { info, ip }, Address::Network)))
    }

    fn has(&self, key: &[u8]) -> io::Result<bool> {
        Ok(self.file.find(key)?.is_some())
    }
}

/// How a key is written in a rule.
enum Written<'a> {
    /// As this address.
    As(Address<'a>),
    /// By the line of a better spelling, which the file has too.
    ByAnother,
    /// Not at all: it decides nothing, and its text would.
    Never,
}

/// The line for an address, with its newline. `None` if tcprules would take it for something else.
fn rule(address: &Address, data: &[u8]) -> Option<Vec<u8>> {
    let mut line = match address {
        Address::Full { info, ip } => [*info, ip.to_string().as_bytes()].concat(),
        Address::Network(network) => network.to_string().into_bytes(),
        Address::Literal(text) => text.to_vec(),
        Address::Range { .. } => return None,
    };
    instructions(&mut line, data);
    let mut made = Vec::new();
    let same = line::parse(&line, &mut made) == Line::Rule(*address)
        && denied(&made) == denied(data)
        && variables(&made).eq(variables(data))
        && !line.contains(&b'\n');
    line.push(b'\n');
    same.then_some(line)
}

/// Appends `:allow` or `:deny` and the variables.
fn instructions(line: &mut Vec<u8>, data: &[u8]) {
    line.extend_from_slice(if denied(data) { b":deny" } else { b":allow" });
    for (name, value) in variables(data) {
        let quote = quote(value);
        for part in [b",", name, b"=", &[quote], value, &[quote]] {
            line.extend_from_slice(part);
        }
    }
}

/// A byte to put around a value: not in it, and no blank. There is one, as a value has no NUL.
fn quote(value: &[u8]) -> u8 {
    let usual = b"\"'/|!%^~+".iter().copied();
    let mut choices = usual.chain(33..=126).chain(128..=255).chain(1..8);
    choices.find(|quote| !value.contains(quote)).unwrap_or(0)
}

/// A record as a comment.
fn comment(key: &[u8], data: &[u8]) -> Vec<u8> {
    let mut line = [b"# ", key].concat();
    instructions(&mut line, data);
    for byte in line.iter_mut().filter(|byte| **byte == b'\n') {
        *byte = b'?';
    }
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Peer;
    use crate::reader::{Rules, lookup};
    use ::tests::Random;
    use base::cdb::Writer;
    use std::path::{Path, PathBuf};
    use std::{env, fs, process};

    fn path(name: &str) -> PathBuf {
        env::temp_dir().join(format!("dump-{}-{name}", process::id()))
    }

    fn write(path: &Path, records: &[(Vec<u8>, Vec<u8>)]) {
        let mut writer = Writer::create(path).unwrap();
        records.iter().for_each(|(key, data)| writer.add(key, data).unwrap());
        writer.finish().unwrap();
    }

    /// All lines of a file.
    fn dumped(path: &Path) -> Vec<u8> {
        let file = Reader::open(path).unwrap();
        let dump = Dump::new(&file).unwrap();
        let lines = file.records().map(|record| dump.line(&record.unwrap()).unwrap());
        lines.flatten().flatten().collect()
    }

    fn shown(name: &str, records: &[(&[u8], &[u8])]) -> String {
        let records: Vec<_> = records.iter().map(|(k, d)| (k.to_vec(), d.to_vec())).collect();
        write(&path(name), &records);
        let text = String::from_utf8_lossy(&dumped(&path(name))).into_owned();
        fs::remove_file(path(name)).unwrap();
        text
    }

    #[test]
    fn records_become_lines() {
        let records: [(&[u8], &[u8]); 7] = [
            (b"1.2.3.4", b""),
            (b"=.x", b"D\0+A=\"b'\0"),
            (b"_0000e0g0", b"+A=\0D\0rest"),
            (b"^00`000000000000a0000bc0de0fgh000", b"+odd\0"),
            (b"2001:db8::1", b""),
            (b"2001:0DB8:0000:0000:0000:0000:0000:0001", b"D\0"),
            (b"me@2001:0DB8:0000:0000:0000:0000:0000:0001", b"D\0"),
        ];
        let lines = "1.2.3.4:allow\n=.x:deny,A=/\"b'/\n10.0.0.0/8:deny,A=\"\"\n2001:db8::/32:allow\n\
                     2001:db8::1:allow\nme@2001:db8::1:deny\n";
        assert_eq!(shown("lines", &records), lines);
    }

    #[test]
    fn records_without_effect_become_comments() {
        let records: [(&[u8], &[u8]); 8] = [
            (b"10.", b""),
            (b"_0000e0g0000l", b"D\0"),
            (b"1.2.3.4-5", b""),
            (b"10.0.0.0/8", b""),
            (b"#", b"+A=b\0"),
            (b"a\nb", b"+A=\n\0"),
            (b"2001:DB8::1", b""),
            (b"::ffff:1.2.3.4", b""),
        ];
        let lines = "10.:allow\n# _0000e0g0000l:deny\n# 1.2.3.4-5:allow\n# 10.0.0.0/8:allow\n\
                     # #:allow,A=\"b\"\n# a?b:allow,A=\"?\"\n# 2001:DB8::1:allow\n# ::ffff:1.2.3.4:allow\n";
        assert_eq!(shown("comments", &records), lines);
    }

    #[test]
    fn one_address_does_not_become_a_prefix() {
        let full = b"2001:0DB8:0000:0000:0000:0000:0000:0000";
        assert_eq!(shown("alone", &[(full, b"")]), "2001:db8::/128:allow\n");
        assert_eq!(shown("alone", &[(b"2001:db8::", b""), (full, b"")]), "2001:db8:::allow\n");
    }

    #[test]
    fn bits_stay_where_addresses_would_come_before_names() {
        let key = Network::parse(b"192.0.2.0/25").unwrap().bits();
        let text = String::from_utf8(key.clone()).unwrap();
        let records: [(&[u8], &[u8]); 3] = [(&key, b""), (b"=h", b"D\0"), (b"_0000e0g0", b"")];
        assert_eq!(shown("bits", &records), format!("{text}:allow\n=h:deny\n_0000e0g0:allow\n"));
        assert_eq!(shown("bits", &records[..1]), "192.0.2.0/25:allow\n");
    }

    /// A key that may have to do with this peer.
    fn some_key(peer: &str, random: &mut Random) -> Vec<u8> {
        let (text, ip) = (peer.as_bytes(), peer.parse().unwrap());
        let spellings = spellings(ip);
        let separators: Vec<usize> =
            (0..text.len()).filter(|at| b".:".contains(&text[*at])).collect();
        match random.below(9) {
            0 => text.to_vec(),
            1 => [b"me@", &spellings[random.below(spellings.len())][..]].concat(),
            2 | 3 => text[..=separators[random.below(separators.len())]].to_vec(),
            4 => spellings[random.below(spellings.len())].clone(),
            5 => peer.to_uppercase().into_bytes(),
            6 => [&b"=a.b"[..], b"=.b", b"=", b"", b"me@=a.b"][random.below(5)].to_vec(),
            _ => {
                let mut bits = crate::network::bits(ip);
                bits.truncate(1 + random.below(bits.len()));
                bits
            }
        }
    }

    #[test]
    fn what_is_dumped_and_compiled_decides_the_same() {
        let mut random = Random::new(1);
        let (first, second) = (path("first"), path("second"));
        for _ in 0..500 {
            // Few addresses, so that rules meet each other and their peers.
            let peers: [String; 4] = std::array::from_fn(|_| match random.below(3) {
                0 => format!("2001:db8:{}::{}", random.below(2), 1 + random.below(2)),
                1 => format!("1:0:2:3:4:5:6:{}", random.below(2)),
                _ => format!(
                    "10.{}.{}.{}",
                    random.below(2) * 16,
                    random.below(2),
                    random.below(3) * 100
                ),
            });
            let record = |number| {
                let key = some_key(&peers[random.below(4)], &mut random);
                (key, format!("+N={number}\0").into_bytes())
            };
            write(&first, &(0..15).map(record).collect::<Vec<_>>());
            let text = dumped(&first);
            write(&second, &crate::compile::records(&text));
            let (old, new) = (Rules::open(&first).unwrap(), Rules::open(&second).unwrap());
            for peer in &peers {
                for (host, info) in [(None, None), (Some(&b"a.b"[..]), Some(&b"me"[..]))] {
                    let peer = Peer { ip: peer.as_bytes(), host, info };
                    let set = |rules| lookup(rules, &peer).unwrap().map(|found| found.set);
                    assert_eq!(
                        set(&old),
                        set(&new),
                        "{peer:?}\n{}",
                        String::from_utf8_lossy(&text)
                    );
                }
            }
        }
        fs::remove_file(first).unwrap();
        fs::remove_file(second).unwrap();
    }
}
