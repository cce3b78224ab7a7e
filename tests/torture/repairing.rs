//! Who cleans up and repairs a queue: nothing goes that is still needed, and what was interrupted
//! is finished by the next one.

use crate::installation::{Installation, installation};
use crate::sweep::{Case, sampled, sweep};
use crate::tamper::held;
use std::fs::{self, File, FileTimes};
use std::io::{self, PipeReader, Read, Write};
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};
use tests::fed;

/// The folders with files of messages.
const FOLDERS: [&str; 7] = ["mess", "intd", "todo", "info", "local", "remote", "bounce"];

fn within(home: &Installation, program: &Command) -> Command {
    let mut command = held(program);
    home.as_its_user(&mut command).stdin(Stdio::null()).stderr(Stdio::null());
    command
}

fn temporary(code: Option<i32>) -> Result<(), String> {
    match code {
        None | Some(0 | 111) => Ok(()),
        Some(other) => Err(format!("no temporary failure: {other}")),
    }
}

/// qmail-clean is asked to remove a message's envelope, a message, and one that is not there.
struct Clean {
    home: Installation,
    /// Where its answers come, and what has come.
    answers: Mutex<(Option<PipeReader>, String)>,
}

const REQUESTS: &[u8] = b"todo/46\0foop/47\0foop/48\0";

impl Clean {
    fn answers(&self) -> String {
        let (from, answers) = &mut *self.answers.lock().unwrap();
        if let Some(mut from) = from.take() {
            from.read_to_string(answers).unwrap();
        }
        answers.clone()
    }

    fn has(&self, folder: &str, number: u64) -> bool {
        self.home.place().exists(self.home.file(folder, number))
    }
}

impl Case for Clean {
    fn new() -> Self {
        Clean { home: installation(), answers: Mutex::default() }
    }

    fn renew(&self) {
        for folder in FOLDERS {
            for number in [46, 47, 49] {
                self.home.put(folder, number, "text");
            }
        }
        for (name, age) in [("old", 40 * 3600), ("new", 0)] {
            self.home.write(format!("queue/pid/{name}"), "text");
            let then = SystemTime::now() - Duration::from_secs(age);
            let file = File::open(self.home.join("queue/pid").join(name)).unwrap();
            file.set_times(FileTimes::new().set_accessed(then)).unwrap();
        }
    }

    fn command(&self) -> Command {
        let (input, mut requests) = io::pipe().unwrap();
        requests.write_all(REQUESTS).unwrap();
        let (answers, output) = io::pipe().unwrap();
        *self.answers.lock().unwrap() = (Some(answers), String::new());
        let mut command = within(&self.home, &self.home.program("qmail-clean"));
        command.stdin(input).stdout(output);
        command
    }

    fn is_done(&self, code: Option<i32>) -> bool {
        code == Some(0) && self.answers() == "+++" && !self.home.place().exists("queue/pid/old")
    }

    fn check(&self, code: Option<i32>) -> Result<(), String> {
        let answers = self.answers();
        let done = |at| answers.as_bytes().get(at) == Some(&b'+');
        let needed = FOLDERS.iter().all(|folder| self.has(folder, 49))
            && self.has("mess", 46)
            && self.has("todo", 47)
            && self.home.place().exists("queue/pid/new");
        let gone = |number, folders: [&str; 2]| folders.iter().all(|f| !self.has(f, number));
        match () {
            () if !needed => return Err("it has removed what is needed".into()),
            () if answers.contains('x') => return Err("it does not know its orders".into()),
            () if code == Some(0) && answers.len() != 3 => return Err("no answer".into()),
            () if done(0) && !gone(46, ["intd", "todo"])
                || done(1) && !gone(47, ["intd", "mess"]) =>
            {
                return Err("removed, it says, but it is not".into());
            }
            // what says that there is a message goes last
            () if self.has("intd", 46) && !self.has("todo", 46)
                || self.has("intd", 47) && !self.has("mess", 47) =>
            {
                return Err("the wrong file first".into());
            }
            () => temporary(code)?,
        }
        let again = fed(&mut self.home.program("qmail-clean"), REQUESTS).stdout;
        let all = again == b"+++" && gone(46, ["intd", "todo"]) && gone(47, ["intd", "mess"]);
        if all { Ok(()) } else { Err("the next one does not finish it".into()) }
    }
}

