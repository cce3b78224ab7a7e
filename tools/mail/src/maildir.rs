//! Delivery into a Maildir: a folder with `tmp`, `new` and `cur`, one file a message, no locks.
//! maildir(5).

use base::errno;
use base::sys::clock;
use base::sys::fd;
use base::sys::folder::Folder;
use base::sys::host;
use std::ffi::OsString;
use std::fmt::{self, Display, Formatter};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// Bytes copied at once.
const BLOCK: usize = 65536;

/// A delivery that takes longer is given up: readers remove what is older in `tmp`.
const LIMIT: Duration = Duration::from_secs(86400);

/// How often a name that is taken is tried again with the time of then.
const TRIES: usize = 3;

/// The pause before that.
const PAUSE: Duration = Duration::from_secs(2);

/// Why a message was not delivered. Nothing of it is left. Shown in words for its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// There is no such folder.
    Folder,
    /// It took a day.
    Timeout,
    /// The message cannot be read.
    Message,
    /// Anything else: the disk is full, `tmp` or `new` is missing or a link.
    Other,
}

impl Display for Failure {
    fn fmt(&self, to: &mut Formatter) -> fmt::Result {
        to.write_str(match self {
            Failure::Folder => "Unable to chdir to maildir. (#4.2.1)",
            Failure::Timeout => "Timeout on maildir delivery. (#4.3.0)",
            Failure::Message => "Unable to read message. (#4.3.0)",
            Failure::Other => "Temporary error on maildir delivery. (#4.3.0)",
        })
    }
}

/// File names that no other delivery has: `TIME.PID.HOST`, and `TIME.PID_N.HOST` for the Nth
/// delivery of one process.
pub struct Names {
    process: u32,
    host: Vec<u8>,
    /// Deliveries so far.
    count: u64,
}

impl Names {
    /// The names of this process.
    pub fn ours() -> Self {
        Names { process: std::process::id(), host: host::name(), count: 0 }
    }

    /// The name of the delivery that is under way.
    fn name(&self, seconds: u64) -> OsString {
        let nth = if self.count < 2 { String::new() } else { format!("_{}", self.count) };
        let mut name = format!("{seconds}.{}{nth}.", self.process).into_bytes();
        for byte in &self.host {
            match byte {
                // A slash would lead elsewhere; after a colon readers keep their flags.
                b'/' => name.extend_from_slice(b"\\057"),
                b':' => name.extend_from_slice(b"\\072"),
                byte => name.push(*byte),
            }
        }
        OsString::from_vec(name)
    }
}

/// A message in `tmp` that need not be on disk yet. It stays there until it is published.
pub struct Written {
    place: Place,
    file: File,
}

/// Where a message is, and where it goes.
struct Place {
    tmp: Folder,
    new: Folder,
    name: OsString,
}

/// Delivers a message behind `head` into the Maildir of this path. It is written and synced in
/// `tmp`, linked into `new`, and `new` is synced: a crash leaves a whole message in `new` or none.
/// `tmp` and `new` must be folders, not links to some.
pub fn deliver(
    path: &Path,
    names: &mut Names,
    head: &[u8],
    message: BorrowedFd,
) -> Result<(), Failure> {
    let written = write(path, names, head, message)?;
    publish(vec![written]).into_iter().collect()
}

/// The first half of a delivery: the message is in `tmp`.
pub fn write(
    path: &Path,
    names: &mut Names,
    head: &[u8],
    message: BorrowedFd,
) -> Result<Written, Failure> {
    let maildir = Folder::open(path).map_err(|why| match errno::is_temporary(&why) {
        true => Failure::Other,
        false => Failure::Folder,
    })?;
    let tmp = maildir.folder("tmp").map_err(other)?;
    let new = maildir.folder("new").map_err(other)?;
    let (name, file) = create(&tmp, names).map_err(other)?;
    let place = Place { tmp, new, name };
    match copy(&file, head, message) {
        Ok(()) => Ok(Written { place, file }),
        Err(why) => {
            place.leave_tmp();
            Err(why)
        }
    }
}

