use std::os::unix::net::UnixListener;
use std::process::Command;
use tests::{Scratch, as_user, bin, program, ran, root, scratch, skip, without};

const USAGE: &str = "confine: usage: confine [-s] [-r path] [-w path] [-x path] \
    [-n net|files|exec] program\n";

/// Runs it in a folder; the shell is dynamic and may read its libraries.
fn confined(place: &Scratch, words: &[&str]) -> (Option<i32>, String, String) {
    let mut command = program("confine");
    command.args(["-r", "/lib", "-r", "/usr/lib", "-r", "/etc/ld.so.cache"]);
    if std::path::Path::new("/lib64").exists() {
        command.args(["-r", "/lib64"]);
    }
    ran(&command.args(words).current_dir(place.path()).output().unwrap())
}

/// Runs it without any path, so that the file system stays as it is.
fn denied(words: &[&str]) -> (Option<i32>, String, String) {
    ran(&program("confine").args(words).output().unwrap())
}

fn failed(text: &str) -> (Option<i32>, String, String) {
    (Some(111), String::new(), format!("{text}\n"))
}

fn path(name: &str) -> String {
    bin(name).display().to_string()
}

#[test]
fn wrong_words_show_its_usage() {
    for words in [&[][..], &["-n", "net"], &["-n", "disk", "true"]] {
        assert_eq!(denied(words), (Some(100), String::new(), USAGE.into()), "{words:?}");
    }
}

#[test]
fn what_is_missing_is_a_temporary_failure() {
    let said = "confine: fatal: unable to run /nonexistent: file does not exist";
    assert_eq!(denied(&["/nonexistent"]), failed(said));
    assert_eq!(denied(&["-n", "exec", "/nonexistent"]), failed(said));
    let said = "confine: fatal: unable to open /nonexistent: file does not exist";
    assert_eq!(denied(&["-r", "/nonexistent", "true"]), failed(said));
}

#[test]
fn files_are_read_where_that_is_allowed_and_nowhere_else() {
    let place = scratch();
    place.write("open/file", "seen\n").write("closed/file", "never seen\n");
    assert_eq!(confined(&place, &["-r", "open", "cat", "open/file"]), {
        (Some(0), "seen\n".into(), String::new())
    });
    let (code, out, err) = confined(&place, &["-r", "open", "cat", "closed/file"]);
    assert_eq!((code, &out[..]), (Some(1), ""));
    assert!(err.contains("closed/file: Permission denied"), "{err}");
    // through a link neither, and one file may be named alone
    std::os::unix::fs::symlink("../closed/file", place.join("open/link")).unwrap();
    assert_eq!(confined(&place, &["-r", "open", "cat", "open/link"]).0, Some(1));
    assert_eq!(confined(&place, &["-r", "closed/file", "cat", "open/link"]).1, "never seen\n");
}

#[test]
fn files_are_changed_where_that_is_allowed_and_nowhere_else() {
    let place = scratch();
    place.write("read/file", "old\n").write("write/file", "old\n");
    let script = "cd $0; echo new >file; echo x >a; mv a b; mkdir d; mv b d; ln d/b c; rm d/b; \
        rmdir d; ln -s c l; mkfifo p; rm p; ls";
    let words = ["-r", "read", "-w", "write", "-x", "/bin", "-x", "/usr/bin", "sh", "-c", script];
    let (code, out, err) = confined(&place, &[&words[..], &["write"]].concat());
    assert_eq!((code, &out[..], &err[..]), (Some(0), "c\nfile\nl\n", ""));
    let (_, out, err) = confined(&place, &[&words[..], &["read"]].concat());
    assert_eq!((&out[..], place.text("read/file")), ("file\n", "old\n".into()));
    assert!(err.lines().count() >= 8, "{err}");
}

#[test]
fn only_the_program_and_what_is_allowed_can_be_run() {
    let place = scratch();
    place.script("tool", "echo run");
    let words = ["-r", "tool", "sh", "-c", "./tool; exec ./tool"];
    let (code, out, err) = confined(&place, &words);
    assert_eq!((code, &out[..]), (Some(126), ""));
    assert!(err.contains("Permission denied"), "{err}");
    let words = ["-x", "tool", "-x", "/bin", "sh", "-c", "./tool"];
    assert_eq!(confined(&place, &words), (Some(0), "run\n".into(), String::new()));
}

#[test]
fn without_net_there_are_no_new_connections() {
    let said = "tcpclient: fatal: unable to create socket: permission denied";
    let tcpclient = path("tcpclient");
    assert_eq!(denied(&["-n", "net", &tcpclient, "127.0.0.1", "1", "true"]), failed(said));
    let place = scratch();
    let _listener = UnixListener::bind(place.join("socket")).unwrap();
    let socket = place.join("socket").display().to_string();
    let (code, ..) = denied(&["-n", "net", &path("unixclient"), &socket, "true"]);
    assert_ne!(code, Some(0));
    // what it has got is its own
    let (inside, outside) = std::os::unix::net::UnixStream::pair().unwrap();
    let mut command = program("confine");
    command.args(["-n", "net", "sh", "-c", "read -r line; echo $line"]);
    command.stdin(std::os::fd::OwnedFd::from(inside));
    std::io::Write::write_all(&mut &outside, b"still here\n").unwrap();
    assert_eq!(ran(&command.output().unwrap()).1, "still here\n");
}