/// qmail-qcheck repairs a queue whose messages are named after each other's inodes, where a bounce
/// is left of a message, and some things are missing.
struct Repair(Installation);

/// So few folders that a queue is split into: all are looked at several times.
const SPLIT: u64 = 2;

/// The files of that queue.
const FILES: usize = 9;

const MESSAGES: usize = 3;

/// A folder and a file that it has to make.
const MISSING: [&str; 2] = ["queue/remote/0", "queue/lock/tcpto"];

impl Repair {
    /// The name of a message's file.
    fn file(folder: &str, number: u64) -> String {
        match folder {
            "intd" | "todo" | "bounce" => format!("queue/{folder}/{number}"),
            _ => format!("queue/{folder}/{}/{number}", number % SPLIT),
        }
    }

    fn put(&self, folder: &str, number: u64, text: &str) {
        let file = self.0.join(Self::file(folder, number));
        fs::write(&file, text).unwrap();
        self.own(&file);
    }

    /// Gives a file to the user of the installation, without a process of its own for that.
    fn own(&self, file: &Path) {
        let (user, group) = self.0.user();
        chown(file, Some(user), Some(group)).unwrap();
    }

    /// All files of messages, also those put aside.
    fn files(&self) -> Vec<PathBuf> {
        let folders = FOLDERS.into_iter().chain(["lost"]);
        folders.flat_map(|folder| files(&self.0.join("queue").join(folder))).collect()
    }

    /// All that is in them, sorted.
    fn texts(&self) -> Vec<String> {
        let read = |file| fs::read_to_string(file).unwrap();
        let mut texts: Vec<_> = self.files().into_iter().map(read).collect();
        texts.sort();
        texts
    }

    /// Every message is called after its inode and has its own company; the bounce is aside; what
    /// was missing is there.
    fn is_repaired(&self) -> bool {
        let fine = |number: &u64| {
            let file = Self::file("mess", *number);
            let of = |folder| fs::read_to_string(self.0.join(Self::file(folder, *number)));
            let name = self.0.place().text(&file).replace("Subject: ", "");
            let envelopes = of("todo").unwrap_or_default() + &of("local").unwrap_or_default();
            fs::metadata(self.0.join(&file)).unwrap().ino() == *number
                && self.0.place().mode(&file) == 0o644
                && envelopes.contains(&format!("T{}@a.example\0", name.trim_end()))
        };
        let messages = self.0.numbers("mess");
        messages.len() == MESSAGES
            && messages.iter().all(fine)
            && self.0.place().exists("queue/lost/bounce.99")
            && self.0.place().exists(MISSING[0])
            && self.0.place().read(MISSING[1]) == [0; 1024]
    }
}

