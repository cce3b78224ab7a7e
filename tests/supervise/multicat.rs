//! multicat: the lines of log directories, from a time to a time, merged, and as they come.

use base::tai64;
use std::process::Command;
use std::time::Duration;
use tests::{LIMIT, Running, Scratch, bin, fed, original, program, ran, scratch, start, until};

/// multicat in a scratch folder.
fn multicat(place: &Scratch, words: &[&str]) -> Command {
    let mut command = program("multicat");
    command.args(words).current_dir(place.path()).env("TZ", "UTC");
    command
}

/// What it prints, and nothing else.
#[track_caller]
fn printed(place: &Scratch, words: &[&str]) -> String {
    let (code, out, err) = ran(&multicat(place, words).output().unwrap());
    assert_eq!((code, err), (Some(0), String::new()), "{words:?}");
    out
}

/// The label of a second.
fn label(second: u64) -> String {
    String::from_utf8(tai64::label(Duration::from_secs(second)).to_vec()).unwrap()
}

/// Lines of these seconds.
fn lines(seconds: impl IntoIterator<Item = u64>) -> String {
    seconds.into_iter().map(|second| format!("{} line {second}\n", label(second))).collect()
}

/// A log of ten files: nine old ones of a hundred seconds each, and current.
fn log(place: &Scratch, name: &str) {
    for file in 0..9 {
        let (first, end) = (file * 100, file * 100 + 100);
        place.write(format!("{name}/{}.s", label(end)), lines(first..end));
    }
    place.write(format!("{name}/current"), lines(900..1000));
    place.write(format!("{name}/lock"), "").write(format!("{name}/state"), "");
}

/// Packs an old file of the log as the name of the command says, under a name with this end.
fn pack(place: &Scratch, command: &str, file: u64, end: &str) {
    let name = label(file * 100 + 100);
    let script =
        format!("{command} -c <m/{name}.s >packed && rm m/{name}.s && mv packed m/{name}{end}");
    let o = Command::new("/bin/sh").args(["-c", &script]).current_dir(place.path()).output();
    assert_eq!(ran(&o.unwrap()), (Some(0), String::new(), String::new()));
}

#[test]
fn all_lines_come_in_order_and_unchanged() {
    let place = scratch();
    log(&place, "m");
    assert_eq!(printed(&place, &["m"]), lines(0..1000));
    // bytes are bytes, and a last line may lack its newline
    place.write("n/current", "no label\n\n\0\r\nthe end");
    assert_eq!(printed(&place, &["n"]), "no label\n\n\0\r\nthe end");
    place.dir("empty");
    assert_eq!(printed(&place, &["./empty"]), "");
}

#[test]
fn times_are_labels_dates_and_intervals() {
    let place = scratch();
    log(&place, "m");
    let (from, until) = (label(250), label(421));
    assert_eq!(printed(&place, &["-s", &from, "m"]), lines(250..1000));
    assert_eq!(printed(&place, &["-u", &until, "m"]), lines(0..421));
    assert_eq!(printed(&place, &["-s", &from, "-u", &until, "m"]), lines(250..421));
    assert_eq!(printed(&place, &["-s", &until, "-u", &from, "m"]), "");
    assert_eq!(printed(&place, &["-s", &label(100), "-u", &label(100), "m"]), "");
    let minute = ["-s", "1970-01-01 00:05", "-u1970-01-01 00:06:01", "m"];
    assert_eq!(printed(&place, &minute), lines(300..361));
    assert_eq!(printed(&place, &["-s1970-01-02", "m"]), "");
    assert_eq!(printed(&place, &["-s", "-15m", "m"]), "");
    assert_eq!(printed(&place, &["-s", "today", "m"]), "");
    assert_eq!(printed(&place, &["-u", "-3d", "m"]), lines(0..1000));
}

#[test]
fn files_outside_the_range_are_not_opened() {
    let place = scratch();
    log(&place, "m");
    for file in [0, 1, 5, 6, 7, 8] {
        let name = format!("m/{}.s", label(file * 100 + 100));
        std::fs::remove_file(place.join(&name)).unwrap();
        // reading it would fail
        place.dir(name);
    }
    let (from, until) = (label(250), label(421));
    assert_eq!(printed(&place, &["-s", &from, "-u", &until, "m"]), lines(250..421));
    assert_eq!(printed(&place, &["-s", &from, "-u", &until, "-n5", "m"]), lines(416..421));
    let said = "multicat: fatal: unable to read m: is a directory\n".to_owned();
    let (code, _, err) = ran(&multicat(&place, &["m"]).output().unwrap());
    assert_eq!((code, err), (Some(111), said));
}

#[test]
fn the_last_lines_are_counted_over_files() {
    let place = scratch();
    log(&place, "m");
    for count in [0, 1, 5, 99, 100, 101, 250, 999, 1000, 5000] {
        let first = 1000_u64.saturating_sub(count);
        assert_eq!(printed(&place, &["-n", &count.to_string(), "m"]), lines(first..1000));
    }
    assert_eq!(printed(&place, &["-n3", "-u", &label(350), "m"]), lines(347..350));
    assert_eq!(printed(&place, &["-n9", "-s", &label(995), "m"]), lines(995..1000));
}

