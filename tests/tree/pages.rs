//! Man pages: clean, complete, and true where a test can see it.

use crate::programs::{file_name, pages, programs, text};
use std::path::{Path, PathBuf};
use std::process::Command;
use tests::{codes_in, fed, ran, skip, tree};

/// The pages of programs: sections 1 and 8.
pub fn program_pages() -> impl Iterator<Item = PathBuf> {
    let of_program = |page: &PathBuf| page.extension().is_some_and(|end| end == "1" || end == "8");
    pages().into_iter().filter(of_program)
}

/// What a checker that should be silent says about a page; none if it is not installed.
fn complaints(checker: &str, words: &[&str], page: &Path) -> Option<String> {
    let output = Command::new(checker).args(words).arg(page).output().ok()?;
    let (code, out, err) = ran(&output);
    Some(format!("{out}{err}{}", if code == Some(0) { "" } else { "failed\n" }))
}

#[test]
fn pages_are_clean_for_mandoc() {
    clean("mandoc", &["-T", "lint", "-W", "warning"]);
}

#[test]
fn pages_are_clean_for_groff() {
    clean("groff", &["-mdoc", "-ww", "-z"]);
}

#[track_caller]
fn clean(checker: &str, words: &[&str]) {
    let said: Vec<_> =
        pages().iter().map(|page| (file_name(page), complaints(checker, words, page))).collect();
    if said.iter().any(|(_, said)| said.is_none()) {
        return skip(&format!("{checker} is not installed"));
    }
    let unclean: Vec<_> = said.iter().filter(|(_, said)| said.as_deref() != Some("")).collect();
    assert!(unclean.is_empty(), "{unclean:#?}");
}

#[test]
fn every_page_has_its_own_name() {
    let mut wrong = Vec::new();
    for path in pages() {
        let file = file_name(&path);
        let (name, number) = file.rsplit_once('.').unwrap();
        let title = format!("\n.Dt {} {number}\n", name.to_uppercase());
        if !text(&path).contains(&title) {
            wrong.push(format!("{file}: no{title}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_program_tells_its_exit_status_and_shows_examples() {
    let mut wanting = Vec::new();
    for path in program_pages() {
        let page = text(&path);
        let named =
            [".Sh NAME", ".Sh SYNOPSIS", ".Sh DESCRIPTION", ".Sh EXIT STATUS", ".Sh EXAMPLES"];
        for name in named.iter().filter(|name| !page.contains(&format!("\n{name}\n"))) {
            wanting.push(format!("{}: no {name}", file_name(&path)));
        }
        if page.contains("\n.Sh AUTHORS\n") {
            wanting.push(format!("{}: has authors", file_name(&path)));
        }
    }
    assert!(wanting.is_empty(), "{wanting:#?}");
}

/// A number stands in a text, not as a part of a longer one.
fn has_number(text: &str, number: &str) -> bool {
    let mut numbers = text.split(|letter: char| !letter.is_ascii_alphanumeric());
    numbers.any(|word| word == number)
}

#[test]
fn every_exit_code_that_a_page_lists_is_tested() {
    let mut untested = Vec::new();
    for program in programs() {
        let pages =
            program_pages().filter(|page| page.file_stem().unwrap() == program.name.as_str());
        let test = tree().join(format!("tests/{}/{}.rs", program.family, program.name));
        let test = std::fs::read_to_string(test).unwrap_or_default();
        let codes: Vec<String> = pages.flat_map(|page| codes_in(&text(page))).collect();
        let missing = codes.iter().filter(|code| !has_number(&test, code));
        untested.extend(missing.map(|code| format!("{}: {code}", program.name)));
    }
    assert!(untested.is_empty(), "{untested:#?}");
}

/// The literal displays of a page, or of a part of it, as a terminal shows them.
pub fn displays(page: &str) -> Vec<String> {
    let page = format!("\n{page}");
    let displays = page.split("\n.Bd -literal").skip(1);
    let bodies = displays.filter_map(|rest| rest.split("\n.Ed").next()?.split_once('\n'));
    let shown = |text: &str| text.replace("\\&", "").replace("\\-", "-").replace("\\e", "\\");
    bodies.map(|(_, body)| shown(body) + "\n").collect()
}

/// Those of them that are scripts.
fn scripts(page: &str) -> Vec<String> {
    displays(page).into_iter().filter(|shown| shown.starts_with("#!")).collect()
}

#[test]
fn every_script_in_a_page_is_one_for_the_shell() {
    for path in pages() {
        for script in scripts(&text(&path)) {
            let said = ran(&fed(Command::new("/bin/sh").arg("-n"), &script));
            let fine = (Some(0), String::new(), String::new());
            assert_eq!(said, fine, "{}:\n{script}", file_name(&path));
        }
    }
}

#[test]
fn every_source_begins_with_its_program() {
    let mut wrong = Vec::new();
    for program in programs().iter().filter(|program| !program.script()) {
        let source = text(&program.source);
        if !source.starts_with(&format!("//! {}: ", program.name)) {
            wrong.push(source.lines().next().unwrap_or_default().to_owned());
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn codes_and_scripts_are_found_in_a_page() {
    let page = ".Sh NAME\n.Sh EXIT STATUS\n.Bl -tag -width 3n\n.It 100\nBad.\n.It Li 51 , 54\nWorse.\n\
                .El\n.Sh EXAMPLES\n.Bd -literal -offset indent\n#!/bin/sh\necho a \\e\n  b\n.Ed\n.It 7\n";
    assert_eq!(codes_in(page), ["100", "51", "54"]);
    assert_eq!(scripts(page), ["#!/bin/sh\necho a \\\n  b\n"]);
    assert!(has_number("Some(100),", "100") && !has_number("1000 100x", "100"));
}
