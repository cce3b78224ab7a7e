//! argv0: run a program under another name.

use tests::{program, ran, scratch};

#[test]
fn the_program_sees_the_other_name_and_its_arguments() {
    let words = ["sh", "other", "-c", "echo $0 $1", "-x", "y z"];
    let o = program("argv0").args(words).output().unwrap();
    assert_eq!(ran(&o), (Some(0), "-x y z\n".into(), String::new()));
    let words = ["sleep", "what a name", "-q"];
    let o = program("argv0").args(words).output().unwrap();
    assert!(ran(&o).2.starts_with("what a name: invalid option -- 'q'\n"), "{}", ran(&o).2);
}

#[test]
fn the_exit_code_is_that_of_the_program() {
    let o = program("argv0").args(["/bin/sh", "x", "-c", "exit 7"]).output().unwrap();
    assert_eq!(ran(&o), (Some(7), String::new(), String::new()));
}

#[test]
fn the_file_is_looked_up_in_the_path_and_the_name_is_not() {
    let place = scratch();
    place.script("only-here", "echo \"$VAR\"");
    let mut command = program("argv0");
    command.args(["only-here", "/no/such/name"]).env("PATH", place.path()).env("VAR", "kept");
    let o = command.output().unwrap();
    assert_eq!(ran(&o), (Some(0), "kept\n".into(), String::new()));
}

#[test]
fn fewer_than_two_words_are_wrong_usage() {
    let said = "argv0: usage: argv0 realname program [ arg ... ]\n";
    for words in [&[][..], &["sh"]] {
        let o = program("argv0").args(words).output().unwrap();
        assert_eq!(ran(&o), (Some(100), String::new(), said.into()));
    }
}

#[test]
fn a_file_that_cannot_be_run_is_named() {
    let place = scratch();
    place.write("plain", "text");
    let plain = place.join("plain").display().to_string();
    for (file, why) in [("/no/such/file", "file does not exist"), (&plain, "access denied")] {
        let o = program("argv0").args([file, "name"]).output().unwrap();
        let said = format!("argv0: fatal: unable to run {file}: {why}\n");
        assert_eq!(ran(&o), (Some(111), String::new(), said));
    }
}
