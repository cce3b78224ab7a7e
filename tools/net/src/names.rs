//! The names of addresses.

use crate::dns::{Resolver, found};
use std::io;
use std::net::IpAddr;

/// The name of an address: the first that the name servers have. An error means that they
/// cannot tell at the moment.
pub fn of(resolver: &mut Resolver, address: IpAddr) -> io::Result<Option<Vec<u8>>> {
    let names = found(resolver.ptr(address))?;
    Ok(names.into_iter().next().filter(|name| !name.is_empty()))
}

/// As [`of`], but only a name that leads back to the address.
pub fn proven(resolver: &mut Resolver, address: IpAddr) -> io::Result<Option<Vec<u8>>> {
    let Some(name) = of(resolver, address)? else { return Ok(None) };
    let back = match address.to_canonical() {
        IpAddr::V4(v4) => found(resolver.a(&name))?.contains(&v4),
        IpAddr::V6(v6) => found(resolver.aaaa(&name))?.contains(&v6),
    };
    Ok(back.then_some(name))
}
