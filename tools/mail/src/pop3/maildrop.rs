//! The messages of a Maildir as POP3 knows them: numbered at the start of a session, and marked
//! for deletion until its end.

use base::{errno, files, number};
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, DirEntry, File, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// A file in `tmp` that nobody has read for so many seconds is of a delivery that died.
const ABANDONED: i64 = 129_600;

const NO_NUMBER: &str = "syntax error";
const FROM_ONE: &str = "messages are counted from 1";
const TOO_HIGH: &str = "not that many messages";
const DELETED: &str = "already deleted";

/// A message.
#[derive(Debug)]
pub struct Message {
    /// `new` or `cur`.
    folder: &'static str,
    /// Its name there: one that stays, and perhaps a colon and flags.
    name: Vec<u8>,
    /// Bytes of its file.
    pub size: u64,
    /// It is to be deleted at the end.
    pub deleted: bool,
}

impl Message {
    fn path(&self) -> PathBuf {
        [self.folder.into(), OsString::from_vec(self.name.clone())].iter().collect()
    }

    /// The part of its name that stays, by which clients know it again. Bytes that POP3 does not
    /// have in such names are shown as `%` and two digits.
    pub fn unique(&self) -> Vec<u8> {
        let mut unique = Vec::new();
        for byte in unique_part(&self.name) {
            match byte {
                byte if byte.is_ascii_graphic() => unique.push(*byte),
                byte => unique.extend_from_slice(format!("%{byte:02X}").as_bytes()),
            }
        }
        unique
    }
}

/// A name up to its colon.
fn unique_part(name: &[u8]) -> &[u8] {
    &name[..memchr::memchr(b':', name).unwrap_or(name.len())]
}

/// All messages, the oldest first.
#[derive(Debug)]
pub struct Maildrop {
    messages: Vec<Message>,
    /// The highest number that was marked as deleted.
    last: usize,
}

impl Maildrop {
    /// The messages of the Maildir that is the current folder. Those that are not older than this
    /// second are left for the next session, and so are files that begin with a dot.
    pub fn scan(now: i64) -> io::Result<Self> {
        let mut found = Vec::new();
        for folder in ["new", "cur"] {
            for entry in files::entries(folder)? {
                let entry = entry?;
                let name = entry.file_name().into_vec();
                let about = about(&entry)?.filter(|about| about.is_file() && about.mtime() < now);
                if let (Some(about), false) = (about, name.starts_with(b".")) {
                    let unique = unique_part(&name).len();
                    let message = Message { folder, name, size: about.size(), deleted: false };
                    found.push((about.mtime(), unique, message));
                }
            }
        }
        // Of one second, by name: the order is the same in every session.
        found.sort_unstable_by(|(a_time, a_end, a), (b_time, b_end, b)| {
            (a_time, &a.name[..*a_end]).cmp(&(b_time, &b.name[..*b_end]))
        });
        Ok(Maildrop { messages: found.into_iter().map(|(.., message)| message).collect(), last: 0 })
    }

    /// The messages, deleted ones too.
    pub fn all(&self) -> &[Message] {
        &self.messages
    }

    /// The place of the message whose number a text begins with, or what is wrong with that.
    pub fn find(&self, text: &[u8]) -> Result<usize, &'static str> {
        let number = number::leading(text).ok_or(NO_NUMBER)?;
        let place = number.checked_sub(1).ok_or(FROM_ONE)?;
        let place = usize::try_from(place).map_err(|_| TOO_HIGH)?;
        match self.messages.get(place) {
            None => Err(TOO_HIGH),
            Some(message) if message.deleted => Err(DELETED),
            Some(_) => Ok(place),
        }
    }

    /// The highest number that was marked as deleted, or 0.
    pub fn last(&self) -> usize {
        self.last
    }

    /// Marks a message as deleted.
    pub fn delete(&mut self, place: usize) {
        self.messages[place].deleted = true;
        self.last = self.last.max(place + 1);
    }

    /// Takes all marks back.
    pub fn reset(&mut self) {
        self.messages.iter_mut().for_each(|message| message.deleted = false);
        self.last = 0;
    }

    /// Opens a message.
    pub fn open(&mut self, place: usize) -> io::Result<File> {
        self.with_file(place, |message| files::open_read(&message.path()))
    }

    /// Removes the marked messages and moves the others from `new` to `cur`. False if not all
    /// could be removed; those that are not there any more are.
    pub fn update(&mut self) -> bool {
        let mut all = true;
        for place in 0..self.messages.len() {
            if self.messages[place].deleted {
                let done = self.with_file(place, |message| fs::remove_file(message.path()));
                all &= done.is_ok_and(|()| true) || self.is_gone(place);
            } else {
                self.messages[place].make_old();
            }
        }
        all
    }

    /// Does something with a message's file. If the file is not there, another program may have
    /// moved it, say from `new` to `cur`, or changed its flags: then it is looked for.
    fn with_file<T>(
        &mut self,
        place: usize,
        act: impl Fn(&Message) -> io::Result<T>,
    ) -> io::Result<T> {
        match act(&self.messages[place]) {
            Err(why) if why.kind() == ErrorKind::NotFound => {
                self.look_again();
                act(&self.messages[place])
            }
            done => done,
        }
    }

    fn is_gone(&self, place: usize) -> bool {
        let looked = self.messages[place].path().symlink_metadata();
        looked.is_err_and(|why| why.kind() == ErrorKind::NotFound)
    }

    /// Finds out where all messages are now.
    fn look_again(&mut self) {
        let mut places = HashMap::new();
        for folder in ["new", "cur"] {
            for entry in files::entries(folder).into_iter().flatten().flatten() {
                let name = entry.file_name().into_vec();
                places.insert(unique_part(&name).to_vec(), (folder, name));
            }
        }
        for message in &mut self.messages {
            if let Some((folder, name)) = places.remove(unique_part(&message.name)) {
                (message.folder, message.name) = (folder, name);
            }
        }
    }
}

impl Message {
    /// Moves it from `new` to `cur`. If that fails, it stays new: no harm is done.
    fn make_old(&self) {
        if self.folder == "new" {
            let flags: &[u8] = if self.name.contains(&b':') { b"" } else { b":2," };
            let name = OsString::from_vec([b"cur/", &self.name[..], flags].concat());
            let _ = fs::rename(self.path(), name);
        }
    }
}

/// What a file is; a link is what it leads to. `None` for what is gone or leads nowhere. A message
/// that only cannot be seen now must not be missing, or others would have its number.
fn about(entry: &DirEntry) -> io::Result<Option<Metadata>> {
    let about = match entry.metadata() {
        Ok(about) if about.is_symlink() => fs::metadata(entry.path()),
        about => about,
    };
    match about {
        Err(why) if errno::is_temporary(&why) => Err(why),
        about => Ok(about.ok()),
    }
}

/// Removes what deliveries that died have left in `tmp` of the Maildir that is the current
/// folder. What cannot be removed stays.
pub fn sweep(now: i64) {
    for entry in files::entries("tmp").into_iter().flatten().flatten() {
        let old = |about: Metadata| about.atime() < now - ABANDONED;
        if !entry.file_name().as_bytes().starts_with(b".") && entry.metadata().is_ok_and(old) {
            let _ = fs::remove_file(entry.path());
        }
    }
}
