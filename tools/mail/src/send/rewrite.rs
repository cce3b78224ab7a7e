//! Where recipients go: envnoathost, percenthack, locals and virtualdomains. And what their
//! sender is, if every recipient has his own.

use crate::address;
use crate::control::{Map, Names};

/// The two ways out of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// To this host, by qmail-lspawn.
    Local,
    /// To other hosts, by qmail-rspawn.
    Remote,
}

impl Side {
    /// Both, in the order in which descriptors, files and log lines have them.
    pub const BOTH: [Side; 2] = [Side::Local, Side::Remote];

    /// The name in the queue and in log lines.
    pub fn name(self) -> &'static str {
        match self {
            Side::Local => "local",
            Side::Remote => "remote",
        }
    }
}

/// What the control files say about recipients.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// The host of recipients without `@`.
    pub envnoathost: Vec<u8>,
    /// Domains whose local parts may hide another address: `user%host@domain`.
    pub percenthack: Names,
    /// Local domains.
    pub locals: Names,
    /// Addresses, domains and suffixes that somebody here cares for.
    pub virtual_domains: Map,
}

impl Rules {
    /// The side of a recipient, and the address that it has there.
    pub fn route(&self, recipient: &[u8]) -> (Side, Vec<u8>) {
        let mut address = recipient.to_vec();
        if !address.contains(&b'@') {
            address.push(b'@');
            address.extend_from_slice(&self.envnoathost);
        }
        self.unhide(&mut address);
        let domain = address::split(&address).1.unwrap_or_default();
        if self.locals.has(domain) {
            return (Side::Local, address);
        }
        match self.caretaker(&address) {
            None | Some(b"") => (Side::Remote, address),
            Some(caretaker) => (Side::Local, [caretaker, b"-", &address].concat()),
        }
    }

    /// `user%host@domain` becomes `user@host`, as often as the domain is one of percenthack's.
    fn unhide(&self, address: &mut Vec<u8>) {
        while let (local, Some(domain)) = address::split(address)
            && self.percenthack.has(domain)
            && let Some(percent) = memchr::memrchr(b'%', local)
        {
            address.truncate(local.len());
            address[percent] = b'@';
        }
    }

    /// Who cares for an address: the entry of the address, of its domain, of the domain's endings
    /// from the longest to the shortest (each from a dot on), or of everything.
    fn caretaker(&self, address: &[u8]) -> Option<&[u8]> {
        let domain = address::split(address).1?;
        let dots = memchr::memchr_iter(b'.', domain).map(|dot| &domain[dot..]);
        let mut keys = [address, domain].into_iter().chain(dots).chain([&b""[..]]);
        keys.find_map(|key| self.virtual_domains.get(key))
    }

    /// The address as others know it: without the prefix that [`Rules::route`] gave it.
    pub fn without_prefix<'a>(&self, address: &'a [u8]) -> &'a [u8] {
        let mut hyphens = memchr::memchr_iter(b'-', address);
        let plain = hyphens.find_map(|hyphen| {
            let (prefix, rest) = (&address[..hyphen], &address[hyphen + 1..]);
            (self.caretaker(rest) == Some(prefix) && !prefix.is_empty()).then_some(rest)
        });
        plain.unwrap_or(address)
    }
}

