//! Appending to a file of messages, each behind a line that starts with `From `. mbox(5).

use base::errno::words;
use base::files::{open_append, open_read, sync_folder};
use base::sys::{fd, ids, lock};
use std::fmt::{self, Display, Formatter};
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Bytes read at once.
const BLOCK: usize = 65536;

/// Why a message was not appended. Shown in words for its sender.
pub enum Failure {
    /// The file cannot be opened.
    Open(PathBuf, io::Error),
    /// The message cannot be read. The file is as it was.
    Message(io::Error),
    /// The file cannot be written. It is as it was, if it could be locked.
    File(PathBuf, io::Error),
}

impl Display for Failure {
    fn fmt(&self, to: &mut Formatter) -> fmt::Result {
        match self {
            Failure::Open(name, why) => {
                write!(to, "Unable to open {}: {}. (#4.2.1)", name.display(), words(why))
            }
            Failure::Message(why) => {
                write!(to, "Unable to read message: {}. (#4.3.0)", words(why))
            }
            Failure::File(name, why) => {
                write!(to, "Unable to write {}: {}. (#4.3.0)", name.display(), words(why))
            }
        }
    }
}

/// A file of messages, open for appending.
pub struct Mbox {
    file: File,
    name: PathBuf,
    /// Nobody else appends.
    locked: bool,
    /// Created just now: its name is not on disk yet.
    fresh: bool,
    /// Why that which has taken its place cannot be opened.
    replaced: Option<Failure>,
}

impl Mbox {
    /// Opens it, creating it with mode 0600. A name by which a stranger may have led us to another
    /// file of ours is refused (EPERM): a link that is neither ours nor root's, or one of several
    /// names of a file unless it and its folder are ours.
    pub fn open(name: &Path) -> Result<Self, Failure> {
        let (file, fresh) = open(name).map_err(|why| Failure::Open(name.to_owned(), why))?;
        Ok(Mbox { file, name: name.to_owned(), locked: false, fresh, replaced: None })
    }

    /// Waits until nobody else has it locked. Whoever had it may have put another file in its place,
    /// as maildir2mbox does: then that one counts. Where files cannot be locked it goes on without.
    pub fn lock(&mut self) {
        loop {
            self.locked = lock::exclusive(self.file.as_fd()).is_ok();
            match Mbox::open(&self.name) {
                Ok(other) if self.is_same(&other) => return,
                Ok(other) => *self = other,
                Err(why) => return self.replaced = Some(why),
            }
        }
    }

    fn is_same(&self, other: &Mbox) -> bool {
        let number = |about: Metadata| (about.dev(), about.ino());
        let [ours, others] = [self, other].map(|mbox| mbox.file.metadata().map(number));
        // What cannot be told is no reason to wait for ever.
        ours.is_err() || others.is_err() || ours.ok() == others.ok()
    }

    /// Appends `head`, the message with its From lines quoted, and an empty line, and has it all
    /// on disk. Failing, it cuts the file back to its old length. What an outage has left of a
    /// message gets the empty line that it lacks.
    pub fn append(mut self, head: &[u8], message: BorrowedFd) -> Result<(), Failure> {
        if let Some(failure) = self.replaced.take() {
            return Err(failure);
        }
        let before = self.file.metadata().map_err(|why| self.lost(why))?;
        if !before.is_file() {
            return Err(self.lost(ErrorKind::InvalidInput.into()));
        }
        let repair = if self.locked { self.repair(before.len()) } else { b"" };
        let done = self.write(&[repair, head].concat(), message);
        if done.is_err() && self.locked {
            let _ = self.file.set_len(before.len());
        }
        done
    }

    /// What has to follow before a message can begin: nothing, unless whoever wrote the last one was
    /// killed. If the end cannot be seen, it is taken to be good.
    fn repair(&self, length: u64) -> &'static [u8] {
        let mut end = [b'\n'; 2];
        let seen = length.min(2) as usize;
        if let Ok(file) = open_read(&self.name) {
            let _ = file.read_exact_at(&mut end[2 - seen..], length - seen as u64);
        }
        match end {
            [b'\n', b'\n'] => b"",
            [_, b'\n'] => b"\n",
            _ => b"\n\n",
        }
    }

    fn write(&self, head: &[u8], message: BorrowedFd) -> Result<(), Failure> {
        let mut quoter = Quoter::default();
        let mut block = vec![0; BLOCK];
        let mut quoted = head.to_vec();
        loop {
            let count = fd::read(message, &mut block).map_err(Failure::Message)?;
            match count {
                0 => quoter.end(&mut quoted),
                _ => quoter.quote(&block[..count], &mut quoted),
            }
            fd::write_all(self.file.as_fd(), &quoted).map_err(|why| self.lost(why))?;
            quoted.clear();
            if count == 0 {
                return self.sync().map_err(|why| self.lost(why));
            }
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_all()?;
        if !self.fresh {
            return Ok(());
        }
        match sync_folder(self.name.parent().unwrap_or(Path::new("."))) {
            // A folder that is not to be read cannot be synced.
            Err(why) if why.kind() == ErrorKind::PermissionDenied => Ok(()),
            other => other,
        }
    }

    fn lost(&self, why: io::Error) -> Failure {
        Failure::File(self.name.clone(), why)
    }
}

