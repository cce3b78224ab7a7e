//! Delivery into a Maildir: a folder with `tmp`, `new` and `cur`, one file a message, no locks.
//! maildir(5).

use base::errno;
use base::sys::clock;
use base::sys::fd;
use base::sys::folder::Folder;
use base::sys::host;
use std::ffi::{OsStr, OsString};
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

/// Delivers a message behind `head` into the Maildir of this path. It is written and synced in
/// `tmp`, linked into `new`, and `new` is synced: a crash leaves a whole message in `new` or none.
/// `tmp` and `new` must be folders, not links to some.
pub fn deliver(
    path: &Path,
    names: &mut Names,
    head: &[u8],
    message: BorrowedFd,
) -> Result<(), Failure> {
    let maildir = Folder::open(path).map_err(|why| match errno::is_temporary(&why) {
        true => Failure::Other,
        false => Failure::Folder,
    })?;
    let tmp = maildir.folder("tmp").map_err(other)?;
    let new = maildir.folder("new").map_err(other)?;
    let (name, file) = create(&tmp, names).map_err(other)?;
    let done = write(file, head, message).and_then(|()| publish(&tmp, &new, &name).map_err(other));
    // After the link: a crash between them leaves two names, never none.
    let _ = tmp.unlink(&name);
    done
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

/// Writes all and has it on disk.
fn write(file: File, head: &[u8], message: BorrowedFd) -> Result<(), Failure> {
    let end = Instant::now() + LIMIT;
    let mut block = Vec::with_capacity(BLOCK + head.len());
    block.extend_from_slice(head);
    loop {
        let count = fd::append(message, &mut block).map_err(|_| Failure::Message)?;
        fd::write_all(file.as_fd(), &block).map_err(other)?;
        if count == 0 {
            break;
        }
        if Instant::now() > end {
            return Err(Failure::Timeout);
        }
        block.clear();
    }
    file.sync_all().and_then(|()| fd::close_written(file)).map_err(other)
}

/// Gives the file in `tmp` its name in `new`, and puts that on disk.
fn publish(tmp: &Folder, new: &Folder, name: &OsStr) -> io::Result<()> {
    tmp.link(name, new, name)?;
    new.sync().inspect_err(|_| {
        // Nobody may rely on it, and it will come again.
        let _ = new.unlink(name);
    })
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
