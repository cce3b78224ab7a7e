//! Every format that a stranger, a user or a damaged disk can write: good samples, words that
//! matter in it, and a check that panics where our reading of any bytes does harm or breaks a
//! promise. The tests beside this folder try each with damaged bytes, `fuzz/` with its own.

pub mod mail;
pub mod network;
pub mod queue;
pub mod services;
pub mod smtp;
pub mod tables;

use std::fs::{self, File};
use std::io::{Seek, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

/// A format.
pub struct Format {
    /// The name of its check.
    pub name: &'static str,
    /// Good input.
    pub samples: fn() -> Vec<Vec<u8>>,
    /// Words that matter in it.
    pub words: &'static [&'static [u8]],
    /// Panics where any bytes do harm.
    pub check: fn(&[u8]),
}

/// All of them.
pub const FORMATS: [&[Format]; 6] = [
    smtp::FORMATS,
    mail::FORMATS,
    queue::FORMATS,
    network::FORMATS,
    tables::FORMATS,
    services::FORMATS,
];

/// The list of a module's formats, and a test of each. Samples and words are text.
macro_rules! formats {
    ($($name:ident [$($sample:expr),* $(,)?] [$($word:expr),* $(,)?])*) => {
        /// The formats of this module.
        pub const FORMATS: &[$crate::formats::Format] = &[$($crate::formats::Format {
            name: stringify!($name),
            samples: || vec![$($sample.into()),*],
            words: &[$($word),*],
            check: $name,
        }),*];

        #[cfg(test)]
        mod tests {
            $(#[test]
            fn $name() {
                $crate::attack(stringify!($name));
            })*
        }
    };
}
use formats;

/// Cuts bytes in two, at a place that depends on them.
fn halves(bytes: &[u8]) -> [&[u8]; 2] {
    let sum = bytes.iter().fold(bytes.len(), |sum, byte| sum.wrapping_mul(31) + usize::from(*byte));
    let (a, b) = bytes.split_at(sum % (bytes.len() + 1));
    [a, b]
}

/// A file of these bytes that has no name any more.
fn file(bytes: &[u8]) -> File {
    let path = name();
    let mut file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
    fs::remove_file(path).unwrap();
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    file
}

/// What is done with the path of a file of these bytes.
fn named<T>(bytes: &[u8], work: impl FnOnce(&std::path::Path) -> T) -> T {
    let path = name();
    fs::write(&path, bytes).unwrap();
    let done = work(&path);
    fs::remove_file(path).unwrap();
    done
}

/// A name that no file has.
fn name() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    let folder = if memory.is_dir() { memory } else { std::env::temp_dir() };
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    folder.join(format!("catena-hostile-{}-{number}", std::process::id()))
}
