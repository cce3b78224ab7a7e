//! Mail is read by programs of others, and by ours from Maildirs that others use too.

use crate::accounts::with_accounts;
use crate::home::home;
use crate::mailbox::{Mailbox, OWNER, PASSWORD, mailbox};
use std::io::{BufRead, BufReader, Write};
use std::process::Command;
use tests::{
    LIMIT, Running, as_user, connect, fed, program, ran, root, shown, skip, start, tree, until,
};

/// Three messages, with what mail programs stumble over.
fn three() -> Mailbox {
    let mail = mailbox();
    mail.message("new/1.a", "Subject: one\nMessage-ID: <1@x>\n\n.dot\n..\n\nlast\n");
    mail.message("cur/2.b:2,S", "Subject: two\nMessage-ID: <2@x>\n\nno newline");
    mail.message("new/3.c", "Subject: three\nMessage-ID: <3@x>\n\nFrom here\n\u{e4}\u{ff}\n");
    mail
}

/// A client, in the folder of the mailbox, with nothing in its environment. `None`, after
/// [`skip`], if it is not installed.
fn client(name: &str, mail: &Mailbox) -> Option<Command> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if !std::env::split_paths(&path).any(|folder| folder.join(name).exists()) {
        skip(&format!("needs {name}"));
        return None;
    }
    let mut command = Command::new(name);
    command.env_clear().env("PATH", path).env("HOME", mail.place.path());
    command.current_dir(mail.place.path());
    Some(command)
}

/// Runs a client to its end, which must be good. What it has printed.
#[track_caller]
fn run(command: &mut Command) -> String {
    let (code, out, err) = ran(&fed(command, ""));
    assert_eq!(code, Some(0), "{out}{err}");
    out
}

const POPLIB: &str = r#"
import poplib, sys
port, user, password = int(sys.argv[1]), sys.argv[2], sys.argv[3]
def login(way):
    c = poplib.POP3("127.0.0.1", port, timeout=20)
    if way == "apop": c.apop(user, password)
    else: c.user(user); c.pass_(password)
    return c
c = login("user")
print(sorted(c.capa()))
print(c.stat(), c.list()[1], c.uidl()[1], c.uidl(2))
print(c.top(1, 1)[1], c.retr(2)[1], c.retr(3)[1])
c.dele(1); c.rset(); c.dele(2)
try: c.retr(2)
except poplib.error_proto as why: print(why)
print(c.noop(), c.quit())
if len(sys.argv) == 4:
    c = login("apop")
    print(c.uidl()[1])
    c.close()
try: poplib.POP3("127.0.0.1", port).apop(user, "wrong")
except poplib.error_proto as why: print(why)
"#;

const POPLIB_SAW: &str = "['IMPLEMENTATION', 'PIPELINING', 'TOP', 'UIDL', 'USER']
(3, 137) [b'1 46', b'2 42', b'3 49'] [b'1 1.a', b'2 2.b', b'3 3.c'] b'+OK 2 2.b'
[b'Subject: one', b'Message-ID: <1@x>', b'', b'.dot'] \
[b'Subject: two', b'Message-ID: <2@x>', b'', b'no newline'] \
[b'Subject: three', b'Message-ID: <3@x>', b'', b'From here', b'\\xc3\\xa4\\xc3\\xbf']
b'-ERR already deleted'
b'+OK ' b'+OK '
";

#[test]
fn python_reads_it() {
    if tests::original() {
        return; // CAPA is ours.
    }
    let mail = three();
    let Some(mut python) = client("python3", &mail) else { return };
    let (_server, port) = mail.serve();
    let said = run(python.args(["-c", POPLIB, &port.to_string(), "joe", PASSWORD]));
    let expected = format!("{POPLIB_SAW}[b'1 1.a', b'2 3.c']\nb'-ERR authorization failed'\n");
    assert_eq!(said, expected);
    until(LIMIT, "the end of the session", || mail.files() == ["cur/1.a:2,", "cur/3.c:2,"]);
}

