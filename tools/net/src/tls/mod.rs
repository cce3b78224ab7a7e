//! TLS 1.2 and 1.3 between a connection and plain descriptors, on rustls with ring.
//!
//! ```text
//! pem ciphers names      files, cipher strings, host names  -> what rustls takes
//! x509 facts             certificates, connections          -> what programs are told
//! end                    descriptors that do not wait, without a flag that others would feel
//! pump                   bytes between a connection and a program: handshake, then both ways
//! certificates           those of a server: which file for which host
//! client_certificates    those of clients: which are good
//! tickets                sessions that are resumed, whichever process serves the client
//! server                 all that one server's connection needs, and its life
//! control                how a program and that server talk (UCSPI-TLS)
//! visitor                what sslserver does for a visitor, with such a child
//! child                  the server as a child of the process that becomes the program
//! trust                  certificates of authorities: a file, a folder, the system
//! client                 what a client demands of a server, and shows it
//! ```

pub mod certificates;
pub mod child;
pub mod ciphers;
pub mod client;
pub mod client_certificates;
pub mod control;
pub mod end;
pub mod facts;
pub mod names;
pub mod pem;
pub mod pump;
pub mod server;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod tickets;
pub mod trust;
pub mod visitor;
pub mod x509;

use rustls::crypto::{CryptoProvider, ring};
use std::sync::Arc;

/// The cryptography of one connection. `ciphers` as OpenSSL has it, say `HIGH:!CHACHA20`; all
/// suites without.
pub fn provider(ciphers: Option<&[u8]>) -> Arc<CryptoProvider> {
    let mut provider = ring::default_provider();
    if let Some(text) = ciphers {
        provider.cipher_suites = ciphers::select(text);
    }
    Arc::new(provider)
}
