//! The formats of tests/hostile under libFuzzer. `$FORMAT` says which; with `$SEEDS` set, its
//! samples are written into that folder first.
#![no_main]

#[path = "../tests/hostile/formats/mod.rs"]
mod formats;

use formats::{FORMATS, Format};
use std::sync::LazyLock;

static FORMAT: LazyLock<&Format> = LazyLock::new(|| {
    let name = std::env::var("FORMAT").unwrap_or_default();
    let format = FORMATS.into_iter().flatten().find(|format| format.name == name);
    let format = format.unwrap_or_else(|| panic!("FORMAT={name} is none of tests/hostile/README.md"));
    if let Some(folder) = std::env::var_os("SEEDS") {
        std::fs::create_dir_all(&folder).unwrap();
        for (number, sample) in (format.samples)().iter().enumerate() {
            let file = std::path::Path::new(&folder).join(format!("sample-{number}"));
            std::fs::write(file, sample).unwrap();
        }
    }
    format
});

libfuzzer_sys::fuzz_target!(init: { LazyLock::force(&FORMAT); }, |bytes: &[u8]| (FORMAT.check)(bytes));