/// The second half, for many messages that share the waits for the disk: all are synced, then
/// linked into `new`, and then each `new` is synced once. How each has ended, in their order.
pub fn publish(messages: Vec<Written>) -> Vec<Result<(), Failure>> {
    if messages.len() > 1 {
        messages.iter().for_each(|message| fd::start_write_back(message.file.as_fd()));
    }
    let mut ends: Vec<_> = messages.into_iter().map(Written::sync).collect();
    // Not before all are synced: a new name would have the next file wait for the disk again.
    for (place, end) in &mut ends {
        if end.is_ok() {
            *end = place.link();
        }
    }
    let mut folders = Folders::default();
    let settle = |(place, end): (Place, io::Result<()>)| {
        let end = end.and_then(|()| place.settle(&mut folders));
        // After the link: a crash between them leaves two names, never none.
        place.leave_tmp();
        end.map_err(other)
    };
    ends.into_iter().map(settle).collect()
}

impl Written {
    /// Has it on disk.
    fn sync(self) -> (Place, io::Result<()>) {
        let Written { place, file } = self;
        let synced = file.sync_all().and_then(|()| fd::close_written(file));
        (place, synced)
    }
}

/// Folders that have been synced, and whether that went well.
#[derive(Default)]
struct Folders(Vec<((u64, u64), bool)>);

impl Folders {
    /// Puts the names in a folder on disk, unless that was tried already.
    fn sync(&mut self, folder: &Folder) -> io::Result<()> {
        let identity = folder.identity()?;
        match self.0.iter().find(|(other, _)| *other == identity) {
            Some((_, true)) => Ok(()),
            Some((_, false)) => Err(ErrorKind::Other.into()),
            None => {
                let synced = folder.sync();
                self.0.push((identity, synced.is_ok()));
                synced
            }
        }
    }
}

impl Place {
    fn link(&self) -> io::Result<()> {
        self.tmp.link(&self.name, &self.new, &self.name)
    }

    /// Puts the name in `new` on disk, or takes it away.
    fn settle(&self, folders: &mut Folders) -> io::Result<()> {
        folders.sync(&self.new).inspect_err(|_| {
            // Nobody may rely on it, and it will come again.
            let _ = self.new.unlink(&self.name);
        })
    }

    fn leave_tmp(&self) {
        let _ = self.tmp.unlink(&self.name);
    }
}

fn other(_: io::Error) -> Failure {
    Failure::Other
}

/// Creates a file under a name of its own.
fn create(tmp: &Folder, names: &mut Names) -> io::Result<(OsString, File)> {
    names.count += 1;
    let mut tries = 1;
    loop {
        let name = names.name(clock::seconds());
        match tmp.create(&name, 0o600) {
            Err(why) if why.kind() == ErrorKind::AlreadyExists && tries < TRIES => {
                tries += 1;
                clock::pause(PAUSE);
            }
            other => return Ok((name, other?)),
        }
    }
}

/// Writes all.
fn copy(file: &File, head: &[u8], message: BorrowedFd) -> Result<(), Failure> {
    let end = Instant::now() + LIMIT;
    let mut block = Vec::with_capacity(BLOCK + head.len());
    block.extend_from_slice(head);
    loop {
        let count = fd::append(message, &mut block).map_err(|_| Failure::Message)?;
        fd::write_all(file.as_fd(), &block).map_err(other)?;
        if count == 0 {
            return Ok(());
        }
        if Instant::now() > end {
            return Err(Failure::Timeout);
        }
        block.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_one_process_differ_in_a_count() {
        let named = |count| {
            let names = Names { process: 7, host: b"a/b:c.example".to_vec(), count };
            names.name(11).into_string().unwrap()
        };
        let expected = ["11.7.", "11.7_2.", "11.7_3."].map(|s| format!("{s}a\\057b\\072c.example"));
        assert_eq!([1, 2, 3].map(named), expected);
    }
}
