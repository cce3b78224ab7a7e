//! Which user a local part belongs to: the lines of `users/assign`, the records of `users/cdb`
//! that qmail-newu makes of them, and what qmail-getpw answers. qmail-users(5).

use base::cdb::Reader;
use base::number;
use base::sys::ids::Account;
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// What separates a user's name from his extension.
pub const BREAK: u8 = b'-';

/// Fields of an assignment.
const FIELDS: usize = 6;

/// Names of accounts are shorter than this.
const NAME: usize = 32;

/// Whose a local part is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The user's name.
    pub user: OsString,
    /// His number.
    pub uid: u32,
    /// His group's number.
    pub gid: u32,
    /// His home folder.
    pub home: OsString,
    /// Between `.qmail` and the extension.
    pub dash: OsString,
    /// The extension.
    pub ext: OsString,
}

impl Assignment {
    /// Reads six fields, each ended by a NUL or the last one by the end. `None` if there are
    /// fewer, or if a number is none.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut fields = text.splitn(FIELDS + 1, |byte| *byte == 0);
        let mut field = || fields.next();
        Some(Assignment {
            user: string(field()?),
            uid: number(field()?)?,
            gid: number(field()?)?,
            home: string(field()?),
            dash: string(field()?),
            ext: string(field()?),
        })
    }

    /// What an account gets by itself: its own name, or with an extension whatever follows.
    pub fn of(account: Account, ext: Option<&[u8]>) -> Self {
        let Account { name, uid, gid, home, .. } = account;
        let dash = if ext.is_some() { [BREAK].to_vec() } else { Vec::new() };
        let ext = ext.unwrap_or_default().to_vec();
        let [user, home, dash, ext] = [name, home, dash, ext].map(OsString::from_vec);
        Assignment { user, uid, gid, home, dash, ext }
    }

    /// The six fields, each with a NUL behind it.
    pub fn fields(&self) -> Vec<u8> {
        let (uid, gid) = (self.uid.to_string(), self.gid.to_string());
        let [user, home, dash, ext] =
            [&self.user, &self.home, &self.dash, &self.ext].map(|field| field.as_bytes());
        let mut text = Vec::new();
        for field in [user, uid.as_bytes(), gid.as_bytes(), home, dash, ext] {
            text.extend_from_slice(field);
            text.push(0);
        }
        text
    }
}

/// A record of `users/cdb`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// `!`, then the local part in lower case, then NUL; or `!` and the start of local parts.
    pub key: Vec<u8>,
    /// The six fields with a NUL between them.
    pub data: Vec<u8>,
    /// The last character of the start of local parts, as it was written.
    pub wildcard: Option<u8>,
}

/// Reads a line of `users/assign`, without its newline: `=LOCAL:` or `+START:` and then six
/// fields, each with a colon behind it. What follows them is ignored. `None` if it is no such
/// line.
pub fn record(line: &[u8]) -> Option<Record> {
    let colon = memchr::memchr(b':', line)?;
    let ([kind, name @ ..], fields) = (&line[..colon], &line[colon + 1..]) else { return None };
    let end = memchr::memchr_iter(b':', fields).nth(FIELDS - 1)?;
    if line.contains(&0) {
        return None;
    }
    let data = fields[..end].iter().map(|byte| if *byte == b':' { 0 } else { *byte }).collect();
    Some(match kind {
        b'+' => Record { key: key(name, b""), data, wildcard: name.last().copied() },
        _ => Record { key: key(name, b"\0"), data, wildcard: None },
    })
}

/// Finds the assignment of a local part in `users/cdb`: that of itself, else that of its longest
/// start which has one; the rest of it is then added to the extension. A record that is none is
/// an error (`InvalidData`), and so is a database without the record of last characters.
pub fn find(users: &Reader, local: &[u8]) -> io::Result<Option<Assignment>> {
    let wildcards = users.find(b"")?.ok_or(ErrorKind::InvalidData)?;
    if let Some(data) = users.find(&key(local, b"\0"))? {
        return assignment(&data, b"").map(Some);
    }
    for end in (0..=local.len()).rev() {
        let (start, rest) = local.split_at(end);
        if start.last().is_some_and(|last| !wildcards.contains(&last.to_ascii_lowercase())) {
            continue;
        }
        if let Some(data) = users.find(&key(start, b""))? {
            return assignment(&data, rest).map(Some);
        }
    }
    Ok(None)
}

