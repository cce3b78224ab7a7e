//! Host and port arguments: an address, `localhost`, or a name for the name servers; a number or
//! the name of a service.

use crate::dns::{Resolver, found};
use crate::{address, qualify};
use base::env::Env;
use base::number::decimal;
use base::sys::{host, random};
use base::{Die, Result, Unable, errno};
use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::ffi::OsStrExt;

/// The rewriting rules, unless $DNSREWRITEFILE names another file.
const REWRITE_FILE: &str = "/etc/dnsrewrite";
/// Service names.
const SERVICES: &str = "/etc/services";

/// Which addresses are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv6 and IPv4.
    Both,
    /// IPv4 alone.
    V4,
}

/// How host arguments are read.
pub struct Reading<'a> {
    /// Which addresses count.
    pub family: Family,
    /// The interface of link-local addresses that name none.
    pub interface: Option<&'a OsStr>,
    /// Where names are asked for, and descriptors named.
    pub env: &'a Env,
}

/// Reads a port argument, or says that it cannot be figured out.
pub fn port(port: &OsStr) -> Result<u16> {
    let known = port_of(port.as_bytes()).unable(format_args!("read {SERVICES}"))?;
    known.ok_or_else(|| {
        Die::later(format_args!("unable to figure out port number for {}", port.display()))
    })
}

/// The addresses that a host argument means, at least one.
pub fn addresses(host: &OsStr, port: u16, reading: &Reading) -> Result<Vec<SocketAddr>> {
    let scope = match reading.interface {
        None => 0,
        Some(name) => address::interface(name.as_bytes())
            .ok_or_else(|| Die::later(format_args!("unknown interface {}", name.display())))?,
    };
    let settings = Settings::of(reading.env);
    let found = settings.addresses(host.as_bytes(), port, reading.family).map_err(|why| {
        let (host, why) = (host.display(), errno::words(&why));
        Die::later(format_args!("temporarily unable to figure out IP address for {host}: {why}"))
    })?;
    if found.is_empty() {
        return Err(Die::later(format_args!("no IP address for {}", host.display())));
    }
    Ok(found.into_iter().map(|found| scoped(found, scope)).collect())
}

/// Gives a link-local address that has none its interface.
fn scoped(mut address: SocketAddr, scope: u32) -> SocketAddr {
    if let SocketAddr::V6(v6) = &mut address
        && v6.ip().is_unicast_link_local()
        && v6.scope_id() == 0
    {
        v6.set_scope_id(scope);
    }
    address
}

/// What the environment says about names.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// $DNSCACHEIP.
    pub dns_cache_ip: Option<Vec<u8>>,
    /// $DNSREWRITEFILE.
    pub dns_rewrite_file: Option<Vec<u8>>,
    /// $LOCALDOMAIN.
    pub local_domain: Option<Vec<u8>>,
}

impl Settings {
    /// As this environment has them.
    pub fn of(env: &Env) -> Self {
        let get = |name: &str| env.get(name).map(<[u8]>::to_vec);
        Settings {
            dns_cache_ip: get("DNSCACHEIP"),
            dns_rewrite_file: get("DNSREWRITEFILE"),
            local_domain: get("LOCALDOMAIN"),
        }
    }

    /// A resolver that asks the servers that the environment names.
    pub fn resolver(&self) -> Resolver {
        Resolver::new(self.dns_cache_ip.as_deref())
    }

    /// The addresses that `host` means, with this port. Those of a name are in random order,
    /// IPv6 first. None is no error: an error means that it cannot be known at the moment.
    pub fn addresses(&self, host: &[u8], port: u16, family: Family) -> io::Result<Vec<SocketAddr>> {
        if address::is_literal(host) {
            let wanted = |at: &SocketAddr| at.is_ipv4() || family == Family::Both;
            return Ok(address::parse(host, port).filter(wanted).into_iter().collect());
        }
        if is_localhost(host) {
            return Ok(loopback(port, family));
        }
        let mut resolver = self.resolver();
        for name in self.rules()?.apply(host) {
            let addresses = one_name(&mut resolver, &name, family)?;
            if !addresses.is_empty() {
                return Ok(addresses.into_iter().map(|ip| (ip, port).into()).collect());
            }
        }
        Ok(Vec::new())
    }

