//! The network half: addresses, DNS, ident, and what UCSPI programs share.
//!
//! ```text
//! address qualify host   what people write             -> addresses and ports
//! dns names ident        addresses                     <> names, users
//! connect                addresses                     -> connections
//! connection             a connection                  -> variables, log lines
//! limits                 how many may come from where
//! ```

pub mod address;
pub mod connect;
pub mod connection;
pub mod dns;
pub mod host;
pub mod ident;
pub mod limits;
pub mod names;
pub mod qualify;
