//! Completing the addresses of a header: default host, default domain, plus domain.
//! qmail-header(5), "Address rewriting".

use crate::token::Token::{self, At, Atom, Colon, Dot, Literal};
use crate::token::parse;

/// What is appended, as tokens.
pub struct HostRules {
    /// `@host`, for addresses without one.
    default_host: Vec<Token>,
    /// `.domain`, for hosts without a dot.
    default_domain: Vec<Token>,
    /// `.domain`, for hosts that end in a plus sign.
    plus_domain: Vec<Token>,
}

impl HostRules {
    /// From the contents of defaulthost, defaultdomain and plusdomain. `None` if one of them is
    /// not made of tokens.
    pub fn new(default_host: &[u8], default_domain: &[u8], plus_domain: &[u8]) -> Option<Self> {
        Some(HostRules {
            default_host: parse(&[b"@", default_host].concat())?,
            default_domain: parse(&[b".", default_domain].concat())?,
            plus_domain: parse(&[b".", plus_domain].concat())?,
        })
    }

    /// Completes one address. The empty address and `x@[]` stay as they are.
    pub fn complete(&self, address: &mut Vec<Token>) {
        if let [.., At, Literal(content)] = &address[..]
            && content.is_empty()
        {
            return;
        }
        remove_route(address);
        address.pop_if(|last| *last == Dot);
        address.pop_if(|last| *last == At);
        if address.is_empty() {
            return;
        }
        if !address.contains(&At) {
            address.extend_from_slice(&self.default_host);
        }
        if let Some(Atom(last)) = address.last_mut()
            && last.pop_if(|byte| *byte == b'+').is_some()
        {
            address.extend_from_slice(&self.plus_domain);
        }
        let mut host = address.iter().rev().take_while(|token| **token != At);
        if !host.any(|token| matches!(token, Dot | Literal(_))) {
            address.extend_from_slice(&self.default_domain);
        }
    }
}

/// Removes `@a,@b:` before an address. A route without an end is all there is.
fn remove_route(address: &mut Vec<Token>) {
    if address.first() == Some(&At) {
        let end = address.iter().position(|token| *token == Colon);
        address.drain(..end.map_or(address.len(), |colon| colon + 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::unquoted;

    #[test]
    fn the_manuals_examples() {
        let rules = HostRules::new(b"dh.test", b"dd.test", b"plus.test").unwrap();
        let cases = [
            ("fred", "fred@dh.test"),
            ("fred@host", "fred@host.dd.test"),
            ("x@mac+", "x@mac.plus.test"),
            ("@a,@b:joe@c.d", "joe@c.d"),
            ("a@b.c.", "a@b.c"),
            ("a@", "a@dh.test"),
            ("a@[1.2.3.4]", "a@[1.2.3.4]"),
            ("x@[]", "x@[]"),
            ("", ""),
            ("@a", ""),
            (".", ""),
        ];
        for (before, after) in cases {
            let mut address = parse(before.as_bytes()).unwrap();
            rules.complete(&mut address);
            assert_eq!(String::from_utf8(unquoted(&address)).unwrap(), after, "{before}");
        }
    }
}
