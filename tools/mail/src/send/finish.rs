//! The end of a message: its bounce, if somebody could not be served, and its removal.

use super::aside::Aside;
use super::bounce::{self, Fate};
use super::clean::Request;
use super::log;
use super::manager::Manager;
use super::pass;
use super::rewrite::Side;
use super::schedule::SYSTEM_FAILURE;
use super::trouble::{Trouble, later};
use crate::submission::Submission;
use base::date::Date;
use base::sys::{clock, fd};
use queue::paths::{Paths, is_absent};
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::path::Path;

/// Where qmail-queue is found from the current folder, `queue`.
const HOME: &str = "..";

/// What stands in a bounce instead of the rest of a message that is too long for it.
const CUT: &[u8] = b"\n--- Rest of message truncated.\n";

/// What has become of the files of a message that may have ended.
pub enum Removed {
    /// Somebody still waits for it, on the other side.
    Waits,
    /// The recipients of this side are served, but their file is still there.
    Stays(Side),
    /// There may be more to do than removing files: a bounce, or finding out what is wrong.
    Served,
    /// Nothing of ours is left; qmail-clean has not been told yet.
    Ended,
}

/// Messages, each with the side that has just been served, and what has become of them.
pub type Remover = Aside<(u64, Option<Side>), (u64, Removed)>;

/// What removes the files of messages that end: it waits for the disk as often as for all else.
pub fn remover(paths: Paths) -> io::Result<Remover> {
    Aside::new(move |(message, side)| (message, remove_served(&paths, message, side)))
}

/// Removes the file of the side that has been served, and `info` if that was all: no other side,
/// no bounce.
fn remove_served(paths: &Paths, message: u64, side: Option<Side>) -> Removed {
    if let Some(side) = side {
        let file = paths.split(side.name(), message);
        if fs::remove_file(&file).is_err() {
            log::warning(format_args!("unable to unlink {}; will try again later", file.display()));
            return Removed::Stays(side);
        }
    }
    for other in Side::BOTH.into_iter().filter(|other| Some(*other) != side) {
        match fs::symlink_metadata(paths.split(other.name(), message)) {
            Ok(_) => return Removed::Waits,
            Err(why) if why.kind() == ErrorKind::NotFound => {}
            Err(_) => return Removed::Served,
        }
    }
    let bounces = !is_absent(&paths.flat("bounce", message));
    if bounces || fs::remove_file(paths.split("info", message)).is_err() {
        return Removed::Served;
    }
    log::line(format_args!("end msg {message}"));
    Removed::Ended
}

impl Manager {
    /// Somebody's last recipient is served, or there never was one: the message may have ended.
    pub(super) fn end(&mut self, message: u64, side: Option<Side>) {
        self.ending.insert(message);
        self.remover.ask((message, side));
    }

    /// Files of messages that may have ended are gone, or not.
    pub(super) fn files_removed(&mut self) {
        let later = clock::seconds() + SYSTEM_FAILURE;
        for (message, removed) in self.remover.results() {
            match removed {
                // The other side may be among the jobs already: the message is still ending.
                Removed::Waits => continue,
                Removed::Stays(side) => {
                    self.channels[side as usize].schedule.add(later, message);
                }
                Removed::Served => self.finish(message),
                Removed::Ended => self.cleaner.ask(Request::Message(message)),
            }
            self.ending.remove(&message);
        }
    }

    /// Ends a message if nobody on either side waits for it any more. What fails is tried again.
    pub(super) fn finish(&mut self, message: u64) {
        if let Err(trouble) = self.try_to_finish(message) {
            trouble.log();
            self.finishing.add(clock::seconds() + SYSTEM_FAILURE, message);
        }
    }

    /// Ends the messages whose end failed some time ago.
    pub(super) fn finish_due(&mut self, now: u64) {
        while let Some(message) = self.finishing.take_due(now) {
            if !self.first_try_again(message) {
                self.finish(message);
            }
        }
    }

    /// The order matters: `bounce` goes when the bounce is queued, `info` when there is no bounce
    /// to send any more, the text last. A crash repeats one step at most.
    fn try_to_finish(&mut self, message: u64) -> Result<(), Trouble> {
        for side in Side::BOTH {
            let file = self.paths.split(side.name(), message);
            match fs::symlink_metadata(&file) {
                Ok(_) => return Ok(()),
                Err(why) if why.kind() == ErrorKind::NotFound => {}
                Err(why) => return Err(later("unable to stat", &file)(why)),
            }
        }
        self.bounce(message)?;
        let info = self.paths.split("info", message);
        match fs::remove_file(&info) {
            Err(why) if why.kind() != ErrorKind::NotFound => {
                return Err(later("unable to unlink", &info)(why));
            }
            _ => log::line(format_args!("end msg {message}")),
        }
        self.cleaner.ask(Request::Message(message));
        Ok(())
    }

    /// Sends the failures to whom they concern, and removes them.
    fn bounce(&mut self, message: u64) -> Result<(), Trouble> {
        let path = self.paths.flat("bounce", message);
        let failures = match File::open(&path) {
            Ok(file) => file,
            Err(why) if why.kind() == ErrorKind::NotFound => return Ok(()),
            Err(why) => return Err(later("unable to open", &path)(why)),
        };
        let sender = pass::info(&self.paths, message)?.sender;
        let sender = bounce::concerned(&sender);
        match bounce::fate(sender, &self.controls.letterhead) {
            Fate::Triple => {
                log::line(format_args!("triple bounce: discarding {}", path.display()));
            }
            Fate::Discard => {
                log::line(format_args!("double bounce: discarding {}", path.display()));
            }
            Fate::Bounce { from, to } => {
                let pid = self.inject(message, &failures, sender, &from, &to)?;
                log::line(format_args!("bounce msg {message} qp {pid}"));
            }
        }
        fs::remove_file(&path).map_err(later("unable to unlink", &path))
    }

    /// Queues a bounce; gives the process number of qmail-queue.
    fn inject(
        &self,
        message: u64,
        failures: &File,
        sender: &[u8],
        from: &[u8],
        to: &[u8],
    ) -> Result<i32, Trouble> {
        let mess = self.paths.split("mess", message);
        let text = File::open(&mess).map_err(later("unable to open", &mess))?;
        let no_start = |_| Trouble::words("unable to start qmail-queue, will try later");
        let mut queue = Submission::open(Path::new(HOME)).map_err(no_start)?;
        let date = Date::utc(clock::seconds() as i64).mail();
        queue.put(&bounce::head(&self.controls.letterhead, &date, sender, to));
        let copied = copy(failures, &mut queue, 0).and_then(|()| {
            queue.put(&bounce::divider(sender));
            copy(&text, &mut queue, self.controls.bounce_copy)
        });
        if copied.is_err() {
            queue.discard();
        }
        queue.sender(from);
        queue.recipient(to);
        let later = |_| Trouble::words("trouble injecting bounce message, will try later");
        queue.close().map_err(later)
    }
}

/// Copies a file, or so many bytes of it if `most` is not 0.
fn copy(from: &File, to: &mut Submission, most: u64) -> io::Result<()> {
    let mut left = if most == 0 { u64::MAX } else { most };
    let mut buffer = vec![0; 65536];
    loop {
        let count = fd::read(from.as_fd(), &mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        let taken = left.min(count as u64);
        to.put(&buffer[..taken as usize]);
        left -= taken;
        if taken < count as u64 {
            to.put(CUT);
            return Ok(());
        }
    }
}
