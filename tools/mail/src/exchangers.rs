//! The addresses to which mail for a domain goes, in the order in which they are tried.

use crate::address;
use crate::own_addresses::OwnAddresses;
use base::sys::random;
use net::address::v4;
use net::dns::{Answer, DnsError, Kind, Resolver, Result as DnsResult};
use std::io;
use std::net::IpAddr;

/// Mail exchangers that are looked at, the best ones.
const NAMES: usize = 100;
/// Addresses that are tried, the best ones: with more of them a stranger could have us wait for
/// days.
const ADDRESSES: usize = 50;
/// Names that are asked about at the same time.
const AT_ONCE: usize = 16;

/// One address to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Lower ones are tried first.
    pub preference: u16,
    /// Where to connect.
    pub ip: IpAddr,
}

/// The mail exchangers of a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchangers {
    /// Their addresses, in the order in which they are tried.
    pub targets: Vec<Target>,
    /// The best preference of those whose addresses nobody could tell at the moment.
    pub unknown: Option<u16>,
}

/// Why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// There is no such host.
    NoHost,
    /// There are mail exchangers without addresses.
    NoAddress,
    /// The domain takes no mail: RFC 7505.
    NoMail,
    /// The best one is this host.
    Loop,
    /// DNS does not work at the moment.
    Later,
}

/// The mail exchangers of a domain, or the host of that name if it has none.
pub fn of_domain(domain: &[u8], dns: &mut Resolver) -> Result<Exchangers, Failure> {
    let alone = |targets| Exchangers { targets, unknown: None };
    if let Some(ip) = as_address(domain) {
        return Ok(alone(vec![Target { preference: 0, ip }]));
    }
    if !is_name(domain) {
        return Err(Failure::NoHost);
    }
    let mut exchangers = match dns.mx(domain) {
        Ok(exchangers) => exchangers,
        Err(DnsError::NoName | DnsError::BadName) => Vec::new(),
        Err(DnsError::Failed(_)) => return Err(Failure::Later),
    };
    if exchangers.is_empty() {
        return of_host(domain, dns).map(alone);
    }
    if matches!(&exchangers[..], [(_, name)] if name.is_empty()) {
        return Err(Failure::NoMail);
    }
    random::shuffle(&mut exchangers);
    exchangers.sort_by_key(|(preference, _)| *preference);
    exchangers.truncate(NAMES);
    let mut targets = Vec::new();
    let mut unknown = None;
    for some in exchangers.chunks(AT_ONCE) {
        let worse = add_targets(&mut targets, some, dns);
        unknown = unknown.or(worse);
    }
    if targets.is_empty() {
        return Err(if unknown.is_some() { Failure::Later } else { Failure::NoAddress });
    }
    Ok(Exchangers { targets: in_order(targets), unknown })
}

/// The addresses of one host, mail exchangers or not.
pub fn of_host(host: &[u8], dns: &mut Resolver) -> Result<Vec<Target>, Failure> {
    if let Some(ip) = as_address(host) {
        return Ok(vec![Target { preference: 0, ip }]);
    }
    if !is_name(host) {
        return Err(Failure::NoHost);
    }
    match dns.addresses(host) {
        Ok(found) if !found.is_empty() => {
            let targets = found.into_iter().map(|ip| Target { preference: 0, ip });
            Ok(in_order(targets))
        }
        Err(DnsError::Failed(_)) => Err(Failure::Later),
        _ => Err(Failure::NoHost),
    }
}

/// Those that are better than the best one that is this host. If that seems to be the very best, a
/// better one may be unknown only now.
pub fn better_than_us(found: Exchangers, own: &OwnAddresses) -> Result<Vec<Target>, Failure> {
    let Exchangers { mut targets, unknown } = found;
    let ours = targets.iter().filter(|target| own.has(target.ip));
    let Some(best) = ours.map(|target| target.preference).min() else { return Ok(targets) };
    targets.retain(|target| target.preference < best);
    match targets.is_empty() {
        false => Ok(targets),
        true if unknown.is_some_and(|preference| preference < best) => Err(Failure::Later),
        true => Err(Failure::Loop),
    }
}

/// `[1.2.3.4]`, `[IPv6:::1]`, `1.2.3.4`.
fn as_address(host: &[u8]) -> Option<IpAddr> {
    address::literal(host).or_else(|| v4(host).map(IpAddr::V4))
}

