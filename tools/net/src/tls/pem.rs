//! PEM files with certificates, a private key and revocation lists in any order, and whatever
//! text between them.

use base::errno;
use memchr::memmem;
use rustls::pki_types::pem::{Error, PemObject, SectionKind};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use std::fmt;
use std::io::{self, Read};

/// No file is longer: the certificate authorities of a whole system take a quarter of a megabyte.
const LONGEST: u64 = 16 << 20;
/// Most files are shorter, and read at once.
const USUAL: usize = 8192;

/// What a file holds.
#[derive(Debug, Default)]
pub struct Pem {
    /// In the order of the file.
    pub certificates: Vec<CertificateDer<'static>>,
    /// The first one.
    pub key: Option<PrivateKeyDer<'static>>,
    /// In the order of the file.
    pub revoked: Vec<CertificateRevocationListDer<'static>>,
}

/// Why a file is of no use.
#[derive(Debug)]
pub enum Unusable {
    /// It cannot be read.
    Unread(io::Error),
    /// It is not PEM.
    Bad(Error),
    /// This is not in it: `certificate`, `private key`.
    Without(&'static str),
    /// There is a private key, but only for those who know a password.
    Locked,
    /// What is in it does not fit together or is not supported.
    Unfit(String),
}

impl fmt::Display for Unusable {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Unusable::Unread(why) => to.write_str(errno::words(why).as_ref()),
            Unusable::Bad(Error::MissingSectionEnd { .. }) => to.write_str("end is missing"),
            Unusable::Bad(Error::IllegalSectionStart { .. }) => {
                to.write_str("bad start of section")
            }
            Unusable::Bad(Error::Base64Decode(_)) => to.write_str("bad base64"),
            Unusable::Bad(_) => to.write_str("format error"),
            Unusable::Without(what) => write!(to, "no {what} in it"),
            Unusable::Locked => to.write_str("private key has a password"),
            Unusable::Unfit(why) => to.write_str(why),
        }
    }
}

/// Reads all of a file.
pub fn read(file: impl Read) -> Result<Pem, Unusable> {
    let mut text = Vec::with_capacity(USUAL);
    file.take(LONGEST).read_to_end(&mut text).map_err(Unusable::Unread)?;
    parse(&text)
}

/// Takes the text of a file apart. Sections of other kinds are passed over.
pub fn parse(text: &[u8]) -> Result<Pem, Unusable> {
    let mut found = Pem::default();
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(text) {
        let (kind, bytes) = match section {
            Ok(section) => section,
            Err(_) if has_locked_key(text) => return Err(Unusable::Locked),
            Err(why) => return Err(Unusable::Bad(why)),
        };
        match kind {
            SectionKind::Certificate => found.certificates.push(bytes.into()),
            SectionKind::Crl => found.revoked.push(bytes.into()),
            kind if found.key.is_none() => found.key = PrivateKeyDer::from_pem(kind, bytes),
            _ => {}
        }
    }
    if found.key.is_none() && has_locked_key(text) {
        return Err(Unusable::Locked);
    }
    Ok(found)
}

/// Whether there is a key with a password, in one of the two ways of saying so.
fn has_locked_key(text: &[u8]) -> bool {
    let marks = ["-----BEGIN ENCRYPTED PRIVATE KEY", "Proc-Type: 4,ENCRYPTED"];
    marks.iter().any(|mark| memmem::find(text, mark.as_bytes()).is_some())
}

/// A certificate in PEM, as OpenSSL writes it.
pub fn text(certificate: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in certificate.chunks(48) {
        for group in line.chunks(3) {
            let bits =
                (0..3).fold(0, |all, at| all << 8 | group.get(at).map_or(0, |b| usize::from(*b)));
            for at in 0..4 {
                let digit = DIGITS[bits >> (18 - 6 * at) & 63];
                text.push(if at > group.len() { '=' } else { char::from(digit) });
            }
        }
        text.push('\n');
    }
    text + "-----END CERTIFICATE-----\n"
}

impl Pem {
    /// The certificates, of which there must be one.
    pub fn certificates(self) -> Result<Vec<CertificateDer<'static>>, Unusable> {
        match &self.certificates[..] {
            [] => Err(Unusable::Without("certificate")),
            _ => Ok(self.certificates),
        }
    }

    /// The private key, which must be there.
    pub fn key(self) -> Result<PrivateKeyDer<'static>, Unusable> {
        self.key.ok_or(Unusable::Without("private key"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::tests::Random;

    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nAAEC\n-----END CERTIFICATE-----\n";
    const KEY: &str = "-----BEGIN PRIVATE KEY-----\nAwQF\n-----END PRIVATE KEY-----\n";

    #[test]
    fn sections_come_in_any_order() {
        let other = "-----BEGIN DH PARAMETERS-----\nAAEC\n-----END DH PARAMETERS-----\n";
        let text =
            format!("Bag Attributes\n{KEY}{other} subject=x\n{CERTIFICATE}\r\n{CERTIFICATE}");
        let found = parse(text.as_bytes()).unwrap();
        assert_eq!(found.certificates, [vec![0, 1, 2].into(), vec![0, 1, 2].into()]);
        assert_eq!(found.key().unwrap().secret_der(), [3, 4, 5]);
    }

    #[test]
    fn text_is_read_again() {
        for length in 0..100 {
            let bytes = Random::new(length).bytes(length as usize);
            let found = parse(text(&bytes).as_bytes()).unwrap();
            assert_eq!(found.certificates, [bytes.into()]);
        }
    }

    #[test]
    fn flaws_have_words() {
        let words = |text: &str| match parse(text.as_bytes()).and_then(Pem::key) {
            Ok(_) => "good".to_owned(),
            Err(why) => why.to_string(),
        };
        assert_eq!(words(KEY), "good");
        assert_eq!(words(CERTIFICATE), "no private key in it");
        assert_eq!(words(&KEY.replace("AwQF", "A*QF")), "bad base64");
        assert_eq!(words(&KEY[..40]), "end is missing");
        let locked = KEY.replace("PRIVATE", "ENCRYPTED PRIVATE");
        assert_eq!(words(&locked), "private key has a password");
        let old = KEY.replace(" PRIVATE", " RSA PRIVATE").replace("AwQF", "Proc-Type: 4,ENCRYPTED");
        assert_eq!(words(&old), "private key has a password");
        let none = parse(b"").and_then(Pem::certificates).unwrap_err();
        assert_eq!(none.to_string(), "no certificate in it");
    }

    #[test]
    fn damaged_files_are_read_or_refused() {
        let mut random = Random::new(12);
        let whole = format!("{KEY}{CERTIFICATE}");
        for _ in 0..10_000 {
            let _ = parse(&random.damaged(whole.as_bytes()));
        }
    }
}
