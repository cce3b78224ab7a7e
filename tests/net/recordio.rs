//! recordio: record the input and output of a program.

use std::process::Command;
use tests::{LIMIT, bin, fed, original, program, ran, redirected, shown, start};

/// The log of one direction, `<` or `>`, without process ids.
fn way(log: &str, mark: char) -> String {
    let start = format!(" {mark} ");
    let lines = log.lines().filter_map(|line| line.split_once(&start).map(|(_, text)| text));
    lines.map(|text| format!("{text}\n")).collect()
}

#[test]
fn both_ways_are_copied_and_recorded() {
    let mut command = program("recordio");
    let o = fed(command.args(["sh", "-c", "echo $$; cat"]), "one\n\ntwo\rthree");
    let (code, out, log) = ran(&o);
    let (pid, rest) = out.split_once('\n').unwrap();
    assert_eq!((code, rest), (Some(0), "one\n\ntwo\rthree"));
    assert_eq!(way(&log, '<'), "one \n \ntwo\rthree+\n[EOF]\n");
    // The program may write in more than one piece.
    assert_eq!(
        way(&log, '>').replace("+\n", "").replace(" \n", "\n"),
        format!("{pid}\none\n\ntwo\rthree[EOF]\n")
    );
    assert!(log.lines().all(|line| line.starts_with(&format!("{pid} "))), "{log}");
}

#[test]
fn the_program_keeps_the_process_and_its_exit_code() {
    let mut recordio = start(program("recordio").args(["sh", "-c", "echo $$; cat; exit 3"]));
    recordio.wait_out(&format!("{}\n", recordio.pid()));
    recordio.close();
    assert_eq!(recordio.wait(LIMIT).code(), Some(3));
}

#[test]
fn long_chunks_are_cut_after_256_bytes() {
    let o = fed(program("recordio").args(["sh", "-c", "cat >/dev/null"]), "x".repeat(600) + "\n");
    let log = way(&ran(&o).2, '<');
    let lengths: Vec<_> = log.lines().map(|line| (line.len(), &line[line.len() - 1..])).collect();
    assert_eq!(lengths, [(257, "+"), (257, "+"), (89, " "), (5, "]")]);
}

#[test]
fn bytes_are_recorded_as_they_are() {
    let o = fed(program("recordio").args(["cat"]), b"a\0b\r\xff\n");
    assert_eq!(o.stdout, b"a\0b\r\xff\n");
    let log = shown(&o.stderr);
    assert_eq!(
        (way(&log, '<'), way(&log, '>')),
        ("a\0b\r\\xff \n[EOF]\n".into(), "a\0b\r\\xff \n[EOF]\n".into())
    );
}

#[test]
fn each_chunk_is_recorded_and_passed_on_at_once() {
    let mut recordio = start(program("recordio").arg("cat"));
    for word in ["one", "two"] {
        recordio.write(word);
        recordio.wait_out(word);
        recordio.wait_err(&format!(" < {word}+\n"));
        recordio.wait_err(&format!(" > {word}+\n"));
    }
}

#[test]
fn the_end_of_the_input_ends_the_programs_input_only() {
    let o = fed(program("recordio").args(["sh", "-c", "cat >/dev/null; echo done"]), "x\n");
    let (code, out, log) = ran(&o);
    assert_eq!((code, &out[..]), (Some(0), "done\n"));
    let order: Vec<_> = log.lines().map(|line| line.split_once(' ').unwrap().1).collect();
    assert_eq!(order, ["< x ", "< [EOF]", "> done ", "> [EOF]"]);
}

#[test]
fn the_end_of_the_output_ends_the_copying_though_the_program_runs() {
    let script = "exec >&-; read line; exit 5";
    let recordio = start(program("recordio").args(["sh", "-c", script]));
    recordio.wait_err(" > [EOF]\n");
    // Our end of the input is open, but nobody copies any more: the program's has ended.
    assert_eq!(recordio.wait(LIMIT).code(), Some(5));
    assert_eq!(way(&recordio.err(), '<'), "");
}

#[test]
fn both_ways_may_be_full_at_once() {
    let mut command = program("recordio");
    command.args(["sh", "-c", "head -c 300000 /dev/zero; cat; echo end"]);
    let o = fed(&mut command, vec![b'x'; 300_000]);
    assert_eq!((o.status.code(), o.stdout.len()), (Some(0), 600_004));
}

#[test]
fn an_output_that_nobody_reads_ends_the_program() {
    let script = "\"$0\" sh -c 'while echo x; do :; done; exit 6' | head -1";
    let o = Command::new("/bin/sh").args(["-c", script]).arg(bin("recordio")).output().unwrap();
    assert_eq!((o.status.code(), shown(&o.stdout)), (Some(0), "x\n".into()));
}

#[test]
fn a_log_that_cannot_be_written_does_no_harm() {
    for log in ["2>/dev/full", "2>&-"] {
        let mut command = program("recordio");
        let o = fed(&mut redirected(log, command.arg("cat")), "text");
        assert_eq!(ran(&o), (Some(0), "text".into(), String::new()));
    }
}

#[test]
fn an_input_that_is_closed_is_at_its_end() {
    let mut command = program("recordio");
    let o = redirected("<&-", command.args(["sh", "-c", "cat; echo done"])).output().unwrap();
    assert_eq!((o.status.code(), shown(&o.stdout)), (Some(0), "done\n".into()));
    assert_eq!(way(&shown(&o.stderr), '<'), "[EOF]\n");
}

#[test]
fn without_a_program_it_is_wrong_usage() {
    let o = program("recordio").output().unwrap();
    let said = "recordio: usage: recordio program [ arg ... ]\n";
    assert_eq!(ran(&o), (Some(100), String::new(), said.into()));
}

#[test]
fn a_program_that_cannot_be_run_is_named() {
    let o = program("recordio").arg("/no/such/file").output().unwrap();
    let (code, out, said) = ran(&o);
    let fatal = "recordio: fatal: unable to run /no/such/file: file does not exist";
    assert_eq!((code, &out[..]), (Some(111), ""));
    assert!(said.lines().any(|line| line == fatal), "{said}");
}

#[test]
fn descriptors_that_are_used_up_are_named() {
    // The original cannot even start then.
    if original() {
        return;
    }
    let script = "ulimit -n 5; exec \"$0\" cat";
    let o = Command::new("/bin/sh").args(["-c", script]).arg(bin("recordio")).output().unwrap();
    let said = "recordio: fatal: unable to create pipe: process cannot open more files\n";
    assert_eq!(ran(&o), (Some(111), String::new(), said.into()));
}
