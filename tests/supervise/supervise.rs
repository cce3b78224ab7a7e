//! supervise: starting, pace, orders, signals, files, trouble.

use crate::services::{
    Disk, STAYS, Services, assert_idle, is_gone, parent, process, services, signal,
};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::{Duration, Instant};
use tests::{
    LIMIT, Random, Running, as_user, failing, fed, limited, one_of_five, original, ran, root, skip,
    start, until,
};

/// The files in `supervise`: ours, and those of 0.76.
const FILES: [&[&str]; 2] =
    [&["control", "lock", "ok", "state", "status"], &["control", "lock", "ok", "status"]];

/// The names in a folder but those of what is about to be replaced.
fn lasting(place: &Services, folder: &str) -> Vec<String> {
    place.names(folder).into_iter().filter(|name| !name.ends_with(".new")).collect()
}

type Said = (Option<i32>, String, String);

fn said(code: i32, err: &str) -> Said {
    (Some(code), String::new(), err.into())
}

/// `supervise NAME`, which must end by itself.
fn supervise(place: &Services, words: &[&str]) -> Said {
    ran(&fed(place.command("supervise").args(words), ""))
}

/// Ends supervise by `svc -dx`, and gives what it has said.
#[track_caller]
fn dismissed(place: &Services, name: &str, running: Running) -> Said {
    place.svc(&["-dx", name]);
    ran(&running.finish(LIMIT))
}

/// Writes bytes to the control FIFO.
fn control(place: &Services, name: &str, bytes: &[u8]) {
    let fifo = place.join(name).join("supervise/control");
    OpenOptions::new().write(true).open(fifo).unwrap().write_all(bytes).unwrap();
}

/// The times, in seconds, that run scripts have written by `date +%s.%N`.
fn times(lines: &[String]) -> Vec<f64> {
    lines.iter().map(|line| line.parse().unwrap()).collect()
}

#[test]
fn exactly_one_directory_is_right_usage() {
    let place = services();
    for words in [&[][..], &["a", "b"]] {
        assert_eq!(supervise(&place, words), said(100, "supervise: usage: supervise dir\n"));
    }
}

#[test]
fn what_is_missing_at_the_start_is_fatal() {
    let place = services();
    place.write("file", "").dir("loop");
    symlink("down", place.join("loop/down")).unwrap();
    let cases = [
        ("gone", "unable to chdir to gone: file does not exist"),
        ("", "unable to chdir to : file does not exist"),
        ("file", "unable to chdir to file: not a directory"),
        ("loop", "unable to stat loop/down: symbolic link loop"),
    ];
    for (name, text) in cases {
        assert_eq!(supervise(&place, &[name]), said(111, &format!("supervise: fatal: {text}\n")));
    }
    place.write("taken/supervise", "");
    let err = "supervise: fatal: unable to acquire taken/supervise/lock: not a directory\n";
    assert_eq!(supervise(&place, &["taken"]), said(111, err));
    place.dir("odd/supervise/control");
    let err = "supervise: fatal: unable to write odd/supervise/control: is a directory\n";
    if original() {
        assert_eq!(supervise(&place, &["odd"]), said(111, err));
    }
}

#[test]
fn a_control_that_is_no_fifo_is_fatal() {
    // 0.76 takes a file for an endless FIFO, and uses all the time that the processor has
    if original() {
        return;
    }
    let place = services();
    place.write("a/supervise/control", "u").dir("b/supervise/control");
    for name in ["a", "b"] {
        let err = format!(
            "supervise: fatal: unable to read {name}/supervise/control: file already exists\n"
        );
        assert_eq!(supervise(&place, &[name]), said(111, &err));
    }
}

#[test]
fn a_second_supervise_does_not_get_the_lock() {
    let place = services();
    place.service("a", STAYS);
    let first = place.supervise("a");
    let err = "supervise: fatal: unable to acquire a/supervise/lock: temporary failure\n";
    assert_eq!(supervise(&place, &["a"]), said(111, err));
    assert_eq!(dismissed(&place, "a", first), said(0, ""));
}

