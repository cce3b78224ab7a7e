//! except: turn a program's yes into no, and its no into yes.

use tests::{fed, program, ran};

fn except(command: &str) -> (Option<i32>, String, String) {
    ran(&fed(program("except").args(["sh", "-c", command]), "message"))
}

fn said(code: i32, err: &str) -> (Option<i32>, String, String) {
    (Some(code), String::new(), err.into())
}

#[test]
fn yes_becomes_no_and_no_becomes_yes() {
    assert_eq!(except("grep -q mess"), said(100, ""));
    for command in ["exit 1", "exit 99", "exit 100"] {
        assert_eq!(except(command), said(0, ""));
    }
    assert_eq!(ran(&program("except").arg("/nonexistent").output().unwrap()), said(0, ""));
}

#[test]
fn not_now_stays() {
    assert_eq!(except("exit 111"), said(111, "except: fatal: temporary child error\n"));
    assert_eq!(except("kill -9 $$"), said(111, "except: fatal: child crashed\n"));
}

#[test]
fn a_program_is_needed() {
    let usage = "except: usage: except program [ arg ... ]\n";
    assert_eq!(ran(&program("except").output().unwrap()), said(100, usage));
}