#[test]
fn without_files_nothing_can_be_opened() {
    let place = scratch();
    place.write("env/A", "a\n");
    let folder = place.join("env").display().to_string();
    let said = format!("envdir: fatal: unable to read directory {folder}: permission denied");
    assert_eq!(denied(&["-n", "files", &path("envdir"), &folder, "true"]), failed(&said));
    let maildir = place.join("Maildir").display().to_string();
    let (code, ..) = denied(&["-n", "files", &path("maildirmake"), &maildir]);
    assert!(code != Some(0) && !place.exists("Maildir"), "{code:?}");
    let words = ["-n", "files", "-n", "exec", "-n", "net", &path("tai64n")];
    assert_eq!(denied(&words), (Some(0), String::new(), String::new()));
}

#[test]
fn without_exec_nothing_else_runs() {
    let said = "argv0: fatal: unable to run true: access denied";
    assert_eq!(denied(&["-n", "exec", &path("argv0"), "true", "true"]), failed(said));
    let (code, _, err) = denied(&["-n", "exec", "sh", "-c", "(:); echo forked"]);
    assert_eq!((code, err.contains("fork")), (Some(2), true), "{err}");
    assert_eq!(denied(&["-n", "exec", "sh", "-c", "echo here"]).1, "here\n");
}

/// A kernel before 5.13 does not know Landlock, and one may be told at boot to do without it.
#[test]
fn what_the_kernel_does_not_offer_is_never_left_out() {
    let place = scratch();
    let landlock = "confine: fatal: unable to restrict the file system: ";
    let seccomp = "confine: fatal: unable to filter system calls: ";
    for (call, words, said) in [
        ("landlock_create_ruleset", &["-r", "/"][..], landlock),
        ("landlock_create_ruleset", &["-n", "exec"], landlock),
        ("landlock_restrict_self", &["-r", "/"], landlock),
        ("seccomp", &["-n", "net"], seccomp),
    ] {
        for (error, why) in
            [("ENOSYS", "system call not available"), ("EOPNOTSUPP", "operation not supported")]
        {
            let mut command = program("confine");
            command.args(words).args(["sh", "-c", "echo ran >ran"]).current_dir(place.path());
            let Some(mut command) = without(call, error, &command) else { return };
            let o = command.output().unwrap();
            assert_eq!(ran(&o), failed(&format!("{said}{why}")), "{call} {error}");
            assert!(!place.exists("ran"));
        }
    }
}

#[test]
fn an_ordinary_user_can_but_not_with_privileges() {
    if !root() {
        return skip("needs root");
    }
    let place = scratch();
    let mut command = program("confine");
    command.args(["-r", "/", "-n", "net", &path("argv0"), "/bin/true", "true"]);
    let (code, _, err) = ran(&as_user(1, 1, &mut command).output().unwrap());
    assert!(code == Some(111) && err.starts_with("argv0: "), "{err}");
    let mut command = program("confine");
    let o = as_user(1, 1, command.args(["-s", "-n", "net", "true"])).output().unwrap();
    assert_eq!(ran(&o), failed("confine: fatal: unable to filter system calls: access denied"));
    let mut command = program("confine");
    let o = as_user(1, 1, command.args(["-s", "-r", "/", "true"])).output().unwrap();
    let said = "confine: fatal: unable to restrict the file system: permission denied";
    assert_eq!(ran(&o), failed(said));
    drop(place);
}

#[test]
fn set_user_id_programs_gain_nothing_unless_asked() {
    if !root() {
        return skip("needs root");
    }
    let place = scratch();
    place.copy("/usr/bin/id", "id").chmod("id", 0o4755).chmod(".", 0o755);
    let id = place.join("id").display().to_string();
    let run = |words: &[&str]| {
        let (before, confine) = words.split_at(words.len() - 1);
        let mut command = Command::new(bin(confine[0]));
        command.args(before).env_clear();
        ran(&command.output().unwrap())
    };
    let setuidgid = path("setuidgid");
    if run(&["daemon", &id, "-u", "setuidgid"]).1 != "0\n" {
        return skip("set-user-id bits have no effect here");
    }
    assert_eq!(run(&[&setuidgid, "daemon", &id, "-u", "confine"]).1, "1\n");
    assert_eq!(run(&["-s", "-n", "net", &setuidgid, "daemon", &id, "-u", "confine"]).1, "0\n");
}
