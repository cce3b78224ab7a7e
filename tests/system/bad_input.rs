//! Every program in bad surroundings: descriptors closed or full, no environment, words that are
//! too long or no text, no descriptors to spare. Each ends soon, with a code of its man page.

use crate::installation::{Installation, installation};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};
use tests::{Running, codes, original, start_on, tree};

/// Every program with words that make it do something. Where a child is run, it is `true`, whose
/// code is 0.
const PROGRAMS: &[(&str, &[&str])] = &[
    ("addcr", &[]),
    ("argv0", &["true", "name"]),
    ("bouncesaying", &["no", "true"]),
    ("checkpassword", &["true"]),
    ("condredirect", &["x@b.example", "true"]),
    ("config", &[]),
    ("config-fast", &["a.example"]),
    ("confine", &["-n", "net", "true"]),
    ("delcr", &[]),
    ("dot-forward", &["forward"]),
    ("envdir", &["env", "true"]),
    ("envuidgid", &["nobody", "true"]),
    ("except", &["true"]),
    ("fastforward", &["rules.cdb"]),
    ("fghack", &["true"]),
    ("fixcrio", &["true"]),
    ("forward", &["x@b.example"]),
    ("instcheck", &[]),
    ("maildir2mbox", &[]),
    ("maildirmake", &["Maildir"]),
    ("maildirwatch", &[]),
    ("mconnect-io", &[]),
    ("multicat", &["-s", "-1h", "."]),
    ("multilog", &["t", "./log"]),
    ("new-inject", &["x@b.example"]),
    ("newaliases", &[]),
    ("newinclude", &["forward"]),
    ("pgrphack", &["true"]),
    ("predate", &["true"]),
    ("preline", &["true"]),
    ("printforward", &[]),
    ("printmaillist", &[]),
    ("proxyin", &["true"]),
    ("proxyout", &["-1", "true"]),
    ("qbiff", &[]),
    ("qmail-clean", &[]),
    ("qmail-getpw", &["nobody"]),
    ("qmail-inject", &["x@b.example"]),
    ("qmail-local", &["nobody", ".", "nobody", "", "", "a.example", "", "./Mailbox"]),
    ("qmail-lspawn", &["./Mailbox"]),
    ("qmail-newmrh", &[]),
    ("qmail-newu", &[]),
    ("qmail-pop3d", &["Maildir"]),
    ("qmail-popup", &["a.example", "true"]),
    ("qmail-pw2u", &[]),
    ("qmail-qcheck", &[]),
    ("qmail-qmqpc", &[]),
    ("qmail-qmqpd", &[]),
    ("qmail-qmtpd", &[]),
    ("qmail-qread", &[]),
    ("qmail-qstat", &[]),
    ("qmail-queue", &[]),
    ("qmail-remote", &["127.0.0.1", "x@a.example", "x@b.example"]),
    ("qmail-rspawn", &[]),
    ("qmail-send", &[]),
    ("qmail-showctl", &[]),
    ("qmail-smtpd", &[]),
    ("qmail-start", &["./Mailbox"]),
    ("qreceipt", &["x@b.example"]),
    ("qmail-tcpok", &[]),
    ("qmail-tcpto", &[]),
    ("rblsmtpd", &["-R", "true"]),
    ("readproctitle", &["......................"]),
    ("recordio", &["true"]),
    ("sendmail", &["x@b.example"]),
    ("setforward", &["new.cdb", "new.tmp"]),
    ("setlock", &["lock", "true"]),
    ("setmaillist", &["new.bin", "new.tmp"]),
    ("setuidgid", &["nobody", "true"]),
    ("softlimit", &["-c", "0", "true"]),
    ("splogger", &["tag"]),
    ("sslclient", &["-XRHl0", "127.0.0.1", "1", "true"]),
    ("supervise", &["service"]),
    ("svc", &["-u", "service"]),
    ("svls", &["services"]),
    ("svneed", &["-t", "1", "service", "--", "true"]),
    ("svok", &["service"]),
    ("svscan", &["services"]),
    ("svscanboot", &[]),
    ("svstat", &["service"]),
    ("svup", &["service"]),
    ("svwait", &["-t", "1", "service"]),
    ("tai64n", &[]),
    ("tai64nlocal", &[]),
    ("tcp-env", &["true"]),
    ("tcpaccess", &["rules.cdb", "true"]),
    ("tcpclient", &["-RHl0", "127.0.0.1", "1", "true"]),
    ("tcplisten", &["127.0.0.1", "0", "true"]),
    ("tcplog", &[]),
    ("tcprules", &["new.cdb", "new.tmp"]),
    ("tcprulescheck", &["rules.cdb"]),
    ("tcprulesdump", &["rules.cdb"]),
    ("sslserver", &["-RHl0", "127.0.0.1", "0", "true"]),
    ("tcpserver", &["-RHl0", "127.0.0.1", "0", "true"]),
    ("tcpserver", &["-1v", "::1", "0", "true"]),
    ("tlsc", &["-X", "true"]),
    ("unixcat", &["no-socket"]),
    ("unixclient", &["no-socket", "true"]),
    ("tlsd", &["true"]),
    ("tlsio", &[]),
    ("unixserver", &["socket", "true"]),
];

