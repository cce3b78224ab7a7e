//! A whole qmail home in a scratch folder, owned and run by one ordinary user: the "alone" mode
//! of design.md, so that tests of mail programs need neither root nor accounts.

use std::fs::{self, FileTimes, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};
use tests::{LIMIT, Running, Scratch, as_user, bin, fed, program, root, scratch, start, until};

/// Folders of `mess`, `info`, `local` and `remote`: what installations have unless built otherwise.
const SPLIT: u64 = 23;

/// Whom the programs run as when the tests run as root: nobody.
const NOBODY: u32 = 65534;

/// An installation that nobody else uses; it goes away with the test.
pub struct Installation {
    place: Scratch,
}

/// Makes an installation: the queue, `alias/`, `users/`, and `bin/` with a link to each of our
/// programs. `control/me` is `a.example`, which is local; there are no other control files.
#[track_caller]
pub fn installation() -> Installation {
    installation_in(scratch())
}

/// Makes one, with a queue as the big-todo patch has it or without.
#[track_caller]
#[allow(dead_code)] // The mail programs' own tests say `big_todo`.
pub fn installation_of(big_todo: bool) -> Installation {
    if big_todo { installation().big_todo() } else { installation() }
}

/// Makes it here.
#[track_caller]
pub fn installation_in(place: Scratch) -> Installation {
    for folder in ["alias", "users", "bin", "control", "queue/lock"] {
        place.dir(folder);
    }
    for folder in ["pid", "intd", "todo", "bounce"] {
        place.dir(Path::new("queue").join(folder));
    }
    for folder in ["mess", "info", "local", "remote"] {
        for number in 0..SPLIT {
            place.dir(format!("queue/{folder}/{number}"));
        }
    }
    place.write("queue/lock/sendmutex", "").write("queue/lock/tcpto", [0; 1024]);
    place.fifo("queue/lock/trigger").chmod("queue/lock/trigger", 0o622);
    place.write("control/me", "a.example\n");
    for name in programs() {
        symlink(bin("qmail-queue").with_file_name(&name), place.join("bin").join(&name)).unwrap();
    }
    let installation = Installation { place };
    installation.give("");
    installation
}

/// An installation that `make` makes in an empty folder: one that was restored, say.
#[track_caller]
#[allow(dead_code)] // The mail programs' own tests need none.
pub fn installation_made_by(make: impl FnOnce(&Path)) -> Installation {
    let place = scratch();
    make(place.path());
    let installation = Installation { place };
    installation.give("");
    installation
}

/// The names of all programs in the folder of the programs under test.
fn programs() -> Vec<String> {
    let folder = fs::read_dir(bin("qmail-queue").parent().unwrap()).unwrap().map(Result::unwrap);
    let files = folder.filter(|entry| entry.metadata().unwrap().is_file());
    let names = files.map(|entry| entry.file_name().into_string().unwrap());
    names.filter(|name| !name.contains('.')).collect()
}

impl Installation {
    /// The home folder.
    pub fn home(&self) -> &Path {
        self.place.path()
    }

    /// Splits `intd` and `todo` too, as the big-todo patch has it.
    #[track_caller]
    #[allow(dead_code)] // Not all who have installations need it.
    pub fn big_todo(self) -> Installation {
        for number in 0..SPLIT {
            self.place.dir(format!("queue/intd/{number}")).dir(format!("queue/todo/{number}"));
        }
        self.give("queue");
        self
    }

    /// Whether the files of messages are in folders of this folder of the queue.
    fn is_split(&self, folder: &str) -> bool {
        match folder {
            "intd" | "todo" => self.place.exists("queue/todo/0"),
            other => ["mess", "info", "local", "remote"].contains(&other),
        }
    }

