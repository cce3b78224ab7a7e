//! unixserver: accept connections by a Unix socket and run a program for each.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use tests::{
    LIMIT, Running, Scratch, bin, original, program, ran, root, scratch, skip, start, until,
};

/// A server that listens at `socket` in its folder.
struct Server {
    running: Running,
    place: Scratch,
}

#[track_caller]
fn server(options: &[&str], words: &[&str]) -> Server {
    let place = scratch();
    let mut command = program("unixserver");
    // The original wants the two hyphens.
    command.args(options).arg("--").arg(place.join("socket")).args(words);
    command.env("SOCKET_UID", "7").env("SOCKET_GID", "8").env("UID", "9").env("GID", "10");
    let running = start(&mut command);
    until(LIMIT, "it listens", || listens(&place));
    Server { running, place }
}

/// Somebody listens at the socket. Nobody is connected to for that.
fn listens(place: &Scratch) -> bool {
    let end = format!(" {}", place.join("socket").display());
    let table = fs::read_to_string("/proc/net/unix").unwrap();
    table.lines().any(|line| line.contains(" 00010000 0001 01 ") && line.ends_with(&end))
}

impl Server {
    #[track_caller]
    fn visit(&self) -> UnixStream {
        let stream = UnixStream::connect(self.place.join("socket")).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream
    }

    /// All that the server says to a visitor who says this.
    #[track_caller]
    fn says(&self, words: &str) -> String {
        let mut stream = self.visit();
        stream.write_all(words.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        said
    }
}

#[test]
fn each_connection_is_a_programs_input_and_output() {
    let server = server(&[], &["cat"]);
    assert_eq!([server.says("one"), server.says("two\n")], ["one", "two\n"]);
    let (mut first, mut second) = (server.visit(), server.visit());
    let mut byte = [0];
    for stream in [&mut second, &mut first] {
        stream.write_all(b"x").unwrap();
        stream.read_exact(&mut byte).unwrap();
    }
}

#[test]
fn the_program_knows_who_is_at_both_ends() {
    let show = "env | grep -E '^(PROTO|UNIX)' | sort; echo $$";
    let server = server(&[], &["sh", "-c", show]);
    let said = server.says("");
    let uid = nix::unistd::geteuid();
    let gid = nix::unistd::getegid();
    let pid = said.lines().last().unwrap();
    let (own, path) = (std::process::id(), server.place.join("socket"));
    let path = path.display();
    let expected = format!(
        "PROTO=UNIX\nUNIXLOCALGID={gid}\nUNIXLOCALPATH={path}\nUNIXLOCALPID={pid}\n\
         UNIXLOCALUID={uid}\nUNIXREMOTEEGID={gid}\nUNIXREMOTEEUID={uid}\nUNIXREMOTEPID={own}\n\
         {pid}\n"
    );
    assert_eq!(said, expected);
}

#[test]
fn the_banner_comes_first() {
    assert_eq!(server(&["-B", "220 hello\r\n"], &["cat"]).says("x"), "220 hello\r\nx");
}

#[test]
fn connections_are_logged() {
    // The original logs to standard output.
    if original() {
        return;
    }
    let server = server(&["-v", "-c3"], &["sh", "-c", "exit 2"]);
    server.says("");
    let log = server.running.wait_err("status 512\nunixserver: status: 0/3\n");
    let pid: String = log.split("pid ").nth(1).unwrap().lines().next().unwrap().into();
    let expected = "status: 0/3\nstatus: 1/3\npid PID\nend PID status 512\nstatus: 0/3\n";
    assert_eq!(log.replace(&pid, "PID").replace("unixserver: ", ""), expected);
    assert_eq!(server.running.out(), "");
}

#[test]
fn no_more_are_served_at_once_than_the_limit() {
    let server = server(&["-c", "2"], &["sh", "-c", "echo hello; cat"]);
    let mut streams = [server.visit(), server.visit(), server.visit()];
    let mut said = [0; 6];
    streams[0].read_exact(&mut said).unwrap();
    streams[1].read_exact(&mut said).unwrap();
    streams[2].set_nonblocking(true).unwrap();
    assert!(streams[2].read(&mut said).is_err());
    let [first, _second, mut third] = streams;
    drop(first);
    third.set_nonblocking(false).unwrap();
    third.read_exact(&mut said).unwrap();
    assert_eq!(&said, b"hello\n");
}

#[test]
fn the_socket_is_open_to_all_unless_it_is_said_otherwise() {
    let mode = |options: &[&str]| server(options, &["cat"]).place.mode("socket");
    assert_eq!(mode(&[]), 0o777);
    assert_eq!(mode(&["-m", "027"]), 0o750);
    assert_eq!(mode(&["-p", "640"]), 0o640);
    assert_eq!(mode(&["-m077", "-p0600"]), 0o600);
}

#[test]
fn the_umask_is_for_the_socket_alone() {
    let place = scratch();
    let own = format!("{:04o}\n", 0o027);
    let script = "umask 027; exec \"$0\" -m 0 socket sh -c umask";
    let mut shell = std::process::Command::new("/bin/sh");
    shell.args(["-c", script]).arg(bin("unixserver")).current_dir(place.path());
    // The original permutes its words, and would take -c for its own.
    if original() {
        return;
    }
    let running = start(&mut shell);
    until(LIMIT, "it listens", || UnixStream::connect(place.join("socket")).is_ok());
    assert_eq!(Server { running, place }.says(""), own);
}

#[test]
fn the_socket_may_belong_to_somebody_else() {
    if !root() {
        return skip("needs root");
    }
    let owner = |options: &[&str]| {
        let server = server(options, &["cat"]);
        let about = fs::metadata(server.place.join("socket")).unwrap();
        (about.uid(), about.gid())
    };
    assert_eq!(owner(&["-o", "5", "-r", "6"]), (5, 6));
    assert_eq!(owner(&["-O"]), (7, 8));
}

#[test]
fn the_server_becomes_another_user() {
    if !root() {
        return skip("needs root");
    }
    let ids = "echo $(id -u) $(id -g) $(id -G)";
    let says = |options: &[&str]| server(options, &["sh", "-c", ids]).says("");
    assert_eq!(says(&["-u", "5", "-g", "6"]), "5 6 6\n");
    assert_eq!(says(&["-U"]), "9 10 10\n");
}

#[test]
fn an_old_socket_is_replaced() {
    let place = scratch();
    place.write("socket", "old");
    let mut command = program("unixserver");
    let running = start(command.args(["socket", "cat"]).current_dir(place.path()));
    until(LIMIT, "it listens", || UnixStream::connect(place.join("socket")).is_ok());
    assert_eq!(Server { running, place }.says("x"), "x");
}

#[test]
fn a_signal_ends_it_and_its_children_go_on() {
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGQUIT] {
        let server = server(&[], &["cat"]);
        let mut visitor = server.visit();
        visitor.write_all(b"x").unwrap();
        visitor.read_exact(&mut [0]).unwrap();
        server.running.signal(libc::SIGHUP);
        server.running.signal(signal);
        assert_eq!(server.running.wait(LIMIT).code(), Some(0));
        assert!(!server.place.exists("socket"));
        visitor.write_all(b"y").unwrap();
        visitor.read_exact(&mut [0]).unwrap();
    }
}