/// All files below a folder, if there is one.
fn files(folder: &Path) -> Vec<PathBuf> {
    let below = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    below.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

impl Case for Repair {
    fn new() -> Self {
        let home = installation();
        for folder in ["mess", "info", "local", "remote"] {
            for name in home.place().names(format!("queue/{folder}")) {
                if name.parse::<u64>().unwrap() >= SPLIT {
                    fs::remove_dir(home.join(format!("queue/{folder}/{name}"))).unwrap();
                }
            }
        }
        Repair(home)
    }

    fn renew(&self) {
        for file in self.files() {
            fs::remove_file(file).unwrap();
        }
        let _ = fs::remove_dir(self.0.join("queue/lost"));
        let _ = fs::remove_dir(self.0.join(MISSING[0]));
        let _ = fs::remove_file(self.0.join(MISSING[1]));
        let texts: Vec<PathBuf> =
            (0..MESSAGES).map(|number| self.0.join(format!("queue/pid/{number}"))).collect();
        for (number, text) in texts.iter().enumerate() {
            fs::write(text, format!("Subject: r{number}\n")).unwrap();
            self.own(text);
        }
        let inodes: Vec<u64> = texts.iter().map(|text| fs::metadata(text).unwrap().ino()).collect();
        for (number, text) in texts.iter().enumerate() {
            let name = inodes[(number + 1) % MESSAGES];
            fs::rename(text, self.0.join(Self::file("mess", name))).unwrap();
            let recipient = format!("Tr{number}@a.example\0");
            match number {
                0 => self.put("todo", name, &format!("u1\0p2\0Fme@a.example\0{recipient}")),
                _ => {
                    self.put("info", name, "Fme@a.example\0");
                    self.put("local", name, &recipient);
                }
            }
        }
        self.put("bounce", 99, "text");
    }

    fn command(&self) -> Command {
        let mut command = within(&self.0, self.0.program("qmail-qcheck").arg("-N"));
        command.stdout(File::create(self.0.join("said")).unwrap());
        command
    }

    fn is_done(&self, code: Option<i32>) -> bool {
        code == Some(0) && self.is_repaired()
    }

    fn check(&self, code: Option<i32>) -> Result<(), String> {
        let whole = |place: &Repair| {
            let texts = place.texts();
            texts.len() == FILES
                && (0..MESSAGES).all(|n| texts.contains(&format!("Subject: r{n}\n")))
        };
        match () {
            () if !whole(self) => return Err(format!("something is lost: {:?}", self.texts())),
            () if code == Some(0) && !self.is_repaired() => {
                return Err("repaired, it says, but it is not".into());
            }
            () => temporary(code)?,
        }
        let again = self.0.program("qmail-qcheck").arg("-N").output().unwrap();
        match again.status.code() {
            Some(0) if whole(self) && self.is_repaired() => Ok(()),
            code => Err(format!("the next one does not finish it: {code:?}")),
        }
    }
}

/// A table of time-outs with one address that was slow three times.
fn put_time_outs(home: &Installation) {
    let mut table = [0; 1024];
    table[..12].copy_from_slice(&[192, 0, 2, 7, 3, 0, 0, 0, 1, 0, 0, 0]);
    home.write("queue/lock/tcpto", table);
}

/// qmail-tcpok clears the table.
struct Forget(Installation);

impl Case for Forget {
    fn new() -> Self {
        Forget(installation())
    }

    fn renew(&self) {
        put_time_outs(&self.0);
    }

    fn command(&self) -> Command {
        let mut command = within(&self.0, &self.0.program("qmail-tcpok"));
        command.stdout(Stdio::null());
        command
    }

    fn check(&self, code: Option<i32>) -> Result<(), String> {
        let table = self.0.place().read("queue/lock/tcpto");
        match code {
            _ if table.len() != 1024 => Err(format!("a table of {} bytes", table.len())),
            Some(0) if table != [0; 1024] => Err("cleared, it says, but it is not".into()),
            code => temporary(code),
        }
    }
}

/// qmail-tcpto shows it.
struct Show(Installation);

impl Case for Show {
    fn new() -> Self {
        Show(installation())
    }

    fn renew(&self) {
        put_time_outs(&self.0);
    }

    fn command(&self) -> Command {
        let mut command = within(&self.0, &self.0.program("qmail-tcpto"));
        command.stdout(File::create(self.0.join("said")).unwrap());
        command
    }

    fn check(&self, code: Option<i32>) -> Result<(), String> {
        let said = self.0.place().text("said");
        let all = said.starts_with("192.0.2.7 timed out ") && said.ends_with("timeouts: 3\n");
        match code {
            Some(0) if !all => Err(format!("all, it says, but it is {said:?}")),
            code => temporary(code),
        }
    }
}

#[test]
fn qmail_clean_removes_what_it_says() {
    sweep::<Clean>("qmail-clean");
}

#[test]
fn qmail_qcheck_loses_nothing() {
    sampled::<Repair>("qmail-qcheck", 8);
}

#[test]
#[ignore = "torture"]
fn qmail_qcheck_loses_nothing_whatever_fails() {
    sweep::<Repair>("qmail-qcheck");
}

#[test]
fn qmail_tcpok_clears_what_it_says() {
    sweep::<Forget>("qmail-tcpok");
}

#[test]
fn qmail_tcpto_shows_all() {
    sweep::<Show>("qmail-tcpto");
}