#[test]
fn a_user_of_the_system_logs_in() {
    let mail = three();
    let Some(mut python) = client("python3", &mail) else { return };
    // "secret" by yescrypt
    let hash = "$y$j9T$qfDS2OpdBWbrNcbEdlvoK0$uvj2QtGsBNkPVo/zhWTxvljs5.7CfRqRnSIqmKM7nPC";
    let home = mail.place.path().display();
    let mut server = program("tcpserver");
    server.args(["-1RHl0", "127.0.0.1", "0", "qmail-popup", "a.example", "checkpassword"]);
    server.args(["qmail-pop3d", "Maildir"]).current_dir(mail.place.path());
    let line = format!("joe:{hash}:{OWNER}:{OWNER}::{home}:/bin/sh\n");
    let Some(mut server) = with_accounts(&mail.place, &line, &server) else { return };
    let server = start(&mut server);
    let port = server.wait_out("\n").trim().to_owned();
    let said = run(python.args(["-c", POPLIB, &port, "joe", "secret", "no apop"]));
    assert_eq!(said, format!("{POPLIB_SAW}b'-ERR authorization failed'\n"));
    assert_eq!(mail.files(), ["cur/1.a:2,", "cur/3.c:2,"]);
}

#[test]
fn curl_reads_it() {
    let mail = three();
    let Some(mut all) = client("curl", &mail) else { return };
    let (_server, port) = mail.serve();
    let url = |path: &str| format!("pop3://127.0.0.1:{port}/{path}");
    let curl = |words: &[&str]| {
        let mut curl = client("curl", &mail).unwrap();
        run(curl.args(["-sS", "-u", &format!("joe:{PASSWORD}")]).args(words))
    };
    all.args(["-sS", "-u", &format!("joe:{PASSWORD}"), &url("")]);
    assert_eq!(run(&mut all), "1 46\r\n2 42\r\n3 49\r\n");
    let first = "Subject: one\r\nMessage-ID: <1@x>\r\n\r\n.dot\r\n..\r\n\r\nlast\r\n";
    assert_eq!(curl(&[&url("1")]), first);
    assert_eq!(curl(&["-X", "UIDL", &url("")]), "1 1.a\r\n2 2.b\r\n3 3.c\r\n");
    curl(&["-X", "DELE 2", "-I", &url("")]);
    until(LIMIT, "the end of the session", || mail.files() == ["cur/1.a:2,", "cur/3.c:2,"]);
}

#[test]
fn fetchmail_moves_it() {
    let mail = three();
    let Some(mut fetchmail) = client("fetchmail", &mail) else { return };
    let (_server, port) = mail.serve();
    let rc = format!(
        "poll 127.0.0.1 port {port} proto pop3 uidl user joe password \"{PASSWORD}\" sslproto ''\n\
         nokeep fetchall mda \"cat >>got; echo == >>got\"\n"
    );
    mail.place.write("fetchmailrc", rc).chmod("fetchmailrc", 0o600);
    if root() {
        as_user(OWNER, OWNER, &mut fetchmail);
    }
    mail.give();
    fetchmail.env("USER", "joe").args(["-f", "fetchmailrc", "--invisible", "--norewrite"]);
    run(&mut fetchmail);
    let got = mail.place.text("got");
    for part in ["\n.dot\n..\n\nlast\n", "\nno newline\n", "From here\n\u{e4}\u{ff}\n"] {
        assert!(got.contains(part), "{got}");
    }
    assert_eq!(got.matches("==\n").count(), 3);
    until(LIMIT, "the end of the session", || mail.files().is_empty());
}

