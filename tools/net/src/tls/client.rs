//! The client's side of TLS: what it demands of the server's certificate, and what it shows.

use super::facts::Facts;
use super::pem::{self, Pem, Unusable};
use super::pump::Broken;
use super::{names, provider, trust, x509};
use crate::address;
use base::env::Env;
use base::number::decimal;
use base::opt::Opts;
use base::{Die, Result};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, ServerName, SignatureVerificationAlgorithm, UnixTime,
};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, Connection, DigitallySignedStruct, Error,
    RootCertStore, SignatureScheme,
};
use std::fs::File;
use std::net::Ipv4Addr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What the options of a client say of TLS.
#[derive(Debug)]
pub struct Demands {
    /// -x: the server's certificate comes from an authority that is trusted. -X: any will do.
    pub trusted: bool,
    /// -n: it is also for the host that was called. -N: for any.
    pub named: bool,
    /// -a and -A: the authorities, if not those of the system.
    pub authorities: [Option<PathBuf>; 2],
    /// -V: at most so many certificates stand between the server's and that of an authority.
    pub depth: usize,
    /// -c and -k: our own certificate and its key. Each file may hold both.
    pub own: [Option<PathBuf>; 2],
    /// -z: as OpenSSL has it.
    pub ciphers: Option<Vec<u8>>,
}

impl Default for Demands {
    fn default() -> Self {
        let (authorities, own) = Default::default();
        Demands { trusted: true, named: true, authorities, depth: usize::MAX, own, ciphers: None }
    }
}

impl Demands {
    /// Takes an option of sslclient, with its argument. An empty one counts as none.
    pub fn set(&mut self, letter: u8, opts: &Opts) -> Result<()> {
        let argument = Some(opts.argument()).filter(|argument| !argument.is_empty());
        match letter {
            b'x' => self.trusted = true,
            b'X' => self.trusted = false,
            b'n' => self.named = true,
            b'N' => self.named = false,
            b'a' => self.authorities[0] = argument.map(PathBuf::from),
            b'A' => self.authorities[1] = argument.map(PathBuf::from),
            b'c' => self.own[0] = argument.map(PathBuf::from),
            b'k' => self.own[1] = argument.map(PathBuf::from),
            b'V' => {
                let depth = decimal(opts.argument().as_bytes());
                let depth = depth.and_then(|depth| depth.try_into().ok());
                self.depth = depth.ok_or_else(|| opts.bad_usage())?;
            }
            _ => self.ciphers = argument.map(|argument| argument.as_bytes().to_vec()),
        }
        Ok(())
    }

    /// A connection that has not begun yet, to this host: its name, which the server is told, or
    /// its address. Without one, the name in the certificate does not matter.
    pub fn connection(&self, host: Option<&[u8]>) -> Result<Connection> {
        let provider = provider(self.ciphers.as_deref());
        let verifier = Verifier {
            trusted: self.trust()?,
            name: host.filter(|_| self.named).map(<[u8]>::to_vec),
            depth: self.depth,
            algorithms: provider.signature_verification_algorithms,
        };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|_| Die::later("unable to set cipher list"))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match self.certificate()? {
            None => config.with_no_client_auth(),
            Some((chain, key)) => config
                .with_client_auth_cert(chain, key)
                .map_err(|why| Die::later(format_args!("unable to use certificate: {why}")))?,
        };
        config.resumption = Resumption::disabled();
        // An address is never told.
        let name = host.and_then(server_name).unwrap_or(Ipv4Addr::UNSPECIFIED.into());
        let connection = ClientConnection::new(Arc::new(config), name);
        let connection = connection.map_err(|_| Die::later("unable to create TLS connection"))?;
        Ok(connection.into())
    }

    /// The authorities, which are not even read if nobody wants them.
    fn trust(&self) -> Result<Option<Trusted>> {
        let [file, folder] = &self.authorities;
        let read = || trust::certificates(file.as_deref(), folder.as_deref());
        let read = self.trusted.then(read).transpose()?;
        Ok(read
            .map(|themselves| Trusted { authorities: trust::authorities(&themselves), themselves }))
    }

    /// Our own certificate with those that belong to it, and its key.
    fn certificate(
        &self,
    ) -> Result<Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>> {
        let [certificate, key] = &self.own;
        let Some(first) = certificate.as_deref().or(key.as_deref()) else { return Ok(None) };
        let key = key.as_deref().unwrap_or(first);
        let chain = part_of(first, Pem::certificates)?;
        Ok(Some((chain, part_of(key, Pem::key)?)))
    }
}