#[test]
fn the_socket_may_be_kept() {
    let server = server(&["-d"], &["cat"]);
    server.running.signal(libc::SIGTERM);
    assert_eq!(server.running.wait(LIMIT).code(), Some(0));
    assert!(server.place.exists("socket"));
}

#[test]
fn two_thousand_connections_leave_nothing_behind() {
    let server = server(&["-c", "30"], &["/bin/true"]);
    let about = |what: &str| {
        let status = fs::read_to_string(format!("/proc/{}/status", server.running.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with(what)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let files = || fs::read_dir(format!("/proc/{}/fd", server.running.pid())).unwrap().count();
    let children = || {
        let pid = server.running.pid();
        let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        list.split_whitespace().count()
    };
    let visits = |count: usize| {
        let streams: Vec<_> = (0..count).map(|_| server.visit()).collect();
        streams.into_iter().for_each(|mut stream| drop(stream.read_to_end(&mut Vec::new())));
        until(LIMIT, "all have ended", || children() == 0);
    };
    (0..5).for_each(|_| visits(40));
    let before = (files(), about("VmRSS"));
    (0..50).for_each(|_| visits(40));
    assert_eq!(files(), before.0);
    assert!(about("VmRSS") <= before.1 + 100, "{} kB, before {}", about("VmRSS"), before.1);
}

#[test]
fn children_of_before_are_not_counted() {
    let place = scratch();
    let script = "sleep 0.1 & exec \"$0\" -v -- socket cat";
    let mut shell = std::process::Command::new("/bin/sh");
    let running =
        start(shell.args(["-c", script]).arg(bin("unixserver")).current_dir(place.path()));
    let children = format!("/proc/{0}/task/{0}/children", running.pid());
    until(LIMIT, "it listens", || UnixStream::connect(place.join("socket")).is_ok());
    until(LIMIT, "the child is collected", || fs::read_to_string(&children).unwrap().is_empty());
    assert_eq!(Server { running, place }.says("x"), "x");
}

#[test]
fn a_program_that_cannot_be_run_is_named_and_the_server_goes_on() {
    // The original says it in the C library's words.
    if original() {
        return;
    }
    let server = server(&[], &["/no/such/file"]);
    assert_eq!([server.says(""), server.says("")], ["", ""]);
    let said = "unixserver: warning: unable to run /no/such/file: file does not exist\n";
    assert_eq!(server.running.wait_err(&said.repeat(2)), said.repeat(2));
    let quiet = self::server(&["-q"], &["/no/such/file"]);
    assert_eq!((quiet.says(""), quiet.running.err()), (String::new(), String::new()));
}

#[test]
fn what_cannot_be_made_exits_1() {
    // The original cuts long names, and says the rest in the C library's words.
    if original() {
        return;
    }
    let place = scratch();
    let long = "x".repeat(108);
    for (socket, why) in [
        ("no/such/folder", "unable to bind: file does not exist"),
        (&long, "unable to bind: file name too long"),
        (".", "unable to remove .: is a directory"),
    ] {
        let mut command = program("unixserver");
        let o = command.args([socket, "cat"]).current_dir(place.path()).output().unwrap();
        assert_eq!(ran(&o), (Some(1), String::new(), format!("unixserver: fatal: {why}\n")));
    }
}

#[test]
fn wrong_usage_exits_1() {
    let wrong: [&[&str]; 6] =
        [&[], &["socket"], &["-Z"], &["-c"], &["-c", "x", "socket", "cat"], &["-p9", "s", "cat"]];
    for words in wrong {
        let (code, _, said) = ran(&program("unixserver").args(words).output().unwrap());
        assert_eq!(code, Some(1), "{words:?}");
        // The original has a line for each option.
        assert!(said.contains("usage: "), "{said}");
    }
}