#[test]
fn getmail_leaves_it_and_knows_it_again() {
    let mail = three();
    let Some(mut getmail) = client("getmail", &mail) else { return };
    let (_server, port) = mail.serve();
    for folder in ["new", "cur", "tmp"] {
        mail.place.dir(format!("got/{folder}"));
    }
    let got = mail.place.join("got");
    let rc = format!(
        "[retriever]\ntype = SimplePOP3Retriever\nserver = 127.0.0.1\nport = {port}\n\
         username = joe\npassword = {PASSWORD}\n[destination]\ntype = Maildir\npath = {}/\n\
         [options]\nread_all = false\ndelivered_to = false\nreceived = false\n",
        got.display()
    );
    mail.place.write("getmailrc", rc);
    mail.give();
    if root() {
        as_user(OWNER, OWNER, &mut getmail);
    }
    let folder = mail.place.path().display().to_string();
    getmail.args(["--getmaildir", &folder, "--rcfile", "getmailrc"]);
    run(&mut getmail);
    assert_eq!(mail.place.names("got/new").len(), 3);
    run(&mut getmail);
    assert_eq!(mail.place.names("got/new").len(), 3, "known by their UIDL");
    let texts: String = mail
        .place
        .names("got/new")
        .iter()
        .map(|n| mail.place.text(format!("got/new/{n}")))
        .collect();
    assert!(texts.contains("\n.dot\n..\n\nlast\n"), "{texts}");
    let read = ["cur/1.a:2,", "cur/2.b:2,S", "cur/3.c:2,"];
    until(LIMIT, "the end of the session", || mail.files() == read);
}

/// A session on the network that has said this, with the last answer not read.
fn session(port: u16, commands: &str) -> std::net::TcpStream {
    let mut stream = connect(port);
    let mut from = BufReader::new(stream.try_clone().unwrap());
    let login = format!("USER joe\r\nPASS {PASSWORD}\r\n");
    stream.write_all(login.as_bytes()).unwrap();
    for _ in 0..3 {
        let mut line = String::new();
        from.read_line(&mut line).unwrap();
        assert!(line.starts_with("+OK"), "{line}");
    }
    stream.write_all(commands.as_bytes()).unwrap();
    let mut line = String::new();
    from.read_line(&mut line).unwrap();
    assert_eq!(line, "+OK \r\n");
    stream
}

#[test]
fn a_cut_session_loses_nothing() {
    let mail = three();
    mail.message("cur/4.d", "x".repeat(5_000_000));
    let before = mail.files();
    let (_server, port) = mail.serve();
    // in the middle of a message, and after everything was marked
    for commands in
        ["DELE 1\r\nDELE 2\r\nRETR 4\r\n", "DELE 1\r\nDELE 2\r\nDELE 3\r\nDELE 4\r\nQUI"]
    {
        drop(session(port, commands));
        let mut again = session(port, "NOOP\r\nSTAT\r\n");
        again.write_all(b"QUI").unwrap();
        drop(again);
        assert_eq!(mail.files(), before);
    }
    let stays = session(port, "DELE 1\r\nDELE 2\r\n");
    let children = pop3ds(&_server);
    assert_eq!(children.len(), 1);
    for pid in children {
        let pid = nix::unistd::Pid::from_raw(pid);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    }
    until(LIMIT, "the end of the session", || pop3ds(&_server).is_empty());
    drop(stays);
    assert_eq!(mail.files(), before);
}

/// The qmail-pop3d processes of a server.
fn pop3ds(server: &Running) -> Vec<i32> {
    let group = server.pid().to_string();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let Some((name, rest)) = stat.rsplit_once(") ") else { return false };
        let fields: Vec<&str> = rest.split(' ').collect();
        name.ends_with("(qmail-pop3d") && fields[2] == group && fields[0] != "Z"
    })
    .collect()
}