/// What surrounds a program, as the shell makes it just before it becomes the program.
const SURROUNDINGS: [(&str, &str); 10] = [
    ("nothing", "exec \"$@\""),
    ("no input", "exec \"$@\" <&-"),
    ("no output", "exec \"$@\" >&-"),
    ("no errors", "exec \"$@\" 2>&-"),
    ("no descriptors", "exec \"$@\" <&- >&- 2>&-"),
    ("a full disk", "exec \"$@\" >/dev/full"),
    ("a folder to read", "exec \"$@\" </"),
    ("no path", "unset PATH; exec \"$@\""),
    ("four descriptors", "ulimit -n 4; exec \"$@\""),
    ("not even a name", "exec python3 -c \"$NAMELESS\" \"$1\""),
];

/// Becomes a program, and gives it no words at all, not even its own name. Linux has put an empty
/// name there since 5.18.
const NAMELESS: &str = "import ctypes, sys
ctypes.CDLL(None).execv(sys.argv[1].encode(), (ctypes.c_char_p * 1)())";

/// Variables that programs read, each set to what is no text.
const VARIABLES: [&str; 26] = [
    "DEFAULT",
    "DTLINE",
    "EXT",
    "HOME",
    "HOST",
    "LOCAL",
    "LOGNAME",
    "MAILHOST",
    "MAILNAME",
    "NEWSENDER",
    "PROTO",
    "QMAILINJECT",
    "QMAILNAME",
    "QMAILUSER",
    "RECIPIENT",
    "RELAYCLIENT",
    "RPLINE",
    "SENDER",
    "TCPLOCALIP",
    "TCPREMOTEHOST",
    "TCPREMOTEINFO",
    "TCPREMOTEIP",
    "TCPREMOTEPORT",
    "TZ",
    "UFLINE",
    "USER",
];

/// A program that has nothing to end it is told to after this time.
const PATIENCE: Duration = Duration::from_millis(400);
/// And must then end within this.
const LIMIT: Duration = Duration::from_secs(5);
/// Lines that a program may say, usage and all.
const LINES: usize = 8;

#[test]
fn bad_surroundings_give_a_known_code_and_a_clear_word() {
    if original() {
        return; // Man pages of ours, codes of ours.
    }
    let next = Mutex::new(PROGRAMS.iter());
    let wrong = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                loop {
                    let Some((name, words)) = next.lock().unwrap().next() else { return };
                    let found = complaints(name, words);
                    wrong.lock().unwrap().extend(found);
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn memory_that_ends_is_a_temporary_failure() {
    if original() {
        return; // The original's words differ.
    }
    let place = tests::scratch();
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "ulimit -v 40000; exec \"$0\" a.cdb a.tmp"]).arg(tests::bin("tcprules"));
    let output = tests::fed(command.current_dir(place.path()), vec![b'x'; 64 << 20]);
    let said = "tcprules: fatal: out of memory\n";
    assert_eq!(tests::ran(&output), (Some(111), String::new(), said.into()));
}

