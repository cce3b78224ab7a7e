//! printmaillist: print a compiled mailing list as text.

use tests::{fed, original, program, ran, redirected};

#[test]
fn each_item_is_a_line() {
    let print = |list: &str| ran(&fed(&mut program("printmaillist"), list));
    let lines = |out: &str| (Some(0), out.to_owned(), String::new());
    assert_eq!(print("&joe@a\0./f g\0/h \0& \0"), lines("&joe@a\n./f g\n/h \n& \n"));
    assert_eq!(print(""), lines(""));
    let (address, file) = (format!("&{}", "x".repeat(898)), format!("/{}", "y".repeat(100_000)));
    assert_eq!(print(&format!("{address}\0{file}\0")), lines(&format!("{address}\n{file}\n")));
}

#[test]
fn what_is_no_list_is_refused() {
    for bad in
        ["a@b\0", "|x\0", "&a\nb\0", "&a\0&b", "&a\0\0", "\0", &format!("&{}\0", "x".repeat(899))]
    {
        let (code, _, err) = ran(&fed(&mut program("printmaillist"), bad));
        assert_eq!(
            (code, &*err),
            (Some(100), "printmaillist: fatal: bad mailing list format\n"),
            "{bad}"
        );
    }
}

#[test]
fn trouble_with_input_and_output_is_temporary() {
    let run = |how: &str| ran(&redirected(how, &program("printmaillist")).output().unwrap());
    let fatal = |why: &str| (Some(111), String::new(), format!("printmaillist: fatal: {why}\n"));
    assert_eq!(run("</"), fatal("unable to read input: is a directory"));
    let mut full = redirected(">/dev/full", &program("printmaillist"));
    let seen = ran(&fed(&mut full, "&a\0"));
    let because = |what: &str| fatal(&format!("unable to {what}: out of disk space"));
    // the original blames its input
    let fine = seen == because("write output") || original() && seen == because("read input");
    assert!(fine, "{seen:?}");
}

#[test]
fn what_is_printed_makes_the_same_list() {
    let place = tests::scratch();
    let list = "&joe@a.example\0./f\0/g\0";
    let printed = fed(&mut program("printmaillist"), list).stdout;
    let mut set = program("setmaillist");
    set.args(["list", "tmp"]).current_dir(place.path());
    assert_eq!(fed(&mut set, printed).status.code(), Some(0));
    assert_eq!(place.text("list"), list);
}
