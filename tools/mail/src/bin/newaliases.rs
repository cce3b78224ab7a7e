//! newaliases: compile /etc/aliases for fastforward.
#![cfg_attr(not(test), no_main)]

use base::cdb::Writer;
use base::files;
use base::input::Input;
use base::sys::{lock, umask};
use base::{Args, Code, Die, Result, Unable};
use mail::aliases::{Fault, records};
use mail::control::Control;
use mail::default_hosts::DefaultHosts;
use queue::home;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;

base::program!("newaliases", run);

const ALIASES: &str = "/etc/aliases";
const TEMPORARY: &str = "/etc/aliases.tmp";
const CDB: &str = "/etc/aliases.cdb";

const READ: &str = "read /etc/aliases";
const WRITE: &str = "write to /etc/aliases.tmp";

fn run(_: Args) -> Result<Code> {
    umask::set(0o033);
    let hosts = DefaultHosts::of(&Control::of(&home::folder())).unable("read controls")?;
    let aliases = File::open(ALIASES).unable(READ)?;
    // One at a time: two that write one temporary file would publish each other's half of it.
    let _ = lock::exclusive(aliases.as_fd());
    let table = Writer::create(Path::new(TEMPORARY)).unable("create /etc/aliases.tmp")?;
    let mut lines = Lines { hosts, table, line: Vec::new(), first: 0 };
    lines.read(&mut Input::new(aliases.as_fd()))?;
    lines.table.finish().unable(WRITE)?;
    let moved = files::replace(Path::new(TEMPORARY), Path::new(CDB));
    moved.unable("move /etc/aliases.tmp to /etc/aliases.cdb")?;
    Ok(Code::DONE)
}

/// The table that is made of lines.
struct Lines {
    hosts: DefaultHosts,
    table: Writer,
    /// A line and those that continue it.
    line: Vec<u8>,
    /// Its number.
    first: usize,
}

impl Lines {
    fn read(&mut self, input: &mut Input) -> Result<()> {
        let mut number = 0;
        while let Some(text) = input.whole_line().unable(READ)? {
            number += 1;
            // A line that starts with a blank continues the one before, whatever is between.
            if !matches!(text.first(), None | Some(b' ' | b'\t')) {
                self.end_line()?;
            }
            if self.line.is_empty() {
                self.first = number;
            }
            self.line.extend(text);
            self.line.push(b'\n');
        }
        self.end_line()
    }

    fn end_line(&mut self) -> Result<()> {
        let line = std::mem::take(&mut self.line);
        if line.starts_with(b"#") {
            return Ok(());
        }
        for record in records(&line, &self.hosts).map_err(|fault| self.refused(&fault))? {
            self.table.add(&record.key, &record.data).unable(WRITE)?;
        }
        Ok(())
    }

    fn refused(&self, fault: &Fault) -> Die {
        let text = format!("line {}: {fault}", self.first);
        if *fault == Fault::Long { Die::perm(text) } else { Die::later(text) }
    }
}
