//! What tests of TLS need: a certificate that signs itself, for a hundred years, and both ends of
//! a connection.
#![allow(clippy::unwrap_used)] // It is for tests only.

use super::pem::{self, Pem};
use super::provider;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};
use std::sync::{Arc, LazyLock};

/// Of mail.example, with its key.
pub const PEM: &str = include_str!("testing.pem");

/// [`PEM`], read.
pub fn pem() -> Pem {
    pem::parse(PEM.as_bytes()).unwrap()
}

/// A server with that certificate.
pub fn server() -> ServerConnection {
    static CONFIG: LazyLock<Arc<ServerConfig>> = LazyLock::new(|| {
        let config = ServerConfig::builder_with_provider(provider(None))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(pem().certificates, pem().key().unwrap());
        Arc::new(config.unwrap())
    });
    ServerConnection::new(CONFIG.clone()).unwrap()
}

/// A client that trusts it.
pub fn client() -> ClientConnection {
    static CONFIG: LazyLock<Arc<ClientConfig>> = LazyLock::new(|| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(pem().certificates);
        let config = ClientConfig::builder_with_provider(provider(None))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Arc::new(config)
    });
    ClientConnection::new(CONFIG.clone(), "mail.example".try_into().unwrap()).unwrap()
}
