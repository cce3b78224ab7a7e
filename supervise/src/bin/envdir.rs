//! envdir: run a program with variables set from the files of a folder.
#![cfg_attr(not(test), no_main)]

use base::env::Env;
use base::opt::Opts;
use base::sys::exec::exec_with;
use base::{Args, Code, Result, Unable, files};
use std::ffi::OsStr;
use std::fs;
use std::io::{self, ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

base::program!("envdir", run);

const USAGE: &str = "envdir dir child";

fn run(words: Args) -> Result<Code> {
    let mut opts = Opts::new(words, "p:", USAGE).usage_code(Code::TEMP.0);
    let mut prefix = Vec::new();
    while opts.next()?.is_some() {
        prefix = opts.argument().as_bytes().to_vec();
    }
    let bad_usage = opts.bad_usage();
    let words = opts.rest();
    let [folder, child @ ..] = &words[..] else {
        return Err(bad_usage);
    };
    let [program, ..] = child else {
        return Err(bad_usage);
    };
    let mut env = Env::inherited();
    apply(&mut env, &prefix, Path::new(folder))?;
    match exec_with(child, &env).unable(format_args!("run {}", program.display()))? {}
}

/// Makes the changes that the files of the folder ask for.
fn apply(env: &mut Env, prefix: &[u8], folder: &Path) -> Result<()> {
    let shown = folder.display();
    let entered = fs::metadata(folder).and_then(|_| fs::metadata(folder.join(".")));
    entered.unable(format_args!("switch to directory {shown}"))?;
    let unreadable = format!("read directory {shown}");
    for entry in files::entries(folder).unable(&unreadable)? {
        let name = entry.unable(&unreadable)?.file_name();
        if name.as_bytes().starts_with(b".") {
            continue;
        }
        let contents = match contents(&folder.join(&name)) {
            // Removed since it was listed, or a link to nowhere: it says nothing.
            Err(why) if why.kind() == ErrorKind::NotFound => continue,
            other => other.unable(format_args!("read {shown}/{}", name.display()))?,
        };
        assign(env, &[prefix, name.as_bytes()].concat(), &contents);
    }
    Ok(())
}

/// A FIFO is read without waiting: one that nobody writes to is an empty file.
fn contents(file: &Path) -> io::Result<Vec<u8>> {
    let mut contents = Vec::new();
    files::open_read(file)?.read_to_end(&mut contents)?;
    Ok(contents)
}

/// Sets the variable to the first line of the file; an empty file removes it. The part of the
/// file's name behind a `=` belongs to the value, then also of an empty file.
fn assign(env: &mut Env, name: &[u8], contents: &[u8]) {
    let value = value(contents);
    match memchr::memchr(b'=', name) {
        Some(at) => {
            let (name, start) = (&name[..at], &name[at + 1..]);
            let value = value.map(|value| [start, b"=", &value].concat());
            env.set(OsStr::from_bytes(name), OsStr::from_bytes(&value.unwrap_or(start.to_vec())));
        }
        None => {
            env.put(OsStr::from_bytes(name), value.as_deref().map(OsStr::from_bytes));
        }
    }
}

/// The first line without the spaces and tabs at its end, every NUL turned into a newline. `None`
/// for an empty file.
fn value(contents: &[u8]) -> Option<Vec<u8>> {
    let line = contents.split(|byte| *byte == b'\n').next()?;
    let blanks = line.iter().rev().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let text = &line[..line.len() - blanks];
    let value = text.iter().map(|byte| if *byte == 0 { b'\n' } else { *byte }).collect();
    (!contents.is_empty()).then_some(value)
}
