//! Certificates made at test time, and clients that look at them.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use tests::{Scratch, fed, ran, scratch, shown};

/// A certificate authority, and a folder with all that it has issued.
pub struct Authority {
    pub place: Scratch,
}

/// Kinds of keys, as `openssl req -newkey` wants them.
pub const ECDSA: &[&str] = &["ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
pub const RSA: &[&str] = &["rsa:2048"];

/// An authority in a folder of its own: `ca.pem`, `ca.key`.
pub fn authority() -> Authority {
    authority_called("Test Authority")
}

/// The same, with a name.
pub fn authority_called(name: &str) -> Authority {
    let authority = Authority { place: scratch() };
    let (name, usage) = (format!("/CN={name}"), "basicConstraints=critical,CA:TRUE");
    authority.request("ca", ECDSA, &["-subj", &name, "-addext", usage]);
    authority
}

impl Authority {
    /// Issues `NAME.pem` with `NAME.key` for a host, with a key of this kind.
    #[track_caller]
    pub fn issue(&self, name: &str, kind: &[&str], host: &str) -> &Self {
        let subject = format!("/C=AQ/O=Example/CN={host}");
        let names = format!("subjectAltName=DNS:{host}");
        self.signed(name, kind, &["-subj", &subject, "-addext", &names])
    }

    /// Issues another authority.
    #[track_caller]
    pub fn issue_authority(&self, name: &str) -> &Self {
        let (subject, usage) = (format!("/CN={name}"), "basicConstraints=critical,CA:TRUE");
        let issuer = ["-CA", "ca.pem", "-CAkey", "ca.key", "-addext", usage, "-subj", &subject];
        self.request(name, ECDSA, &issuer);
        self
    }

    /// As [`Authority::issue`], with options of `openssl req`.
    #[track_caller]
    pub fn signed(&self, name: &str, kind: &[&str], more: &[&str]) -> &Self {
        let issuer = ["-CA", "ca.pem", "-CAkey", "ca.key", "-addext", "basicConstraints=CA:FALSE"];
        self.request(name, kind, &[&issuer, more].concat());
        self
    }

    #[track_caller]
    fn request(&self, name: &str, kind: &[&str], more: &[&str]) {
        let (key, pem) = (format!("{name}.key"), format!("{name}.pem"));
        let files = ["-nodes", "-days", "30", "-keyout", &key, "-out", &pem];
        self.openssl(&[&["req", "-x509", "-newkey"], kind, &files, more].concat());
    }

    /// Runs openssl in the folder, to its end.
    #[track_caller]
    pub fn openssl(&self, words: &[&str]) {
        let o = fed(Command::new("openssl").args(words).current_dir(self.place.path()), "");
        assert!(o.status.success(), "{words:?}: {}", shown(&o.stderr));
    }

    /// The path of a file.
    pub fn path(&self, name: &str) -> PathBuf {
        self.place.join(name)
    }

    /// Has a server use `NAME.pem` and `NAME.key`.
    pub fn on<'a>(&self, name: &str, command: &'a mut Command) -> &'a mut Command {
        let (pem, key) = (format!("{name}.pem"), format!("{name}.key"));
        command.env("CERTFILE", self.path(&pem)).env("KEYFILE", self.path(&key))
    }

    /// `openssl s_client` to a port, which trusts this authority alone: what it is told after
    /// saying `input`.
    #[track_caller]
    pub fn s_client(&self, port: u16, options: &[&str], input: &str) -> String {
        let to = format!("127.0.0.1:{port}");
        let mut client = Command::new("openssl");
        client.args(["s_client", "-quiet", "-CAfile", "ca.pem", "-verify_return_error"]);
        client.args(["-verify_quiet", "-connect", &to]).args(options);
        let (_, out, _) = ran(&fed(client.current_dir(self.place.path()), input));
        out
    }

    /// What our own kind of client takes.
    pub fn config(&self) -> ClientConfig {
        self.builder().with_no_client_auth()
    }

    /// The same, with the certificate `NAME.pem` of an authority.
    pub fn config_as(&self, issuer: &Authority, name: &str) -> ClientConfig {
        let [pem, key] = ["pem", "key"].map(|kind| issuer.path(&format!("{name}.{kind}")));
        let certificate = CertificateDer::from_pem_file(pem).unwrap();
        let key = PrivateKeyDer::from_pem_file(key).unwrap();
        self.builder().with_client_auth_cert(vec![certificate], key).unwrap()
    }

    fn builder(&self) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.path("ca.pem")).unwrap()).unwrap();
        ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
    }

    /// A client for `mail.example` on a connection. The handshake happens with the first byte.
    pub fn client(&self, stream: TcpStream) -> StreamOwned<ClientConnection, TcpStream> {
        client(self.config(), "mail.example", stream)
    }
}

/// A client on a connection that wants this host.
pub fn client(
    config: ClientConfig,
    host: &'static str,
    stream: TcpStream,
) -> StreamOwned<ClientConnection, TcpStream> {
    let name = host.try_into().unwrap();
    StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), stream)
}