/// Whether each label is one. Lookups pass over doubled dots and read octal numbers behind
/// backslashes, as those of djbdns do; in an address they are mistakes, and lead nowhere.
fn is_name(host: &[u8]) -> bool {
    let labels = host.strip_suffix(b".").unwrap_or(host);
    labels.split(|byte| *byte == b'.').all(|label| !label.is_empty() && !label.contains(&b'\\'))
}

/// Adds the addresses of some exchangers. Gives the best preference of those whose lookups have
/// failed.
fn add_targets(
    targets: &mut Vec<Target>,
    exchangers: &[(u16, Vec<u8>)],
    dns: &mut Resolver,
) -> Option<u16> {
    let names = exchangers.iter().filter(|(_, name)| as_address(name).is_none());
    let questions: Vec<(&[u8], Kind)> =
        names.flat_map(|(_, name)| [(&name[..], Kind::A), (&name[..], Kind::Aaaa)]).collect();
    let mut answers = dns.all(&questions, None).into_iter();
    let mut unknown = None;
    for (preference, name) in exchangers {
        let found = match as_address(name) {
            Some(ip) => vec![ip],
            None => {
                let (a, aaaa) = (answers.next(), answers.next());
                let v4 = read(a, |answer| answer.a());
                let v6 = read(aaaa, |answer| answer.aaaa());
                let failed = v4.is_err() || v6.is_err();
                let v4 = v4.into_iter().flatten().map(IpAddr::V4);
                let v6 = v6.into_iter().flatten().map(IpAddr::V6);
                let found: Vec<IpAddr> = v4.chain(v6).collect();
                if failed && found.is_empty() {
                    unknown.get_or_insert(*preference);
                }
                found
            }
        };
        targets.extend(found.into_iter().map(|ip| Target { preference: *preference, ip }));
    }
    unknown
}

/// The records of an answer; a name that does not exist has none.
fn read<T>(
    answer: Option<DnsResult<Answer>>,
    records: impl Fn(&Answer) -> io::Result<Vec<T>>,
) -> io::Result<Vec<T>> {
    let answer = answer.unwrap_or(Err(DnsError::BadName));
    match answer.and_then(|answer| Ok(records(&answer)?)) {
        Err(DnsError::Failed(why)) => Err(why),
        other => Ok(other.unwrap_or_default()),
    }
}

/// Of the same preference, IPv4 comes first: whoever moves here from a qmail without IPv6 may
/// have no name for his IPv6 address, which many servers refuse. IPv4 in IPv6 form is IPv4.
fn in_order(targets: impl IntoIterator<Item = Target>) -> Vec<Target> {
    let canonical = |target: Target| Target { ip: target.ip.to_canonical(), ..target };
    let mut targets: Vec<Target> = targets.into_iter().map(canonical).collect();
    targets.sort_by_key(|target| (target.preference, target.ip.is_ipv6()));
    targets.truncate(ADDRESSES);
    targets
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(preference: u16, ip: &str) -> Target {
        Target { preference, ip: ip.parse().unwrap() }
    }

    #[test]
    fn preference_comes_before_family_and_not_all_are_tried() {
        let list = [(20, "192.0.2.1"), (10, "::1"), (10, "::ffff:192.0.2.2"), (10, "192.0.2.1")];
        let sorted = in_order(list.map(|(preference, ip)| target(preference, ip)));
        let expected = [(10, "192.0.2.2"), (10, "192.0.2.1"), (10, "::1"), (20, "192.0.2.1")];
        assert_eq!(sorted, expected.map(|(preference, ip)| target(preference, ip)));
        assert_eq!(in_order(vec![target(0, "::1"); 100]).len(), ADDRESSES);
    }

    #[test]
    fn only_those_better_than_us_are_left() {
        let own = OwnAddresses::read().unwrap();
        let all = [target(5, "127.77.0.1"), target(7, "127.0.0.1"), target(7, "127.77.0.2")];
        let better = |targets: &[Target], unknown| {
            better_than_us(Exchangers { targets: targets.to_vec(), unknown }, &own)
        };
        assert_eq!(better(&all, None), Ok(vec![all[0]]));
        assert_eq!(better(&all[1..], None), Err(Failure::Loop));
        assert_eq!(better(&[target(0, "0.0.0.0"), all[0]], None), Err(Failure::Loop));
        assert_eq!(better(&[all[0], all[2]], Some(1)), Ok(vec![all[0], all[2]]));
        // whether we are the best is not known
        assert_eq!(better(&all[1..], Some(6)), Err(Failure::Later));
        assert_eq!(better(&all[1..], Some(7)), Err(Failure::Loop));
    }
}
