//! qmail-queue: queue a mail message for delivery.
//!
//! It reads the message from descriptor 0 and the envelope from descriptor 1, and says by its
//! exit code what came of it, never a word. It may be setuid, so it trusts nothing of its caller.
//! Before it exits 0 it may be given more messages: queue::staying.
#![cfg_attr(not(test), no_main)]

use base::date::Date;
use base::sys::{clock, fd, ids, memory, signal, umask};
use base::{Args, Code, Die, Result, files};
use queue::envelope::{Envelope, Wrong};
use queue::home;
use queue::paths::{self, Paths};
use queue::reuse::{EnvelopeFile, EnvelopeFiles};
use queue::staying::Caller;
use queue::users::Role;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

base::program!("qmail-queue", run, panic = CRASH);

const ADDRESS: u8 = 11;
const MEMORY: u8 = 51;
const TIME: u8 = 52;
const WRITE: u8 = 53;
const READ: u8 = 54;
const HOME: u8 = 61;
const QUEUE: u8 = 62;
const PID: u8 = 63;
const MESS: u8 = 64;
const INTD: u8 = 65;
const TODO: u8 = 66;
const CRASH: u8 = 81;
const ENVELOPE: u8 = 91;

/// Bytes read or written at once: what a pipe holds.
const BUFFER: usize = 65536;

/// How often it looks for a name, or for a number, that nobody has.
const ATTEMPTS: usize = 9;

/// Seconds after which it gives up, whatever it is doing.
const DAY: u32 = 86400;

fn run(_: Args) -> Result<Code> {
    memory::end_silently_with(MEMORY);
    // A file that we create must not become descriptor 0 or 1.
    if !fd::is_open(0) || !fd::is_open(1) {
        return Err(Die::silent(READ));
    }
    fd::fill_standard().or_exit(QUEUE)?;
    settle().or_exit(CRASH)?;
    let role = Role::of_caller();
    let caller = Caller::that_offers();
    let (mut buffer, mut envelopes) = (Buffer::new(), EnvelopeFiles::default());
    loop {
        let paths = take_message(role, &mut buffer, &mut envelopes)?;
        let Some(caller) = &caller else { return Ok(Code::DONE) };
        let next = caller.next_after_success().or_exit(READ)?;
        let Some([text, envelope]) = next else { return Ok(Code::DONE) };
        fd::copy_to(text.as_fd(), 0).or_exit(READ)?;
        fd::copy_to(envelope.as_fd(), 1).or_exit(READ)?;
        envelopes.stay(&paths);
    }
}

/// Queues the message that comes from descriptors 0 and 1. Gives the names of the queue.
fn take_message(
    role: Option<Role>,
    buffer: &mut Buffer,
    envelopes: &mut EnvelopeFiles,
) -> Result<Paths> {
    signal::alarm(DAY);
    home::enter_trusted(role).or_exit(HOME)?;
    std::env::set_current_dir("queue").or_exit(QUEUE)?;
    let paths = Paths::read().or_exit(MESS)?;
    let message = Message::create(&paths)?;
    let written = message.write(role, buffer, envelopes);
    // Giving up in the middle of what follows would deny a message that is queued.
    signal::alarm(0);
    let published = written.and_then(|envelope| message.publish().map(|()| envelope));
    let envelope = published.inspect_err(|_| message.remove())?;
    // From here on qmail-send may see the message. If its name will not stay, the name goes away
    // and nothing else: what qmail-send has begun with stays whole.
    envelopes.look();
    sync_folder_of(&message.todo)
        .inspect_err(|_| drop(fs::remove_file(&message.todo)))
        .or_exit(TODO)?;
    wake_sender();
    envelopes.put_back(envelope);
    Ok(paths)
}

/// Signals and umask as they have to be, whatever the caller left.
fn settle() -> io::Result<()> {
    let ignored = [
        signal::PIPE,
        signal::HANGUP,
        signal::INTERRUPT,
        signal::QUIT,
        libc::SIGVTALRM,
        libc::SIGPROF,
        libc::SIGXCPU,
        libc::SIGXFSZ,
    ];
    let crashes =
        [libc::SIGILL, libc::SIGABRT, libc::SIGFPE, libc::SIGBUS, libc::SIGSEGV, libc::SIGSYS];
    ignored.into_iter().try_for_each(signal::ignore)?;
    crashes.into_iter().try_for_each(|crash| signal::exit_on(crash, CRASH))?;
    signal::exit_on(signal::ALARM, TIME)?;
    signal::unblock_all()?;
    umask::set(0o033);
    Ok(())
}

/// A message on its way into the queue. Its number is the inode of its text, so that no two
/// messages ever share one.
struct Message {
    text: File,
    mess: PathBuf,
    intd: PathBuf,
    todo: PathBuf,
}

impl Message {
    /// Makes the file under a name of our own in `pid`, and moves it to the name that its inode
    /// gives it. A crash leaves an empty file, which qmail-clean or qmail-send removes.
    ///
    /// Where folders reach the disk each for itself, a power cut may leave the envelope of a
    /// message that has ended. Its recipients must not get this text, so the number is passed over.
    fn create(paths: &Paths) -> Result<Self> {
        // As long as they are open, nobody else gets their inodes.
        let mut passed_over = Vec::new();
        loop {
            let (birth, text) = birth_place()?;
            let number = text.metadata().or_exit(PID)?.ino();
            let mut old = ["intd", "todo"].into_iter().flat_map(|f| paths.envelopes(f, number));
            if !old.all(|name| paths::is_absent(&name)) {
                fs::remove_file(&birth).or_exit(PID)?;
                passed_over.push(text);
                if passed_over.len() < ATTEMPTS {
                    continue;
                }
                return Err(Die::silent(INTD));
            }
            let mess = paths.split("mess", number);
            let linked = fs::hard_link(&birth, &mess);
            fs::remove_file(&birth).or_exit(PID)?;
            linked.or_exit(MESS)?;
            let [intd, todo] = ["intd", "todo"].map(|folder| paths.envelope(folder, number));
            return Ok(Message { text, mess, intd, todo });
        }
    }

