//! A folder of one's own.

use crate::running::Running;
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, io, process, thread};

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A folder that belongs to one test: removed at the end, kept and named if the test fails.
pub struct Scratch {
    path: PathBuf,
}

/// Makes a new empty scratch folder, mode 755, below `$TMPDIR` or `/tmp`.
pub fn scratch() -> Scratch {
    scratch_in(&env::temp_dir())
}

/// Makes one on a file system in memory, where no inode comes twice. `None`: this system has none.
pub fn scratch_in_memory() -> Option<Scratch> {
    let place = Path::new("/dev/shm");
    place.is_dir().then(|| scratch_in(place))
}

fn scratch_in(place: &Path) -> Scratch {
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = place.join(format!("catena-{}-{number}", process::id()));
    // left over from a killed run that had our pid
    remove(&path).unwrap();
    fs::create_dir(&path).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    // a temporary folder may be a link: programs that print their folder print the real path
    Scratch { path: path.canonicalize().unwrap() }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

impl Scratch {
    /// The folder, absolute and free of links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of `name` in the folder.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file, making the folders that lead to it. Replaces what is there.
    #[track_caller]
    pub fn write(&self, name: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> &Scratch {
        let path = self.with_parents(name.as_ref());
        fs::write(&path, bytes).unwrap_or_else(|e| panic!("write {}: {e}", path.display()));
        self
    }

    /// Writes an executable script; `#!/bin/sh` is put before a text that names no interpreter.
    #[track_caller]
    pub fn script(&self, name: impl AsRef<Path>, text: &str) -> &Scratch {
        let start = if text.starts_with("#!") { "" } else { "#!/bin/sh\n" };
        // written by another process: had we the file open for writing, a child that another test
        // forks just then would hold it open too, and running it would fail as "text file busy"
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", "cat >\"$0\" && chmod 755 \"$0\""]).arg(self.with_parents(name.as_ref()));
        let output =
            Running::alone(&mut shell, format!("{start}{text}").into()).finish(crate::LIMIT);
        assert!(output.status.success(), "{}", crate::shown(&output.stderr));
        self
    }

    /// Copies a file, with its mode. Safe for programs that are run at once.
    #[track_caller]
    pub fn copy(&self, from: impl AsRef<Path>, name: impl AsRef<Path>) -> &Scratch {
        let to = self.with_parents(name.as_ref());
        let done = Command::new("cp").arg("-p").arg(from.as_ref()).arg(to).status().unwrap();
        assert!(done.success(), "copy {}", from.as_ref().display());
        self
    }

    /// Makes a folder and those that lead to it, unless they are there.
    #[track_caller]
    pub fn dir(&self, name: impl AsRef<Path>) -> &Scratch {
        fs::create_dir_all(self.join(name)).unwrap();
        self
    }

    /// Makes a FIFO, mode 600.
    #[track_caller]
    pub fn fifo(&self, name: impl AsRef<Path>) -> &Scratch {
        let mode = nix::sys::stat::Mode::from_bits_truncate(0o600);
        nix::unistd::mkfifo(&self.with_parents(name.as_ref()), mode).unwrap();
        self
    }

    /// Sets the mode of a file or folder.
    #[track_caller]
    pub fn chmod(&self, name: impl AsRef<Path>, mode: u32) -> &Scratch {
        fs::set_permissions(self.join(name), Permissions::from_mode(mode)).unwrap();
        self
    }

    /// Gives a file or folder to a user and group. Only for root.
    #[track_caller]
    pub fn chown(&self, name: impl AsRef<Path>, uid: u32, gid: u32) -> &Scratch {
        std::os::unix::fs::lchown(self.join(name), Some(uid), Some(gid)).unwrap();
        self
    }

    /// The contents of a file.
    #[track_caller]
    pub fn read(&self, name: impl AsRef<Path>) -> Vec<u8> {
        let path = self.join(name);
        fs::read(&path).unwrap_or_else(|e| panic!("read {}: {e}", path.display()))
    }

    /// The contents of a file as [`shown`](crate::shown).
    #[track_caller]
    pub fn text(&self, name: impl AsRef<Path>) -> String {
        crate::shown(&self.read(name))
    }

    /// There is a file, folder, FIFO or link of this name.
    pub fn exists(&self, name: impl AsRef<Path>) -> bool {
        self.join(name).symlink_metadata().is_ok()
    }

    /// The permission bits of a file or folder, `0o644`.
    #[track_caller]
    pub fn mode(&self, name: impl AsRef<Path>) -> u32 {
        self.join(name).symlink_metadata().unwrap().permissions().mode() & 0o7777
    }

    /// The names in a folder (`""` or `"."` is the scratch folder itself), sorted.
    #[track_caller]
    pub fn names(&self, dir: impl AsRef<Path>) -> Vec<String> {
        let path = self.join(dir);
        let list = fs::read_dir(&path).unwrap_or_else(|e| panic!("list {}: {e}", path.display()));
        let name = |name: &OsStr| crate::shown(name.as_encoded_bytes());
        let mut names: Vec<_> = list.map(|entry| name(&entry.unwrap().file_name())).collect();
        names.sort();
        names
    }

    fn with_parents(&self, name: &Path) -> PathBuf {
        let path = self.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("kept: {}", self.path.display());
        } else if let Err(e) = remove(&self.path) {
            eprintln!("unable to remove {}: {e}", self.path.display());
        }
    }
}
