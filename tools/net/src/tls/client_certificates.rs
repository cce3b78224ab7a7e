//! Certificates that clients show: who may have issued them, and whether a client must show one.

use super::certificates::read;
use base::env::Env;
use base::files;
use base::{Die, Result, Unable};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// What is asked of a client.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Demand {
    /// A certificate is asked for if there is a $CCAFILE; it need not come, and need not be good.
    #[default]
    Nothing,
    /// -m: a good one must come.
    Good,
    /// -z: and it must be for $TCPREMOTEHOST.
    Named,
}

/// Looks at the certificate of a client.
#[derive(Debug)]
pub struct Check {
    inner: Arc<dyn ClientCertVerifier>,
    demand: Demand,
    /// $TCPREMOTEHOST or, under sslserver, $SSLREMOTEHOST.
    host: Option<String>,
    /// $VERIFYDEPTH: so many certificates at most between that of the client and one that is
    /// trusted.
    depth: usize,
    /// Why the certificate that came is not good.
    flaw: Mutex<Option<String>>,
}

impl Check {
    /// What the environment asks for. `None`: no client is asked for a certificate.
    pub fn read(env: &Env, demand: Demand, provider: &Arc<CryptoProvider>) -> Result<Option<Self>> {
        let path = |name: &str| env.get(name).map(|file| Path::new(OsStr::from_bytes(file)));
        let own = match path("CCAFILE") {
            Some(file) if file == Path::new("-") => return none(demand),
            None if demand == Demand::Nothing => return Ok(None),
            own => own,
        };
        let mut roots = RootCertStore::empty();
        for file in [own, path("CAFILE")].into_iter().flatten() {
            roots.add_parsable_certificates(read(file)?.certificates);
        }
        if let Some(folder) = path("CADIR") {
            add_folder(&mut roots, folder)?;
        }
        if roots.is_empty() {
            return none(demand);
        }
        let builder = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone());
        let builder = match path("CRLFILE") {
            None => builder,
            Some(file) => builder
                .with_crls(read(file)?.revoked)
                .only_check_end_entity_revocation()
                .enforce_revocation_expiration(),
        };
        let inner =
            builder.build().map_err(|why| Die::later(format_args!("bad CRLFILE: {why}")))?;
        let depth = match env.get("VERIFYDEPTH") {
            None => usize::MAX,
            Some(text) => base::number::decimal(text)
                .and_then(|depth| depth.try_into().ok())
                .ok_or_else(|| Die::later("bad VERIFYDEPTH"))?,
        };
        let host = env
            .get("TCPREMOTEHOST")
            .or(env.get("SSLREMOTEHOST"))
            .map(|host| String::from_utf8_lossy(host).into_owned());
        Ok(Some(Check { inner, demand, host, depth, flaw: Mutex::default() }))
    }

    /// Why the certificate that the client has shown is not good.
    pub fn flaw(&self) -> Option<String> {
        self.flaw.lock().ok()?.clone()
    }

    fn judge(&self, own: &CertificateDer, others: &[CertificateDer], now: UnixTime) -> Judgement {
        let others = &others[..others.len().min(self.depth)];
        let good = self.inner.verify_client_cert(own, others, now)?;
        if self.demand == Demand::Named {
            let host = self.host.as_deref().unwrap_or_default();
            let name = ServerName::try_from(host)
                .map_err(|_| Error::General("the client has no host name".into()))?;
            verify_server_name(&ParsedCertificate::try_from(own)?, &name)?;
        }
        Ok(good)
    }
}

type Judgement = std::result::Result<ClientCertVerified, Error>;

/// Nobody can issue a certificate that is good.
fn none(demand: Demand) -> Result<Option<Check>> {
    match demand {
        Demand::Nothing => Ok(None),
        _ => Err(Die::later("no certificate authority for client certificates")),
    }
}

/// Adds what the files of a folder hold. Those that hold no certificates are passed over.
fn add_folder(roots: &mut RootCertStore, folder: &Path) -> Result<()> {
    let unable = || format!("read {}", folder.display());
    for entry in files::entries(folder).unable(unable())? {
        let path = entry.unable(unable())?.path();
        if path.is_file()
            && let Ok(found) = read(&path)
        {
            roots.add_parsable_certificates(found.certificates);
        }
    }
    Ok(())
}

impl ClientCertVerifier for Check {
    fn client_auth_mandatory(&self) -> bool {
        self.demand != Demand::Nothing
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    /// Without -m and -z, whoever shows a bad certificate is nobody, but served: mail servers
    /// show what they have.
    fn verify_client_cert(
        &self,
        own: &CertificateDer,
        others: &[CertificateDer],
        now: UnixTime,
    ) -> Judgement {
        let judgement = self.judge(own, others, now);
        match (judgement, self.flaw.lock()) {
            (Err(why), Ok(mut flaw)) if self.demand == Demand::Nothing => {
                *flaw = Some(why.to_string());
                Ok(ClientCertVerified::assertion())
            }
            (judgement, _) => judgement,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
