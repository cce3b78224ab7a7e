//! The certificates that a server may show, and which one it shows to a client.

use super::names;
use super::pem::{self, Pem, Unusable};
use super::x509;
use base::Die;
use base::env::Env;
use base::sys::folder::Folder;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::{CertifiedKey, SigningKey};
use rustls::{Error, InconsistentKeys};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::{self, Seek};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// The file of a folder that holds a host's certificate and key.
const IN_FOLDER: &str = "servercert.pem";

/// A file that is open, and its name.
type Open = (PathBuf, File);

/// The certificates of a server. Files are opened by whoever starts it, and read when a client
/// asks for their host.
pub struct Certificates {
    provider: Arc<CryptoProvider>,
    default: Arc<CertifiedKey>,
    /// Those of `CERTFILE:NAME`.
    named: Vec<Named>,
    /// $CERTDIR.
    folder: Option<(PathBuf, Folder)>,
    outcome: Mutex<Outcome>,
}

/// `CERTFILE:NAME` and `KEYFILE:NAME`.
struct Named {
    name: String,
    certificate: Open,
    key: Option<Open>,
}

/// What a client has got.
#[derive(Default)]
struct Outcome {
    shown: Option<Arc<CertifiedKey>>,
    /// Why the certificate that it should have got cannot be shown.
    trouble: Option<String>,
}

impl Certificates {
    /// Reads the certificate of $CERTFILE and opens the others.
    pub fn open(env: &Env, provider: Arc<CryptoProvider>) -> Result<Self, Die> {
        let file = |name: &str| env.get(name).map(|file| Path::new(OsStr::from_bytes(file)));
        let main = file("CERTFILE").or(file("CERTCHAINFILE"));
        let main = main.ok_or_else(|| Die::later("CERTFILE is not set"))?;
        let first = file("CERTCHAINFILE").unwrap_or(main);
        let mut found = read(first)?;
        if first != main {
            found.certificates.extend(read(main)?.certificates);
        }
        let key_file = file("KEYFILE").unwrap_or(main);
        if key_file != first {
            found.key = read(key_file)?.key;
        }
        let default = identity(found, &provider).map_err(|why| {
            let file =
                if matches!(why, Unusable::Without("certificate")) { first } else { key_file };
            unreadable(file, &why)
        })?;
        let folder = match file("CERTDIR") {
            None => None,
            Some(path) => match Folder::open(path) {
                Ok(folder) => Some((path.to_owned(), folder)),
                Err(why) => return Err(unreadable(path, &Unusable::Unread(why))),
            },
        };
        let (default, outcome) = (Arc::new(default), Mutex::default());
        Ok(Certificates { provider, default, named: named(env)?, folder, outcome })
    }

    /// The certificate that the client has got, and why it should have got another.
    pub fn outcome(&self) -> (Option<Arc<CertifiedKey>>, Option<String>) {
        match self.outcome.lock() {
            Ok(outcome) => (outcome.shown.clone(), outcome.trouble.clone()),
            Err(_) => (None, None),
        }
    }

    /// The certificate for a host. `None`: there is none of its own.
    fn of(&self, host: &str) -> Option<Result<CertifiedKey, String>> {
        let exact = self.named.iter().find(|named| named.name.eq_ignore_ascii_case(host));
        let meant =
            exact.or_else(|| self.named.iter().find(|named| names::means(&named.name, host)));
        match meant {
            Some(named) => Some(named.read(&self.provider)),
            None => self.in_folder(host),
        }
    }

    /// The certificate for a host in $CERTDIR.
    fn in_folder(&self, host: &str) -> Option<Result<CertifiedKey, String>> {
        let (path, folder) = self.folder.as_ref()?;
        let name = names::folder(host)?;
        let file = match folder.folder(&name).and_then(|host| host.file(IN_FOLDER)) {
            Err(why) if why.kind() == io::ErrorKind::NotFound => return None,
            other => other,
        };
        let read = file.map_err(Unusable::Unread).and_then(pem::read);
        let read = read.and_then(|found| identity(found, &self.provider));
        Some(read.map_err(|why| reading(&path.join(name).join(IN_FOLDER), &why)))
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello) -> Option<Arc<CertifiedKey>> {
        let mut outcome = self.outcome.lock().ok()?;
        let chosen = hello.server_name().and_then(|host| self.of(host));
        outcome.shown = match chosen {
            None => Some(self.default.clone()),
            Some(Ok(own)) => Some(Arc::new(own)),
            Some(Err(why)) => {
                outcome.trouble = Some(why);
                None
            }
        };
        outcome.shown.clone()
    }
}

