//! Disks that are full or broken: it complains, pauses, and loses nothing.

use super::{everything, lines, multilog, old};
use crate::services::Disk;
use std::time::{Duration, Instant};
use tests::{LIMIT, Scratch, failing, fed, original, ran, root, scratch, skip, start, until};

/// What a log is that has been through one failed system call, and what was said about it.
fn after_one_failure(
    place: &Scratch,
    (kinds, error, number): (&str, &str, u32),
    words: &[&str],
) -> Option<String> {
    let words = [&["s4096", "n100"], words, &["./m", "=status"]].concat();
    let mut command = failing(kinds, error, number, &multilog(place, &words))?;
    let mut running = start(&mut command);
    running.write(lines(4110));
    let (code, _, err) = ran(&running.finish(LIMIT));
    assert_eq!(code, Some(0), "{kinds} {number}: {err}");
    assert_eq!((everything(place), old(place).len()), (lines(4110), 1), "{kinds} {number}");
    let mut others = place.names("m");
    others.retain(|name| !name.starts_with('@'));
    assert_eq!(others, ["current", "lock", "state"], "{kinds} {number}");
    Some(err)
}

/// Each failing call, and what is said: with a label, it ends before it. All run at the same time,
/// because each pauses.
fn said_about(cases: &'static [(&str, &str, u32, &[&str], &str)]) {
    std::thread::scope(|scope| {
        for (kinds, error, number, words, text) in cases {
            scope.spawn(move || {
                let place = scratch();
                let failure = (*kinds, *error, *number);
                let Some(err) = after_one_failure(&place, failure, words) else { return };
                let (start, end) = text.split_once('@').unwrap_or((text, ""));
                let fits = err.starts_with(&format!("multilog: warning: {start}"))
                    && err.ends_with(&format!("{end}\n"))
                    && err.lines().count() == 1;
                assert!(fits, "{kinds} {number}: {err}");
            });
        }
    });
}

#[test]
fn every_step_of_a_rotation_is_tried_again() {
    // the numbers are of our calls; the first fsync is that of the new folder
    if original() {
        return;
    }
    said_about(&[
        (
            "fsync",
            "EIO",
            2,
            &[],
            "unable to write ./m/current to disk, pausing: input/output error",
        ),
        (
            "rename",
            "EACCES",
            1,
            &[],
            "unable to rename current to previous in directory ./m, pausing: access denied",
        ),
        (
            "rename",
            "EROFS",
            1,
            &[],
            "unable to rename current to previous in directory ./m, pausing: read-only file system",
        ),
        (
            "fchmod",
            "EPERM",
            2,
            &[],
            "unable to set mode of ./m/current, pausing: permission denied",
        ),
        (
            "chmod",
            "EPERM",
            1,
            &[],
            "unable to set mode of ./m/previous, pausing: permission denied",
        ),
        (
            "link,linkat",
            "EEXIST",
            1,
            &[],
            "unable to link to ./m/@.s, pausing: file already exists",
        ),
        ("unlink", "EBUSY", 4, &[], "unable to remove ./m/previous, pausing: device busy"),
        ("getdents64", "EIO", 1, &[], "unable to read ./m, pausing: input/output error"),
        ("fsync", "EIO", 3, &[], "unable to write ./m to disk, pausing: input/output error"),
        ("fchdir", "EIO", 3, &[], "unable to switch to ./m, pausing: input/output error"),
    ]);
}

#[test]
fn every_step_around_a_processor_is_tried_again() {
    // the numbers are of our calls
    if original() {
        return;
    }
    said_about(&[
        (
            "fork,clone,clone3",
            "EAGAIN",
            1,
            &["!cat"],
            "unable to fork for processor in ./m, pausing: temporary failure",
        ),
        (
            "fsync",
            "EIO",
            3,
            &["!cat"],
            "unable to write ./m/processed to disk, pausing: input/output error",
        ),
        (
            "fchmod",
            "EPERM",
            3,
            &["!cat"],
            "unable to set mode of ./m/processed, pausing: permission denied",
        ),
        (
            "fsync",
            "EIO",
            4,
            &["!cat"],
            "unable to write ./m/newstate to disk, pausing: input/output error",
        ),
        (
            "rename",
            "EACCES",
            2,
            &["!cat"],
            "unable to rename newstate to state in directory ./m, pausing: access denied",
        ),
    ]);
}

#[test]
fn what_could_not_be_written_is_written_later() {
    // the numbers are of our calls
    if original() {
        return;
    }
    said_about(&[
        (
            "write",
            "EROFS",
            2,
            &[],
            "unable to write to ./m/current, pausing: read-only file system",
        ),
        ("write", "ENOSPC", 2, &[], "unable to write to ./m/current, pausing: out of disk space"),
        ("write", "EDQUOT", 1, &[], "unable to write status, pausing: disk quota exceeded"),
        (
            "lseek",
            "EIO",
            1,
            &[],
            "unable to move to beginning of status, pausing: input/output error",
        ),
        ("poll", "ENOMEM", 1, &[], "unable to wait for input, pausing: out of memory"),
    ]);
}

#[test]
fn a_read_only_disk_is_a_temporary_failure() {
    if !root() {
        return skip("needs root");
    }
    let place = scratch();
    let Some(disk) = Disk::mounted(place.path(), "64k") else { return skip("needs a mount") };
    assert_eq!(fed(&mut multilog(&place, &["./m"]), "a\n").status.code(), Some(0));
    disk.remount("ro");
    for (name, why) in [
        ("m", "lock directory ./m: read-only file system"),
        ("new", "open directory ./new: file does not exist"),
    ] {
        let text = format!("multilog: fatal: unable to {why}\n");
        let done = fed(&mut multilog(&place, &[&format!("./{name}")]), "b\n");
        assert_eq!(ran(&done), (Some(111), String::new(), text));
    }
    assert_eq!(place.text("m/current"), "a\n");
}

#[test]
fn a_full_disk_is_waited_for() {
    if !root() {
        return skip("needs root");
    }
    let place = scratch();
    let Some(_disk) = Disk::mounted(place.path(), "64k") else { return skip("needs a mount") };
    place.write("ballast", vec![0; 30_000]);
    let mut command = multilog(&place, &["s16777215", "./m"]);
    let mut running = start(&mut command);
    running.write(lines(50_000));
    let said = "multilog: warning: unable to write to ./m/current, pausing: out of disk space\n";
    let began = Instant::now();
    running.wait_err(said);
    running.wait_err(&[said, said].concat());
    assert!(began.elapsed() >= Duration::from_secs(4));
    std::fs::remove_file(place.join("ballast")).unwrap();
    until(LIMIT, "the rest", || everything(&place) == lines(50_000));
    assert_eq!(running.finish(LIMIT).status.code(), Some(0));
    assert_eq!(everything(&place), lines(50_000));
}

#[test]
fn a_full_disk_loses_old_files_and_no_new_line() {
    // m is our own
    if original() {
        return;
    }
    if !root() {
        return skip("needs root");
    }
    let place = scratch();
    let Some(_disk) = Disk::mounted(place.path(), "64k") else { return skip("needs a mount") };
    let words = ["s4096", "n1000", "m2", "./m"];
    let (code, out, err) = ran(&fed(&mut multilog(&place, &words), lines(300_000)));
    assert_eq!((code, out), (Some(0), String::new()));
    let fine = |line: &str| line.ends_with(": out of disk space") && line.contains(", removing ");
    assert!(err.lines().count() > 10 && err.lines().all(fine), "{err}");
    assert!(lines(300_000).ends_with(&everything(&place)));
    assert!((3..=16).contains(&old(&place).len()));
}
