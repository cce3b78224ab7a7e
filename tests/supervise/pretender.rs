//! A supervise that only pretends: it says of a service whatever a test wants it to say.

use crate::services::Services;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;

/// What pretends to supervise a service, until it is dropped.
pub struct Pretender<'a> {
    place: &'a Services,
    name: String,
    _ok: File,
}

/// Pretends to supervise the service of this name: it is down, as it is meant to be.
pub fn pretend<'a>(place: &'a Services, name: &str) -> Pretender<'a> {
    place.fifo(format!("{name}/supervise/ok"));
    let ok = place.join(name).join("supervise/ok");
    let ok = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(ok).unwrap();
    let pretender = Pretender { place, name: name.to_owned(), _ok: ok };
    pretender.says(0, b"\0\0\x00\x00", "");
    pretender
}

impl Pretender<'_> {
    /// Says this: a pid; paused, want, state and runit's state, and the same of the log if that
    /// follows; lines of the state file.
    pub fn says(&self, pid: u32, rest: &[u8], lines: &str) -> &Self {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        let process = if pid == 0 { String::new() } else { format!("pid={pid}\nstart=1\n") };
        let supervisor = std::process::id();
        let state = format!("{process}boot={boot}supervisor={supervisor}\n{lines}");
        self.replace("state", state.as_bytes());
        self.replace("status", &[&stamp()[..], &pid.to_le_bytes(), rest].concat());
        self
    }

    /// Has no state file, as supervises of others.
    pub fn forget_state(&self) -> &Self {
        fs::remove_file(self.place.join(&self.name).join("supervise/state")).unwrap();
        self
    }

    fn replace(&self, file: &str, bytes: &[u8]) {
        let new = format!("{}/supervise/{file}.new", self.name);
        self.place.write(&new, bytes);
        let file = self.place.join(&self.name).join("supervise").join(file);
        fs::rename(self.place.join(new), file).unwrap();
    }
}

/// A stamp in the future, so that 0 seconds have passed.
pub fn stamp() -> [u8; 12] {
    [0x40, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]
}

/// What follows the pid of a service that is up.
pub const UP: &[u8] = b"\0u\x03\x01";

/// Of one that is down and wanted so.
pub const DOWN: &[u8] = b"\0d\x00\x00";

/// Of one that has failed.
pub const FAILED: &[u8] = b"\0d\x05\x00";
