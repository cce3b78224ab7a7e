//! What cargo and make build: who depends on whom, what is linked statically.

use crate::programs::{Program, programs, text};
use std::env;
use std::fs;
use std::process::Command;
use tests::{bin, ran, scratch, skip, tree};

/// The memory that run scripts everywhere give to the programs of a chain.
const CLASSIC_LIMIT: &str = "2000000";

/// What would make a program need the shared libc.
const SHARED_ONLY: [&str; 6] =
    ["getpwnam", "getpwuid", "getgrnam", "getgrouplist", "crypt", "pam_start"];

/// The programs that `make` has built; none, after a word, in a plain `cargo test`.
fn built() -> Vec<Program> {
    if env::var_os("BUILT").is_none() {
        skip("needs the build of make: BUILT is not set");
        return Vec::new();
    }
    programs().into_iter().filter(|program| !program.script()).collect()
}

/// The programs that the Makefile lists as SHARED.
fn shared() -> Vec<String> {
    let makefile = text("Makefile");
    let list = makefile.lines().find_map(|line| line.strip_prefix("SHARED ")).unwrap();
    list.trim_start_matches([' ', '=']).split_whitespace().map(str::to_owned).collect()
}

fn contains(bytes: &[u8], text: &str) -> bool {
    memchr::memmem::find(bytes, text.as_bytes()).is_some()
}

/// A statically linked program names no loader by its path.
fn is_static(file: &[u8]) -> bool {
    !contains(file, "/ld-linux")
}

/// What `make` would build of these families.
fn made(subset: &str) -> Vec<String> {
    let mut make = Command::new("make");
    make.args(["-s", "--eval", "names:; @echo $(PROGRAMS) $(notdir $(SCRIPTS))", "names"]);
    make.arg(format!("SUBSET={subset}")).current_dir(tree());
    let (code, out, err) = ran(&make.output().unwrap());
    assert_eq!((code, err), (Some(0), String::new()));
    let mut names: Vec<_> = out.split_whitespace().map(str::to_owned).collect();
    names.sort();
    names
}

#[test]
fn make_builds_the_programs_of_each_family() {
    for family in ["rules", "net", "supervise", "mail"] {
        let programs = programs().into_iter().filter(|program| program.family == family);
        let mut names: Vec<_> = programs.map(|program| program.name).collect();
        names.sort();
        assert_eq!(made(family), names);
    }
    assert_eq!(made("rules net supervise mail").len(), programs().len());
}

#[test]
fn what_is_static_asks_no_nss() {
    for program in built() {
        let file = fs::read(bin(&program.name)).unwrap();
        let asks = is_static(&file) && contains(&file, "nsswitch.conf");
        assert!(!asks, "{} would crash: it belongs to SHARED in the Makefile", program.name);
    }
}

#[test]
fn what_is_shared_needs_to_be() {
    let shared = shared();
    for program in built().iter().filter(|program| shared.contains(&program.name)) {
        let file = fs::read(bin(&program.name)).unwrap();
        let asks = SHARED_ONLY.iter().any(|function| contains(&file, function));
        assert!(asks && !is_static(&file), "{} need not be in SHARED", program.name);
    }
}

#[test]
fn every_static_link_of_a_chain_starts_in_two_megabytes() {
    let place = scratch();
    for program in built() {
        let chain = text(&program.source).contains("sys::exec");
        if !chain || !is_static(&fs::read(bin(&program.name)).unwrap()) {
            continue;
        }
        // an option that nobody has, or a child that does not exist
        let mut limited = Command::new(bin("softlimit"));
        limited.args(["-m", CLASSIC_LIMIT]).arg(bin(&program.name)).arg("-?");
        let (code, out, err) = ran(&limited.current_dir(place.path()).output().unwrap());
        let refused = matches!(code, Some(1..=125)) && err.starts_with(&program.name);
        assert!(refused, "{}: {code:?} {out:?} {err:?}", program.name);
    }
}

#[test]
fn the_setuid_program_stands_on_base_and_libc() {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["tree", "--offline", "-p", "queue", "-e", "normal", "--prefix", "none"]);
    let (code, out, err) = ran(&cargo.current_dir(tree()).output().unwrap());
    assert_eq!((code, err), (Some(0), String::new()));
    assert!(out.lines().count() <= 12, "more than one look:\n{out}");
    let allowed = ["queue", "base", "libc", "memchr", "nix", "bitflags", "cfg-if", "cfg_aliases"];
    let names = out.lines().map(|line| line.split(' ').next().unwrap());
    let others: Vec<&str> = names.filter(|name| !allowed.contains(name)).collect();
    assert_eq!(others, [""; 0]);
}