#[test]
fn its_files_are_private_but_the_status() {
    let place = services();
    place.service("a", STAYS).write("a/down", "");
    let running = place.supervise("a");
    let modes = ["", "control", "lock", "ok", "status"];
    let modes = modes.map(|name| place.mode(format!("a/supervise/{name}")));
    assert_eq!(modes, [0o700, 0o600, 0o600, 0o600, 0o644]);
    assert_eq!(lasting(&place, "a/supervise"), FILES[usize::from(original())]);
    assert_eq!(dismissed(&place, "a", running), said(0, ""));
    assert_eq!(lasting(&place, "a/supervise"), FILES[usize::from(original())]);
}

#[test]
fn what_the_administrator_has_made_stays_as_it_is() {
    let place = services();
    place.service("a", STAYS).fifo("a/supervise/control").fifo("a/supervise/ok");
    place.chmod("a/supervise", 0o755).chmod("a/supervise/control", 0o622);
    place.chmod("a/supervise/ok", 0o622);
    if root() {
        place.chown("a/supervise/control", 0, 1);
    }
    let running = place.supervise("a");
    let modes = ["", "control", "ok"].map(|name| place.mode(format!("a/supervise/{name}")));
    assert_eq!(modes, [0o755, 0o622, 0o622]);
    let group = place.join("a/supervise/control").metadata().unwrap().gid();
    assert_eq!(group, u32::from(root()));
    assert_eq!(dismissed(&place, "a", running), said(0, ""));
}

#[test]
fn supervise_may_be_a_link_to_a_folder_to_come() {
    let place = services();
    place.service("a", STAYS);
    symlink("../elsewhere", place.join("a/supervise")).unwrap();
    let running = place.supervise("a");
    assert_eq!(place.mode("elsewhere"), 0o700);
    assert_eq!(lasting(&place, "elsewhere"), FILES[usize::from(original())]);
    assert_eq!(dismissed(&place, "a", running), said(0, ""));
}

#[test]
fn the_status_is_twenty_bytes() {
    // 0.76 writes 18
    if original() {
        return;
    }
    let place = services();
    place.service("a", STAYS).write("a/down", "");
    let running = place.supervise("a");
    let bytes = |from: usize| place.read("a/supervise/status")[from..].to_vec();
    until(LIMIT, "a status", || place.exists("a/supervise/status"));
    assert_eq!((bytes(0)[0], bytes(12)), (0x40, b"\0\0\0\0\0d\0\0".to_vec()));
    place.svc(&["-u", "a"]);
    let pid = place.wait_pid("a", 0);
    assert_eq!(bytes(12), [&pid.to_le_bytes()[..], b"\0u\x03\x01"].concat());
    place.svc(&["-p", "a"]);
    until(LIMIT, "paused", || bytes(16) == b"\x01u\x03\x01");
    place.svc(&["-o", "a"]);
    until(LIMIT, "once", || bytes(16) == b"\x01\0\x03\x01");
    assert_eq!(dismissed(&place, "a", running), said(0, ""));
    assert_eq!(bytes(12), b"\0\0\0\0\0d\0\0");
}

#[test]
fn a_run_that_cannot_be_run_is_tried_each_second() {
    let place = services();
    place.dir("missing").script("mode/run", "exit\n").chmod("mode/run", 0o644);
    place.dir("dir/run").script("interpreter/run", "#!/nonexistent/sh\n");
    place.script("format/run", "#!\n").write("format/run", "").chmod("format/run", 0o755);
    let cases = [
        ("missing", "file does not exist"),
        ("mode", "access denied"),
        ("dir", "access denied"),
        ("interpreter", "file does not exist"),
        ("format", "exec format error"),
    ];
    let begin = Instant::now();
    let running = cases.map(|(name, _)| place.supervise(name));
    for ((name, why), running) in cases.iter().zip(running) {
        let err = format!("supervise: fatal: unable to start {name}/run: {why}\n");
        running.wait_err(&err.repeat(2));
        let (code, out, all) = dismissed(&place, name, running);
        let tries = all.lines().count();
        assert_eq!((code, out, &all), (Some(0), String::new(), &err.repeat(tries)));
        assert!(tries <= begin.elapsed().as_secs() as usize + 2, "{tries} tries");
    }
}

