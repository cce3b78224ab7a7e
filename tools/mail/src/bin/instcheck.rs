//! instcheck: check that an installation has the owners, groups and modes that it should have.
#![cfg_attr(not(test), no_main)]

use base::sys::ids;
use base::{Args, Code, Die, Result, Unable, say};
use queue::home;
use queue::users::Users;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

base::program!("instcheck", run);

const USAGE: &str = "instcheck [ queue-only ]";

/// What `make install` goes by.
const TABLE: &str = include_str!("../../../install.table");

/// Folders of a queue that cannot be counted.
const SPLIT: usize = 23;

fn run(words: Args) -> Result<Code> {
    let queue_only = match &words[..] {
        [] => false,
        [word] if word == "queue-only" => true,
        _ => return Err(Die::usage(USAGE)),
    };
    let home = home::folder();
    let users = Users::of(&home);
    let users = users.map_err(|name| Die::later(format_args!("unable to find user {name}")))?;
    std::env::set_current_dir(&home).unable(format_args!("switch to {}", home.display()))?;
    let alone = users.is_alone();
    for due in due(alone)? {
        if !queue_only || due.path.starts_with("queue") {
            due.check(&home, alone);
        }
    }
    Ok(Code::DONE)
}

/// What a file or folder has to be.
struct Due {
    /// Below the home.
    path: PathBuf,
    kind: Kind,
    uid: u32,
    gid: u32,
    mode: u32,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Folder,
    Fifo,
    File,
}

/// The lines of the table that are about the home, in its order.
fn due(alone: bool) -> Result<Vec<Due>> {
    let split = count_folders();
    let mut all = Vec::new();
    for line in TABLE.lines() {
        let [_, kind, owner, group, mode, path] = line.split_whitespace().collect::<Vec<_>>()[..]
        else {
            continue;
        };
        let Some(path) = path.strip_prefix("QMAILHOME") else { continue };
        let (uid, gid) = if alone { (ids::effective_uid(), 0) } else { ids_of(owner, group)? };
        let mode = u32::from_str_radix(mode, 8).map_err(|_| Die::perm("internal: bad mode"))?;
        let path = PathBuf::from(path.trim_start_matches('/'));
        let mut add = |path, kind| all.push(Due { path, kind, uid, gid, mode });
        match kind {
            "folder" | "spread" => add(path, Kind::Folder),
            "fifo" => add(path, Kind::Fifo),
            "bigtodo" if !Path::new("queue/todo/0").is_dir() => {}
            "split" | "bigtodo" => {
                (0..split).for_each(|n| add(path.join(n.to_string()), Kind::Folder));
            }
            _ => add(path, Kind::File),
        }
    }
    Ok(all)
}

/// How many folders the queue is split into.
fn count_folders() -> usize {
    let there = |number: &usize| Path::new("queue/mess").join(number.to_string()).is_dir();
    match (0..).take_while(there).count() {
        0 => SPLIT,
        count => count,
    }
}

fn ids_of(owner: &str, group: &str) -> Result<(u32, u32)> {
    let account = ids::account(owner.as_bytes()).unable("read /etc/passwd")?;
    let gid = ids::group(group.as_bytes()).unable("read /etc/group")?;
    let missing = |what: &str, name: &str| Die::later(format_args!("unable to find {what} {name}"));
    Ok((
        account.ok_or_else(|| missing("user", owner))?.uid,
        gid.ok_or_else(|| missing("group", group))?,
    ))
}

impl Due {
    /// Says what is wrong. Where one user is everybody, groups do not matter, and nothing is
    /// setuid.
    fn check(&self, home: &Path, alone: bool) {
        let shown = home.join(&self.path).components().collect::<PathBuf>();
        let warn = |what: &str| say::warning(format_args!("{} {what}", shown.display()));
        let about = match fs::metadata(Path::new(".").join(&self.path)) {
            Ok(about) => about,
            Err(why) if why.kind() == ErrorKind::NotFound => return warn("does not exist"),
            Err(why) => return say::unable(format_args!("stat {}", shown.display()), &why),
        };
        if about.uid() != self.uid {
            warn("has wrong owner");
        }
        if about.gid() != self.gid && !alone {
            warn("has wrong group");
        }
        let mode = if alone { self.mode & 0o777 } else { self.mode };
        if about.mode() & 0o7777 != mode {
            warn("has wrong permissions");
        }
        let kind = about.file_type();
        let fits = match self.kind {
            Kind::Folder => kind.is_dir(),
            Kind::Fifo => kind.is_fifo(),
            Kind::File => kind.is_file(),
        };
        if !fits {
            warn("has wrong type");
        }
    }
}
