//! qmail-qcheck: check a queue, and repair it.
//!
//! A message is called after the inode of its text, so that a queue that was copied or restored
//! has every name wrong. Nothing is ever deleted: what no program could deliver goes to `lost`.
#![cfg_attr(not(test), no_main)]

use base::files::sync_folder;
use base::opt::Opts;
use base::out::Out;
use base::sys::ids::User;
use base::sys::{fd, lock, umask};
use base::{Args, Code, Die, Result, Unable};
use mail::queue_files::{self, FOLDERS, Found, Move, list, part, settle, stray};
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use queue::home;
use queue::paths::Paths;
use queue::users::{Role, Users};
use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, FileTimes, OpenOptions, Permissions};
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

base::program!("qmail-qcheck", run);

const USAGE: &str = "qmail-qcheck [ -nN ]";

/// Where strays go, in `queue`.
const LOST: &str = "lost";

/// The files of `lock`, whose they are, and their modes. The originals have no tcpto6: it may be
/// missing.
const LOCKS: [(&str, Role, u32); 4] = [
    ("sendmutex", Role::Send, 0o600),
    ("tcpto", Role::Remote, 0o644),
    (TCPTO6, Role::Remote, 0o644),
    ("trigger", Role::Send, 0o622),
];
const TCPTO6: &str = "tcpto6";

/// Bytes of each table of time-outs.
const TCPTO: u64 = 1024;

fn run(words: Args) -> Result<Code> {
    let mut opts = Opts::new(words, "nN", USAGE);
    let mut repair = false;
    while let Some(letter) = opts.next()? {
        repair = letter == b'N';
    }
    if !opts.rest().is_empty() {
        return Err(Die::usage(USAGE));
    }
    fd::fill_standard().unable("open /dev/null")?;
    umask::set(0o022);
    let home = home::folder();
    let users = Users::of(&home);
    let users = users.map_err(|name| Die::later(format_args!("unable to find user {name}")))?;
    std::env::set_current_dir(home.join("queue")).unable("chdir to queue")?;
    let paths = queue_files::paths().unable("count the folders of mess")?;
    // While this is held, no qmail-send runs.
    let _mutex = if repair { Some(mutex()?) } else { None };
    let mut check = Check { users, paths, repair, out: Out::stdout(), found: 0 };
    check.tree()?;
    check.names()?;
    check.strays()?;
    check.owners()?;
    check.out.flush().unable("write output")?;
    Ok(if check.found == 0 || repair { Code::DONE } else { Code::PERM })
}

/// The lock of qmail-send.
fn mutex() -> Result<File> {
    let name = "lock/sendmutex";
    make_folder(Path::new("lock"), 0o750)?;
    let mutex = OpenOptions::new().append(true).create(true).mode(0o600).open(name);
    let mutex = mutex.unable(format_args!("open {name}"))?;
    match lock::try_exclusive(mutex.as_fd()) {
        Err(why) if why.kind() == ErrorKind::WouldBlock => {
            Err(Die::later("qmail-send is running: stop it first"))
        }
        other => other.map(|()| mutex).unable(format_args!("lock {name}")),
    }
}

fn make_folder(path: &Path, mode: u32) -> Result<()> {
    match DirBuilder::new().mode(mode).create(path) {
        Err(why) if why.kind() == ErrorKind::AlreadyExists => Ok(()),
        other => other.unable(format_args!("create {}", path.display())),
    }
}

/// What a folder or file of the queue has to be.
struct Due {
    path: PathBuf,
    role: Role,
    mode: u32,
}

/// A check under way.
struct Check {
    users: Users,
    paths: Paths,
    repair: bool,
    out: Out<'static>,
    /// Complaints so far.
    found: usize,
}

impl Check {
    /// Says what is wrong with a file, and what is done about it.
    fn complain(&mut self, path: &Path, what: &str, repaired: &str) -> Result<()> {
        self.found += 1;
        let done = if self.repair { format!(": {repaired}") } else { String::new() };
        let line = format!("{}: {what}{done}\n", path.display());
        self.out.put(line).unable("write output")
    }

    /// Makes folders and special files that are missing: copies leave out what is empty or odd.
    fn tree(&mut self) -> Result<()> {
        for Due { path, mode, .. } in self.folders() {
            if path.exists() {
                continue;
            }
            self.complain(&path, "missing", "made")?;
            if self.repair {
                make_folder(&path, mode)?;
            }
        }
        for (name, _, mode) in LOCKS {
            let path = Path::new("lock").join(name);
            let wrong = match fs::symlink_metadata(&path) {
                Ok(about) if name == "trigger" && about.file_type().is_fifo() => None,
                Err(why) if name == TCPTO6 && why.kind() == ErrorKind::NotFound => None,
                Ok(about) if is_table(name) && about.is_file() && about.len() < TCPTO => {
                    Some(("too short", "filled"))
                }
                Ok(about) if name != "trigger" && about.is_file() => None,
                _ => Some(("missing", "made")),
            };
            if let Some((wrong, repaired)) = wrong {
                self.complain(&path, wrong, repaired)?;
                if self.repair {
                    make_special(&path, mode).unable(format_args!("make {}", path.display()))?;
                }
            }
        }
        Ok(())
    }

