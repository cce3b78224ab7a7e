//! Writes down what a program, and all that it starts, does to the files below a folder, and what
//! it says to others, in an order in which nothing comes before its cause.
//!
//! By ptrace, as the programs are static. A change is noted when its call has ended, a word to
//! others when its call begins, and a sync covers what was noted before it began: if calls of two
//! processes overlap, the record tells the story that is worse for the data.

use crate::tamper::{held, seized};
use libc::{c_long, user_regs_struct};
use nix::errno::Errno;
use nix::sys::ptrace;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, Metadata};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// How long a program may take that is looked at.
const LIMIT: Duration = Duration::from_secs(120);

/// Calls that may say something to others; pwritev2 is used as a writev that does not wait.
const SAYING: [c_long; 4] =
    [libc::SYS_write, libc::SYS_writev, libc::SYS_pwritev2, libc::SYS_sendto];

/// A file, whatever its names: a number of its own in a record.
pub type Id = usize;

/// What keeps changes of its own, and is put on disk by a sync of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    File(Id),
    Folder(String),
}

/// What was done. Names are relative to the folder: `queue/todo/7`.
#[derive(Clone, Debug)]
pub enum Act {
    /// A name leads to a file: a new one, or a link.
    Name {
        name: String,
        file: Id,
    },
    Rename {
        from: String,
        to: String,
        file: Id,
    },
    Remove {
        name: String,
    },
    /// A new folder.
    Folder {
        name: String,
    },
    Write {
        file: Id,
        at: usize,
        bytes: Vec<u8>,
    },
    Truncate {
        file: Id,
        length: usize,
    },
    Mode {
        file: Id,
        mode: u32,
    },
    /// All events before number `since` that concern this place are on disk.
    Sync {
        place: Place,
        since: usize,
    },
    /// Something for others: to a pipe, a socket, a file elsewhere.
    Say {
        bytes: Vec<u8>,
    },
    Exit {
        code: i32,
    },
}

/// An act, and the name of the program that did it (its first 15 bytes).
#[derive(Clone, Debug)]
pub struct Event {
    pub who: String,
    pub act: Act,
}

/// Contents and mode of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Contents {
    pub bytes: Vec<u8>,
    pub mode: u32,
}

/// Something that has a name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Entry {
    Folder,
    Fifo,
    Link(PathBuf),
    File(Id),
}

/// What was there before, and what happened.
#[derive(Clone, Debug, Default)]
pub struct Record {
    pub names: BTreeMap<String, Entry>,
    /// Of the files that were there; a new one is empty.
    pub files: BTreeMap<Id, Contents>,
    pub events: Vec<Event>,
}

impl Record {
    /// The record as if this event had not been: the numbers of the others stay.
    pub fn without(&self, at: usize) -> Record {
        let mut doctored = self.clone();
        doctored.events[at].act = Act::Say { bytes: Vec::new() };
        doctored
    }

    /// The numbers of the syncs that a program made.
    pub fn syncs(&self, who: &str) -> Vec<usize> {
        let is_sync = |event: &Event| event.who == who && matches!(event.act, Act::Sync { .. });
        (0..self.events.len()).filter(|at| is_sync(&self.events[*at])).collect()
    }
}

/// The folder that a name is in.
pub fn folder(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Runs a command and records what happens below `root`. `ready` adds to the command what a held
/// one needs: input, output, user. `during` runs beside it, gets its process id, and ends what does
/// not end by itself.
#[track_caller]
pub fn record(
    root: &Path,
    command: &Command,
    ready: impl FnOnce(&mut Command),
    during: impl FnOnce(Pid) + Send,
) -> Record {
    let mut recorder = Recorder::new(root);
    let mut command = held(command);
    ready(&mut command);
    let first = seized(command.process_group(0));
    let (over, ended) = channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || during(first));
        let watch = scope.spawn(move || {
            let late = ended.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout);
            late && killpg(first, Signal::SIGKILL).is_ok()
        });
        recorder.follow();
        drop(over);
        assert!(!watch.join().unwrap(), "{command:?} does not end");
    });
    recorder.record
}

