//! `make install`: what is made, whose it is, with which mode.

use crate::programs::{file_name, pages, programs, text};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use tests::{Scratch, as_user, ran, root, scratch, shown, skip};

/// The modes of qmail's programs that are not 0755.
const SPECIAL: [(&str, &str); 14] = [
    ("qmail-queue", "qmailq qmail  4711"),
    ("qmail-start", "root   qmail  0700"),
    ("qmail-lspawn", "root   qmail  0700"),
    ("qmail-newu", "root   qmail  0700"),
    ("qmail-newmrh", "root   qmail  0700"),
    ("qmail-getpw", "root   qmail  0711"),
    ("qmail-local", "root   qmail  0711"),
    ("qmail-remote", "root   qmail  0711"),
    ("qmail-rspawn", "root   qmail  0711"),
    ("qmail-clean", "root   qmail  0711"),
    ("qmail-send", "root   qmail  0711"),
    ("qmail-pw2u", "root   qmail  0711"),
    ("qmail-popup", "root   qmail  0711"),
    ("splogger", "root   qmail  0711"),
];

/// Scripts that start qmail.
const BOOT: [&str; 10] = [
    "home", "home+df", "proc", "proc+df", "binm1", "binm1+df", "binm2", "binm2+df", "binm3",
    "binm3+df",
];

/// The line of a program in the table.
fn line(family: &str, name: &str) -> String {
    let special = SPECIAL.iter().find(|(program, _)| *program == name);
    let (owner, place) = match (family, special) {
        ("mail", Some((_, owner))) => (*owner, "QMAILHOME"),
        ("mail", None) => ("root   qmail  0755", "QMAILHOME"),
        _ => ("root   root   0755", "PREFIX"),
    };
    format!("{family:<10} program  {owner} {place}/bin/{name}")
}

/// The lines of the table that are about programs.
fn program_lines(table: &str) -> impl Iterator<Item = &str> {
    table.lines().filter(|line| line.split_whitespace().nth(1) == Some("program"))
}

/// The family and the name of each program in the table.
fn listed() -> Vec<(String, String)> {
    let table = text("tools/install.table");
    let program = |line: &str| {
        let family = line.split(' ').next().unwrap();
        (family.to_owned(), line.rsplit('/').next().unwrap().to_owned())
    };
    program_lines(&table).map(program).collect()
}

#[test]
fn the_table_has_a_line_for_every_program_and_no_other() {
    let table = text("tools/install.table");
    let has: Vec<&str> = program_lines(&table).collect();
    let wanted: Vec<_> =
        programs().iter().map(|program| line(program.family, &program.name)).collect();
    let missing: Vec<_> = wanted.iter().filter(|line| !has.contains(&line.as_str())).collect();
    let stray: Vec<_> = has.iter().filter(|line| !wanted.contains(&(**line).to_owned())).collect();
    let say = |lines: &dyn std::fmt::Debug| format!("{lines:#?}").replace(['"', ','], "");
    assert!(missing.is_empty(), "add to tools/install.table: {}", say(&missing));
    assert!(stray.is_empty(), "remove from tools/install.table: {}", say(&stray));
}

/// A tree that everybody can read, with an empty file for each program as if it had been built.
fn source() -> Scratch {
    let source = scratch();
    for program in programs() {
        source.write(Path::new("built").join(&program.name), "");
    }
    let completion = ["supervise/completion/bash", "supervise/completion/zsh"];
    for name in ["tools/install.sh", "tools/install.table"].into_iter().chain(completion) {
        source.write(name, text(name));
    }
    for name in BOOT {
        let name = format!("tools/mail/boot/{name}");
        source.write(&name, text(&name));
    }
    for page in pages() {
        source.write(Path::new("man").join(file_name(&page)), text(&page));
    }
    source
}

/// Installs from one folder into another, with these further variables.
fn install(from: &Scratch, to: &Scratch, variables: &[(&str, &str)]) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.arg(from.join("tools/install.sh")).env("BUILT", from.join("built"));
    shell.env("DESTDIR", to.path()).env("PREFIX", "/usr/local").env("QMAILHOME", "/var/qmail");
    shell.env("SUBSET", "rules net supervise mail").env("SPLIT", "23");
    shell.envs(variables.iter().copied());
    shell
}

/// All that is in a folder: its mode, or its mode and length for files.
fn contents(folder: &Path) -> BTreeMap<String, (u32, u64)> {
    let mut found = BTreeMap::new();
    let mut left = vec![folder.to_owned()];
    while let Some(place) = left.pop() {
        for entry in fs::read_dir(place).unwrap() {
            let path = entry.unwrap().path();
            let about = path.symlink_metadata().unwrap();
            let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
            let length = if about.is_file() { about.len() } else { 0 };
            found.insert(name, (about.permissions().mode() & 0o7777, length));
            if about.is_dir() {
                left.push(path);
            }
        }
    }
    found
}

