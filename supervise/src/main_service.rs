//! The service that a container is for: svscan ends when it does, with its exit code.

use crate::folder::Folder;
use crate::state::{self, Record, Stamp};
use crate::status::Want;
use crate::watch::{Mark, Watch};
use base::Code;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;

/// The code if `start` has failed, and there is no other.
const FAILED: u8 = 100;

/// The main service.
pub struct MainService {
    name: OsString,
    /// Its last death before this svscan.
    before: Option<Stamp>,
    /// The kernel tells of changes.
    watched: bool,
    /// Where the folder of its supervise is awaited.
    places: Vec<Mark>,
}

impl MainService {
    /// The service of this name in the current directory, which must be there.
    pub fn new(name: OsString) -> io::Result<MainService> {
        let folder = Folder::enter(Path::new(&name))?;
        let before = state::read(&folder.supervise("state")).ok();
        let before = before.and_then(|record| record.last_death);
        Ok(MainService { name, before, watched: false, places: Vec::new() })
    }

    /// Nobody will tell of its end: it has to be looked at.
    pub fn is_unwatched(&self) -> bool {
        !self.watched
    }

    /// Looks what has become of it: the exit code, if it has ended. Until then it is told not to
    /// start again, which its supervise would do before anybody could stop it.
    pub fn look(&mut self, watch: &Watch) -> Option<Code> {
        let folder = Folder::enter(Path::new(&self.name)).ok()?;
        let state = folder.supervise("state");
        // Watched first, then read: what comes between is not missed.
        self.watched = state.parent().is_some_and(|home| self.watch(home, watch));
        let record = state::read(&state).ok()?;
        if let Some(code) = self.ended(&record) {
            return Some(code);
        }
        if record.want == Some(Want::Up) && record.process.is_some() {
            let _ = folder.control().and_then(|control| control.order(b"lo"));
        }
        None
    }

    /// Watches the folder of supervise or, until that is there, the folders in which it will come up:
    /// that of its name and, if the name is a link, that of what the link leads to. `false`: the
    /// kernel cannot tell.
    fn watch(&mut self, home: &Path, watch: &Watch) -> bool {
        let watched = |folder: &Path| watch.names(folder);
        if watched(home).is_none() {
            let Some(beside) = home.parent() else { return false };
            let target = fs::read_link(home).ok().map(|target| beside.join(target));
            let places = [Some(beside), target.as_deref().and_then(Path::parent)];
            let marks = places.into_iter().flatten().map(watched);
            let Some(marks) = marks.collect() else { return false };
            self.places = marks;
            // Looked at once more: it may have come meanwhile.
            if watched(home).is_none() {
                return fs::metadata(home).is_err();
            }
        }
        self.places.drain(..).for_each(|place| watch.forget(place));
        true
    }

    fn ended(&self, record: &Record) -> Option<Code> {
        let died = record.last_death.is_some() && record.last_death != self.before;
        let signal = record.last_signal.and_then(|signal| u8::try_from(128 + signal).ok());
        let code = record.last_exit.or(signal).filter(|_| died);
        match code {
            Some(code) => Some(Code(code)),
            // How an adopted process has ended nobody knows.
            None if died => Some(Code::TEMP),
            None => record.failed.then_some(Code(FAILED)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_that_of_the_first_death() {
        let main =
            |before| MainService { name: "a".into(), before, watched: false, places: Vec::new() };
        let death = Record { last_death: Some([1; 12]), ..Record::default() };
        let exit = Record { last_exit: Some(7), ..death.clone() };
        let signal = Record { last_signal: Some(15), ..death.clone() };
        let failed = Record { failed: true, ..Record::default() };
        let code = |record: &Record| main(None).ended(record).map(|code| code.0);
        assert_eq!(code(&Record::default()), None);
        assert_eq!([&exit, &signal, &death, &failed].map(code), [7, 143, 111, 100].map(Some));
        assert_eq!(main(Some([1; 12])).ended(&exit), None);
    }
}
