//! Reading compiled rules.

use crate::item::{denied, variables};
use crate::keys::{Lengths, Peer, each_key, shown};
use crate::network::Network;
use base::cdb::Reader;
use base::files::open_read;
use std::fs::{self, Metadata};
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// What rules say about a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The rule's address as people write it.
    pub key: Vec<u8>,
    /// The connection is refused.
    pub denied: bool,
    /// Variables to set, names and values, in this order.
    pub set: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What the rules say about this peer. `None`: no rule is for it, so it may come in.
pub fn lookup(rules: &Rules, peer: &Peer) -> io::Result<Option<Decision>> {
    Ok(rules.find(peer, |_| ())?.map(|found| Decision {
        key: shown(&found.key),
        denied: denied(&found.data),
        set: variables(&found.data).map(|(name, value)| (name.into(), value.into())).collect(),
    }))
}

/// The record that decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its key, as it is in the file.
    pub key: Vec<u8>,
    /// Its data: see [`crate::item`].
    pub data: Vec<u8>,
}

/// A file of compiled rules, open.
pub struct Rules {
    reader: Reader,
    lengths: Lengths,
    /// `None`: it has changed just before, and may change again without a trace.
    version: Option<Version>,
}

impl Rules {
    /// Opens the file. One that is shorter than the smallest database is a protocol error.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = open_read(path)?;
        let version = Some(Version::of(&file.metadata()?)).filter(Version::is_settled);
        Ok(Rules { reader: Reader::new(file)?, lengths: Lengths::all(), version })
    }

    /// The record for this peer. Every key is shown to `tried` before it is looked up.
    pub fn find(&self, peer: &Peer, mut tried: impl FnMut(&[u8])) -> io::Result<Option<Found>> {
        let end = each_key(peer, &self.lengths, |key| {
            tried(key);
            match self.reader.find(key) {
                Ok(None) => ControlFlow::Continue(()),
                Ok(Some(data)) => ControlFlow::Break(Ok(Found { key: key.to_vec(), data })),
                Err(why) => ControlFlow::Break(Err(why)),
            }
        });
        end.break_value().transpose()
    }

    /// Reads the file once to see which lengths of networks occur in it, and from then on tries
    /// no other. Worth it for whoever keeps the file open. Changes nothing if the file cannot be
    /// read: look-ups will say so.
    pub fn learn(&mut self) {
        let mut lengths = Lengths { four: Vec::new(), six: Vec::new() };
        let read = self.reader.each_key(|key| {
            if let Some(network) = Network::from_bits(key) {
                let known = if network.is_four() { &mut lengths.four } else { &mut lengths.six };
                if let Err(place) = known.binary_search_by(|known| network.length().cmp(known)) {
                    known.insert(place, network.length());
                }
            }
        });
        if read.is_ok() {
            self.lengths = lengths;
        }
    }

    /// Whether `path` is still the very file that was opened, unchanged. May say no without need.
    pub fn is_current(&self, path: &Path) -> bool {
        fs::metadata(path).is_ok_and(|now| self.version == Some(Version::of(&now)))
    }
}

/// Which file it is, and of when.
#[derive(PartialEq, Eq)]
struct Version {
    file: (u64, u64),
    size: u64,
    written: (i64, i64),
    changed: (i64, i64),
}

impl Version {
    fn of(file: &Metadata) -> Self {
        Version {
            file: (file.dev(), file.ino()),
            size: file.size(),
            written: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        }
    }

    /// The last change is so long ago that another one will have another time.
    fn is_settled(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.changed.0 + WHILE < now.as_secs() as i64
    }
}

