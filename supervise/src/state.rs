//! `supervise/state`: what supervise knows of its service, as text, for readers that want more
//! than [`crate::status`] and for the next supervise, which adopts what still runs.
//!
//! One `key=value` per line. A reader skips keys and values that it does not know, so both sides
//! may be newer than the other.

use crate::running::start_of;
use crate::status::Want;
use base::number::decimal;
use base::sys::wait::Pid;
use base::tai64;
use nix::sys::signal::Signal;
use std::fmt::Write;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Bytes of the file that readers look at. Supervise writes less than a kilobyte.
pub const LONGEST: usize = 4096;

/// A time, as [`tai64::pack`] gives it.
pub type Stamp = [u8; 12];

/// What the file says. Everything is `None`, 0 or `false` if it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// `pid`, `start`: what runs for the service.
    pub process: Option<Process>,
    /// `script`: which file of the service directory that is. While it is `finish`, the service is
    /// down. `start` without a process: `start` has been run, and there is no `run`.
    pub script: Option<Script>,
    /// `log_pid`, `log_start`: what runs as its log script.
    pub log: Option<Process>,
    /// `boot` and `init`: the system that both run in.
    pub life: Life,
    /// `supervisor`: the process that has written this. `None` if it has ended in order.
    pub supervisor: Option<Pid>,
    /// `want`: `up`, `down` or `once`.
    pub want: Option<Want>,
    /// `paused`: the process was stopped by an order.
    pub paused: bool,
    /// `adopted`: an earlier supervise has started the process.
    pub adopted: bool,
    /// `ready`: `None` if the service does not tell.
    pub ready: Option<bool>,
    /// `ready_since`.
    pub ready_since: Option<Stamp>,
    /// `notify_socket`: the name of the abstract socket by which it tells.
    pub notify_socket: Option<String>,
    /// `restarts`: how often `run` was started again without being asked for.
    pub restarts: u64,
    /// `last_exit`: the exit code of the last `run` that has ended.
    pub last_exit: Option<u8>,
    /// `last_signal`: the signal that has killed it, if one has. In the file: `SIGTERM`.
    pub last_signal: Option<i32>,
    /// `last_start`.
    pub last_start: Option<Stamp>,
    /// `last_death`.
    pub last_death: Option<Stamp>,
    /// `delay`: seconds, from `last_death`, to the next start.
    pub delay: Option<u64>,
    /// `failed`: it is not started again before somebody says so.
    pub failed: bool,
}

/// A process that no later one is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: Pid,
    /// When it was started, in clock ticks since the system was: field 22 of `/proc/PID/stat`.
    pub start: u64,
}

/// What tells a system from itself after its next start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Life {
    /// `boot`: the kernel.
    pub boot: Option<Boot>,
    /// `init`: the start of process 1, as in [`Process`]. A container that starts again has another
    /// one under the same kernel.
    pub init: Option<u64>,
}

/// The files of a service directory that supervise runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Script {
    /// Before the first `run`.
    Start,
    /// The service.
    Run,
    /// After each death of `run`.
    Finish,
    /// After the last death of `run`.
    Stop,
}

/// The text of `/proc/sys/kernel/random/boot_id`, without its newline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boot(pub [u8; 36]);

impl Boot {
    /// That of the running kernel. `None` without `/proc`.
    pub fn now() -> Option<Boot> {
        Boot::look().ok().flatten()
    }

    /// The same; an error means that it could not be found out.
    pub fn look() -> io::Result<Option<Boot>> {
        let mut text = Vec::with_capacity(64);
        match File::open("/proc/sys/kernel/random/boot_id") {
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?.take(64).read_to_end(&mut text)?,
        };
        Ok(Boot::of(&text))
    }

    fn of(text: &[u8]) -> Option<Boot> {
        let text = text.trim_ascii_end();
        let plain = text.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-');
        text.try_into().ok().map(Boot).filter(|_| plain)
    }
}

impl Life {
    /// That of the running system.
    pub fn now() -> Life {
        Life { boot: Boot::now(), init: start_of(1) }
    }
}

impl Script {
    /// All of them.
    pub const ALL: [Script; 4] = [Script::Start, Script::Run, Script::Finish, Script::Stop];

    /// The name of the file.
    pub fn name(self) -> &'static str {
        match self {
            Script::Start => "start",
            Script::Run => "run",
            Script::Finish => "finish",
            Script::Stop => "stop",
        }
    }
}

/// Reads a state file, of which [`LONGEST`] bytes count. It never waits, whatever the file is.
pub fn read(file: &Path) -> io::Result<Record> {
    let mut text = Vec::with_capacity(LONGEST);
    let file: File = base::files::open_read(file)?;
    file.take(LONGEST as u64).read_to_end(&mut text)?;
    Ok(Record::parse(&text))
}