#[test]
fn run_gets_the_environment_the_folder_and_nothing_else() {
    let place = services();
    let script = "echo \"$0 $# $(pwd -P)\"; env | grep -v -E '^(PWD|_|OLDPWD|SHLVL)='; \
                  ls /proc/$$/fd; while read -r line; do case $line in SigBlk*|SigIgn*) echo \"$line\"; esac; \
                  done </proc/$$/status; exec sleep 60\n";
    place.service("a", script);
    let mut command = place.command("supervise");
    command.env_clear().env("ZEBRA", "1").env("APPLE", "2").arg("a");
    let running = start(&mut command);
    let out = running.wait_out("SigIgn");
    let folder = place.join("a");
    let mut lines: Vec<_> = out.lines().filter(|line| !line.starts_with("PATH")).collect();
    // shells keep their script open under a number of their choice
    lines.retain(|line| line.parse::<u32>().is_ok_and(|n| n <= 2) || line.parse::<u32>().is_err());
    let head = format!("./run 0 {}", folder.display());
    // 32 and 33 are left ignored by whoever has started supervise by posix_spawn
    let ignored =
        lines.pop().unwrap().replace("SigIgn:\t0000000180000000", "SigIgn:\t0000000000000000");
    lines.push(&ignored);
    let none = ["SigBlk:\t0000000000000000", "SigIgn:\t0000000000000000"];
    let rest = ["APPLE=2", "ZEBRA=1", "0", "1", "2", none[0], none[1]];
    assert_eq!(lines[0], head);
    assert_eq!(lines[1..], rest);
    drop(running);
}

#[test]
fn the_service_leads_a_session_unless_no_setsid_exists() {
    // 0.76 leaves the service in its own session
    if original() {
        return;
    }
    let place = services();
    place.service("a", STAYS).service("b", STAYS).write("b/no-setsid", "");
    let (a, b) = (place.supervise("a"), place.supervise("b"));
    let (first, second) = (place.wait_pid("a", 0), place.wait_pid("b", 0));
    // fields after the state: parent, process group, session
    until(LIMIT, "a session", || process(first)[3] == first.to_string());
    assert_eq!(process(first)[2], first.to_string());
    assert_eq!(process(second)[2..4], process(b.pid())[2..4]);
    assert_eq!(dismissed(&place, "a", a), said(0, ""));
    assert_eq!(dismissed(&place, "b", b), said(0, ""));
}

#[test]
fn a_service_that_dies_at_once_starts_once_a_second() {
    // the stamp is taken by the script, which may be late
    one_of_five(|| {
        let place = services();
        place.service("a", "date +%s.%N >>starts\n");
        let running = place.supervise("a");
        let starts = times(&place.wait_lines("a/starts", 4)[..4]);
        assert_eq!(dismissed(&place, "a", running), said(0, ""));
        let once_a_second = |pair: &[f64]| (0.8..3.0).contains(&(pair[1] - pair[0]));
        starts.windows(2).all(once_a_second) && starts[3] - starts[0] > 2.8
    });
}

#[test]
fn a_service_that_lived_for_a_second_starts_again_at_once() {
    one_of_five(|| {
        let place = services();
        place.service("a", &format!("date +%s.%N >>starts\n{STAYS}"));
        let running = place.supervise("a");
        let first = place.wait_pid("a", 0);
        let begin = Instant::now();
        until(LIMIT, "more than a second", || begin.elapsed() > Duration::from_millis(1200));
        let killed = base::sys::clock::now().as_secs_f64();
        signal(first, libc::SIGKILL);
        let starts = times(&place.wait_lines("a/starts", 2));
        assert_eq!(dismissed(&place, "a", running), said(0, ""));
        starts[1] - killed < 0.8
    });
}

#[test]
fn orders_do_not_wait_for_the_first_second_to_pass() {
    // 0.76 is deaf in that second
    if original() {
        return;
    }
    one_of_five(|| {
        let place = services();
        place.service("a", &format!("date +%s.%N >>starts\n{STAYS}"));
        let running = place.supervise("a");
        place.wait_lines("a/starts", 1);
        let begin = Instant::now();
        place.svc(&["-d", "a"]);
        place.wait_stat("a", "down S seconds, normally up");
        let heard = begin.elapsed();
        place.svc(&["-u", "a"]);
        let starts = times(&place.wait_lines("a/starts", 2));
        assert_eq!(dismissed(&place, "a", running), said(0, ""));
        heard < Duration::from_millis(700) && starts[1] - starts[0] > 0.8
    });
}