/// A call that has begun.
struct Call {
    registers: user_regs_struct,
    /// How many events there were.
    since: usize,
}

struct Recorder {
    record: Record,
    /// The names as they are now.
    names: BTreeMap<String, Entry>,
    /// The files and folders by their device and inode: names differ between mount namespaces.
    files: HashMap<[u64; 2], Id>,
    folders: HashMap<[u64; 2], String>,
    next: Id,
    /// The shell has become the program.
    begun: bool,
    /// The calls that have not ended.
    inside: HashMap<Pid, Call>,
}

impl Recorder {
    fn new(root: &Path) -> Self {
        let mut recorder = Recorder {
            record: Record::default(),
            names: BTreeMap::new(),
            files: HashMap::new(),
            folders: HashMap::new(),
            next: 0,
            begun: false,
            inside: HashMap::new(),
        };
        recorder.look(root, "");
        recorder.record.names = recorder.names.clone();
        recorder
    }

    /// Notes what is there before the start.
    fn look(&mut self, path: &Path, name: &str) {
        self.folders.insert(inode(&path.metadata().unwrap()), name.to_owned());
        for entry in fs::read_dir(path).unwrap().map(Result::unwrap) {
            let (path, about) = (entry.path(), entry.metadata().unwrap());
            let name = below(name, entry.file_name().to_str().unwrap());
            let kind = about.file_type();
            let entry = if kind.is_dir() {
                self.look(&path, &name);
                Entry::Folder
            } else if kind.is_symlink() {
                Entry::Link(fs::read_link(&path).unwrap())
            } else if kind.is_file() {
                let file = self.file_of(&about).unwrap_or_else(|| self.new_file(&about));
                let contents =
                    Contents { bytes: fs::read(&path).unwrap(), mode: about.mode() & 0o7777 };
                self.record.files.insert(file, contents);
                Entry::File(file)
            } else {
                Entry::Fifo
            };
            self.names.insert(name, entry);
        }
    }

    fn new_file(&mut self, about: &Metadata) -> Id {
        self.files.insert(inode(about), self.next);
        self.next += 1;
        self.next - 1
    }

    fn file_of(&self, about: &Metadata) -> Option<Id> {
        about.is_file().then(|| self.files.get(&inode(about)).copied()).flatten()
    }

