//! One try of a message on one side: all recipients who have not been served yet.

use super::records::{Record, Records};
use super::rewrite::Side;
use super::schedule;
use super::trouble::{Trouble, later};
use queue::paths::Paths;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;

/// A message that is being tried.
pub struct Pass {
    /// The envelope sender.
    pub sender: Vec<u8>,
    /// The message is so old that this is its last try.
    pub last: bool,
    /// The next try, if one is needed.
    pub retry: u64,
    /// Deliveries that are going on.
    pub going: usize,
    /// All recipients have been looked at.
    pub complete: bool,
    /// Somebody has not been served.
    pub unfinished: bool,
    /// The file of recipients.
    pub path: PathBuf,
    records: Records,
}

/// The next recipient of a pass.
pub struct Recipient {
    /// Where his letter is in the file.
    pub at: u64,
    /// His address.
    pub address: Vec<u8>,
}

impl Pass {
    /// Opens the files of a message for a try that begins now.
    pub fn begin(
        paths: &Paths,
        side: Side,
        message: u64,
        now: u64,
        lifetime: u64,
    ) -> Result<Self, Trouble> {
        let info = info(paths, message)?;
        let path = paths.split(side.name(), message);
        let file = OpenOptions::new().read(true).write(true).open(&path);
        let records = Records::new(file.map_err(later("trouble opening", &path))?);
        Ok(Pass {
            sender: info.sender,
            last: now > info.birth.saturating_add(lifetime),
            retry: schedule::next_try(info.birth, now, side),
            going: 0,
            complete: false,
            unfinished: false,
            path,
            records,
        })
    }

    /// Begins where the deliveries to all who have not been served are going on already.
    pub fn resume(
        paths: &Paths,
        side: Side,
        message: u64,
        now: u64,
        lifetime: u64,
    ) -> Result<Self, Trouble> {
        let mut pass = Pass::begin(paths, side, message, now, lifetime)?;
        while pass.next()?.is_some() {
            pass.going += 1;
        }
        Ok(pass)
    }

    /// The next recipient who has not been served; `None` past the last one. A damaged file ends
    /// the pass too, unfinished.
    pub fn next(&mut self) -> Result<Option<Recipient>, Trouble> {
        loop {
            let trouble = match self.records.next() {
                Ok(Some(Record { letter: b'T', at, text })) => {
                    return Ok(Some(Recipient { at, address: text.to_vec() }));
                }
                Ok(Some(Record { letter: b'D', .. })) => continue,
                Ok(None) => {
                    self.complete = true;
                    return Ok(None);
                }
                Ok(Some(_)) => Trouble::new("unknown record type in", &self.path),
                Err(why) => later("trouble reading", &self.path)(why),
            };
            self.complete = true;
            self.unfinished = true;
            return Err(trouble);
        }
    }

    /// Notes that a recipient has been served. One byte, in place: a crash leaves the old letter
    /// or the new one, and the old one means a second delivery.
    pub fn mark_done(&self, at: u64) -> io::Result<()> {
        self.records.file().write_all_at(b"D", at)
    }
}

/// What `info/N` says.
pub struct Info {
    /// The envelope sender.
    pub sender: Vec<u8>,
    /// When the message came, in seconds: the time of the file.
    pub birth: u64,
}

/// Reads `info/N`.
pub fn info(paths: &Paths, message: u64) -> Result<Info, Trouble> {
    let path = paths.split("info", message);
    let file = File::open(&path).map_err(later("trouble opening", &path))?;
    let about = file.metadata().map_err(later("trouble reading", &path))?;
    let mut records = Records::new(file);
    let record = records.next().map_err(later("trouble reading", &path))?;
    match record {
        Some(record) if record.letter == b'F' => {
            Ok(Info { sender: record.text.to_vec(), birth: about.mtime().max(0) as u64 })
        }
        _ => Err(Trouble::new("unknown record type in", &path)),
    }
}
