use std::process::Command;
use tests::{bin, original, program, ran};

const USAGE: &str = "softlimit: usage: softlimit [-a allbytes] [-c corebytes] [-d databytes] \
    [-f filebytes] [-l lockbytes] [-m membytes] [-o openfiles] [-p processes] \
    [-r residentbytes] [-s stackbytes] [-t cpusecs] child\n";

/// Every option's letter, the end of its variable, and its line in /proc/PID/limits.
const OPTIONS: [(&str, &str, &str); 10] = [
    ("-a", "ALLBYTES", "Max address space"),
    ("-c", "COREBYTES", "Max core file size"),
    ("-d", "DATABYTES", "Max data size"),
    ("-f", "FILEBYTES", "Max file size"),
    ("-l", "LOCKEDBYTES", "Max locked memory"),
    ("-o", "OPENFILES", "Max open files"),
    ("-p", "PROCS", "Max processes"),
    ("-r", "RSSBYTES", "Max resident set"),
    ("-s", "STACKBYTES", "Max stack size"),
    ("-t", "CPUSECS", "Max cpu time"),
];

/// Enough for every resource, and below every hard limit.
const FITS: &str = "150";
/// The same for what a program needs to start.
const MEMORY: &str = "50000000";

fn softlimit(words: &[&str]) -> (Option<i32>, String, String) {
    ran(&program("softlimit").args(words).output().unwrap())
}

/// Soft and hard limit of a line of /proc/PID/limits.
fn limits(table: &str, name: &str) -> (String, String) {
    let line = table.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    let mut words = line.split_whitespace().map(str::to_owned);
    (words.next().unwrap_or_default(), words.next().unwrap_or_default())
}

fn own_limits() -> String {
    std::fs::read_to_string("/proc/self/limits").unwrap()
}

/// A value that both the resource and a starting program can live with.
fn value_for(letter: &str) -> &'static str {
    if ["-a", "-d", "-s"].contains(&letter) { MEMORY } else { FITS }
}

#[test]
fn every_letter_sets_its_soft_limit_and_leaves_the_hard_one() {
    for (letter, _, line) in OPTIONS {
        let value = value_for(letter);
        let (code, out, err) = softlimit(&[letter, value, "cat", "/proc/self/limits"]);
        assert_eq!((code, err), (Some(0), String::new()), "{letter}");
        let expected = (value.to_owned(), limits(&own_limits(), line).1);
        assert_eq!(limits(&out, line), expected, "{letter}");
    }
}

#[test]
fn memory_is_four_limits_at_once() {
    let (code, out, err) = softlimit(&["-m", MEMORY, "cat", "/proc/self/limits"]);
    assert_eq!((code, err), (Some(0), String::new()));
    let own = own_limits();
    for line in ["Max address space", "Max data size", "Max stack size", "Max locked memory"] {
        let (soft, hard) = limits(&out, line);
        let number = |text: &str| text.parse().unwrap_or(u64::MAX);
        let expected = number(MEMORY).min(number(&hard));
        assert_eq!((number(&soft), hard), (expected, limits(&own, line).1), "{line}");
    }
}

#[test]
fn letters_apply_in_order_and_cluster_with_their_words() {
    let words = ["-o100", "-m", MEMORY, "-o", "70", "-c0", "cat", "/proc/self/limits"];
    let (code, out, err) = softlimit(&words);
    assert_eq!((code, err), (Some(0), String::new()));
    assert_eq!(limits(&out, "Max open files").0, "70");
    assert_eq!(limits(&out, "Max core file size").0, "0");
}

/// Soft and hard number of open files under a hard limit of 100 and a soft one of 60.
fn open_files(words: &[&str]) -> (Option<i32>, String, String) {
    let mut shell = program("softlimit");
    let softlimit = bin("softlimit");
    shell = {
        let mut sh = Command::new("/bin/sh");
        sh.env_clear().envs(shell.get_envs().filter_map(|(name, value)| Some((name, value?))));
        sh.args(["-c", "ulimit -Sn 60; ulimit -Hn 100; exec \"$@\"", "sh"]).arg(softlimit);
        sh
    };
    ran(&shell.args(words).args(["sh", "-c", "ulimit -Sn; ulimit -Hn"]).output().unwrap())
}

#[test]
fn values_are_clamped_to_the_hard_limit() {
    for (value, soft) in [
        ("90", "90"),
        ("=", "100"),
        ("100", "100"),
        ("101", "100"),
        ("9999999999", "100"),
        ("18446744073709551615", "100"),
        ("007", "7"),
    ] {
        let expected = (Some(0), format!("{soft}\n100\n"), String::new());
        assert_eq!(open_files(&["-o", value]), expected, "{value}");
    }
}