#[test]
fn an_awaited_start_can_be_called_off() {
    // 0.76 would not hear of it in time
    if original() {
        return;
    }
    let place = services();
    place.service("a", "echo >>starts\n");
    let running = place.supervise("a");
    place.wait_lines("a/starts", 1);
    place.wait_stat("a", "down S seconds, normally up, want up");
    place.svc(&["-d", "a"]);
    place.wait_stat("a", "down S seconds, normally up");
    assert_idle(running.pid());
    assert_eq!(place.text("a/starts").lines().count(), 1);
    assert_eq!(dismissed(&place, "a", running), said(0, ""));
}

#[test]
fn down_up_once_and_exit() {
    let place = services();
    place.service("a", &format!("echo >>starts\n{STAYS}")).write("a/down", "");
    let running = place.supervise("a");
    place.wait_stat("a", "down S seconds");
    place.svc(&["-u", "a"]);
    place.wait_stat("a", "up (pid N) S seconds, normally down");
    place.wait_lines("a/starts", 1);
    place.svc(&["-d", "a"]);
    place.wait_stat("a", "down S seconds");
    place.svc(&["-o", "a"]);
    place.wait_stat("a", "up (pid N) S seconds, normally down");
    place.wait_lines("a/starts", 2);
    place.svc(&["-t", "a"]);
    place.wait_stat("a", "down S seconds");
    place.svc(&["-u", "a"]);
    let first = place.wait_pid("a", 0);
    place.wait_lines("a/starts", 3);
    place.svc(&["-t", "a"]);
    place.wait_pid("a", first);
    place.wait_lines("a/starts", 4);
    // exits only when the service has ended by itself
    place.svc(&["-x", "a"]);
    assert!(place.ok("a"));
    place.svc(&["-t", "a"]);
    assert_eq!(ran(&running.finish(LIMIT)), said(0, ""));
    assert!(!place.ok("a"));
    assert_eq!(place.text("a/starts").lines().count(), 4);
}

#[test]
fn exit_is_at_once_if_nothing_runs() {
    let place = services();
    place.service("a", STAYS).write("a/down", "");
    let running = place.supervise("a");
    place.svc(&["-x", "a"]);
    assert_eq!(ran(&running.finish(LIMIT)), said(0, ""));
}

#[test]
fn up_or_once_and_exit_in_one_is_one_run() {
    let place = services();
    place.service("a", "echo >>starts\n").write("a/down", "");
    for (letters, starts) in [("-ox", 1), ("-ux", 2)] {
        if original() && letters == "-ux" {
            // deaf for a second, 0.76 starts it once more before it hears of x
            break;
        }
        let running = place.supervise("a");
        place.svc(&[letters, "a"]);
        assert_eq!(ran(&running.finish(LIMIT)), said(0, ""));
        assert_eq!(place.text("a/starts").lines().count(), starts);
    }
}

/// A run script that writes the names of the signals that it gets.
fn listener(names: &str) -> String {
    let traps: String =
        names.split(' ').map(|name| format!("trap 'echo {name} >>got' {name}\n")).collect();
    format!("{traps}echo ready >>got\nwhile :; do sleep 60 >/dev/null 2>&1 & wait; done\n")
}

/// Sends letters one by one, and waits for the signal that each becomes.
#[track_caller]
fn letters_become(cases: &[(&str, &str)]) {
    let place = services();
    let names: Vec<_> = cases.iter().map(|(_, name)| *name).collect();
    place.service("a", &listener(&names.join(" ")));
    let running = place.supervise("a");
    place.wait_lines("a/got", 1);
    for (count, (letter, name)) in cases.iter().enumerate() {
        place.svc(&[letter, "a"]);
        assert_eq!(place.wait_lines("a/got", count + 2)[count + 1], *name, "{letter}");
    }
    let first = place.wait_pid("a", 0);
    place.svc(&["-k", "a"]);
    place.wait_pid("a", first);
    place.svc(&["-dxk", "a"]);
    assert_eq!(ran(&running.finish(LIMIT)), said(0, ""));
}