    /// Goes from stop to stop until nobody is left.
    fn follow(&mut self) {
        loop {
            // children of other threads are those of other tests
            let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
            match waitpid(None, Some(flags)) {
                Ok(WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..)) => {
                    self.inside.remove(&pid);
                }
                Ok(WaitStatus::PtraceSyscall(pid)) => {
                    self.stopped(pid);
                    go_on(pid, None);
                }
                Ok(WaitStatus::Stopped(pid, signal)) => go_on(pid, Some(signal)),
                Ok(WaitStatus::PtraceEvent(pid, _, event)) => {
                    self.begun |= event == libc::PTRACE_EVENT_EXEC;
                    go_on(pid, None);
                }
                Ok(_) | Err(Errno::EINTR) => {}
                Err(_) => return,
            }
        }
    }

    /// A call begins or ends.
    fn stopped(&mut self, pid: Pid) {
        // a process that was killed meanwhile is gone
        let Ok(registers) = ptrace::getregs(pid) else { return };
        match self.inside.remove(&pid) {
            None => {
                let call = Call { registers, since: self.record.events.len() };
                self.begins(pid, &call);
                self.inside.insert(pid, call);
            }
            Some(call) => {
                let result = registers.rax.cast_signed();
                if result < 0 && SAYING.contains(&call.registers.orig_rax.cast_signed()) {
                    self.unsaid(pid, call.since);
                }
                if self.begun && result >= 0 {
                    self.ends(&Caller { pid, call, result });
                }
            }
        }
    }

    /// What was said did not get out, and will be said again.
    fn unsaid(&mut self, pid: Pid, at: usize) {
        if let Some(Event { who, act: Act::Say { bytes } }) = self.record.events.get_mut(at)
            && *who == name_of(pid)
        {
            bytes.clear();
        }
    }

    fn begins(&mut self, pid: Pid, call: &Call) {
        if !self.begun {
            return;
        }
        let caller = Caller { pid, call: Call { ..*call }, result: 0 };
        let number = caller.number();
        if number == libc::SYS_exit_group {
            self.note(pid, Act::Exit { code: caller.word(0) as i32 & 255 });
        } else if SAYING.contains(&number) && self.file(&caller).is_none() {
            let most = usize::MAX;
            self.note(pid, Act::Say { bytes: caller.written(most) });
        }
    }

    fn ends(&mut self, caller: &Caller) {
        match caller.number() {
            libc::SYS_open => self.opened(caller, libc::AT_FDCWD, 0, caller.word(1)),
            libc::SYS_creat => {
                self.opened(caller, libc::AT_FDCWD, 0, (libc::O_CREAT | libc::O_TRUNC) as u64)
            }
            libc::SYS_openat => self.opened(caller, caller.word(0) as i32, 1, caller.word(2)),
            libc::SYS_link => self.linked(caller, [(libc::AT_FDCWD, 0), (libc::AT_FDCWD, 1)]),
            libc::SYS_linkat => self.linked(caller, [caller.at(0), caller.at(2)]),
            libc::SYS_rename => self.renamed(caller, [(libc::AT_FDCWD, 0), (libc::AT_FDCWD, 1)]),
            libc::SYS_renameat | libc::SYS_renameat2 => {
                self.renamed(caller, [caller.at(0), caller.at(2)])
            }
            libc::SYS_unlink | libc::SYS_rmdir => self.removed(caller, (libc::AT_FDCWD, 0)),
            libc::SYS_unlinkat => self.removed(caller, caller.at(0)),
            libc::SYS_mkdir => self.made(caller, (libc::AT_FDCWD, 0)),
            libc::SYS_mkdirat => self.made(caller, caller.at(0)),
            libc::SYS_write | libc::SYS_writev | libc::SYS_pwritev2 | libc::SYS_pwrite64 => {
                self.wrote(caller);
            }
            libc::SYS_ftruncate => {
                let length = caller.word(1) as usize;
                let file = self.file(caller);
                self.note_of(caller, file.map(|file| Act::Truncate { file, length }));
            }
            libc::SYS_chmod => self.moded(caller, self.named(caller, (libc::AT_FDCWD, 0)), 1),
            libc::SYS_fchmodat => self.moded(caller, self.named(caller, caller.at(0)), 2),
            libc::SYS_fchmod => self.moded(caller, self.file(caller), 1),
            libc::SYS_fsync | libc::SYS_fdatasync => self.synced(caller),
            libc::SYS_truncate
            | libc::SYS_sync
            | libc::SYS_syncfs
            | libc::SYS_openat2
            | libc::SYS_symlink
            | libc::SYS_symlinkat
            | libc::SYS_sendfile
            | libc::SYS_splice
            | libc::SYS_copy_file_range
            | libc::SYS_fallocate
            | libc::SYS_pwritev
            | libc::SYS_io_uring_setup => {
                let number = caller.number();
                panic!("the recorder has to learn what call {number} does");
            }
            _ => {}
        }
    }

    fn opened(&mut self, caller: &Caller, folder: i32, word: usize, flags: u64) {
        let has = |flag: i32| flags & flag as u64 != 0;
        let Some(name) = self.path(caller, (folder, word)) else { return };
        assert!(flags & libc::O_TMPFILE as u64 != libc::O_TMPFILE as u64, "a file without a name");
        let known = self.names.get(&name).cloned();
        match known {
            Some(Entry::File(file)) if has(libc::O_TRUNC) => {
                self.note(caller.pid, Act::Truncate { file, length: 0 });
            }
            None if has(libc::O_CREAT) => {
                let Ok(about) = fs::metadata(caller.descriptor(caller.result as i32)) else {
                    return;
                };
                let file = self.new_file(&about);
                self.names.insert(name.clone(), Entry::File(file));
                self.note(caller.pid, Act::Name { name, file });
                self.note(caller.pid, Act::Mode { file, mode: about.mode() & 0o7777 });
            }
            _ => {}
        }
    }

    fn linked(&mut self, caller: &Caller, words: [(i32, usize); 2]) {
        let [Some(from), Some(name)] = words.map(|word| self.path(caller, word)) else { return };
        let Some(Entry::File(file)) = self.names.get(&from).cloned() else { return };
        self.names.insert(name.clone(), Entry::File(file));
        self.note(caller.pid, Act::Name { name, file });
    }

    fn renamed(&mut self, caller: &Caller, words: [(i32, usize); 2]) {
        let exchange = caller.number() == libc::SYS_renameat2 && caller.word(4) & 2 != 0;
        assert!(!exchange, "the recorder has to learn how names change places");
        let [Some(from), Some(to)] = words.map(|word| self.path(caller, word)) else { return };
        let Some(Entry::File(file)) = self.names.remove(&from) else {
            panic!("the recorder has to learn how a folder is renamed: {from}");
        };
        self.names.insert(to.clone(), Entry::File(file));
        self.note(caller.pid, Act::Rename { from, to, file });
    }

    fn removed(&mut self, caller: &Caller, word: (i32, usize)) {
        if let Some(name) = self.path(caller, word)
            && self.names.remove(&name).is_some()
        {
            self.note(caller.pid, Act::Remove { name });
        }
    }

    fn made(&mut self, caller: &Caller, word: (i32, usize)) {
        if let Some((name, path)) = self.place(caller, word) {
            self.folders.insert(inode(&path.metadata().unwrap()), name.clone());
            self.names.insert(name.clone(), Entry::Folder);
            self.note(caller.pid, Act::Folder { name });
        }
    }

    fn wrote(&mut self, caller: &Caller) {
        let Some(file) = self.file(caller) else { return };
        let bytes = caller.written(caller.result as usize);
        let at = match caller.number() {
            libc::SYS_pwrite64 => caller.word(3) as usize,
            _ => caller.position() - bytes.len(),
        };
        self.note(caller.pid, Act::Write { file, at, bytes });
    }

    fn moded(&mut self, caller: &Caller, file: Option<Id>, word: usize) {
        let mode = caller.word(word) as u32;
        self.note_of(caller, file.map(|file| Act::Mode { file, mode }));
    }

    fn synced(&mut self, caller: &Caller) {
        let since = caller.call.since;
        let Ok(about) = fs::metadata(caller.descriptor(caller.word(0) as i32)) else { return };
        let folder = self.folders.get(&inode(&about)).cloned().map(Place::Folder);
        let place = self.file_of(&about).map(Place::File).or(folder);
        self.note_of(caller, place.map(|place| Act::Sync { place, since }));
    }

    fn note(&mut self, pid: Pid, act: Act) {
        self.record.events.push(Event { who: name_of(pid), act });
    }

    fn note_of(&mut self, caller: &Caller, act: Option<Act>) {
        act.into_iter().for_each(|act| self.note(caller.pid, act));
    }

    /// The file that the first word of a call describes, if it is one of ours.
    fn file(&self, caller: &Caller) -> Option<Id> {
        self.file_of(&fs::metadata(caller.descriptor(caller.word(0) as i32)).ok()?)
    }

    /// The file that a path of a call leads to, if it is one of ours.
    fn named(&self, caller: &Caller, word: (i32, usize)) -> Option<Id> {
        match self.names.get(&self.path(caller, word)?)? {
            Entry::File(file) => Some(*file),
            _ => None,
        }
    }

    /// The name that a path of a call is, if it is below the folder.
    fn path(&self, caller: &Caller, word: (i32, usize)) -> Option<String> {
        self.place(caller, word).map(|(name, _)| name)
    }

    /// The same, and a path for us.
    fn place(&self, caller: &Caller, (start, word): (i32, usize)) -> Option<(String, PathBuf)> {
        let text = caller.text(word);
        let start = match start {
            _ if text.is_absolute() => format!("/proc/{}/root", caller.pid).into(),
            libc::AT_FDCWD => format!("/proc/{}/cwd", caller.pid).into(),
            folder => caller.descriptor(folder),
        };
        let path = start.join(text.strip_prefix("/").unwrap_or(&text));
        let folder = self.folders.get(&inode(&path.parent()?.metadata().ok()?))?;
        Some((below(folder, path.file_name()?.to_str()?), path))
    }
}

