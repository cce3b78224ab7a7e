//! TLS 1.2 and 1.3 between a connection and plain descriptors, on rustls with ring.
//!
//! ```text
//! pem ciphers names      files, cipher strings, host names  -> what rustls takes
//! end                    descriptors that do not wait, without a flag that others would feel
//! pump                   bytes between a connection and a program: handshake, then both ways
//! ```

pub mod ciphers;
pub mod end;
pub mod names;
pub mod pem;
pub mod pump;
#[cfg(test)]
mod testing;

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