#[test]
fn letters_become_signals() {
    letters_become(&[("-h", "HUP"), ("-a", "ALRM"), ("-i", "INT"), ("-t", "TERM")]);
}

#[test]
fn further_letters_become_further_signals() {
    // 0.76 has none of them
    if original() {
        return;
    }
    letters_become(&[
        ("-q", "QUIT"),
        ("-1", "USR1"),
        ("-2", "USR2"),
        ("-w", "WINCH"),
        ("-y", "WINCH"),
        ("-b", "ABRT"),
        ("-r", "TERM"),
    ]);
}

#[test]
fn pause_stops_the_process_and_continue_lets_it_go_on() {
    let place = services();
    place.service("a", STAYS);
    let running = place.supervise("a");
    let pid = place.wait_pid("a", 0);
    place.svc(&["-p", "a"]);
    place.wait_stat("a", "up (pid N) S seconds, paused");
    until(LIMIT, "stopped", || process(pid)[0] == "T");
    place.svc(&["-c", "a"]);
    place.wait_stat("a", "up (pid N) S seconds");
    until(LIMIT, "going on", || process(pid)[0] == "S");
    // a stopped process must hear of its end, too
    place.svc(&["-p", "a"]);
    assert_eq!(dismissed(&place, "a", running), said(0, ""));
}

#[test]
fn plus_means_the_group_until_the_fifo_is_empty() {
    // encore's letters
    if original() {
        return;
    }
    let place = services();
    place.service("a", "sh -c 'echo $$ >child; exec sleep 60' >/dev/null 2>&1 &\nexec sleep 60\n");
    let running = place.supervise("a");
    let child = |old: &str| {
        until(LIMIT, "a child", || {
            place.exists("a/child") && !["", old].contains(&place.text("a/child").trim())
        });
        place.text("a/child").trim().to_owned()
    };
    let (first, pid) = (child(""), place.wait_pid("a", 0));
    place.svc(&["-=t", "a"]);
    let pid = place.wait_pid("a", pid);
    let second = child(&first);
    assert!(!is_gone(first.parse().unwrap()));
    place.svc(&["-+k", "a"]);
    let pid = place.wait_pid("a", pid);
    until(LIMIT, "the child's end", || is_gone(second.parse().unwrap()));
    let third = child(&second);
    place.svc(&["-t", "a"]);
    let pid = place.wait_pid("a", pid);
    let fourth = child(&third);
    assert!(!is_gone(third.parse().unwrap()));
    place.svc(&["-K", "a"]);
    place.wait_pid("a", pid);
    until(LIMIT, "the child's end", || is_gone(fourth.parse().unwrap()));
    assert_eq!(dismissed(&place, "a", running), said(0, ""));
}

#[test]
fn orders_for_a_log_script_do_not_reach_the_service() {
    // encore's letters
    if original() {
        return;
    }
    let place = services();
    place.service("a", STAYS);
    let running = place.supervise("a");
    let pid = place.wait_pid("a", 0);
    place.svc(&["-Ldlp", "a"]);
    place.wait_stat("a", "up (pid N) S seconds, paused");
    assert_eq!(place.pid("a"), pid);
    assert_eq!(dismissed(&place, "a", running), said(0, ""));
}

#[test]
fn unknown_bytes_are_ignored() {
    let place = services();
    place.service("a", &listener("TERM"));
    let running = place.supervise("a");
    place.wait_lines("a/got", 1);
    let known = b"udoxpchaitkq12wbyrK+=Ll";
    let garbage: Vec<u8> = Random::new(3).bytes(200_000);
    let garbage: Vec<u8> = garbage.into_iter().filter(|byte| !known.contains(byte)).collect();
    control(&place, "a", &garbage);
    let pid = place.wait_pid("a", 0);
    place.svc(&["-t", "a"]);
    assert_eq!(place.wait_lines("a/got", 2), ["ready", "TERM"]);
    assert_eq!(place.pid("a"), pid);
    place.svc(&["-dxk", "a"]);
    assert_eq!(ran(&running.finish(LIMIT)), said(0, ""));
}