/// The sender for one recipient: `box@host-@[]` becomes `boxrecipient=domain@host`, so that a
/// bounce tells whom it is about. Other senders stay, and so it does for recipients without `@`.
pub fn sender_for(sender: &[u8], recipient: &[u8]) -> Vec<u8> {
    let split = || {
        let (list, host) = address::split(sender.strip_suffix(b"-@[]")?);
        let (local, domain) = address::split(recipient);
        Some([list, local, b"=", domain?, b"@", host?].concat())
    };
    split().unwrap_or_else(|| sender.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Rules {
        let items = |lines: &[&str]| lines.iter().map(|line| line.as_bytes().to_vec()).collect();
        let list = |lines: &[&str]| Names::of(&Vec::clone(&items(lines)));
        let map = [
            "joe@v.example:joes",
            "v.example:vee",
            ".v.example:sub",
            ".deep.v.example:deep",
            "not.v.example:",
            "Case.example:Kept",
            "",
            ".example:",
        ];
        Rules {
            envnoathost: b"no-at.example".to_vec(),
            percenthack: list(&["hack.example", "a.example"]),
            locals: list(&["a.example", "B.example"]),
            virtual_domains: Map::of(&Vec::clone(&items(&map))),
        }
    }

    fn routed(recipient: &str) -> String {
        let (side, address) = rules().route(recipient.as_bytes());
        format!("{} {}", side.name(), String::from_utf8(address).unwrap())
    }

    #[test]
    fn recipients_go_where_the_control_files_say() {
        for (recipient, expected) in [
            ("joe", "remote joe@no-at.example"),
            ("Joe@A.Example", "local Joe@A.Example"),
            ("joe@b.example", "local joe@b.example"),
            ("a@b@a.example", "local a@b@a.example"),
            ("joe@a.example.", "remote joe@a.example."),
            ("joe@[127.0.0.1]", "remote joe@[127.0.0.1]"),
            ("joe@", "remote joe@"),
            ("joe%far.test@hack.example", "remote joe@far.test"),
            ("x%y%b.example@hack.example", "local x%y@b.example"),
            ("x%y%hack.example@a.example", "remote x@y"),
            ("joe@hack.example", "remote joe@hack.example"),
            ("JOE@V.example", "local joes-JOE@V.example"),
            ("ann@v.example", "local vee-ann@v.example"),
            ("ann@x.y.v.example", "local sub-ann@x.y.v.example"),
            ("ann@x.deep.v.example", "local deep-ann@x.deep.v.example"),
            ("ann@not.v.example", "remote ann@not.v.example"),
            ("ann@case.EXAMPLE", "local Kept-ann@case.EXAMPLE"),
            ("ann@other.example", "remote ann@other.example"),
        ] {
            assert_eq!(routed(recipient), expected);
        }
    }

    #[test]
    fn an_entry_for_everything_comes_last() {
        let mut rules = rules();
        rules.virtual_domains = Map::of(&[b"v.example:".to_vec(), b":all".to_vec()]);
        assert_eq!(rules.route(b"a@v.example"), (Side::Remote, b"a@v.example".to_vec()));
        assert_eq!(rules.route(b"a@far.test"), (Side::Local, b"all-a@far.test".to_vec()));
        assert_eq!(rules.route(b"a@a.example"), (Side::Local, b"a@a.example".to_vec()));
    }

    #[test]
    fn the_prefix_of_a_virtual_domain_goes_away_again() {
        for (address, expected) in [
            ("vee-ann@v.example", "ann@v.example"),
            ("joes-joe@v.example", "joe@v.example"),
            ("vee-a-b@v.example", "a-b@v.example"),
            ("sub-ann@x.v.example", "ann@x.v.example"),
            ("other-ann@v.example", "other-ann@v.example"),
            ("kept-ann@case.example", "kept-ann@case.example"),
            ("-ann@not.v.example", "-ann@not.v.example"),
            ("ann@a.example", "ann@a.example"),
        ] {
            let plain = rules().without_prefix(address.as_bytes()).to_vec();
            assert_eq!(String::from_utf8(plain).unwrap(), expected);
        }
    }

    #[test]
    fn a_verp_sender_names_the_recipient() {
        for (sender, recipient, expected) in [
            ("list-owner-@h-@[]", "a.b@far.test", "list-owner-a.b=far.test@h"),
            ("list-owner-@h-@[]", "a@b@far.test", "list-owner-a@b=far.test@h"),
            ("list-owner-@h-@[]", "nobody", "list-owner-@h-@[]"),
            ("x-@[]", "a@b", "x-@[]"),
            ("-@[]", "a@b", "-@[]"),
            ("@-@[]", "a@b", "a=b@"),
            ("a@h", "a@b", "a@h"),
            ("", "a@b", ""),
        ] {
            let seen = sender_for(sender.as_bytes(), recipient.as_bytes());
            assert_eq!(String::from_utf8(seen).unwrap(), expected);
        }
    }
}
