//! The example services, and the completion of shells.

use crate::services::{Services, services};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tests::{LIMIT, fed, original, program, ran, root, skip, start, tree, until};

/// Servers that a system may not have. Their stand-ins say that they run, and stay.
const SERVERS: [&str; 4] = ["sshd", "dnscache", "nginx", "cron"];

fn examples() -> PathBuf {
    tree().join("supervise/examples")
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn names() -> Vec<String> {
    let entries = fs::read_dir(examples()).unwrap();
    let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
    entries.map(|entry| name(entry.unwrap())).collect()
}

#[test]
fn every_example_has_scripts_for_the_shell() {
    for name in names() {
        for file in ["run", "log/run"] {
            assert!(examples().join(&name).join(file).is_file(), "{name}/{file}");
        }
    }
    let is_script = |file: &PathBuf| fs::read(file).unwrap().starts_with(b"#!");
    for script in files(&examples()).into_iter().filter(is_script) {
        let o = Command::new("/bin/sh").arg("-n").arg(&script).output().unwrap();
        assert_eq!(ran(&o), (Some(0), String::new(), String::new()), "{}", script.display());
        let mode =
            std::os::unix::fs::PermissionsExt::mode(&script.metadata().unwrap().permissions());
        assert_eq!(mode & 0o111, 0o111, "{}", script.display());
    }
}

/// All examples, in `service`, and stand-ins, in `bin`, for servers that are not installed.
fn copy_examples(place: &Services) {
    let o = Command::new("cp").arg("-Rp").arg(examples()).arg(place.join("service")).output();
    assert_eq!(ran(&o.unwrap()), (Some(0), String::new(), String::new()));
    for name in SERVERS.iter().filter(|name| stands_in(name)) {
        place.script(format!("bin/{name}"), "echo a stand-in runs\nexec sleep 1000\n");
    }
}

/// A shell script in a network of its own, where all ports are free.
fn in_network(place: &Services, script: &str) -> Command {
    let svscan = place.command("svscan");
    let mut command = Command::new("unshare");
    command.args(["-n", "/bin/sh", "-c", script]).current_dir(place.path()).env_clear();
    command.envs(svscan.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command
}

#[test]
fn every_example_comes_up_and_logs() {
    if original() {
        return;
    }
    if !root() {
        return skip("needs root");
    }
    let place = services();
    copy_examples(&place);
    if !in_network(&place, "true").status().is_ok_and(|status| status.success()) {
        return skip("needs namespaces");
    }
    if ran(&fed(program("confine").args(["-r", "/", "true"]), "")).0 != Some(0) {
        return skip("needs Landlock");
    }
    let svscan = start(&mut in_network(&place, "ip link set lo up && exec svscan service"));
    let folders: Vec<String> = names().iter().map(|name| format!("service/{name}")).collect();
    until(LIMIT, "all are supervised", || {
        assert!(svscan.ended().is_none(), "svscan has ended: {}", svscan.err());
        folders.iter().all(|folder| place.ok(folder) && place.ok(&format!("{folder}/log")))
    });
    let o = fed(place.command("svwait").args(["-U", "-t", "20000"]).args(&folders), "");
    assert_eq!(ran(&o), (Some(0), String::new(), String::new()));
    for folder in &folders {
        until(LIMIT, &format!("a log in {folder}"), || {
            place.join(folder).join("log/main/current").exists()
        });
        let logger = place.wait_name(&format!("{folder}/log"), "multilog");
        assert_eq!(rights(logger), ["1", "2"], "{folder}");
    }
    place.wait_lines("service/daytime/log/main/current", 1);
    for name in SERVERS.iter().filter(|name| stands_in(name)) {
        let folder = if *name == "nginx" { "web" } else { name };
        let lines = place.wait_lines(&format!("service/{folder}/log/main/current"), 1);
        assert!(lines[0].contains(" a stand-in runs"), "{lines:?}");
    }
}

/// Whether a process may gain no privileges, and whether its system calls are filtered.
fn rights(pid: i32) -> [String; 2] {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    ["NoNewPrivs:", "Seccomp:"].map(|name| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_default().trim().to_owned()
    })
}

/// The server is not installed.
fn stands_in(name: &str) -> bool {
    !["/usr/sbin", "/usr/bin", "/usr/local/bin"]
        .iter()
        .any(|folder| Path::new(folder).join(name).exists())
}

/// What bash offers for these words, of which the last is completed.
fn offered_by_bash(place: &Services, words: &[&str]) -> Vec<String> {
    let script = r#". "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
        _catena_services_and_options "$1" "${COMP_WORDS[COMP_CWORD]}"
        printf '%s\n' "${COMPREPLY[@]}""#;
    offered(place, Command::new("bash").args(["--norc", "-c", script]), "bash", words)
}

/// What zsh adds, its own functions replaced by what prints.
fn offered_by_zsh(place: &Services, words: &[&str]) -> Vec<String> {
    let script = r#"compadd() { while [[ $1 != -- ]] shift; shift; print -rl -- $@ }
        _files() { print -rl -- files }
        _normal() { print -rl -- $words $CURRENT }
        file=$0 service=$1 words=("$@") CURRENT=$#
        complete() { source $file }; complete"#;
    offered(place, Command::new("zsh").args(["-f", "-c", script]), "zsh", words)
}

fn offered(place: &Services, shell: &mut Command, file: &str, words: &[&str]) -> Vec<String> {
    shell.arg(tree().join("supervise/completion").join(file)).args(words);
    shell.env("SVDIR", "sv").current_dir(place.path());
    let (code, out, err) = ran(&shell.output().unwrap());
    assert_eq!((code, err), (Some(0), String::new()), "{words:?}");
    out.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[test]
fn shells_complete_services_and_options() {
    let place = services();
    place.dir("sv/web/log/main").dir("sv/worker").dir("sv/dns").write("sv/wrong", "");
    type Offered = fn(&Services, &[&str]) -> Vec<String>;
    for (shell, offered) in [("bash", offered_by_bash as Offered), ("zsh", offered_by_zsh)] {
        if Command::new(shell).args(["-c", "true"]).output().is_err() {
            skip(&format!("needs {shell}"));
            continue;
        }
        let of = |words: &[&str]| offered(&place, words);
        assert_eq!(of(&["svc", "-t", "w"]), ["sv/web", "sv/worker"], "{shell}");
        assert_eq!(of(&["svstat", "sv/dns", ""]), ["sv/dns", "sv/web", "sv/worker"], "{shell}");
        assert_eq!(of(&["multicat", "we"]), ["sv/web/log/main"], "{shell}");
        assert_eq!(of(&["svwait", "nothing"]), [""; 0], "{shell}");
        assert!(of(&["svls", "-"]).contains(&"--color=never".to_owned()), "{shell}");
        assert!(of(&["svup", "-"]).contains(&"-L".to_owned()), "{shell}");
    }
}