/// The open file, and whether it was created.
fn open(name: &Path) -> io::Result<(File, bool)> {
    let me = ids::effective_uid();
    let is_strangers = |link: &Metadata| link.is_symlink() && ![me, 0].contains(&link.uid());
    if fs::symlink_metadata(name).is_ok_and(|link| is_strangers(&link)) {
        return Err(ErrorKind::PermissionDenied.into());
    }
    let (file, fresh) = match open_append(name, false) {
        Err(why) if why.kind() == ErrorKind::NotFound => (open_append(name, true)?, true),
        other => (other?, false),
    };
    let about = file.metadata()?;
    if about.is_file() && about.nlink() > 1 && (about.uid() != me || folder_owner(name)? != me) {
        return Err(ErrorKind::PermissionDenied.into());
    }
    Ok((file, fresh))
}

/// Who can put other files under this name: the owner of the folder that it leads to.
fn folder_owner(name: &Path) -> io::Result<u32> {
    let name = fs::canonicalize(name)?;
    Ok(fs::metadata(name.parent().unwrap_or(Path::new("/")))?.uid())
}

/// What may follow any number of `>` at the start of a line that is quoted by one more.
const FROM: &[u8] = b"From ";

/// Quotes a message block by block: a line of any number of `>` and then `From ` gets one `>`
/// more.
#[derive(Default)]
pub struct Quoter {
    /// Bytes of [`FROM`] seen at the start of a line and held back.
    held: usize,
    /// Past the place where a line may turn out to be a From line.
    inside: bool,
    /// The line has a byte.
    open: bool,
}

impl Quoter {
    /// Appends a block of the message to `quoted`.
    pub fn quote(&mut self, block: &[u8], quoted: &mut Vec<u8>) {
        let mut rest = block;
        while let [byte, tail @ ..] = rest {
            if self.inside {
                let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
                quoted.extend_from_slice(&rest[..end]);
                self.open = !rest[..end].ends_with(b"\n");
                self.inside = self.open;
                rest = &rest[end..];
                continue;
            }
            self.open = true;
            if FROM[self.held] == *byte {
                self.held += 1;
                rest = tail;
                if self.held == FROM.len() {
                    quoted.push(b'>');
                    self.release(quoted);
                }
            } else if self.held == 0 && *byte == b'>' {
                quoted.push(b'>');
                rest = tail;
            } else {
                self.release(quoted);
            }
        }
    }

    /// Ends the message: its last line gets a newline if it has none, and an empty line follows.
    pub fn end(&mut self, quoted: &mut Vec<u8>) {
        self.release(quoted);
        if self.open {
            quoted.push(b'\n');
        }
        quoted.push(b'\n');
    }

    /// Lets what was held back go: the line is decided.
    fn release(&mut self, quoted: &mut Vec<u8>) {
        quoted.extend_from_slice(&FROM[..self.held]);
        self.held = 0;
        self.inside = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message quoted in blocks of this size.
    fn quoted(message: &[u8], block: usize) -> Vec<u8> {
        let (mut quoter, mut all) = (Quoter::default(), Vec::new());
        for part in message.chunks(block) {
            quoter.quote(part, &mut all);
        }
        quoter.end(&mut all);
        all
    }

    #[test]
    fn from_lines_are_quoted_wherever_blocks_end() {
        let message =
            b"From a\n>From b\n>>>From c\n\nFrom\nFro\n >From \n>Fron\n> From \n>\nfrom \nFrom ";
        let expected = b">From a\n>>From b\n>>>>From c\n\nFrom\nFro\n >From \n>Fron\n> From \n>\nfrom \n>From \n\n";
        for block in 1..message.len() + 1 {
            assert_eq!(quoted(message, block), expected, "{block}");
        }
    }

    #[test]
    fn a_message_ends_in_one_newline_and_an_empty_line() {
        let all = ["", "a", "a\n", "\n", ">", "Fro", "a\n\n"];
        let ends = ["\n", "a\n\n", "a\n\n", "\n\n", ">\n\n", "Fro\n\n", "a\n\n\n"];
        assert_eq!(
            all.map(|text| quoted(text.as_bytes(), 9)),
            ends.map(|end| end.as_bytes().to_vec())
        );
    }
}