/// What an installation by an ordinary user has: nothing in it is setuid.
fn expected() -> BTreeMap<String, (u32, u64)> {
    let mut expected = BTreeMap::new();
    let mut folder = |name: &str, mode| expected.insert(name.to_owned(), (mode, 0));
    for name in ["var", "var/qmail", "var/qmail/alias", "var/qmail/bin", "var/qmail/boot"] {
        folder(name, 0o755);
    }
    for name in BOOT {
        let script = text(format!("tools/mail/boot/{name}")).replace("QMAILHOME", "/var/qmail");
        expected.insert(format!("var/qmail/boot/{name}"), (0o755, script.len() as u64));
    }
    let mut folder = |name: &str, mode| expected.insert(name.to_owned(), (mode, 0));
    folder("var/qmail/control", 0o755);
    folder("var/qmail/users", 0o755);
    for name in ["queue", "queue/lock", "queue/mess", "queue/todo"] {
        folder(&format!("var/qmail/{name}"), 0o750);
    }
    for name in ["bounce", "info", "intd", "local", "pid", "remote"] {
        folder(&format!("var/qmail/queue/{name}"), 0o700);
    }
    for number in 0..23 {
        folder(&format!("var/qmail/queue/mess/{number}"), 0o750);
        for name in ["info", "local", "remote"] {
            folder(&format!("var/qmail/queue/{name}/{number}"), 0o700);
        }
    }
    folder("var/qmail/queue/lock/sendmutex", 0o600);
    folder("var/qmail/queue/lock/trigger", 0o622);
    expected.insert("var/qmail/queue/lock/tcpto".into(), (0o644, 1024));
    expected.insert("var/qmail/queue/lock/tcpto6".into(), (0o644, 1024));
    expected
}

/// The part of an installation that is not programs and pages.
fn home(of: &Scratch) -> BTreeMap<String, (u32, u64)> {
    let mut found = contents(of.path());
    found.retain(|name, _| name.starts_with("var") && !name.starts_with("var/qmail/bin/"));
    found
}

#[test]
fn an_ordinary_user_installs_what_he_owns() {
    let (from, to) = (source(), scratch());
    let mut install = install(&from, &to, &[]);
    if root() {
        to.chown("", 1234, 1234);
        as_user(1234, 1234, &mut install);
    }
    let warned = "install: warning: not root: your own files, nothing setuid\n";
    assert_eq!(ran(&install.output().unwrap()), (Some(0), String::new(), warned.into()));
    assert_eq!(home(&to), expected());
    let found = contents(to.path());
    for line in program_lines(&text("tools/install.table")) {
        let (line, path) = line.rsplit_once(' ').unwrap();
        let mode = u32::from_str_radix(&line[line.len() - 3..], 8).unwrap();
        let path = path.replace("PREFIX", "usr/local").replace("QMAILHOME", "var/qmail");
        assert_eq!(found.get(&path), Some(&(mode, 0)), "{path}");
    }
    for page in pages() {
        let name = file_name(&page);
        let (_, section) = name.rsplit_once('.').unwrap();
        assert_eq!(
            to.read(format!("usr/local/share/man/man{section}/{name}")),
            fs::read(page).unwrap()
        );
    }
    assert!(!found.keys().any(|name| name.ends_with(".new")), "{found:?}");
}

#[test]
fn the_folders_of_the_queue_are_apart_on_ext4() {
    let (from, to) = (source(), scratch());
    let is_apart = |name: &str| {
        let o = Command::new("lsattr").arg("-d").arg(to.join(name)).output().unwrap();
        shown(&o.stdout).split(' ').next().unwrap().contains('T')
    };
    to.dir("other");
    let marked = Command::new("chattr").arg("+T").arg(to.join("other")).output().unwrap();
    if !marked.status.success() {
        return skip("needs a file system that can have folders apart");
    }
    assert_eq!(ran(&install(&from, &to, &[]).output().unwrap()).0, Some(0));
    let found = ["other", "var/qmail/queue", "var/qmail/queue/mess"].map(is_apart);
    assert_eq!(found, [true, true, false]);
}

#[test]
fn a_family_comes_alone() {
    let (from, to) = (source(), scratch());
    let o = install(&from, &to, &[("SUBSET", "supervise"), ("PREFIX", "/opt")]).output().unwrap();
    assert_eq!(ran(&o).0, Some(0));
    let of_family = listed().into_iter().filter(|(family, _)| family == "supervise");
    let mut names: Vec<_> = of_family.map(|(_, name)| name).collect();
    names.sort();
    assert_eq!(to.names("opt/bin"), names);
    assert!(!to.exists("var"));
}

