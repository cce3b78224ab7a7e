//! qmail-newu: make users/cdb of users/assign.
#![cfg_attr(not(test), no_main)]

use base::cdb::Writer;
use base::files;
use base::input::{Ending, Input};
use base::sys::{lock, umask};
use base::{Args, Code, Die, Result};
use mail::assign;
use queue::home;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::Path;

base::program!("qmail-newu", run);

const ASSIGN: &str = "users/assign";
const TEMPORARY: &str = "users/cdb.tmp";
const CDB: &str = "users/cdb";

const BAD_FORMAT: &str = "bad format in users/assign";
const WRITE: &str = "unable to write users/cdb.tmp";

/// Bytes of the longest line: far more than any list of fields. A longer one is bad format.
const LINE: usize = 1 << 20;

fn run(_: Args) -> Result<Code> {
    umask::set(0o033);
    std::env::set_current_dir(home::folder()).or(fail("unable to chdir"))?;
    let assign = File::open(ASSIGN).or(fail("unable to open users/assign"))?;
    // One at a time: two that write one temporary file would publish each other's half of it.
    // Where folders cannot be locked, as over NFS, it goes on without.
    let folder = File::open("users");
    let _ = folder.as_ref().map(|folder| lock::exclusive(folder.as_fd()));
    let made = make(&assign);
    if made.is_err() {
        let _ = fs::remove_file(TEMPORARY);
    }
    made.map(|()| Code::DONE)
}

fn fail<T>(what: &str) -> Result<T> {
    Err(Die::later(what))
}

/// Writes the temporary file and moves it to its name.
fn make(assign: &File) -> Result<()> {
    let mut cdb = Writer::create(Path::new(TEMPORARY)).or(fail("unable to open users/cdb.tmp"))?;
    let wildcards = copy(&mut Input::new(assign.as_fd()), &mut cdb)?;
    cdb.add(b"", &wildcards).or(fail(WRITE))?;
    cdb.finish().or(fail(WRITE))?;
    files::replace(Path::new(TEMPORARY), Path::new(CDB))
        .or(fail("unable to move users/cdb.tmp to users/cdb"))
}

/// Adds a record for each line up to the one with the dot. Gives the last characters of all
/// wildcards, each once.
fn copy(assign: &mut Input, cdb: &mut Writer) -> Result<Vec<u8>> {
    let mut wildcards = Vec::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        let ending = assign.line(&mut line, LINE).or(fail("unable to read users/assign"))?;
        if line.starts_with(b".") {
            return Ok(wildcards);
        }
        let record = assign::record(&line).filter(|_| ending == Ending::Newline);
        let Some(record) = record else { return fail(BAD_FORMAT) };
        cdb.add(&record.key, &record.data).or(fail(WRITE))?;
        wildcards.extend(record.wildcard.filter(|last| !wildcards.contains(last)));
    }
}
