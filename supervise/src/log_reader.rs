//! The lines of one log directory between two times, oldest first.

use crate::label::DECISIVE;
use crate::log_files::{LogFiles, OldFile};
use crate::log_range::{Times, range};
use crate::log_time::{self, FIRST, Moment};
use base::files::{open_read, read_at};
use base::sys::spawn::Spawn;
use base::sys::wait;
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// Bytes read at once.
const BLOCK: usize = 65536;

/// What compressed files start with, and who knows them.
const PACKERS: [(&[u8], &[&str]); 2] =
    [(b"\x1f\x8b", &["gzip", "-dc"]), (b"\x28\xb5\x2f\xfd", &["zstd", "-dcq"])];

/// A file that may hold wanted lines.
enum Source {
    Old(OldFile),
    Pending(File),
    Current(File),
}

/// Reads the lines of a log directory.
pub struct LogReader {
    folder: PathBuf,
    times: Times,
    sources: VecDeque<Source>,
    /// The file that is read, and which bytes of it are left.
    open: Option<(File, Range<u64>)>,
    /// A wanted line has been found.
    begun: bool,
    /// A line after the wanted time has been found.
    over: bool,
    /// The last byte that was read.
    last: u8,
    buffer: Vec<u8>,
    line: Range<usize>,
    /// The last label.
    moment: Moment,
    /// Where the reading of the last file has ended.
    end: u64,
}

impl LogReader {
    /// Reads these files. Those whose names say that they end before are not opened.
    pub fn new(folder: PathBuf, files: &LogFiles, times: Times) -> io::Result<LogReader> {
        let wanted = |old: &&OldFile| times.from.is_none_or(|from| old.end >= from);
        let old = files.old.iter().filter(wanted).cloned().map(Source::Old);
        let mut sources: VecDeque<_> = old.collect();
        if let Some(file) = &files.pending {
            sources.push_back(Source::Pending(file.try_clone()?));
        }
        if let Some(file) = &files.current {
            sources.push_back(Source::Current(file.try_clone()?));
        }
        let (buffer, line) = (Vec::new(), 0..0);
        let (open, begun, over, last, moment, end) = (None, false, false, b'\n', FIRST, 0);
        Ok(LogReader { folder, times, sources, open, begun, over, last, buffer, line, moment, end })
    }

    /// Forgets the files that are not needed for the last `count` lines.
    pub fn skip_to_last(&mut self, count: usize) -> io::Result<()> {
        self.drop_later()?;
        let mut left = count;
        for index in (0..self.sources.len()).rev() {
            let Some((file, range)) = self.open(&self.sources[index])? else { continue };
            let lines = newlines(&file, range)?;
            if lines > left {
                self.sources.drain(..index);
                break;
            }
            left -= lines;
        }
        Ok(())
    }

    /// Forgets the files behind the one in which the wanted time ends.
    fn drop_later(&mut self) -> io::Result<()> {
        let Some(until) = self.times.until else { return Ok(()) };
        for index in 0..self.sources.len() {
            if matches!(&self.sources[index], Source::Old(old) if old.end < until) {
                continue;
            }
            let Some(file) = opened(&self.folder, &self.sources[index])? else { continue };
            if range(&file, &self.times, true)?.1 {
                self.sources.truncate(index + 1);
                break;
            }
        }
        Ok(())
    }

    /// The file and its wanted bytes. `None` if it is gone.
    fn open(&self, source: &Source) -> io::Result<Option<(File, Range<u64>)>> {
        let Some(file) = opened(&self.folder, source)? else { return Ok(None) };
        let (range, _) = range(&file, &self.times, false)?;
        Ok(Some((file, range)))
    }

