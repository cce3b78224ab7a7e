use std::fs;
use std::os::unix::process::CommandExt;
use tests::{LIMIT, fed, program, ran, redirected, shown, start, until};

/// The words that ps shows of a process.
fn words(pid: i32) -> Vec<String> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap();
    line.split(|byte| *byte == 0).map(shown).collect()
}

#[test]
fn it_shows_the_latest_input_in_its_last_word() {
    let mut running = start(program("readproctitle").args(["errors:", "1234567890"]));
    // Between fork and exec there is no such word yet.
    let title = |pid| words(pid).get(2).cloned().unwrap_or_default();
    until(LIMIT, "dots", || title(running.pid()) == "..........");
    running.write("abc");
    until(LIMIT, "abc", || title(running.pid()) == ".......abc");
    running.write("def\0\0g");
    until(LIMIT, "abcdefg", || title(running.pid()) == "...abcdefg");
    running.write(b"h\n\xff");
    until(LIMIT, "bytes of any value", || title(running.pid()) == "...defgh\n\\xff");
    assert_eq!(words(running.pid())[1], "errors:");
    assert_eq!(ran(&running.finish(LIMIT)), (Some(0), String::new(), String::new()));
}

#[test]
fn long_input_leaves_its_end() {
    let mut running = start(program("readproctitle").arg("1234567890"));
    running.write(vec![b'x'; 100_000]);
    running.write("the end");
    until(LIMIT, "the end", || words(running.pid())[1] == "...the end");
}

#[test]
fn a_last_word_without_room_is_refused() {
    let silent = (Some(100), String::new(), String::new());
    for words in [&[][..], &["1234"], &["long enough", "1234"], &["12345", ""]] {
        assert_eq!(ran(&program("readproctitle").args(words).output().unwrap()), silent);
    }
    assert_eq!(ran(&program("readproctitle").arg("12345").output().unwrap()).0, Some(0));
    let mut nameless = program("readproctitle");
    assert_eq!(ran(&fed(nameless.arg0("1234567890"), "x")).0, Some(100));
}

#[test]
fn input_that_cannot_be_read_is_a_failure() {
    let o = redirected("<&-", program("readproctitle").arg("1234567890")).output().unwrap();
    assert_eq!(ran(&o), (Some(111), String::new(), String::new()));
}