/// Part of what a PEM file holds.
fn part_of<T>(
    file: &Path,
    part: impl FnOnce(Pem) -> std::result::Result<T, Unusable>,
) -> Result<T> {
    let found = File::open(file).map_err(Unusable::Unread).and_then(pem::read).and_then(part);
    found.map_err(|why| Die::later(format_args!("unable to read {}: {why}", file.display())))
}

/// A host as the library has it. `None` if the text is neither an address nor a name.
fn server_name(host: &[u8]) -> Option<ServerName<'static>> {
    if address::is_literal(host) {
        return Some(address::parse(host, 0)?.ip().into());
    }
    let name = str::from_utf8(host.strip_suffix(b".").unwrap_or(host)).ok()?;
    Some(ServerName::try_from(name).ok()?.to_owned())
}

/// Last words for a handshake with this host that has failed.
pub fn failure(why: &Broken, host: &[u8]) -> Die {
    use CertificateError::*;
    let Broken::Tls(error) = why else {
        return Die::later(format_args!("unable to SSL connect: {why}"));
    };
    let invalid =
        |why: &str| Die::later(format_args!("unable to validate server certificate: {why}"));
    match error {
        Error::NoCertificatesPresented => Die::later("no server certificate"),
        Error::InvalidCertificate(NotValidForName) => {
            let host = host.escape_ascii();
            Die::later(format_args!("server hostname does not match certificate: {host}"))
        }
        Error::InvalidCertificate(Expired | ExpiredContext { .. }) => invalid("expired"),
        Error::InvalidCertificate(NotValidYet | NotValidYetContext { .. }) => {
            invalid("not valid yet")
        }
        Error::InvalidCertificate(UnknownIssuer) => invalid("unknown authority"),
        Error::InvalidCertificate(_) => invalid(&why.to_string()),
        _ => Die::later(format_args!("unable to SSL connect: {why}")),
    }
}

/// Sets in `env` what is known of a connection after its handshake; `all` of it, with the server's
/// certificates, or what is always told.
pub fn set_variables(tls: &Connection, all: bool, env: &mut Env) {
    let mut facts = Facts::default();
    facts.add_connection(tls, None);
    if all {
        facts.add_details(tls);
        facts.add_chain("SERVER", tls.peer_certificates().unwrap_or_default());
    }
    for (name, value) in facts.iter() {
        env.set(name, value);
    }
}

/// The authorities that count.
#[derive(Debug)]
struct Trusted {
    authorities: RootCertStore,
    /// Their certificates. A server may have one of these itself.
    themselves: Vec<CertificateDer<'static>>,
}

