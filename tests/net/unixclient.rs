//! unixclient: connect to a Unix socket and run a program with the connection.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::thread;
use tests::{original, program, ran, scratch};

#[test]
fn the_program_has_the_connection_and_its_own_input_and_output() {
    let place = scratch();
    let listener = UnixListener::bind(place.join("socket")).unwrap();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"hello\n").unwrap();
        let mut asked = String::new();
        stream.read_to_string(&mut asked).unwrap();
        asked
    });
    let script = "read line <&6; echo got $line; echo bye >&7; echo $$; env | grep -E '^(PROTO|UNIX)' | sort";
    let mut command = program("unixclient");
    command.args(["socket", "sh", "-c", script]).current_dir(place.path());
    let (code, out, err) = ran(&command.output().unwrap());
    let pid = out.lines().nth(1).unwrap();
    let (uid, gid, own) = (nix::unistd::geteuid(), nix::unistd::getegid(), std::process::id());
    let expected = format!(
        "got hello\n{pid}\nPROTO=UNIX\nUNIXLOCALGID={gid}\nUNIXLOCALPATH=socket\n\
         UNIXLOCALPID={pid}\nUNIXLOCALUID={uid}\nUNIXREMOTEEGID={gid}\nUNIXREMOTEEUID={uid}\n\
         UNIXREMOTEPID={own}\n"
    );
    assert_eq!((code, &out[..], &err[..]), (Some(0), &expected[..], ""));
    assert_eq!(server.join().unwrap(), "bye\n");
}

#[test]
fn failures_exit_1() {
    let place = scratch();
    let _listener = UnixListener::bind(place.join("socket")).unwrap();
    drop(UnixListener::bind(place.join("dead")).unwrap());
    let cases = [
        (["missing", "cat"], "unable to connect to missing: file does not exist"),
        (["dead", "cat"], "unable to connect to dead: connection refused"),
        (["socket", "/no/such/file"], "unable to run /no/such/file: file does not exist"),
    ];
    for (words, why) in cases {
        let run = |option: &str| {
            let mut command = program("unixclient");
            ran(&command.arg(option).args(words).current_dir(place.path()).output().unwrap())
        };
        // The original says it in the C library's words, and calls a program that cannot be
        // run 127.
        if original() {
            assert!(run("-Q").0.is_some_and(|code| code > 0));
            continue;
        }
        assert_eq!(run("-Q"), (Some(1), String::new(), format!("unixclient: fatal: {why}\n")));
        assert_eq!(run("-q"), (Some(1), String::new(), String::new()));
    }
}

#[test]
fn the_connection_may_be_told() {
    // The original tells nothing.
    if original() {
        return;
    }
    let place = scratch();
    let _listener = UnixListener::bind(place.join("socket")).unwrap();
    let mut command = program("unixclient");
    let o = command.args(["-v", "socket", "true"]).current_dir(place.path()).output().unwrap();
    let said = "unixclient: connected to socket\n";
    assert_eq!(ran(&o), (Some(0), String::new(), said.into()));
}

#[test]
fn wrong_usage_exits_1() {
    for words in [&[][..], &["socket"], &["-Z", "socket", "cat"]] {
        // The original knows no options but in its usage.
        if original() && words.len() == 3 {
            continue;
        }
        let (code, _, said) = ran(&program("unixclient").args(words).output().unwrap());
        assert!(code == Some(1) && said.contains("usage: "), "{code:?} {said}");
    }
}