#[test]
fn an_unknown_family_is_refused() {
    let (from, to) = (source(), scratch());
    let o = install(&from, &to, &[("SUBSET", "supervise news")]).output().unwrap();
    let said = "install: fatal: no family news: rules net supervise mail\n";
    assert_eq!(ran(&o), (Some(100), String::new(), said.into()));
    assert_eq!(to.names(""), [""; 0]);
}

#[test]
fn a_program_that_is_not_built_stops_the_installation() {
    let (from, to) = (source(), scratch());
    let missing = from.join("built").join(&listed()[0].1);
    fs::remove_file(&missing).unwrap();
    let (code, _, err) = ran(&install(&from, &to, &[]).output().unwrap());
    let said = format!("install: fatal: {} is missing: make first\n", missing.display());
    assert_eq!((code, err.ends_with(&said)), (Some(111), true), "{err}");
}

#[test]
fn a_second_installation_keeps_the_queue_and_its_split() {
    let (from, to) = (source(), scratch());
    let o = install(&from, &to, &[("SPLIT", "5")]).output().unwrap();
    assert_eq!(ran(&o).0, Some(0));
    to.write("var/qmail/queue/mess/4/1234", "message").write("var/qmail/control/me", "a.example\n");
    to.write("var/qmail/queue/lock/tcpto", [7; 1024]).chmod("var/qmail/queue/mess", 0o777);
    let before = home(&to);
    let o = install(&from, &to, &[]).output().unwrap();
    assert_eq!(ran(&o).0, Some(0));
    let mut after = home(&to);
    assert_eq!(after.insert("var/qmail/queue/mess".into(), (0o777, 0)), Some((0o750, 0)));
    assert_eq!(after, before);
    assert_eq!(to.read("var/qmail/queue/lock/tcpto"), [7; 1024]);
    assert_eq!(to.names("var/qmail/queue/mess"), ["0", "1", "2", "3", "4"]);
}

/// Runs an installation in a mount namespace of its own whose users and groups are qmail's.
#[test]
fn root_gives_files_to_the_users_of_qmail() {
    if !root() {
        return skip("needs root");
    }
    let (from, to, etc) = (source(), scratch(), scratch());
    let users = ["alias", "qmaild", "qmaill", "qmailp", "qmailq", "qmailr", "qmails"];
    let entry = |(n, name): (usize, &&str)| format!("{name}:x:{}:2000:::\n", 7000 + n);
    let users: String = users.iter().enumerate().map(entry).collect();
    etc.write("passwd", format!("root:x:0:0:::\n{users}"))
        .write("group", "root:x:0:\nqmail:x:2108:\n");
    let script = format!(
        "mount --bind {0}/passwd /etc/passwd && mount --bind {0}/group /etc/group && exec \"$@\"",
        etc.path().display()
    );
    let install = install(&from, &to, &[]);
    let mut alone = Command::new("unshare");
    alone
        .args(["-m", "sh", "-c", &script, "sh"])
        .arg(install.get_program())
        .args(install.get_args());
    alone.envs(install.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let o = alone.output().unwrap();
    if ran(&o).2.contains("unshare failed") {
        return skip("needs a mount namespace");
    }
    assert_eq!(ran(&o), (Some(0), String::new(), String::new()));
    let owner = |name: &str| {
        let about = to.join("var/qmail").join(name).symlink_metadata().unwrap();
        (about.uid(), about.gid(), about.mode() & 0o7777)
    };
    let seen =
        ["", "alias", "queue", "queue/lock/tcpto", "queue/mess/22", "queue/info/0"].map(owner);
    let own = [(0, 2108, 0o755), (7000, 2108, 0o2755), (7004, 2108, 0o750), (7005, 2108, 0o644)];
    assert_eq!(
        (&seen[..4], seen[4], seen[5]),
        (&own[..], (7004, 2108, 0o750), (7006, 2108, 0o700))
    );
    if to.exists("var/qmail/bin/qmail-queue") {
        assert_eq!(owner("bin/qmail-queue"), (7004, 2108, 0o4711));
    }
    let trigger = to.join("var/qmail/queue/lock/trigger").symlink_metadata().unwrap();
    assert!(trigger.file_type().is_fifo());
}

#[test]
fn root_without_the_users_makes_nothing_setuid() {
    if !root() || text("/etc/group").contains("\nqmail:") {
        return skip("needs root, and no group qmail");
    }
    let (from, to) = (source(), scratch());
    let o = install(&from, &to, &[]).output().unwrap();
    let warned =
        "install: warning: no user root or no group qmail: your own files, nothing setuid\n";
    assert_eq!(ran(&o), (Some(0), String::new(), warned.into()));
    assert_eq!(home(&to), expected());
    let setuid = contents(to.path()).into_iter().find(|(_, (mode, _))| mode & 0o6000 != 0);
    assert_eq!(setuid, None);
}
