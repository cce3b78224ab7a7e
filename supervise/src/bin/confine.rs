//! confine: run a program that can reach only what it needs.
#![cfg_attr(not(test), no_main)]

use base::env::{self, Env};
use base::opt::Opts;
use base::sys::exec::Prepared;
use base::sys::landlock::{self, Rights, Ruleset};
use base::sys::{fd, seccomp};
use base::{Args, Code, Die, Result, Unable};
use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use supervise::denial::Denial;
use supervise::elf;

base::program!("confine", run);

const USAGE: &str = "confine [-s] [-r path] [-w path] [-x path] [-n net|files|exec] program";

/// `-r`: files may be read, folders listed.
const READ: Rights = landlock::READ | landlock::LIST;
/// `-w`: also changed. `-x`: also run.
const WRITE: Rights = READ | landlock::WRITE | landlock::CHANGE | landlock::CONTROL;
const EXECUTE: Rights = READ | landlock::EXECUTE;
/// The program itself.
const PROGRAM: Rights = landlock::READ | landlock::EXECUTE;

/// What the command line says.
#[derive(Default)]
struct Options {
    /// Programs may still gain privileges by their set-user-id bits.
    setuid: bool,
    /// Paths, each with what may be done there. None: the whole file system, as before.
    places: Vec<(Rights, OsString)>,
    /// Each at most once.
    denials: Vec<Denial>,
}

fn run(words: Args) -> Result<Code> {
    let mut opts = Opts::new(words, "r:w:x:n:s", USAGE);
    let mut options = Options::default();
    while let Some(letter) = opts.next()? {
        let argument = opts.argument();
        match letter {
            b'r' => options.places.push((READ, argument.into())),
            b'w' => options.places.push((WRITE, argument.into())),
            b'x' => options.places.push((EXECUTE, argument.into())),
            b'n' => {
                let denial = Denial::named(argument.as_bytes()).ok_or_else(|| opts.bad_usage())?;
                options.denials.push(denial);
            }
            _ => options.setuid = true,
        }
    }
    let bad_usage = opts.bad_usage();
    let program = opts.rest();
    let [name, ..] = &program[..] else {
        return Err(bad_usage);
    };
    let what = format!("run {}", name.display());
    let prepared = Prepared::new(name.as_bytes(), &program, &Env::inherited()).unable(&what)?;
    let files = executed(name).unable(&what)?;
    confine(&options, &files)?;
    Err(Die::temp(&what, &prepared.exec()))
}

/// The files that running a program by this name executes: the program, and its interpreter.
fn executed(name: &OsStr) -> io::Result<Vec<File>> {
    let file = found(name).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOENT))?;
    let mut start = [0; elf::START];
    // A program that may be run but not read is not asked for an interpreter.
    let length = match File::open(&file) {
        Ok(file) => fd::read(file.as_fd(), &mut start)?,
        Err(_) => 0,
    };
    let interpreter = elf::interpreter(start.get(..length).unwrap_or_default());
    let mut files = vec![place(&file)?];
    if let Some(interpreter) = interpreter {
        files.push(place(Path::new(OsStr::from_bytes(interpreter)))?);
    }
    Ok(files)
}

/// The first file of this name in PATH that may be run.
fn found(name: &OsStr) -> Option<PathBuf> {
    if name.as_bytes().contains(&b'/') {
        return Some(name.into());
    }
    let path = env::get("PATH").unwrap_or_else(|| b"/bin:/usr/bin".to_vec());
    let folders = path.split(|byte| *byte == b':');
    let mut files = folders.map(|folder| {
        let folder = if folder.is_empty() { b"." } else { folder };
        PathBuf::from(OsString::from_vec([folder, b"/", name.as_bytes()].concat()))
    });
    files.find(|file| {
        let runs = |found: std::fs::Metadata| found.permissions().mode() & 0o111 != 0;
        file.metadata().is_ok_and(|found| found.is_file() && runs(found))
    })
}

/// Puts everything in force, for good: last of all the filter, after which even this program
/// may not do what the others did before.
fn confine(options: &Options, program: &[File]) -> Result<()> {
    if !options.setuid {
        seccomp::no_new_privileges().unable("give up new privileges")?;
    }
    if !options.places.is_empty() {
        let rules = Ruleset::new(landlock::ALL).unable("restrict the file system")?;
        for (rights, path) in &options.places {
            let shown = path.display();
            let place = place(Path::new(path)).unable(format_args!("open {shown}"))?;
            allow(&rules, *rights, &place).unable(format_args!("allow {shown}"))?;
        }
        enforce(rules, program)?;
    }
    if options.denials.contains(&Denial::Exec) {
        let rules = Ruleset::new(landlock::EXECUTE).unable("restrict the file system")?;
        enforce(rules, program)?;
    }
    if !options.denials.is_empty() {
        let calls: Vec<_> = options.denials.iter().flat_map(|denial| denial.calls()).collect();
        let alone = options.denials.contains(&Denial::Exec);
        seccomp::forbid(&calls, alone).unable("filter system calls")?;
    }
    Ok(())
}

/// A descriptor that only names a file or folder.
fn place(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_PATH).open(path)
}

fn allow(rules: &Ruleset, rights: Rights, place: &File) -> io::Result<()> {
    rules.allow(rights, place.as_fd(), place.metadata()?.is_dir())
}

/// In force, but for the program.
fn enforce(rules: Ruleset, program: &[File]) -> Result<()> {
    for file in program {
        allow(&rules, PROGRAM, file).unable("allow the program")?;
    }
    rules.enforce().unable("restrict the file system")
}