    /// The path of something in the home folder: `"queue/lock"`.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.place.join(name)
    }

    /// The scratch folder itself, for reading. What is written through it belongs to the user of
    /// the tests: use [`Installation::write`].
    pub fn place(&self) -> &Scratch {
        &self.place
    }

    /// Writes a control file.
    #[track_caller]
    pub fn control(&self, name: &str, text: impl AsRef<[u8]>) -> &Installation {
        self.write(Path::new("control").join(name), text)
    }

    /// Writes a file below the home, owned by the user of the installation, mode 600.
    #[track_caller]
    pub fn write(&self, name: impl AsRef<Path>, text: impl AsRef<[u8]>) -> &Installation {
        self.place.write(&name, text).chmod(&name, 0o600);
        self.give(name)
    }

    /// Makes a Maildir below the home: `"alias/Maildir"`.
    #[track_caller]
    pub fn maildir(&self, name: &str) -> &Installation {
        for folder in ["tmp", "new", "cur"] {
            self.place.dir(Path::new(name).join(folder));
        }
        self.give(name)
    }

    /// Puts a shell script in the place of a program of `bin/`, which comes first in the PATH of
    /// [`Installation::program`].
    #[track_caller]
    pub fn script(&self, name: &str, text: &str) -> &Installation {
        let name = Path::new("bin").join(name);
        let _ = fs::remove_file(self.join(&name));
        self.place.script(&name, text);
        self.give(name)
    }

    /// Puts one of our programs in the place of another, say a qmail-rspawn as qmail-lspawn: the
    /// protocol is the same.
    #[track_caller]
    pub fn link(&self, name: &str, program: &str) -> &Installation {
        let name = Path::new("bin").join(name);
        let _ = fs::remove_file(self.join(&name));
        symlink(bin(program), self.join(&name)).unwrap();
        self
    }

    /// A program of ours, run as the user of the installation, with `QMAILHOME` set and `bin/` in
    /// front of its PATH.
    #[track_caller]
    pub fn program(&self, name: &str) -> Command {
        let mut command = program(name);
        let path = command.get_envs().find(|(name, _)| *name == "PATH").and_then(|(_, path)| path);
        let path = [self.join("bin").as_os_str(), path.unwrap_or_default()].join(":".as_ref());
        command.env("PATH", path).env("QMAILHOME", self.home());
        self.as_its_user(&mut command);
        command
    }

    /// Has a command run as the user of the installation.
    pub fn as_its_user<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        if root() { as_user(NOBODY, NOBODY, command) } else { command }
    }

    /// The user and group of the installation.
    pub fn user(&self) -> (u32, u32) {
        let user = nix::unistd::geteuid().as_raw();
        if root() { (NOBODY, NOBODY) } else { (user, nix::unistd::getegid().as_raw()) }
    }

    /// Starts the whole with `qmail-start ./Mailbox`; its standard output is the log.
    #[track_caller]
    pub fn start(&self) -> Running {
        start(self.program("qmail-start").arg("./Mailbox"))
    }

    /// Runs qmail-queue with this message and envelope, byte for byte.
    #[track_caller]
    pub fn queue(&self, message: impl AsRef<[u8]>, envelope: impl AsRef<[u8]>) -> Output {
        self.queue_by(&mut self.program("qmail-queue"), message, envelope)
    }

    /// As [`Installation::queue`], with a command of the test's choice.
    #[track_caller]
    pub fn queue_by(
        &self,
        command: &mut Command,
        message: impl AsRef<[u8]>,
        envelope: impl AsRef<[u8]>,
    ) -> Output {
        let file = self.join("envelope");
        fs::write(&file, envelope).unwrap();
        let mut command = tests::redirected("1<\"$QMAILHOME\"/envelope", command);
        fed(self.as_its_user(&mut command), message)
    }

    /// Queues a message from `sender` to `recipients`, which must work.
    #[track_caller]
    pub fn send(&self, message: impl AsRef<[u8]>, sender: &str, recipients: &[&str]) {
        let output = self.queue(message, envelope(sender, recipients));
        assert_eq!(tests::ran(&output), (Some(0), String::new(), String::new()));
    }

    /// Has qmail-send look for new messages, unless it is about to.
    #[allow(dead_code)] // Not all who have installations need it.
    pub fn pull_trigger(&self) {
        let mut how = OpenOptions::new();
        let how = how.write(true).custom_flags(libc::O_NONBLOCK);
        let trigger = how.open(self.join("queue/lock/trigger"));
        let _ = trigger.and_then(|mut trigger| trigger.write_all(b"!"));
    }

    /// The message numbers in a folder of the queue, in ascending order: `"todo"`, `"mess"`.
    pub fn numbers(&self, folder: &str) -> Vec<u64> {
        let names = self.place.names(Path::new("queue").join(folder));
        let below = |name: &String| {
            let path = format!("queue/{folder}/{name}");
            if self.join(&path).is_dir() { self.place.names(path) } else { vec![name.clone()] }
        };
        let names = match self.is_split(folder) {
            true => names.iter().flat_map(below).collect(),
            false => names,
        };
        // while one of them is written anew, its number has an ending
        let mut numbers: Vec<u64> = names.iter().filter_map(|name| name.parse().ok()).collect();
        numbers.sort();
        numbers
    }

    /// The only message number in a folder of the queue.
    #[track_caller]
    pub fn only(&self, folder: &str) -> u64 {
        let numbers = self.numbers(folder);
        assert_eq!(numbers.len(), 1, "{folder}: {numbers:?}");
        numbers[0]
    }

    /// The folders of the queue in which any message has files.
    pub fn folders(&self) -> Vec<&'static str> {
        let all = ["mess", "intd", "todo", "info", "local", "remote", "bounce"];
        all.into_iter().filter(|folder| !self.numbers(folder).is_empty()).collect()
    }

    /// Waits until only these folders have files, as a log line may come before the unlink.
    #[track_caller]
    pub fn wait_folders(&self, only: &[&str]) {
        until(LIMIT, &format!("files are in {only:?} alone"), || self.folders() == only);
    }

    /// Waits until no message has any file.
    #[track_caller]
    pub fn wait_empty(&self) {
        self.wait_folders(&[]);
    }

    /// Makes a file of a message.
    pub fn put(&self, folder: &str, number: u64, text: &str) -> &Installation {
        self.write(self.file(folder, number), text)
    }

    /// Has a file of a message read and changed last so many seconds ago.
    pub fn set_age(&self, folder: &str, number: u64, age: u64) {
        let then = SystemTime::now() - Duration::from_secs(age);
        let file = fs::File::open(self.join(self.file(folder, number))).unwrap();
        file.set_times(FileTimes::new().set_accessed(then).set_modified(then)).unwrap();
    }

    /// The path of a message's file, relative to the home: `queue/mess/7/1234`.
    pub fn file(&self, folder: &str, message: u64) -> String {
        match self.is_split(folder) {
            true => format!("queue/{folder}/{}/{message}", message % SPLIT),
            false => format!("queue/{folder}/{message}"),
        }
    }

    /// Gives something below the home, with all that is in it, to the user of the installation.
    #[track_caller]
    pub fn give(&self, name: impl AsRef<Path>) -> &Installation {
        if root() {
            let mut chown = Command::new("chown");
            chown.arg("-hR").arg(format!("{NOBODY}:{NOBODY}")).arg(self.join(name));
            assert!(chown.status().unwrap().success());
        }
        self
    }
}

/// An envelope as qmail-queue reads it.
pub fn envelope(sender: &str, recipients: &[&str]) -> Vec<u8> {
    let recipients = recipients.iter().map(|recipient| format!("T{recipient}\0"));
    format!("F{sender}\0{}\0", recipients.collect::<String>()).into_bytes()
}