#[test]
fn numbers_that_fit_nowhere_are_clamped_too() {
    // the original takes them modulo 2^64
    if original() {
        return;
    }
    let expected = (Some(0), "100\n100\n".into(), String::new());
    assert_eq!(open_files(&["-o", "18446744073709551617"]), expected);
}

#[test]
fn an_empty_value_is_nothing() {
    let (code, out, err) = softlimit(&["-c", "", "sh", "-c", "ulimit -Sc"]);
    assert_eq!((code, out, err), (Some(0), "0\n".into(), String::new()));
}

#[test]
fn what_is_no_number_is_wrong_usage() {
    for value in ["12x", "x", "-5", "0x10", " 5", "5 ", "==", "unlimited"] {
        assert_eq!(softlimit(&["-c", value, "true"]), { (Some(100), String::new(), USAGE.into()) });
    }
}

#[test]
fn wrong_options_and_a_missing_child_show_the_usage() {
    let with = |said: &str| (Some(100), String::new(), format!("softlimit: {said}\n{USAGE}"));
    assert_eq!(softlimit(&[]), (Some(100), String::new(), USAGE.into()));
    assert_eq!(softlimit(&["-c", "0"]), (Some(100), String::new(), USAGE.into()));
    assert_eq!(softlimit(&["-q", "true"]), with("illegal option -- q"));
    assert_eq!(softlimit(&["-c"]), with("option requires an argument -- c"));
}

#[test]
fn a_missing_child_is_a_temporary_failure() {
    let said = "softlimit: fatal: unable to run /nonexistent: file does not exist\n";
    assert_eq!(softlimit(&["-c", "0", "/nonexistent"]), (Some(111), String::new(), said.into()));
    let said = "softlimit: fatal: unable to run -c: file does not exist\n";
    assert_eq!(softlimit(&["--", "-c", "0"]), (Some(111), String::new(), said.into()));
}

#[test]
fn a_limit_takes_effect() {
    let (code, out, _) =
        softlimit(&["-f", "1000", "sh", "-c", "yes >/tmp/softlimit-test; echo $?"]);
    let size = std::fs::metadata("/tmp/softlimit-test").map_or(0, |file| file.len());
    let _ = std::fs::remove_file("/tmp/softlimit-test");
    // 153: killed by SIGXFSZ
    assert_eq!((code, &out[..], size), (Some(0), "153\n", 1000));
}

#[test]
fn no_memory_at_all_is_a_failure_and_not_a_crash() {
    // where the limit does not leave room to read a program, execve kills or fails
    let (code, out, err) = softlimit(&["-a", "0", "/nonexistent"]);
    let said = "softlimit: fatal: unable to run /nonexistent: file does not exist\n";
    assert_eq!((code, out, err), (Some(111), String::new(), said.into()));
}

#[test]
fn variables_set_limits_first() {
    // as the softlimit of daemontools-encore
    if original() {
        return;
    }
    for (letter, name, line) in OPTIONS {
        let mut command = program("softlimit");
        command.env(format!("SOFTLIMIT_{name}"), value_for(letter));
        let (code, out, err) = ran(&command.args(["cat", "/proc/self/limits"]).output().unwrap());
        assert_eq!((code, err), (Some(0), String::new()), "{name}");
        assert_eq!(limits(&out, line).0, value_for(letter), "{name}");
    }
    let mut command = program("softlimit");
    command.env("SOFTLIMIT_MEMBYTES", MEMORY).env("SOFTLIMIT_OPENFILES", "20");
    let o = command.args(["-o", "30", "sh", "-c", "ulimit -Sn; ulimit -Sd"]).output().unwrap();
    assert_eq!(ran(&o), (Some(0), "30\n48828\n".into(), String::new()));
    let mut command = program("softlimit");
    let o = command.env("SOFTLIMIT_CPUSECS", "1h").arg("true").output().unwrap();
    assert_eq!(ran(&o), (Some(100), String::new(), USAGE.into()));
}

#[test]
fn a_hyphen_is_no_limit_at_all() {
    // as the softlimit of daemontools-encore; the original takes it for no number
    if original() {
        return;
    }
    let (code, out, err) = softlimit(&["-c", "-", "cat", "/proc/self/limits"]);
    if !tests::root() && limits(&own_limits(), "Max core file size").1 != "unlimited" {
        let said = "softlimit: fatal: setrlimit failed: permission denied\n";
        return assert_eq!((code, out, err), (Some(111), String::new(), said.into()));
    }
    let expected = ("unlimited".to_owned(), "unlimited".to_owned());
    assert_eq!((code, limits(&out, "Max core file size"), err), (Some(0), expected, String::new()));
}