#[test]
fn every_program_is_in_the_table() {
    let mut git = Command::new("git");
    let output = git.args(["ls-files", "*src/bin/*.rs"]).current_dir(tree()).output().unwrap();
    let paths = String::from_utf8(output.stdout).unwrap();
    let names = paths.lines().filter_map(|path| path.rsplit('/').next()?.strip_suffix(".rs"));
    let missing: Vec<_> =
        names.filter(|name| !PROGRAMS.iter().any(|(program, _)| program == name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// All that is wrong with one program in all surroundings.
fn complaints(name: &str, words: &[&str]) -> Vec<String> {
    let home = installation();
    let rules = b"127.0.0.1:allow\n:deny\n";
    home.control("smtproutes", ":127.0.0.1:1\n").write("env/NAME", "value\n");
    home.write("service/run", "#!/bin/sh\nexec sleep 1\n");
    home.write("forward", "nobody@b.example\n").place().dir("services");
    home.give("");
    let compiled = tests::fed(
        home.program("tcprules").args(["rules.cdb", "rules.tmp"]).current_dir(home.home()),
        rules,
    );
    assert!(compiled.status.success());
    let words: Vec<OsString> = words.iter().map(OsString::from).collect();
    let long = [&words[..], &["x".repeat(100_000).into()]].concat();
    let bytes = [&words[..], &[OsString::from_vec(b"\xff\xfe\x01".to_vec())]].concat();
    let mut cases: Vec<(&str, &str, Vec<OsString>)> = Vec::new();
    cases.extend(SURROUNDINGS.map(|(place, script)| (place, script, words.clone())));
    let plain = SURROUNDINGS[0].1;
    cases.push(("a long word", plain, long.clone()));
    cases.push(("a long word first", plain, long[words.len()..].to_vec()));
    cases.push(("a word of bytes", plain, bytes.clone()));
    cases.push(("a word of bytes first", plain, bytes[words.len()..].to_vec()));
    cases.push(("variables of bytes", plain, words.clone()));
    if name != "svscanboot" {
        // Without SVDIR it would look after the services of this machine.
        cases.push(("no environment", "exec env -i \"$@\"", words));
    }
    // A child is `true`, which without descriptors does not find its library and ends with 127.
    let childs = if codes(name).contains(&"0".to_owned()) { &[][..] } else { &["0", "127"][..] };
    let allowed = [codes(name), childs.iter().map(|code| code.to_string()).collect()].concat();
    let complaint = |(place, script, words): &(&str, &str, Vec<OsString>)| {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script, "sh"]).arg(tests::bin(name)).args(words);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("QMAILHOME", home.home());
        command.env("SVDIR", home.join("services")).env("NAMELESS", NAMELESS);
        home.as_its_user(&mut command);
        if *place == "variables of bytes" {
            command.envs(VARIABLES.map(|name| (name, OsStr::from_bytes(b"\xff\xfe\x01"))));
        }
        // One has a line for each fault of an installation, the other for each folder.
        let lines = if ["instcheck", "svscan"].contains(&name) { usize::MAX } else { LINES };
        let wrong = wrong(&home, &mut command, &allowed, lines)?;
        Some(format!("{name} with {place}: {wrong}"))
    };
    cases.iter().filter_map(complaint).collect()
}

/// What is wrong with one run; nothing if all is well.
fn wrong(
    home: &Installation,
    command: &mut Command,
    allowed: &[String],
    lines: usize,
) -> Option<String> {
    let null = File::open("/dev/null").unwrap();
    let running = start_on(null, command.current_dir(home.home()));
    let mut told = false;
    if !ends(&running, PATIENCE) {
        told = true;
        running.signal(libc::SIGTERM);
        if !ends(&running, LIMIT) {
            return Some(format!("does not end: {}", running.err()));
        }
    }
    let status = running.ended()?;
    let said = running.err();
    match status.code() {
        None if told => {}
        None => return Some(format!("{status}: {said}")),
        Some(code) if allowed.contains(&code.to_string()) => {}
        Some(code) => return Some(format!("undocumented code {code}: {said}")),
    }
    if said.contains("internal error") || said.contains("panicked") || said.lines().count() > lines
    {
        return Some(format!("says {said}"));
    }
    None
}

/// Whether it ends within this time.
fn ends(running: &Running, limit: Duration) -> bool {
    let end = Instant::now() + limit;
    while running.ended().is_none() {
        if Instant::now() > end {
            return false;
        }
        thread::park_timeout(Duration::from_millis(2));
    }
    true
}
