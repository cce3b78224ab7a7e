//! Which addresses are this host.

use base::sys::interfaces;
use std::io;
use std::net::IpAddr;

/// The addresses of this host's interfaces, and 0.0.0.0 and `::`, which lead to it too.
#[derive(Clone, Debug)]
pub struct OwnAddresses(Vec<IpAddr>);

impl OwnAddresses {
    /// Asks the system.
    pub fn read() -> io::Result<Self> {
        interfaces::addresses().map(OwnAddresses)
    }

    /// Whether a connection to this address would come to this host.
    pub fn has(&self, ip: IpAddr) -> bool {
        ip.is_unspecified() || self.0.contains(&ip)
    }
}
