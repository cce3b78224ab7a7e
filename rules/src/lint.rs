//! What is wrong with rules, or useless, while they are still text.

use crate::address::Address;
use crate::line::{self, Line};
use crate::network::Network;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::Ipv4Addr;

/// Something to say about a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// It is no rule; this is its text.
    Bad(Vec<u8>),
    /// It has no colon, so it is ignored.
    NoColon,
    /// Its range has no numbers.
    EmptyRange,
    /// No peer has this address.
    NeverMatches(Vec<u8>),
    /// A rule in this line comes first for all its addresses.
    Shadowed(u64),
}

impl Problem {
    /// A message, without newline. All but the first kind are warnings.
    pub fn words(&self) -> Vec<u8> {
        match self {
            Problem::Bad(text) => [b"unable to parse this line: ", &text[..]].concat(),
            Problem::NoColon => b"warning: no colon, so it is ignored".to_vec(),
            Problem::EmptyRange => b"warning: nothing is in this range".to_vec(),
            Problem::NeverMatches(key) => [b"warning: no peer matches ", &key[..]].concat(),
            Problem::Shadowed(by) => format!("warning: line {by} comes first").into_bytes(),
        }
    }
}

/// Looks at one line after the other.
#[derive(Default)]
pub struct Lint {
    number: u64,
    problems: Vec<(u64, Problem)>,
    /// Keys and the lines that they are from.
    keys: HashMap<Vec<u8>, u64>,
    networks: Vec<(u64, Network)>,
    data: Vec<u8>,
}

impl Lint {
    /// The next line.
    pub fn line(&mut self, text: &[u8]) {
        self.number += 1;
        let problem = match line::parse(text, &mut self.data) {
            Line::Nothing => None,
            Line::NoColon => Some(Problem::NoColon),
            Line::Bad => Some(Problem::Bad(line::excerpt(text).into())),
            Line::Rule(Address::Network(network)) => {
                self.networks.push((self.number, network));
                None
            }
            Line::Rule(address) => self.rule(self.number, &address),
        };
        self.problems.extend(problem.map(|problem| (self.number, problem)));
    }

    /// All problems with the numbers of their lines, in order.
    pub fn finish(mut self) -> Vec<(u64, Problem)> {
        // As tcprules writes them.
        let mut networks = std::mem::take(&mut self.networks);
        networks.sort_by_key(|(_, network)| Reverse(network.length()));
        for (number, network) in networks {
            let problem = self.rule(number, &Address::Network(network));
            self.problems.extend(problem.map(|problem| (number, problem)));
        }
        self.problems.sort_by_key(|(number, _)| *number);
        self.problems
    }

    fn rule(&mut self, number: u64, address: &Address) -> Option<Problem> {
        let mut keys: Vec<Vec<u8>> = Vec::new();
        let _ = address.each_key(&mut Vec::new(), |key| {
            keys.push(key.to_vec());
            Ok::<(), ()>(())
        });
        let Some(first) = keys.first() else {
            return Some(Problem::EmptyRange);
        };
        if !can_match(first) {
            return Some(Problem::NeverMatches(first.clone()));
        }
        let earlier = self.keys.get(first).copied();
        let mut is_new = false;
        for key in keys {
            self.keys.entry(key).or_insert_with(|| {
                is_new = true;
                number
            });
        }
        earlier.filter(|_| !is_new).map(Problem::Shadowed)
    }
}

/// Whether tcpserver may ever look for this key.
fn can_match(key: &[u8]) -> bool {
    let info = key.iter().rposition(|byte| *byte == b'@');
    let who = info.map_or(key, |at| &key[at + 1..]);
    match who {
        [] => info.is_none(),
        [b'=', host @ ..] => is_host(host),
        _ if is_ip(who) => true,
        _ => info.is_none() && (is_prefix(who) || Network::from_bits(who).is_some()),
    }
}

