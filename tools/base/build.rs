//! Has dynamically linked programs take libgcc's halves from the static library: std always names
//! `-lgcc_s`, and loading that second library costs each start about 100 microseconds.
#![allow(clippy::print_stdout)] // That is how cargo is told.

use std::path::PathBuf;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let folder = PathBuf::from(env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?);
    fs::write(folder.join("libgcc_s.so"), "GROUP ( -lgcc_eh -lgcc )\n")?;
    println!("cargo:rustc-link-search=native={}", folder.display());
    println!("cargo:rerun-if-changed=build.rs");
    Ok(())
}
