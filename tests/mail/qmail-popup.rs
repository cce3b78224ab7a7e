//! qmail-popup on pipes and on connections, with scripts that check passwords.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::OwnedFd;
use std::process::Command;
use tests::{
    LIMIT, Random, Running, Scratch, fed, listener, program, ran, redirected, scratch, shown,
    start, start_on, until, with_children_ignored,
};

/// Writes what it is given to `given`.
const KEEP: &str = "tr '\\000' '|' <&3 >given; echo serving\n";

fn place(check: &str) -> Scratch {
    let place = scratch();
    place.script("check", check);
    place
}

fn popup(place: &Scratch) -> Command {
    let mut command = program("qmail-popup");
    command.args(["mail.example", "./check", "arg"]).current_dir(place.path());
    command
}

/// A session on a connection.
fn connected(place: &Scratch) -> (Running, TcpStream) {
    let (listener, port) = listener();
    let client = tests::connect(port);
    let server = OwnedFd::from(listener.accept().unwrap().0);
    (start_on(server, &mut redirected(">&0", &popup(place))), client)
}

/// All that is said to this input on a connection. The session must end with 1.
#[track_caller]
fn said_on_connection(place: &Scratch, input: &[u8]) -> String {
    let (session, mut client) = connected(place);
    // a session may end before it has heard all
    let _ = client.write_all(input).and_then(|()| client.shutdown(Shutdown::Write));
    let mut said = Vec::new();
    let _ = client.read_to_end(&mut said);
    let (code, _, err) = ran(&session.finish(LIMIT));
    assert_eq!((code, err), (Some(1), String::new()));
    shown(&said)
}

/// What is answered after the greeting (LF stands for CR LF, in the answers too). It must end
/// with 1, and say nothing else, and the same on pipes as on a connection.
#[track_caller]
fn replies(place: &Scratch, commands: &str) -> String {
    let commands = commands.replace('\n', "\r\n");
    let (code, out, err) = ran(&fed(&mut popup(place), &commands));
    assert_eq!((code, err), (Some(1), String::new()));
    let by_pipe = after_greeting(&out);
    if !tests::original() {
        let by_connection = said_on_connection(place, commands.as_bytes());
        assert_eq!(after_greeting(&by_connection), by_pipe);
    }
    by_pipe
}

#[track_caller]
fn after_greeting(out: &str) -> String {
    let out = out.replace("\r\n", "\n");
    let (greeting, rest) = out.split_once('\n').unwrap();
    let unique = greeting.strip_prefix("+OK <").unwrap().strip_suffix("@mail.example>").unwrap();
    let numbers: Vec<&str> = unique.split('.').collect();
    assert!(numbers.len() == 2 && numbers.iter().all(|number| number.parse::<u64>().is_ok()));
    rest.to_owned()
}

#[test]
fn a_name_and_a_password_are_given_to_the_program() {
    let place = place(&format!("echo \"$@\" >args; {KEEP}"));
    assert_eq!(replies(&place, "USER joe\nPASS my  word \n"), "+OK \nserving\n");
    let given = place.text("given");
    assert!(given.starts_with("joe|my  word |<"), "{given}");
    assert!(given.ends_with("@mail.example>|") && given.matches('|').count() == 3, "{given}");
    assert_eq!(place.text("args"), "arg\n");
}

#[test]
fn apop_gives_the_digest_and_the_greeting() {
    let place = place(KEEP);
    let output = fed(&mut popup(&place), "apop joe c4c9334bac560ecc979e58001b3e22fb\r\n");
    let (code, out, _) = ran(&output);
    let unique = out.lines().next().unwrap().strip_prefix("+OK ").unwrap().trim().to_owned();
    let expected = format!("joe|c4c9334bac560ecc979e58001b3e22fb|{unique}|");
    assert_eq!((code, place.text("given")), (Some(1), expected));
}

#[test]
fn the_dialogue_before_a_login() {
    if tests::original() {
        return; // CAPA is ours.
    }
    let place = place(KEEP);
    let commands = "STAT\nPASS x\nUSER\nUSER  \nuser joe\nPASS\nAPOP joe\nAPOP\nnoop x\nCAPA\n\nQUIT\n\
        NOOP\n";
    let expected = "-ERR authorization first\n-ERR USER first\n-ERR syntax error\n\
        -ERR syntax error\n+OK \n-ERR syntax error\n-ERR syntax error\n-ERR syntax error\n+OK \n\
        +OK \nTOP\nUSER\nUIDL\nPIPELINING\nIMPLEMENTATION catena\n.\n-ERR authorization first\n\
        +OK \n";
    assert_eq!(replies(&place, commands), expected);
    assert!(!place.exists("given"));
}

#[test]
fn nothing_is_read_beyond_the_password() {
    if tests::original() {
        return; // The originals read ahead.
    }
    let place = place("cat <&3 >/dev/null; cat");
    let said = replies(&place, "USER joe\nPASS x\nSTAT\nQUIT\n");
    assert_eq!(said, "+OK \nSTAT\nQUIT\n");
}

#[test]
fn the_program_gets_the_connection_and_no_other_descriptor() {
    let place = place("ls /proc/self/fd >fds; exec ls -l /proc/self/fd >/dev/null");
    replies(&place, "USER joe\nPASS x\n");
    let fds = place.text("fds");
    let low: String = fds.lines().filter(|number| number.len() == 1).collect();
    // 4 is the folder that ls reads
    assert_eq!(low, "01234");
}