/// Whether every assignment of `users/cdb` is to this user number.
pub fn all_belong_to(users: &Reader, uid: u32) -> io::Result<bool> {
    for record in users.records() {
        let record = record?;
        if !record.key.is_empty() && assignment(&record.data, b"")?.uid != uid {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The accounts that a local part may name, each with the extension that is left then: the whole
/// of it, then what stands before a hyphen, the longest first. Names are in lower case.
pub fn accounts(local: &[u8]) -> impl Iterator<Item = (Vec<u8>, Option<&[u8]>)> {
    let ends = (0..=local.len().min(NAME - 1)).rev();
    ends.filter_map(move |end| match &local[end..] {
        [] => Some((local.to_ascii_lowercase(), None)),
        [BREAK, ext @ ..] => Some((local[..end].to_ascii_lowercase(), Some(ext))),
        _ => None,
    })
}

/// The key of a name.
fn key(name: &[u8], end: &[u8]) -> Vec<u8> {
    [b"!", &name.to_ascii_lowercase()[..], end].concat()
}

/// The assignment that a record's data and the rest of the local part make.
fn assignment(data: &[u8], rest: &[u8]) -> io::Result<Assignment> {
    Assignment::parse(&[data, rest].concat()).ok_or_else(|| ErrorKind::InvalidData.into())
}

fn string(field: &[u8]) -> OsString {
    OsString::from_vec(field.to_vec())
}

fn number(field: &[u8]) -> Option<u32> {
    number::decimal(field)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::tests::Random;
    use base::cdb::Writer;
    use std::fs;
    use std::path::PathBuf;

    const ASSIGN: &str = "=joe.Shmoe:joe:507:100:/home/joe:::\n\
        +joe-:joe:507:100:/home/joe:-::\n\
        +:alias:7790:2108:/var/qmail/alias:-:::more\n\
        =second:a:1:2:/a:::\n\
        =second:b:1:2:/b:::\n";

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("assign-{}-{name}", std::process::id()))
    }

    /// The bytes of the database that qmail-newu would make of these lines.
    fn database(name: &str, text: &str) -> Vec<u8> {
        let mut writer = Writer::create(&path(name)).unwrap();
        let mut wildcards = Vec::new();
        for line in text.lines() {
            let record = record(line.as_bytes()).unwrap();
            writer.add(&record.key, &record.data).unwrap();
            wildcards.extend(record.wildcard);
        }
        writer.add(b"", &wildcards).unwrap();
        writer.finish().unwrap();
        let bytes = fs::read(path(name)).unwrap();
        fs::remove_file(path(name)).unwrap();
        bytes
    }

    fn opened(name: &str, bytes: &[u8]) -> io::Result<Reader> {
        fs::write(path(name), bytes).unwrap();
        let reader = Reader::open(&path(name));
        fs::remove_file(path(name)).unwrap();
        reader
    }

    /// User, dash and extension of a local part.
    fn found(users: &Reader, local: &str) -> String {
        let found = find(users, local.as_bytes()).unwrap().unwrap();
        let [user, dash, ext] =
            [found.user, found.dash, found.ext].map(|f| f.into_string().unwrap());
        format!("{user} {} {dash} {ext}", found.uid)
    }

    #[test]
    fn the_whole_name_counts_first_and_then_its_longest_start() {
        let users = opened("find", &database("find", ASSIGN)).unwrap();
        let locals = ["JOE.shmoe", "joe-", "Joe-X.y-Z", "joe", "second", "joe.shmoe-x"];
        let expected = [
            "joe 507  ",
            "joe 507 - ",
            "joe 507 - X.y-Z",
            "alias 7790 - joe",
            "a 1  ",
            "alias 7790 - joe.shmoe-x",
        ];
        assert_eq!(locals.map(|local| found(&users, local)), expected);
        assert!(all_belong_to(&users, 507).is_ok_and(|all| !all));
    }

    #[test]
    fn without_a_catch_all_strangers_are_not_found() {
        let users = opened("none", &database("none", "+joe-:joe:507:100:/home/joe:-::\n")).unwrap();
        assert_eq!(find(&users, b"jim").unwrap(), None);
        assert_eq!(find(&users, b"").unwrap(), None);
        assert!(all_belong_to(&users, 507).unwrap());
    }

    #[test]
    fn a_line_needs_a_kind_and_six_fields() {
        let bad = ["", "joe", ":a:1:2:/:-::", "=a:b:1:2:/:-:", "=a:b\0:1:2:/:-::", "="];
        assert!(bad.iter().all(|line| record(line.as_bytes()).is_none()));
        let any = record(b"xJoe:u:1:2:/h:-:e:dropped").unwrap();
        assert_eq!((&any.key[..], &any.data[..]), (&b"!joe\0"[..], &b"u\x001\x002\0/h\0-\0e"[..]));
        let all = record(b"+:u:1:2:/h:-::").unwrap();
        assert_eq!((&all.key[..], all.wildcard), (&b"!"[..], None));
        let start = record(b"+JoE:u:1:2:/h:-::").unwrap();
        assert_eq!((&start.key[..], start.wildcard), (&b"!joe"[..], Some(b'E')));
    }

    #[test]
    fn fields_are_read_as_they_are_written() {
        let joe = Assignment {
            user: "joe".into(),
            uid: 507,
            gid: 100,
            home: "/home/joe".into(),
            dash: "-".into(),
            ext: "x".into(),
        };
        assert_eq!(joe.fields(), b"joe\x00507\x00100\0/home/joe\0-\0x\0");
        assert_eq!(Assignment::parse(&joe.fields()), Some(joe));
        let bad = ["", "a\x001\x002\0/\0-", "a\0x\x002\0/\0-\0", "a\x004294967296\x002\0/\0-\0"];
        assert!(bad.iter().all(|text| Assignment::parse(text.as_bytes()).is_none()));
    }

    #[test]
    fn the_longest_name_before_a_hyphen_is_the_first() {
        let shown = |local: &str| {
            let names = accounts(local.as_bytes()).map(|(name, ext)| {
                let ext = ext.map_or("none".into(), String::from_utf8_lossy);
                format!("{}:{ext}", String::from_utf8_lossy(&name))
            });
            names.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(shown("Man-DB-X"), "man-db-x:none man-db:X man:DB-X");
        assert_eq!(shown(""), ":none");
        assert_eq!(shown("-a"), "-a:none :a");
        let (short, long) = ("x".repeat(31), "x".repeat(32));
        assert_eq!(shown(&format!("{short}-a")), format!("{short}:a"));
        assert_eq!(shown(&format!("{long}-a")), "");
        assert_eq!(shown(&long), "");
    }

    #[test]
    fn damaged_lines_are_refused_or_read_within_themselves() {
        let mut random = Random::new(1);
        for _ in 0..10_000 {
            let mut bad = b"+joe-:joe:507:100:/home/joe:-:x:".to_vec();
            for _ in 0..1 + random.below(3) {
                let at = random.below(bad.len());
                bad[at] = b":+=.\0 \xffaZ"[random.below(9)];
            }
            bad.truncate(random.below(bad.len() + 1));
            if let Some(record) = record(&bad) {
                assert_eq!(record.data.iter().filter(|byte| **byte == 0).count(), FIELDS - 1);
                assert!(record.key.len() + record.data.len() <= bad.len() + 1, "{bad:?}");
            }
        }
    }

    #[test]
    fn damaged_databases_give_errors_or_answers_but_never_more() {
        let good = database("damaged", ASSIGN);
        let mut random = Random::new(1);
        for _ in 0..10_000 {
            let mut bad = good.clone();
            for _ in 0..1 + random.below(4) {
                let at = if random.below(2) == 0 {
                    random.below(bad.len())
                } else {
                    2048 + random.below(bad.len() - 2048)
                };
                bad[at] = [0, 1, 0x7f, 0x80, 0xff, random.below(256) as u8][random.below(6)];
            }
            bad.truncate(if random.below(3) == 0 { random.below(bad.len()) } else { bad.len() });
            let Ok(users) = opened("bad", &bad) else { continue };
            for local in ["joe.shmoe", "joe-x", "other", ""] {
                let _ = find(&users, local.as_bytes());
            }
            let _ = all_belong_to(&users, 507);
        }
    }
}