/// The end of a host name, or all of it, as DNS look-ups give it: in lower case, no dot at the
/// end, `\ooo` for what is unusual.
fn is_host(text: &[u8]) -> bool {
    let usual = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'\\');
    !text.ends_with(b".") && text.iter().all(usual)
}

/// An address. Those of IPv6 are in canonical text here.
fn is_ip(text: &[u8]) -> bool {
    crate::address::ip(text).is_some()
}

/// The start of an address in canonical text: `1.2.` or `2001:db8:`.
fn is_prefix(text: &[u8]) -> bool {
    let dots = text.iter().filter(|byte| **byte == b'.').count();
    let rest = match (text.last(), dots) {
        (Some(b'.'), 1) => "0.0.0",
        (Some(b'.'), 2) => "0.0",
        (Some(b'.'), 3) => "0",
        (Some(b':'), _) => return text[..text.len() - 1].split(|byte| *byte == b':').all(is_group),
        _ => return false,
    };
    let whole = [text, rest.as_bytes()].concat();
    str::from_utf8(&whole).is_ok_and(|whole| whole.parse::<Ipv4Addr>().is_ok())
}

/// A group of an IPv6 address in canonical text, or nothing, as between two colons.
fn is_group(text: &[u8]) -> bool {
    let digits = text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    digits && text.len() <= 4 && (text == b"0" || !text.starts_with(b"0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let mut lint = Lint::default();
        text.lines().for_each(|line| lint.line(line.as_bytes()));
        let words = |problem: &Problem| String::from_utf8_lossy(&problem.words()).into_owned();
        lint.finish().iter().map(|(line, problem)| format!("{line}: {}", words(problem))).collect()
    }

    #[test]
    fn good_rules_have_no_problems() {
        let good = "# comment\n\n1.2.3.4:allow\n1.2.:allow\n1.:deny\n=a.example:allow\n=.example:deny\n\
                    =:deny\n:allow\nme@1.2.3.4:deny\n@=x:allow\n2001:db8::1:allow\n2001:db8::allow\n::allow\n\
                    10.1.2.3-9:allow\n10.1.0.0/17:allow\n2001:db8::/32:deny\n_0000e0g0:deny\na@::1:allow\n\
                    1.2.3.1-9:allow\n";
        assert_eq!(problems(good), [""; 0]);
    }

    #[test]
    fn useless_lines_are_told_with_their_numbers() {
        let text = "allow\n1.2.3.9-4:allow\n1.2.3:allow\nhost.example:deny\n=Host:allow\n=x.:deny\n\
                    1.2.3.4.:deny\n01.:deny\n1.300.:deny\nme@1.2.:deny\n1.2-3:deny\n2001:DB8::deny\nx@:deny\nbad:x\n";
        let expected = [
            "1: warning: no colon, so it is ignored",
            "2: warning: nothing is in this range",
            "3: warning: no peer matches 1.2.3",
            "4: warning: no peer matches host.example",
            "5: warning: no peer matches =Host",
            "6: warning: no peer matches =x.",
            "7: warning: no peer matches 1.2.3.4.",
            "8: warning: no peer matches 01.",
            "9: warning: no peer matches 1.300.",
            "10: warning: no peer matches me@1.2.",
            "11: warning: no peer matches 1.2",
            "12: warning: no peer matches 2001:DB8:",
            "13: warning: no peer matches x@",
            "14: unable to parse this line: bad:x",
        ];
        assert_eq!(problems(text), expected);
    }

    #[test]
    fn a_rule_is_shadowed_when_all_its_keys_are_taken() {
        let text = "10.1-3.:allow\n10.2.:deny\n10.3-4.:deny\n10.1.0.0/16:deny\n\
                    2001:db8::1:deny\n2001:DB8:0::1:allow\n192.0.2.0/24:deny\n192.0.2.:allow\n10.0.0.0/9:deny\n";
        let expected = [
            "2: warning: line 1 comes first",
            "4: warning: line 1 comes first",
            "6: warning: line 5 comes first",
            "7: warning: line 8 comes first",
        ];
        assert_eq!(problems(text), expected);
    }
}