fn name_of(pid: Pid) -> String {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    name.trim_end().to_owned()
}

fn inode(about: &Metadata) -> [u64; 2] {
    [about.dev(), about.ino()]
}

fn below(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// A process at the end of a call.
struct Caller {
    pid: Pid,
    call: Call,
    result: i64,
}

impl Caller {
    fn number(&self) -> c_long {
        self.call.registers.orig_rax.cast_signed()
    }

    fn word(&self, number: usize) -> u64 {
        let r = &self.call.registers;
        [r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9][number]
    }

    /// A descriptor of a folder, and the path behind it.
    fn at(&self, word: usize) -> (i32, usize) {
        (self.word(word) as i32, word + 1)
    }

    fn descriptor(&self, number: i32) -> PathBuf {
        format!("/proc/{}/fd/{number}", self.pid).into()
    }

    /// Where the next write goes.
    fn position(&self) -> usize {
        let about = fs::read_to_string(format!("/proc/{}/fdinfo/{}", self.pid, self.word(0)));
        let about = about.unwrap_or_default();
        let line = about.lines().find_map(|line| line.strip_prefix("pos:"));
        line.and_then(|at| at.trim().parse().ok()).expect("a position")
    }

    /// The bytes that a call writes, at most so many.
    fn written(&self, most: usize) -> Vec<u8> {
        if ![libc::SYS_writev, libc::SYS_pwritev2].contains(&self.number()) {
            return self.memory(self.word(1), most.min(self.word(2) as usize));
        }
        let parts = self.memory(self.word(1), self.word(2) as usize * 16);
        let number = |bytes: &[u8]| u64::from_ne_bytes(bytes.try_into().unwrap());
        let parts = parts.chunks(16).map(|part| (number(&part[..8]), number(&part[8..]) as usize));
        let mut bytes: Vec<u8> = parts.flat_map(|(at, count)| self.memory(at, count)).collect();
        bytes.truncate(most);
        bytes
    }

    /// A text that ends in a NUL, without it.
    fn text(&self, word: usize) -> PathBuf {
        let mut at = self.word(word);
        let mut text = Vec::new();
        loop {
            // no further than the page goes
            let piece = self.memory(at, 4096 - (at % 4096) as usize);
            let end = piece.iter().position(|byte| *byte == 0);
            text.extend_from_slice(&piece[..end.unwrap_or(piece.len())]);
            at += piece.len() as u64;
            if end.is_some() || piece.is_empty() {
                return String::from_utf8(text).unwrap().into();
            }
        }
    }

    fn memory(&self, at: u64, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        let memory = File::open(format!("/proc/{}/mem", self.pid));
        match memory.and_then(|memory| memory.read_exact_at(&mut bytes, at)) {
            Ok(()) => bytes,
            Err(_) => Vec::new(),
        }
    }
}

fn go_on(pid: Pid, signal: Option<Signal>) {
    // a process that was killed meanwhile is gone
    let _ = ptrace::syscall(pid, signal);
}
