//! What a man page says.

use crate::tree;
use std::fs;

/// The lines of one section of a page; none if it has no such section.
pub fn section(page: &str, name: &str) -> Option<String> {
    let (_, rest) = page.split_once(&format!("\n.Sh {name}\n"))?;
    Some(rest.split("\n.Sh ").next().unwrap().to_owned())
}

/// The exit codes that a page lists as `.It 100`, `.It Li 100` or `.It 51 , 54`.
pub fn codes_in(page: &str) -> Vec<String> {
    let status = section(page, "EXIT STATUS").unwrap_or_default();
    let items = status.lines().filter_map(|line| line.strip_prefix(".It "));
    let words = items.flat_map(|item| item.split([' ', ',']));
    words.filter(|word| word.parse::<u8>().is_ok()).map(str::to_owned).collect()
}

/// The exit codes that a program's own page lists.
#[track_caller]
pub fn codes(program: &str) -> Vec<String> {
    let read = |number| fs::read_to_string(tree().join(format!("man/{program}.{number}")));
    let page = [1, 8].into_iter().find_map(|number| read(number).ok());
    codes_in(&page.unwrap_or_else(|| panic!("{program} has no man page")))
}
