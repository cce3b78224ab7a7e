//! Whom we trust: certificates of authorities, from a file, a folder, or as this system has them.

use super::pem::{self, Pem, Unusable};
use base::files;
use base::{Die, Result, Unable};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Where systems keep the authorities that they trust: the first that is there counts.
const SYSTEM: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// The certificates that a file and a folder hold; those of this system if neither is named.
pub fn certificates(
    file: Option<&Path>,
    folder: Option<&Path>,
) -> Result<Vec<CertificateDer<'static>>> {
    let mut all = match file.or_else(|| system(folder)) {
        Some(file) => in_file(file, Pem::certificates)?,
        None => Vec::new(),
    };
    for file in folder.map(in_folder).transpose()?.unwrap_or_default() {
        all.extend(in_file(&file, |pem| Ok(pem.certificates))?);
    }
    Ok(all)
}

/// These as authorities. One that cannot be understood is passed over: the bundle of a system may
/// have odd ones.
pub fn authorities(certificates: &[CertificateDer<'static>]) -> RootCertStore {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(certificates.iter().cloned());
    store
}

/// The bundle of this system, if no folder is named either.
fn system(folder: Option<&Path>) -> Option<&'static Path> {
    let mut bundles = SYSTEM.iter().map(Path::new);
    match folder {
        Some(_) => None,
        None => bundles.find(|bundle| bundle.exists()).or(Some(Path::new(SYSTEM[0]))),
    }
}

/// What is taken out of a PEM file.
fn in_file<T>(
    file: &Path,
    take: impl FnOnce(Pem) -> std::result::Result<T, Unusable>,
) -> Result<T> {
    let found = File::open(file).map_err(Unusable::Unread).and_then(pem::read).and_then(take);
    found.map_err(|why| Die::later(format_args!("unable to read {}: {why}", file.display())))
}

/// The files of a folder that OpenSSL would find there, by the names that `openssl rehash` gives
/// them; all files where it was never run.
fn in_folder(folder: &Path) -> Result<Vec<PathBuf>> {
    let reading = || format!("read {}", folder.display());
    let mut names: Vec<OsString> = Vec::new();
    for entry in files::entries(folder).unable(reading())? {
        names.push(entry.unable(reading())?.file_name());
    }
    names.sort();
    if names.iter().any(|name| is_hash(name)) {
        names.retain(|name| is_hash(name));
    }
    let files = names.into_iter().map(|name| folder.join(name));
    Ok(files.filter(|file| file.is_file()).collect())
}

/// Eight hexadecimal digits, a dot, a number.
fn is_hash(name: &OsStr) -> bool {
    let Some((hash, number)) = name.as_bytes().split_at_checked(8) else { return false };
    let digits = number.strip_prefix(b".").unwrap_or_default();
    hash.iter().all(u8::is_ascii_hexdigit)
        && !digits.is_empty()
        && digits.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_names_that_openssl_looks_for() {
        let hash = |name: &str| is_hash(OsStr::new(name));
        assert!(hash("5ed36f99.0") && hash("5ED36F99.12"));
        let others = ["", "5ed36f99", "5ed36f99.", "5ed36f99.r0", "5ed36f9.0", "g2345678.0"];
        assert!(!others.iter().any(|name| hash(name)));
    }
}