    /// All folders, those before others that they are in.
    fn folders(&self) -> Vec<Due> {
        let mut all = vec![
            Due { path: "lock".into(), role: Role::Queue, mode: 0o750 },
            Due { path: "pid".into(), role: Role::Queue, mode: 0o700 },
        ];
        for folder in FOLDERS {
            let (role, mode) = match folder {
                "mess" | "todo" => (Role::Queue, 0o750),
                "intd" => (Role::Queue, 0o700),
                _ => (Role::Send, 0o700),
            };
            all.push(Due { path: folder.into(), role, mode });
            let below = (0..self.paths.split).filter(|_| self.paths.is_split(folder));
            all.extend(below.map(|n| Due { path: format!("{folder}/{n}").into(), role, mode }));
        }
        all
    }

    /// Gives every message the name of its inode, in the folder that it belongs to.
    fn names(&mut self) -> Result<()> {
        let moves = part(&list().unable("read the queue")?, &self.paths);
        for Move { from, to } in &moves {
            let name = to.display().to_string();
            let name = name.split(".from.").next().unwrap_or_default();
            self.complain(from, "wrong name", &format!("now {name}"))?;
        }
        if !self.repair {
            return Ok(());
        }
        carry_out(&moves)?;
        carry_out(&settle(&list().unable("read the queue")?, &self.paths))
    }

    /// Puts aside what no program could deliver.
    fn strays(&mut self) -> Result<()> {
        let all = list().unable("read the queue")?;
        for file in stray(&all) {
            // Where qmail-send runs, the message may just have been delivered.
            if !self.repair && !file.path.exists() {
                continue;
            }
            let to = format!("{LOST}/{}.{}", file.folder, file.name.number);
            let what = if self.has_text(file) { "no sender" } else { "no message" };
            self.complain(&file.path, what, &format!("now {to}"))?;
            if self.repair {
                make_folder(Path::new(LOST), 0o700)?;
                carry_out(&[Move { from: file.path.clone(), to: to.into() }])?;
            }
        }
        Ok(())
    }

    fn has_text(&self, file: &Found) -> bool {
        self.paths.split("mess", file.name.number).exists()
    }

    /// Checks to whom everything belongs, and its mode.
    fn owners(&mut self) -> Result<()> {
        let mut all = self.folders();
        let lock = |(name, role, mode)| Due { path: Path::new("lock").join(name), role, mode };
        all.extend(LOCKS.map(lock));
        for file in list().unable("read the queue")? {
            let (role, mode) = match file.folder {
                "mess" | "intd" | "todo" => (Role::Queue, 0o644),
                _ => (Role::Send, 0o600),
            };
            all.push(Due { path: file.path, role, mode });
        }
        all.iter().try_for_each(|due| self.owner(due))
    }

    fn owner(&mut self, due: &Due) -> Result<()> {
        let path = &due.path;
        let Ok(about) = fs::symlink_metadata(path) else { return Ok(()) };
        let User { uid, gid, .. } = *self.users.get(due.role);
        if about.uid() != uid || about.gid() != gid && !self.users.is_alone() {
            self.complain(path, "wrong owner", due.role.name())?;
            if self.repair {
                let given = std::os::unix::fs::lchown(path, Some(uid), Some(gid));
                given.unable(format_args!("chown {}", path.display()))?;
            }
        }
        // Readers more than there should be see mail; fewer only hinder.
        if about.mode() & 0o777 != due.mode && !about.is_symlink() {
            self.complain(path, "wrong mode", &format!("{:o}", due.mode))?;
            if self.repair {
                let set = fs::set_permissions(path, Permissions::from_mode(due.mode));
                set.unable(format_args!("chmod {}", path.display()))?;
            }
        }
        Ok(())
    }
}

/// Whether this file of `lock` is a table of time-outs.
fn is_table(name: &str) -> bool {
    name == "tcpto" || name == TCPTO6
}

/// A file of `lock` that is not there, or is something else, or too short.
fn make_special(path: &Path, mode: u32) -> std::io::Result<()> {
    if path.ends_with("trigger") {
        let _ = fs::remove_file(path);
        return Ok(mkfifo(path, Mode::from_bits_truncate(mode))?);
    }
    // One that was made and not filled is filled.
    let mut file = OpenOptions::new();
    let file = file.write(true).create(true).truncate(false).custom_flags(OFlag::O_NOFOLLOW.bits());
    let file = file.mode(mode).open(path)?;
    let name = path.file_name().and_then(|name| name.to_str());
    if name.is_some_and(is_table) { file.set_len(TCPTO) } else { Ok(()) }
}

/// Moves files, in this order, and has their names on disk. What has the new name already stays:
/// then the file is left where it is.
fn carry_out(moves: &[Move]) -> Result<()> {
    let mut folders = BTreeSet::new();
    for Move { from, to } in moves {
        let (shown, new) = (from.display(), to.display());
        // As if just read: qmail-send removes texts that look forgotten, and until the last move
        // this one may look so.
        let now = FileTimes::new().set_accessed(SystemTime::now());
        let file = File::open(from).and_then(|file| file.set_times(now));
        file.unable(format_args!("touch {shown}"))?;
        if to.exists() {
            return Err(Die::later(format_args!("{new} is in the way of {shown}")));
        }
        fs::rename(from, to).unable(format_args!("move {shown} to {new}"))?;
        folders.extend([from, to].map(|path| path.parent().unwrap_or(Path::new(".")).to_owned()));
    }
    for folder in folders {
        sync_folder(&folder).unable(format_args!("sync {}", folder.display()))?;
    }
    Ok(())
}
