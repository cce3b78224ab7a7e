//! Every program is three files, and no file is too long to read.

use crate::programs::{file_name, pages, programs, sources, text};
use tests::tree;

/// Lines that a Rust file may have. Typical are 80 to 150.
const LONGEST: usize = 800;

#[test]
fn every_program_has_a_man_page() {
    let pages: Vec<String> = pages().iter().map(|page| file_name(page)).collect();
    let has =
        |name: &str| pages.contains(&format!("{name}.1")) || pages.contains(&format!("{name}.8"));
    let missing: Vec<_> = programs().into_iter().map(|p| p.name).filter(|n| !has(n)).collect();
    assert_eq!(missing, [""; 0]);
}

#[test]
fn every_program_has_a_test_module() {
    let mut missing = Vec::new();
    for program in programs() {
        let (name, family) = (&program.name, program.family);
        let main = text(format!("tests/{family}/main.rs"));
        let named = [format!("mod {name};"), format!("\"{name}.rs\"")];
        let there = tree().join(format!("tests/{family}/{name}.rs")).exists();
        if !there || !named.iter().any(|line| main.contains(line)) {
            missing.push(format!("tests/{family}/{name}.rs"));
        }
    }
    assert_eq!(missing, [""; 0]);
}

#[test]
fn every_page_of_a_program_has_its_program() {
    let programs: Vec<String> = programs().into_iter().map(|program| program.name).collect();
    let mut stray = Vec::new();
    for page in pages() {
        let page = file_name(&page);
        let (name, section) = page.rsplit_once('.').unwrap();
        let known = match section {
            "1" | "8" => programs.iter().any(|program| program == name),
            _ => ["5", "7"].contains(&section),
        };
        if !known {
            stray.push(page);
        }
    }
    assert_eq!(stray, [""; 0]);
}

#[test]
fn no_two_programs_have_one_name() {
    let mut names: Vec<String> = programs().into_iter().map(|program| program.name).collect();
    names.sort();
    let twice: Vec<_> = names.windows(2).filter(|pair| pair[0] == pair[1]).collect();
    assert!(twice.is_empty(), "{twice:?}");
}

#[test]
fn no_file_is_too_long() {
    let long: Vec<_> =
        sources().into_iter().filter(|source| text(source).lines().count() > LONGEST).collect();
    assert!(long.is_empty(), "{long:#?}");
}

#[test]
fn unsafe_code_is_in_one_folder() {
    let allowed = |path: &std::path::Path| {
        let place = path.strip_prefix(tree()).unwrap();
        // program! makes C's main, in whichever program it is used
        place.starts_with("tools/base/src/sys") || place.ends_with("tools/base/src/lib.rs")
    };
    // put together so that this file is not found
    let signs = ["{", "fn", "impl", "extern", "("].map(|next| format!("{} {next}", "unsafe"));
    let signs = signs.map(|sign| sign.replace(" (", "("));
    let found: Vec<_> = sources()
        .into_iter()
        .filter(|source| !allowed(source))
        .filter(|source| signs.iter().any(|sign| text(source).contains(sign)))
        .collect();
    assert!(found.is_empty(), "{found:#?}");
}
