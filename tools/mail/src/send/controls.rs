//! The control files of qmail-send.

use super::bounce::Letterhead;
use super::rewrite::Rules;
use crate::control::{Control, Map, Names};
use std::io;
use std::sync::Arc;

/// A week: how long a message is tried unless `queuelifetime` says otherwise.
const LIFETIME: u64 = 604_800;

/// What the control files say.
#[derive(Debug, Default)]
pub struct Controls {
    /// About recipients.
    pub rules: Arc<Rules>,
    /// About bounces.
    pub letterhead: Letterhead,
    /// Local deliveries at once.
    pub local: u64,
    /// Remote deliveries at once.
    pub remote: u64,
    /// Seconds after which a message is tried for the last time.
    pub lifetime: u64,
    /// Bytes of a message that its bounce shows; 0 is all.
    pub bounce_copy: u64,
}

impl Controls {
    /// Reads all of them. Without `me` and `locals` it fails.
    pub fn read(control: &Control) -> io::Result<Self> {
        let host = |name: &str| {
            let line = control.line_or_me(name)?;
            Ok::<_, io::Error>(line.unwrap_or_else(|| name.into()))
        };
        let number =
            |name: &str, default| Ok::<_, io::Error>(control.number(name)?.unwrap_or(default));
        let line = |name: &str, default: &str| {
            Ok::<_, io::Error>(control.line(name)?.unwrap_or_else(|| default.into()))
        };
        let double_to = line("doublebounceto", "postmaster")?;
        let double_host = host("doublebouncehost")?;
        Ok(Controls {
            rules: Arc::new(Rules {
                envnoathost: host("envnoathost")?,
                percenthack: control.names("percenthack")?.unwrap_or_default(),
                locals: locals(control)?,
                virtual_domains: virtual_domains(control)?,
            }),
            letterhead: Letterhead {
                bouncefrom: line("bouncefrom", "MAILER-DAEMON")?,
                bouncehost: host("bouncehost")?,
                double_to: (!double_to.is_empty())
                    .then(|| [&double_to[..], b"@", &double_host].concat()),
            },
            local: number("concurrencylocal", 10)?,
            remote: number("concurrencyremote", 20)?,
            lifetime: number("queuelifetime", LIFETIME)?,
            bounce_copy: number("bouncemaxbytes", 0)?,
        })
    }

    /// Reads again what may change while messages are delivered. What cannot be read stays as it
    /// is; the result is the name of the file.
    pub fn reread(&mut self, control: &Control) -> Result<(), &'static str> {
        let locals = locals(control).map_err(|_| "locals")?;
        let virtual_domains = virtual_domains(control).map_err(|_| "virtualdomains")?;
        let rules = Arc::make_mut(&mut self.rules);
        rules.locals = locals;
        rules.virtual_domains = virtual_domains;
        Ok(())
    }
}

/// `locals`, or the host of `me`; one of them has to be there.
fn locals(control: &Control) -> io::Result<Names> {
    if let Some(names) = control.names("locals")? {
        return Ok(names);
    }
    let me = control.line("me")?.ok_or(io::ErrorKind::NotFound)?;
    Ok(Names::of(&[me]))
}

fn virtual_domains(control: &Control) -> io::Result<Map> {
    Ok(control.map("virtualdomains")?.unwrap_or_default())
}
