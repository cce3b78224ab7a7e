//! The network half: addresses, DNS, ident, sockets as UCSPI programs need them.

pub mod address;
pub mod connect;
pub mod dns;
pub mod host;
pub mod ident;
pub mod qualify;
