//! From `todo/N` to files of our own: the sender in `info`, the recipients in `local` and
//! `remote`. Many messages at a time, so that they share the waits for the disk.

use super::log;
use super::records::{Record, Records};
use super::rewrite::{Rules, Side};
use super::trouble::{Trouble, later, plain};
use base::files;
use base::number;
use base::sys::fd;
use queue::paths::Paths;
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Bytes collected before they are written.
const BUFFER: usize = 65536;

/// A message whose files are written, but not yet on disk.
pub struct Draft {
    /// The message.
    pub message: u64,
    /// Whether it has local and remote recipients.
    pub sides: [bool; 2],
    /// `bytes B from <SENDER> qp PID uid UID`, as the log shows it.
    about: String,
    info: Output,
    recipients: [Output; 2],
}

impl Draft {
    /// Reads `todo/N` and writes the files. After a failure they are gone again.
    pub fn write(paths: &Paths, rules: &Rules, message: u64) -> Result<Self, Trouble> {
        let output = |folder| Output::new(paths.split(folder, message));
        let mut draft = Draft {
            message,
            sides: [false; 2],
            about: String::new(),
            info: output("info"),
            recipients: Side::BOTH.map(|side| output(side.name())),
        };
        match draft.fill(paths, rules) {
            Ok(()) => Ok(draft),
            Err(trouble) => {
                draft.remove();
                Err(trouble)
            }
        }
    }

    fn fill(&mut self, paths: &Paths, rules: &Rules) -> Result<(), Trouble> {
        let mess = paths.split("mess", self.message);
        let size = fs::metadata(&mess).map_err(later("unable to stat", &mess))?.len();
        let todo = paths.flat("todo", self.message);
        let file = File::open(&todo).map_err(later("unable to open", &todo))?;
        let mut records = Records::new(file);
        let (mut uid, mut pid, mut sender) = (0, 0, String::new());
        while let Some(record) = records.next().map_err(plain("trouble reading", &todo))? {
            match record {
                Record { letter: b'u', text, .. } => uid = number::leading(text).unwrap_or(0),
                Record { letter: b'p', text, .. } => pid = number::leading(text).unwrap_or(0),
                Record { letter: b'F', text, .. } => {
                    sender = log::safe(text);
                    self.info.put(b'F', text)?;
                }
                Record { letter: b'T', text, .. } => {
                    let (side, address) = rules.route(text);
                    self.sides[side as usize] = true;
                    self.recipients[side as usize].put(b'T', &address)?;
                }
                _ => return Err(Trouble::new("unknown record type in", &todo)),
            }
        }
        self.about = format!("bytes {size} from <{sender}> qp {pid} uid {uid}");
        self.outputs().try_for_each(Output::finish)
    }

    /// The two lines of the log that begin a message.
    pub fn log(&self) {
        log::line(format_args!("new msg {}", self.message));
        log::line(format_args!("info msg {}: {}", self.message, self.about));
    }

    /// Removes its files; what cannot be removed does no harm while `todo/N` is there.
    fn remove(&mut self) {
        for output in self.outputs() {
            if output.file.take().is_some() {
                let _ = fs::remove_file(&output.path);
            }
        }
    }

    fn outputs(&mut self) -> impl Iterator<Item = &mut Output> {
        self.recipients.iter_mut().chain([&mut self.info])
    }

    fn sync_files(&mut self) -> Result<(), Trouble> {
        for output in self.outputs() {
            if let Some(file) = &output.file {
                file.sync_all().map_err(plain("trouble fsyncing", &output.path))?;
            }
        }
        Ok(())
    }

    /// The folders in which it has changed something.
    fn folders(&mut self) -> Vec<PathBuf> {
        let changed = self.outputs().filter(|output| output.changed);
        changed.filter_map(|output| output.path.parent()).map(Path::to_owned).collect()
    }
}

/// Puts the files of all drafts on disk, and their names. Gives those for which that worked; the
/// others have a warning each, and are gone.
pub fn sync(mut drafts: Vec<Draft>) -> Vec<Draft> {
    let mut keep = |draft: &mut Draft| match draft.sync_files() {
        Ok(()) => true,
        Err(trouble) => {
            trouble.log();
            draft.remove();
            false
        }
    };
    drafts.retain_mut(&mut keep);
    let folders: BTreeSet<PathBuf> = drafts.iter_mut().flat_map(Draft::folders).collect();
    let mut failed = BTreeSet::new();
    for folder in folders {
        if let Err(why) = files::sync_folder(&folder) {
            plain("trouble fsyncing", &folder)(why).log();
            failed.insert(folder);
        }
    }
    drafts.retain_mut(|draft| {
        let good = draft.folders().iter().all(|folder| !failed.contains(folder));
        if !good {
            draft.remove();
        }
        good
    });
    drafts
}

/// A file that is made when the first record comes. What a crash left under its name is replaced,
/// or removed if there is no record.
struct Output {
    path: PathBuf,
    file: Option<File>,
    buffer: Vec<u8>,
    /// The folder has another name in it than before, or one less.
    changed: bool,
}

impl Output {
    fn new(path: PathBuf) -> Self {
        Output { path, file: None, buffer: Vec::new(), changed: false }
    }

    fn put(&mut self, letter: u8, text: &[u8]) -> Result<(), Trouble> {
        self.buffer.push(letter);
        self.buffer.extend_from_slice(text);
        self.buffer.push(0);
        if self.buffer.len() >= BUFFER { self.flush() } else { Ok(()) }
    }

    /// Writes everything, and has the disk begin.
    fn finish(&mut self) -> Result<(), Trouble> {
        if self.buffer.is_empty() && self.file.is_none() {
            return self.clear();
        }
        self.flush()?;
        self.buffer = Vec::new();
        if let Some(file) = &self.file {
            fd::start_write_back(file.as_fd());
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Trouble> {
        let Output { path, file, buffer, changed } = self;
        let file = match file {
            Some(file) => file,
            None => {
                *changed = true;
                let made = create(path).map_err(later("unable to create", path))?;
                file.insert(made)
            }
        };
        fd::write_all(file.as_fd(), buffer).map_err(plain("trouble writing to", path))?;
        buffer.clear();
        Ok(())
    }

    /// There is no such file unless a crash has left it.
    fn clear(&mut self) -> Result<(), Trouble> {
        if fs::symlink_metadata(&self.path).is_err() {
            return Ok(());
        }
        self.changed = true;
        fs::remove_file(&self.path).map_err(later("unable to unlink", &self.path))
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}