/// Seconds; more than the time stamps of any file system are coarse.
const WHILE: i64 = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::records;
    use crate::dump::Dump;
    use ::tests::Random;
    use base::cdb::Writer;
    use std::path::PathBuf;
    use std::{env, process};

    fn path(name: &str) -> PathBuf {
        env::temp_dir().join(format!("rules-{}-{name}", process::id()))
    }

    fn write(path: &Path, text: &[u8]) {
        let mut writer = Writer::create(path).unwrap();
        records(text).iter().for_each(|(key, data)| writer.add(key, data).unwrap());
        writer.finish().unwrap();
    }

    const TEXT: &[u8] = b"10.1.:deny,A=\"b=c\",D=\"\"\n2001:db8::/32:allow\n2001:db8:1::/48:deny\n\
                          me@::1:allow,A=\"\"\n=.x:deny\n";

    fn peer(ip: &str) -> Peer<'_> {
        Peer { ip: ip.as_bytes(), host: None, info: Some(b"me") }
    }

    #[test]
    fn a_decision_has_the_rule_and_what_it_does() {
        let path = path("decision");
        write(&path, TEXT);
        let rules = Rules::open(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let of = |ip| lookup(&rules, &peer(ip)).unwrap();
        let decision = |key: &str, denied, set| Decision { key: key.into(), denied, set };
        let set = vec![(b"A".to_vec(), b"b=c".to_vec()), (b"D".to_vec(), Vec::new())];
        assert_eq!(of("10.1.2.3"), Some(decision("10.1.", true, set)));
        assert_eq!(of("2001:db8:2::"), Some(decision("2001:db8::/32", false, Vec::new())));
        let empty = vec![(b"A".to_vec(), Vec::new())];
        assert_eq!(of("0:0::1"), Some(decision("me@::1", false, empty)));
        assert_eq!(of("10.2.2.3"), None);
    }

    #[test]
    fn learned_lengths_change_no_decision() {
        let path = path("learned");
        write(&path, TEXT);
        let mut rules = Rules::open(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let peers = ["10.1.2.3", "2001:db8:1::", "2001:db8:2::", "::1", "::2", "1.2.3.4"].map(peer);
        let before = peers.map(|peer| lookup(&rules, &peer).unwrap());
        rules.learn();
        assert_eq!(rules.lengths, Lengths { four: Vec::new(), six: vec![48, 32] });
        assert_eq!(peers.map(|peer| lookup(&rules, &peer).unwrap()), before);
    }

    #[test]
    fn a_file_that_has_just_changed_is_never_current() {
        let path = path("current");
        write(&path, TEXT);
        let mut rules = Rules::open(&path).unwrap();
        assert!(!rules.is_current(&path));
        // As if time had passed since.
        rules.version = Some(Version::of(&fs::metadata(&path).unwrap()));
        assert!(rules.is_current(&path));
        fs::write(&path, b"").unwrap();
        assert!(!rules.is_current(&path));
        fs::remove_file(&path).unwrap();
        assert!(!rules.is_current(&path));
    }

    #[test]
    fn damaged_files_give_errors_or_decisions() {
        let path = path("damaged");
        write(&path, TEXT);
        let good = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let mut random = Random::new(1);
        for _ in 0..10_000 {
            let mut bad = good.clone();
            for _ in 0..1 + random.below(4) {
                // Most bytes of the head belong to tables without records.
                let at = if random.below(4) == 0 {
                    random.below(2048)
                } else {
                    2048 + random.below(good.len() - 2048)
                };
                bad[at] = [0, 1, 0x7f, 0xff, random.below(256) as u8][random.below(5)];
            }
            bad.truncate(if random.below(5) == 0 { random.below(bad.len()) } else { bad.len() });
            fs::write(&path, &bad).unwrap();
            let rules = Rules::open(&path);
            // A file that is written over is put on disk by some file systems: slow.
            fs::remove_file(&path).unwrap();
            let Ok(mut rules) = rules else { continue };
            let _ = lookup(&rules, &peer("10.1.2.3"));
            rules.learn();
            let _ = lookup(&rules, &peer("2001:db8::"));
            if let Ok(dump) = Dump::new(&rules.reader) {
                for record in rules.reader.records().map_while(Result::ok) {
                    let _ = dump.line(&record);
                }
            }
        }
    }
}