#[test]
fn lines_without_a_label_belong_to_the_one_before() {
    let place = scratch();
    let text = |second| format!("{} line\n more of {second}\n", label(second));
    place.write(format!("m/{}.s", label(3)), text(1) + &text(2));
    place.write("m/current", " even more of 2\n".to_owned() + &text(3));
    let second = text(2) + " even more of 2\n";
    assert_eq!(printed(&place, &["-s", &label(2), "-u", &label(3), "m"]), second);
    assert_eq!(printed(&place, &["-s", &label(3), "m"]), text(3));
    place.write("n/current", lines([2, 3]));
    assert_eq!(
        printed(&place, &["m", "n"]),
        text(1) + &second + &lines([2]) + &text(3) + &lines([3])
    );
}

#[test]
fn several_logs_are_merged_by_time() {
    let place = scratch();
    log(&place, "m");
    place.write("n/current", lines((0..1000).step_by(3)).replace("line", "other"));
    let merged: String = (0..1000)
        .map(|second| match second % 3 {
            0 => lines([second]) + &lines([second]).replace("line", "other"),
            _ => lines([second]),
        })
        .collect();
    assert_eq!(printed(&place, &["m", "n"]), merged);
    let end: Vec<&str> = merged.split_inclusive('\n').rev().take(7).collect();
    let end: String = end.into_iter().rev().collect();
    assert_eq!(printed(&place, &["-n7", "m", "n"]), end);
}

#[test]
fn compressed_files_are_decompressed() {
    let place = scratch();
    log(&place, "m");
    pack(&place, "gzip", 0, ".s.gz");
    pack(&place, "zstd -q", 1, ".s.zst");
    // as the processor !gzip leaves them
    pack(&place, "gzip", 2, ".s");
    assert_eq!(printed(&place, &["m"]), lines(0..1000));
    assert_eq!(printed(&place, &["-s", &label(50), "-u", &label(250), "m"]), lines(50..250));
    assert_eq!(printed(&place, &["-n", "950", "m"]), lines(50..1000));
}

#[test]
fn a_file_that_is_being_compressed_counts_once() {
    let place = scratch();
    log(&place, "m");
    place.write(format!("m/{}.s.gz", label(300)), "\x1f");
    assert_eq!(printed(&place, &["m"]), lines(0..1000));
}

#[test]
fn damaged_compressed_files_are_a_temporary_failure() {
    let place = scratch();
    place.write(format!("m/{}.s.gz", label(1)), b"\x1f\x8bnot");
    let (code, out, err) = ran(&multicat(&place, &["m"]).output().unwrap());
    let said = "multicat: fatal: unable to read m: protocol error\n";
    assert_eq!((code, out), (Some(111), String::new()));
    assert!(err.ends_with(said), "{err}");
}

#[test]
fn what_has_no_name_yet_is_read_once() {
    let place = scratch();
    log(&place, "m");
    place.write("m/previous", lines(900..950)).write("m/current", lines(950..1000));
    assert_eq!(printed(&place, &["m"]), lines(0..1000));
    // what a processor has completed replaces it
    place.write("m/processed", lines(900..950).to_uppercase());
    assert_eq!(printed(&place, &["m"]), lines(0..1000));
    place.chmod("m/processed", 0o744);
    assert!(printed(&place, &["m"]).contains("LINE 900\n"));
    let packed = fed(Command::new("gzip").arg("-c"), lines(900..950)).stdout;
    place.write("m/processed", packed);
    assert_eq!(printed(&place, &["m"]), lines(0..1000));
    std::fs::remove_file(place.join("m/processed")).unwrap();
    // linked, and not yet unlinked
    let name = place.join(format!("m/{}.s", label(950)));
    std::fs::hard_link(place.join("m/previous"), name).unwrap();
    assert_eq!(printed(&place, &["m"]), lines(0..1000));
}

#[test]
fn a_line_that_an_outage_has_cut_off_gets_a_newline() {
    let place = scratch();
    place.write(format!("m/{}.u", label(3)), lines([1, 2]) + "cut");
    place.write("m/current", lines([4]));
    assert_eq!(printed(&place, &["m"]), lines([1, 2]) + "cut\n" + &lines([4]));
    // a line that is longer than a file is not cut off
    place.write("m/current", "ter\n".to_owned() + &lines([4]));
    assert_eq!(printed(&place, &["m"]), lines([1, 2]) + "cutter\n" + &lines([4]));
}

#[test]
fn wrong_words_are_wrong_usage() {
    let place = scratch();
    log(&place, "m");
    let usage = "multicat: usage: multicat [ -f ] [ -s from ] [ -u until ] [ -n lines ] dir ...\n";
    for words in [&[][..], &["-s", "soon", "m"], &["-n", "x", "m"], &["-u", "", "m"], &["-f"]] {
        let o = multicat(&place, words).output().unwrap();
        assert_eq!(ran(&o), (Some(100), String::new(), usage.into()), "{words:?}");
    }
}

