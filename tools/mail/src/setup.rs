//! The first control files of an installation, written with a word about each.

use base::out::Out;
use base::sys::fd;
use base::{Die, Result, Unable, files};
use std::fs::{self, OpenOptions, Permissions};
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Everybody reads control files, whatever the umask is.
const MODE: u32 = 0o644;

/// Who writes, and talks of it.
pub struct Setup {
    control: PathBuf,
    out: Out<'static>,
}

impl Setup {
    /// For the installation in this home.
    pub fn of(home: &Path) -> Self {
        Setup { control: home.join("control"), out: Out::stdout() }
    }

    /// Where the control files are.
    pub fn control(&self) -> &Path {
        &self.control
    }

    /// Says something, at once.
    pub fn say(&mut self, text: &str) -> Result<()> {
        self.out.put(text).and_then(|()| self.out.flush()).unable("write output")
    }

    /// Writes `me`, and the domains that follow from it.
    pub fn names(&mut self, name: &str) -> Result<()> {
        self.put("me", name)?;
        self.put("defaultdomain", default_domain(name))?;
        self.put("plusdomain", plus_domain(name))
    }

    /// Makes a file of one line.
    fn put(&mut self, file: &str, line: &str) -> Result<()> {
        self.say(&format!("Putting {line} into control/{file}...\n"))?;
        self.write(file, format!("{line}\n"))
    }

    /// Adds a line to a file, unless it has it.
    pub fn add(&mut self, file: &str, line: &str) -> Result<()> {
        self.say(&format!("Putting {line} into control/{file}...\n"))?;
        let mut text = match fs::read(self.control.join(file)) {
            Err(why) if why.kind() == ErrorKind::NotFound => Vec::new(),
            other => other.unable(format_args!("read control/{file}"))?,
        };
        if !text.is_empty() && !text.ends_with(b"\n") {
            text.push(b'\n');
        }
        if !text.split(|byte| *byte == b'\n').any(|old| old == line.as_bytes()) {
            text.extend([line.as_bytes(), b"\n"].concat());
        }
        self.write(file, text)
    }

    /// Makes or replaces a file.
    pub fn write(&self, file: &str, text: impl AsRef<[u8]>) -> Result<()> {
        let write = || format!("write control/{file}");
        let temporary = self.control.join(format!("{file}.tmp"));
        let mut how = OpenOptions::new();
        let new = how.write(true).create(true).truncate(true).mode(MODE).open(&temporary);
        let new = new.unable(write())?;
        let done = fd::write_all(new.as_fd(), text.as_ref())
            .and_then(|()| new.set_permissions(Permissions::from_mode(MODE)))
            .and_then(|()| new.sync_all())
            .and_then(|()| files::replace(&temporary, &self.control.join(file)));
        done.unable(write())
    }
}

/// A name that may stand in control files: visible bytes, and no path or list.
pub fn checked(name: &str) -> Result<&str> {
    let odd = |byte: u8| !byte.is_ascii_graphic() || b"/:@#".contains(&byte);
    match name.is_empty() || name.bytes().any(odd) {
        true => Err(Die::perm(format_args!("{name:?} is no host name"))),
        false => Ok(name),
    }
}

/// The name without its first part, unless only one would be left: `b.c` for `a.b.c` and `b.c`.
fn default_domain(name: &str) -> &str {
    match name.split_once('.') {
        Some((_, rest)) if rest.contains('.') => rest,
        _ => name,
    }
}

/// The last two parts: `c.d` for `a.b.c.d`.
fn plus_domain(name: &str) -> &str {
    let dot = name.rmatch_indices('.').nth(1);
    dot.map_or(name, |(at, _)| &name[at + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_follow_from_the_name() {
        let both = |name| (default_domain(name), plus_domain(name));
        assert_eq!(both("a.b.c.d"), ("b.c.d", "c.d"));
        assert_eq!(both("b.c.d"), ("c.d", "c.d"));
        assert_eq!(both("c.d"), ("c.d", "c.d"));
        assert_eq!(both("d"), ("d", "d"));
        assert!(checked("a.b").is_ok());
        assert!(["", "a b", "a/b", "a\n", "\u{e9}", "#"].iter().all(|bad| checked(bad).is_err()));
    }
}
