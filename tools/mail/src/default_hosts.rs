//! Completing addresses outside of headers, where they are plain bytes: aliases, `.forward`.
//! What happens in headers is [`crate::host_rules`].

use crate::alias_line::Address;
use crate::control::Control;
use base::env;
use std::io;

/// What is appended to hosts.
pub struct DefaultHosts {
    host: Vec<u8>,
    domain: Vec<u8>,
    plus: Vec<u8>,
}

impl DefaultHosts {
    /// From `defaulthost`, `defaultdomain` and `plusdomain`; by default each is `me`.
    pub fn of(control: &Control) -> io::Result<Self> {
        let line = |name| {
            let line = control.line_or_me(name)?;
            io::Result::Ok(line.unwrap_or_else(|| b"me".to_vec()))
        };
        let (host, domain, plus) =
            (line("defaulthost")?, line("defaultdomain")?, line("plusdomain")?);
        Ok(DefaultHosts { host, domain, plus })
    }

    /// As [`DefaultHosts::of`], where `$QMAILDEFAULTHOST` and its like come first.
    pub fn of_user(control: &Control) -> io::Result<Self> {
        let mut hosts = DefaultHosts::of(control)?;
        let variables = [
            ("QMAILDEFAULTHOST", &mut hosts.host),
            ("QMAILDEFAULTDOMAIN", &mut hosts.domain),
            ("QMAILPLUSDOMAIN", &mut hosts.plus),
        ];
        for (name, value) in variables {
            if let Some(set) = env::get(name) {
                *value = set;
            }
        }
        Ok(hosts)
    }

    /// The whole address: with the default host if it has none, the plus domain instead of a plus
    /// at its end, the default domain if its host has no dot.
    pub fn complete(&self, address: &Address) -> Vec<u8> {
        let mut text = address.text.clone();
        if !address.has_host {
            text.push(b'@');
        }
        if text.ends_with(b"@") {
            text.extend(&self.host);
        }
        if text.pop_if(|last| *last == b'+').is_some() {
            text.push(b'.');
            text.extend(&self.plus);
        }
        let host = memchr::memrchr(b'@', &text).map_or(0, |at| at + 1);
        if !text[host..].contains(&b'.') {
            text.push(b'.');
            text.extend(&self.domain);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alias_line::{Entry, Includes, entries};

    #[test]
    fn hosts_are_completed_as_the_control_files_say() {
        let [host, domain, plus] = ["host", "dom.example", "plus.example"].map(|s| s.into());
        let hosts = DefaultHosts { host, domain, plus };
        let shown = |line: &str| match &entries(line.as_bytes(), Includes::Unknown).unwrap()[0] {
            Entry::Address(address) => String::from_utf8(hosts.complete(address)).unwrap(),
            Entry::Include(_) => unreachable!(),
        };
        assert_eq!(shown("joe"), "joe@host.dom.example");
        assert_eq!(shown("\"joe@h\""), "joe@h@host.dom.example");
        assert_eq!(shown("joe@"), "joe@host.dom.example");
        assert_eq!(shown("joe@h+"), "joe@h.plus.example");
        assert_eq!(shown("joe+"), "joe+@host.dom.example");
        assert_eq!(shown("joe@h"), "joe@h.dom.example");
        assert_eq!(shown("joe.b@h.i"), "joe.b@h.i");
        assert_eq!(shown("joe@[1.2.3.4]"), "joe@[1.2.3.4]");
    }
}