    /// The next bytes, at most as many as `into` has, which is not empty. 0 at the end. A line that
    /// an outage has cut off gets a newline, so that the next one keeps its label.
    pub fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some((file, left)) = &mut self.open {
                let room = usize::try_from(left.end - left.start).unwrap_or(usize::MAX);
                let room = room.min(into.len());
                let count = read_at(file, &mut into[..room], left.start)?;
                if count > 0 {
                    left.start += count as u64;
                    self.begun = true;
                    self.last = into[count - 1];
                    return Ok(count);
                }
                self.end = left.start;
                self.open = None;
            }
            let Some(source) = self.sources.pop_front() else { return Ok(0) };
            let Some(file) = opened(&self.folder, &source)? else { continue };
            let (left, over) = range(&file, &self.times, self.begun)?;
            if over {
                self.over = true;
                self.sources.clear();
            }
            let cut_off = self.last != b'\n' && starts_with_label(&file, &left)?;
            self.open = Some((file, left));
            if cut_off {
                self.last = b'\n';
                into[0] = b'\n';
                return Ok(1);
            }
        }
    }

    /// Goes to the next line. `false` at the end.
    pub fn advance(&mut self) -> io::Result<bool> {
        let mut searched = self.line.end;
        self.line.start = self.line.end;
        loop {
            if let Some(length) = memchr::memchr(b'\n', &self.buffer[searched..]) {
                self.line.end = searched + length + 1;
                break;
            }
            self.buffer.drain(..self.line.start);
            self.line = 0..self.buffer.len();
            searched = self.buffer.len();
            self.buffer.resize(searched + BLOCK, 0);
            let mut buffer = std::mem::take(&mut self.buffer);
            let count = self.read(&mut buffer[searched..]);
            buffer.truncate(searched + count.as_ref().map_or(0, |count| *count));
            self.buffer = buffer;
            if count? == 0 {
                self.line = 0..searched;
                break;
            }
            self.line = 0..0;
        }
        self.moment = log_time::of_line(self.line()).unwrap_or(self.moment);
        Ok(!self.line.is_empty())
    }

    /// The line, with its newline unless it is the last one and has none.
    pub fn line(&self) -> &[u8] {
        &self.buffer[self.line.clone()]
    }

    /// The time of the line: that of its label or of the last one before it.
    pub fn moment(&self) -> Moment {
        self.moment
    }

    /// There are later lines than the wanted ones.
    pub fn over(&self) -> bool {
        self.over
    }

    /// Where the reading of the last file has ended, once all is read.
    pub fn end(&self) -> u64 {
        self.end
    }
}

fn opened(folder: &Path, source: &Source) -> io::Result<Option<File>> {
    match source {
        Source::Old(old) => open_old(folder, old),
        Source::Pending(file) => unpacked(file).map(Some),
        Source::Current(file) => file.try_clone().map(Some),
    }
}

/// Opens an old file, decompressed if it is compressed. `None` if it is gone.
pub fn open_old(folder: &Path, old: &OldFile) -> io::Result<Option<File>> {
    match open_read(&folder.join(&old.name)) {
        Err(why) if why.kind() == ErrorKind::NotFound => Ok(None),
        other => unpacked(&other?).map(Some),
    }
}

/// The file itself, or, if it is compressed, what is in it.
pub fn unpacked(file: &File) -> io::Result<File> {
    let mut start = [0; 4];
    let count = read_at(file, &mut start, 0)?;
    let packer = PACKERS.iter().find(|(magic, _)| start[..count].starts_with(magic));
    packer.map_or_else(|| file.try_clone(), |(_, words)| unpack(file, words))
}

/// What the command makes of a file, in memory.
fn unpack(file: &File, command: &[&str]) -> io::Result<File> {
    let memory = File::from(memfd_create(c"log", MFdFlags::MFD_CLOEXEC)?);
    let words: Vec<OsString> = command.iter().map(OsString::from).collect();
    let child = Spawn::new(&words).fd(0, file.as_fd()).fd(1, memory.as_fd()).start()?;
    match wait::child(child)?.code() {
        Some(0) => Ok(memory),
        _ => Err(ErrorKind::InvalidData.into()),
    }
}

fn starts_with_label(file: &File, range: &Range<u64>) -> io::Result<bool> {
    let mut start = [0; DECISIVE];
    let count = read_at(file, &mut start, range.start)?;
    Ok(!range.is_empty() && log_time::of_line(&start[..count]).is_some())
}

fn newlines(file: &File, mut range: Range<u64>) -> io::Result<usize> {
    let mut block = vec![0; BLOCK];
    let mut lines = 0;
    while !range.is_empty() {
        let wanted = usize::try_from(range.end - range.start).unwrap_or(BLOCK).min(BLOCK);
        let count = read_at(file, &mut block[..wanted], range.start)?;
        if count == 0 {
            break;
        }
        lines += memchr::memchr_iter(b'\n', &block[..count]).count();
        range.start += count as u64;
    }
    Ok(lines)
}