#[test]
fn a_flood_of_any_letters_does_no_harm() {
    // 0.76 waits a second after every start in it
    if original() {
        return;
    }
    let place = services();
    place.service("a", STAYS);
    let running = place.supervise("a");
    let flood: Vec<u8> = Random::new(4).bytes(100_000);
    control(&place, "a", &flood.into_iter().filter(|byte| *byte != b'x').collect::<Vec<_>>());
    // the flood may have ended in letters for the log or the group
    place.svc(&["-l=u", "a"]);
    until(LIMIT, "the service", || place.stat("a").starts_with("up "));
    place.svc(&["-l=dxck", "a"]);
    assert_eq!(ran(&running.finish(LIMIT)), said(0, ""));
}

#[test]
fn signals_to_supervise_are_orders() {
    // 0.76 dies of them, and leaves the service behind
    if original() {
        return;
    }
    let place = services();
    place.service("a", STAYS);
    for number in [libc::SIGTERM, libc::SIGINT] {
        let running = place.supervise("a");
        let pid = place.wait_pid("a", 0);
        running.signal(libc::SIGTSTP);
        place.wait_stat("a", "up (pid N) S seconds, paused");
        running.signal(libc::SIGCONT);
        place.wait_stat("a", "up (pid N) S seconds");
        running.signal(number);
        assert_eq!(ran(&running.finish(LIMIT)), said(0, ""));
        assert!(is_gone(pid));
    }
    let running = place.supervise("a");
    place.wait_pid("a", 0);
    running.signal(libc::SIGHUP);
    place.svc(&["-t", "a"]);
    assert_eq!(ran(&running.finish(LIMIT)), said(0, ""));
}

#[test]
fn quit_leaves_the_service_running() {
    // 0.76 dies of it, with the same effect
    let place = services();
    place.service("a", &format!("exec >/dev/null 2>&1\n{STAYS}"));
    let running = place.supervise("a");
    let pid = place.wait_pid("a", 0);
    until(LIMIT, "redirection", || {
        fs::read_link(format!("/proc/{pid}/fd/2")).is_ok_and(|to| to.ends_with("null"))
    });
    running.signal(libc::SIGQUIT);
    let status = running.wait(LIMIT);
    let expected = if original() { (None, Some(libc::SIGQUIT)) } else { (Some(111), None) };
    assert_eq!((status.code(), status.signal()), expected);
    assert!(!is_gone(pid));
    assert!(!place.ok("a"));
}

#[test]
fn a_hang_up_that_is_ignored_stays_so() {
    // 0.76 knows no signals
    if original() {
        return;
    }
    let place = services();
    place.service("a", STAYS);
    let supervise = place.command("supervise");
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "trap '' HUP; exec \"$0\" a"]).arg(supervise.get_program());
    shell.current_dir(place.path());
    let running = start(&mut shell);
    let first = place.wait_pid("a", 0);
    running.signal(libc::SIGHUP);
    place.svc(&["-t", "a"]);
    place.wait_pid("a", first);
    assert_eq!(dismissed(&place, "a", running), said(0, ""));
}

#[test]
fn a_killed_supervise_leaves_no_lock() {
    let place = services();
    place.service("a", STAYS);
    let running = place.supervise("a");
    place.svc(&["-d", "a"]);
    place.wait_stat("a", "down S seconds, normally up");
    running.signal(libc::SIGKILL);
    running.wait(LIMIT);
    assert_eq!(place.stat("a"), "supervise not running");
    let again = place.supervise("a");
    if !original() {
        // 0.76 has forgotten that it was to be down
        assert_eq!(place.stat("a"), "down S seconds, normally up");
        place.svc(&["-u", "a"]);
    }
    place.wait_stat("a", "up (pid N) S seconds");
    assert_eq!(parent(place.pid("a")), again.pid());
    assert_eq!(dismissed(&place, "a", again), said(0, ""));
}