    /// Writes text and envelope, and puts both files and their names on disk.
    fn write(
        &self,
        role: Option<Role>,
        buffer: &mut Buffer,
        envelopes: &mut EnvelopeFiles,
    ) -> Result<EnvelopeFile> {
        buffer.put(received_line(role).as_bytes());
        buffer.copy_message(&self.text)?;
        // The disk works while we wait for the envelope, and on both files at once.
        fd::start_write_back(self.text.as_fd());
        let mut envelope = envelopes.open(&self.intd).or_exit(INTD)?;
        buffer.put(format!("u{}\0p{}\0", ids::real_uid(), std::process::id()).as_bytes());
        buffer.copy_envelope(&envelope.file)?;
        envelope.end_here().or_exit(WRITE)?;
        fd::start_write_back(envelope.file.as_fd());
        // The sync of a folder has a journal commit all that is on its way: both files as well, so
        // that their own syncs share this commit. The name of the text is on disk after the text.
        sync_folder_of(&self.intd).or_exit(INTD)?;
        self.text.sync_all().or_exit(WRITE)?;
        envelope.file.sync_all().or_exit(WRITE)?;
        sync_folder_of(&self.mess).or_exit(MESS)?;
        Ok(envelope)
    }

    /// The instant of acceptance: the message is in `todo`.
    fn publish(&self) -> Result<()> {
        fs::hard_link(&self.intd, &self.todo).or_exit(TODO)
    }

    /// Gives back the space and the names. What fails here is left to qmail-send.
    fn remove(&self) {
        let _ = self.text.set_len(0);
        let _ = fs::remove_file(&self.intd);
        let _ = fs::remove_file(&self.mess);
    }
}

/// Puts a name on disk.
fn sync_folder_of(name: &Path) -> io::Result<()> {
    files::sync_folder(name.parent().unwrap_or(Path::new(".")))
}

/// A new file in `pid`, named after process, time and attempt.
fn birth_place() -> Result<(PathBuf, File)> {
    let (pid, time) = (std::process::id(), clock::seconds());
    for attempt in 1..=ATTEMPTS {
        let name = PathBuf::from(format!("pid/{pid}.{time}.{attempt}"));
        match create(&name) {
            Ok(file) => return Ok((name, file)),
            Err(why) if why.kind() == ErrorKind::AlreadyExists => {}
            Err(_) => break,
        }
    }
    Err(Die::silent(PID))
}

fn create(name: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o644).open(name)
}

/// `Received: (qmail 4711 invoked by uid 500); 7 Nov 2026 09:05:03 -0000` and a newline.
fn received_line(role: Option<Role>) -> String {
    let how = match role {
        Some(Role::Alias) => "by alias".into(),
        Some(Role::Daemon) => "from network".into(),
        Some(Role::Send) => "for bounce".into(),
        _ => format!("by uid {}", ids::real_uid()),
    };
    let date = Date::utc(clock::seconds() as i64).mail();
    format!("Received: (qmail {} invoked {how}); {date}\n", std::process::id())
}

/// Bytes that have been read and not yet written. Memory does not grow with the message.
struct Buffer(Vec<u8>);

impl Buffer {
    fn new() -> Self {
        Buffer(Vec::with_capacity(BUFFER))
    }

    /// Adds a few bytes of our own; called when there is room.
    fn put(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Copies descriptor 0 to its end.
    fn copy_message(&mut self, to: &File) -> Result<()> {
        while !self.read(fd::STDIN)?.is_empty() {
            self.write_if_full(to)?;
        }
        self.write(to)
    }

    /// Copies descriptor 1 to the end of the envelope, without the last NUL.
    fn copy_envelope(&mut self, to: &File) -> Result<()> {
        let mut envelope = Envelope::default();
        while !envelope.is_complete() {
            let before = self.0.len();
            let piece = self.read(fd::STDOUT)?;
            if piece.is_empty() {
                return Err(Die::silent(READ));
            }
            let kept = envelope.take(piece).map_err(|wrong| match wrong {
                Wrong::Letter => Die::silent(ENVELOPE),
                Wrong::TooLong => Die::silent(ADDRESS),
            })?;
            self.0.truncate(before + kept);
            self.write_if_full(to)?;
        }
        self.write(to)
    }

    /// Adds what one read gives; empty at the end.
    fn read(&mut self, from: BorrowedFd) -> Result<&[u8]> {
        let before = self.0.len();
        fd::append(from, &mut self.0).or_exit(READ)?;
        Ok(&self.0[before..])
    }

    fn write_if_full(&mut self, to: &File) -> Result<()> {
        if self.0.len() == self.0.capacity() { self.write(to) } else { Ok(()) }
    }

    fn write(&mut self, to: &File) -> Result<()> {
        fd::write_all(to.as_fd(), &self.0).or_exit(WRITE)?;
        self.0.clear();
        Ok(())
    }
}

/// Pulls the trigger. If nobody waits, or the pipe is full, there is no need to.
fn wake_sender() {
    if let Ok(trigger) = files::open_write(Path::new("lock/trigger")) {
        let _ = fd::ring(trigger.as_fd());
    }
}

/// Turns an I/O error into an exit code.
trait OrExit<T> {
    fn or_exit(self, code: u8) -> Result<T>;
}

impl<T> OrExit<T> for io::Result<T> {
    fn or_exit(self, code: u8) -> Result<T> {
        self.map_err(|_| Die::silent(code))
    }
}
