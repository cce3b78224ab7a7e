//! The formats of tests/hostile under libFuzzer. `$FORMAT` says which; without it, their names are
//! printed. With `$SEEDS` set, the samples of the format are written into that folder first.
#![no_main]

#[path = "../tests/hostile/formats/mod.rs"]
mod formats;

use formats::{FORMATS, Format};
use std::path::PathBuf;
use std::sync::LazyLock;
use std::{env, fs, process};

static FORMAT: LazyLock<&Format> = LazyLock::new(|| {
    let Ok(name) = env::var("FORMAT") else {
        FORMATS.into_iter().flatten().for_each(|format| println!("{}", format.name));
        process::exit(0);
    };
    let format = FORMATS.into_iter().flatten().find(|format| format.name == name);
    let format = format.unwrap_or_else(|| panic!("FORMAT={name}: tests/hostile/README.md has none"));
    if let Some(folder) = env::var_os("SEEDS").map(PathBuf::from) {
        fs::create_dir_all(&folder).unwrap();
        for (number, sample) in (format.samples)().iter().enumerate() {
            fs::write(folder.join(format!("sample-{number}")), sample).unwrap();
        }
    }
    format
});

libfuzzer_sys::fuzz_target!(init: { LazyLock::force(&FORMAT); }, |bytes: &[u8]| (FORMAT.check)(bytes));
