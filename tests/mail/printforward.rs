//! printforward: print a forwarding table as text.

use std::process::Command;
use tests::{Random, Scratch, fed, original, program, ran, redirected, scratch};

/// A table made of this text.
fn table(place: &Scratch, text: impl AsRef<[u8]>) -> Vec<u8> {
    let mut set = program("setforward");
    set.args(["table.cdb", "table.tmp"]).current_dir(place.path());
    assert_eq!(fed(&mut set, text).status.code(), Some(0));
    place.read("table.cdb")
}

#[test]
fn a_table_comes_out_as_instructions() {
    let place = scratch();
    let text = b"A@: b@c, ?d e\\ f, |x\\ y, ./z; @h: g\\:\\,\\;\\#\\\\\\\n\xe9; k@l:&m;";
    let o = fed(&mut program("printforward"), table(&place, text));
    let expected = "a@: ?de\\ f;\na@:\n, &b@c\n, |x\\ y\n, ./z\n;\n\
                    @h:\n, &g\\:\\,\\;\\#\\\\\\\n\\\\xe9\n;\nk@l:\n, &m\n;\n";
    assert_eq!(ran(&o), (Some(0), expected.into(), String::new()));
}

#[test]
fn what_comes_out_makes_the_same_table() {
    let place = scratch();
    let mut random = Random::new(1);
    for _ in 0..50 {
        let target: Vec<u8> = random.bytes(9).into_iter().filter(|b| *b != 0).collect();
        let escape = |text: &[u8]| text.iter().flat_map(|b| [b'\\', *b]).collect::<Vec<u8>>();
        let text = [&escape(&target)[..], b":a,?", &escape(&target), b",|", &escape(&target), b";"]
            .concat();
        let old = table(&place, text);
        let o = fed(&mut program("printforward"), &old);
        assert!(table(&place, &o.stdout) == old);
    }
}

#[test]
fn what_is_no_table_is_refused() {
    let refused = (Some(100), "printforward: fatal: bad database format\n".to_owned());
    let run = |table: &[u8]| {
        let (code, _, err) = ran(&fed(&mut program("printforward"), table));
        // The original has the name of another.
        (code, if original() { err.replace("printmaillist:", "printforward:") } else { err })
    };
    let place = scratch();
    let good = table(&place, "a@b:c;");
    for length in [0, 1, 2047, 2048, 2050, 2056, 2060, 2062] {
        assert_eq!(run(&good[..length]), refused, "{length}");
    }
    assert_eq!(run(&good), (Some(0), String::new()));
    // what stands behind the records does not count
    assert_eq!(run(&good[..2063]), (Some(0), String::new()));
    for (at, byte) in
        [(2048, 5), (2051, 255), (2052, 4), (2055, 127), (2056, b'x'), (2060, b'c'), (2062, 1)]
    {
        let mut bad = good.clone();
        bad[at] = byte;
        assert_eq!(run(&bad), refused, "{at}");
    }
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    let place = scratch();
    table(&place, "a@b:c;");
    let mut print: Command =
        redirected(">/dev/full <table.cdb", program("printforward").current_dir(place.path()));
    let (code, _, err) = ran(&print.output().unwrap());
    assert_eq!(
        (code, err.ends_with(": fatal: unable to write output: out of disk space\n")),
        (Some(111), true)
    );
    let mut print = redirected("</", &program("printforward"));
    let (code, _, err) = ran(&print.output().unwrap());
    assert_eq!(
        (code, err.ends_with(": fatal: unable to read input: is a directory\n")),
        (Some(111), true)
    );
}