#[test]
fn how_the_program_ends_is_told() {
    for (check, said) in [
        ("exit 0", ""),
        ("exit 1", "-ERR authorization failed\n"),
        ("exit 2", "-ERR authorization failed\n"),
        ("exit 111", "-ERR authorization failed\n"),
        ("kill -9 $$", "-ERR aack, child crashed\n"),
    ] {
        let check = format!("cat <&3 >/dev/null; {check}");
        let said_of_it = replies(&place(&check), "USER joe\nPASS x\nNOOP\n");
        assert_eq!((&check, said_of_it), (&check, format!("+OK \n{said}")));
    }
    let missing = scratch();
    let said = replies(&missing, "USER joe\nPASS x\n");
    assert_eq!(said, "+OK \n-ERR authorization failed\n");
}

#[test]
fn a_caller_who_ignores_children_is_no_way_to_silence_it() {
    if tests::original() {
        return; // The originals say nothing then.
    }
    let place = place("cat <&3 >/dev/null; exit 1");
    let output = fed(&mut with_children_ignored(&popup(&place)), "USER joe\r\nPASS x\r\n");
    assert_eq!(after_greeting(&ran(&output).1), "+OK \n-ERR authorization failed\n");
}

#[test]
fn it_waits_for_the_program() {
    let place = place("cat <&3 >/dev/null; echo up; cat");
    let mut session = start(&mut popup(&place));
    session.write("USER joe\r\nPASS x\r\n");
    session.wait_out("up\n");
    assert!(session.ended().is_none());
    session.write("hello");
    session.wait_out("hello");
    assert_eq!(session.finish(LIMIT).status.code(), Some(1));
}

#[test]
fn without_a_program_nothing_works() {
    let no = "-ERR usage: popup hostname subprogram\r\n";
    for words in [&[][..], &["mail.example"]] {
        let output = fed(program("qmail-popup").args(words), "");
        assert_eq!(ran(&output), (Some(1), no.into(), String::new()));
    }
}

#[test]
fn long_lines_and_nuls_are_no_way_in() {
    if tests::original() {
        return; // Our limits.
    }
    let place = place(KEEP);
    let long = format!("USER {}\nUSER joe\nPASS {}\n", "x".repeat(5000), "y".repeat(100_000));
    let no = "-ERR command line too long\n";
    assert_eq!(replies(&place, &long), format!("{no}+OK \n{no}"));
    assert!(!place.exists("given"));
    replies(&place, "USER joe\0root\nPASS x\0\0<fake>\n");
    let given = place.text("given");
    assert!(given.starts_with("joe|x|<") && given.matches('|').count() == 3, "{given}");
}

#[test]
fn closed_and_full_descriptors_end_it() {
    if tests::original() {
        return; // The originals go on.
    }
    let place = place(KEEP);
    for redirections in ["<&-", ">&-", ">/dev/full"] {
        let mut command = redirected(redirections, &popup(&place));
        let code = fed(&mut command, "USER joe\r\nPASS x\r\n").status.code();
        assert_eq!((redirections, code), (redirections, Some(1)));
        assert!(!place.exists("given"));
    }
}

#[test]
fn the_password_is_in_no_memory_while_the_program_runs() {
    if tests::original() {
        return; // The originals leave it where it was.
    }
    let place = place("cat <&3 >/dev/null; echo up; cat");
    let mut session = start(&mut popup(&place));
    session.write("USER joe\r\nPASS correct-horse-battery\r\n");
    session.wait_out("up\n");
    assert_forgotten(&session);
    let (session, mut client) = connected(&place);
    client.write_all(b"USER joe\r\nPASS correct-horse-battery\r\nSTAT\r\n").unwrap();
    let mut said = Vec::new();
    while !shown(&said).contains("up\nSTAT\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).unwrap();
        said.extend(byte);
    }
    assert_forgotten(&session);
}

/// The password of a session that goes on is nowhere in its memory.
#[track_caller]
fn assert_forgotten(session: &Running) {
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", session.pid())).unwrap();
    let Ok(memory) = std::fs::File::open(format!("/proc/{}/mem", session.pid())) else {
        return tests::skip("may not look into the program's memory");
    };
    let mut seen = 0;
    for line in maps.lines().filter(|line| line.contains(" rw-p ") || line.contains(" rw ")) {
        let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let at = |text: &str| u64::from_str_radix(text, 16).unwrap();
        let mut bytes = vec![0; (at(to) - at(from)) as usize];
        if std::os::unix::fs::FileExt::read_exact_at(&memory, &mut bytes, at(from)).is_ok() {
            seen += 1;
            assert!(memchr::memmem::find(&bytes, b"correct-horse").is_none(), "{line}");
        }
    }
    assert!(seen > 1);
    until(LIMIT, "a session", || session.ended().is_none());
}

#[test]
fn any_input_before_a_login_is_answered() {
    if tests::original() {
        return; // Our limits.
    }
    let place = place("cat <&3 >/dev/null; exit 1");
    let mut random = Random::new(29);
    for case in 0..100 {
        let bad = random.damaged(b"NOOP\r\nCAPA\r\nUSER joe\r\nPASS secret\r\nQUIT\r\n");
        let (code, out, err) = ran(&fed(&mut popup(&place), &bad));
        assert_eq!((case, code, &*err), (case, Some(1), ""), "{}", shown(&bad));
        let by_connection = said_on_connection(&place, &bad);
        assert_eq!(after_greeting(&by_connection), after_greeting(&out), "{}", shown(&bad));
        let lines = out.lines().filter(|line| line.starts_with("+OK") || line.starts_with("-ERR"));
        assert!(lines.count() <= 1 + bad.iter().filter(|byte| **byte == b'\n').count());
    }
}