impl Record {
    /// What these lines say. A line without newline is none: it was cut off.
    pub fn parse(text: &[u8]) -> Record {
        let mut record = Record::default();
        let (mut pid, mut start, mut log_pid, mut log_start) = (None, None, None, None);
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            let Some(line) = line.strip_suffix(b"\n") else { break };
            let Some(at) = line.iter().position(|byte| *byte == b'=') else { continue };
            let (key, value) = (&line[..at], &line[at + 1..]);
            match key {
                b"pid" => pid = process_number(value),
                b"start" => start = decimal(value),
                b"log_pid" => log_pid = process_number(value),
                b"log_start" => log_start = decimal(value),
                _ => record.learn(key, value),
            }
        }
        let process = |pid: Option<Pid>, start| Some(Process { pid: pid?, start: start? });
        record.process = process(pid, start);
        record.log = process(log_pid, log_start);
        record
    }

    fn learn(&mut self, key: &[u8], value: &[u8]) {
        let yes = value == b"yes";
        match key {
            b"script" => {
                let names = |script: &Script| script.name().as_bytes() == value;
                self.script = Script::ALL.into_iter().find(names);
            }
            b"boot" => self.life.boot = Boot::of(value),
            b"init" => self.life.init = decimal(value),
            b"supervisor" => self.supervisor = process_number(value),
            b"want" => {
                let means = |want: &Want| word(*want).as_bytes() == value;
                self.want = [Want::Up, Want::Down, Want::Once].into_iter().find(means);
            }
            b"paused" => self.paused = yes,
            b"adopted" => self.adopted = yes,
            b"ready" => self.ready = (yes || value == b"no").then_some(yes),
            b"ready_since" => self.ready_since = stamp(value),
            b"notify_socket" => self.notify_socket = socket_name(value),
            b"restarts" => self.restarts = decimal(value).unwrap_or(0),
            b"last_exit" => self.last_exit = decimal(value).and_then(|code| code.try_into().ok()),
            b"last_signal" => self.last_signal = signal_number(value),
            b"last_start" => self.last_start = stamp(value),
            b"last_death" => self.last_death = stamp(value),
            b"delay" => self.delay = decimal(value),
            b"failed" => self.failed = yes,
            _ => {}
        }
    }

    /// `self.process` and `self.log` mean processes of this kernel.
    pub fn is_of_kernel(&self, boot: Option<Boot>) -> bool {
        self.life.boot.is_some() && self.life.boot == boot
    }

    /// The file's text: every key, in a fixed order, empty where nothing is known.
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(512);
        let process = |process: Option<Process>| match process {
            Some(process) => (process.pid.to_string(), process.start.to_string()),
            None => Default::default(),
        };
        let (pid, start) = process(self.process);
        let (log_pid, log_start) = process(self.log);
        let boot = self.life.boot.map(|boot| String::from_utf8_lossy(&boot.0).into_owned());
        put(&mut text, "pid", pid);
        put(&mut text, "start", start);
        put(&mut text, "boot", boot.unwrap_or_default());
        put(&mut text, "init", number(self.life.init));
        put(&mut text, "supervisor", number(self.supervisor));
        put(&mut text, "script", self.script.map_or("", Script::name));
        put(&mut text, "log_pid", log_pid);
        put(&mut text, "log_start", log_start);
        put(&mut text, "want", self.want.map_or("", word));
        put(&mut text, "paused", yes(self.paused));
        put(&mut text, "adopted", yes(self.adopted));
        put(&mut text, "ready", self.ready.map_or("", yes));
        put(&mut text, "ready_since", label(self.ready_since));
        put(&mut text, "notify_socket", self.notify_socket.as_deref().unwrap_or_default());
        put(&mut text, "restarts", self.restarts);
        put(&mut text, "last_exit", number(self.last_exit));
        put(&mut text, "last_signal", self.last_signal.map(signal_name).unwrap_or_default());
        put(&mut text, "last_start", label(self.last_start));
        put(&mut text, "last_death", label(self.last_death));
        put(&mut text, "delay", number(self.delay));
        put(&mut text, "failed", yes(self.failed));
        text
    }
}

/// The name of a signal: `SIGTERM`; the number where it has none.
pub fn signal_name(signal: i32) -> String {
    Signal::try_from(signal).map_or_else(|_| signal.to_string(), |known| known.as_str().to_owned())
}

/// The signal of a name, `SIGTERM` or `TERM`, or of a number from 1 to 64.
pub fn signal_number(text: &[u8]) -> Option<i32> {
    if let Some(number) = decimal(text) {
        return i32::try_from(number).ok().filter(|number| (1..=64).contains(number));
    }
    let name = str::from_utf8(text.strip_prefix(b"SIG").unwrap_or(text)).ok()?;
    format!("SIG{name}").parse().ok().map(|known: Signal| known as i32)
}

fn put(text: &mut String, key: &str, value: impl std::fmt::Display) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "{key}={value}");
}

fn yes(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}

fn word(want: Want) -> &'static str {
    match want {
        Want::Up => "up",
        Want::Down => "down",
        Want::Once => "once",
    }
}

fn number(number: Option<impl ToString>) -> String {
    number.map(|number| number.to_string()).unwrap_or_default()
}