/// A program of Dovecot, taken out of its package by `.ci/run`, for the Maildir of joe, run as an
/// ordinary process: its settings come from a file, its user is who runs it.
fn dovecot(program: &str, words: &[&str], mail: &Mailbox) -> Option<Command> {
    let oracles = tree().join("target/oracles");
    let folder = oracles.join("usr/lib/dovecot");
    let trial =
        Command::new(folder.join(program)).env("LD_LIBRARY_PATH", &folder).arg("-?").output();
    if !trial.is_ok_and(|output| output.status.code() != Some(127)) {
        skip(&format!("needs Dovecot's {program} in target/oracles"));
        return None;
    }
    let place = mail.place.path().display();
    let lib = folder.display();
    let settings = format!(
        "base_dir = {place}/run\nlibexec_dir = {lib}\nmail_plugin_dir = {lib}/modules\n\
         log_path = {place}/log\nmail_location = maildir:{place}/Maildir\nprotocols = pop3\n\
         hostname = a.example\npostmaster_address = postmaster@a.example\n\
         pop3_uidl_format = %f\npop3_no_flag_updates = no\nmail_fsync = always\n"
    );
    mail.place.write("dovecot.conf", settings).dir("run");
    mail.give();
    let mut command = Command::new(oracles.join("usr/bin/doveconf"));
    let service = program.trim_start_matches("dovecot-");
    command.args(["-f", &format!("service={service}"), "-m", service, "-c", "dovecot.conf", "-e"]);
    command.arg(folder.join(program)).args(words).env_clear().env("LD_LIBRARY_PATH", &folder);
    command.env("PATH", "/usr/bin:/bin").env("USER", "joe").env("HOME", mail.place.path());
    command.current_dir(mail.place.path());
    if root() {
        as_user(OWNER, OWNER, &mut command);
    }
    Some(command)
}

/// What a POP3 server that needs no login answers to these commands.
#[track_caller]
fn pop3(command: &mut Command, commands: &str) -> String {
    let (code, out, err) = ran(&fed(command, commands.replace('\n', "\r\n")));
    assert_eq!(code, Some(0), "{out}{err}");
    out.replace("\r\n", "\n")
}

#[test]
fn dovecot_reads_what_qmail_local_delivers() {
    let mail = mailbox();
    let Some(mut server) = dovecot("pop3", &[], &mail) else { return };
    let user = home();
    // a Maildir of joe's that is the one of the mailbox
    std::os::unix::fs::symlink(mail.place.join("Maildir"), user.place.join("home/Maildir"))
        .unwrap();
    assert_eq!(user.deliver("./Maildir/\n"), (Some(0), "did 1+0+0\n".into(), String::new()));
    mail.give();
    mail.age();
    let said = pop3(&mut server, "UIDL\nRETR 1\nQUIT\n");
    assert!(said.contains("\nSubject: hello\n") && said.contains("\n>From y\nlast\n.\n"), "{said}");
    // it has changed the name; both know the message by the part that stays
    let name = mail.place.names("Maildir/cur")[0].clone();
    let listed = format!("1 {}\n.\n", name.split(':').next().unwrap());
    let ours = pop3(&mut mail.pop3d(), "UIDL\nRETR 1\n");
    assert!(said.contains(&listed) && ours.contains(&listed), "{said}{ours}");
    let body =
        |said: &str| said.split("\n.\n").nth(1).unwrap().split_once('\n').unwrap().1.to_owned();
    assert_eq!(body(&ours), body(&said));
}

#[test]
fn what_dovecot_delivers_is_read() {
    let mail = mailbox();
    let Some(mut lda) = dovecot("dovecot-lda", &["-f", "me@b.example"], &mail) else { return };
    let text = "Subject: by dovecot\n\n.dot\n\nlast\n";
    assert_eq!(shown(&fed(&mut lda, text).stderr), "");
    assert_eq!(mail.place.names("Maildir/new").len(), 1);
    mail.age();
    let said = pop3(&mut mail.pop3d(), "STAT\nRETR 1\nUIDL\nQUIT\n");
    assert!(said.contains("\nSubject: by dovecot\n\n..dot\n\nlast\n.\n"), "{said}");
    let name = mail.place.names("Maildir/cur")[0].clone();
    assert!(name.ends_with(":2,"), "{name}");
    assert!(said.contains(&format!("\n1 {}\n", &name[..name.len() - 3])), "{said}");
    // and what we have left there, Dovecot reads
    let mut server = dovecot("pop3", &[], &mail).unwrap();
    let theirs = pop3(&mut server, "UIDL\nDELE 1\nQUIT\n");
    assert!(theirs.contains(&format!("\n1 {}\n", &name[..name.len() - 3])), "{theirs}");
    assert_eq!(mail.place.names("Maildir/cur"), [""; 0]);
}