#[test]
fn a_system_without_room_for_a_process_is_tried_again() {
    if !root() {
        return skip("needs root");
    }
    let place = services();
    place.service("a", STAYS).chmod("a", 0o777);
    let mut command = limited("-p 0", place.command("supervise").arg("a"));
    let running = start(as_user(65534, 65534, &mut command));
    let err = "supervise: warning: unable to fork for a, sleeping 60 seconds: temporary failure\n";
    running.wait_err(err);
    if original() {
        // deaf for a minute
        return;
    }
    // orders are obeyed meanwhile: up tries at once
    place.svc(&["-u", "a"]);
    running.wait_err(&err.repeat(2));
    place.svc(&["-d", "a"]);
    place.wait_stat("a", "down S seconds, normally up");
    assert_eq!(dismissed(&place, "a", running), said(0, &err.repeat(2)));
}

#[test]
fn closed_descriptors_stay_closed_for_run() {
    let place = services();
    place.service("a", "ls /proc/$$/fd >fds\nexec sleep 1000\n");
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "exec \"$0\" a <&- 2>&-"]).arg(place.command("supervise").get_program());
    let running = start(shell.current_dir(place.path()));
    let fds = place.wait_lines("a/fds", 1);
    // the shell opens its script under a number of its choice
    assert!(!fds.contains(&"2".to_owned()), "{fds:?}");
    assert_eq!(dismissed(&place, "a", running), said(0, ""));
}

#[test]
fn at_rest_it_does_nothing() {
    // 0.76 wakes up once an hour
    let place = services();
    place.service("a", "exec sleep 1000\n").service("b", STAYS).write("b/down", "");
    let (a, b) = (place.supervise("a"), place.supervise("b"));
    place.wait_stat("a", "up (pid N) S seconds");
    assert_idle(a.pid());
    assert_idle(b.pid());
    assert_eq!(dismissed(&place, "a", a), said(0, ""));
    assert_eq!(dismissed(&place, "b", b), said(0, ""));
}

#[test]
fn a_full_disk_is_told_and_outlived() {
    if !root() {
        return skip("needs root");
    }
    let place = services();
    place.service("a", STAYS).dir("a/supervise");
    let disk = place.join("a/supervise");
    let Some(_mounted) = Disk::mounted(&disk, "16k") else {
        return skip("needs to mount");
    };
    let running = place.supervise("a");
    place.wait_stat("a", "up (pid N) S seconds");
    let filled = fs::write(disk.join("filler"), vec![0; 100_000]);
    assert!(filled.is_err());
    place.svc(&["-d", "a"]);
    if original() {
        let err = "supervise: warning: unable to write a/supervise/status.new: out of disk space\n";
        running.wait_err(err);
        // the file says what it said before, and is whole
        assert!(place.stat("a").starts_with("up (pid N) S seconds"));
    } else {
        // ours has its room already
        place.wait_stat("a", "down S seconds, normally up");
        assert_eq!(running.err(), "");
    }
    fs::remove_file(disk.join("filler")).unwrap();
    let (code, out, _) = dismissed(&place, "a", running);
    assert_eq!((code, out), (Some(0), String::new()));
}

#[test]
fn a_status_that_cannot_be_replaced_is_complained_about() {
    let place = services();
    place.service("a", STAYS).dir("a/supervise/status.new");
    place.service("b", STAYS).dir("b/supervise/status/full");
    let cases = [
        ("a", "unable to open a/supervise/status.new: is a directory"),
        ("b", "unable to rename b/supervise/status.new to status: is a directory"),
    ];
    for (name, text) in cases {
        let running = place.supervise(name);
        let text = format!("supervise: warning: {text}\n");
        running.wait_err(&text);
        let (code, out, err) = dismissed(&place, name, running);
        // 0.76 complains at every change, we once
        let times = if original() { err.lines().count() } else { 1 };
        assert_eq!((code, out, err), (Some(0), String::new(), text.repeat(times)));
    }
}

#[test]
fn without_signals_it_does_not_start() {
    let place = services();
    place.service("a", STAYS);
    let mut command = place.command("supervise");
    let call = if original() { "/^pipe" } else { "/^signalfd" };
    let Some(mut command) = failing(call, "EMFILE", 1, command.arg("a")) else { return };
    let err = "supervise: fatal: unable to create pipe for a: process cannot open more files\n";
    assert_eq!(ran(&fed(&mut command, "")), said(111, err));
}