/// Judges the certificates of servers.
#[derive(Debug)]
struct Verifier {
    /// None: every certificate will do.
    trusted: Option<Trusted>,
    /// For whom it must be.
    name: Option<Vec<u8>>,
    depth: usize,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        own: &CertificateDer,
        others: &[CertificateDer],
        _: &ServerName,
        _: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, Error> {
        if let Some(trusted) = &self.trusted {
            // Servers send their chain in order, so that those beyond are not needed.
            let between = &others[..others.len().min(self.depth)];
            trusted.vouch(own, between, now, self.algorithms.all)?;
            self.name.as_deref().map_or(Ok(()), |name| is_for(own, name))?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        own: &CertificateDer,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, own, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        own: &CertificateDer,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, own, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl Trusted {
    /// Whether a certificate comes from an authority by way of those `between`, or is itself one
    /// that is trusted, as self-signed ones are.
    fn vouch(
        &self,
        own: &CertificateDer,
        between: &[CertificateDer],
        now: UnixTime,
        algorithms: &[&dyn SignatureVerificationAlgorithm],
    ) -> std::result::Result<(), Error> {
        let certificate = x509::read(own).ok_or(CertificateError::BadEncoding)?;
        if self.themselves.iter().any(|trusted| trusted == own) {
            return match certificate.is_valid_at(now.as_secs()) {
                true => Ok(()),
                false => Err(CertificateError::Expired.into()),
            };
        }
        if certificate.issuer == certificate.subject {
            return Err(CertificateError::UnknownIssuer.into());
        }
        let parsed = ParsedCertificate::try_from(own)?;
        let roots = &self.authorities;
        verify_server_cert_signed_by_trust_anchor(&parsed, roots, between, now, algorithms)
    }
}

/// Whether a certificate is for this host: by its alternative names, or if it has none by its
/// common name.
fn is_for(own: &CertificateDer, host: &[u8]) -> std::result::Result<(), Error> {
    let wrong = Err(CertificateError::NotValidForName.into());
    let Some(name) = server_name(host) else { return wrong };
    match verify_server_name(&ParsedCertificate::try_from(own)?, &name) {
        Err(Error::InvalidCertificate(CertificateError::NotValidForNameContext {
            presented,
            ..
        })) => {
            let common = x509::read(own).and_then(|own| own.subject.part(x509::COMMON_NAME));
            let same = common.is_some_and(|common| names::means(&common, &name.to_str()));
            if presented.is_empty() && same { Ok(()) } else { wrong }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::testing;
    use ::tests::{Random, Scratch, scratch};
    use rustls::version::{TLS12, TLS13};
    use rustls::{ServerConfig, ServerConnection, SupportedProtocolVersion};
    use std::sync::LazyLock;

    /// A client that trusts the certificate of [`testing`].
    fn client(host: &str) -> Connection {
        static PLACE: LazyLock<Scratch> = LazyLock::new(|| {
            let place = scratch();
            place.write("ca.pem", testing::PEM);
            place
        });
        let authorities = [Some(PLACE.join("ca.pem")), None];
        let demands = Demands { authorities, ..Demands::default() };
        demands.connection(Some(host.as_bytes())).unwrap()
    }

    /// A server with that certificate.
    fn server(version: &'static SupportedProtocolVersion) -> Connection {
        let config = ServerConfig::builder_with_provider(provider(None))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(testing::pem().certificates, testing::pem().key().unwrap());
        ServerConnection::new(Arc::new(config.unwrap())).unwrap().into()
    }

    /// All that one end has to say.
    fn flight(end: &mut Connection) -> Vec<u8> {
        let mut bytes = Vec::new();
        while end.wants_write() {
            end.write_tls(&mut bytes).unwrap();
        }
        bytes
    }

    fn hear(end: &mut Connection, mut bytes: &[u8]) -> std::result::Result<(), Error> {
        while !bytes.is_empty() {
            end.read_tls(&mut bytes).map_err(|_| Error::General("too much".into()))?;
            end.process_new_packets()?;
        }
        Ok(())
    }

    /// What the client says of a server of that version in the end.
    fn judged(host: &str, version: &'static SupportedProtocolVersion) -> String {
        let (mut client, mut server) = (client(host), server(version));
        for _ in 0..3 {
            hear(&mut server, &flight(&mut client)).unwrap();
            if let Err(why) = hear(&mut client, &flight(&mut server)) {
                return failure(&Broken::Tls(why), host.as_bytes()).text;
            }
        }
        if client.is_handshaking() { "shakes still".into() } else { "good".into() }
    }

    #[test]
    fn the_name_must_be_that_of_the_certificate() {
        for version in [&TLS12, &TLS13] {
            assert_eq!(judged("mail.example", version), "good");
            assert_eq!(judged("Mail.Example.", version), "good");
            for wrong in ["example", "a.mail.example", "127.0.0.1", "::1", "a b", ""] {
                let text = "fatal: server hostname does not match certificate: ";
                assert_eq!(judged(wrong, version), format!("{text}{wrong}"));
            }
        }
    }

    #[test]
    fn damaged_servers_are_not_believed() {
        let mut random = Random::new(11);
        for version in [&TLS12, &TLS13] {
            let (mut asking, mut server) = (client("mail.example"), server(version));
            hear(&mut server, &flight(&mut asking)).unwrap();
            let first = flight(&mut server);
            for _ in 0..5_000 {
                let mut client = client("mail.example");
                flight(&mut client);
                let _ = hear(&mut client, &random.damaged(&first));
                assert!(client.is_handshaking());
            }
        }
    }
}