impl fmt::Debug for Certificates {
    /// Nothing: there are keys in it.
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        to.write_str("Certificates")
    }
}

/// Opens what `CERTFILE:NAME` and `KEYFILE:NAME` say.
fn named(env: &Env) -> Result<Vec<Named>, Die> {
    let open = |file: &[u8]| {
        let path = PathBuf::from(OsStr::from_bytes(file));
        match File::open(&path) {
            Ok(file) => Ok((path, file)),
            Err(why) => Err(unreadable(&path, &Unusable::Unread(why))),
        }
    };
    let names: Vec<OsString> = env.names().map(OsStr::to_owned).collect();
    let names = names.iter().filter_map(|name| name.to_str()?.strip_prefix("CERTFILE:"));
    let named = names.map(|name| {
        let value = |prefix: &str| env.get(format!("{prefix}:{name}"));
        Ok(Named {
            name: name.to_owned(),
            certificate: open(value("CERTFILE").unwrap_or_default())?,
            key: value("KEYFILE").map(open).transpose()?,
        })
    });
    named.collect()
}

impl Named {
    fn read(&self, provider: &CryptoProvider) -> Result<CertifiedKey, String> {
        let again = |(path, file): &Open| {
            let mut file: &File = file;
            // A client that is asked for another hello has it read twice.
            let read = file.rewind().map_err(Unusable::Unread).and_then(|()| pem::read(file));
            read.map_err(|why| reading(path, &why))
        };
        let mut found = again(&self.certificate)?;
        if let Some(key) = &self.key {
            found.key = again(key)?.key;
        }
        let (path, _) = self.key.as_ref().unwrap_or(&self.certificate);
        identity(found, provider).map_err(|why| reading(path, &why))
    }
}

/// Reads a whole file.
pub fn read(path: &Path) -> Result<Pem, Die> {
    let file = File::open(path).map_err(Unusable::Unread);
    file.and_then(pem::read).map_err(|why| unreadable(path, &why))
}

/// Last words about a file.
pub fn unreadable(path: &Path, why: &Unusable) -> Die {
    Die::later(format_args!("unable to {}", reading(path, why)))
}

fn reading(path: &Path, why: &Unusable) -> String {
    format!("read {}: {why}", path.display())
}

/// A key, its certificate and those of the issuers, whatever order they come in.
fn identity(found: Pem, provider: &CryptoProvider) -> Result<CertifiedKey, Unusable> {
    let Pem { certificates, key, .. } = found;
    if certificates.is_empty() {
        return Err(Unusable::Without("certificate"));
    }
    let key = key.ok_or(Unusable::Without("private key"))?;
    let key = provider.key_provider.load_private_key(key).map_err(|_| {
        Unusable::Unfit(
            "private key is neither ECDSA, Ed25519 nor RSA of 2048 bits and more".into(),
        )
    })?;
    let own = certificates.iter().position(|certificate| belongs(&key, certificate));
    let own = own.ok_or_else(|| Unusable::Unfit("no certificate for this private key".into()))?;
    Ok(CertifiedKey::new(in_order(certificates, own), key))
}

/// Whether it is the certificate of this key, as far as can be told.
fn belongs(key: &Arc<dyn SigningKey>, certificate: &CertificateDer<'static>) -> bool {
    let pair = CertifiedKey::new(vec![certificate.clone()], key.clone());
    let unknown = Error::InconsistentKeys(InconsistentKeys::Unknown);
    pair.keys_match().is_ok() || pair.keys_match() == Err(unknown)
}

/// The certificate at `own` first, then its issuer, and so on; the rest as it is. Duplicates are
/// dropped.
fn in_order(mut rest: Vec<CertificateDer<'static>>, own: usize) -> Vec<CertificateDer<'static>> {
    let mut chain = vec![rest.remove(own)];
    while let Some(last) = chain.last() {
        let issuer = x509::read(last).map(|read| read.issuer);
        let subject = |other: &CertificateDer| x509::read(other).map(|read| read.subject) == issuer;
        match rest.iter().position(|other| issuer.is_some() && subject(other)) {
            Some(at) => {
                let next = rest.remove(at);
                if !chain.contains(&next) {
                    chain.push(next);
                }
            }
            None => break,
        }
    }
    rest.retain(|other| !chain.contains(other));
    chain.extend(rest);
    chain
}