#[test]
fn a_folder_that_cannot_be_read_is_a_temporary_failure() {
    let place = scratch();
    let said = "multicat: fatal: unable to read none: file does not exist\n";
    let o = multicat(&place, &["none"]).output().unwrap();
    assert_eq!(ran(&o), (Some(111), String::new(), said.into()));
    let said = "multicat: fatal: unable to write output: out of disk space\n";
    log(&place, "m");
    let full = std::fs::File::create("/dev/full").unwrap();
    let o = multicat(&place, &["m"]).stdout(full).output().unwrap();
    assert_eq!(ran(&o), (Some(111), String::new(), said.into()));
}

/// What multicat has printed of lines that multilog writes in small files, while both run.
fn followed(words: &[&str]) {
    if original() {
        return;
    }
    const LINES: u64 = 20_000;
    let place = scratch();
    let words = [&["s4096", "n100000"], words, &["./m"]].concat();
    let mut multilog = program("multilog");
    let mut multilog = start(multilog.args(words).current_dir(place.path()));
    multilog.write(lines(0..5));
    until(LIMIT, "the first lines", || {
        place.exists("m/current") && place.text("m/current") == lines(0..5)
    });
    let reader = start(&mut multicat(&place, &["-f", "-n3", "./m"]));
    reader.wait_out(&lines([4]));
    for first in (5..LINES).step_by(500) {
        multilog.write(lines(first..(first + 500).min(LINES)));
        if first % 2000 == 5 {
            // rotations at any moment of the reader, not only while it is behind
            reader.wait_out(&lines([(first + 499).min(LINES - 1)]));
        }
    }
    reader.wait_out(&lines([LINES - 1]));
    let (out, expected) = (reader.out(), lines(2..LINES));
    let other = out.lines().zip(expected.lines()).find(|(out, expected)| out != expected);
    assert_eq!((other, out.len()), (None, expected.len()));
    assert_eq!(reader.err(), "");
    assert!(place.names("m").len() > 100);
    assert_eq!(multilog.finish(LIMIT).status.code(), Some(0));
}

#[test]
fn what_comes_is_followed_across_rotations() {
    followed(&[]);
}

#[test]
fn what_comes_is_followed_across_processors() {
    followed(&["!gzip"]);
}

/// Follows one log that is there.
fn follower(place: &Scratch, words: &[&str]) -> Running {
    start(&mut multicat(place, &[&["-f"], words].concat()))
}

#[test]
fn lines_are_whole_and_restarts_of_multilog_go_unseen() {
    let place = scratch();
    place.write("m/current", lines([1]) + "half a ").chmod("m/current", 0o744);
    let reader = follower(&place, &["m"]);
    reader.wait_out(&lines([1]));
    let log = |text: &str| {
        let o = fed(program("multilog").arg("./m").current_dir(place.path()), text);
        assert_eq!(o.status.code(), Some(0));
    };
    log("line\n");
    reader.wait_out("half a line\n");
    log(&lines([2]));
    reader.wait_out(&lines([2]));
    assert_eq!(reader.out(), lines([1]) + "half a line\n" + &lines([2]));
}

#[test]
fn several_logs_are_followed_and_one_that_is_begun_later() {
    let place = scratch();
    place.write("m/current", lines([1])).dir("n");
    let reader = follower(&place, &["m", "n"]);
    reader.wait_out(&lines([1]));
    place.write("n/current", lines([2]));
    reader.wait_out(&lines([2]));
    std::fs::OpenOptions::new()
        .append(true)
        .open(place.join("m/current"))
        .and_then(|mut file| std::io::Write::write_all(&mut file, lines([3]).as_bytes()))
        .unwrap();
    reader.wait_out(&lines([3]));
    assert_eq!(reader.out(), lines([1, 2, 3]));
}

#[test]
fn following_ends_with_the_wanted_time() {
    let place = scratch();
    place.write("m/current", lines([1, 2]));
    let reader = follower(&place, &["-u", &label(5), "m"]);
    reader.wait_out(&lines([2]));
    let mut file = std::fs::OpenOptions::new().append(true).open(place.join("m/current")).unwrap();
    std::io::Write::write_all(&mut file, lines([3, 4, 5, 6]).as_bytes()).unwrap();
    assert_eq!(ran(&reader.finish(LIMIT)), (Some(0), lines(1..5), String::new()));
}

#[test]
fn lines_that_are_gone_are_complained_about() {
    let place = scratch();
    place.write("m/current", lines([1])).chmod("m/current", 0o744);
    let reader = follower(&place, &["m"]);
    reader.wait_out(&lines([1]));
    reader.signal(libc::SIGSTOP);
    let mut multilog = Command::new(bin("multilog"));
    multilog.args(["s4096", "n2", "./m"]).current_dir(place.path());
    assert_eq!(fed(&mut multilog, lines(2..2000)).status.code(), Some(0));
    reader.signal(libc::SIGCONT);
    let err = reader.wait_err(" is gone before it could be read\n");
    assert!(err.starts_with("multicat: warning: m/@"), "{err}");
    reader.wait_out(&lines([1999]));
}
