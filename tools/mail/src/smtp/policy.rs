//! Whom qmail-smtpd takes mail from, and for whom: badmailfrom, rcpthosts, relay clients, and
//! addresses at `[our own IP]`.

use super::replies::{BAD_MAIL_FROM, CONTROLS, NO_GATEWAY, OWN_ADDRESSES};
use super::session::Verdict;
use crate::address;
use crate::control::{Control, Names};
use crate::own_addresses::OwnAddresses;
use crate::rcpthosts::RcptHosts;
use std::io;

/// The rules of one session.
pub struct Policy {
    /// What replaces `[our IP]`.
    local_ip_host: Option<Vec<u8>>,
    bad_senders: Names,
    hosts: RcptHosts,
    relay: Option<Vec<u8>>,
    /// The present sender is a bad one.
    barred: bool,
}

impl Policy {
    /// Reads the control files. `relay` is the value of `$RELAYCLIENT`: such a client may send
    /// to anybody, and it is put behind each recipient.
    pub fn read(control: &Control, relay: Option<&[u8]>) -> io::Result<Self> {
        Ok(Policy {
            local_ip_host: control.line_or_me("localiphost")?,
            bad_senders: control.names("badmailfrom")?.unwrap_or_default(),
            hosts: RcptHosts::read(control)?,
            relay: relay.map(<[u8]>::to_vec),
            barred: false,
        })
    }

    /// Judges the address of MAIL. A bad one is taken: its recipients are refused.
    pub fn sender(&mut self, address: Vec<u8>) -> Verdict {
        let sender = match self.named(address) {
            Ok(sender) => sender,
            Err(_) => return Verdict::HangUp(OWN_ADDRESSES),
        };
        self.barred = self.is_bad(&sender);
        Verdict::Take(sender)
    }

    /// Judges the address of RCPT.
    pub fn recipient(&self, address: Vec<u8>) -> Verdict {
        let mut recipient = match self.named(address) {
            Ok(recipient) => recipient,
            Err(_) => return Verdict::HangUp(OWN_ADDRESSES),
        };
        if self.barred {
            return Verdict::Refuse(BAD_MAIL_FROM);
        }
        if let Some(relay) = &self.relay {
            recipient.extend_from_slice(relay);
            return Verdict::Take(recipient);
        }
        match self.hosts.allow(&recipient) {
            Ok(true) => Verdict::Take(recipient),
            Ok(false) => Verdict::Refuse(NO_GATEWAY),
            Err(_) => Verdict::HangUp(CONTROLS),
        }
    }

    /// `joe@[our IP]` is `joe@localiphost`.
    fn named(&self, address: Vec<u8>) -> io::Result<Vec<u8>> {
        if let (local, Some(domain)) = address::split(&address)
            && let Some(name) = &self.local_ip_host
            && let Some(ip) = address::literal(domain)
            && OwnAddresses::read()?.has(ip)
        {
            return Ok([local, b"@", name].concat());
        }
        Ok(address)
    }

    /// badmailfrom lists addresses, and domains as `@domain`.
    fn is_bad(&self, sender: &[u8]) -> bool {
        let at = memchr::memrchr(b'@', sender);
        self.bad_senders.has(sender) || at.is_some_and(|at| self.bad_senders.has(&sender[at..]))
    }
}
