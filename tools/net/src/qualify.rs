//! Short host names made whole: rewriting rules and search lists.

/// Rules, applied in order, each at most once, to the name as changed so far.
///
/// ```text
/// =pattern:replacement   the whole name is the pattern
/// *pattern:replacement   the name ends in the pattern
/// ?pattern:replacement   the same, if what comes before has no dot or bracket
/// -pattern:replacement   the name ends in the pattern; everything is replaced
/// ```
/// What matched is replaced. Case is ignored; other lines do nothing.
#[derive(Debug)]
pub struct Rules(Vec<Vec<u8>>);

impl Rules {
    /// The lines of a rewriting file.
    pub fn from_file(text: &[u8]) -> Self {
        let lines = text.split(|byte| *byte == b'\n').map(|line| line.trim_ascii_end().to_vec());
        Rules(lines.collect())
    }

    /// Names without a dot are tried in each of these domains; a final dot says that a name is
    /// whole.
    pub fn from_search_list(domains: &[u8]) -> Self {
        let words = domains.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let tries: Vec<u8> = words.flat_map(|domain| [b"+.", domain].concat()).collect();
        Rules(vec![[b"?:", &tries[..]].concat(), b"*.:".to_vec()])
    }

    /// The first `search` or `domain` line of /etc/resolv.conf.
    pub fn from_resolv_conf(text: &[u8]) -> Option<Self> {
        text.split(|byte| *byte == b'\n').find_map(|line| {
            let list = line.strip_prefix(b"search").or_else(|| line.strip_prefix(b"domain"))?;
            list.first().filter(|byte| b" \t".contains(byte))?;
            Some(Rules::from_search_list(list))
        })
    }

    /// Names without a dot are in the domain of this host.
    pub fn from_host_name(host: &[u8]) -> Self {
        let domain = host.iter().position(|byte| *byte == b'.').map(|dot| &host[dot..]);
        let own = domain.map(|domain| [b"?:", domain].concat());
        Rules(own.into_iter().chain([b"*.:".to_vec()]).collect())
    }

    /// The name that the rules make of `host`.
    pub fn rewrite(&self, host: &[u8]) -> Vec<u8> {
        let mut name = host.to_vec();
        for rule in &self.0 {
            rewrite(&mut name, rule);
        }
        name
    }

    /// The whole names that `host` may mean, in the order in which they are to be tried: a plus
    /// sign stands before each of several ends.
    pub fn apply(&self, host: &[u8]) -> Vec<Vec<u8>> {
        let name = self.rewrite(host);
        let mut parts = name.split(|byte| *byte == b'+');
        let start = parts.next().unwrap_or_default();
        let tries: Vec<Vec<u8>> = parts.map(|domain| [start, domain].concat()).collect();
        if tries.is_empty() { vec![name] } else { tries }
    }
}

fn rewrite(name: &mut Vec<u8>, rule: &[u8]) {
    let Some((kind @ (b'=' | b'*' | b'?' | b'-'), rest)) = rule.split_first() else { return };
    let Some(colon) = rest.iter().position(|byte| *byte == b':') else { return };
    let (pattern, replacement) = (&rest[..colon], &rest[colon + 1..]);
    let Some(before) = name.len().checked_sub(pattern.len()) else { return };
    let bare = || !name[..before].iter().any(|byte| b".[]".contains(byte));
    let applies = name[before..].eq_ignore_ascii_case(pattern)
        && match kind {
            b'=' => before == 0,
            b'?' => bare(),
            _ => true,
        };
    if applies {
        name.truncate(if *kind == b'-' { 0 } else { before });
        name.extend_from_slice(replacement);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(rules: &Rules, host: &str) -> String {
        let names = rules.apply(host.as_bytes());
        names.iter().map(|name| String::from_utf8_lossy(name)).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn rules_are_applied_in_order_to_the_name_so_far() {
        let file =
            b"# comment\n=me:127.0.0.1\n*.old:.new \t\r\n?:.example\n-.new.example:x+.a+.b\n*.:";
        let rules = Rules::from_file(file);
        assert_eq!(tried(&rules, "ME"), "127.0.0.1");
        assert_eq!(tried(&rules, "host.OLD"), "host.new");
        assert_eq!(tried(&rules, "host"), "host.example");
        assert_eq!(tried(&rules, "[host"), "[host");
        assert_eq!(tried(&rules, "y.new.example"), "x.a x.b");
        assert_eq!(tried(&rules, "host."), "host");
    }

    #[test]
    fn search_lists_concern_names_without_a_dot() {
        let rules = Rules::from_search_list(b" a\t b ");
        assert_eq!(tried(&rules, "host"), "host.a host.b");
        assert_eq!(tried(&rules, "host.c"), "host.c");
        assert_eq!(tried(&rules, "host."), "host");
        assert_eq!(tried(&Rules::from_search_list(b""), "host"), "host");
    }

    #[test]
    fn the_search_list_is_in_resolv_conf_or_in_the_own_name() {
        let resolv = b"nameserver 1.2.3.4\nsearched x\ndomain\tone.example\nsearch two.example\n";
        assert_eq!(tried(&Rules::from_resolv_conf(resolv).unwrap(), "h"), "h.one.example");
        assert!(Rules::from_resolv_conf(b"nameserver 1.2.3.4\n").is_none());
        assert_eq!(tried(&Rules::from_host_name(b"me.example.org"), "h"), "h.example.org");
        assert_eq!(tried(&Rules::from_host_name(b"me"), "h"), "h");
    }
}
