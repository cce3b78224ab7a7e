//! qmail-newmrh: make control/morercpthosts.cdb of control/morercpthosts.
#![cfg_attr(not(test), no_main)]

use base::cdb::Writer;
use base::files;
use base::input::Input;
use base::sys::{lock, umask};
use base::{Args, Code, Result, Unable};
use mail::rcpthosts;
use queue::home;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::Path;

base::program!("qmail-newmrh", run);

const HOSTS: &str = "control/morercpthosts";
const TEMPORARY: &str = "control/morercpthosts.tmp";
const CDB: &str = "control/morercpthosts.cdb";

const READ: &str = "read control/morercpthosts";
const WRITE: &str = "write to control/morercpthosts.tmp";
const MOVE: &str = "move control/morercpthosts.tmp to control/morercpthosts.cdb";

fn run(_: Args) -> Result<Code> {
    umask::set(0o033);
    let home = home::folder();
    std::env::set_current_dir(&home).unable(format_args!("chdir to {}", home.display()))?;
    let hosts = File::open(HOSTS).unable(READ)?;
    // One at a time: two that write one temporary file would publish each other's half of it.
    // Where folders cannot be locked, as over NFS, it goes on without.
    let folder = File::open("control");
    let _ = folder.as_ref().map(|folder| lock::exclusive(folder.as_fd()));
    let made = make(&hosts);
    if made.is_err() {
        let _ = fs::remove_file(TEMPORARY);
    }
    made.map(|()| Code::DONE)
}

/// Writes the temporary file and moves it to its name.
fn make(hosts: &File) -> Result<()> {
    let mut cdb = Writer::create(Path::new(TEMPORARY)).unable(WRITE)?;
    let mut lines = Input::new(hosts.as_fd());
    while let Some(line) = lines.whole_line().unable(READ)? {
        if let Some(key) = rcpthosts::key(line) {
            cdb.add(&key, b"").unable(WRITE)?;
        }
    }
    cdb.finish().unable(WRITE)?;
    files::replace(Path::new(TEMPORARY), Path::new(CDB)).unable(MOVE)
}
