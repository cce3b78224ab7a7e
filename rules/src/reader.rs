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
        for record in self.reader.records() {
            let Ok(record) = record else { return };
            if let Some(network) = Network::from_bits(&record.key) {
                let known = if network.is_four() { &mut lengths.four } else { &mut lengths.six };
                if let Err(place) = known.binary_search_by(|known| network.length().cmp(known)) {
                    known.insert(place, network.length());
                }
            }
        }
        self.lengths = lengths;
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
