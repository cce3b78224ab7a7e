//! What the unit tests of TLS need: a certificate that signs itself, for a hundred years, and both
//! ends of a connection.

use super::pem::{self, Pem};
use super::provider;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};
use std::sync::{Arc, LazyLock};

/// Of mail.example, with its key.
pub const PEM: &str = "\
-----BEGIN CERTIFICATE-----
MIIBZjCCAQ2gAwIBAgIBATAKBggqhkjOPQQDAjAXMRUwEwYDVQQDDAxtYWlsLmV4
YW1wbGUwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBcxFTATBgNV
BAMMDG1haWwuZXhhbXBsZTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABFbxNign
8PbxGZ9ov030ya2UEiBwa44Zmfl7faxnTiAqaAzHDBHMp9NOJs8jubj0ycMH6th3
w7bOY7fOpbrwWy+jSDBGMBcGA1UdEQQQMA6CDG1haWwuZXhhbXBsZTAMBgNVHRMB
Af8EAjAAMB0GA1UdDgQWBBSqGtetB62Ufh8fZCiCfNY3fb+atzAKBggqhkjOPQQD
AgNHADBEAiA93dNHNT1IV87KdF8rN8MqUSpeibrkZQ0kfk7SbRcgmQIgco4vTTHk
peknKk6kDyO5Abarh7pcntbT4MXqKlFt6Ac=
-----END CERTIFICATE-----
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg6n0SsK+odg7HuRx/
PIDs3fvtbGsab+12WNpDOD9GW0OhRANCAARW8TYoJ/D28RmfaL9N9MmtlBIgcGuO
GZn5e32sZ04gKmgMxwwRzKfTTibPI7m49MnDB+rYd8O2zmO3zqW68Fsv
-----END PRIVATE KEY-----
";

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
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(pem().certificates);
    let config = ClientConfig::builder_with_provider(provider(None))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = "mail.example".try_into().unwrap();
    ClientConnection::new(Arc::new(config), name).unwrap()
}