/// What supervise calls its sockets: a slash, letters and digits.
fn socket_name(text: &[u8]) -> Option<String> {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'/';
    let good = (1..=64).contains(&text.len()) && text.iter().all(plain);
    String::from_utf8(text.to_vec()).ok().filter(|_| good)
}

/// Process numbers are above 0: 0 and -1 mean many processes to the kernel.
fn process_number(text: &[u8]) -> Option<Pid> {
    Pid::try_from(decimal(text)?).ok().filter(|pid| *pid > 0)
}

fn label(stamp: Option<Stamp>) -> String {
    let label = stamp.and_then(|stamp| tai64::unpack(&stamp)).map(tai64::label);
    label.map(|label| String::from_utf8_lossy(&label).into_owned()).unwrap_or_default()
}

fn stamp(text: &[u8]) -> Option<Stamp> {
    let (second, fraction) = text.strip_prefix(b"@")?.split_at_checked(16)?;
    let nanoseconds = u32::try_from(tai64::hex(fraction).filter(|_| fraction.len() == 8)?).ok()?;
    let mut stamp = [0; 12];
    stamp[..8].copy_from_slice(&tai64::hex(second)?.to_be_bytes());
    stamp[8..].copy_from_slice(&nanoseconds.to_be_bytes());
    tai64::unpack(&stamp).map(|_| stamp)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::tests::Random;
    use std::time::Duration;

    fn full() -> Record {
        let stamp = |second| Some(tai64::pack(Duration::new(second, 5)));
        Record {
            process: Some(Process { pid: 4711, start: 1234 }),
            script: Some(Script::Run),
            log: Some(Process { pid: 4712, start: 1235 }),
            life: Life {
                boot: Some(Boot(*b"12345678-90ab-cdef-1234-567890abcdef")),
                init: Some(3),
            },
            supervisor: Some(99),
            want: Some(Want::Once),
            paused: true,
            adopted: true,
            ready: Some(false),
            ready_since: stamp(1),
            notify_socket: Some("supervise/12ab".into()),
            restarts: 3,
            last_exit: Some(111),
            last_signal: Some(libc::SIGKILL),
            last_start: stamp(2),
            last_death: stamp(3),
            delay: Some(8),
            failed: true,
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for record in [full(), Record::default()] {
            assert_eq!(Record::parse(record.text().as_bytes()), record);
        }
        assert!(full().text().len() < 1024);
    }

    #[test]
    fn every_key_has_its_line() {
        let text = full().text();
        assert!(text.starts_with("pid=4711\nstart=1234\nboot=12345678-90ab-"), "{text}");
        let lines = "\nwant=once\npaused=yes\nadopted=yes\nready=no\n\
                     ready_since=@400000000000000b00000005\nnotify_socket=supervise/12ab\nrestarts=3\nlast_exit=111\n\
                     last_signal=SIGKILL\n";
        assert!(text.contains(lines), "{text}");
        assert!(
            Record::default()
                .text()
                .contains("\nready=\nready_since=\nnotify_socket=\nrestarts=0\n")
        );
    }

    #[test]
    fn what_is_unknown_is_skipped() {
        let text = b"color=green\n\n=\nwant=sideways\npid=7\nstart=9\nwords\nready=maybe\nlast";
        let record = Record::parse(text);
        let process = Some(Process { pid: 7, start: 9 });
        assert_eq!(record, Record { process, ..Record::default() });
    }

    #[test]
    fn a_process_is_a_number_above_zero_and_a_start() {
        for text in ["pid=0\nstart=1\n", "pid=-1\nstart=1\n", "pid=7\n", "pid=7\nstart=1"] {
            assert_eq!(Record::parse(text.as_bytes()).process, None, "{text}");
        }
        assert_eq!(Record::parse(b"pid=4294967297\nstart=1\n").process, None);
    }

    #[test]
    fn signals_have_names_and_numbers() {
        for text in ["SIGTERM", "TERM", "15"] {
            assert_eq!(signal_number(text.as_bytes()), Some(libc::SIGTERM));
        }
        assert_eq!([signal_name(9), signal_name(40)], ["SIGKILL", "40"]);
        for text in ["", "0", "65", "SIG", "term", "SIGSIGTERM", "99999999999999999999"] {
            assert_eq!(signal_number(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn damaged_text_is_read_as_far_as_it_is_whole() {
        let mut random = Random::new(9);
        let text = full().text();
        for _ in 0..10_000 {
            let record = Record::parse(&random.damaged(text.as_bytes()));
            assert!(record.process.is_none_or(|process| process.pid > 0));
            // what was understood is written so that it is understood again
            assert_eq!(Record::parse(record.text().as_bytes()), record);
        }
    }

    #[test]
    fn any_bytes_are_a_record() {
        let mut random = Random::new(10);
        for count in 0..10_000 {
            let record = Record::parse(&random.bytes(count % 300));
            assert_eq!(Record::parse(record.text().as_bytes()), record);
        }
    }
}
