//! What the tree holds: its programs, its man pages, its sources.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tests::tree;

/// Packages with programs: folder, family of the tests and of the installation.
const PACKAGES: [(&str, &str); 6] = [
    ("rules", "rules"),
    ("supervise", "supervise"),
    ("tools/list", "list"),
    ("tools/mail", "mail"),
    ("tools/net", "net"),
    ("tools/queue", "mail"),
];

/// One program: a Rust source or a shell script.
pub struct Program {
    pub name: String,
    pub family: &'static str,
    pub source: PathBuf,
}

/// All programs, by package and name.
pub fn programs() -> Vec<Program> {
    let mut programs = Vec::new();
    for (package, family) in PACKAGES {
        for folder in ["src/bin", "src/scripts"] {
            let sources = list(&tree().join(package).join(folder));
            programs.extend(sources.into_iter().map(|source| Program {
                name: file_name(&source).trim_end_matches(".rs").into(),
                family,
                source,
            }));
        }
    }
    programs
}

impl Program {
    /// A shell script: it is not linked, and not built.
    pub fn script(&self) -> bool {
        self.source.extension().is_none_or(|end| end != "rs")
    }
}

/// All man pages.
pub fn pages() -> Vec<PathBuf> {
    list(&tree().join("man"))
}

/// All Rust files that git would commit.
pub fn sources() -> Vec<PathBuf> {
    let mut git = Command::new("git");
    git.args(["ls-files", "--cached", "--others", "--exclude-standard", "*.rs"]);
    let output = git.current_dir(tree()).output().unwrap();
    let names = String::from_utf8(output.stdout).unwrap();
    let sources: Vec<_> = names.lines().map(|name| tree().join(name)).collect();
    sources.into_iter().filter(|source| source.exists()).collect()
}

/// The last part of a path.
pub fn file_name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().into()
}

/// A text file of the tree.
pub fn text(path: impl AsRef<Path>) -> String {
    let path = tree().join(path);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The files in a folder, sorted; none if there is no such folder.
fn list(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.is_file());
    paths.sort();
    paths
}