    /// From the rewriting file, $LOCALDOMAIN, /etc/resolv.conf or the name of this host.
    fn rules(&self) -> io::Result<qualify::Rules> {
        use qualify::Rules;
        let file = self.dns_rewrite_file.as_deref().unwrap_or(REWRITE_FILE.as_bytes());
        if let Some(text) = read_if_any(OsStr::from_bytes(file))? {
            return Ok(Rules::from_file(&text));
        }
        if let Some(domains) = &self.local_domain {
            return Ok(Rules::from_search_list(domains));
        }
        let resolv = read_if_any("/etc/resolv.conf".as_ref())?.unwrap_or_default();
        Ok(Rules::from_resolv_conf(&resolv).unwrap_or_else(|| Rules::from_host_name(&host::name())))
    }
}

/// Addresses of a whole name, which may have become an address by a rewriting rule.
fn one_name(resolver: &mut Resolver, name: &[u8], family: Family) -> io::Result<Vec<IpAddr>> {
    if address::is_literal(name) {
        return Ok(address::parse(name, 0).map(|address| address.ip()).into_iter().collect());
    }
    let mut addresses = match family {
        Family::V4 => found(resolver.a(name))?.into_iter().map(IpAddr::from).collect(),
        Family::Both => found(resolver.addresses(name))?,
    };
    random::shuffle(&mut addresses);
    addresses.sort_by_key(|address| address.is_ipv4());
    Ok(addresses)
}

/// `localhost`, and names below it.
fn is_localhost(host: &[u8]) -> bool {
    let host = host.strip_suffix(b".").unwrap_or(host).to_ascii_lowercase();
    host == b"localhost" || host.ends_with(b".localhost")
}

/// This host to itself.
pub fn loopback(port: u16, family: Family) -> Vec<SocketAddr> {
    let v4 = (Ipv4Addr::LOCALHOST, port).into();
    match family {
        Family::V4 => vec![v4],
        Family::Both => vec![v4, (Ipv6Addr::LOCALHOST, port).into()],
    }
}

/// The port that a number or a name of a TCP service means: an empty one is 0, an unknown one
/// `None`.
fn port_of(text: &[u8]) -> io::Result<Option<u16>> {
    if text.is_empty() {
        return Ok(Some(0));
    }
    if text.iter().all(u8::is_ascii_digit) {
        return Ok(decimal(text).and_then(|number| number.try_into().ok()));
    }
    let services = read_if_any(SERVICES.as_ref())?.unwrap_or_default();
    Ok(services.split(|byte| *byte == b'\n').find_map(|line| service(line, text)))
}

/// `name port/tcp alias ... # comment`: the port, if that is the service of this name.
fn service(line: &[u8], wanted: &[u8]) -> Option<u16> {
    let line = line.split(|byte| *byte == b'#').next()?;
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let name = words.next()?;
    let port = decimal(words.next()?.strip_suffix(b"/tcp")?)?.try_into().ok()?;
    (name == wanted || words.any(|alias| alias == wanted)).then_some(port)
}

/// The contents of a file, `None` if there is none.
fn read_if_any(file: &OsStr) -> io::Result<Option<Vec<u8>>> {
    match std::fs::read(file) {
        Ok(text) => Ok(Some(text)),
        Err(why) if why.kind() == ErrorKind::NotFound => Ok(None),
        Err(why) => Err(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_localhost_need_no_name_server() {
        let of = |host: &str, family| {
            let found = Settings::default().addresses(host.as_bytes(), 25, family).unwrap();
            found.iter().map(|at| at.to_string()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(of("127.000.0.1", Family::Both), "127.0.0.1:25");
        assert_eq!(of("127.1", Family::Both), "");
        assert_eq!(of("[::1]", Family::Both), "[::1]:25");
        assert_eq!(of("localhost", Family::Both), "127.0.0.1:25 [::1]:25");
        assert_eq!(of("a.LocalHost.", Family::V4), "127.0.0.1:25");
    }

    #[test]
    fn ports_are_numbers_or_tcp_services() {
        let of = |text: &str| port_of(text.as_bytes()).unwrap();
        assert_eq!(
            (of(""), of("0"), of("00025"), of("65535")),
            (Some(0), Some(0), Some(25), Some(65535))
        );
        assert_eq!((of("65536"), of("-1"), of("25x"), of("no such")), (None, None, None, None));
        let line = b"smtp\t\t25/tcp\t\tmail alias # x y";
        assert_eq!((service(line, b"smtp"), service(line, b"alias")), (Some(25), Some(25)));
        assert_eq!((service(line, b"x"), service(b"domain 53/udp", b"domain")), (None, None));
    }
}
