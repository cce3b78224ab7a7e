//! From `todo/N` to files of our own: the sender in `info`, the recipients in `local` and
//! `remote`. Many messages at a time, so that they share the waits for the disk.

use super::log;
use super::records::{Record, Records};
use super::rewrite::{Rules, Side};
use super::trouble::{Trouble, later, plain};
use base::files;
use base::number;
use base::sys::fd;
use queue::paths::{Paths, is_absent};
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Bytes collected before they are written.
const BUFFER: usize = 65536;

/// A message that has one recipient, as `todo/N` has it.
#[derive(Clone)]
pub struct Single {
    /// The message.
    pub message: u64,
    /// Where it goes.
    pub side: Side,
    /// The envelope sender.
    pub sender: Vec<u8>,
    /// The recipient, as the spawner is told.
    pub recipient: Vec<u8>,
}

/// A message whose files are about to be written, or are not yet on disk.
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
    /// Reads `todo/N`. Nothing is written yet unless it is long. `None`: there is no such file.
    pub fn read(paths: &Paths, rules: &Rules, message: u64) -> Result<Option<Self>, Trouble> {
        let todo = paths.todo(message);
        let file = match File::open(&todo) {
            Err(why) if why.kind() == ErrorKind::NotFound => return Ok(None),
            other => other.map_err(later("unable to open", &todo))?,
        };
        let number = file.metadata().map_err(plain("trouble reading", &todo))?.ino();
        let mut draft = Draft::empty(paths, message);
        let filled = draft.fill(paths, rules, Records::new(file), &todo);
        // The qmail-clean of a qmail-send that was killed may have removed it meanwhile. Then it
        // may have been written again: queue::reuse.
        let read = match fs::symlink_metadata(&todo) {
            Ok(about) if about.ino() != number => Ok(None),
            Err(why) if why.kind() == ErrorKind::NotFound => Ok(None),
            Err(why) => Err(later("unable to stat", &todo)(why)),
            Ok(_) => filled.map(Some),
        };
        if !matches!(read, Ok(Some(()))) {
            draft.remove();
        }
        Ok(read?.map(|()| draft))
    }

    /// The files of a message that has not been served at once.
    pub fn of(paths: &Paths, single: &Single) -> Result<Self, Trouble> {
        let mut draft = Draft::empty(paths, single.message);
        let side = single.side as usize;
        draft.sides[side] = true;
        let put = draft.info.put(b'F', &single.sender);
        let put = put.and_then(|()| draft.recipients[side].put(b'T', &single.recipient));
        put.inspect_err(|_| draft.remove())?;
        Ok(draft)
    }

    fn empty(paths: &Paths, message: u64) -> Self {
        let output = |folder| Output::new(paths.split(folder, message));
        Draft {
            message,
            sides: [false; 2],
            about: String::new(),
            info: output("info"),
            recipients: Side::BOTH.map(|side| output(side.name())),
        }
    }

    fn fill(
        &mut self,
        paths: &Paths,
        rules: &Rules,
        mut records: Records,
        todo: &Path,
    ) -> Result<(), Trouble> {
        let mess = paths.split("mess", self.message);
        let size = fs::metadata(&mess).map_err(later("unable to stat", &mess))?.len();
        let (mut uid, mut pid, mut sender) = (0, 0, None);
        while let Some(record) = records.next().map_err(plain("trouble reading", todo))? {
            match record {
                Record { letter: b'u', text, .. } => uid = number::leading(text).unwrap_or(0),
                Record { letter: b'p', text, .. } => pid = number::leading(text).unwrap_or(0),
                Record { letter: b'F', text, .. } => {
                    sender = Some(log::safe(text));
                    self.info.put(b'F', text)?;
                }
                Record { letter: b'T', text, .. } => {
                    let (side, address) = rules.route(text);
                    self.sides[side as usize] = true;
                    self.recipients[side as usize].put(b'T', &address)?;
                }
                _ => return Err(Trouble::new("unknown record type in", todo)),
            }
        }
        // Of an envelope that a disk has lost, nothing says that nobody waits for the message.
        let lost = || Trouble::words(&format!("trouble reading {}", todo.display()));
        let sender = sender.ok_or_else(lost)?;
        self.about = format!("bytes {size} from <{sender}> qp {pid} uid {uid}");
        Ok(())
    }

    /// The message, if it has one recipient and nothing is in its files, not even from a
    /// qmail-send that was killed.
    pub fn single(&self) -> Option<Single> {
        let side = match self.sides {
            [true, false] => Side::Local,
            [false, true] => Side::Remote,
            _ => return None,
        };
        let sender = self.info.only()?.to_vec();
        let recipient = self.recipients[side as usize].only()?.to_vec();
        let mut files = self.recipients.iter().chain([&self.info]);
        let untouched = files.all(|output| is_absent(&output.path));
        untouched.then_some(Single { message: self.message, side, sender, recipient })
    }

    /// Writes the files. After a failure they are gone again.
    pub fn write(mut self) -> Result<Self, Trouble> {
        let finished = self.outputs().try_for_each(Output::finish);
        finished.inspect_err(|_| self.remove())?;
        Ok(self)
    }

    /// The two lines of the log that begin a message. One that was tried before has had them.
    pub fn log(&self) {
        if self.about.is_empty() {
            return;
        }
        log::line(format_args!("new msg {}", self.message));
        log::line(format_args!("info msg {}: {}", self.message, self.about));
    }

    /// Removes what it has made; what cannot be removed does no harm while `todo/N` is there.
    fn remove(&mut self) {
        for output in self.outputs() {
            if output.file.take().is_some() {
                let _ = fs::remove_file(&output.made);
            }
        }
    }

    fn outputs(&mut self) -> impl Iterator<Item = &mut Output> {
        self.recipients.iter_mut().chain([&mut self.info])
    }

    fn sync_files(&mut self) -> Result<(), Trouble> {
        self.outputs().try_for_each(Output::sync)
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

/// A file that is made when the first record comes.
///
/// A file of a killed qmail-send may be there already. If that one was complete, a qmail-clean may
/// just be removing `todo/N`: then it is all that is left of the message. So it is replaced by
/// renaming, and never changed.
struct Output {
    path: PathBuf,
    /// The name under which the file was made: `path`, or one beside it.
    made: PathBuf,
    file: Option<File>,
    buffer: Vec<u8>,
    /// The folder has another name in it than before, or one less.
    changed: bool,
}

/// The name of a file that takes the place of another one. It is no number, so nobody minds it.
pub fn replacement(path: &Path) -> PathBuf {
    path.with_extension("new")
}

impl Output {
    fn new(path: PathBuf) -> Self {
        Output { made: path.clone(), path, file: None, buffer: Vec::new(), changed: false }
    }

    fn put(&mut self, letter: u8, text: &[u8]) -> Result<(), Trouble> {
        self.buffer.push(letter);
        self.buffer.extend_from_slice(text);
        self.buffer.push(0);
        if self.buffer.len() >= BUFFER { self.flush() } else { Ok(()) }
    }

    /// The text of the only record, of which nothing has been written.
    fn only(&self) -> Option<&[u8]> {
        let (end, record) = self.buffer.split_last()?;
        let one = self.file.is_none() && *end == 0 && memchr::memchr(0, record).is_none();
        one.then_some(record.get(1..)?)
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
        let file = match self.file.take() {
            Some(file) => file,
            None => self.create().map_err(later("unable to create", &self.path))?,
        };
        let written = fd::write_all(file.as_fd(), &self.buffer);
        self.file = Some(file);
        written.map_err(plain("trouble writing to", &self.path))?;
        self.buffer.clear();
        Ok(())
    }

    fn create(&mut self) -> io::Result<File> {
        self.changed = true;
        let mut options = OpenOptions::new();
        options.write(true).mode(0o600);
        match options.clone().create_new(true).open(&self.path) {
            Err(why) if why.kind() == ErrorKind::AlreadyExists => {
                self.made = replacement(&self.path);
                options.create(true).truncate(true).open(&self.made)
            }
            other => other,
        }
    }

    /// Puts the contents on disk, then the file in its place.
    fn sync(&mut self) -> Result<(), Trouble> {
        let Some(file) = &self.file else { return Ok(()) };
        file.sync_all().map_err(plain("trouble fsyncing", &self.path))?;
        if self.made != self.path {
            fs::rename(&self.made, &self.path).map_err(later("unable to create", &self.path))?;
        }
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
